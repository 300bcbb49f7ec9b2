"""Abduction: the causes of a trace, such that the same causes make the same trace again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cf_augment.model.beginnings import WITHIN_S, Beginnings
from cf_augment.model.crowds import central
from cf_augment.model.filter import SHARES, likely
from sumo_mobility.base.arrays import Bools, Floats, Ints
from sumo_mobility.base.seeds import stream
from sumo_mobility.trace import MobilityTrace

if TYPE_CHECKING:
    from cf_augment.model.model import CausalMobilityModel

ONSET = 11
"""Number of the onset in a context."""
_ONSET_STEP_S, _ROUNDS = 15.0, 3
_NOTHING_ODDS = 20.0
"""How much likelier than not a context is taken to say nothing of where UEs begin, and when, before any is seen."""
LOCAL = ("reluctance", "log pace")
"""The local latents of a UE: it is a member of the crowd if its reluctance, evenly spread from 0 to 1, is below the
context's share; and its speed is that of its ground times exp(log pace)."""


@dataclass(frozen=True)
class Journey:
    """A journey of a UE.

    Attributes:
        begin: The row of the trace in which it begins, or is under way first.
        end: That in which the UE has arrived; the number of rows if it does not.
        place: Its destination, drawn from its posterior if it does not arrive.
        noise: (P,) Gumbel noise of the choice.
    """

    begin: int
    end: int
    place: int
    noise: Floats


@dataclass(frozen=True)
class Abduction:
    """The causes of a trace.

    Attributes:
        trace: The trace.
        context: (12,) see `CausalMobilityModel.context_of`.
        local: (U, 2) the latents of LOCAL.
        stood: (U,) who stayed somewhere when the trace began.
        origin: (U,) the place where each UE began, drawn from its posterior for those who did not stand there.
        origin_noise: (U, P) Gumbel noise of that place.
        patience_s: (U,) how long after the onset of the context a member sets out that waits for it.
        journeys: Of each UE, in order.
        speed_noise: (T-1, U) speed over what ground and UE say where nothing stops, while a UE is under way; else NaN.
        seed: Of what the trace does not reveal.
    """

    trace: MobilityTrace
    context: Floats
    local: Floats
    stood: Bools
    origin: Ints
    origin_noise: Floats
    patience_s: Floats
    journeys: tuple[tuple[Journey, ...], ...]
    speed_noise: Floats
    seed: int


def abduct(model: CausalMobilityModel, trace: MobilityTrace, seed: int) -> Abduction:
    """See `CausalMobilityModel.abduct`."""
    ground, rows = model.ground, len(trace.time_s)
    stays = ground.stays(trace)
    legs = [_legs(of_ue) for of_ue in stays.T]
    ues = np.repeat(np.arange(trace.ues), [len(of_ue) for of_ue in legs])
    begin, end = np.array([leg for of_ue in legs for leg in of_ue], dtype=np.int64).reshape(-1, 2).T
    last = ground.locate(trace.position_m[np.minimum(end, rows - 1), ues])
    arrives = end < rows
    # How likely each place is the destination of a leg, whoever goes: the one where it ends, or those that lie ahead.
    to_places_s = ground.to_places_s(last)
    first = ground.locate(trace.position_m[begin, ues])
    detour_s = ground.between_s(first, last)[:, None] + to_places_s - ground.to_places_s(first)
    nearest = np.minimum(to_places_s, ground.from_places_s(last)).argmin(axis=1)
    way = np.asarray(likely(detour_s), dtype=np.float64)
    way[arrives] = np.eye(len(ground.weight))[nearest[arrives]]
    onward = np.ones((trace.ues, len(ground.weight)))
    onward[ues[begin == 0]] = way[begin == 0]
    beginnings = Beginnings.of(ground, model.habits, trace, stays, onward)
    evidence = _Evidence.of(model, way, ues, beginnings)
    context = evidence.context(model)
    density = np.log(np.stack([ground.weight, model.crowd_of(context)]) + 1e-30)
    origins = np.log(np.stack([ground.weight, model.origins_of(context)]) + 1e-30)
    onset_s = float(context[ONSET])
    of_legs = np.log(way @ np.exp(density.T) + 1e-30)
    of_start = np.log(beginnings.way @ np.exp(origins.T) + 1e-30)
    [anyone, waits] = beginnings.log_onset(np.array([0.0, onset_s]))
    odds = of_start[:, 1] - of_start[:, 0] + waits - anyone
    np.add.at(odds, ues, of_legs[:, 1] - of_legs[:, 0])
    share = float(np.clip(context[0], 1e-6, 1 - 1e-6))
    chance = stream(seed, "model", "members").random((2, trace.ues))
    member = chance[0] < 1 / (1 + np.exp(-np.clip(odds + np.log(share / (1 - share)), -500, 500)))
    reluctance = np.where(member, share * chance[1], share + (1 - share) * chance[1])
    local = np.stack([reluctance, _log_pace(model, trace)], axis=1)
    journeys: list[list[Journey]] = [[] for _ in range(trace.ues)]
    for index, ue in enumerate(ues.tolist()):
        random = stream(seed, "model", "abduction", ue, len(journeys[ue]))
        place, noise = _chosen(density[int(member[ue])], way[index], random)
        journeys[ue].append(Journey(int(begin[index]), int(end[index]), place, noise))
    began = [
        _chosen(origins[int(member[ue])], beginnings.way[ue], stream(seed, "model", "origin", ue))
        for ue in range(trace.ues)
    ]
    patience_s = WITHIN_S * stream(seed, "model", "patience").random(trace.ues)
    waited = member & beginnings.stood & np.isfinite(beginnings.departs_s) & (onset_s > 0)
    patience_s = np.where(waited, np.clip(beginnings.departs_s - onset_s, 0, WITHIN_S), patience_s)
    return Abduction(
        trace, context, local, beginnings.stood, np.array([place for place, _ in began]),
        np.stack([noise for _, noise in began]), patience_s, tuple(map(tuple, journeys)),
        _ratio(model, trace) / np.exp(local[:, 1]), seed,
    )  # fmt: skip


