"""Reads the places of sites, and of their sectors, from CSV and GeoJSON."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyproj

from sumo_mobility.base.arrays import Bools, Floats
from sumo_mobility.base.errors import DataError
from sumo_mobility.base.progress import note
from sumo_mobility.site_tables import CURE, Row, Table, read_table
from sumo_mobility.streets import StreetMap


class Sector(NamedTuple):
    """The entries of a list about a cell; None where the list has none and the preset's radio holds."""

    azimuth_deg: float | None = None
    tilt_deg: float | None = None
    height_m: float | None = None
    tx_power_dbm: float | None = None


class Site(NamedTuple):
    """A place in trace coordinates, and its cells if a list names them."""

    x_m: float
    y_m: float
    sectors: tuple[Sector, ...] = ()


_SPOT_M = 1.0
"""Rows nearer to each other than this are cells of one site."""
_SITE_M = 500.0
"""OpenCelliD estimates where each cell is; those of one base station are no farther apart than this."""
_MISSING = {"", "-", "na", "n/a", "nan", "null", "none"}
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.IGNORECASE)
_GROUPED = re.compile(r"[+-]?\d{1,3}(?P<mark>[.,])\d{3}((?P=mark)\d{3})*([.,]\d*)?")
_LETTERED = re.compile(r"([NSEW])?\s*(.*?)\s*([NSEW])?", re.IGNORECASE | re.DOTALL)
_SEXAGESIMAL = re.compile(
    r"([+-]?\d{1,3})\s*[°ºd:\s]\s*(\d{1,2}(?:[.,]\d+)?)\s*(?:['′’m:\s]\s*(?:(\d{1,2}(?:[.,]\d+)?)\s*(?:\"|″|”|''|′′|s)?)?)?"
)
_RANGES = {"azimuth": (-360.0, 360.0), "tilt": (-90.0, 90.0), "height": (0.1, 200.0), "power": (0.0, 60.0)}


def read_sites(path: Path, street_map: StreetMap) -> list[Site]:
    """Returns the sites of a list that are on the map, and says on stderr how many rows were left out, and why.

    Rows on one spot are one site. With a column `azimuth` (and `tilt`, `height`, `power_dbm`) each row is one of its
    cells. In a list like OpenCelliD's, which has one row a cell, cells of one LTE base station are one site in the
    middle of them; the LTE cells of the network with most cells are taken.

    Args:
        path: As `read_table` takes.
        street_map: The map, whose projection turns longitude and latitude (WGS 84) into metres.

    Raises:
        DataError: the file is missing, damaged or of another kind; a value is none; no place is on the map; or it has
            longitudes and the map is nowhere on Earth.
    """
    table = read_table(path)
    left_out: Counter[str] = Counter()
    rows, places, stations = _positions(path, table, left_out)
    if not rows:
        raise DataError(f"{path}: holds no site{_counted(left_out)}", CURE)
    places_m = _placed(path, table, rows, places, street_map)
    west, south, east, north = street_map.bounds_m
    with np.errstate(invalid="ignore"):
        is_on = ((places_m >= (west, south)) & (places_m <= (east, north))).all(axis=1)
    left_out["off the map"] += int((~is_on).sum())
    if not is_on.any():
        raise DataError(
            f"{path}: no site is on {street_map.name}, which reaches from ({west:g}, {south:g}) to ({east:g}, "
            f"{north:g}) m{_counted(left_out)}; {rows[0].where} is at ({places_m[0, 0]:g}, {places_m[0, 1]:g}) m",
            "take the map of its area, or check the order of longitude and latitude",
        )
    kept = np.flatnonzero(is_on)
    if stations:
        places_m[kept] = _gathered(places_m[kept], [stations[index] for index in kept])
    sites = _sites(path, [rows[index] for index in kept], places_m[kept], table, left_out)
    left_out = +left_out
    if left_out:
        note(f"{path}: {len(sites)} sites{_counted(left_out)}")
    return sites


def _positions(path: Path, table: Table, left_out: Counter[str]) -> tuple[list[Row], Floats, list[Any]]:
    """Rows that have a position, their coordinates as they stand (N, 2), and of a list of cells the base stations."""
    pairs = (("x_m", "y_m"), ("lon", "lat"), ("x", "y"))
    pair = next((pair for pair in pairs if set(pair) <= set(table.columns)), ("x", "y"))
    is_cell_list = {"radio", "mcc", "net", "cell"} <= set(table.columns)
    rows, places, cells = [], [], []
    for row in table.rows:
        x, y = (_coordinate(path, row, name, table.decimal_comma) for name in pair)
        if x is None and y is None:
            left_out["without a position"] += 1
            continue
        if x is None or y is None:
            raise DataError(
                f"{path}, {row.where}, column {pair[x is not None]}: is empty", "complete or remove the row"
            )
        if is_cell_list:
            cells.append(_cell(path, row))
        rows.append(row)
        places.append((x, y))
    for what, of in (("of other radios than LTE", lambda cell: cell[0]), ("of other networks", lambda cell: cell[1])):
        counts = Counter(map(of, cells))
        if not counts:
            break
        chosen = "LTE" if what.endswith("LTE") else min(counts, key=lambda kind: (-counts[kind], str(kind)))
        if chosen in counts and len(counts) > 1:
            kept = [index for index, cell in enumerate(cells) if of(cell) == chosen]
            name = what if chosen == "LTE" else f"{what} than {chosen[0]:g}-{chosen[1]:g} (mcc-net)"
            left_out[name] += len(cells) - len(kept)
            rows, places, cells = [rows[i] for i in kept], [places[i] for i in kept], [cells[i] for i in kept]
    return rows, np.array(places, dtype=np.float64).reshape(-1, 2), [cell[2] for cell in cells]


