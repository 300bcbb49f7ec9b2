"""Where UEs are on the streets, how long the quickest ways take, and where they lead."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from cf_augment.model.roads import RoadGraph
from sumo_mobility.base.arrays import Floats, Ints, Singles

_MOST_PLACES, _SHORTEST_PLACE_M = 400, 15.0
_NEAREST, _REFINEMENTS = 8, 2
_NO_WAY_S = 1e4
"""Longer than any journey: what cannot be reached is as far as that."""


@dataclass(frozen=True)
class Spots:
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


def locate(graph: RoadGraph, position_m: Floats) -> Spots:
    """Returns the nearest place on the roads to each position (N, 2); of a street's two directions, the nearer lane."""
    near = graph.spots_near(position_m, _NEAREST)
    road, offset_m = graph.spot_road[near], graph.spot_offset_m[near]
    for _ in range(_REFINEMENTS):
        place_m, direction = graph.place(road, offset_m)
        along_m = ((position_m[:, None] - place_m) * direction).sum(axis=-1)
        offset_m = np.clip(offset_m + along_m, 0, graph.length_m[road])
    beside_m = position_m[:, None] - graph.place(road, offset_m)[0]
    best = np.arange(len(position_m)), (beside_m**2).sum(axis=-1).argmin(axis=1)
    return Spots(road[best], offset_m[best], beside_m[best])


@dataclass(frozen=True)
class Streets:
    """Travel on R roads, at a pace of their own, between P places that journeys can lead to: middles of roads.

    Attributes:
        graph: The roads.
        pace_mps: (R,) how fast one gets on, with all that stops one on the way.
        place_road: (P,) the road of each place.
    """

    graph: RoadGraph
    pace_mps: Floats
    place_road: Ints

    @classmethod
    def of(cls, graph: RoadGraph, pace_mps: Floats) -> Streets:
        """Takes the middles of all roads of some length as places, or of as many as can be told apart."""
        long = np.flatnonzero(graph.length_m >= min(_SHORTEST_PLACE_M, graph.length_m.max()))
        if len(long) > _MOST_PLACES:  # evenly by metres of lane
            metres = np.cumsum((graph.length_m * graph.lanes)[long])
            wanted = (np.arange(_MOST_PLACES) + 0.5) / _MOST_PLACES * metres[-1]
            long = np.unique(long[np.searchsorted(metres, wanted)])
        return cls(graph, pace_mps, long)

    @cached_property
    def place_m(self) -> Floats:
        """(P, 2) positions of the places."""
        return self.graph.place(self.place_road, self._middle_m[self.place_road])[0]

    @cached_property
    def weight(self) -> Floats:
        """(P,) share of the metres of lane that each place stands for."""
        metres = (self.graph.length_m * self.graph.lanes)[self.place_road]
        return np.asarray(metres / metres.sum())

    @cached_property
    def apart_s(self) -> Singles:
        """(P, P) from place to place."""
        middles = Spots(self.place_road, self._middle_m[self.place_road] + 1e-6, np.zeros((len(self.place_road), 2)))
        return self.to_places_s(middles)

    def to_places_s(self, spots: Spots) -> Singles:
        """Returns the time from spots to places, (N, P)."""
        road = spots.road
        left_s = (self.graph.length_m[road] - spots.offset_m) / self.pace_mps[road]
        time_s = left_s[:, None] + self._to_places_s[road]
        ahead_s = (self._middle_m[road] - spots.offset_m) / self.pace_mps[road]
        on_it = (road[:, None] == self.place_road) & (ahead_s >= 0)[:, None]
        return np.where(on_it, ahead_s[:, None], time_s).astype(np.float32)

    def from_places_s(self, spots: Spots) -> Singles:
        """Returns the time from places to spots, (N, P)."""
        road, places = spots.road, self.place_road
        rest_s = (self.graph.length_m[road] - spots.offset_m) / self.pace_mps[road]
        time_s = (0.5 * self._cost_s[places])[:, None] + self._ends_s[np.ix_(places, road)] - rest_s
        passed_s = (spots.offset_m - self._middle_m[road]) / self.pace_mps[road]
        on_it = (road == places[:, None]) & (passed_s >= 0)
        return np.where(on_it, passed_s, np.maximum(time_s, 0)).T.astype(np.float32)

    def between_s(self, first: Spots, last: Spots, tolerance_m: float = 3.0) -> Floats:
        """Returns the time from spots to other spots (N,); a step back of less than the tolerance takes none."""
        left_s = (self.graph.length_m[first.road] - first.offset_m) / self.pace_mps[first.road]
        rest_s = (self.graph.length_m[last.road] - last.offset_m) / self.pace_mps[last.road]
        ahead_m = last.offset_m - first.offset_m
        on_it = (first.road == last.road) & (ahead_m >= -tolerance_m)
        time_s = left_s + self._ends_s[first.road, last.road] - rest_s
        return np.where(on_it, np.maximum(ahead_m, 0) / self.pace_mps[first.road], np.maximum(time_s, 0))

    def onward(self, road: Ints, place: Ints) -> Ints:
        """Returns the road that follows on the quickest way to a place, (N,); the road itself where there is none."""
        return self._onward[road, place]

    def is_before(self, road: Ints, offset_m: Floats, place: Ints) -> Ints:
        """Returns whether the place lies ahead on the very road, (N,)."""
        return (road == self.place_road[place]) & (offset_m <= self._middle_m[road])

    @cached_property
    def _middle_m(self) -> Floats:
        return np.asarray(self.graph.length_m / 2)

    @cached_property
    def _cost_s(self) -> Floats:
        return np.asarray(self.graph.length_m / self.pace_mps)

    @cached_property
    def _ends_s(self) -> Singles:
        """(R, R) from the end of a road to the end of another; to its own, once around."""
        roads, cost_s = len(self.graph), self._cost_s
        first = np.repeat(np.arange(roads), [len(ways) for ways in self.graph.successors])
        following = np.concatenate([*self.graph.successors, np.empty(0, np.int64)])
        steps = coo_matrix((cost_s[following], (first, following)), shape=(roads, roads)).tocsr()
        ends_s = np.minimum(dijkstra(steps), _NO_WAY_S).astype(np.float32)
        around_s = np.full(roads, _NO_WAY_S)
        np.minimum.at(around_s, first, cost_s[following] + ends_s[following, first])
        np.fill_diagonal(ends_s, around_s)
        return ends_s

    @cached_property
    def _to_places_s(self) -> Singles:
        """(R, P) from the end of a road to a place."""
        return self._ends_s[:, self.place_road] - 0.5 * self._cost_s[self.place_road].astype(np.float32)

    @cached_property
    def _onward(self) -> Ints:
        """(R, P) see `onward`."""
        cost_s, onward = self._cost_s, np.empty(self._to_places_s.shape, np.int64)
        arrived = np.arange(len(self.graph))[:, None] == self.place_road
        # Once on its road, a place is half a road away, and not once around.
        entered_s = np.where(arrived, -0.5 * cost_s[:, None], self._to_places_s)
        for road, ways in enumerate(self.graph.successors):
            best = (cost_s[ways][:, None] + entered_s[ways]).argmin(axis=0) if len(ways) else None
            onward[road] = road if best is None else ways[best]
        return onward
