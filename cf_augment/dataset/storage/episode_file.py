"""The episode file: one episode, as a collector process writes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cf_augment.dataset.checks import check_positions
from cf_augment.dataset.records import Episode, EpisodeMetadata
from cf_augment.dataset.storage import hdf5
from cf_augment.dataset.storage.groups import (
    LOG_PROBS,
    GrowingKpis,
    StoredKpis,
    get_trace,
    put_trace,
    stored_log_probs,
)  # fmt: skip
from cf_augment.dataset.storage.growing import Deflate
from cf_augment.dataset.storage.lazy import LazyEpisodes

_FORMAT = "mlb-episode-1"


def write_episode(path: Path, episode: Episode) -> None:
    """Writes one episode as HDF5, atomically; the same episode gives the same bytes.

    Raises:
        DataError: the episode has no trace; measured ones go into datasets.
        StorageError: the disk is full, or the directory is not writable.
    """
    trace = episode.moved("an episode file")
    with hdf5.creating(path, _FORMAT) as file:
        for name in ("observations", "actions", "rewards"):
            hdf5.put(file, name, getattr(episode, name))
        hdf5.put(file, LOG_PROBS, episode.behavior_log_probs)
        kpis = GrowingKpis(file.create_group("kpis"), Deflate())
        kpis.add(episode)
        kpis.finish()
        put_trace(file.create_group("trace"), trace)
        hdf5.put_text(file, "metadata", episode.metadata.model_dump_json())


def read_episode(path: Path) -> Episode:
    """Reads one episode.

    Raises:
        DataError: the file is missing, damaged, foreign or altered; names the field.
    """
    with hdf5.opening(path, _FORMAT) as file:
        rewards = hdf5.array(file, "rewards", np.float32, (None,))
        steps = len(rewards)
        trace = get_trace(hdf5.group(file, "trace"), None)
        kpis, event_start = StoredKpis(file, 1, steps + 1, {"C": None, "U": trace.ues}).read(0)
        check_positions(kpis, trace)
        return Episode(
            observations=hdf5.array(file, "observations", np.float32, (steps + 1, None)),
            actions=hdf5.array(file, "actions", np.float32, (steps, None)),
            rewards=rewards,
            behavior_log_probs=stored_log_probs(file, steps)[:],
            kpis=kpis,
            event_start=event_start,
            trace=trace,
            metadata=EpisodeMetadata.parse(hdf5.document(file, "metadata"), "metadata"),
        )


class EpisodeFiles(LazyEpisodes):
    """Episodes in files of their own.

    Args:
        paths: One file an episode.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def read(self, chosen: Sequence[int]) -> Iterator[Episode]:
        """Reads episodes by their numbers; see `LazyEpisodes.read`."""
        return (read_episode(self._paths[index]) for index in chosen)
