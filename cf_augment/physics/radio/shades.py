"""Shadowing in compiled loops: the same map as in `shadowing`, and its exact mean over straight ways."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cf_augment.physics.radio.shadowing import ShadowingLoss
from cf_augment.physics.radio.vector_math import compiled, part
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


class Ways(NamedTuple):
    """The straight ways of an interval, one after the other."""

    place_km: Singles
    """(2, n + 1, U) positions from the centre, of which each `stride`-th ends a way."""
    stride: int
    per_period: int
    """Ways in an L1 measurement."""
    samples: int
    """Samples on a way."""


@compiled
def shade(shadows: Shadows, ways: Ways, point_km: Singles, l1_dbm: Singles, rsrp_dbm: Singles) -> None:
    """Takes the shadowing from all RSRP.

    Args:
        shadows: The map.
        ways: How the UEs move.
        point_km: (2, P, U) where they are at P points in time.
        l1_dbm: (C, K, U) L1 measurements.
        rsrp_dbm: (C, P, U) at the points in time.
    """
    ues, shade_db = ways.place_km.shape[2], np.empty(shadows.loss_db.shape[1], np.float32)
    for p in range(point_km.shape[1]):
        for u in range(ues):
            shade_db[:] = _ZERO
            _add_shadow(shadows, point_km[0, p, u], point_km[1, p, u], _ONE, shade_db)
            for c in range(len(rsrp_dbm)):
                rsrp_dbm[c, p, u] -= shade_db[shadows.site[c]]
    for way in range((ways.place_km.shape[1] - 1) // ways.stride):
        for u in range(ues):
            shade_db[:] = _ZERO
            _add_way(shadows, ways, way, u, shade_db)
            for c in range(len(l1_dbm)):
                l1_dbm[c, way // ways.per_period, u] -= shade_db[shadows.site[c]]


@compiled
def _add_way(shadows: Shadows, ways: Ways, way: int, u: int, shade_db: Singles) -> None:
    """Adds the mean over the samples on a way of a UE, as a part of its measurement, to the loss of all sites.

    Between two lines of the map the loss is bilinear, and its mean over evenly spaced points that of two of them.
    """
    begin, end, samples = way * ways.stride, (way + 1) * ways.stride, ways.samples
    from_x, from_y = ways.place_km[0, begin, u], ways.place_km[1, begin, u]
    move_x, move_y = ways.place_km[0, end, u] - from_x, ways.place_km[1, end, u] - from_y
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
            weight = np.float32(count / (2 * samples * ways.per_period))
            _add_shadow(shadows, from_x + move_x * share, from_y + move_y * share, weight, shade_db)
        first, field = i, here


@part
def _field(shadows: Shadows, x_km: np.float32, y_km: np.float32) -> int:
    """Returns the number of the field between lines of the map in which a point lies; those beyond its edges count."""
    column = math.floor((x_km - shadows.west) * shadows.per_km)
    row = math.floor((y_km - shadows.south) * shadows.per_km)
    column, row = min(max(column, -1), shadows.columns - 1), min(max(row, -1), shadows.rows - 1)
    return (row + 1) * (shadows.columns + 1) + column


@part
def _add_shadow(shadows: Shadows, x_km: np.float32, y_km: np.float32, weight: np.float32, shade_db: Singles) -> None:
    """Adds the weighted loss of all sites at a point: bilinear, clamped outside the map."""
    across = min(max(float(x_km - shadows.west) * shadows.per_km, 0.0), shadows.columns - 1.0)
    along = min(max(float(y_km - shadows.south) * shadows.per_km, 0.0), shadows.rows - 1.0)
    column, row = min(int(across), shadows.columns - 2), min(int(along), shadows.rows - 2)
    east, north = np.float32(across - column), np.float32(along - row)
    at = row * shadows.columns + column
    south_west, south_east = shadows.loss_db[at], shadows.loss_db[at + 1]
    north_west, north_east = shadows.loss_db[at + shadows.columns], shadows.loss_db[at + shadows.columns + 1]
    for site in range(len(shade_db)):
        south_db = south_west[site] + (south_east[site] - south_west[site]) * east
        north_db = north_west[site] + (north_east[site] - north_west[site]) * east
        shade_db[site] += weight * (south_db + (north_db - south_db) * north)
