"""Reads tables of places, CSV and GeoJSON, as other programs write them, into rows of named values."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sumo_mobility.base.documents import parse_json
from sumo_mobility.base.errors import DataError
from sumo_mobility.base.files import require_file

CURE = (
    "give a .csv with the columns lon and lat (degrees), or x_m and y_m (trace coordinates), or a .geojson with points"
)
_LARGEST_BYTES = 128 << 20
_NAMES = {
    "lon": "lon lng long longitude londeg longdeg longitudedeg lonwgs84 longitudewgs84",
    "lat": "lat latitude latdeg latitudedeg latwgs84 latitudewgs84",
    "x_m": "xm",
    "y_m": "ym",
    "x": "x xcoord xcoordinate pointx easting east",
    "y": "y ycoord ycoordinate pointy northing north",
    "point": "wkt wktgeom geom geometry thegeom",
    "azimuth": "azimuth azimuthdeg azimut azi az antennaazimuth bearing bearingdeg",
    "tilt": "tilt tiltdeg downtilt downtiltdeg totaltilt antennatilt",
    "electrical_tilt": "electricaltilt electricaltiltdeg electricaldowntilt etilt edt",
    "mechanical_tilt": "mechanicaltilt mechanicaltiltdeg mechanicaldowntilt mtilt mdt",
    "height": "height heightm antennaheight antennaheightm heightagl heightaglm agl",
    "power": "powerdbm txpowerdbm transmitpowerdbm",
    "radio": "radio",
    "mcc": "mcc",
    "net": "net mnc",
    "cell": "cell cellid cid ci",
}
_MEANING = {spelling: name for name, spellings in _NAMES.items() for spelling in spellings.split()}
_CELL_LIST = (
    "radio", "mcc", "net", "area", "cell", "unit", "lon", "lat", "range", "samples", "changeable", "created", "updated",
    "averageSignal",
)  # fmt: skip
"""Columns of OpenCelliD's exports, some of which have no header."""
_RADIOS = {"GSM", "UMTS", "LTE", "CDMA", "NR", "NBIOT"}
_POINT = re.compile(r"\s*(?:SRID=\d+;)?POINT\s*(?:Z|M|ZM)?\s*\(\s*(\S+)\s+([^\s)]+)[^)]*\)\s*", re.IGNORECASE)
_UNIT = re.compile(r"[\[(].*?[\])]")


@dataclass(frozen=True)
class Row:
    """A row of a list of sites.

    Attributes:
        where: The place in the file, for people, such as "line 3".
        values: The entries of the row, by the names in _NAMES; text, or whatever JSON holds.
    """

    where: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Table:
    """The content of a list of sites.

    Attributes:
        columns: The names of the values that rows can have.
        rows: The rows, one after the other.
        crs: The coordinate reference system that the file states; empty if it states none.
        decimal_comma: Whether 1,5 can only mean one and a half, because commas do not separate columns.
    """

    columns: tuple[str, ...]
    rows: Iterable[Row]
    crs: str = ""
    decimal_comma: bool = False


def read_table(path: Path) -> Table:
    """Reads .csv (also .csv.gz, .tsv and .txt, with any of the usual separators and encodings), .geojson or .json.

    Raises:
        DataError: the file is missing, damaged, too large or of another kind; rows raise it too as they come.
    """
    kind = path.name.lower().removesuffix(".gz")
    if kind.endswith((".csv", ".tsv", ".txt")):
        return _of_csv(path, _text(path))
    if kind.endswith((".geojson", ".json")):
        return _of_geojson(path, _text(path))
    raise DataError(f"{path}: not a kind of file that is read", CURE)


