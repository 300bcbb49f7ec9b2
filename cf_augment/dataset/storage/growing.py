"""Arrays that grow in an HDF5 file, row by row, of which no more than a few chunks are in memory."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import ClassVar, Self

import h5py
import numpy as np
from isal import isal_zlib

_CHUNK_BYTES = 1 << 18
"""Size of a chunk, before it is compressed: some episodes of most arrays, and less than the cache that HDF5 has."""
_CHUNKED_SIZE = 64
"""Least number of elements in chunks: of fewer, a chunk's overhead would exceed what it saves."""
_LEVEL = 2
"""ISA-L's default, which packs these data tighter than zlib's level 1, five times as fast."""
_THREADS = 2
"""As many as keep up with who makes the rows."""
_AHEAD = 4
"""Greatest number of chunks that wait to be stored."""


Store = Callable[[np.ndarray | bytes], None]
"""Stores what a chunk is packed to."""


class Packer:
    """Has chunks stored one after another, as they are.

    Attributes:
        filters: What HDF5 is told of how they are packed.
    """

    filters: ClassVar[Mapping[str, object]] = {}

    def add(self, chunk: np.ndarray, store: Store) -> None:
        """Packs a chunk, which nobody changes any more, and has it stored after all those before it."""
        store(chunk)

    def settle(self) -> None:
        """Returns when all chunks are stored, so that whatever is written then comes after them."""


class Deflate(Packer):
    """Compresses chunks before they are given to HDF5, whose own deflate takes five times as long.

    What HDF5 reads is its own format, shuffled and deflated.
    """

    filters: ClassVar[Mapping[str, object]] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}

    def add(self, chunk: np.ndarray, store: Store) -> None:
        """See `Packer.add`."""
        store(_deflated(chunk))


class DeflateAhead(Deflate):
    """Compresses chunks in threads, until the end of a `with` block, while the next ones are filled."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "deflate")
        self._turns: deque[tuple[Future[bytes], Store]] = deque()

    def add(self, chunk: np.ndarray, store: Store) -> None:
        """See `Packer.add`."""
        self._turns.append((self._threads.submit(_deflated, chunk), store))
        if len(self._turns) > _AHEAD:
            self._store_first()

    def settle(self) -> None:
        """See `Packer.settle`."""
        while self._turns:
            self._store_first()

    def _store_first(self) -> None:
        packed, store = self._turns.popleft()
        store(packed.result())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=True)


_DEFLATE = Deflate()


class Growing:
    """An array that is written by appending rows, and is in the file once it is finished.

    Args:
        group: The group that it goes to.
        name: What it is called there.
        packer: How its chunks are packed.
    """

    def __init__(self, group: h5py.Group, name: str, packer: Packer = _DEFLATE) -> None:
        self._group, self._name, self._packer = group, name, packer
        self._dataset: h5py.Dataset | None = None
        self._waiting: np.ndarray | None = None
        self._count = 0
        self._written = 0

    def append(self, rows: np.ndarray) -> None:
        """Adds rows behind the others; all must have the type and the trailing shape of the first ones."""
        if self._waiting is None:
            row_bytes = math.prod(rows.shape[1:]) * rows.itemsize
            self._waiting = np.empty((max(_CHUNK_BYTES // max(row_bytes, 1), 1), *rows.shape[1:]), rows.dtype)
        first = 0
        while first < len(rows):
            taken = rows[first : first + len(self._waiting) - self._count]
            self._waiting[self._count : self._count + len(taken)] = taken
            self._count += len(taken)
            first += len(taken)
            if self._count == len(self._waiting):
                self._flush(self._waiting, self._count)
                self._waiting, self._count = np.empty_like(self._waiting), 0

    def finish(self) -> None:
        """Writes what is left; at least one append, even of no rows, must have said what an array it is."""
        assert self._waiting is not None
        self._packer.settle()
        rows = self._waiting[: self._count]
        if self._dataset is None and rows.size < _CHUNKED_SIZE:
            self._group.create_dataset(self._name, data=rows, track_times=False)
        elif self._dataset is None:
            self._flush(rows, self._count)
        elif self._count:
            self._waiting[self._count :] = np.zeros((), rows.dtype)  # as HDF5 fills up the last chunk
            self._flush(self._waiting, self._count)
        self._packer.settle()
        self._waiting = None

    def _flush(self, chunk: np.ndarray, rows: int) -> None:
        """Has a chunk stored, of which the first `rows` belong to the array."""
        self._packer.add(chunk, lambda data: self._store(data, chunk.shape, chunk.dtype, rows))

    def _store(self, data: np.ndarray | bytes, chunk: tuple[int, ...], dtype: np.dtype, rows: int) -> None:
        """Gives HDF5 the data of a chunk of some shape."""
        if self._dataset is None:
            self._dataset = self._group.create_dataset(
                self._name, (0, *chunk[1:]), dtype, chunks=chunk, track_times=False, maxshape=(None, *chunk[1:]),
                **self._packer.filters,
            )  # fmt: skip
        first, self._written = self._written, self._written + rows
        self._dataset.id.set_extent((self._written, *chunk[1:]))
        self._dataset.id.write_direct_chunk((first, *[0] * (len(chunk) - 1)), data)


def _deflated(chunk: np.ndarray) -> bytes:
    """Returns a chunk as HDF5's filters shuffle and deflate leave it."""
    if chunk.itemsize > 1:
        chunk = np.ascontiguousarray(chunk.reshape(-1).view(np.uint8).reshape(-1, chunk.itemsize).T)
    return bytes(isal_zlib.compress(chunk, _LEVEL))
