"""Rows of floating car data as SUMO and its tools write them: XML, CSV and Parquet, packed by gzip or not."""

from __future__ import annotations

import gzip
import math
import zlib
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast
from xml.parsers import expat

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from sumo_mobility.base.arrays import Floats, Ints
from sumo_mobility.base.errors import DataError
from sumo_mobility.trace import MOST_ROWS

CURE = "write it with 'sumo --fcd-output FILE' (.xml, .csv or .parquet; .gz too), attributes x, y, speed, angle"
_KINDS = ("vehicle", "person", "container")
_NUMBERS = ("x", "y", "speed", "angle")
_CONTAINER = "DEFAULT_CONTAINERTYPE"
_MOST_UNPACKED, _SMALL_BYTES = 200, 100 << 20
"""A packed file may grow by so much, or to so much. SUMO's grow by 5 to 50."""
_CHUNK_BYTES = 4 << 20
"""Large, for expat begins a token anew with each chunk."""
_LATEST_S = 1e9


@dataclass(frozen=True)
class FcdRows:
    """The rows of a file of floating car data, within the times that were asked for.

    Attributes:
        who: Kinds and ids of the vehicles and persons, such as "person 007"; vehicles first, each kind by name.
        index: (R,) index of each row's vehicle or person in `who`.
        time_s: (R,) SUMO's time.
        values: (R, 4) x, y, speed in m/s and angle in degrees; the last two are NaN where they are not given.
        begin_s: Time of the file's first row, asked for or not.
        end_s: Time of its last.
        containers: Rows of containers, which are left out.
        in_degrees: Whether the file's head says that x and y are longitudes and latitudes.
    """

    who: list[str]
    index: Ints
    time_s: Floats
    values: Floats
    begin_s: float
    end_s: float
    containers: int
    in_degrees: bool


def read_rows(path: Path, begin_s: float = -math.inf, end_s: float = math.inf) -> FcdRows:
    """Reads the rows of all vehicles and persons from `begin_s` to `end_s`.

    Raises:
        DataError: the file is missing, damaged or of another kind; a value is no number; or one vehicle or person is
            there twice at one time.
    """
    if not path.is_file():
        raise DataError(f"{path}: {'is no regular file' if path.exists() else 'no such file'}", CURE)
    name = path.name.removesuffix(".gz")
    kind = Path(name).suffix if name != path.name or Path(name).suffix else ""
    rows = _Rows(path, begin_s, end_s)
    try:
        if kind == ".parquet":
            _of_parquet(path, rows)
        elif kind in (".csv", ".xml") or (not kind and name != path.name):
            with unpacked(path) as file:
                _of_csv(file, rows) if kind == ".csv" else _of_xml(file, rows)
        else:
            raise DataError(f"{path}: not a kind of file that is read", CURE)
    except DataError:
        raise
    except Exception as error:  # pyarrow raises many kinds for damaged files
        what = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{path}: damaged ({what:.200})", CURE) from None
    return rows.collected()


class _Rows:
    """Collects rows, and refuses those that are none."""

    def __init__(self, path: Path, begin_s: float, end_s: float) -> None:
        self.path = path
        self.containers = 0
        self.in_degrees = False
        self._window_s = begin_s - 1e-6, end_s + 1e-6
        self._seen_s = [math.inf, -math.inf]
        self._code: dict[tuple[str, str], int] = {}
        self._parts: list[tuple[Ints, Floats]] = []
        self._count = 0

    def add(self, kind: str, ids: NDArray[np.object_], time_s: Floats, values: Floats) -> None:
        """Adds rows of one kind: (R,) ids, (R,) times and (R, 4) values."""
        if not len(ids):
            return
        table = np.column_stack([time_s, values])
        wrong = ~np.isfinite(table[:, :3]).all(axis=1) | np.isinf(table[:, 3:]).any(axis=1)
        wrong |= np.abs(time_s) > _LATEST_S
        if wrong.any():
            row = int(wrong.argmax())
            name = next(
                name
                for name, value in zip(("time", *_NUMBERS), table[row], strict=True)
                if not abs(value) <= _LATEST_S and not (name in _NUMBERS[2:] and math.isnan(value))
            )
            raise DataError(f"{self.path}: '{name}' of {kind} '{ids[row]:.60}' is not finite, or missing", CURE)
        self._seen_s = [min(self._seen_s[0], time_s.min()), max(self._seen_s[1], time_s.max())]
        inside = (time_s >= self._window_s[0]) & (time_s <= self._window_s[1])
        known, index = np.unique(ids[inside].astype(str), return_inverse=True)
        codes = [self._code.setdefault((kind, name), len(self._code)) for name in known.tolist()]
        self._parts.append((np.array(codes, dtype=np.int64)[index], table[inside]))
        self._count += int(inside.sum())
        if self._count > MOST_ROWS:
            raise DataError(f"{self.path}: holds more than {MOST_ROWS} rows", "name a shorter time: --begin-s, --end-s")

    def collected(self) -> FcdRows:
        """Returns them all, ordered by who and time."""
        if self._seen_s[0] > self._seen_s[1]:
            raise DataError(f"{self.path}: holds no vehicle and no person", CURE)
        keys = sorted(self._code, key=lambda key: (_KINDS.index(key[0]), key[1]))
        order = np.empty(len(keys), dtype=np.int64)
        order[[self._code[key] for key in keys]] = np.arange(len(keys))
        index = order[np.concatenate([codes for codes, _ in self._parts])]
        table = np.concatenate([table for _, table in self._parts])
        sort = np.lexsort((table[:, 0], index))
        index, table = index[sort], table[sort]
        twice = (index[1:] == index[:-1]) & (table[1:, 0] == table[:-1, 0])
        if twice.any():
            row = int(twice.argmax())
            kind, name = keys[index[row]]
            raise DataError(
                f"{self.path}: {kind} '{name}' is there twice at {table[row, 0]:g} s",
                "give each its own id; if they are a vehicle and a person, write an .xml file, which tells them apart",
            )
        return FcdRows(
            who=[f"{kind} {name}" for kind, name in keys],
            index=index,
            time_s=table[:, 0],
            values=table[:, 1:],
            begin_s=self._seen_s[0],
            end_s=self._seen_s[1],
            containers=self.containers,
            in_degrees=self.in_degrees,
        )


