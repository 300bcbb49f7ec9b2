"""Map matching: the ways that the UEs of a trace took through the road graph.

A beam search over hypotheses (Newson and Krumm 2009, with reachability in place of their route-length term):
whatever is left between a position and its place on the road, such as the lane or a parking bay, is kept as an
offset, so that nothing of the trace is lost.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from cf_augment.model.roads import Indices, RoadGraph
from sumo_mobility.base.arrays import Floats
from sumo_mobility.trace import MobilityTrace

_BEAM, _STILL_M, _REACH_M = 6, 0.05, 12.0
_HEADING_COST, _DETOUR_COST_PER_M, _SPREAD_M = 3.0, 0.3, 1.5


@dataclass(frozen=True)
class Ways:
    """The ways of the U UEs of a trace of T rows on the road graph.

    Attributes:
        road: (T, U) index of the road.
        offset_m: (T, U) along the road.
        distance_m: (T-1, U) driven between rows.
        beside_m: (T, U, 2) position minus the place on the road's centre line.
        route: for each UE the roads it took, in order; route[u][0] is road[0, u].
        stage: (T, U) index into the UE's route.
    """

    road: Indices
    offset_m: Floats
    distance_m: Floats
    beside_m: Floats
    route: list[list[int]]
    stage: Indices


@dataclass(frozen=True)
class _Hypothesis:
    cost: float
    road: int
    offset_m: float
    distance_m: float
    way: tuple[int, ...]
    """The roads entered in this step."""
    before: _Hypothesis | None


def match(graph: RoadGraph, trace: MobilityTrace) -> Ways:
    """Finds the way of every UE; deterministic, whatever the trace: a position off the map is far beside it."""
    steps, ues = trace.position_m.shape[:2]
    road, stage = np.zeros((steps, ues), np.int64), np.zeros((steps, ues), np.int64)
    offset, distance = np.zeros((steps, ues)), np.zeros((steps - 1, ues))
    routes = []
    for ue in range(ues):
        best = min(_search(graph, trace, ue), key=lambda hypothesis: hypothesis.cost)
        chain: list[_Hypothesis] = []
        here: _Hypothesis | None = best
        while here is not None:
            chain.append(here)
            here = here.before
        chain.reverse()
        route = [chain[0].road]
        for row, hypothesis in enumerate(chain):
            route.extend(hypothesis.way)
            road[row, ue], offset[row, ue], stage[row, ue] = hypothesis.road, hypothesis.offset_m, len(route) - 1
            if row:
                distance[row - 1, ue] = hypothesis.distance_m
        routes.append(route)
    beside = trace.position_m - graph.place(road, offset)[0]
    return Ways(road, offset, distance, beside, routes, stage)


def _search(graph: RoadGraph, trace: MobilityTrace, ue: int) -> list[_Hypothesis]:
    points = trace.position_m[:, ue].tolist()
    heading = np.radians(trace.heading_deg[:, ue])
    facing = np.column_stack([np.sin(heading), np.cos(heading)]).tolist()
    radius = _REACH_M
    while not len(starts := graph.near(trace.position_m[0, ue], radius)):
        radius *= 2
    beam = []
    for start in starts.tolist():
        offset, misfit = _foot(graph, start, 0.0, points[0], facing[0])
        beam.append(_Hypothesis(misfit, start, offset, 0.0, (), None))
    beam = sorted(beam, key=lambda hypothesis: hypothesis.cost)[:_BEAM]
    for row in range(1, len(points)):
        moved = math.dist(points[row], points[row - 1])
        if moved < _STILL_M:
            beam = [
                _Hypothesis(hypothesis.cost, hypothesis.road, hypothesis.offset_m, 0.0, (), hypothesis)
                for hypothesis in beam
            ]
            continue
        feet: dict[int, tuple[float, float]] = {}
        found: dict[int, _Hypothesis] = {}
        for hypothesis in beam:
            for way, start_m in _reachable(graph, hypothesis.road, hypothesis.offset_m, moved + _REACH_M):
                last = way[-1] if way else hypothesis.road
                if last not in feet:
                    feet[last] = _foot(graph, last, 0.0, points[row], facing[row])
                offset, misfit = feet[last]
                if not way and offset < hypothesis.offset_m:
                    offset, misfit = _foot(graph, last, hypothesis.offset_m, points[row], facing[row])
                driven = start_m + offset
                cost = hypothesis.cost + misfit + _DETOUR_COST_PER_M * abs(driven - moved)
                if last not in found or cost < found[last].cost:
                    found[last] = _Hypothesis(cost, last, offset, driven, way, hypothesis)
        beam = sorted(found.values(), key=lambda hypothesis: (hypothesis.cost, hypothesis.road))[:_BEAM]
    return beam


def _reachable(graph: RoadGraph, road: int, offset_m: float, limit_m: float) -> list[tuple[tuple[int, ...], float]]:
    """Ways that begin within `limit_m`, and the distance to add to an offset on their last road."""
    result: list[tuple[tuple[int, ...], float]] = [((), -offset_m)]
    open_ways: deque[tuple[tuple[int, ...], int, float]] = deque()
    open_ways.append(((), road, float(graph.length_m[road]) - offset_m))
    shortest: dict[int, float] = {}
    while open_ways:
        way, last, start_m = open_ways.popleft()
        if start_m > limit_m:
            continue
        for following in graph.successors[last].tolist():
            if start_m < shortest.get(following, math.inf):
                shortest[following] = start_m
                longer = (*way, following)
                result.append((longer, start_m))
                open_ways.append((longer, following, start_m + float(graph.length_m[following])))
    return result


def _foot(graph: RoadGraph, road: int, from_m: float, point_m: list[float], facing: list[float]) -> tuple[float, float]:
    """Offset of the nearest place on a road, not before `from_m`, and what it costs."""
    offset, square, ux, uy = graph.nearest(point_m[0], point_m[1], road, from_m)
    across = 1 - ux * facing[0] - uy * facing[1]
    return offset, min(square, 2500.0) / (2 * _SPREAD_M**2) + _HEADING_COST * across
