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
    attributes                  format, scenario (JSON), reward, units, licence, attribution, versions

No times of day and no variable-length strings are stored: the same episodes give the same bytes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from cf_augment.dataset_records import Dataset, Episode, EpisodeMetadata, Provenance, stack_kpis
from ns3_scenarios.kpis import EVENT_DTYPE, KPI_AXES, StepKpis
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.errors import DataError, MlbError
from sumo_mobility.base.files import replacing
from sumo_mobility.trace import MobilityTrace, TraceMetadata

__all__ = [
    "Dataset", "Episode", "EpisodeMetadata", "Provenance", "read_dataset", "read_episode", "stack_kpis",
    "write_dataset", "write_episode",
]  # fmt: skip

REWARD_FORMULAS = {
    "load-std": "-(standard deviation over the cells of prb_utilization)",
    "p5-throughput": "5th percentile over the UEs of ue_throughput_bps / traffic.offered_bps",
    "jain": "Jain's index over the cells of prb_utilization",
    "blocked": "-(share of the UEs with ue_throughput_bps below what is offered to them by more than a packet)",
}
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
_CURE = "write it anew with 'mlb collect' or 'mlb augment'"


def write_episode(path: Path, episode: Episode) -> None:
    """Writes one episode as HDF5, atomically; the same episode gives the same bytes."""
    with _creating(path, _EPISODE_FORMAT) as file:
        for name in ("observations", "actions", "rewards"):
            _put(file, name, getattr(episode, name))
        _put_kpis(file.create_group("kpis"), [episode])
        _put_trace(file.create_group("trace"), episode.trace)
        file.attrs["metadata"] = _bytes(episode.metadata.model_dump_json())


def read_episode(path: Path) -> Episode:
    """Reads one episode.

    Raises:
        DataError: the file is missing, damaged or foreign; names the field.
    """
    with _opening(path, _EPISODE_FORMAT) as file:
        arrays = {name: _get(file, name, np.float32) for name in ("observations", "actions", "rewards")}
        kpis, event_start = _get_kpis(file)
        return Episode(
            **arrays,
            kpis=kpis,
            event_start=event_start,
            trace=_get_trace(_group(file, "trace")),
            metadata=EpisodeMetadata.parse(json.loads(_attribute(file, "metadata")), "metadata"),
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
    with _creating(path, _DATASET_FORMAT) as file:
        for name in ("observations", "actions", "rewards", "next_observations", "terminals", "timeouts"):
            _put(file, name, getattr(dataset, name))
        infos = file.create_group("infos")
        _put(infos, "episode", dataset.per_transition(list(range(len(records)))))
        _put(infos, "step", np.concatenate([np.arange(episode.steps) for episode in dataset.episodes]))
        _put(infos, "seed", dataset.per_transition([record.seed for record in records]))
        _put(infos, "policy", dataset.per_transition([record.policy for record in records]))
        _put(infos, "context", dataset.per_transition([e.trace.metadata.context for e in dataset.episodes]))
        _put(infos, "synthetic", dataset.per_transition([record.synthetic for record in records]))
        _put(infos, "provenance", dataset.per_transition([record.provenance.kind for record in records]))
        _put(infos, "action_source", dataset.per_transition([r.provenance.action_source for r in records]))
        _put_kpis(file.create_group("kpis"), dataset.episodes)
        of_episode = file.create_group("episodes")
        _put(of_episode, "metadata", np.array([record.model_dump_json() for record in records]))
        _put(of_episode, "trace", np.array([list(traces).index(record.trace_name) for record in records]))
        for index, trace in enumerate(traces.values()):
            _put_trace(file.create_group(f"traces/{index:05d}"), trace)
        for name, text in attributes.items():
            file.attrs[name] = _bytes(text)
    return dataset


def read_dataset(path: Path) -> Dataset:
    """Reads a dataset.

    Raises:
        DataError: the file is missing, damaged or foreign; names the field.
    """
    with _opening(path, _DATASET_FORMAT) as file:
        scenario = Scenario.parse(json.loads(_attribute(file, "scenario")), "scenario")
        singles = ("observations", "actions", "rewards", "next_observations")
        arrays = {name: _get(file, name, np.float32) for name in singles}
        if _get(file, "terminals", np.bool_).any():
            raise DataError("terminals: an episode of this project never terminates")
        ends = np.flatnonzero(_get(file, "timeouts", np.bool_)) + 1
        kpis, event_start = _get_kpis(file)
        of_episode = _group(file, "episodes")
        records = [json.loads(text) for text in _get(of_episode, "metadata", np.bytes_)]
        trace_of = _get(of_episode, "trace", np.int64)
        rows = _get(file, "kpis/episode_start", np.int64)
        if not len(ends) == len(records) == len(trace_of) == len(rows) - 1:
            raise DataError(f"timeouts: {len(ends)} episodes, but episodes/metadata has {len(records)}")
        if (np.diff(rows) != np.diff(ends, prepend=0) + 1).any() or rows[-1] != len(kpis.time_s):
            raise DataError("kpis/episode_start: must give each episode one row more than it has transitions")
        if any(len(array) != ends[-1] for array in arrays.values()):
            raise DataError(f"observations: not all arrays have {ends[-1]} rows")
        traces = [_get_trace(_group(file, f"traces/{index:05d}")) for index in range(int(trace_of.max()) + 1)]
        episodes = []
        for index, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            observations = np.concatenate(
                [arrays["observations"][start:end], arrays["next_observations"][end - 1 : end]]
            )
            if not np.array_equal(observations[1:], arrays["next_observations"][start:end]):
                raise DataError(f"next_observations: episode {index} does not follow its observations")
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
                    metadata=EpisodeMetadata.parse(records[index], f"episodes/metadata[{index}]"),
                )
            )
        return Dataset(scenario, tuple(episodes))


