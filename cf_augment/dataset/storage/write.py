"""Writing the dataset file: one flat HDF5 with the keys of D4RL, which the usual offline-RL readers load untouched.

    observations (N, O) f32     next_observations (N, O) f32    actions (N, A) f32 in [-1, 1]
    rewards (N,) f32            terminals (N,) bool, all 0      timeouts (N,) bool, 1 on each last step
    infos/*                     (N,) episode, step, seed, policy, context, synthetic, provenance, action_source
    infos/action_log_probs      (N,) f32, log-density of each action under its behaviour policy; NaN where there is none
    kpis/*                      StepKpis, T+1 rows an episode (row 0 is the reset); kpis/episode_start (E+1,); NaN in
                                episodes of provenance "measured", where nobody measured it
    kpis/events                 ragged: events of row r are [event_start[r]:event_start[r + 1]]
    episodes/*                  (E,) metadata as JSON, index of the trace, -1 for none, which only measured ones have;
                                first_action (E, A) f32, in force in row 0, left out if all are 0
    traces/<k>/*                each distinct exogenous trace once, so that others can replay other actions
    attributes                  format, scenario (JSON), observation, reward, reward_unit, units, licence, attribution,
                                versions; one that is longer than HDF5's 64 KiB is a scalar dataset of its name instead

No times of day and no variable-length strings are stored: the same episodes give the same bytes. What follows from
something else in the file is computed again when it is read, and must agree: observations and rewards from the KPIs,
positions from the trace, the trace's attribute `sha256` from its arrays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np

from cf_augment.dataset.definitions import Definitions
from cf_augment.dataset.records import Episode, EpisodeMetadata, require_of
from cf_augment.dataset.storage import hdf5
from cf_augment.dataset.storage.groups import (
    LOG_PROBS,
    TRACE_FIELDS,
    infos_of,
    kpi_columns,
    put_kpis,
    put_trace,
    trace_sha256,
)
from cf_augment.dataset.storage.spool import Spool
from ns3_scenarios.kpis import KPI_AXES
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Singles
from sumo_mobility.base.errors import DataError
from sumo_mobility.trace import TraceMetadata

FORMAT = "mlb-dataset-1"

ACTIONS = {
    "pair": "CIO / handover.cio_range_db, a value per ordered neighbour pair (TS 36.331 5.5.4.4)",
    "cell": "offset / (handover.cio_range_db / 2), a value per cell; CIO is the neighbour's less the serving cell's",
    "edge": "CIO / handover.cio_range_db from the lower to the higher cell index, a value per unordered pair; "
    "its negative in return",
}
UNITS = {
    "rewards": "as named by the attribute 'reward_unit'",
    "kpis": "the suffix of each name; prb_utilization is a share",
    "traces": "m, m/s, degrees clockwise from north, s",
}


@dataclass(frozen=True)
class _Written:
    """The part of a spooled episode that is held in memory."""

    metadata: EpisodeMetadata
    context: str
    steps: int
    has_trace: bool
    first_action: Singles


def write_dataset(path: Path, scenario: Scenario, episodes: Iterable[Episode]) -> None:
    """Writes episodes of one scenario as one flat HDF5 with D4RL keys, atomically.

    The episodes are taken one by one, and none is kept in memory. Until all are there they wait in temporary files, as
    large as they are uncompressed, in the directory that TMPDIR names.

    Raises:
        DataError: no episodes, or one of another scenario, or two different traces of one name.
        StorageError: the disk is full, or the directory is not writable; `path` is then as it was before.
    """
    with Spool() as spool:
        written: list[_Written] = []
        traces = _Traces(spool)
        for index, episode in enumerate(episodes):
            require_of(scenario, index, episode)
            for name, values in _columns(episode).items():
                spool.add(name, values)
            traces.add(episode)
            first = np.zeros_like(episode.actions[0]) if episode.first_action is None else episode.first_action
            has_trace, context = episode.trace is not None, episode.of_trace("context")
            written.append(_Written(episode.metadata, context, episode.steps, has_trace, first))
        if not written:
            raise DataError("dataset: no episodes", "run 'mlb collect' first")
        _write(path, scenario, spool, written, traces)


def _columns(episode: Episode) -> dict[str, np.ndarray]:
    timeouts = np.arange(episode.steps) == episode.steps - 1
    return kpi_columns(episode) | {
        "observations": episode.observations[:-1],
        "actions": episode.actions,
        "rewards": episode.rewards,
        LOG_PROBS: episode.behavior_log_probs,
        "next_observations": episode.observations[1:],
        "terminals": np.zeros_like(timeouts),
        "timeouts": timeouts,
        "step": np.arange(episode.steps),
    }


class _Traces:
    """The distinct traces of the episodes, whose arrays are in a spool.

    Args:
        spool: Where their arrays go.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._rows = 0
        self._kept: dict[str, _KeptTrace] = {}
        self._said: dict[str, set[str]] = {"licence": set(), "attribution": set()}

    def add(self, episode: Episode) -> None:
        """Takes the trace of an episode, if it has one, and there is none of its name yet.

        Raises:
            DataError: another trace has its name.
        """
        name, trace = episode.metadata.trace_name, episode.trace
        self._said["licence"].add(episode.of_trace("licence"))
        self._said["attribution"].add(episode.of_trace("attribution"))
        if trace is None:
            return
        positions = hashlib.sha256(trace.position_m.tobytes()).digest()
        known = self._kept.get(name)
        if known is None:
            for field in TRACE_FIELDS:
                self._spool.add(f"trace {field}", getattr(trace, field))
            rows = slice(self._rows, self._rows + len(trace.time_s))
            self._kept[name] = _KeptTrace(trace.metadata, trace_sha256(trace), positions, rows)
            self._rows = rows.stop
        elif known.positions != positions:
            raise DataError(f"dataset: two different traces are named '{name}'")

    def index(self) -> dict[str, int]:
        """Returns the number of each trace by its name."""
        return {name: index for index, name in enumerate(self._kept)}

    def put(self, file: h5py.File) -> None:
        """Writes each trace to a group of its number."""
        for index, kept in enumerate(self._kept.values()):
            arrays = {field: self._spool.array(f"trace {field}")[kept.rows] for field in TRACE_FIELDS}
            put_trace(file.create_group(f"traces/{index:05d}"), arrays, kept.metadata.model_dump_json(), kept.sha256)
        file.require_group("traces")

    def joined(self, field: str) -> str:
        """Returns what all episodes say of the licence or attribution of their traces."""
        return "; ".join(sorted(self._said[field]))


