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

Indices = Ints

_JOIN_M, _ABREAST_M, _BUNDLED_M = 0.3, 4.0, 8.0
_AHEAD_M, _SHORTEST_M, _SPACING_M = 120.0, 0.05, 5.0
_LATERAL_MPS2, _SLOWEST_TURN_MPS = 5.5, 3.0
"""netconvert's default junctions.limit-turn-speed: lateral acceleration that bounds the speed of a turn."""


@dataclass(frozen=True)
class RoadGraph:
    """R roads; a place is (road, offset along its first lane's centre line).

    Attributes:
        length_m: (R,).
        lanes: (R,) number of parallel lanes.
        speed_cap_mps: (R,) what its curvature allows, infinite if straight.
        turn_rad: (R,) change of heading from its begin to its end, positive to the left.
        ahead: (R, 2) unit vector from its begin to the place that a driver who goes straight on reaches after 120 m.
        successors: for each road those that can follow, sorted; empty at a dead end.
        bounds_m: of the map.
        spot_road: (P,) places all over the map, about 5 m apart: their road.
        spot_offset_m: (P,) their offsets.
        spot_weight: (P,) metres of lane that each stands for.
    """

    length_m: Floats
    lanes: Indices
    speed_cap_mps: Floats
    turn_rad: Floats
    ahead: Floats
    successors: tuple[Indices, ...]
    bounds_m: tuple[float, float, float, float]
    spot_road: Indices
    spot_offset_m: Floats
    spot_weight: Floats
    _knots_m: Floats
    _knot_offset: Floats
    _base: Floats
    _first_knot: Indices
    _spots: cKDTree
    _segments: list[list[tuple[float, ...]]]

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
                f"map {streets.name}: no street of any length, and the causal model draws UEs on streets",
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
        turn, cap = _curvature(roads)
        knots = np.concatenate(roads)
        offsets = [_offsets(line) for line in roads]
        # One increasing axis for all roads, 1 m apart, so that a place of any road is one search.
        base = np.concatenate([[0.0], np.cumsum([o[-1] + 1.0 for o in offsets])])[:-1]
        spots, spot_road, spot_offset, spot_length = _spread(roads)
        lanes = np.bincount(road_of)
        return cls(
            length_m=np.array([o[-1] for o in offsets]),
            lanes=lanes,
            speed_cap_mps=cap,
            turn_rad=turn,
            ahead=_ahead(roads, successors),
            successors=tuple(successors),
            bounds_m=streets.bounds_m,
            spot_road=spot_road,
            spot_offset_m=spot_offset,
            spot_weight=spot_length * lanes[spot_road],
            _knots_m=knots,
            _knot_offset=np.concatenate([o + b for o, b in zip(offsets, base, strict=True)]),
            _base=base,
            _first_knot=np.cumsum([0, *map(len, roads)]),
            _spots=cKDTree(spots),
            _segments=[_segments(line) for line in roads],
        )

    def __len__(self) -> int:
        return len(self.length_m)

    def place(self, road: Indices, offset_m: Floats) -> tuple[Floats, Floats]:
        """Position (..., 2) and unit direction (..., 2) of places (...)."""
        at = self._base[road] + np.clip(offset_m, 0, self.length_m[road])
        knot = np.searchsorted(self._knot_offset, at, side="right") - 1
        knot = np.clip(knot, self._first_knot[road], self._first_knot[road + 1] - 2)
        along = self._knots_m[knot + 1] - self._knots_m[knot]
        size = self._knot_offset[knot + 1] - self._knot_offset[knot]
        share = np.clip((at - self._knot_offset[knot]) / size, 0, 1)
        return self._knots_m[knot] + share[..., None] * along, along / size[..., None]

    def near(self, point_m: Floats, radius_m: float) -> Indices:
        """Roads with a place within about `radius_m` of one point, sorted."""
        return np.unique(self.spot_road[self._spots.query_ball_point(point_m, radius_m + _SPACING_M / 2)])

    def spots_near(self, point_m: Floats, count: int) -> Indices:
        """Indices of the spots nearest to points (N, 2), the nearest first; (N, `count`) or as many as there are."""
        return self._spots.query(point_m, k=[*range(1, min(count, len(self.spot_road)) + 1)])[1]

    def spot(self, road: Indices, offset_m: Floats) -> Indices:
        """Index of the spot that stands for each place (...)."""
        first = np.searchsorted(self.spot_road, np.arange(len(self) + 1))
        parts = first[road + 1] - first[road]
        at = (offset_m / self.length_m[road] * parts).astype(np.int64)
        return first[road] + np.clip(at, 0, parts - 1)

    def nearest(self, x_m: float, y_m: float, road: int, from_m: float = 0.0) -> tuple[float, float, float, float]:
        """The place on one road, not before `from_m`, that is nearest to a point.

        Returns:
            Its offset, the squared distance to the point, and the road's unit direction there (x, y).
        """
        best = (from_m, math.inf, 0.0, 0.0)
        for x0_m, y0_m, ux, uy, begin_m, size_m in self._segments[road]:
            if begin_m + size_m < from_m:
                continue
            along = (x_m - x0_m) * ux + (y_m - y0_m) * uy
            along = min(max(along, from_m - begin_m, 0.0), size_m)
            square = (x0_m + along * ux - x_m) ** 2 + (y0_m + along * uy - y_m) ** 2
            if square < best[1]:
                best = (begin_m + along, square, ux, uy)
        return best