def _cell(path: Path, row: Row) -> tuple[str, tuple[float, float], Any]:
    """Radio, network, and base station of a row of OpenCelliD's; None where the cell's number does not tell it."""
    mcc, net, number = (_value(path, row, name) or 0.0 for name in ("mcc", "net", "cell"))
    radio = str(row.values.get("radio")).strip().upper()
    station = number // 256  # TS 36.413 9.2.1.38: a cell's identity ends with 8 bits within its eNB
    return radio, (mcc, net), (mcc, net, station) if radio == "LTE" and station else None


def _gathered(places_m: Floats, stations: list[Any]) -> Floats:
    """Puts the cells of each base station into the middle of them, if they can belong together."""
    members: dict[Any, list[int]] = {}
    for index, station in enumerate(stations):
        members.setdefault(index if station is None else station, []).append(index)
    gathered = places_m.copy()
    for indices in members.values():
        if np.hypot(*np.ptp(places_m[indices], axis=0)) <= _SITE_M:
            gathered[indices] = places_m[indices].mean(axis=0)
    return gathered


def _placed(path: Path, table: Table, rows: list[Row], places: Floats, street_map: StreetMap) -> Floats:
    """Trace coordinates of the places; what the columns do not say is chosen so that most are on the map."""
    if {"x_m", "y_m"} <= set(table.columns):
        return np.round(places, 2)
    shift_m = np.array(street_map.net_offset_m)
    is_degrees = {"lon", "lat"} <= set(table.columns)
    if is_degrees and not street_map.projection:
        raise DataError(f"{path}: has longitudes, but {street_map.name} is nowhere on Earth", "give x_m and y_m")
    if table.crs:
        try:
            known = pyproj.Transformer.from_crs(table.crs, "EPSG:4326", always_xy=True)
        except pyproj.exceptions.ProjError as error:
            raise DataError(
                f"{path}: its crs '{table.crs:.80}' is unknown ({error!s:.200})", "export it in EPSG:4326"
            ) from None
        places = np.column_stack(known.transform(places[:, 0], places[:, 1]))
    frames: list[Callable[[], Floats]] = [lambda: places]
    if street_map.projection:
        project = pyproj.Proj(street_map.projection)
        within: Bools = np.all(np.abs(places) <= (180, 90), axis=1)
        if is_degrees and not within.all():
            first = int(np.flatnonzero(~within)[0])
            raise DataError(
                f"{path}, {rows[first].where}: ({places[first, 0]:g}, {places[first, 1]:g}) are no degrees",
                "export it in EPSG:4326 (WGS 84), longitude first",
            )
        geographic = np.where(within[:, None], places, np.inf)
        frames = [lambda: np.column_stack(project(geographic[:, 0], geographic[:, 1])) + shift_m]
        if not is_degrees:
            frames += [lambda: places + shift_m, lambda: places]
    west, south, east, north = street_map.bounds_m
    with np.errstate(invalid="ignore"):
        candidates = [np.round(frame(), 2) for frame in frames]
        on = [((place >= (west, south)) & (place <= (east, north))).all(axis=1).sum() for place in candidates]
    return candidates[int(np.argmax(on))]


def _sites(path: Path, rows: list[Row], places_m: Floats, table: Table, left_out: Counter[str]) -> list[Site]:
    """Gathers the rows on each spot, in the order of the file."""
    has_azimuths = "azimuth" in table.columns
    says_more = bool({"tilt", "electrical_tilt", "mechanical_tilt", "height", "power", "azimuth"} & set(table.columns))
    spots: dict[tuple[int, int], int] = {}
    sites: list[tuple[float, float, list[Sector]]] = []
    for row, (x, y) in zip(rows, places_m.tolist(), strict=True):
        square = (math.floor(x / _SPOT_M), math.floor(y / _SPOT_M))
        around = [spots.get((square[0] + i, square[1] + j)) for i in (0, -1, 1) for j in (0, -1, 1)]
        near = [site for site in around if site is not None and math.dist(sites[site][:2], (x, y)) < _SPOT_M]
        sector = _sector(path, row, has_azimuths, table.decimal_comma) if says_more else Sector()
        if not near:
            spots[square] = len(sites)
            sites.append((round(x, 2), round(y, 2), [sector]))
        elif sector.azimuth_deg in [other.azimuth_deg for other in sites[near[0]][2]]:
            left_out["on the spot of another" + " with its azimuth" * has_azimuths] += 1
        else:
            sites[near[0]][2].append(sector)
    return [Site(x, y, tuple(sectors) if says_more else ()) for x, y, sectors in sites]