@dataclass(frozen=True)
class _KeptTrace:
    metadata: TraceMetadata
    sha256: str
    positions: bytes
    rows: slice


def _write(path: Path, scenario: Scenario, spool: Spool, written: Sequence[_Written], traces: _Traces) -> None:
    records, steps = [episode.metadata for episode in written], [episode.steps for episode in written]
    infos_by_episode = [infos_of(index, each.metadata, each.context) for index, each in enumerate(written)]
    attributes = {
        "scenario": scenario.model_dump_json(),
        **asdict(Definitions.of(scenario)),
        "units": json.dumps({"actions": _actions_of(scenario), **UNITS}),
        "licence": traces.joined("licence"),
        "attribution": traces.joined("attribution"),
        "versions": json.dumps({k: v for record in records for k, v in record.versions.items()}, sort_keys=True),
    }
    with hdf5.creating(path, FORMAT) as file:
        for name in ("observations", "actions", "rewards", "next_observations", "terminals", "timeouts"):
            hdf5.put(file, name, spool.array(name))
        infos = file.create_group("infos")
        for name in infos_by_episode[0]:
            hdf5.put(infos, name, np.repeat(np.asarray([of[name] for of in infos_by_episode]), steps))
            if name == "episode":
                hdf5.put(infos, "step", spool.array("step"))
        hdf5.put(infos, LOG_PROBS, spool.array(LOG_PROBS))
        columns = {name: spool.array(name) for name in (*KPI_AXES, "events", "event_count")}
        put_kpis(file.create_group("kpis"), columns, steps)
        episodes = file.create_group("episodes")
        hdf5.put(episodes, "metadata", np.array([record.model_dump_json() for record in records]))
        number = traces.index()
        traced = [number[each.metadata.trace_name] if each.has_trace else -1 for each in written]
        hdf5.put(episodes, "trace", np.array(traced))
        first_action = np.stack([episode.first_action for episode in written])
        if first_action.any():
            hdf5.put(episodes, "first_action", first_action)
        traces.put(file)
        for name, text in attributes.items():
            hdf5.put_text(file, name, text)


def _actions_of(scenario: Scenario) -> str:
    handover = scenario.handover
    parts = "; then ".join([ACTIONS[handover.action], *(f"{name} of each serving cell" for name in handover.steer)])
    return f"{parts}; each snaps to the grid of TS 36.331" if handover.grid == "standard" else parts
