"""The side on which a map's streets are driven, from the streets themselves or from the country."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np
import osmium
from osmium.osm import Node, Way
from pyproj.aoi import AreaOfInterest
from pyproj.database import query_crs_info
from scipy.spatial import cKDTree

from sumo_mobility.base.arrays import Floats

DrivingSide = Literal["left", "right"]

_DEGREE_M = 111_200.0
_PIECE_M = 20.0
_APART_M = (3.0, 40.0)
"""Least and greatest distance between the carriageways of one street."""
_ENOUGH_M = 200.0
"""Length of carriageways, roundabouts and tagged streets from which they decide; less may be a mistake in the map."""
_LEFT = re.compile(
    "Antigua|Anguilla|Australia|Bahamas|Bangladesh|Barbados|Bermuda|Bhutan|Botswana|British Virgin|Brunei|Cayman|"
    "Channel Islands|China - Hong Kong|China - Maca|Christmas I|Cocos|Cook I|Cyprus|Dominica[. ]|East Timor|Eswatini|"
    "Falkland|Fiji|Grenada|Guyana|India|Indonesia|Ireland|Isle of Man|Jamaica|Japan|Kenya|Kiribati|Lesotho|Malawi|"
    "Malaysia|Maldives|Malta|Mauritius|Montserrat|Mozambique|Namibia|Nauru|Nepal|New Zealand|Niue|Norfolk|Pakistan|"
    "Papua New Guinea|Pitcairn|Samoa|Seychelles|Singapore|Solomon|South Africa|South Georgia|Sri Lanka|St Helena|"
    "St Kitts|St Lucia|St Vincent|Saint Vincent|Suriname|Tanzania|Thailand|Timor|Tokelau|Tonga|Trinidad|Turks|Tuvalu|"
    "UK|US Virgin|Uganda|United Kingdom|Zambia|Zimbabwe"
)
"""The beginnings of the names of EPSG's areas of use in countries that drive on the left."""
_NO_COUNTRY = re.compile(
    "Africa|Antarctica|Asia|Between|Caribbean|Description|Europe|Latin America|Middle East|North|Not spec|Oceania|"
    "Pacific|South America|Southern hem|World|.* - offshore"
)


def driving_side(cleaned: Path) -> tuple[DrivingSide, str]:
    """Finds the side of the streets in a file of `osm.clean`, and says by what.

    Two one-way carriageways of one street, the way around a roundabout, and `driving_side` tags on streets show it,
    wherever the map is. Where there are too few, the country has to say it: the smallest area of use in the EPSG data
    set that holds the map's middle. Near a border between countries of both kinds that may be the wrong one.
    """
    places: dict[int, tuple[float, float]] = {}
    lines: list[tuple[Floats, dict[str, str]]] = []
    for item in osmium.FileProcessor(str(cleaned)):
        if isinstance(item, Node):
            places[item.id] = (item.lon, item.lat)
        elif isinstance(item, Way):
            lines.append((np.array([places[node.ref] for node in item.nodes]), dict(item.tags)))
    middle = np.median(np.array(list(places.values())), axis=0)
    scale = _DEGREE_M * np.array([np.cos(np.radians(middle[1])), 1.0])
    metres = [(((line - middle + 180) % 360 - 180) * scale, tags) for line, tags in lines]
    left_m, right_m = np.add(_around_and_tagged(metres), _carriageways(metres))
    if left_m + right_m >= _ENOUGH_M and max(left_m, right_m) >= 2 * min(left_m, right_m):
        return ("left" if left_m > right_m else "right"), "its carriageways and roundabouts"
    return _country_side(*middle.tolist())


def _around_and_tagged(lines: list[tuple[Floats, dict[str, str]]]) -> tuple[float, float]:
    """Metres of roundabouts that turn clockwise and of streets tagged left; and of the others."""
    length_m = {"left": 0.0, "right": 0.0}
    for line, tags in lines:
        steps = np.diff(line, axis=0)
        side = tags.get("driving_side", "")
        if tags.get("junction") in ("roundabout", "circular") and len(steps) > 1:
            turns = steps[:-1, 0] * steps[1:, 1] - steps[:-1, 1] * steps[1:, 0]
            side = "right" if turns.sum() > 0 else "left"
        if side in length_m:
            length_m[side] += float(np.hypot(*steps.T).sum())
    return length_m["left"], length_m["right"]


def _carriageways(lines: list[tuple[Floats, dict[str, str]]]) -> tuple[float, float]:
    """Metres of one-way streets beside which the other way of the same street is on the right; and on the left."""
    middles, ways, names = [], [], []
    known: dict[str, int] = {}
    for line, tags in lines:
        name = tags.get("name") or tags.get("ref")
        if not name or tags.get("oneway") not in ("yes", "true", "1", "-1") or "junction" in tags:
            continue
        line = line[::-1] if tags["oneway"] == "-1" else line
        for start, step in zip(line, np.diff(line, axis=0), strict=False):
            length_m = float(np.hypot(*step))
            count = max(1, round(length_m / _PIECE_M))
            if length_m > 1:
                shares = (np.arange(count) + 0.5) / count
                middles.append(start + shares[:, None] * step)
                ways.append(np.tile(step / length_m, (count, 1)))
                names.append(np.full(count, known.setdefault(name, len(known))))
    if not middles:
        return 0.0, 0.0
    place_m, way, street = np.concatenate(middles), np.concatenate(ways), np.concatenate(names)
    first, second = cKDTree(place_m).query_pairs(_APART_M[1], output_type="ndarray").T
    opposite = (street[first] == street[second]) & ((way[first] * way[second]).sum(axis=1) < -0.9)
    first, second = first[opposite], second[opposite]
    across = place_m[second] - place_m[first]
    aside_m = way[first, 0] * across[:, 1] - way[first, 1] * across[:, 0]  # positive: the other is on the left
    beside = (np.abs((way[first] * across).sum(axis=1)) <= _PIECE_M / 2) & (np.abs(aside_m) >= _APART_M[0])
    return _PIECE_M * int((aside_m[beside] < 0).sum()), _PIECE_M * int((aside_m[beside] > 0).sum())


def _country_side(longitude: float, latitude: float) -> tuple[DrivingSide, str]:
    """The side of the country that a place is in."""
    here = AreaOfInterest(longitude, latitude, longitude, latitude)
    areas = [info.area_of_use for info in query_crs_info("EPSG", area_of_interest=here, contains=True)]
    sized = sorted(
        ((area.east - area.west) % 360 * (area.north - area.south), str(area.name))
        for area in areas
        if area and area.name and (area.east - area.west) % 360 and not _NO_COUNTRY.match(area.name)
    )
    name = sized[0][1] if sized else "no country"
    return ("left" if _LEFT.match(name) else "right"), f"its place ({name:.40})"
