"""Grounds: where UEs can be, the places that journeys lead to, and how long the ways between take."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Self, TypeVar

import numpy as np

from sumo_mobility.base.arrays import Bools, Floats, Ints, Singles
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import STANDING_MPS, MobilityTrace

_SHORTEST_STAY_S, _STRETCH_S, _MOST_FACTOR, _LEAST_SPREAD = 3.0, 30.0, 2.0, 0.1

Spots = TypeVar("Spots")
Walkers = TypeVar("Walkers")


class Ground(ABC, Generic[Spots, Walkers]):
    """A kind of ground, at the pace that its UEs have on it.

    Attributes:
        bounds_m: West, south, east, north.
        pace_mps: (R,) how fast one gets on on each road, with all that stops one on the way; one pace without roads.
        cruise_mps: (R,) how fast one is there while nothing stops one.
        parked_m: How far to the right of the lane UEs park.
        place_m: (P, 2) the places.
        weight: (P,) how likely each is where nothing draws anyone; sums to 1.
    """

    bounds_m: tuple[float, float, float, float]
    pace_mps: Floats
    cruise_mps: Floats
    parked_m: float
    place_m: Floats
    weight: Floats

    @classmethod
    @abstractmethod
    def learned(cls, street_map: StreetMap, traces: Sequence[MobilityTrace]) -> Self:
        """Returns the ground of a map, at the pace of the UEs of some traces.

        Raises:
            DataError: none of them is under way on it.
        """

    @classmethod
    @abstractmethod
    def at_pace(cls, street_map: StreetMap, pace_mps: Floats, cruise_mps: Floats, parked_m: float) -> Self:
        """Returns the ground of a map, at paces that were learned before.

        Raises:
            DataError: the map has another number of roads.
        """

    @property
    @abstractmethod
    def points_m(self) -> Floats:
        """(N, 2) points all over the ground, some metres apart."""

    @abstractmethod
    def locate(self, position_m: Floats) -> Spots:
        """Returns where positions (N, 2) are."""

    @abstractmethod
    def is_parked(self, spots: Spots) -> Bools:
        """Returns who is where only those who stay are, (N,)."""

    @abstractmethod
    def stays(self, trace: MobilityTrace) -> Bools:
        """Returns who stays when, (T, U)."""

    @abstractmethod
    def to_places_s(self, spots: Spots) -> Singles:
        """Returns the time from spots to places, (N, P)."""

    @abstractmethod
    def from_places_s(self, spots: Spots) -> Singles:
        """Returns the time from places to spots, (N, P)."""

    @abstractmethod
    def between_s(self, first: Spots, last: Spots) -> Floats:
        """Returns the time from spots to other spots, (N,)."""

    @cached_property
    @abstractmethod
    def apart_s(self) -> Singles:
        """(P, P) the time from place to place."""

    @abstractmethod
    def set_out(self, spots: Spots, copies: int) -> Walkers:
        """Returns walkers that are at spots, all of them several times."""

    @abstractmethod
    def go(self, walkers: Walkers, who: Ints, place: Ints, pace: Floats, left_s: Floats) -> tuple[Floats, Bools]:
        """Moves walkers towards places, until they are there, or have to choose a way, or the time is over.

        Args:
            walkers: All walkers, which are changed.
            who: (N,) which of them go.
            place: (N,) where each goes.
            pace: (N,) factors of the ground's pace.
            left_s: (N,) time for each.

        Returns:
            The time that each took, and whether it has arrived, (N,).
        """

    @abstractmethod
    def pace_at(self, spots: Spots) -> Floats:
        """Returns the ground's pace at spots, (N,) in m/s."""

    @abstractmethod
    def cruise_at(self, spots: Spots) -> Floats:
        """Returns how fast one is at spots while nothing stops one, (N,) in m/s."""

    @abstractmethod
    def bays_m(self, place: Ints) -> Floats:
        """Returns where those stay who are at places (N,); (N, 2)."""

    @abstractmethod
    def spots(self, walkers: Walkers) -> Spots:
        """Returns where walkers are."""

    @abstractmethod
    def ahead_m(self, walkers: Walkers, who: Ints, place: Ints) -> Floats:
        """Returns how far it is to a place, (N,); infinite if there are ways to choose before."""

    @abstractmethod
    def position_m(self, walkers: Walkers) -> Floats:
        """Returns where walkers are, (N, 2)."""


AnyGround = Ground[Any, Any]


@dataclass(frozen=True)
class Habits:
    """What UEs have in common in all contexts, besides their pace.

    Attributes:
        spread: Standard deviation, over half minutes, of the logarithm of a UE's speed over the pace.
        stays_s: (N,) how long UEs stayed somewhere, sorted; one of 0 s if nobody stayed.
        fastest_mps: The highest speed, but for a step in 500.
    """

    spread: float
    stays_s: Floats
    fastest_mps: float

    @classmethod
    def of(cls, ground: AnyGround, traces: Sequence[MobilityTrace]) -> Habits:
        """Learns from traces."""
        stays_s: list[float] = []
        logarithms = [np.empty(0)]
        for trace in traces:
            stays = ground.stays(trace)
            stays_s += _durations_s(stays, trace.step_s)
            rows = max(1, round(_STRETCH_S / trace.step_s))
            at = np.arange(0, len(trace.position_m), rows)
            spots = [ground.locate(trace.position_m[row]) for row in at]
            for row, first, last in zip(at, spots, spots[1:], strict=False):
                stood = (trace.speed_mps[row : row + rows + 1] < STANDING_MPS).mean(axis=0)
                under_way = (stood < 0.5) & ~stays[row : row + rows + 1].any(axis=0)
                ratio = ground.between_s(first, last)[under_way] / (rows * trace.step_s)
                logarithms.append(np.log(ratio[(ratio > 1 / _MOST_FACTOR) & (ratio < _MOST_FACTOR)]))
        known = np.concatenate(logarithms)
        spread = max(_LEAST_SPREAD, float(known.std())) if len(known) else 2 * _LEAST_SPREAD
        fastest_mps = float(np.quantile(np.concatenate([trace.speed_mps.ravel() for trace in traces]), 0.998))
        return cls(spread, np.sort(stays_s) if stays_s else np.zeros(1), fastest_mps)


def _durations_s(stays: Bools, step_s: float) -> list[float]:
    """Durations of all stays (T, U) of which begin and end are seen."""
    found: list[float] = []
    for of_ue in np.diff(stays.astype(np.int8), axis=0).T:
        begin, end = np.flatnonzero(of_ue == 1), np.flatnonzero(of_ue == -1)
        if len(begin):
            end = end[end > begin[0]]
            found += ((end - begin[: len(end)]) * step_s).tolist()
    return [stay_s for stay_s in found if stay_s >= _SHORTEST_STAY_S]
