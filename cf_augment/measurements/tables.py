"""Reads tables of measurements, CSV and Parquet, into checked columns; errors name file, row and column."""

from __future__ import annotations

import csv
import gzip
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple, cast

import numpy as np
import pandas as pd
import pyarrow.parquet
from annotated_types import Ge, Le

from cf_augment.measurements.schema import PERCENT, MeasuredRow
from sumo_mobility.base.arrays import Bools, Floats, Ints
from sumo_mobility.base.contract import nearest
from sumo_mobility.base.documents import printable, shown
from sumo_mobility.base.errors import DataError
from sumo_mobility.base.files import require_file

_CURE = "give a .csv (.tsv, .txt; .gz too) or .parquet file; docs/measurements.md lists the columns"
_MEND = "mend the row, or leave it out"
_SEPARATORS = ",;\t|"
_LONGEST_HEAD = 1 << 16
_LINE = re.compile(r"Expected \d+ fields in line (\d+), saw \d+")


@dataclass(frozen=True)
class Place:
    """The places of N rows in a file.

    Attributes:
        path: The file.
        unit: What is counted, "line" or "row".
        number: (N,) from 1.
    """

    path: Path
    unit: str
    number: Ints

    def error(self, row: int, column: str, what: str, cure: str = _MEND) -> DataError:
        """Returns the error that says what is wrong with a row; `column` may be empty."""
        of_column = f", column {column}" if column else ""
        return DataError(f"{self.path}, {self.unit} {self.number[row]}{of_column}: {what}", cure)

    def require(self, good: Bools, column: str, values: np.ndarray, what: str, cure: str = _MEND) -> None:
        """Raises the error of the first row that is not good, if there is one; it says the row's value, and what."""
        if not good.all():
            row = int(np.argmin(good))
            value = values[row]
            said = f"{value:g}" if isinstance(value, float) else f"'{printable(str(value))}'"
            raise self.error(row, column, f"{said} {what}", cure)


@dataclass(frozen=True)
class Table:
    """The columns of a table of N rows, in which every value is possible.

    Attributes:
        place: Where the rows are.
        columns: Each column that the contract of a row names and the file has, (N,): float64, or text. Shares are
            shares, in whatever unit the file has them.
        time_s: (N,) times in s, which never fall.
        dated: Whether they are since 1970 (UTC), because the file has dates.
        unused: Columns of the file that the contract does not name.
    """

    place: Place
    columns: dict[str, np.ndarray]
    time_s: Floats
    dated: bool
    unused: tuple[str, ...]

    def said(self, time_s: float) -> str:
        """Returns a time as people write it: in s, or as date and time (UTC)."""
        if not self.dated:
            return f"{time_s:.12g}s"
        return f"{pd.Timestamp(round(time_s * 1e6), unit='us').isoformat()}Z"

    def cells(self, column: str, names: Sequence[str]) -> Ints:
        """Returns the index among `names` of the cell in each row, (N,); DataError if a cell is not among them."""
        values = self.columns[column]
        index = pd.Index(names).get_indexer(pd.Index(values)).astype(np.int64)
        hint = nearest(str(values[int(np.argmin(index >= 0))]), list(names[:20]))
        cure = "leave its rows out, or say by --cell-names how the tables call the scenario's cells"
        self.place.require(index >= 0, column, values, f"is no cell of the scenario{hint}", cure)
        return index


class _Raw(NamedTuple):
    """The columns of a file that mean something, as they stand there, and where."""

    place: Place
    frame: pd.DataFrame
    unused: tuple[str, ...]
    decimal_comma: bool


