"""Shadowing in compiled loops: the same map as in `shadowing`, and its exact mean over straight ways."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from cf_augment.physics.radio.shadowing import ShadowingLoss
from cf_augment.physics.radio.vector_math import compiled
from sumo_mobility.base.arrays import Ints, Singles

_ZERO, _ONE = np.float32(0), np.float32(1)


class Shadows(NamedTuple):
    """The map of the shadowing: (points, sites) row by row from south to north; no points where there is none."""

    loss_db: Singles
    site: Ints
    """Index of each cell's site."""
    columns: int
    rows: int
    west: float
    south: float
    per_km: float


def shadows_of(shadowing: ShadowingLoss | None) -> Shadows:
    """Returns the constants of a map."""
    if shadowing is None:
        return Shadows(np.empty((0, 1), np.float32), np.zeros(1, np.int64), 0, 0, 0.0, 0.0, 0.0)
    west, south = shadowing.corner_km.numpy()[:, 0].tolist()
    last_column, last_row = (int(value) for value in shadowing.last[:, 0])
    return Shadows(
        loss_db=shadowing.table_db.numpy(),
        site=shadowing.sites.numpy(),
        columns=last_column + 1,
        rows=last_row + 1,
        west=west,
        south=south,
        per_km=shadowing.points_per_km,
    )


@compiled
def shade(
    shadows: Any, place: Any, points: Any, stride: int, per_period: int, samples: int, l1_dbm: Any, rsrp_dbm: Any
) -> None:
    """Takes the shadowing from all RSRP; between two lines of the map its mean over a straight way needs two points.

    Args:
        shadows: The Shadows.
        place: (2, n + 1, U) positions in km, of which each `stride`-th ends a straight way.
        points: (2, P, U) points of rsrp_dbm.
        stride: See place.
        per_period: Straight ways in an L1 measurement.
        samples: Samples on a straight way.
        l1_dbm: (C, K, U).
        rsrp_dbm: (C, P, U).
    """
    ues, shade_db = place.shape[2], np.empty(shadows.loss_db.shape[1], np.float32)
    for p in range(points.shape[1]):
        for u in range(ues):
            shade_db[:] = _ZERO
            _add_shadow(shadows, points[0, p, u], points[1, p, u], _ONE, shade_db)
            for c in range(len(rsrp_dbm)):
                rsrp_dbm[c, p, u] -= shade_db[shadows.site[c]]
    for s in range((place.shape[1] - 1) // stride):
        for u in range(ues):
            from_x, from_y = place[0, s * stride, u], place[1, s * stride, u]
            move_x, move_y = place[0, (s + 1) * stride, u] - from_x, place[1, (s + 1) * stride, u] - from_y
            shade_db[:] = _ZERO
            first, field = 0, _field(shadows, from_x, from_y)
            for i in range(1, samples + 1):
                share = np.float32(i) / np.float32(samples)
                here = _field(shadows, from_x + move_x * share, from_y + move_y * share)
                if here == field and i < samples:
                    continue
                count = i - first
                middle, apart = first + (count - 1) / 2, math.sqrt((count * count - 1) / 12)
                for side in (-1, 1):
                    share = np.float32((middle + side * apart) / samples)
                    weight = np.float32(count / (2 * samples * per_period))
                    _add_shadow(shadows, from_x + move_x * share, from_y + move_y * share, weight, shade_db)
                first, field = i, here
            for c in range(len(l1_dbm)):
                l1_dbm[c, s // per_period, u] -= shade_db[shadows.site[c]]


@compiled
def _field(shadows: Any, x: Any, y: Any) -> Any:
    """Between which lines of the map a point lies; those beyond its edges count as well."""
    column = math.floor((x - shadows.west) * shadows.per_km)
    row = math.floor((y - shadows.south) * shadows.per_km)
    column, row = min(max(column, -1), shadows.columns - 1), min(max(row, -1), shadows.rows - 1)
    return (row + 1) * (shadows.columns + 1) + column


@compiled
def _add_shadow(shadows: Any, x: Any, y: Any, weight: Any, shade_db: Any) -> None:
    """Adds the weighted loss of all sites at a point: bilinear, clamped outside the map."""
    across = min(max((x - shadows.west) * shadows.per_km, 0.0), shadows.columns - 1.0)
    along = min(max((y - shadows.south) * shadows.per_km, 0.0), shadows.rows - 1.0)
    column, row = min(int(across), shadows.columns - 2), min(int(along), shadows.rows - 2)
    east, north = np.float32(across - column), np.float32(along - row)
    at = row * shadows.columns + column
    south_west, south_east = shadows.loss_db[at], shadows.loss_db[at + 1]
    north_west, north_east = shadows.loss_db[at + shadows.columns], shadows.loss_db[at + shadows.columns + 1]
    for site in range(len(shade_db)):
        south_db = south_west[site] + (south_east[site] - south_west[site]) * east
        north_db = north_west[site] + (north_east[site] - north_west[site]) * east
        shade_db[site] += weight * (south_db + (north_db - south_db) * north)
