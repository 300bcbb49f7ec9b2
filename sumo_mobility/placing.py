"""Relates the positions of other programs to the Earth and to a map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyproj
from pydantic import JsonValue

from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.fcd_rows import FcdRows
from sumo_mobility.open_ground import is_open
from sumo_mobility.pipeline import load_map, road_network
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import MobilityTrace

Coordinates = Literal["auto", "metres", "degrees"]

_WIDEST_M = 200_000.0
"""The greatest extent of one network."""
_DRIVEN_M = 10.0
"""So far somebody must have driven for speeds to tell metres from degrees."""
_FROM_STREET_M = 25.0
"""Half of all positions are nearer to a street of their map."""
_LOOKED_AT = 2000
_NARROWEST_M = 100.0
"""The least extent of a picture."""


@dataclass(frozen=True)
class Place:
    """How coordinates were transformed; the fields are those of `TraceMetadata`."""

    coordinates: str
    projection: str = ""
    net_offset_m: tuple[float, float] = (0.0, 0.0)


def in_metres(path: Path, rows: FcdRows, coordinates: Coordinates) -> tuple[Floats, Place]:
    """Returns the values of rows with x and y in metres.

    Degrees are projected by a transverse Mercator around the middle of all, whose lengths are right; the trace's origin
    is their south-west corner. Metres are left as they are.

    Args:
        path: The file, for messages.
        rows: Its rows.
        coordinates: What x and y are. "auto" takes the file's head, or whether anybody moves as far as its speed says.

    Raises:
        DataError: it cannot be told what they are, they are no degrees, or they are too far apart for one network.
    """
    values = rows.values
    if not _are_degrees(path, rows, coordinates):
        _check_width(path, values[:, :2])
        return values, Place("metres")
    degrees = values[:, :2].copy()
    if np.abs(degrees[:, 0]).max() > 360 or np.abs(degrees[:, 1]).max() > 90:
        raise DataError(f"{path}: x or y are beyond 360 or 90 degrees", "--coordinates metres")
    degrees[:, 0] = (degrees[:, 0] - degrees[0, 0] + 180) % 360 - 180 + degrees[0, 0]  # the antimeridian is no edge
    low, high = degrees.min(axis=0), degrees.max(axis=0)
    if (high - low).max() > 5:
        wide = f"{(high - low).max():.0f} degrees"
        raise DataError(f"{path}: spreads over {wide}, too far for one network", "leave out what is not of it")
    lon, lat = ((low + high) / 2).round(6)
    lon = (lon + 180) % 360 - 180
    projection = f"+proj=tmerc +lat_0={lat:g} +lon_0={lon:g} +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m +no_defs"
    metres = np.column_stack(pyproj.Proj(projection)(degrees[:, 0], degrees[:, 1]))
    _check_width(path, metres)
    offset_m = np.ceil(-metres.min(axis=0) * 1000) / 1000
    place = Place("degrees", projection, (float(offset_m[0]), float(offset_m[1])))
    return np.column_stack([metres + offset_m, values[:, 2:]]), place


def placed(trace: MobilityTrace, map_name: str, path: Path) -> MobilityTrace:
    """Returns an imported trace in the coordinates of a map.

    What was degrees is projected as the map is. What was metres is taken as coordinates of the map's SUMO net, or, if
    it was written with `--fcd-output.utm`, of its projection.

    Args:
        trace: The trace.
        map_name: As `MobilityConfig.map`.
        path: Its file, for messages.

    Raises:
        DataError: its positions are not on the map's streets, or the map is nowhere on Earth, as the trace is not.
        ConfigError, StorageError, SimulatorError: as `load_map`.
    """
    street_map = load_map(map_name)
    if trace.metadata.settings.get("map") == map_name:
        return trace
    if trace.metadata.settings.get("map") is not None:
        raise ConfigError(f"{path}: is on {trace.metadata.settings['map']}", "leave --map away")
    if trace.metadata.projection:
        choices = [_projected_anew(trace, street_map, path)]
    else:
        shift_m = np.zeros(2) if is_open(map_name) else road_network(map_name).shift_m
        choices = [trace.position_m - shift_m]
        if street_map.projection:
            choices.append(trace.position_m + np.array(street_map.net_offset_m))
    west, south, east, north = street_map.bounds_m
    inside = [((place >= (west, south)) & (place <= (east, north))).all(axis=-1).mean() for place in choices]
    position_m = choices[int(np.argmax(inside))]
    sample = position_m.reshape(-1, 2)[:: max(1, position_m[..., 0].size // _LOOKED_AT)]
    away_m = float(np.median(street_map.distance_m(sample)))
    if max(inside) < 0.5 or away_m > _FROM_STREET_M:
        where = f"{1 - max(inside):.0%} of its positions are off the map"
        raise DataError(
            f"{path}: is not on {map_name}: {where}, and half are {away_m:.0f} m or more from its streets",
            "--map FILE.net.xml, the net that SUMO drove on; or write it anew with --fcd-output.geo",
        )
    changes: dict[str, object] = {
        name: getattr(street_map, name) for name in ("licence", "attribution", "bounds_m", "projection", "net_offset_m")
    }
    settings: dict[str, JsonValue] = {**trace.metadata.settings, "map": map_name}
    changes |= {"map_name": street_map.name, "settings": settings}
    return replace(trace, position_m=position_m, metadata=trace.metadata.model_copy(update=changes))


def ground_of(trace: MobilityTrace) -> StreetMap:
    """The open ground that holds an imported trace whose map is not known, with a margin."""
    meta = trace.metadata
    low: Floats = trace.position_m.min(axis=(0, 1))
    high: Floats = trace.position_m.max(axis=(0, 1))
    margin = np.maximum(0.05 * (high - low).max(), (_NARROWEST_M - (high - low)) / 2)
    (west, south), (east, north) = (low - margin).tolist(), (high + margin).tolist()
    bounds_m = west, south, east, north
    return StreetMap(meta.map_name, (), bounds_m, meta.projection, meta.net_offset_m, meta.licence, meta.attribution)


def _projected_anew(trace: MobilityTrace, street_map: StreetMap, path: Path) -> Floats:
    if not street_map.projection:
        raise DataError(f"{path}: has degrees, but {street_map.name} is nowhere on Earth", "name a map that is")
    x, y = np.moveaxis(trace.position_m - np.array(trace.metadata.net_offset_m), -1, 0)
    degrees = pyproj.Proj(trace.metadata.projection)(x, y, inverse=True)
    return np.stack(pyproj.Proj(street_map.projection)(*degrees), axis=-1) + np.array(street_map.net_offset_m)


def _are_degrees(path: Path, rows: FcdRows, coordinates: Coordinates) -> bool:
    if coordinates != "auto":
        return coordinates == "degrees"
    if rows.in_degrees:
        return True
    place = rows.values[:, :2]
    if np.abs(place[:, 0]).max() > 180 or np.abs(place[:, 1]).max() > 90:
        return False
    same = rows.index[1:] == rows.index[:-1]
    duration_s = np.diff(rows.time_s)[same]
    moved = np.hypot(*np.diff(place, axis=0)[same].T).sum()
    driven_m = float(np.nansum(rows.values[1:, 2][same] * duration_s))
    if driven_m > _DRIVEN_M:
        return bool(moved < driven_m / 1000)
    if np.ptp(place, axis=0).max() >= 1:
        return False
    what = "its x and y could be metres or degrees: they are all within 1"
    raise DataError(f"{path}: {what}", "--coordinates metres, or --coordinates degrees")


def _check_width(path: Path, metres: Floats) -> None:
    widest_m = float(np.ptp(metres, axis=0).max())
    if not widest_m <= _WIDEST_M:
        raise DataError(
            f"{path}: its positions are {widest_m / 1000:.0f} km apart, too far for one network",
            "leave out what is not of it; --fcd-output.utm shifts vehicles but not persons: write it anew without",
        )
