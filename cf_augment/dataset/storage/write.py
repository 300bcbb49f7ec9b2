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
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np

from cf_augment.dataset.definitions import Definitions
from cf_augment.dataset.records import Episode, EpisodeMetadata, require_of
from cf_augment.dataset.storage import hdf5
from cf_augment.dataset.storage.groups import LOG_PROBS, GrowingKpis, infos_of, put_trace
from cf_augment.dataset.storage.growing import DeflateAhead, Growing, Packer
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Singles
from sumo_mobility.base.errors import DataError
from sumo_mobility.trace import MobilityTrace

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
    """The part of an episode that is held in memory."""

    metadata: EpisodeMetadata
    context: str
    steps: int
    has_trace: bool
    first_action: Singles


def write_dataset(path: Path, scenario: Scenario, episodes: Iterable[Episode], packed: bool = True) -> None:
    """Writes episodes of one scenario as one flat HDF5 with D4RL keys, atomically.

    The episodes are taken one by one, and none is kept in memory.

    Args:
        path: The file.
        scenario: The scenario of all episodes.
        episodes: At least one.
        packed: Whether arrays are compressed; what is soon read again and then removed need not be.

    Raises:
        DataError: no episodes, or one of another scenario, or two different traces of one name.
        StorageError: the disk is full, or the directory is not writable; `path` is then as it was before.
    """
    with hdf5.creating(path, FORMAT) as file, DeflateAhead() if packed else nullcontext(Packer()) as packer:
        dataset = _GrowingDataset(file, scenario, packer)
        for episode in episodes:
            dataset.add(episode)
        dataset.finish()


class _GrowingDataset:
    """A dataset file to which episodes are added one after another."""

    def __init__(self, file: h5py.File, scenario: Scenario, packer: Packer) -> None:
        self._file, self._scenario = file, scenario
        self._infos = file.create_group("infos")
        flat = ("observations", "actions", "rewards", "next_observations", "terminals", "timeouts")
        places = dict.fromkeys(flat, file) | {"step": self._infos, LOG_PROBS: self._infos}
        self._columns = {name: Growing(group, name, packer) for name, group in places.items()}
        self._kpis = GrowingKpis(file.create_group("kpis"), packer)
        self._traces = _Traces(file.create_group("traces"), packer)
        self._written: list[_Written] = []

    def add(self, episode: Episode) -> None:
        """Appends an episode; raises as `write_dataset` does."""
        require_of(self._scenario, len(self._written), episode)
        timeouts = np.arange(episode.steps) == episode.steps - 1
        columns = {
            "observations": episode.observations[:-1],
            "actions": episode.actions,
            "rewards": episode.rewards,
            "next_observations": episode.observations[1:],
            "terminals": np.zeros_like(timeouts),
            "timeouts": timeouts,
            "step": np.arange(episode.steps),
            LOG_PROBS: episode.behavior_log_probs,
        }
        for name, values in columns.items():
            self._columns[name].append(values)
        self._kpis.add(episode)
        self._traces.add(episode)
        first = np.zeros_like(episode.actions[0]) if episode.first_action is None else episode.first_action
        has_trace, context = episode.trace is not None, episode.of_trace("context")
        self._written.append(_Written(episode.metadata, context, episode.steps, has_trace, first))

    def finish(self) -> None:
        """Writes what is left, and all that is said of the episodes."""
        written = self._written
        if not written:
            raise DataError("dataset: no episodes", "run 'mlb collect' first")
        for column in self._columns.values():
            column.finish()
        self._kpis.finish()
        records, steps = [episode.metadata for episode in written], [episode.steps for episode in written]
        of_episodes = [infos_of(index, each.metadata, each.context) for index, each in enumerate(written)]
        for name in of_episodes[0]:
            values = hdf5.encoded(np.asarray([of[name] for of in of_episodes]))
            hdf5.put(self._infos, name, np.repeat(values, steps))
        episodes = self._file.create_group("episodes")
        hdf5.put(episodes, "metadata", np.array([record.model_dump_json() for record in records]))
        number = self._traces.index()
        traced = [number[each.metadata.trace_name] if each.has_trace else -1 for each in written]
        hdf5.put(episodes, "trace", np.array(traced))
        first_action = np.stack([episode.first_action for episode in written])
        if first_action.any():
            hdf5.put(episodes, "first_action", first_action)
        attributes = {
            "scenario": self._scenario.model_dump_json(),
            **asdict(Definitions.of(self._scenario)),
            "units": json.dumps({"actions": _actions_of(self._scenario), **UNITS}),
            "licence": self._traces.joined("licence"),
            "attribution": self._traces.joined("attribution"),
            "versions": json.dumps({k: v for record in records for k, v in record.versions.items()}, sort_keys=True),
        }
        for name, text in attributes.items():
            hdf5.put_text(self._file, name, text)


class _Traces:
    """The distinct traces of the episodes, each in a group of its number.

    Args:
        group: Where these groups go.
        packer: Of the arrays between which they are written.
    """

    def __init__(self, group: h5py.Group, packer: Packer) -> None:
        self._group, self._packer = group, packer
        self._positions: dict[str, bytes] = {}
        self._last: tuple[str, MobilityTrace] | None = None
        self._said: dict[str, set[str]] = {"licence": set(), "attribution": set()}

    def add(self, episode: Episode) -> None:
        """Writes the trace of an episode, if it has one, and there is none of its name yet.

        Raises:
            DataError: another trace has its name.
        """
        name, trace = episode.metadata.trace_name, episode.trace
        self._said["licence"].add(episode.of_trace("licence"))
        self._said["attribution"].add(episode.of_trace("attribution"))
        if trace is None or (self._last is not None and self._last[0] == name and self._last[1] is trace):
            return
        self._last = name, trace
        positions = hashlib.sha256(trace.position_m.tobytes()).digest()
        known = self._positions.setdefault(name, positions)
        if known != positions:
            raise DataError(f"dataset: two different traces are named '{name}'")
        if len(self._positions) > len(self._group):
            self._packer.settle()
            put_trace(self._group.create_group(f"{len(self._group):05d}"), trace)

    def index(self) -> dict[str, int]:
        """Returns the number of each trace by its name."""
        return {name: index for index, name in enumerate(self._positions)}

    def joined(self, field: str) -> str:
        """Returns what all episodes say of the licence or attribution of their traces."""
        return "; ".join(sorted(self._said[field]))


def _actions_of(scenario: Scenario) -> str:
    handover = scenario.handover
    parts = "; then ".join([ACTIONS[handover.action], *(f"{name} of each serving cell" for name in handover.steer)])
    return f"{parts}; each snaps to the grid of TS 36.331" if handover.grid == "standard" else parts