def _sector(path: Path, row: Row, has_azimuths: bool, decimal_comma: bool) -> Sector:
    values: dict[str, float | None] = {}
    for name, (low, high) in _RANGES.items():
        values[name] = _value(path, row, name, decimal_comma)
        if name == "tilt" and values[name] is None:
            parts = [_value(path, row, f"{kind}_tilt", decimal_comma) for kind in ("electrical", "mechanical")]
            values[name] = sum(filter(None, parts)) if parts != [None, None] else None
        value = values[name]
        if value is not None and not low <= value <= high:
            raise DataError(
                f"{path}, {row.where}, column {name}: {value:g} is not from {low:g} to {high:g}", "mend the row"
            )
    if has_azimuths and values["azimuth"] is None:
        raise DataError(
            f"{path}, {row.where}, column azimuth: is empty, though others are given",
            "give one in each row, or remove the column; sites.sectors and sites.first_azimuth_deg then hold",
        )
    azimuth = values["azimuth"]
    return Sector(None if azimuth is None else azimuth % 360 % 360, values["tilt"], values["height"], values["power"])


def _coordinate(path: Path, row: Row, name: str, decimal_comma: bool) -> float | None:
    """The number in a column of coordinates; of longitudes and latitudes also with letters, minutes and seconds."""
    text = row.values.get(name)
    lettered = _LETTERED.fullmatch(text.strip()) if name in ("lon", "lat") and isinstance(text, str) else None
    if not lettered:
        return _value(path, row, name, decimal_comma)
    before, middle, after = lettered.groups()
    parts = _SEXAGESIMAL.fullmatch(middle)
    if not parts and not (before or after):
        return _value(path, row, name, decimal_comma)
    letter = (before or after or "").upper()
    try:
        if (before and after) or (letter and letter not in ("EW" if name == "lon" else "NS")):
            raise ValueError
        if parts:
            minutes, seconds = (float((part or "0").replace(",", ".")) for part in parts.groups()[1:])
            if max(minutes, seconds) >= 60:
                raise ValueError
            size = abs(float(parts[1])) + minutes / 60 + seconds / 3600
            size = -size if middle.startswith("-") else size
        else:
            size = _number(middle, True)
    except ValueError:
        kind = "longitude" if name == "lon" else "latitude"
        raise DataError(f"{path}, {row.where}, column {name}: {text!r:.60} is no {kind}", CURE) from None
    return -size if letter in ("W", "S") else size


def _value(path: Path, row: Row, name: str, decimal_comma: bool = False) -> float | None:
    """The number in a column; None if there is none."""
    value = row.values.get(name)
    try:
        if value is None or (isinstance(value, str) and value.strip().lower() in _MISSING):
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        number = _number(value, decimal_comma or name in ("lon", "lat")) if isinstance(value, str) else float(value)
        if not math.isfinite(number):
            raise ValueError
        return number
    except (ValueError, OverflowError) as error:
        shown = repr(value if isinstance(value, str | float) else type(value).__name__)
        raise DataError(f"{path}, {row.where}, column {name}: {shown:.60} is no number{error!s:.60}", CURE) from None


def _number(text: str, decimal_comma: bool) -> float:
    """Reads a number with a decimal point or comma, thousands in groups, or a unit; ValueError if it is none, or two.

    Args:
        text: What it says.
        decimal_comma: Whether a single comma can only be a decimal one.
    """
    text = re.sub(r"[\s\u00a0\u202f'’]", "", text)
    text = re.sub(r"(°|º|deg|dbm|m)$", "", text, flags=re.IGNORECASE)
    marks = sorted({".", ","} & set(text), key=text.rfind)
    if len(marks) == 2 or (marks and text.count(marks[0]) > 1):
        if not _GROUPED.fullmatch(text):
            raise ValueError
        text = text.replace(marks[0], "")
    elif marks == [","] and not decimal_comma and _GROUPED.fullmatch(text) and text.lstrip("+-")[0] != "0":
        raise ValueError(f": it may be {text.replace(',', '.')} or {text.replace(',', '')}")
    text = text.replace(",", ".")
    if not _PLAIN.fullmatch(text):
        raise ValueError
    return float(text)


def _counted(left_out: Counter[str]) -> str:
    """Returns "; rows left out: 3 off the map" and the like, or nothing."""
    reasons = ", ".join(f"{count} {why}" for why, count in left_out.items() if count)
    return f"; rows left out: {reasons}" if reasons else ""