def _chosen(scores: Floats, way: Floats, random: np.random.Generator) -> tuple[int, Floats]:
    """Returns a place drawn from its posterior, and the noise of the choice, (P,)."""
    place = int((scores + np.log(way + 1e-30) + random.gumbel(size=len(scores))).argmax())
    return place, _gumbel(scores, place, random)


def _legs(stays: Bools) -> list[tuple[int, int]]:
    """Returns first and last row of what a UE does between its stays (T,)."""
    change = np.diff(np.concatenate([[True], stays, [True]]).astype(np.int8))
    begin, end = np.flatnonzero(change == -1), np.flatnonzero(change == 1)
    # Under way from the last row of a stay on, so that the first step out of it belongs to the leg.
    return [(max(0, int(first) - 1), int(last)) for first, last in zip(begin, end, strict=True)]


@dataclass(frozen=True)
class _Evidence:
    """How likely what the UEs did is, (H, U) each, under hypotheses of which the first says that nothing draws them.

    Attributes:
        to: Of M crowds of destinations.
        origin: Of M crowds of origins.
        onset: Of the onsets of `_ONSETS`.
        onset_s: (K,) these.
    """

    to: Floats
    origin: Floats
    onset: Floats
    onset_s: Floats

    @classmethod
    def of(cls, model: CausalMobilityModel, way: Floats, ues: Ints, beginnings: Beginnings) -> _Evidence:
        """Sums up the evidence of all legs, with `way` (L, P) of UEs (L,), and of the beginnings."""
        density = model.crowds.density
        to = np.zeros((len(density), len(beginnings.stood)))
        np.add.at(to.T, ues, np.log(density @ way.T + 1e-30).T)
        onset_s = np.arange(0.0, beginnings.duration_s, _ONSET_STEP_S)
        origin = np.log(density @ beginnings.way.T + 1e-30)
        return cls(to, origin, beginnings.log_onset(onset_s), onset_s)

    def context(self, model: CausalMobilityModel) -> Floats:
        """Returns the context, (12,): the posterior mean of each part, the other parts being the likeliest."""
        parts = [self.to, self.origin, self.onset]
        best = [0, 0, 0]
        # Begins with the part that says most by itself, then goes round.
        alone = [self._log_posterior(parts, best, part).max() for part in range(3)]
        order = np.argsort([-value for value in alone], kind="stable").tolist()
        for part in order * _ROUNDS:
            scores = self._log_posterior(parts, best, part)
            best[part] = int(np.unravel_index(scores.argmax(), scores.shape)[0])
        weights = []
        for part in range(3):
            scores = self._log_posterior(parts, best, part)
            weight = np.exp(scores - scores.max())
            weights.append(weight / weight.sum())
        to, origin, onset = weights
        share = float((to @ SHARES).sum())
        leads, begins = (central(of.sum(axis=1) @ model.crowds.moments) for of in (to, origin))
        of_onset = onset.sum(axis=1)
        # Whether there is one, and if so when.
        later = of_onset[1:].sum()
        onset_s = of_onset[1:] @ self.onset_s[1:] / later if later > 0.5 else 0.0
        return model.context(share, leads, begins, float(onset_s))

    def _log_posterior(self, parts: list[Floats], best: list[int], part: int) -> Floats:
        """Returns it over the hypotheses of a part and the shares, (H, A), with those of the others given."""
        given = sum(parts[other][best[other]] for other in range(3) if other != part)
        anyone = sum(each[0] for each in parts)
        member = np.log(SHARES)[:, None] + (parts[part] + given)[:, None]
        scores = np.logaddexp(member, np.log1p(-SHARES)[:, None] + anyone).sum(axis=2)
        if part:  # of a short trace, no onset is asked
            scores[1:] -= math.log(_NOTHING_ODDS * max(1, len(scores) - 1))
        return np.asarray(scores)


def _log_pace(model: CausalMobilityModel, trace: MobilityTrace) -> Floats:
    """Returns how much faster than its ground each UE is while it is under way, (U,)."""
    ratio = _ratio(model, trace)
    counted = np.isfinite(ratio) & (ratio > 0)
    mean = np.where(counted, ratio, 0).sum(axis=0) / np.maximum(counted.sum(axis=0), 1)
    return np.log(np.where(mean > 0, mean, 1.0))


def _ratio(model: CausalMobilityModel, trace: MobilityTrace) -> Floats:
    """Returns speed over that at which one gets on there while nothing stops one, (T-1, U); NaN while a UE stays."""
    ground = model.ground
    step_m = np.linalg.norm(np.diff(trace.position_m, axis=0), axis=-1)
    cruise_mps = ground.cruise_at(ground.locate(trace.position_m[:-1].reshape(-1, 2))).reshape(step_m.shape)
    stays = ground.stays(trace)
    return np.where(stays[:-1] & stays[1:], np.nan, step_m / trace.step_s / cruise_mps)


def _gumbel(scores: Floats, taken: int, random: np.random.Generator) -> Floats:
    """Gumbel noise of each option, given that score + noise was highest at `taken` (top-down: Maddison 2014)."""
    highest = np.logaddexp.reduce(scores) + random.gumbel()
    value = -np.logaddexp(-highest, -(scores + random.gumbel(size=len(scores))))
    value[taken] = highest
    return value - scores
