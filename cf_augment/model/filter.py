"""Filtering: the context, and where each UE is going, from reports of positions as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sumo_mobility.base.arrays import AnyFloats, Bools, Floats, Singles
from sumo_mobility.base.errors import DataError

if TYPE_CHECKING:
    from cf_augment.model.model import CausalMobilityModel

SHARES = np.array([0.05, 0.2, 0.4, 0.6, 0.8, 0.95])
"""Hypotheses about the share of the UEs that are members of the crowd."""
_DETOUR_S, _LONGEST_DETOUR_S = 4.0, 40.0
"""Scale of the detours that a UE makes by the model's paces, and the longest that still counts."""
_LEAST_ERROR_S, _FARTHEST = 3.0, 4.0
_STANDS_M, _AT_PLACE_S, _TURN_S = 2.0, 3.0, 4.0
_ARRIVALS, _ASTRAY = 40, 1e-3
_TEMPER = 0.3
"""How much a UE's evidence counts: UEs of one crowd are held up together, so they are not as good as independent."""
_DEPARTED, _WAITED = 0.5, 2.0
"""What is known of the departures of those who stand for long, before any were seen."""


class Report(NamedTuple):
    """What a filter knew at a time.

    Attributes:
        time_s: The time.
        position_m: (U, 2).
        spots: The UEs on the ground.
        to_places_s: (U, P).
    """

    time_s: float
    position_m: Floats
    spots: Any
    to_places_s: Singles


