"""Open ground: UEs go straight on, at a pace of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from cf_augment.model.ground import Ground
from sumo_mobility.base.arrays import Bools, Floats, Ints, Singles
from sumo_mobility.base.errors import DataError
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import STANDING_MPS, MobilityTrace

_PLACES, _STAYS_S, _APART_M = 300, 3.0, 10.0


@dataclass
class Rovers:
    """N UEs that move, at (N, 2)."""

    at_m: Floats


class Plain(Ground[Floats, Rovers]):
    """A rectangle without streets; places are the middles of squares.

    Args:
        bounds_m: West, south, east, north.
        pace_mps: (1,) mean speed of those who are under way.
        cruise_mps: (1,) their median speed while they move.
    """

    parked_m = 0.0

    def __init__(self, bounds_m: tuple[float, float, float, float], pace_mps: Floats, cruise_mps: Floats) -> None:
        self.bounds_m, self.pace_mps, self.cruise_mps = bounds_m, pace_mps, cruise_mps
        west, south, east, north = bounds_m
        side_m = np.sqrt((east - west) * (north - south) / _PLACES)
        columns, rows = (max(1, round(float(size_m / side_m))) for size_m in (east - west, north - south))
        x_m = west + (np.arange(columns) + 0.5) * (east - west) / columns
        y_m = south + (np.arange(rows) + 0.5) * (north - south) / rows
        self.place_m = np.stack(np.meshgrid(x_m, y_m), axis=-1).reshape(-1, 2)
        self.weight = np.full(len(self.place_m), 1 / len(self.place_m))

    @classmethod
    def learned(cls, street_map: StreetMap, traces: Sequence[MobilityTrace]) -> Self:
        """See `Ground.learned`."""
        ground = cls(street_map.bounds_m, np.ones(1), np.ones(1))
        speed_mps = np.concatenate([trace.speed_mps[~ground.stays(trace)] for trace in traces])
        if not speed_mps.sum() > 0:
            raise DataError("model: in none of the traces is a UE under way")
        moving_mps = speed_mps[speed_mps > STANDING_MPS]
        return cls(street_map.bounds_m, speed_mps.mean(keepdims=True), np.median(moving_mps, keepdims=True))

    @classmethod
    def at_pace(cls, street_map: StreetMap, pace_mps: Floats, cruise_mps: Floats, parked_m: float) -> Self:
        """See `Ground.at_pace`."""
        if len(pace_mps) != 1 or len(cruise_mps) != 1:
            raise DataError(f"made for {len(pace_mps)} roads, not for {street_map.name} without any")
        return cls(street_map.bounds_m, pace_mps, cruise_mps)

    @property
    def points_m(self) -> Floats:
        """See `Ground.points_m`."""
        west, south, east, north = self.bounds_m
        x_m, y_m = np.arange(west, east + _APART_M, _APART_M), np.arange(south, north + _APART_M, _APART_M)
        return np.stack(np.meshgrid(x_m, y_m), axis=-1).reshape(-1, 2)

    def locate(self, position_m: Floats) -> Floats:
        """Returns the positions."""
        return position_m

    def is_parked(self, spots: Floats) -> Bools:
        """Returns nobody: those who stay are where others go."""
        return np.zeros(len(spots), dtype=bool)

    def stays(self, trace: MobilityTrace) -> Bools:
        """Returns who stands for some seconds; a shorter pause is none."""
        rows = max(1, round(_STAYS_S / trace.step_s))
        stands = np.pad(trace.speed_mps < STANDING_MPS, ((rows - 1, rows - 1), (0, 0)))
        whole = np.lib.stride_tricks.sliding_window_view(stands, rows, axis=0).all(axis=-1)
        return np.asarray(np.lib.stride_tricks.sliding_window_view(whole, rows, axis=0).any(axis=-1))

    def to_places_s(self, spots: Floats) -> Singles:
        """See `Ground.to_places_s`."""
        away_m = np.linalg.norm(spots[:, None] - self.place_m, axis=-1)
        return (away_m / self.pace_mps).astype(np.float32)

    def from_places_s(self, spots: Floats) -> Singles:
        """See `Ground.from_places_s`; it is as far as back."""
        return self.to_places_s(spots)

    def between_s(self, first: Floats, last: Floats) -> Floats:
        """See `Ground.between_s`."""
        return np.asarray(np.linalg.norm(last - first, axis=-1) / self.pace_mps)

    @cached_property
    def apart_s(self) -> Singles:
        """(P, P) the time from place to place."""
        return self.to_places_s(self.place_m)

    def set_out(self, spots: Floats, copies: int) -> Rovers:
        """See `Ground.set_out`."""
        return Rovers(np.concatenate([spots] * copies))

    def go(self, walkers: Rovers, who: Ints, place: Ints, pace: Floats, left_s: Floats) -> tuple[Floats, Bools]:
        """See `Ground.go`; there are no ways to choose."""
        way_m = self.place_m[place] - walkers.at_m[who]
        needs_s = np.linalg.norm(way_m, axis=-1) / (self.pace_mps * pace)
        takes_s = np.minimum(needs_s, left_s)
        walkers.at_m[who] += way_m * (takes_s / np.maximum(needs_s, 1e-9))[:, None]
        return takes_s, needs_s <= left_s

    def pace_at(self, spots: Floats) -> Floats:
        """See `Ground.pace_at`."""
        return np.repeat(self.pace_mps, len(spots))

    def cruise_at(self, spots: Floats) -> Floats:
        """See `Ground.cruise_at`."""
        return np.repeat(self.cruise_mps, len(spots))

    def bays_m(self, place: Ints) -> Floats:
        """Returns the places."""
        return self.place_m[place]

    def spots(self, walkers: Rovers) -> Floats:
        """See `Ground.spots`."""
        return walkers.at_m

    def ahead_m(self, walkers: Rovers, who: Ints, place: Ints) -> Floats:
        """See `Ground.ahead_m`."""
        return np.asarray(np.linalg.norm(self.place_m[place] - walkers.at_m[who], axis=-1))

    def position_m(self, walkers: Rovers) -> Floats:
        """See `Ground.position_m`."""
        return walkers.at_m.copy()