def read_table(path: Path, row: type[MeasuredRow]) -> Table:
    """Reads a table.

    CSV may have any of the usual separators, a decimal comma where commas do not separate, and a byte order mark. The
    order of columns is free, and so is the case of their names.

    Args:
        path: The file.
        row: What a row of it is.

    Raises:
        DataError: the file is missing, damaged or of another kind; a column is missing; a value is none, or out of its
            range; times fall. Names the file, the row and the column.
    """
    require_file(path, _CURE)
    if path.suffix.lower() == ".parquet":
        raw = _of_parquet(path, row)
    elif path.name.lower().removesuffix(".gz").endswith((".csv", ".tsv", ".txt")):
        raw = _of_csv(path, row)
    else:
        raise DataError(f"{path}: is no kind of table that is read", _CURE)
    place, frame = raw.place, raw.frame
    _require_columns(path, row, raw)
    if not len(frame):
        raise DataError(f"{path}: has no rows", _CURE)
    columns: dict[str, np.ndarray] = {}
    for name in frame.columns:
        field = name.removesuffix(PERCENT)
        if name == "time":
            columns[name] = _seconds(place, frame[name])
        elif row.model_fields[field].annotation is str:
            columns[name] = _texts(place, name, frame[name])
        else:
            columns[field] = _numbers(place, row, name, frame[name], raw.decimal_comma)
    (of_time,) = {"time", "time_s"} & columns.keys()
    time_s = columns.pop(of_time)
    rising = np.diff(time_s, prepend=time_s[:1]) >= 0
    place.require(rising, of_time, frame[of_time].to_numpy(), "is earlier than the row before", "sort the rows by time")
    return Table(place, columns, time_s, of_time == "time", raw.unused)


def _require_columns(path: Path, row: type[MeasuredRow], raw: _Raw) -> None:
    required = [name for name, field in row.model_fields.items() if field.is_required()]
    alternatives = [
        ("time_s", "time"),
        *((name, name + PERCENT) if _is_share(row, name) else (name,) for name in required),
    ]
    for names in alternatives:
        there = [name for name in names if name in raw.frame]
        if len(there) > 1:
            raise DataError(
                f"{path}: has the columns {' and '.join(there)}, which say the same", "leave one of them out"
            )
        if not there:
            titles = printable(", ".join([*raw.frame.columns, *raw.unused]), 300)
            raise DataError(f"{path}: has no column {' or '.join(names)}; it has {titles}", _CURE)


def _bounds(row: type[MeasuredRow], name: str) -> tuple[float, float]:
    """Returns the least and the greatest value of a column."""
    low, high = -np.inf, np.inf
    for rule in row.model_fields[name].metadata:
        low = float(rule.ge) if isinstance(rule, Ge) else low  # type: ignore[arg-type]
        high = float(rule.le) if isinstance(rule, Le) else high  # type: ignore[arg-type]
    return low, high


def _is_share(row: type[MeasuredRow], name: str) -> bool:
    return _bounds(row, name) == (0, 1)


def _meant(row: type[MeasuredRow], title: str) -> str:
    """Returns the name of the column that a title means; nothing if it is none."""
    name = title.strip().lower()
    field = name.removesuffix(PERCENT)
    known = field in row.model_fields and (field == name or _is_share(row, field))
    return name if known else ""


