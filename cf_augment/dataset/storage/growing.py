"""Arrays that grow in an HDF5 file, row by row, of which no more than a chunk each is in memory."""

from __future__ import annotations

import math

import h5py
import numpy as np
from isal import isal_zlib

_CHUNK_BYTES = 1 << 18
"""Size of a chunk, before it is compressed: some episodes of most arrays, and less than the cache that HDF5 has."""
_CHUNKED_SIZE = 64
"""Least number of elements in chunks: of fewer, a chunk's overhead would exceed what it saves."""
_LEVEL = 2
"""ISA-L's default, which packs these data tighter than zlib's level 1, five times as fast."""


class Growing:
    """An array that is written by appending rows, and is in the file once it is finished.

    Chunks are compressed here and given to HDF5 as they are: its own deflate takes five times as long. What it reads
    is its own format, shuffled and deflated.

    Args:
        group: The group that it goes to.
        name: What it is called there.
        packed: Whether chunks are compressed.
    """

    def __init__(self, group: h5py.Group, name: str, packed: bool = True) -> None:
        self._group, self._name, self._packed = group, name, packed
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
                self._flush(self._waiting)
                self._count = 0

    def finish(self) -> None:
        """Writes what is left; at least one append, even of no rows, must have said what an array it is."""
        assert self._waiting is not None
        rows = self._waiting[: self._count]
        if self._dataset is None and rows.size < _CHUNKED_SIZE:
            self._group.create_dataset(self._name, data=rows, track_times=False)
        elif self._dataset is None:
            self._flush(rows)
        elif self._count:
            self._waiting[self._count :] = np.zeros((), rows.dtype)  # as HDF5 fills up the last chunk
            self._flush(self._waiting, self._count)
        self._waiting = None

    def _flush(self, chunk: np.ndarray, rows: int | None = None) -> None:
        """Writes a chunk, of which the first `rows` belong to the array, or all."""
        if self._dataset is None:
            how = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if self._packed else {}
            self._dataset = self._group.create_dataset(
                self._name, (0, *chunk.shape[1:]), chunk.dtype, chunks=chunk.shape, track_times=False,
                maxshape=(None, *chunk.shape[1:]), **how,
            )  # fmt: skip
        first, self._written = self._written, self._written + (len(chunk) if rows is None else rows)
        self._dataset.id.set_extent((self._written, *chunk.shape[1:]))
        data = _packed(chunk) if self._packed else chunk.tobytes()
        self._dataset.id.write_direct_chunk((first, *[0] * (chunk.ndim - 1)), data)


def _packed(chunk: np.ndarray) -> bytes:
    """Returns a chunk as HDF5's filters shuffle and deflate leave it."""
    data = chunk.tobytes()
    if chunk.itemsize > 1:
        data = np.frombuffer(data, np.uint8).reshape(-1, chunk.itemsize).T.tobytes()
    return bytes(isal_zlib.compress(data, _LEVEL))
