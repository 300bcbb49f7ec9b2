"""HDF5 as this project writes it, and as it is read: with no trust in what the file says.

What would lead elsewhere (soft and external links, external storage, virtual datasets, filters of plugins) is refused;
types and shapes are looked at before anything is read, so that no file can ask for more memory than its size explains.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from cf_augment.dataset.storage.growing import Growing
from sumo_mobility.base.documents import parse_json
from sumo_mobility.base.errors import DataError, MlbError
from sumo_mobility.base.files import replacing

if TYPE_CHECKING:
    from typing_extensions import Buffer

CURE = "write it anew with 'mlb collect', 'mlb augment' or 'mlb dataset import'"
_LONGEST_ATTRIBUTE = 64_000
"""HDF5 has room for 64 KiB, its own header included."""
_LARGEST_RATIO = 1032
"""The greatest number of bytes that deflate makes of one (zlib's limit)."""
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE}
_DAMAGE = (
    OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, OverflowError, IndexError, MemoryError,
)  # fmt: skip
"""The exceptions that h5py raises for damaged files."""


@contextmanager
def creating(path: Path, format_name: str) -> Iterator[h5py.File]:
    """Yields a file to be filled, which replaces `path` if the block succeeds; equal contents are equal bytes.

    Raises:
        StorageError: the directory is not writable, the disk is full; `path` is then as it was before.
    """
    with replacing(path) as temporary, _Disk(temporary, "w+") as disk:
        try:
            with h5py.File(disk, "w") as file:
                put_text(file, "format", format_name)
                yield file
        finally:
            if disk.error is not None:
                raise disk.error


class _Disk(io.FileIO):
    """A file that keeps its first error to itself: what HDF5 makes of a full disk is one of many errors."""

    error: OSError | None = None

    def write(self, data: Buffer) -> int:
        left = memoryview(data)
        size = len(left)
        while len(left) and self.error is None:
            try:
                left = left[super().write(left) :]
            except OSError as error:
                self.error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0


def put(group: h5py.Group, name: str, array: np.ndarray) -> None:
    """Writes an array; compressed, chunk by chunk of whole rows, if it is not small."""
    array = encoded(array)
    if array.ndim == 0:
        group.create_dataset(name, data=array, track_times=False)
        return
    growing = Growing(group, name)
    growing.append(array)
    growing.finish()


def encoded(array: np.ndarray) -> np.ndarray:
    """Returns text as UTF-8 of fixed length: strings of variable length are not laid out the same twice."""
    return np.char.encode(array, "utf-8") if array.dtype.kind == "U" else array


def put_text(group: h5py.Group, name: str, text: str) -> None:
    """Writes text: an attribute, or a scalar dataset of that name where it is too long for one."""
    data = np.bytes_(text.encode())
    if len(data) <= _LONGEST_ATTRIBUTE:
        group.attrs[name] = data
    else:
        put(group, name, np.array(data))