def _seconds(text: str) -> float:
    """Reads SUMO's time: seconds, or [days:]hours:minutes:seconds; ValueError if it is neither."""
    parts = [float(part) for part in text.split(":")]
    if len(parts) not in (1, 3, 4):
        raise ValueError(text)
    return float(np.dot(parts[::-1], (1.0, 60.0, 3600.0, 86400.0)[: len(parts)]))


def _of_xml(file: BinaryIO, rows: _Rows) -> None:
    time_s, seen, place = 0.0, array("d"), rows.path
    ids: dict[str, list[str]] = {"vehicle": [], "person": []}
    numbers: dict[str, array[float]] = {"vehicle": array("d"), "person": array("d")}

    def flush() -> None:
        for kind, names in ids.items():
            table = np.frombuffer(numbers[kind], dtype=np.float64).reshape(-1, 5)
            rows.add(kind, np.array(names, dtype=object), table[:, 0], table[:, 1:])
            ids[kind], numbers[kind] = [], array("d")

    def begin(tag: str, attributes: dict[str, str]) -> None:
        nonlocal time_s
        if tag == "timestep":
            try:
                time_s = _seconds(attributes["time"])
            except (KeyError, ValueError):
                what = attributes.get("time", "missing")
                raise DataError(f"{place}: the time of a timestep is {what:.60}, not a time", CURE) from None
            seen.append(time_s)
        elif tag == "container" and seen:
            rows.containers += 1
        elif tag in ids and seen:
            who = f"{tag} '{attributes.get('id', '?'):.60}' at {time_s:g} s"
            try:
                values = [float(attributes.get(name, "nan" if name in _NUMBERS[2:] else "")) for name in _NUMBERS]
            except ValueError as error:
                for name in ("x", "y"):
                    if name not in attributes:
                        raise DataError(f"{place}: {who} lacks the attribute '{name}'", CURE) from None
                raise DataError(f"{place}: {who}: not all values are numbers ({error!s:.100})", CURE) from None
            ids[tag].append(attributes.get("id", ""))
            numbers[tag].extend((time_s, *values))

    def refuse(*_: object) -> None:
        raise DataError(f"{place}: declares an entity, which SUMO's files never do", CURE)

    def comment(text: str) -> None:
        rows.in_degrees |= 'fcd-output.geo value="true"' in text

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EntityDeclHandler, parser.CommentHandler = begin, refuse, comment
    while chunk := file.read(_CHUNK_BYTES):
        parser.Parse(chunk, False)
        flush()
    parser.Parse(b"", True)
    flush()


def _of_csv(file: BinaryIO, rows: _Rows) -> None:
    head = file.read(1 << 16).split(b"\n", 1)[0].decode("utf-8-sig")
    file.seek(0)
    separator = max(";,\t|", key=head.count)
    names = [name.strip().strip('"') for name in head.strip().split(separator)]
    if len(set(names)) < len(names):
        raise DataError(f"{rows.path}: two columns have one name", CURE)
    wanted = {name: pa.string() for name in _wanted(rows, names)}
    reader = pyarrow.csv.open_csv(
        file,
        read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=1, block_size=_CHUNK_BYTES),
        parse_options=pyarrow.csv.ParseOptions(delimiter=separator),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=wanted, include_columns=list(wanted), strings_can_be_null=False
        ),
    )
    with reader:
        for batch in reader:
            _add_batch(batch, rows)


