"""Streets: UEs drive on roads, at the pace of each road, on the quickest ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from cf_augment.model.ground import Ground
from cf_augment.model.roads import RoadGraph
from sumo_mobility.base.arrays import Bools, Floats, Ints, Singles
from sumo_mobility.base.errors import DataError
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import STANDING_MPS, MobilityTrace

_MOST_PLACES, _SHORTEST_PLACE_M = 400, 15.0
_NEAREST, _REFINEMENTS = 8, 2
_NO_WAY_S = 1e4
"""Longer than any journey: what cannot be reached is as far as that."""
_PARKED_M, _ON_ROAD_M = (1.0, 8.0), 6.0
"""How far from the lane those who are parked stand, and those who drive are at most."""
_KNOWN_AFTER_S, _SLOWEST_MPS, _MOVES_MPS, _KNOWN_AFTER = 20.0, 1.0, 1.0, 30
_BACK_M = 3.0
"""A step back of less than this is none: a UE that parks or changes its lane."""


@dataclass(frozen=True)
class RoadSpots:
    """Places of N UEs on the roads.

    Attributes:
        road: (N,).
        offset_m: (N,) along the road.
        beside_m: (N, 2) from the road's first lane to the UE.
    """

    road: Ints
    offset_m: Floats
    beside_m: Floats

    @property
    def away_m(self) -> Floats:
        """(N,) how far the UEs are from the lane."""
        return np.hypot(self.beside_m[:, 0], self.beside_m[:, 1])


@dataclass
class Drivers:
    """N UEs that move; where they were seen beside the road they stay until they set out."""

    road: Ints
    offset_m: Floats
    beside_m: Floats


class Streets(Ground[RoadSpots, Drivers]):
    """R roads, with the middles of those of some length as places, or of as many of them as can be told apart.

    Args:
        graph: The roads.
        pace_mps: (R,) how fast one gets on, with all that stops one on the way.
        cruise_mps: (R,) how fast one is while nothing stops one.
        parked_m: How far to the right of the lane UEs park.

    Attributes:
        graph: The roads.
        pace_mps, cruise_mps, parked_m: See above.
        place_road: (P,) the road of each place.
    """

    def __init__(self, graph: RoadGraph, pace_mps: Floats, cruise_mps: Floats, parked_m: float = 0.0) -> None:
        self.graph, self.bounds_m = graph, graph.bounds_m
        self.pace_mps, self.cruise_mps, self.parked_m = pace_mps, cruise_mps, parked_m
        metres = graph.length_m * graph.lanes
        places = np.flatnonzero(graph.length_m >= min(_SHORTEST_PLACE_M, graph.length_m.max()))
        if len(places) > _MOST_PLACES:  # evenly by metres of lane
            sums = np.cumsum(metres[places])
            wanted = (np.arange(_MOST_PLACES) + 0.5) / _MOST_PLACES * sums[-1]
            places = np.unique(places[np.searchsorted(sums, wanted)])
        self.place_road = places
        self.weight = metres[places] / metres[places].sum()
        self._middle_m, self._cost_s = graph.length_m / 2, graph.length_m / pace_mps
        self.place_m = graph.place(places, self._middle_m[places])[0]

    @classmethod
    def learned(cls, street_map: StreetMap, traces: Sequence[MobilityTrace]) -> Self:
        """See `Ground.learned`; a road that few took has about the pace of all."""
        graph = RoadGraph.build(street_map)
        driven_m, spent_s, ones = np.zeros(len(graph)), np.zeros(len(graph)), np.ones(len(graph))
        unpaced, parked_m = cls(graph, ones, ones), [np.zeros(1)]
        moving_mps: list[Floats] = []
        on_road: list[Ints] = []
        for trace in traces:
            spots, stays = unpaced.locate(trace.position_m.reshape(-1, 2)), unpaced.stays(trace).ravel()
            right = graph.place(spots.road, spots.offset_m)[1][:, ::-1] * (1, -1)
            parked_m.append((spots.beside_m * right).sum(axis=-1)[stays])
            drives = (spots.away_m < _ON_ROAD_M) & ~stays
            np.add.at(driven_m, spots.road[drives], trace.speed_mps.ravel()[drives] * trace.step_s)
            np.add.at(spent_s, spots.road[drives], trace.step_s)
            moves = drives & (trace.speed_mps.ravel() > _MOVES_MPS)
            moving_mps.append(trace.speed_mps.ravel()[moves])
            on_road.append(spots.road[moves])
        if not driven_m.sum() > 0:
            raise DataError("model: in none of the traces is a UE under way on the streets of the map")
        mean_mps = driven_m.sum() / spent_s.sum()
        pace_mps = (driven_m + _KNOWN_AFTER_S * mean_mps) / (spent_s + _KNOWN_AFTER_S)
        pace_mps = np.maximum(pace_mps, min(_SLOWEST_MPS, mean_mps))
        cruise_mps = _medians(np.concatenate(moving_mps), np.concatenate(on_road), len(graph), mean_mps)
        return cls(graph, pace_mps, cruise_mps, float(np.median(np.concatenate(parked_m))))

    @classmethod
    def at_pace(cls, street_map: StreetMap, pace_mps: Floats, cruise_mps: Floats, parked_m: float) -> Self:
        """See `Ground.at_pace`."""
        graph = RoadGraph.build(street_map)
        if len(pace_mps) != len(graph) or len(cruise_mps) != len(graph):
            raise DataError(f"made for {len(pace_mps)} roads, not for {street_map.name} with {len(graph)}")
        return cls(graph, pace_mps, cruise_mps, parked_m)

    @property
    def points_m(self) -> Floats:
        """See `Ground.points_m`."""
        return self.graph.place(self.graph.spot_road, self.graph.spot_offset_m)[0]

    def locate(self, position_m: Floats) -> RoadSpots:
        """Returns the nearest places on the roads; of a street's two directions, the nearer lane."""
        graph = self.graph
        near = graph.spots_near(position_m, _NEAREST)
        road, offset_m = graph.spot_road[near], graph.spot_offset_m[near]
        for _ in range(_REFINEMENTS):
            place_m, direction = graph.place(road, offset_m)
            along_m = ((position_m[:, None] - place_m) * direction).sum(axis=-1)
            offset_m = np.clip(offset_m + along_m, 0, graph.length_m[road])
        beside_m = position_m[:, None] - graph.place(road, offset_m)[0]
        best = np.arange(len(position_m)), (beside_m**2).sum(axis=-1).argmin(axis=1)
        return RoadSpots(road[best], offset_m[best], beside_m[best])

    def is_parked(self, spots: RoadSpots) -> Bools:
        """Returns who is beside the lane."""
        away_m = spots.away_m
        return (away_m > _PARKED_M[0]) & (away_m < _PARKED_M[1])

    def stays(self, trace: MobilityTrace) -> Bools:
        """Returns who stands beside the lane; who stands on it does so at a light or in a queue."""
        parked = self.is_parked(self.locate(trace.position_m.reshape(-1, 2)))
        return (trace.speed_mps < STANDING_MPS) & parked.reshape(trace.speed_mps.shape)

    @cached_property
    def apart_s(self) -> Singles:
        """(P, P) from place to place."""
        roads = self.place_road
        middles = RoadSpots(roads, self._middle_m[roads] + 1e-6, np.zeros((len(roads), 2)))
        return self.to_places_s(middles)

    def to_places_s(self, spots: RoadSpots) -> Singles:
        """Returns the time from spots to places, (N, P)."""
        road = spots.road
        left_s = (self.graph.length_m[road] - spots.offset_m) / self.pace_mps[road]
        time_s = left_s[:, None] + self._to_places_s[road]
        ahead_s = (self._middle_m[road] - spots.offset_m) / self.pace_mps[road]
        on_it = (road[:, None] == self.place_road) & (ahead_s >= 0)[:, None]
        return np.where(on_it, ahead_s[:, None], time_s).astype(np.float32)

    def from_places_s(self, spots: RoadSpots) -> Singles:
        """Returns the time from places to spots, (N, P)."""
        road, places = spots.road, self.place_road
        rest_s = (self.graph.length_m[road] - spots.offset_m) / self.pace_mps[road]
        time_s = (0.5 * self._cost_s[places])[:, None] + self._from_places_s[:, road] - rest_s
        passed_s = (spots.offset_m - self._middle_m[road]) / self.pace_mps[road]
        on_it = (road == places[:, None]) & (passed_s >= 0)
        return np.where(on_it, passed_s, np.maximum(time_s, 0)).T.astype(np.float32)

    def between_s(self, first: RoadSpots, last: RoadSpots) -> Floats:
        """Returns the time from spots to other spots, (N,)."""
        left_s = (self.graph.length_m[first.road] - first.offset_m) / self.pace_mps[first.road]
        rest_s = (self.graph.length_m[last.road] - last.offset_m) / self.pace_mps[last.road]
        ahead_m = last.offset_m - first.offset_m
        on_it = (first.road == last.road) & (ahead_m >= -_BACK_M)
        time_s = left_s + self._ends_s(first.road)[np.arange(len(first.road)), last.road] - rest_s
        return np.where(on_it, np.maximum(ahead_m, 0) / self.pace_mps[first.road], np.maximum(time_s, 0))

    def set_out(self, spots: RoadSpots, copies: int) -> Drivers:
        """See `Ground.set_out`."""
        return Drivers(*(np.concatenate([each] * copies) for each in (spots.road, spots.offset_m, spots.beside_m)))

    def go(self, walkers: Drivers, who: Ints, place: Ints, pace: Floats, left_s: Floats) -> tuple[Floats, Bools]:
        """See `Ground.go`; a way is chosen at the end of each road."""
        road, offset_m = walkers.road[who], walkers.offset_m[who]
        is_last = (road == self.place_road[place]) & (offset_m <= self._middle_m[road])
        end_m = np.where(is_last, self._middle_m[road], self.graph.length_m[road])
        speed_mps = self.pace_mps[road] * pace
        needs_s = (end_m - offset_m) / speed_mps
        takes_s = np.minimum(needs_s, left_s)
        at_end = needs_s <= left_s
        enters, arrived = at_end & ~is_last, at_end & is_last
        offset_m += takes_s * speed_mps
        offset_m[arrived] += 1e-3  # past it, so that the same place is a way around
        offset_m[enters] = 0.0
        walkers.offset_m[who] = offset_m
        walkers.road[who[enters]] = self._onward[road[enters], place[enters]]
        walkers.beside_m[who] = 0.0
        right = self.graph.place(road[arrived], offset_m[arrived])[1][:, ::-1] * (1, -1)
        walkers.beside_m[who[arrived]] = self.parked_m * right
        return takes_s, arrived

    def pace_at(self, spots: RoadSpots) -> Floats:
        """See `Ground.pace_at`."""
        return np.asarray(self.pace_mps[spots.road])

    def cruise_at(self, spots: RoadSpots) -> Floats:
        """See `Ground.cruise_at`."""
        return np.asarray(self.cruise_mps[spots.road])

    def bays_m(self, place: Ints) -> Floats:
        """See `Ground.bays_m`; beside the lane."""
        road = self.place_road[place]
        middle_m, direction = self.graph.place(road, self._middle_m[road])
        return middle_m + self.parked_m * direction[:, ::-1] * (1, -1)

    def spots(self, walkers: Drivers) -> RoadSpots:
        """See `Ground.spots`."""
        return RoadSpots(walkers.road, walkers.offset_m, walkers.beside_m)

    def ahead_m(self, walkers: Drivers, who: Ints, place: Ints) -> Floats:
        """See `Ground.ahead_m`."""
        road, offset_m = walkers.road[who], walkers.offset_m[who]
        left_m = self._middle_m[road] - offset_m
        return np.where((road == self.place_road[place]) & (left_m >= 0), np.maximum(left_m, 0), np.inf)

    def position_m(self, walkers: Drivers) -> Floats:
        """See `Ground.position_m`."""
        return self.graph.place(walkers.road, walkers.offset_m)[0] + walkers.beside_m

    @cached_property
    def _steps(self) -> csr_array:
        """(R, R) time on each road that can follow."""
        roads = len(self.graph)
        first = np.repeat(np.arange(roads), [len(ways) for ways in self.graph.successors])
        following = np.concatenate([*self.graph.successors, np.empty(0, np.int64)])
        return csr_array((self._cost_s[following], (first, following)), shape=(roads, roads))

    def _ends_s(self, road: Ints) -> Singles:
        """Returns the time from the end of roads to the ends of all, (N, R); to its own, once around."""
        missing = np.unique(road[~self._is_known[road]])
        if len(missing):
            ends_s = np.minimum(dijkstra(self._steps, indices=missing), _NO_WAY_S)
            into = self._steps.tocsc()
            for row, here in enumerate(missing):
                before = into.indices[into.indptr[here] : into.indptr[here + 1]]
                around_s = ends_s[row, before].min(initial=_NO_WAY_S) + self._cost_s[here]
                ends_s[row, here] = min(around_s, _NO_WAY_S)
            self._known_s[missing], self._is_known[missing] = ends_s, True
        return self._known_s[road]

    @cached_property
    def _known_s(self) -> Singles:
        """(R, R) what was asked for; the system gives memory to rows that are written alone."""
        return np.empty((len(self.graph), len(self.graph)), np.float32)

    @cached_property
    def _is_known(self) -> Bools:
        return np.zeros(len(self.graph), dtype=bool)

    @cached_property
    def _from_places_s(self) -> Singles:
        """(P, R) from the end of a place's road to the end of another."""
        return self._ends_s(self.place_road)

    @cached_property
    def _to_places_s(self) -> Singles:
        """(R, P) from the end of a road to a place."""
        places = self.place_road
        ends_s = np.minimum(dijkstra(self._steps.T.tocsr(), indices=places).T, _NO_WAY_S)
        ends_s[places, np.arange(len(places))] = self._from_places_s[np.arange(len(places)), places]
        return (ends_s - 0.5 * self._cost_s[places]).astype(np.float32)

    @cached_property
    def _onward(self) -> Ints:
        """(R, P) the road that follows on the quickest way to a place; the road itself where there is none."""
        cost_s, onward = self._cost_s, np.empty(self._to_places_s.shape, np.int64)
        arrived = np.arange(len(self.graph))[:, None] == self.place_road
        # Once on its road, a place is half a road away, and not once around.
        entered_s = np.where(arrived, -0.5 * cost_s[:, None], self._to_places_s)
        for road, ways in enumerate(self.graph.successors):
            best = (cost_s[ways][:, None] + entered_s[ways]).argmin(axis=0) if len(ways) else None
            onward[road] = road if best is None else ways[best]
        return onward


def _medians(value: Floats, of: Ints, count: int, unknown: float) -> Floats:
    """Returns the median value of each of some groups (count,); where few are known, that of all."""
    order = np.lexsort((value, of))
    ends = np.searchsorted(of[order], np.arange(count + 1))
    found = np.full(count, np.median(value) if len(value) else unknown)
    for group, (first, last) in enumerate(pairwise(ends.tolist())):
        if last - first >= _KNOWN_AFTER:
            found[group] = np.median(value[order[first:last]])
    return found