def _text(path: Path) -> str:
    require_file(path, CURE)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error!s:.200})", CURE) from None
    if len(data) > _LARGEST_BYTES:
        raise DataError(f"{path}: holds more than {_LARGEST_BYTES >> 20} MiB", "cut out the rows of the map's area")
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    if b"\0" in data[:2]:
        return data.decode("utf-16-be" if data[0] == 0 else "utf-16-le", errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _of_csv(path: Path, text: str) -> Table:
    lines = _numbered(text)
    number, first = next(lines, (0, ""))
    if first.lower().startswith("sep=") and len(first.strip()) == 5:  # Excel's way to state the separator
        number, first = next(lines, (0, ""))
    if not number:
        raise DataError(f"{path}: is empty", CURE)
    splits = {separator: next(csv.reader([first], delimiter=separator, skipinitialspace=True)) for separator in ",;\t|"}
    known = {separator: _known(path, header) for separator, header in splits.items()}
    separator = max(splits, key=lambda character: (len(known[character]), len(splits[character])))
    columns, width, header = known[separator], len(splits[separator]), splits[separator]
    if header[0].strip() in _RADIOS and len(header) >= 8:
        columns, width = _known(path, list(_CELL_LIST)), len(_CELL_LIST)
        lines = _numbered(text)
    if not _has_places(columns):
        raise DataError(f"{path}: has the columns {', '.join(map(str.strip, header))}"[:300], CURE)

    def rows() -> Iterator[Row]:
        numbers = [number]

        def remaining() -> Iterator[str]:
            for line_number, line in lines:
                numbers[0] = line_number
                yield line

        reader = csv.reader(remaining(), delimiter=separator, skipinitialspace=True)
        try:
            for row in reader:
                where = f"line {numbers[0]}"
                if any(value.strip() for value in row[width:]):
                    raise DataError(
                        f"{path}, {where}: has {len(row)} values for {width} columns, so that it is unclear which is "
                        "which",
                        "mend the row; around values with commas put quotes, or part the columns by semicolons",
                    )
                values = {name: row[index] for name, index in columns.items() if index < len(row)}
                yield Row(where, _unfolded(values))
        except csv.Error as error:
            raise DataError(f"{path}, line {numbers[0]}: no readable CSV ({error!s:.200})", CURE) from None

    return Table(tuple(columns), rows(), decimal_comma=separator != ",")


def _numbered(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 1, without blank ones and comments."""
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        if line.strip() and not line.startswith("#"):
            yield number, line


def _known(path: Path, header: list[str]) -> dict[str, int]:
    """Returns the index of each known column, the first one if two spellings mean the same."""
    known: dict[str, int] = {}
    for index, title in enumerate(header):
        name = _meaning(title)
        if name and name in known and header[known[name]].strip() == title.strip():
            raise DataError(f"{path}: has two columns '{title.strip():.60}'", "remove one of them")
        if name:
            known.setdefault(name, index)
    return known


def _meaning(title: str) -> str | None:
    return _MEANING.get(re.sub(r"[^a-z0-9]", "", _UNIT.sub("", title).lower()))


def _has_places(columns: Iterable[str]) -> bool:
    return any(set(pair) <= set(columns) for pair in (("lon", "lat"), ("x_m", "y_m"), ("x", "y"), ("point",)))


def _unfolded(values: dict[str, Any]) -> dict[str, Any]:
    """Turns a point in Well-Known Text, as QGIS writes geometries into CSV, into x and y."""
    point = _POINT.fullmatch(values.pop("point", None) or "")
    return {"x": point[1], "y": point[2]} | values if point else values


def _of_geojson(path: Path, text: str) -> Table:
    try:
        data = parse_json(text, str(path))
        rows = [Row(where, values) for where, values in _features(data)]
        crs = data.get("crs")
        name = crs["properties"]["name"] if crs else ""
    except DataError as error:
        raise DataError(error.message, CURE) from None
    except (LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: no GeoJSON ({type(error).__name__}: {error!s:.200})", CURE) from None
    columns = dict.fromkeys(name for row in rows for name in row.values)
    return Table(tuple(columns), rows, crs=str(name))


def _features(data: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The points of GeoJSON with their properties; a feature of another kind counts as one without a place."""
    if not isinstance(data["type"], str):
        raise TypeError("its type is no text")
    features = data["features"] if data["type"] == "FeatureCollection" else [data]
    for index, feature in enumerate(features):
        is_feature = feature["type"] == "Feature"
        geometry = feature["geometry"] if is_feature else feature
        properties = (feature.get("properties") or {}) if is_feature else {}
        values = {_meaning(str(key)): value for key, value in properties.items()}
        taken = {key: value for key, value in values.items() if key in ("azimuth", "tilt", "electrical_tilt",
                "mechanical_tilt", "height", "power", "radio", "mcc", "net", "cell")}  # fmt: skip
        kind = geometry["type"] if geometry else ""
        places = geometry["coordinates"] if kind in ("Point", "MultiPoint") else []
        places = [places] if kind == "Point" else places
        if not isinstance(places, list):
            raise TypeError(f"the coordinates of feature {index} are no list")
        for place in places or [None]:
            if place and (not isinstance(place, list) or len(place) < 2):
                raise TypeError(f"the coordinates of feature {index} are no list of two numbers")
            yield f"feature {index}", taken | ({"lon": place[0], "lat": place[1]} if place else {})
