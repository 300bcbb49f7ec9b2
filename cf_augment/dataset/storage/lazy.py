"""Sequences of episodes that are in files."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import overload

from cf_augment.dataset.records import Episode


class LazyEpisodes(Sequence[Episode]):
    """Episodes in files, each read, and checked, whenever it is asked for.

    Nothing is kept, so that they may be more than memory holds. Whoever wants many of them iterates.
    """

    @abstractmethod
    def read(self, chosen: Sequence[int]) -> Iterator[Episode]:
        """Reads episodes by their numbers, one after another.

        Raises:
            DataError: a file is missing, damaged, foreign or altered; names the field.
        """

    @overload
    def __getitem__(self, index: int) -> Episode: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Episode, ...]: ...
    def __getitem__(self, index: int | slice) -> Episode | tuple[Episode, ...]:
        chosen = range(len(self))[index]
        if isinstance(chosen, range):
            return tuple(self.read(chosen))
        [episode] = self.read([chosen])
        return episode

    def __iter__(self) -> Iterator[Episode]:
        return self.read(range(len(self)))
