"""Reading the dataset file: an index is held in memory, and episodes are read one by one, each checked as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import h5py
import numpy as np

from cf_augment.dataset.checks import check_derived, check_infos, check_positions
from cf_augment.dataset.definitions import Definitions
from cf_augment.dataset.records import Dataset, Episode, EpisodeMetadata
from cf_augment.dataset.storage import hdf5
from cf_augment.dataset.storage.groups import StoredKpis, get_trace, infos_of, stored_log_probs
from cf_augment.dataset.storage.lazy import LazyEpisodes
from cf_augment.dataset.storage.write import FORMAT
from ns3_scenarios.mdp import action_size, observation_size
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Ints
from sumo_mobility.base.documents import parse_json
from sumo_mobility.base.errors import DataError
from sumo_mobility.trace import MobilityTrace


def read_dataset(path: Path) -> Dataset:
    """Opens a dataset: every episode of the file is checked, and none is kept in memory.

    `episodes` of what is returned reads an episode from the file whenever it is asked for one, so that a dataset may be
    larger than memory.

    Raises:
        DataError: the file is missing, damaged, foreign or altered; names the field.
    """
    episodes = StoredEpisodes(path)
    return Dataset(episodes.scenario, episodes)


def read_definitions(path: Path) -> Definitions:
    """Reads what a dataset file says of its columns; where an older file has nothing, what is so in its scenario today.

    Raises:
        DataError: the file is missing, damaged or foreign; names the field.
    """
    with hdf5.opening(path, FORMAT) as file:
        today = Definitions.of(Scenario.parse(hdf5.document(file, "scenario"), "scenario"))
        return Definitions(**{name: hdf5.text(file, name, absent=text) for name, text in asdict(today).items()})


class StoredEpisodes(LazyEpisodes):
    """The episodes of a dataset file, which is open only while it is read.

    Args:
        path: The file.
        trusted: Whether this program has just written it, or checked it: its arrays are then read as a whole, and
            values are not computed again. They must not be more than memory holds.

    Raises:
        DataError: the file is missing, damaged, foreign or altered; names the field.
    """

    def __init__(self, path: Path, trusted: bool = False) -> None:
        self._path, self._trusted = path, trusted
        with hdf5.opening(path, FORMAT) as file:
            self._index = _Index.read(file, trusted)

    @property
    def scenario(self) -> Scenario:
        """The scenario of all episodes."""
        return self._index.scenario

    def __len__(self) -> int:
        return len(self._index.ends)

    def read(self, chosen: Sequence[int]) -> Iterator[Episode]:
        """Reads episodes by their numbers; see `LazyEpisodes.read`."""
        with hdf5.opening(self._path, FORMAT) as file:
            reader = _Reader(file, self._index, self._trusted)
            for index in chosen:
                yield reader.episode(index)


@dataclass(frozen=True)
class _Index:
    """The part of a file of E episodes that is held in memory.

    Attributes:
        scenario: The scenario of all episodes.
        ends: (E,) number of transitions up to the end of each episode.
        trace_of: (E,) index of each episode's trace, -1 for none.
    """

    scenario: Scenario
    ends: Ints
    trace_of: Ints

    @classmethod
    def read(cls, file: h5py.File, trusted: bool) -> Self:
        """Reads the index, and checks the metadata of all episodes and all traces, one by one, unless trusted."""
        scenario = Scenario.parse(hdf5.document(file, "scenario"), "scenario")
        timeouts = hdf5.array(file, "timeouts", np.bool_, (None,))
        if not len(timeouts) or not timeouts[-1]:
            raise DataError("timeouts: must be true in the last row, and in the last of each episode")
        if hdf5.array(file, "terminals", np.bool_, timeouts.shape).any():
            raise DataError("terminals: an episode of this project never terminates")
        ends = np.flatnonzero(timeouts) + 1
        trace_of = hdf5.array(hdf5.group(file, "episodes"), "trace", np.int64, ends.shape)
        index = cls(scenario, ends, trace_of)
        if trusted:
            return index
        reader = _Reader(file, index)
        trace_named: dict[str, int] = {}
        for episode, trace in enumerate(trace_of):
            metadata = reader.metadata(episode)
            if trace == -1 and metadata.measured:
                continue
            if trace < 0 or trace_named.setdefault(metadata.trace_name, trace) != trace:
                raise DataError(f"episodes/trace[{episode}]: {trace} is not the trace '{metadata.trace_name}'")
        for trace in range(int(trace_of.max()) + 1):
            reader.trace(trace)
        return index


class _Reader:
    """Reads episodes from an open file; types and shapes of all arrays are checked at once."""

    def __init__(self, file: h5py.File, index: _Index, trusted: bool = False) -> None:
        self._index, scenario, self._trusted = index, index.scenario, trusted
        steps, episodes = int(index.ends[-1]), len(index.ends)
        size = observation_size(scenario)
        widths = {"observations": (size,), "actions": (action_size(scenario),), "next_observations": (size,)}
        self._arrays: dict[str, hdf5.Stored | np.ndarray] = {
            name: hdf5.stored(file, name, np.float32, (steps, *width))
            for name, width in {**widths, "rewards": ()}.items()
        }
        infos = hdf5.group(file, "infos")
        self._log_probs = stored_log_probs(infos, steps)
        of_episodes = hdf5.group(file, "episodes")
        self._metadata: hdf5.Stored | np.ndarray = hdf5.stored(of_episodes, "metadata", np.bytes_, (episodes,))
        kinds = {name: _kind(value) for name, value in infos_of(0, self.metadata(0), "").items()} | {"step": np.int64}
        self._infos = {  # older files have not all of them
            name: hdf5.stored(infos, name, kind, (steps,)) for name, kind in kinds.items() if hdf5.has(infos, name)
        }
        self._first_action: hdf5.Stored | None = None
        if hdf5.has(of_episodes, "first_action"):  # older files have none, nor have those in which all are 0
            shape = (episodes, action_size(scenario))
            self._first_action = hdf5.stored(of_episodes, "first_action", np.float32, shape)
        self._traces = hdf5.group(file, "traces")
        self._last_trace: tuple[int, MobilityTrace] | None = None
        sizes = {"C": len(scenario.cells), "U": scenario.mobility.ues}
        self._kpis = StoredKpis(file, episodes, steps + episodes, sizes)
        if not np.array_equal(np.diff(self._kpis.episode_start), np.diff(index.ends, prepend=0) + 1):
            raise DataError("kpis/episode_start: must give each episode one row more than it has transitions")
        if trusted:
            self._arrays = {name: stored[:] for name, stored in self._arrays.items()}
            self._log_probs, self._metadata = self._log_probs[:], self._metadata[:]
            self._kpis.load()

    def metadata(self, index: int) -> EpisodeMetadata:
        """Reads what an episode is about."""
        where = f"episodes/metadata[{index}]"
        metadata = EpisodeMetadata.parse(parse_json(self._metadata[index], where), where)
        if metadata.scenario_id != self._index.scenario.id:
            raise DataError(f"{where}: is of scenario {metadata.scenario_id:.80}, not {self._index.scenario.id}")
        return metadata

    def trace(self, index: int) -> MobilityTrace:
        """Reads a trace; the one that was read last is kept, since it is often that of the next episode."""
        if self._last_trace is None or self._last_trace[0] != index:
            group = hdf5.group(self._traces, f"{index:05d}")
            self._last_trace = index, get_trace(group, self._index.scenario.mobility.ues)
        return self._last_trace[1]

    def episode(self, index: int) -> Episode:
        """Reads and checks an episode."""
        scenario, end = self._index.scenario, int(self._index.ends[index])
        start, row = int(self._index.ends[index - 1]) if index else 0, int(self._kpis.episode_start[index])
        arrays = {name: stored[start:end] for name, stored in self._arrays.items()}
        number, metadata = int(self._index.trace_of[index]), self.metadata(index)
        trace = None if number == -1 else self.trace(number)
        kpis, event_start = self._kpis.read(index, metadata.measured, self._trusted)
        first = self._first_action[index : index + 1] if self._first_action else np.zeros((1, 1), np.float32)
        first_action = first[0] if first.any() else None
        if not self._trusted:
            check_derived(scenario, kpis, arrays, first_action, row, start, metadata.report_seed)
            if trace is not None:
                check_positions(kpis, trace, row)
        found = Episode(
            observations=np.concatenate([arrays["observations"], arrays["next_observations"][-1:]]),
            actions=arrays["actions"],
            rewards=arrays["rewards"],
            behavior_log_probs=self._log_probs[start:end],
            kpis=kpis,
            event_start=event_start,
            trace=trace,
            metadata=metadata,
            first_action=first_action,
        )
        if not self._trusted:
            infos = {name: stored[start:end] for name, stored in self._infos.items()}
            check_infos(infos, infos_of(index, metadata, found.of_trace("context")), start)
        return found


def _kind(value: int | str | bool) -> type:
    return np.bytes_ if isinstance(value, str) else np.bool_ if isinstance(value, bool) else np.int64
