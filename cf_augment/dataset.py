"""Episodes and datasets: what was observed, done and earned, with all KPIs and the exogenous trace.

An *episode file* is what one collector process writes; a *dataset file* is one flat HDF5 with the keys of D4RL,
which the usual offline-RL readers load untouched:

    observations (N, O) f32     next_observations (N, O) f32    actions (N, A) f32 in [-1, 1]
    rewards (N,) f32            terminals (N,) bool, all 0      timeouts (N,) bool, 1 on each last step
    infos/*                     (N,) episode, step, seed, policy, context, synthetic, provenance, action_source
    kpis/*                      StepKpis, T+1 rows an episode (row 0 is the reset); kpis/episode_start (E+1,)
    kpis/events                 ragged: events of row r are [event_start[r]:event_start[r + 1]]
    episodes/*                  (E,) metadata as JSON, index of the trace
    traces/<k>/*                each distinct exogenous trace once, so that others can replay other actions
    attributes                  format, scenario (JSON), reward, units, licence, attribution, versions; one that is
                                longer than HDF5's 64 KiB is a scalar dataset of its name instead

No times of day and no variable-length strings are stored: the same episodes give the same bytes. What follows from
something else in the file is computed again when it is read, and must agree: observations and rewards from the KPIs,
positions from the trace, the trace's attribute `sha256` from its arrays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from cf_augment import hdf5
from cf_augment.dataset_checks import check_derived, check_kpis, check_positions
from cf_augment.dataset_records import Dataset, Episode, EpisodeMetadata, Provenance, stack_kpis
from ns3_scenarios.kpis import EVENT_DTYPE, KPI_AXES, StepKpis
from ns3_scenarios.mdp import REWARDS, action_size, observation_size
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Ints
from sumo_mobility.base.documents import parse_json
from sumo_mobility.base.errors import DataError
from sumo_mobility.trace import MobilityTrace, TraceMetadata

__all__ = [
    "Dataset", "Episode", "EpisodeMetadata", "Provenance", "read_dataset", "read_episode", "stack_kpis",
    "write_dataset", "write_episode",
]  # fmt: skip

ACTIONS = {
    "pair": "CIO / handover.cio_range_db, a value per ordered neighbour pair (TS 36.331 5.5.4.4)",
    "cell": "offset / (handover.cio_range_db / 2), a value per cell; CIO is the neighbour's less the serving cell's",
    "edge": "CIO / handover.cio_range_db from the lower to the higher cell index, a value per unordered pair; "
    "its negative in return",
}
UNITS = {
    "rewards": "as named by the attribute 'reward'",
    "kpis": "the suffix of each name; prb_utilization is a share",
    "traces": "m, m/s, degrees clockwise from north, s",
}
_TRACE_FIELDS = ("time_s", "position_m", "speed_mps", "heading_deg")
_EPISODE_FORMAT, _DATASET_FORMAT = "mlb-episode-1", "mlb-dataset-1"


def write_episode(path: Path, episode: Episode) -> None:
    """Writes one episode as HDF5, atomically; the same episode gives the same bytes."""
    with hdf5.creating(path, _EPISODE_FORMAT) as file:
        for name in ("observations", "actions", "rewards"):
            hdf5.put(file, name, getattr(episode, name))
        _put_kpis(file.create_group("kpis"), [episode])
        _put_trace(file.create_group("trace"), episode.trace)
        hdf5.put_text(file, "metadata", episode.metadata.model_dump_json())


def read_episode(path: Path) -> Episode:
    """Reads one episode.

    Raises:
        DataError: the file is missing, damaged, foreign or altered; names the field.
    """
    with hdf5.opening(path, _EPISODE_FORMAT) as file:
        rewards = hdf5.array(file, "rewards", np.float32, (None,))
        steps = len(rewards)
        trace = _get_trace(hdf5.group(file, "trace"), None)
        kpis, event_start, _ = _get_kpis(file, 1, steps + 1, {"C": None, "U": trace.ues})
        check_positions(kpis, trace, slice(None))
        return Episode(
            observations=hdf5.array(file, "observations", np.float32, (steps + 1, None)),
            actions=hdf5.array(file, "actions", np.float32, (steps, None)),
            rewards=rewards,
            kpis=kpis,
            event_start=event_start,
            trace=trace,
            metadata=EpisodeMetadata.parse(hdf5.document(file, "metadata"), "metadata"),
        )


def write_dataset(path: Path, scenario: Scenario, episodes: Sequence[Episode]) -> Dataset:
    """Writes all episodes as one flat HDF5 with D4RL keys, atomically, and returns them as a Dataset.

    Raises:
        DataError: no episodes, or one of another scenario, or two different traces of one name.
    """
    dataset = Dataset(scenario, tuple(episodes))
    traces = _distinct_traces(dataset.episodes)
    records = [episode.metadata for episode in dataset.episodes]
    licences = sorted({trace.metadata.licence for trace in traces.values()})
    credits_ = sorted({trace.metadata.attribution for trace in traces.values()})
    versions = {name: version for record in records for name, version in record.versions.items()}
    attributes = {
        "scenario": scenario.model_dump_json(),
        "reward": _formula_of(scenario),
        "units": json.dumps({"actions": _actions_of(scenario), **UNITS}),
        "licence": "; ".join(licences),
        "attribution": "; ".join(credits_),
        "versions": json.dumps(versions, sort_keys=True),
    }
    with hdf5.creating(path, _DATASET_FORMAT) as file:
        for name in ("observations", "actions", "rewards", "next_observations", "terminals", "timeouts"):
            hdf5.put(file, name, getattr(dataset, name))
        infos = file.create_group("infos")
        hdf5.put(infos, "episode", dataset.per_transition(list(range(len(records)))))
        hdf5.put(infos, "step", np.concatenate([np.arange(episode.steps) for episode in dataset.episodes]))
        hdf5.put(infos, "seed", dataset.per_transition([record.seed for record in records]))
        hdf5.put(infos, "policy", dataset.per_transition([record.policy for record in records]))
        hdf5.put(infos, "context", dataset.per_transition([e.trace.metadata.context for e in dataset.episodes]))
        hdf5.put(infos, "synthetic", dataset.per_transition([record.synthetic for record in records]))
        hdf5.put(infos, "provenance", dataset.per_transition([record.provenance.kind for record in records]))
        hdf5.put(infos, "action_source", dataset.per_transition([r.provenance.action_source for r in records]))
        _put_kpis(file.create_group("kpis"), dataset.episodes)
        of_episode = file.create_group("episodes")
        hdf5.put(of_episode, "metadata", np.array([record.model_dump_json() for record in records]))
        hdf5.put(of_episode, "trace", np.array([list(traces).index(record.trace_name) for record in records]))
        for index, trace in enumerate(traces.values()):
            _put_trace(file.create_group(f"traces/{index:05d}"), trace)
        for name, text in attributes.items():
            hdf5.put_text(file, name, text)
    return dataset


def read_dataset(path: Path) -> Dataset:
    """Reads a dataset.

    Raises:
        DataError: the file is missing, damaged, foreign or altered; names the field.
    """
    with hdf5.opening(path, _DATASET_FORMAT) as file:
        scenario = Scenario.parse(hdf5.document(file, "scenario"), "scenario")
        timeouts = hdf5.array(file, "timeouts", np.bool_, (None,))
        steps, ends = len(timeouts), np.flatnonzero(timeouts) + 1
        if not steps or not timeouts[-1]:
            raise DataError("timeouts: must be true in the last row, and in the last of each episode")
        if hdf5.array(file, "terminals", np.bool_, (steps,)).any():
            raise DataError("terminals: an episode of this project never terminates")
        widths = {"observations": observation_size(scenario), "actions": action_size(scenario)}
        widths["next_observations"] = widths["observations"]
        arrays = {name: hdf5.array(file, name, np.float32, (steps, width)) for name, width in widths.items()}
        arrays["rewards"] = hdf5.array(file, "rewards", np.float32, (steps,))
        records = _get_records(file, len(ends))
        traces, trace_of = _get_traces(file, records, scenario.mobility.ues)
        sizes = {"C": len(scenario.cells), "U": scenario.mobility.ues}
        kpis, event_start, rows = _get_kpis(file, len(ends), steps + len(ends), sizes)
        if not np.array_equal(np.diff(rows), np.diff(ends, prepend=0) + 1):
            raise DataError("kpis/episode_start: must give each episode one row more than it has transitions")
        check_derived(scenario, kpis, rows, arrays)
        for index, trace in enumerate(traces):
            check_positions(kpis, trace, np.flatnonzero(np.repeat(trace_of == index, np.diff(rows))))
        episodes = []
        for index, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            observations = np.concatenate(
                [arrays["observations"][start:end], arrays["next_observations"][end - 1 : end]]
            )
            first, last = rows[index], rows[index + 1]
            offsets = event_start[first : last + 1]
            fields = {name: getattr(kpis, name)[first:last] for name in KPI_AXES}
            episodes.append(
                Episode(
                    observations=observations,
                    actions=arrays["actions"][start:end],
                    rewards=arrays["rewards"][start:end],
                    kpis=StepKpis(**fields, events=kpis.events[offsets[0] : offsets[-1]]),
                    event_start=offsets - offsets[0],
                    trace=traces[trace_of[index]],
                    metadata=records[index],
                )
            )
        return Dataset(scenario, tuple(episodes))


def _formula_of(scenario: Scenario) -> str:
    weights = scenario.reward_weights
    name = "-".join(weights)
    terms = [
        REWARDS[one].formula if weight == 1 else f"{weight:g} * ({REWARDS[one].formula})"
        for one, weight in weights.items()
    ]
    cost = [f"- {scenario.handover_cost:g} * handovers / UEs"] if scenario.handover_cost else []
    return f"{name}: {' '.join([' + '.join(terms), *cost])}"


def _actions_of(scenario: Scenario) -> str:
    handover = scenario.handover
    parts = "; then ".join([ACTIONS[handover.action], *(f"{name} of each serving cell" for name in handover.steer)])
    return f"{parts}; each snaps to the grid of TS 36.331" if handover.grid == "standard" else parts


def _distinct_traces(episodes: Sequence[Episode]) -> dict[str, MobilityTrace]:
    traces: dict[str, MobilityTrace] = {}
    for episode in episodes:
        known = traces.setdefault(episode.metadata.trace_name, episode.trace)
        if known is not episode.trace and not np.array_equal(known.position_m, episode.trace.position_m):
            raise DataError(f"dataset: two different traces are named '{episode.metadata.trace_name}'")
    return traces


def _put_kpis(group: h5py.Group, episodes: Sequence[Episode]) -> None:
    for name in KPI_AXES:
        hdf5.put(group, name, np.concatenate([getattr(episode.kpis, name) for episode in episodes]))
    hdf5.put(group, "events", np.concatenate([episode.kpis.events for episode in episodes]))
    counts = np.concatenate([np.diff(episode.event_start) for episode in episodes])
    hdf5.put(group, "event_start", np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    rows = np.cumsum([0, *(episode.steps + 1 for episode in episodes)]).astype(np.int64)
    hdf5.put(group, "episode_start", rows)


def _get_kpis(
    file: h5py.File, episodes: int, rows: int, sizes: Mapping[str, int | None]
) -> tuple[StepKpis, Ints, Ints]:
    """Returns all rows of KPIs, where the events of each row start, and where the rows of each episode do."""
    group = hdf5.group(file, "kpis")
    start = hdf5.array(group, "episode_start", np.int64, (episodes + 1,))
    event_start = hdf5.array(group, "event_start", np.int64, (rows + 1,))
    for name, values, last in (("episode_start", start, rows), ("event_start", event_start, None)):
        if values[0] != 0 or (np.diff(values) < 0).any() or last not in (None, values[-1]):
            raise DataError(f"kpis/{name}: must rise from 0 to the number of {'rows' if last else 'events'}")
    kinds = {"ue_serving_cell": np.int64}
    fields = {
        name: hdf5.array(
            group, name, kinds.get(name, np.float64), (rows, *(2 if axis == "2" else sizes[axis] for axis in axes))
        )
        for name, axes in KPI_AXES.items()
    }
    events = hdf5.array(group, "events", EVENT_DTYPE, (int(event_start[-1]),))
    kpis = StepKpis(**fields, events=events)
    check_kpis(kpis)
    return kpis, event_start, start


def _get_records(file: h5py.File, episodes: int) -> list[EpisodeMetadata]:
    texts = hdf5.array(hdf5.group(file, "episodes"), "metadata", np.bytes_, (episodes,))
    named = {f"episodes/metadata[{index}]": text for index, text in enumerate(texts)}
    return [EpisodeMetadata.parse(parse_json(text, where), where) for where, text in named.items()]


def _get_traces(file: h5py.File, records: Sequence[EpisodeMetadata], ues: int) -> tuple[list[MobilityTrace], Ints]:
    """Returns the traces, and which of them each episode has."""
    trace_of = hdf5.array(hdf5.group(file, "episodes"), "trace", np.int64, (len(records),))
    group = hdf5.group(file, "traces")
    named = {record.trace_name: int(index) for record, index in zip(records, trace_of, strict=True)}
    for episode, (record, index) in enumerate(zip(records, trace_of, strict=True)):
        if index < 0 or named[record.trace_name] != index:
            raise DataError(f"episodes/trace[{episode}]: {index} is not the trace '{record.trace_name}'")
    return [_get_trace(hdf5.group(group, f"{index:05d}"), ues) for index in range(max(named.values()) + 1)], trace_of


def _put_trace(group: h5py.Group, trace: MobilityTrace) -> None:
    for name in _TRACE_FIELDS:
        hdf5.put(group, name, getattr(trace, name))
    hdf5.put_text(group, "metadata", trace.metadata.model_dump_json())
    hdf5.put_text(group, "sha256", _sha256(trace))


def _get_trace(group: h5py.Group, ues: int | None) -> MobilityTrace:
    time_s = hdf5.array(group, "time_s", np.float64, (None,))
    position_m = hdf5.array(group, "position_m", np.float64, (len(time_s), ues, 2))
    of_ue = {name: hdf5.array(group, name, np.float64, position_m.shape[:2]) for name in ("speed_mps", "heading_deg")}
    where = group.name.lstrip("/")
    metadata = TraceMetadata.parse(hdf5.document(group, "metadata"), f"{where}/metadata")
    trace = MobilityTrace(time_s=time_s, position_m=position_m, **of_ue, metadata=metadata)
    digest = _sha256(trace)
    # Older files have none; that positions are those of the KPIs is checked in any case.
    if hdf5.text(group, "sha256", absent=digest) != digest:
        raise DataError(f"{where}: was altered after it was written (sha256 differs)")
    return trace


def _sha256(trace: MobilityTrace) -> str:
    return hashlib.sha256(b"".join(getattr(trace, name).tobytes() for name in _TRACE_FIELDS)).hexdigest()