def _distinct(line: Floats) -> Floats:
    """The line without points that repeat the one before."""
    line = np.asarray(line, dtype=np.float64)
    return line[np.concatenate([[True], np.hypot(*np.diff(line, axis=0).T) > 1e-6])]


def _offsets(line: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])


def _segments(line: Floats) -> list[tuple[float, ...]]:
    """Begin, unit direction, offset and length of each, as plain numbers: NumPy is slow on so few."""
    along = np.diff(line, axis=0)
    size = np.hypot(*along.T)
    rows = np.column_stack([line[:-1], along / size[:, None], _offsets(line)[:-1], size])
    return [tuple(row) for row in rows.tolist()]


def _bundles(begin: Floats, end: Floats, length: Floats) -> Indices:
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


def _without_traps(successors: list[Indices]) -> list[Indices]:
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


def _curvature(roads: list[Floats]) -> tuple[Floats, Floats]:
    turn, cap = np.zeros(len(roads)), np.full(len(roads), np.inf)
    for index, line in enumerate(roads):
        along = np.diff(line, axis=0)
        if len(along) > 1:
            bends = np.diff(np.unwrap(np.arctan2(along[:, 1], along[:, 0])))
            turn[index] = bends.sum()
            if np.abs(bends).sum() > 0.5 and _offsets(line)[-1] < 60:
                radius = _offsets(line)[-1] / np.abs(bends).sum()
                cap[index] = max(_SLOWEST_TURN_MPS, np.sqrt(_LATERAL_MPS2 * radius))
    return turn, cap


def _ahead(roads: list[Floats], successors: list[Indices]) -> Floats:
    def direction(line: Floats, at: int) -> Floats:
        along = line[at + 1] - line[at] if at >= 0 else line[-1] - line[-2]
        return along / np.hypot(*along)

    result = np.zeros((len(roads), 2))
    for index, line in enumerate(roads):
        road, travelled = index, _offsets(line)[-1]
        while travelled < _AHEAD_M and len(successors[road]):
            heading = direction(roads[road], -1)
            road = int(max(successors[road], key=lambda way: float(heading @ direction(roads[way], 0))))
            travelled += _offsets(roads[road])[-1]
        away = roads[road][-1] - line[0]
        result[index] = away / np.hypot(*away) if np.hypot(*away) > 1 else direction(line, 0)
    return result


def _spread(roads: list[Floats]) -> tuple[Floats, Indices, Floats, Floats]:
    """Spots all over the roads: position, road, offset, and the length that each stands for."""
    points, owner, offsets, lengths = [], [], [], []
    for index, line in enumerate(roads):
        offset = _offsets(line)
        parts = math.ceil(offset[-1] / _SPACING_M)
        at = (np.arange(parts) + 0.5) * offset[-1] / parts
        points.append(np.column_stack([np.interp(at, offset, line[:, axis]) for axis in (0, 1)]))
        owner.append(np.full(parts, index))
        offsets.append(at)
        lengths.append(np.full(parts, offset[-1] / parts))
    return np.concatenate(points), np.concatenate(owner), np.concatenate(offsets), np.concatenate(lengths)