@contextmanager
def opening(path: Path, format_name: str) -> Iterator[h5py.File]:
    """Yields a file to be read; errors in the block name it.

    Raises:
        DataError: the file is missing, damaged or of another format.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file", CURE)
    try:
        with _read():
            file = h5py.File(path, "r")
        with file:
            found = text(file, "format")
            if found != format_name:
                raise DataError(f"format: '{found:.40}', expected '{format_name}'")
            yield file
    except MlbError as error:
        raise DataError(f"{path}: {error.message}", error.cure or CURE) from None


def text(group: h5py.Group, name: str, absent: str | None = None) -> str:
    """Returns what `put_text` wrote, or `absent` if there is none; DataError if it is missing, or no such text."""
    with _read(f"attribute {name}: "):
        if name not in group.attrs:
            if name in group:
                return bytes(array(group, name, np.bytes_, ())).decode()
            if absent is not None:
                return absent
            raise DataError(f"attribute {name}: missing; this is not a file of this project")
        attribute = group.attrs.get_id(name)
        if attribute.shape != () or attribute.dtype.kind != "S":
            raise DataError(f"attribute {name}: is no text of fixed length")
        return bytes(group.attrs[name]).decode()


def document(group: h5py.Group, name: str) -> Any:
    """Returns what a text of JSON says."""
    return parse_json(text(group, name), f"attribute {name}")


def group(parent: h5py.Group, name: str) -> h5py.Group:
    """Returns a group of a group; DataError if it is missing, a link, or something else."""
    return _member(parent, name, h5py.Group)


def has(parent: h5py.Group, name: str) -> bool:
    """Returns whether a group has a member of that name, whatever it is; DataError if the group is damaged."""
    with _read(f"{_path(parent, name)}: "):
        return bool(parent.id.links.exists(name.encode()))


class Stored:
    """An array of an open file, whose type, shape and storage have been looked at, and whose rows can be read."""

    def __init__(self, dataset: h5py.Dataset, where: str) -> None:
        self._dataset, self._where = dataset, where

    def __getitem__(self, rows: int | slice | tuple[()]) -> Any:
        """Reads rows, or all with `()`; DataError if they are damaged."""
        with _read(self._where):
            return self._dataset[rows]


def array(parent: h5py.Group, name: str, dtype: np.dtype | type, shape: tuple[int | None, ...]) -> np.ndarray:
    """Reads a whole array; see `stored`."""
    return stored(parent, name, dtype, shape)[()]


def stored(parent: h5py.Group, name: str, dtype: np.dtype | type, shape: tuple[int | None, ...]) -> Stored:
    """Finds an array, whose rows may then be read.

    Args:
        parent: Where it is.
        name: What it is called there.
        dtype: Its type, or np.bytes_ for text of any length.
        shape: Its size along each axis, None where any will do.

    Raises:
        DataError: it is missing or damaged, has another type or shape, or is stored elsewhere or in another way than
            by `put`.
    """
    dataset = _member(parent, name, h5py.Dataset)
    where = f"{_path(parent, name)}: "
    with _read(where):
        found, sizes = dataset.dtype, dataset.shape
        if not (found.kind == "S" if dtype is np.bytes_ else found == dtype):
            expected = "text" if dtype is np.bytes_ else np.dtype(dtype)
            raise DataError(f"{where}holds {found!s:.80}, expected {expected!s:.80}")
        if sizes is None or len(sizes) != len(shape) or any(map(_differ, shape, sizes)):
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise DataError(f"{where}shape {sizes!s:.80}, expected ({wanted})")
        _require_plain(dataset, math.prod(sizes) * found.itemsize, where)
        return Stored(dataset, where)


def _differ(expected: int | None, size: int) -> bool:
    return expected not in (None, size)


def _require_plain(dataset: h5py.Dataset, declared: int, where: str) -> None:
    """Raises DataError unless all bytes are in the file, under the filters of `put`, and as many as declared."""
    plan, held = dataset.id.get_create_plist(), dataset.id.get_storage_size()
    if plan.get_external_count() or plan.get_layout() == h5py.h5d.VIRTUAL:
        raise DataError(f"{where}is stored in another file")
    filters = {plan.get_filter(index)[0] for index in range(plan.get_nfilters())}
    if not filters <= _FILTERS:
        raise DataError(f"{where}is packed by filter {min(filters - _FILTERS)}, not by gzip")
    if plan.get_layout() == h5py.h5d.CHUNKED and any(map(int.__gt__, plan.get_chunk(), dataset.shape)):
        raise DataError(f"{where}chunks {plan.get_chunk()} are larger than shape {dataset.shape}")
    size = h5py.h5i.get_file_id(dataset.id).get_filesize()
    if held > size or declared > held * (_LARGEST_RATIO if filters else 1):
        raise DataError(f"{where}declares {declared} bytes, but the file holds {held}")


def _path(parent: h5py.Group, name: str) -> str:
    return f"{parent.name}/{name}".lstrip("/")


def _member(parent: h5py.Group, name: str, kind: type[h5py.Group] | type[h5py.Dataset]) -> Any:
    where = _path(parent, name)
    with _read(f"{where}: "):
        links, key = parent.id.links, name.encode()
        if not links.exists(key):
            raise DataError(f"{where}: missing")
        if links.get_info(key).type != h5py.h5l.TYPE_HARD:
            raise DataError(f"{where}: is a link, which is not followed")
        member = parent[name]
        if not isinstance(member, kind):
            raise DataError(f"{where}: is no {kind.__name__.lower()}")
        return member


@contextmanager
def _read(where: str = "") -> Iterator[None]:
    """Turns what h5py raises for damaged files into a DataError."""
    try:
        yield
    except _DAMAGE as error:
        raise DataError(f"{where}damaged or not an HDF5 file ({error!s:.200})") from None
