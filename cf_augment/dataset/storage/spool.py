"""Arrays that grow in temporary files, row by row, until they are written somewhere as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Self

import numpy as np

from sumo_mobility.base.errors import StorageError
from sumo_mobility.base.scratch import ScratchDirectory


class Spool:
    """Arrays by name; they are gone when the block ends.

    Raises:
        StorageError: there is no place for temporary files.
    """

    def __init__(self) -> None:
        self._scratch = ScratchDirectory()
        self._columns: dict[str, _Column] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for column in self._columns.values():
            with suppress(OSError):  # what is left to be written is not wanted any more
                column.file.close()
        self._scratch.close()

    def add(self, name: str, rows: np.ndarray) -> None:
        """Appends rows to an array; all must have the type and the trailing shape of the first ones.

        Raises:
            StorageError: the disk is full.
        """
        with self._writing():
            if name not in self._columns:
                file = (self._scratch.path / str(len(self._columns))).open("w+b")
                self._columns[name] = _Column(file, rows.dtype, rows.shape[1:])
            column = self._columns[name]
            column.file.write(np.ascontiguousarray(rows, column.dtype).tobytes())
            column.rows += len(rows)

    def array(self, name: str) -> np.ndarray:
        """Returns all rows of an array, which stay in their file.

        Raises:
            StorageError: the disk is full.
        """
        column = self._columns[name]
        with self._writing():
            column.file.flush()
        shape = (column.rows, *column.shape)
        if 0 in shape:
            return np.empty(shape, column.dtype)
        return np.memmap(column.file, column.dtype, "r", shape=shape)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(f"{self._scratch.path}: {error.strerror}", "free some space or set TMPDIR") from None


@dataclass
class _Column:
    file: IO[bytes]
    dtype: np.dtype
    shape: tuple[int, ...]
    rows: int = field(default=0)
