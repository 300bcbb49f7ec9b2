"""The streets as a directed graph: roads (bundles of parallel lanes) and what follows each of them.

Built from centre lines alone, so that any StreetMap serves: a road follows another if one of its lanes begins
where a lane of the other ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from sumo_mobility.base.arrays import Floats, Ints
from sumo_mobility.base.errors import DataError
from sumo_mobility.streets import StreetMap

_JOIN_M, _ABREAST_M, _BUNDLED_M = 0.3, 4.0, 8.0
_SHORTEST_M, _SPACING_M = 0.05, 5.0


@dataclass(frozen=True)
class RoadGraph:
    """R roads; a place is (road, offset along its first lane's centre line).

    Attributes:
        length_m: (R,).
        lanes: (R,) number of parallel lanes.
        successors: for each road those that can follow, sorted; empty at a dead end.
        bounds_m: of the map.
        spot_road: (S,) spots all over the map, about 5 m apart: their road.
        spot_offset_m: (S,) their offsets.
    """

    length_m: Floats
    lanes: Ints
    successors: tuple[Ints, ...]
    bounds_m: tuple[float, float, float, float]
    spot_road: Ints
    spot_offset_m: Floats
    _knots_m: Floats
    _knot_offset: Floats
    _base: Floats
    _first_knot: Ints
    _spots: cKDTree

    @classmethod
    def build(cls, streets: StreetMap) -> RoadGraph:
        """Bundles the lanes and joins them.

        Raises:
            DataError: the map has no street of any length.
        """
        # A lane of no length is where its neighbours meet anyway.
        lines = [line for line in map(_distinct, streets.streets) if _offsets(line)[-1] > _SHORTEST_M]
        if not lines:
            raise DataError(
                f"map {streets.name}: no street of any length",
                "leave the model out: mlb augment --generated-traces 0",
            )
        begin, end = np.array([line[0] for line in lines]), np.array([line[-1] for line in lines])
        length = np.array([_offsets(line)[-1] for line in lines])
        road_of = _bundles(begin, end, length)
        first = np.unique(road_of, return_index=True)[1]
        roads = [lines[index] for index in first]
        following: list[set[int]] = [set() for _ in roads]
        near = cKDTree(begin).query_ball_point(end, _JOIN_M)
        for lane, starts in enumerate(near):
            following[road_of[lane]].update(int(road_of[other]) for other in starts)
        successors = [np.array(sorted(ways - {road}), dtype=np.int64) for road, ways in enumerate(following)]
        successors = _without_traps(successors)
        knots = np.concatenate(roads)
        offsets = [_offsets(line) for line in roads]
        # One increasing axis for all roads, 1 m apart, so that a place of any road is one search.
        base = np.concatenate([[0.0], np.cumsum([o[-1] + 1.0 for o in offsets])])[:-1]
        spots, spot_road, spot_offset = _spread(roads)
        lanes = np.bincount(road_of)
        return cls(
            length_m=np.array([o[-1] for o in offsets]),
            lanes=lanes,
            successors=tuple(successors),
            bounds_m=streets.bounds_m,
            spot_road=spot_road,
            spot_offset_m=spot_offset,
            _knots_m=knots,
            _knot_offset=np.concatenate([o + b for o, b in zip(offsets, base, strict=True)]),
            _base=base,
            _first_knot=np.cumsum([0, *map(len, roads)]),
            _spots=cKDTree(spots),
        )

    def __len__(self) -> int:
        return len(self.length_m)

    def place(self, road: Ints, offset_m: Floats) -> tuple[Floats, Floats]:
        """Position (..., 2) and unit direction (..., 2) of places (...)."""
        at = self._base[road] + np.clip(offset_m, 0, self.length_m[road])
        knot = np.searchsorted(self._knot_offset, at, side="right") - 1
        knot = np.clip(knot, self._first_knot[road], self._first_knot[road + 1] - 2)
        along = self._knots_m[knot + 1] - self._knots_m[knot]
        size = self._knot_offset[knot + 1] - self._knot_offset[knot]
        share = np.clip((at - self._knot_offset[knot]) / size, 0, 1)
        return self._knots_m[knot] + share[..., None] * along, along / size[..., None]

    def spots_near(self, point_m: Floats, count: int) -> Ints:
        """Ints of the spots nearest to points (N, 2), the nearest first; (N, `count`) or as many as there are."""
        return self._spots.query(point_m, k=[*range(1, min(count, len(self.spot_road)) + 1)])[1]


def _distinct(line: Floats) -> Floats:
    """The line without points that repeat the one before."""
    line = np.asarray(line, dtype=np.float64)
    return line[np.concatenate([[True], np.hypot(*np.diff(line, axis=0).T) > 1e-6])]


def _offsets(line: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])


def _bundles(begin: Floats, end: Floats, length: Floats) -> Ints:
    """Numbers the roads in the order of their first lanes: lanes abreast, of like length, are one road."""
    pairs = [
        (i, j)
        for i, j in sorted(cKDTree(begin).query_pairs(_ABREAST_M))
        if np.hypot(*(end[i] - end[j])) < _ABREAST_M
        and min(length[i], length[j]) > _BUNDLED_M
        and abs(length[i] - length[j]) < 3 + 0.15 * length[i]
        and np.dot(end[i] - begin[i], end[j] - begin[j]) > 0
    ]
    i, j = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    joined = coo_matrix((np.ones(len(i)), (i, j)), shape=(len(begin), len(begin)))
    label = connected_components(joined, directed=False)[1]
    order = {name: number for number, name in enumerate(dict.fromkeys(label.tolist()))}
    return np.array([order[name] for name in label.tolist()], dtype=np.int64)


def _without_traps(successors: list[Ints]) -> list[Ints]:
    """Drops the ways into parts that one cannot leave, wherever another way is left."""
    start = np.repeat(np.arange(len(successors)), [len(ways) for ways in successors])
    stop = np.concatenate([*successors, np.empty(0, np.int64)])
    size = (len(successors), len(successors))
    label = connected_components(coo_matrix((np.ones(len(start)), (start, stop)), shape=size), connection="strong")[1]
    main = np.bincount(label).argmax()
    kept = []
    for ways in successors:
        good = ways[label[ways] == main]
        kept.append(good if len(good) else ways)
    return kept


def _spread(roads: list[Floats]) -> tuple[Floats, Ints, Floats]:
    """Spots all over the roads: position, road and offset."""
    points, owner, offsets = [], [], []
    for index, line in enumerate(roads):
        offset = _offsets(line)
        parts = math.ceil(offset[-1] / _SPACING_M)
        at = (np.arange(parts) + 0.5) * offset[-1] / parts
        points.append(np.column_stack([np.interp(at, offset, line[:, axis]) for axis in (0, 1)]))
        owner.append(np.full(parts, index))
        offsets.append(at)
    return np.concatenate(points), np.concatenate(owner), np.concatenate(offsets)
