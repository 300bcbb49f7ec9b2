"""Interventions on the context: UEs of the logged traces mixed anew, or traces drawn from the model and its gates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cf_augment.dataset import Provenance
from cf_augment.model import CausalMobilityModel
from cf_augment.model.crowds import moments
from cf_augment.model.prediction import HIGHEST_MPS2, LOWEST_MPS2
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import DataError
from sumo_mobility.base.seeds import stream
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import MobilityTrace

MIX_WEIGHTS = (1.0, 0.5, 1.5)
"""Swap, interpolate, extrapolate."""
_ATTEMPTS = 4
_CHOICE = 1.5
"""How many logged UEs there must be for each UE that is drawn, so that none is drawn twice."""
_GATHERING_WIDTH, _OTHERS_SHARE = (0.08, 0.3), (0.01, 0.15)
_MEMBERS_SHARE, _COMING_SHARE, _ONSET_SHARE = (0.4, 0.9), 0.7, 0.5
_OFF_ROAD_SHARE, _UNPHYSICAL_SHARE, _NOVELTY = 0.01, 0.01, (2.0, 0.5)


@dataclass(frozen=True)
class Drawn:
    """Traces that were drawn from the model.

    Attributes:
        traces: The accepted traces by name.
        provenance: The provenance of each of them.
        rejected: The number of refused traces by gate.
    """

    traces: dict[str, MobilityTrace]
    provenance: dict[str, Provenance]
    rejected: dict[str, int]


def mix_traces(logged: Mapping[str, MobilityTrace], count: int, seed: int) -> Drawn:
    """Composes crowds that were not there of UEs that were: each UE moves as it did in a logged trace.

    Given the context, UEs are taken to move independently of each other, though cars of one trace did give way to each
    other; so a UE may be taken out of its crowd and put into another one, and the physics of what it receives stays
    exact. For each trace a place on the map is drawn at random, and UEs of all logged traces with weights that fall
    with their distance from it: crowds gather where none did. What the model must invent, and this cannot, are ways
    that no logged UE has gone.

    Args:
        logged: Traces by name, of the same map, UEs and times.
        count: How many to compose.
        seed: Of all draws.

    Raises:
        DataError: the traces differ in their times or in their number of UEs.
    """
    names, traces_of = list(logged), list(logged.values())
    first = traces_of[0]
    for name, trace in logged.items():
        if trace.position_m.shape != first.position_m.shape or trace.step_s != first.step_s:
            raise DataError(f"traces {names[0]} and {name}: differ in UEs or times, so they cannot be mixed")
    position_m, speed_mps, heading_deg = (
        np.concatenate([getattr(trace, name) for trace in traces_of], axis=1)
        for name in ("position_m", "speed_mps", "heading_deg")
    )
    origin = np.repeat(names, first.ues)
    west, south, east, north = first.metadata.bounds_m
    traces: dict[str, MobilityTrace] = {}
    provenance: dict[str, Provenance] = {}
    for index in range(count):
        random = stream(seed, "mixing", index)
        place = random.uniform([west, south], [east, north])
        away = (position_m.mean(axis=0) - place) / (max(east - west, north - south) / 2)
        weight = _gathering_weight(away, random)
        # Few UEs would leave no choice: of one trace all, so that each may come more than once.
        again = len(weight) < _CHOICE * first.ues
        chosen = np.sort(random.choice(len(weight), size=first.ues, replace=again, p=weight / weight.sum()))
        source = tuple(dict.fromkeys(origin[chosen].tolist()))
        intervention = f"do(crowd: UEs of {', '.join(source)} near ({place[0]:.0f}, {place[1]:.0f}) m)"
        name = f"mixed-{index:03d}"
        traces[name] = replace(
            first,
            position_m=position_m[:, chosen],
            speed_mps=speed_mps[:, chosen],
            heading_deg=heading_deg[:, chosen],
            metadata=first.metadata.model_copy(
                update={
                    "context": "mixed",
                    "provenance": first.metadata.provenance | {"intervention": intervention},
                }
            ),
        )
        provenance[name] = Provenance(kind="mixed", source=source, intervention=intervention, action_source="-")
    return Drawn(traces, provenance, {})


def generate_traces(
    model: CausalMobilityModel, logged: Mapping[str, MobilityTrace], street_map: StreetMap, count: int, seed: int
) -> Drawn:
    """Draws traces under interventions on the context, until `count` have passed the gates.

    In turn: the context of another logged trace, mixed with the factual one (swap, interpolation, extrapolation); and
    that of a crowd that gathers around a place drawn at random, or leaves it, from the beginning or later on. Fewer are
    returned if too many are refused.
    """
    names = list(logged)
    abducted = {name: model.abduct(trace, seed) for name, trace in logged.items()}
    contexts = np.stack([abduction.context for abduction in abducted.values()])
    usual = max(_unphysical_share(model, trace) for trace in logged.values())
    rejected = {"off-road": 0, "unphysical": 0, "novel": 0}
    traces: dict[str, MobilityTrace] = {}
    provenance: dict[str, Provenance] = {}
    for attempt in range(_ATTEMPTS * count):
        if len(traces) == count:
            break
        random = stream(seed, "interventions", attempt)
        factual, other = (names[int(index)] for index in _two_of(len(names), random))
        sources = tuple(dict.fromkeys([factual, other]))
        if attempt % 2:
            west, south, east, north = street_map.bounds_m
            place_m = random.uniform([west, south], [east, north])
            [[x, y, *_]] = moments(place_m[None], street_map.bounds_m)
            variance = random.uniform(*_GATHERING_WIDTH) ** 2 / 2
            share, crowd = random.uniform(*_MEMBERS_SHARE), [x, y, variance, 0.0, variance]
            comes, sets_in = random.random(2) < (_COMING_SHARE, _ONSET_SHARE)
            onset_s = float(sets_in * random.uniform(0, logged[factual].duration_s / 2))
            context = model.context(share, onset_s=onset_s, **{"to" if comes else "origin": crowd})
            what = f"{'gather at' if comes else 'leave'} ({place_m[0]:.0f}, {place_m[1]:.0f}) m"
            intervention = f"do(context: UEs of {factual} {what}, from {onset_s:.0f} s on)"
            sources = (factual,)
        else:
            weight = MIX_WEIGHTS[attempt // 2 % len(MIX_WEIGHTS)]
            context = abducted[factual].context + weight * (abducted[other].context - abducted[factual].context)
            intervention = f"do(context: {weight:g} of the way to {other})"
        trace = model.generate(abducted[factual], do_context=context)
        reason = refusal(model, trace, street_map, contexts, usual)
        if reason:
            rejected[reason] += 1
            continue
        name = f"generated-{len(traces):03d}"
        metadata = trace.metadata.model_copy(
            update={"context": "generated", "provenance": trace.metadata.provenance | {"intervention": intervention}}
        )
        traces[name] = replace(trace, metadata=metadata)
        provenance[name] = Provenance(kind="generated", source=sources, intervention=intervention, action_source="-")
    return Drawn(traces, provenance, rejected)


def refusal(
    model: CausalMobilityModel, trace: MobilityTrace, street_map: StreetMap, contexts: Floats, usual: float = 0.0
) -> str:
    """Returns the gate that a trace does not pass, or nothing.

    * off-road: more than 1 % of the positions are farther than 5 m from all lanes;
    * unphysical: more than 1 % of the UE-steps, and than the `usual` share of logged traces, exceed the speed of logged
      UEs or the acceleration that SUMO allows, to which those on open ground do not keep;
    * novel: where its journeys lead (`CausalMobilityModel.reach`), by the context abducted from it, is farther from all
      logged contexts (N, C) than twice the greatest distance between them, and than a quarter of the map.
    """
    if street_map.off_road_share(trace.position_m) > _OFF_ROAD_SHARE:
        return "off-road"
    if _unphysical_share(model, trace) > max(usual, _UNPHYSICAL_SHARE):
        return "unphysical"
    reaches = np.stack([model.reach(context) for context in contexts])
    apart = np.linalg.norm(reaches[:, None] - reaches[None], axis=-1).max()
    nearest = np.linalg.norm(reaches - model.reach(model.context_of(trace)), axis=-1).min()
    factor, least = _NOVELTY
    return "novel" if nearest > max(factor * apart, least) else ""


def _unphysical_share(model: CausalMobilityModel, trace: MobilityTrace) -> float:
    """Returns the share of UE-steps that are too fast, or speed up or slow down too much, whichever is more."""
    acceleration = np.diff(trace.speed_mps, axis=0) / trace.step_s
    fast = trace.speed_mps > 1.01 * model.habits.fastest_mps
    hard = (acceleration > HIGHEST_MPS2 + 0.01) | (acceleration < LOWEST_MPS2 - 0.01)
    return float(max(fast.mean(), hard.mean()))


def _gathering_weight(away: Floats, random: np.random.Generator) -> Floats:
    """Weights (U,) of UEs by how far from a place they are, (U, 2) with 1 for half the map."""
    square = (away**2).sum(axis=1)
    width = random.uniform(*_GATHERING_WIDTH)
    return np.exp(-(square - square.min()) / (2 * width**2)) + random.uniform(*_OTHERS_SHARE)


def _two_of(count: int, random: np.random.Generator) -> list[int]:
    """Two different numbers below `count`, or twice 0."""
    return random.choice(count, size=2, replace=False).tolist() if count > 1 else [0, 0]