def _of_parquet(path: Path, rows: _Rows) -> None:
    with pyarrow.parquet.ParquetFile(path) as file:
        names = file.schema_arrow.names
        for batch in file.iter_batches(columns=_wanted(rows, names)):
            _add_batch(batch, rows)


def _wanted(rows: _Rows, names: list[str]) -> list[str]:
    needed = [f"{kind}_{name}" for kind in _KINDS for name in ("id", "x", "y")]
    complete = [kind for kind in _KINDS[:2] if {f"{kind}_{name}" for name in ("id", "x", "y")} <= set(names)]
    if "timestep_time" not in names or not complete:
        raise DataError(f"{rows.path}: has no columns timestep_time, {', '.join(needed[:3])}", CURE)
    used = ("id", *_NUMBERS, "lane", "edge", "type")
    known = ["timestep_time", "container_id", *(f"{kind}_{name}" for kind in complete for name in used)]
    return [name for name in names if name in known]


def _add_batch(batch: pa.RecordBatch, rows: _Rows) -> None:
    columns = {name: batch.column(name) for name in batch.schema.names}
    time_s = _times(rows, columns["timestep_time"])
    if "container_id" in columns:
        rows.containers += int((_texts(rows, "container_id", columns["container_id"]) != "").sum())
    for prefix in _KINDS[:2]:
        if f"{prefix}_id" not in columns:
            continue
        ids = _texts(rows, f"{prefix}_id", columns[f"{prefix}_id"])
        values = np.full((len(ids), 4), np.nan)
        for index, name in enumerate(_NUMBERS):
            if f"{prefix}_{name}" in columns:
                values[:, index] = _floats(rows, f"{prefix}_{name}", columns[f"{prefix}_{name}"])
        lane, edge, kind = (
            _texts(rows, f"{prefix}_{name}", columns[f"{prefix}_{name}"]) if f"{prefix}_{name}" in columns else None
            for name in ("lane", "edge", "type")
        )
        there = ids != ""
        if kind is not None:
            rows.containers += int((there & (kind == _CONTAINER)).sum())
            there &= kind != _CONTAINER
        # SUMO writes persons into the columns of vehicles; persons have an edge, vehicles a lane.
        walks = np.full(len(ids), prefix == "person")
        if lane is not None and edge is not None:
            walks |= (lane == "") & (edge != "")
        for name, chosen in (("vehicle", there & ~walks), ("person", there & walks)):
            rows.add(name, ids[chosen], time_s[chosen], values[chosen])


def _plain(rows: _Rows, name: str, column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_nested(column.type):
        raise DataError(f"{rows.path}: column {name} holds {column.type!s:.60}, neither numbers nor text", CURE)
    return column


def _texts(rows: _Rows, name: str, column: pa.Array) -> NDArray[np.object_]:
    return pc.fill_null(pc.cast(_plain(rows, name, column), pa.string()), "").to_numpy(zero_copy_only=False)


def _floats(rows: _Rows, name: str, column: pa.Array) -> Floats:
    column = _plain(rows, name, column)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        text = pd.Series(_texts(rows, name, column)).str.strip().str.replace(",", ".").replace("", "nan")
        try:
            return text.to_numpy(dtype=np.float64)
        except ValueError as error:
            raise DataError(f"{rows.path}: column {name}: not all values are numbers ({error!s:.100})", CURE) from None
    return pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)


def _times(rows: _Rows, column: pa.Array) -> Floats:
    column = _plain(rows, "timestep_time", column)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        texts, index = np.unique(_texts(rows, "timestep_time", column).astype(str), return_inverse=True)
        try:
            return np.array([_seconds(text.replace(",", ".")) for text in texts])[index]
        except ValueError as error:
            raise DataError(f"{rows.path}: a timestep_time is no time ({error!s:.100})", CURE) from None
    return _floats(rows, "timestep_time", column)


def unpacked(path: Path) -> BinaryIO:
    """Opens a file to be read, packed by gzip or not; DataError if it is damaged, or grows beyond measure."""
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    if path.suffix == ".gz" and not is_packed:
        raise DataError(f"{path}: damaged (not packed by gzip)", CURE)
    return cast(BinaryIO, _Unpacked(path)) if is_packed else path.open("rb")


class _Unpacked(gzip.GzipFile):
    """A packed file that may not grow without bound."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")
        self._path = path
        self._most = max(_MOST_UNPACKED * path.stat().st_size, _SMALL_BYTES)

    def read(self, size: int | None = -1) -> bytes:
        """Reads as the base class does; raises DataError beyond the bound or where the file is damaged."""
        try:
            data = super().read(size)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{self._path}: damaged ({error})", CURE) from None
        if self.tell() > self._most:
            raise DataError(
                f"{self._path}: unpacks to more than {_MOST_UNPACKED} times its size",
                "if that is right, unpack it with gunzip first",
            )
        return data