class ContextFilter:
    """The posterior of context, memberships and destinations, given all positions reported so far.

    It holds a belief about the destination of each UE under each hypothesis about the crowd, (M, U, P). Between two
    reports a UE has come nearer to its destination, as far as the pace says and without detours; or it has arrived,
    stayed, and begun another journey; or it stands. What these say of all UEs weighs the hypotheses.

    Args:
        model: The model.

    Attributes:
        model: The model.
        last: The last report.
        posterior: (M, A) of the crowds and of SHARES.
        membership: (M, A, U) probability that a UE is a member, under each.
        belief: (M, U, P) of its destination if it is one.
        stands: (U,) whether it stood since the report before.
        parked: (U,) whether it is parked.
        departing_per_s: Rate at which those who stand for long set out.
    """

    def __init__(self, model: CausalMobilityModel) -> None:
        self.model = model
        self.last: Report | None = None
        self.stands: Bools = np.zeros(0, dtype=bool)
        self.departing_per_s = -np.log1p(-_DEPARTED / _WAITED) / 30.0

    def observe(self, time_s: float, position_m: Floats) -> None:
        """Takes a report into account.

        Args:
            time_s: When; later than the last one.
            position_m: (U, 2) in trace coordinates.

        Raises:
            DataError: a UE has no position, or the report is not later than the last one.
        """
        unknown = np.flatnonzero(~np.isfinite(position_m).all(axis=1))
        if len(unknown):
            raise DataError(f"report of {time_s:g} s: UE {unknown[0]} has no position")
        if self.last is not None and time_s <= self.last.time_s:
            raise DataError(f"report of {time_s:g} s: not later than the last one, of {self.last.time_s:g} s")
        ground = self.model.ground
        spots = ground.locate(position_m)
        now = Report(time_s, position_m, spots, ground.to_places_s(spots))
        beside = ground.is_parked(spots)
        if self.last is None:
            stands = np.zeros(len(position_m), dtype=bool)
            belief, seen = self._first(now, beside), ~stands
            self._log_evidence = np.zeros(belief.shape[:2])
        else:
            stands = np.hypot(*(position_m - self.last.position_m).T) < _STANDS_M
            sets_out = self.stands & ~stands
            belief, seen = self._next(self.last, now, stands, sets_out), ~stands
            if self.stands.any():
                left = (sets_out.sum() + _DEPARTED) / (self.stands.sum() + _WAITED)
                self.departing_per_s = -np.log1p(-left) / (time_s - self.last.time_s)
        evidence = belief.sum(axis=2)
        self._log_evidence[:, seen] += np.log(evidence[:, seen])
        self.belief = belief / evidence[..., None]
        self.last, self.stands, self.parked = now, stands, stands | beside
        self._weigh()

    def context(self) -> Floats:
        """Returns what `CausalMobilityModel.context_of` says of whole traces, (12,), as if UEs began anywhere."""
        return self.model.mean_context(self.posterior)

    def _first(self, now: Report, beside: Bools) -> Singles:
        """Anyone who is seen somewhere is on the way from some place to another, and longer ways are seen longer."""
        ground, density = self.model.ground, self.model.crowds.density
        from_places_s = ground.from_places_s(now.spots)
        way = np.empty_like(now.to_places_s)
        for ue in range(len(way)):
            detour_s = from_places_s[ue][:, None] + now.to_places_s[ue] - ground.apart_s
            way[ue] = ground.weight @ likely(detour_s)
        way[beside] = way.mean()
        return np.asarray(density[:, None] * way / self.model.crowd_duration_s[:, None, None], dtype=np.float32)

    def _next(self, before: Report, now: Report, stands: Bools, sets_out: Bools) -> Singles:
        """Unnormalised beliefs, whose sums say how likely what is reported was."""
        ground, habits, density = self.model.ground, self.model.habits, self.model.crowds.density
        passed_s = now.time_s - before.time_s
        error_s = max(_LEAST_ERROR_S, habits.spread * passed_s)
        driven_s = ground.between_s(before.spots, now.spots)
        from_places_s = ground.from_places_s(now.spots)
        no_detour = likely(driven_s[:, None] + now.to_places_s - before.to_places_s)
        still_under_way = 1 / (1 + np.exp(-np.clip((before.to_places_s - passed_s) / _TURN_S + 1, -30, 30)))
        goes_on = no_detour * still_under_way * _normal((driven_s - passed_s) / error_s)[:, None]
        # Arrived at a place, stayed, and gone on from there; or there still.
        stay_s, stay_spread_s = float(np.median(habits.stays_s)), float(habits.stays_s.std())
        late_s = before.to_places_s + stay_s + from_places_s - passed_s
        arrived = _normal(late_s / np.hypot(error_s, stay_spread_s))
        there = (from_places_s < _AT_PLACE_S) | (now.to_places_s < _AT_PLACE_S)
        arrived = np.where(there, np.maximum(arrived, 0.5), arrived) * (before.to_places_s < passed_s + 2)
        places = np.argsort(-arrived, axis=1, kind="stable")[:, :_ARRIVALS]
        departed = no_detour * (driven_s < passed_s + error_s)[:, None] + _ASTRAY
        belief = np.empty_like(self.belief)
        for ue in range(len(stands)):
            if stands[ue]:
                belief[:, ue] = density
            elif sets_out[ue]:
                belief[:, ue] = density * departed[ue].astype(np.float32)
            else:
                place = places[ue]
                onward_s = from_places_s[ue, place][:, None] + now.to_places_s[ue] - ground.apart_s[place]
                anew = (self.belief[:, ue, place] * arrived[ue, place].astype(np.float32)) @ likely(onward_s)
                belief[:, ue] = self.belief[:, ue] * goes_on[ue].astype(np.float32) + density * (anew + _ASTRAY)
        return belief

    def _weigh(self) -> None:
        member = np.log(SHARES)[:, None] + self._log_evidence[:, None]
        other = np.log1p(-SHARES)[:, None] + self._log_evidence[0]
        either = np.logaddexp(member, other)
        self.membership = np.exp(member - either)
        log_posterior = _TEMPER * either.sum(axis=2)
        weight = np.exp(log_posterior - log_posterior.max())
        self.posterior = weight / weight.sum()


def likely(detour_s: AnyFloats) -> AnyFloats:
    """How likely a detour is, beside none."""
    return np.exp(-np.clip(detour_s, 0, _LONGEST_DETOUR_S) / _DETOUR_S)


def _normal(error: Floats) -> Floats:
    """A normal density without its factor, and with an end to how unlikely anything is."""
    return np.exp(-0.5 * np.clip(error, -_FARTHEST, _FARTHEST) ** 2)