def _named(path: Path, row: type[MeasuredRow], titles: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Returns the names of the titles that mean something, and the other titles."""
    known: dict[str, str] = {}
    for title in titles:
        name = _meant(row, title)
        if name in known.values():
            raise DataError(f"{path}: has two columns {name}", "remove one of them")
        if name:
            known[title] = name
    return known, tuple(printable(title.strip()) for title in titles if title not in known)


def _of_parquet(path: Path, row: type[MeasuredRow]) -> _Raw:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            known, unused = _named(path, row, file.schema_arrow.names)
            frame = file.read(columns=list(known)).to_pandas(ignore_metadata=True)
    except DataError:
        raise
    except Exception as error:  # pyarrow raises many kinds for damaged files
        raise DataError(f"{path}: no readable Parquet file ({str(error).splitlines()[0]:.200})", _CURE) from None
    return _Raw(Place(path, "row", np.arange(1, len(frame) + 1)), frame.rename(columns=known), unused, False)


def _of_csv(path: Path, row: type[MeasuredRow]) -> _Raw:
    """Reads the columns as text."""
    before = 0
    try:
        with _opened(path) as file:
            head = "\n"
            while head and (not head.strip() or head.startswith("#") or head.lower().startswith("sep=")):
                head = file.readline(_LONGEST_HEAD)
                before += 1
            heads = {mark: next(csv.reader([head], delimiter=mark), []) for mark in _SEPARATORS}
            separator = max(heads, key=lambda mark: sum(bool(_meant(row, title)) for title in heads[mark]))
            titles = heads[separator]
            known, unused = _named(path, row, titles)
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)  # it drops what the head has no column for
                frame = pd.read_csv(
                    file, sep=separator, names=range(max(len(titles), 1)), header=None, dtype=str,
                    keep_default_na=False, skip_blank_lines=False, skipinitialspace=True, index_col=False,
                )  # fmt: skip
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: has no rows", _CURE) from None
    except (pd.errors.ParserError, pd.errors.ParserWarning, csv.Error) as error:
        found = _LINE.search(str(error))
        where = f", line {before + int(found[1])}" if found else ""
        what = "has more values than the head has columns" if found else f"no readable CSV ({error!s:.200})"
        raise DataError(f"{path}{where}: {what}", "around values with separators put quotes") from None
    except (OSError, EOFError, UnicodeError) as error:
        raise DataError(f"{path}: cannot be read as text ({error!s:.200})", "save it as CSV in UTF-8") from None
    frame = frame.fillna("")  # rows that are shorter than the head
    number = before + 1 + np.arange(len(frame))
    filled = (frame != "").any(axis=1).to_numpy()
    frame = frame.loc[filled, [index for index, title in enumerate(titles) if title in known]]
    frame.columns = pd.Index([known[title] for title in titles if title in known])
    return _Raw(Place(path, "line", number[filled]), frame, unused, separator != ",")


def _opened(path: Path) -> IO[str]:
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rb") as binary:
        start = binary.read(2)
    encoding = "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return cast("IO[str]", opened(path, "rt", encoding=encoding, newline=""))


def _texts(place: Place, name: str, values: pd.Series) -> np.ndarray:
    text = values.map(_as_text).to_numpy(dtype=object)
    place.require(text != "", name, text, "is empty", f"complete the row, {_MEND}")
    return text


def _as_text(value: object) -> str:
    if value is None or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _numbers(place: Place, row: type[MeasuredRow], name: str, values: pd.Series, decimal_comma: bool) -> Floats:
    """Returns finite numbers within the bounds of their column; shares, if they are in percent."""
    field = name.removesuffix(PERCENT)
    given = values if values.dtype.kind in "iuf" else values.map(_as_text)
    if values.dtype.kind not in "iuf":
        given = given.astype(str)
        values = pd.to_numeric(given.str.replace(",", ".") if decimal_comma else given, errors="coerce")
    found = values.to_numpy(dtype=np.float64)
    bad = ~np.isfinite(found)
    if bad.any():
        index = int(np.argmax(bad))
        what = "is empty" if given.iloc[index] == "" else f"{shown(given.iloc[index])} is no finite number"
        optional = "" if row.model_fields[field].is_required() else "; or leave the whole column out"
        raise place.error(index, name, what, f"complete the row, {_MEND}{optional}")
    scale = 1 if name == field else 100
    low, high = (bound * scale for bound in _bounds(row, field))
    limits = f"is not within {low:g} to {high:g}"
    place.require((found >= low) & (found <= high), name, found, limits, row.cures.get(name, _MEND))
    return found / scale


def _seconds(place: Place, values: pd.Series) -> Floats:
    """Returns the seconds since 1970 of dates and times."""
    times = pd.to_datetime(values, utc=True, format="ISO8601", errors="coerce")
    bad = times.isna().to_numpy()
    if bad.any():
        index = int(np.argmax(bad))
        what = f"{shown(values.iloc[index])} is no date and time of ISO 8601"
        raise place.error(index, "time", what, "write 2024-05-31T14:15:00+03:00, or name a column of seconds time_s")
    return np.asarray(times.dt.as_unit("us").astype(np.int64).to_numpy() / 1e6)
