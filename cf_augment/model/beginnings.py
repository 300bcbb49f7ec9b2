"""How UEs begin: where they set out and when, as far as a trace tells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cf_augment.model.filter import likely
from cf_augment.model.ground import AnyGround, Habits
from sumo_mobility.base.arrays import AnyFloats, Bools, Floats
from sumo_mobility.trace import MobilityTrace

LEAD_S = 180.0
"""How long those have lived who are under way when a trace begins."""
WITHIN_S = 60.0
"""Members who wait for the onset of a context set out within this time of it."""
_ERROR_S, _ASTRAY, _MOVES = 50.0, 1e-3, 0.8
_SLACK_S, _LEAST = 3.0, 1e-3


@dataclass(frozen=True)
class Beginnings:
    """How the UEs of a trace begin.

    Attributes:
        stood: (U,) who stayed somewhere when the trace began.
        departs_s: (U,) when they set out from there; infinite if they never do, 0 for those under way.
        way: (U, P) how likely each place is the one where a UE began.
        duration_s: Of the trace.
        stay_s: How long a UE stays somewhere, on average.
    """

    stood: Bools
    departs_s: Floats
    way: Floats
    duration_s: float
    stay_s: float

    @classmethod
    def of(cls, ground: AnyGround, habits: Habits, trace: MobilityTrace, stays: Bools, onward: Floats) -> Beginnings:
        """Reads them from a trace.

        Args:
            ground: The ground.
            habits: What all UEs have in common.
            trace: The trace.
            stays: (T, U) who stays when.
            onward: (U, P) how likely each place is where a UE is going when the trace begins.
        """
        stood = stays[0]
        leaves = ~stays.all(axis=0)
        departs_s = np.where(leaves, (~stays).argmax(axis=0) * trace.step_s, np.inf)
        here = ground.locate(trace.position_m[0])
        from_s, to_s = ground.from_places_s(here), ground.to_places_s(here)
        # Of those who begin at a place, how many are where one is after that time: more, if much is as far away.
        are_there = ground.weight @ _lead(ground.apart_s).T
        way = np.empty((trace.ues, len(ground.weight)))
        for ue in range(trace.ues):
            if stood[ue]:
                way[ue] = np.eye(1, len(ground.weight), int(np.minimum(from_s[ue], to_s[ue]).argmin()))
                continue
            detour_s = from_s[ue][:, None] + to_s[ue] - ground.apart_s
            ahead = likely(detour_s) @ onward[ue] * _lead(from_s[ue]) / (are_there + _ASTRAY)
            way[ue] = ahead / max(float(ahead.max()), 1e-30) + _ASTRAY
        return cls(stood, departs_s, way, trace.duration_s, max(_SLACK_S, float(habits.stays_s.mean())))

    def log_onset(self, onset_s: Floats) -> Floats:
        """Returns how likely the departures are of members of contexts that set in then, (K, U); 0: of anybody."""
        begins_s, stood, leaves = onset_s[:, None], self.stood, np.isfinite(self.departs_s)
        left_s = np.where(leaves, self.departs_s, self.duration_s)
        anyone = np.exp(-left_s / self.stay_s) * np.where(leaves, 1 / self.stay_s, 1.0)
        after_s = left_s - begins_s
        waited = np.where(leaves, ((after_s >= -_SLACK_S) & (after_s <= WITHIN_S + _SLACK_S)) / WITHIN_S,
                          np.clip(1 - after_s / WITHIN_S, 0, 1))  # fmt: skip
        floor = np.where(leaves, _LEAST / WITHIN_S, _LEAST)
        of_standing = np.where(begins_s > 0, waited, (1 - _MOVES) * anyone)
        of_moving = np.where(begins_s > 0, _LEAST, _MOVES)
        return np.asarray(np.log(np.where(stood, np.maximum(of_standing, floor), of_moving)))


def _lead(time_s: AnyFloats) -> Floats:
    """Returns how likely it is to be on the way for some time when a trace begins."""
    return np.asarray(np.exp(-0.5 * ((time_s - LEAD_S) / _ERROR_S) ** 2))
