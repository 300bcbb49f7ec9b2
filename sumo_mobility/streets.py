"""StreetMap: the streets of a map in trace coordinates, for siting, plots and off-road checks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from sumo_mobility.base.arrays import Floats
from sumo_mobility.driving_side import DrivingSide
from sumo_mobility.features import NOTHING, MapFeatures, read_features

_PIECE_M = 20.0
_OFF_ROAD_M = 5.0
LARGEST_MAP_M = 200_000.0
"""Longest side of a map; beyond it no projection is true to length, and a wrong coordinate is the likely cause."""


@dataclass(frozen=True)
class StreetMap:
    """The streets of a map. Trace coordinates are metres east and north of the map's south-west corner.

    Attributes:
        name: The map's name.
        streets: Centre line of every lane, junctions included; (N, 2) each. None: open ground.
        bounds_m: West, south, east, north; west and south are 0.
        projection: PROJ string of the map.
        net_offset_m: Added to projected coordinates to obtain trace coordinates.
        licence: SPDX id of the map data.
        attribution: To be shown wherever the map is.
        driving_side: Where its streets are driven.
        file: The OpenStreetMap file, if it was made of one: it knows more than streets.
    """

    name: str
    streets: tuple[Floats, ...]
    bounds_m: tuple[float, float, float, float]
    projection: str
    net_offset_m: tuple[float, float]
    licence: str
    attribution: str
    driving_side: DrivingSide = "right"
    file: Path | None = None

    @cached_property
    def features(self) -> MapFeatures:
        """Masts and buildings, of OpenStreetMap's maps only; DataError if the file is damaged."""
        return NOTHING if self.file is None else read_features(self.file, self.projection, self.net_offset_m)

    def points(self, spacing_m: float) -> Floats:
        """Points on the lanes' centre lines, no farther than `spacing_m` apart and evenly by length, (N, 2)."""
        parts = []
        for line in self.streets:
            length_m = np.hypot(*np.diff(line, axis=0).T)
            along_m = np.append(0, length_m.cumsum())
            count = max(1, int(np.ceil(along_m[-1] / spacing_m)))
            at_m = (np.arange(count) + 0.5) * along_m[-1] / count
            parts.append(np.column_stack([np.interp(at_m, along_m, line[:, axis]) for axis in range(2)]))
        return np.concatenate(parts) if parts else np.empty((0, 2))

    def distance_m(self, position_m: Floats) -> Floats:
        """Distance of each position (..., 2) to the nearest lane's centre line, (...); 0 on open ground."""
        position_m = np.asarray(position_m, dtype=np.float64)
        points = position_m.reshape(-1, 2)
        if not len(points) or not self.streets:
            return np.zeros(position_m.shape[:-1])
        start, along, middles = self._pieces
        # The nearest piece's middle is at most half a piece farther than its nearest point.
        near = middles.query_ball_point(points, middles.query(points)[0] + _PIECE_M / 2 + 1e-6)
        counts = [len(pieces) for pieces in near]
        piece, point = np.concatenate(near).astype(np.int64), np.repeat(points, counts, axis=0)
        share = ((point - start[piece]) * along[piece]).sum(axis=1) / np.maximum((along[piece] ** 2).sum(axis=1), 1e-12)
        away = point - start[piece] - np.clip(share, 0, 1)[:, None] * along[piece]
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        return np.minimum.reduceat(np.hypot(away[:, 0], away[:, 1]), first).reshape(position_m.shape[:-1])

    def off_road_share(self, position_m: Floats) -> float:
        """Returns the share of positions (..., 2) that are farther than 5 m from all lanes' centre lines."""
        return float((self.distance_m(position_m) > _OFF_ROAD_M).mean())

    @cached_property
    def _pieces(self) -> tuple[Floats, Floats, cKDTree]:
        """Starts and vectors (P, 2) of the lines cut into pieces of at most _PIECE_M, and a tree of their middles."""
        starts = np.concatenate([line[:-1] for line in self.streets])
        vectors = np.concatenate([np.diff(line, axis=0) for line in self.streets])
        cuts = np.maximum(np.ceil(np.hypot(vectors[:, 0], vectors[:, 1]) / _PIECE_M), 1).astype(np.int64)
        along = np.repeat(vectors / cuts[:, None], cuts, axis=0)
        order = np.arange(cuts.sum()) - np.repeat(np.cumsum(cuts) - cuts, cuts)
        start = np.repeat(starts, cuts, axis=0) + order[:, None] * along
        return start, along, cKDTree(start + along / 2)