def _formula_of(scenario: Scenario) -> str:
    weights = scenario.reward_weights
    name = "-".join(weights)
    terms = [
        REWARD_FORMULAS[one] if weight == 1 else f"{weight:g} * ({REWARD_FORMULAS[one]})"
        for one, weight in weights.items()
    ]
    cost = [f"- {scenario.handover_cost:g} * handovers / UEs"] if scenario.handover_cost else []
    return f"{name}: {' '.join([' + '.join(terms), *cost])}"


def _actions_of(scenario: Scenario) -> str:
    handover = scenario.handover
    return "; then ".join([ACTIONS[handover.action], *(f"{name} of each serving cell" for name in handover.steer)])


def _distinct_traces(episodes: Sequence[Episode]) -> dict[str, MobilityTrace]:
    traces: dict[str, MobilityTrace] = {}
    for episode in episodes:
        known = traces.setdefault(episode.metadata.trace_name, episode.trace)
        if known is not episode.trace and not np.array_equal(known.position_m, episode.trace.position_m):
            raise DataError(f"dataset: two different traces are named '{episode.metadata.trace_name}'")
    return traces


def _bytes(text: str) -> np.bytes_:
    return np.bytes_(text.encode())


def _put(group: h5py.Group, name: str, array: np.ndarray) -> None:
    if array.dtype.kind == "U":
        array = np.char.encode(array, "utf-8")  # fixed length: variable-length strings are not laid out the same twice
    small = array.size < 64  # a chunk's overhead would exceed what it saves
    options = {} if small else {"compression": "gzip", "compression_opts": 4, "shuffle": True}
    group.create_dataset(name, data=array, track_times=False, **options)


def _put_kpis(group: h5py.Group, episodes: Sequence[Episode]) -> None:
    for name in KPI_AXES:
        _put(group, name, np.concatenate([getattr(episode.kpis, name) for episode in episodes]))
    _put(group, "events", np.concatenate([episode.kpis.events for episode in episodes]))
    counts = np.concatenate([np.diff(episode.event_start) for episode in episodes])
    _put(group, "event_start", np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    rows = np.cumsum([0, *(episode.steps + 1 for episode in episodes)]).astype(np.int64)
    _put(group, "episode_start", rows)


def _put_trace(group: h5py.Group, trace: MobilityTrace) -> None:
    for name in _TRACE_FIELDS:
        _put(group, name, getattr(trace, name))
    group.attrs["metadata"] = _bytes(trace.metadata.model_dump_json())


@contextmanager
def _creating(path: Path, format_name: str) -> Iterator[h5py.File]:
    # In memory first: HDF5 reports a full disk as one of many errors, a plain write as one.
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["format"] = _bytes(format_name)
        yield file
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


@contextmanager
def _opening(path: Path, format_name: str) -> Iterator[h5py.File]:
    if not path.is_file():
        raise DataError(f"{path}: no such file", _CURE)
    try:
        with h5py.File(path, "r") as file:
            if _attribute(file, "format") != format_name:
                raise DataError(f"format: '{_attribute(file, 'format')}', expected '{format_name}'")
            yield file
    except MlbError as error:
        raise DataError(f"{path}: {error.message}", error.cure or _CURE) from None
    except (OSError, RuntimeError, KeyError, ValueError) as error:  # what h5py raises for damaged files
        raise DataError(f"{path}: damaged or not an HDF5 file ({error})", _CURE) from None


def _attribute(group: h5py.Group, name: str) -> str:
    if name not in group.attrs:
        raise DataError(f"attribute {name}: missing; this is not a file of this project")
    value = group.attrs[name]
    return value.decode() if isinstance(value, bytes) else str(value)


def _group(file: h5py.File, name: str) -> h5py.Group:
    if not isinstance(file.get(name), h5py.Group):
        raise DataError(f"{name}: missing")
    return file[name]


def _get(group: h5py.Group, name: str, kind: type[np.generic]) -> np.ndarray:
    if not isinstance(group.get(name), h5py.Dataset):
        raise DataError(f"{name}: missing")
    try:
        array = group[name][()]
    except OSError as error:
        raise DataError(f"{name}: damaged ({error})") from None
    if not np.issubdtype(array.dtype, kind):
        raise DataError(f"{name}: holds {array.dtype}, expected {kind.__name__}")
    return array


def _get_kpis(file: h5py.File) -> tuple[StepKpis, NDArray[np.int64]]:
    group = _group(file, "kpis")
    kinds = {"ue_serving_cell": np.int64}
    fields = {name: _get(group, name, kinds.get(name, np.float64)) for name in KPI_AXES}
    events = _get(group, "events", np.void)
    if events.dtype != EVENT_DTYPE:
        raise DataError(f"kpis/events: fields {events.dtype.names}, expected {EVENT_DTYPE.names}")
    return StepKpis(**fields, events=events), _get(group, "event_start", np.int64)


def _get_trace(group: h5py.Group) -> MobilityTrace:
    fields = {name: _get(group, name, np.float64) for name in _TRACE_FIELDS}
    metadata = TraceMetadata.parse(json.loads(_attribute(group, "metadata")), f"{group.name}/metadata")
    return MobilityTrace(**fields, metadata=metadata)
