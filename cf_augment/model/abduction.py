"""Abduction: the causes of a trace, such that the same causes make the same trace again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cf_augment.model.filter import SHARES, likely
from sumo_mobility.base.arrays import Bools, Floats, Ints
from sumo_mobility.base.seeds import stream
from sumo_mobility.trace import MobilityTrace

if TYPE_CHECKING:
    from cf_augment.model.model import CausalMobilityModel

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
        context: (6,) see `CausalMobilityModel.context_of`.
        local: (U, 2) the latents of LOCAL.
        journeys: Of each UE, in order.
        speed_noise: (T-1, U) speed over what ground and UE say where nothing stops, while a UE is under way; else NaN.
        seed: Of what the trace does not reveal.
    """

    trace: MobilityTrace
    context: Floats
    local: Floats
    journeys: tuple[tuple[Journey, ...], ...]
    speed_noise: Floats
    seed: int


def abduct(model: CausalMobilityModel, trace: MobilityTrace, seed: int) -> Abduction:
    """See `CausalMobilityModel.abduct`."""
    ground, rows = model.ground, len(trace.time_s)
    legs = [_legs(stays) for stays in ground.stays(trace).T]
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
    context = _context(model, way, ues, trace.ues)
    member, local = _local(model, trace, context, way, ues, seed)
    chosen_from = np.log(np.stack([ground.weight, model.crowd_of(context)]) + 1e-30)
    journeys: list[list[Journey]] = [[] for _ in range(trace.ues)]
    for index, ue in enumerate(ues.tolist()):
        random = stream(seed, "model", "abduction", ue, len(journeys[ue]))
        scores = chosen_from[int(member[ue])]
        place = int((scores + np.log(way[index] + 1e-30) + random.gumbel(size=len(scores))).argmax())
        noise = _gumbel(scores, place, random)
        journeys[ue].append(Journey(int(begin[index]), int(end[index]), place, noise))
    speed_noise = _ratio(model, trace) / np.exp(local[:, 1])
    return Abduction(trace, context, local, tuple(map(tuple, journeys)), speed_noise, seed)


def _legs(stays: Bools) -> list[tuple[int, int]]:
    """Returns first and last row of what a UE does between its stays (T,)."""
    change = np.diff(np.concatenate([[True], stays, [True]]).astype(np.int8))
    begin, end = np.flatnonzero(change == -1), np.flatnonzero(change == 1)
    # Under way from the last row of a stay on, so that the first step out of it belongs to the leg.
    return [(max(0, int(first) - 1), int(last)) for first, last in zip(begin, end, strict=True)]


def _context(model: CausalMobilityModel, way: Floats, ues: Ints, count: int) -> Floats:
    """Returns the posterior mean, from all legs together."""
    evidence = np.log(model.crowds.density @ way.T + 1e-30)
    of_ues = np.zeros((len(evidence), count))
    np.add.at(of_ues.T, ues, evidence.T)
    either = np.logaddexp(np.log(SHARES)[:, None] + of_ues[:, None], np.log1p(-SHARES)[:, None] + of_ues[0])
    log_posterior = either.sum(axis=2)
    posterior = np.exp(log_posterior - log_posterior.max())
    return model.mean_context(posterior / posterior.sum())


def _local(
    model: CausalMobilityModel, trace: MobilityTrace, context: Floats, way: Floats, ues: Ints, seed: int
) -> tuple[Bools, Floats]:
    """Returns who is a member, (U,), and the local latents."""
    share = np.clip(context[0], 1e-6, 1 - 1e-6)
    density = model.crowd_of(context)
    odds = np.log(way @ density + 1e-30) - np.log(way @ model.ground.weight + 1e-30)
    log_odds = np.full(trace.ues, np.log(share / (1 - share)))
    np.add.at(log_odds, ues, odds)
    chance = stream(seed, "model", "members").random((2, trace.ues))
    member = chance[0] < 1 / (1 + np.exp(-np.clip(log_odds, -500, 500)))
    reluctance = np.where(member, share * chance[1], share + (1 - share) * chance[1])
    return member, np.stack([reluctance, _log_pace(model, trace)], axis=1)


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
