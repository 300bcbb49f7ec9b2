"""Path loss in cities, TR 38.901 table 7.4.1-1: its constants, and what buildings in the way cost."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from ns3_scenarios.radio import LteRadio, Uma, Umi
from sumo_mobility.base.arrays import Floats
from sumo_mobility.features import MapFeatures

Model = Literal["uma", "umi"]
URBAN: dict[Model, tuple[tuple[float, float, float], tuple[float, float, float, float]]] = {
    "uma": ((28.0, 22.0, 9.0), (13.54, 39.08, 20.0, 0.6)),
    "umi": ((32.4, 21.0, 9.5), (22.4, 35.3, 21.3, 0.3)),
}
"""Line of sight: intercept, slope to the break point, factor of its term beyond; without: intercept, slope, factor of
log10(f / GHz), loss less per metre of UE height above 1.5 m."""
SPEED_OF_LIGHT_M_PER_S = 3.0e8
"""Speed of light as note 1 of TR 38.901 table 7.4.1-1 and ns-3 have it."""
_ROOF_PIXEL_M = 2.0
"""Pixel of the map of building heights, and the step along a ray."""


def break_distance_m(height_m: float, radio: LteRadio) -> float:
    """Break point distance d'_BP of a cell's antenna, note 1, with an effective environment height of 1 m."""
    return 4 * (height_m - 1) * (radio.ue_height_m - 1) * radio.carrier_hz / SPEED_OF_LIGHT_M_PER_S


def obstruction_db(model: Uma | Umi, radio: LteRadio, height_m: float, flat_m: Floats) -> Floats:
    """Loss without line of sight less that with it, at horizontal distances from a cell of that height; >= 0."""
    (base_db, slope, factor), (shadow_db, shadow_slope, carrier, per_m) = URBAN[model.model]
    rise_m, carrier_db = height_m - radio.ue_height_m, math.log10(radio.carrier_hz / 1e9)
    far_m = break_distance_m(height_m, radio)
    distance_m = np.hypot(flat_m, rise_m)
    lg = np.log10(distance_m)
    beyond_db = 40 * lg - factor * math.log10(far_m**2 + rise_m**2)
    sight_db = base_db + 20 * carrier_db + np.where(flat_m <= far_m, slope * lg, beyond_db)
    none_db = shadow_db + shadow_slope * lg + carrier * carrier_db - per_m * (radio.ue_height_m - 1.5)
    return np.asarray(np.maximum(none_db - sight_db, 0.0))


def sees(
    features: MapFeatures, site_m: tuple[float, float], height_m: float, point_m: Floats, point_height_m: float
) -> np.ndarray:
    """Tells from which points (..., 2) an antenna is seen over and between the buildings, (...) bool.

    What the antenna stands on does not hide it, however high; a point inside a building sees nothing. Buildings are
    sampled each 2 m.

    Args:
        features: The buildings.
        site_m: Place of the antenna.
        height_m: Its height.
        point_m: The points.
        point_height_m: Their height.
    """
    # Imported here, so that a process without buildings need not load numba.
    from ns3_scenarios.rays import trace_rays

    roofs_m, corner_m = _roofs(features)
    antenna_m, place = np.append(site_m - corner_m, height_m), np.ascontiguousarray(point_m.reshape(-1, 2) - corner_m)
    seen = np.empty(len(place), dtype=bool)
    trace_rays(roofs_m, _ROOF_PIXEL_M, antenna_m, place, point_height_m, seen)
    return seen.reshape(point_m.shape[:-1])


def _roofs(features: MapFeatures) -> tuple[np.ndarray, Floats]:
    """Returns the height of the highest roof of each pixel, (rows, columns) from the south-west corner, and that."""
    from PIL import Image, ImageDraw

    if not features.outlines_m:
        return np.zeros((1, 1), np.float32), np.zeros(2)
    corners = np.concatenate(features.outlines_m)
    south_west, north_east = corners.min(axis=0), corners.max(axis=0)
    columns, rows = (np.ceil((north_east - south_west) / _ROOF_PIXEL_M).astype(int) + 1).tolist()
    image = Image.new("F", (columns, rows), 0.0)
    draw = ImageDraw.Draw(image)
    for index in np.argsort(features.heights_m, kind="stable"):
        ring = (features.outlines_m[index] - south_west) / _ROOF_PIXEL_M
        draw.polygon([(x, y) for x, y in ring.tolist()], fill=float(features.heights_m[index]))
    return np.asarray(image), south_west
