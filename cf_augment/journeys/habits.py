"""What logged traces tell of UEs on the streets, in whatever context: their pace, and how long they stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cf_augment.journeys.streets import Streets, locate
from cf_augment.model.roads import RoadGraph
from sumo_mobility.base.arrays import Bools, Floats
from sumo_mobility.base.errors import DataError
from sumo_mobility.trace import MobilityTrace

STANDING_MPS, _BESIDE_M, _FAR_M = 0.1, (1.0, 8.0), 6.0
_KNOWN_AFTER_S, _SLOWEST_MPS = 20.0, 1.0
_STRETCH_S, _MOST_FACTOR = 30.0, 2.0
_LEAST_SPREAD, _SHORTEST_STAY_S = 0.1, 3.0


@dataclass(frozen=True)
class Habits:
    """What UEs have in common.

    Attributes:
        pace_mps: (R,) mean speed on each road, of UEs that are under way; of roads that few took, near that of all.
        spread: Standard deviation of the logarithm of how much faster or slower than that a UE is for half a minute.
        stays_s: (N,) how long UEs stayed parked, sorted; one of 0 s if nobody parked.
    """

    pace_mps: Floats
    spread: float
    stays_s: Floats

    @classmethod
    def of(cls, graph: RoadGraph, traces: Sequence[MobilityTrace]) -> Habits:
        """Learns from traces.

        Raises:
            DataError: no UE is under way on any road.
        """
        driven_m, spent_s = np.zeros(len(graph)), np.zeros(len(graph))
        stays_s: list[float] = []
        for trace in traces:
            spots = locate(graph, trace.position_m.reshape(-1, 2))
            standing = trace.speed_mps < STANDING_MPS
            away_m = spots.away_m.reshape(standing.shape)
            parked = standing & is_beside(away_m)
            stays_s += _stays_s(parked, trace.step_s)
            under_way = (~parked & (away_m < _FAR_M)).ravel()
            np.add.at(driven_m, spots.road[under_way], trace.speed_mps.ravel()[under_way] * trace.step_s)
            np.add.at(spent_s, spots.road[under_way], trace.step_s)
        if not driven_m.sum() > 0:
            raise DataError("model: in none of the traces is a UE under way on the streets of the map")
        mean_mps = driven_m.sum() / spent_s.sum()
        pace_mps = (driven_m + _KNOWN_AFTER_S * mean_mps) / (spent_s + _KNOWN_AFTER_S)
        pace_mps = np.maximum(pace_mps, min(_SLOWEST_MPS, mean_mps))
        spread = _spread(Streets.of(graph, pace_mps), traces)
        return cls(pace_mps, spread, np.sort(stays_s) if stays_s else np.zeros(1))


def is_beside(away_m: Floats) -> Bools:
    """Returns whether UEs that stand are parked, by their distance from the lane."""
    return (away_m > _BESIDE_M[0]) & (away_m < _BESIDE_M[1])


def _stays_s(parked: Bools, step_s: float) -> list[float]:
    """Durations of all stays (T, U) of which begin and end are seen."""
    change = np.diff(parked.astype(np.int8), axis=0)
    found: list[float] = []
    for of_ue in change.T:
        begin, end = np.flatnonzero(of_ue == 1), np.flatnonzero(of_ue == -1)
        if len(begin) and len(end):
            end = end[end > begin[0]]
            found += ((end - begin[: len(end)]) * step_s).tolist()
    return [stay_s for stay_s in found if stay_s >= _SHORTEST_STAY_S]


def _spread(streets: Streets, traces: Sequence[MobilityTrace]) -> float:
    logarithms = []
    for trace in traces:
        rows = max(1, round(_STRETCH_S / trace.step_s))
        at = np.arange(0, len(trace.position_m), rows)
        spots = [locate(streets.graph, trace.position_m[row]) for row in at]
        for row, first, last in zip(at, spots, spots[1:], strict=False):
            stood = (trace.speed_mps[row : row + rows + 1] < STANDING_MPS).mean(axis=0)
            moving = (stood < 0.5) & ~is_beside(first.away_m) & ~is_beside(last.away_m)
            ratio = streets.between_s(first, last)[moving] / (rows * trace.step_s)
            logarithms.append(np.log(ratio[(ratio > 1 / _MOST_FACTOR) & (ratio < _MOST_FACTOR)]))
    known = np.concatenate([*logarithms, np.empty(0)])
    return max(_LEAST_SPREAD, float(known.std())) if len(known) else 2 * _LEAST_SPREAD
