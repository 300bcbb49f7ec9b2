"""Arrays that grow in temporary files, row by row, until they are written somewhere as a whole."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Self

import numpy as np

from sumo_mobility.base.errors import StorageError
from sumo_mobility.base.scratch import ScratchDirectory


class Spooled:
    """An array in a file, of which rows can be read.

    Attributes:
        file: The file.
        dtype: Its type.
        shape: Its rows, and the shape of each.
    """

    def __init__(self, file: IO[bytes], dtype: np.dtype, row_shape: tuple[int, ...]) -> None:
        self.file = file
        self.dtype = dtype
        self.shape = (0, *row_shape)

    @property
    def size(self) -> int:
        """Number of its elements."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Reads rows that follow each other."""
        first, last, _ = rows.indices(len(self))
        row_shape = self.shape[1:]
        row_bytes = math.prod(row_shape) * self.dtype.itemsize
        self.file.seek(first * row_bytes)
        data = self.file.read((last - first) * row_bytes)
        return np.frombuffer(data, self.dtype).reshape(last - first, *row_shape)

    def append(self, rows: np.ndarray) -> None:
        """Writes rows behind the others."""
        self.file.seek(0, os.SEEK_END)
        self.file.write(np.ascontiguousarray(rows, self.dtype).tobytes())
        self.shape = (len(self) + len(rows), *self.shape[1:])


class Spool:
    """Arrays by name; they are gone when the block ends.

    Raises:
        StorageError: there is no place for temporary files.
    """

    def __init__(self) -> None:
        self._scratch = ScratchDirectory()
        self._arrays: dict[str, Spooled] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for array in self._arrays.values():
            with suppress(OSError):  # what is left to be written is not wanted any more
                array.file.close()
        self._scratch.close()

    def add(self, name: str, rows: np.ndarray) -> None:
        """Appends rows to an array; all must have the type and the trailing shape of the first ones.

        Raises:
            StorageError: the disk is full.
        """
        with self._writing():
            if name not in self._arrays:
                file = (self._scratch.path / str(len(self._arrays))).open("w+b")
                self._arrays[name] = Spooled(file, rows.dtype, rows.shape[1:])
            self._arrays[name].append(rows)

    def array(self, name: str) -> Spooled:
        """Returns an array to which nothing will be added any more.

        Raises:
            StorageError: the disk is full.
        """
        with self._writing():
            self._arrays[name].file.flush()
        return self._arrays[name]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(f"{self._scratch.path}: {error.strerror}", "free some space or set TMPDIR") from None
