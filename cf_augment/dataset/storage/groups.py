"""The groups of KPIs and of a trace, which episode files and dataset files have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import h5py
import numpy as np

from cf_augment.dataset.checks import check_kpis
from cf_augment.dataset.records import Episode, EpisodeMetadata
from cf_augment.dataset.storage import hdf5
from cf_augment.dataset.storage.growing import Growing, Packer
from ns3_scenarios.kpis import EVENT_DTYPE, KPI_AXES, StepKpis
from sumo_mobility.base.arrays import Ints, Singles
from sumo_mobility.base.errors import DataError
from sumo_mobility.trace import MobilityTrace, TraceMetadata

TRACE_FIELDS = ("time_s", "position_m", "speed_mps", "heading_deg")
LOG_PROBS = "action_log_probs"
"""D4RL's name for the log-densities that behaviour policies gave their actions."""


def infos_of(index: int, metadata: EpisodeMetadata, context: str) -> dict[str, int | str | bool]:
    """Returns what `infos` says of each transition of an episode, by name; `index` is its number in the dataset."""
    return {
        "episode": index,
        "seed": metadata.seed,
        "policy": metadata.policy,
        "context": context,
        "synthetic": metadata.synthetic,
        "provenance": metadata.provenance.kind,
        "action_source": metadata.provenance.action_source,
    }


class GrowingKpis:
    """The group of KPIs, to which episodes are added one after another.

    Args:
        group: The group, empty.
        packer: How its chunks are packed.
    """

    def __init__(self, group: h5py.Group, packer: Packer) -> None:
        self._group = group
        self._columns = {name: Growing(group, name, packer) for name in (*KPI_AXES, "events", "event_start")}
        self._columns["event_start"].append(np.zeros(1, np.int64))
        self._episode_start = [0]
        self._events = 0

    def add(self, episode: Episode) -> None:
        """Appends the KPIs of an episode, and its events."""
        for name in (*KPI_AXES, "events"):
            self._columns[name].append(getattr(episode.kpis, name))
        self._columns["event_start"].append(self._events + episode.event_start[1:])
        self._events += len(episode.kpis.events)
        self._episode_start.append(self._episode_start[-1] + episode.steps + 1)

    def finish(self) -> None:
        """Writes what is left, and where each episode starts."""
        for column in self._columns.values():
            column.finish()
        hdf5.put(self._group, "episode_start", np.array(self._episode_start, np.int64))


class StoredKpis:
    """The KPIs of an open file: types and shapes are checked at once, values when an episode is read.

    Args:
        file: Episode or dataset file.
        episodes: Number E of its episodes.
        rows: Number R of its rows of KPIs.
        sizes: Number of cells "C" and of UEs "U"; None where any will do.

    Attributes:
        episode_start: (E + 1,) the first row of each episode, and R.

    Raises:
        DataError: names the field that is missing, damaged, or of another type or shape.
    """

    def __init__(self, file: h5py.File, episodes: int, rows: int, sizes: Mapping[str, int | None]) -> None:
        group = hdf5.group(file, "kpis")
        self.episode_start = hdf5.array(group, "episode_start", np.int64, (episodes + 1,))
        _require_rising("episode_start", self.episode_start, 0, rows)
        self._event_start: hdf5.Stored | Ints = hdf5.stored(group, "event_start", np.int64, (rows + 1,))
        kinds = {"ue_serving_cell": np.int64}
        self._fields: dict[str, hdf5.Stored | np.ndarray] = {
            name: hdf5.stored(
                group, name, kinds.get(name, np.float64), (rows, *(2 if axis == "2" else sizes[axis] for axis in axes))
            )
            for name, axes in KPI_AXES.items()
        }
        events = int(self._event_start[rows])
        count = events if events >= 0 else None
        self._events: hdf5.Stored | np.ndarray = hdf5.stored(group, "events", EVENT_DTYPE, (count,))

    def load(self) -> None:
        """Takes all KPIs into memory at once, which is faster than episode by episode."""
        self._event_start, self._events = self._event_start[:], self._events[:]
        self._fields = {name: stored[:] for name, stored in self._fields.items()}

    def read(self, episode: int, measured: bool = False, trusted: bool = False) -> tuple[StepKpis, Ints]:
        """Returns the KPIs of one episode, and where the events of each of its rows start.

        Args:
            episode: Its number.
            measured: Whether KPIs may be NaN, because nobody measured them.
            trusted: Whether values need not be checked.

        Raises:
            DataError: a value is not finite, or of no cell or UE that exists.
        """
        first, last = (int(row) for row in self.episode_start[episode : episode + 2])
        start = self._event_start[first : last + 1]
        _require_rising("event_start", start, 0 if first == 0 else start[0], start[-1])
        fields = {name: stored[first:last] for name, stored in self._fields.items()}
        kpis = StepKpis(**fields, events=self._events[start[0] : start[-1]])
        if not trusted:
            check_kpis(kpis, first, int(start[0]), measured)
        return kpis, start - start[0]


def stored_log_probs(group: h5py.Group, steps: int) -> hdf5.Stored | Singles:
    """Finds the log-densities (N,) of the actions; NaN where an older file has none.

    Raises:
        DataError: they are damaged, or of another type or shape.
    """
    if not hdf5.has(group, LOG_PROBS):
        return np.full(steps, np.nan, np.float32)
    return hdf5.stored(group, LOG_PROBS, np.float32, (steps,))


def put_trace(group: h5py.Group, trace: MobilityTrace) -> None:
    """Writes the arrays of a trace, its metadata as JSON, and what `trace_sha256` says of it."""
    for name in TRACE_FIELDS:
        hdf5.put(group, name, getattr(trace, name))
    hdf5.put_text(group, "metadata", trace.metadata.model_dump_json())
    hdf5.put_text(group, "sha256", trace_sha256(trace))


def get_trace(group: h5py.Group, ues: int | None) -> MobilityTrace:
    """Reads a trace, of any number of UEs if `ues` is None.

    Raises:
        DataError: it is missing or damaged, or was altered after it was written.
    """
    time_s = hdf5.array(group, "time_s", np.float64, (None,))
    position_m = hdf5.array(group, "position_m", np.float64, (len(time_s), ues, 2))
    of_ue = {name: hdf5.array(group, name, np.float64, position_m.shape[:2]) for name in ("speed_mps", "heading_deg")}
    where = group.name.lstrip("/")
    metadata = TraceMetadata.parse(hdf5.document(group, "metadata"), f"{where}/metadata")
    trace = MobilityTrace(time_s=time_s, position_m=position_m, **of_ue, metadata=metadata)
    digest = trace_sha256(trace)
    # Older files have none; that positions are those of the KPIs is checked in any case.
    if hdf5.text(group, "sha256", absent=digest) != digest:
        raise DataError(f"{where}: was altered after it was written (sha256 differs)")
    return trace


def trace_sha256(trace: MobilityTrace) -> str:
    """Returns the hexadecimal SHA-256 of a trace's arrays."""
    return hashlib.sha256(b"".join(getattr(trace, name).tobytes() for name in TRACE_FIELDS)).hexdigest()


def _require_rising(name: str, values: Ints, first: int, last: int) -> None:
    if values[0] != first or values[0] < 0 or (np.diff(values) < 0).any() or values[-1] != last:
        what = "rows" if name == "episode_start" else "events"
        raise DataError(f"kpis/{name}: must rise from 0 to the number of {what}")
