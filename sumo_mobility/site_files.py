"""Reads the places of sites from CSV and GeoJSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyproj

from sumo_mobility.base.errors import DataError
from sumo_mobility.streets import StreetMap

_CURE = "give a .csv with the columns x_m and y_m, or lon and lat, or a .geojson with points"


def read_sites(path: Path, street_map: StreetMap) -> list[tuple[float, float]]:
    """Returns places in trace coordinates.

    Args:
        path: .csv, .geojson or .json.
        street_map: The map, whose projection turns longitude and latitude (WGS 84) into metres.

    Raises:
        DataError: the file is missing, damaged or of another kind, holds no place or one that is no number; or it has
            longitudes and the map is nowhere on Earth.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file", _CURE)
    if path.suffix == ".csv":
        names, rows = _of_csv(path)
    elif path.suffix in (".geojson", ".json"):
        names, rows = ("lon", "lat"), _of_geojson(path)
    else:
        raise DataError(f"{path}: not a kind of file that is read", _CURE)
    if not rows:
        raise DataError(f"{path}: holds no site", _CURE)
    for index, row in enumerate(rows):
        if not all(isinstance(value, int | float) and math.isfinite(value) for value in row):
            raise DataError(f"{path}: site {index} is {row}, not two numbers", _CURE)
    places = np.array(rows, dtype=np.float64)
    if names == ("lon", "lat"):
        if not street_map.projection:
            raise DataError(f"{path}: has longitudes, but {street_map.name} is nowhere on Earth", "give x_m and y_m")
        if np.abs(places[:, 1]).max() > 90 or np.abs(places[:, 0]).max() > 180:
            raise DataError(f"{path}: a latitude is beyond 90 degrees, or a longitude beyond 180", "lon comes first")
        projected = pyproj.Proj(street_map.projection)(places[:, 0], places[:, 1])
        places = np.column_stack(projected) + np.array(street_map.net_offset_m)
    return [(round(float(x), 2), round(float(y), 2)) for x, y in places]


def _of_csv(path: Path) -> tuple[tuple[str, str], list[Any]]:
    try:
        frame = pd.read_csv(path, comment="#", skipinitialspace=True)
    except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
        raise DataError(f"{path}: no readable CSV ({str(error).splitlines()[0]})", _CURE) from None
    for names in (("x_m", "y_m"), ("lon", "lat")):
        if set(names) <= set(frame.columns):
            return names, [tuple(row) for row in frame[list(names)].to_numpy().tolist()]
    raise DataError(f"{path}: has the columns {', '.join(map(str, frame.columns))}", _CURE)


def _of_geojson(path: Path) -> list[Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        features = data["features"] if data["type"] == "FeatureCollection" else [data]
        geometries = [one["geometry"] if one["type"] == "Feature" else one for one in features]
        return [tuple(one["coordinates"][:2]) for one in geometries if one["type"] == "Point"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: no GeoJSON ({type(error).__name__}: {error})", _CURE) from None
