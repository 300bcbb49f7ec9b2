"""Interventions on the context, and the gates that a generated trace must pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cf_augment.dataset import Provenance
from cf_augment.model import CausalMobilityModel
from cf_augment.model.fitting import gathering_weight
from cf_augment.model.prediction import HIGHEST_MPS2, LOWEST_MPS2
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.seeds import stream
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import MobilityTrace

MIX_WEIGHTS = (1.0, 0.5, 1.5)
"""Swap, interpolate, extrapolate."""
_ATTEMPTS = 4
_OFF_ROAD_M, _OFF_ROAD_SHARE, _UNPHYSICAL_SHARE, _NOVELTY = 5.0, 0.01, 0.01, 2.0


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


def generate_traces(
    model: CausalMobilityModel, logged: Mapping[str, MobilityTrace], street_map: StreetMap, count: int, seed: int
) -> Drawn:
    """Draws traces under interventions on the context, until `count` have passed the gates.

    In turn: the context of another logged trace, mixed with the factual one (swap, interpolation, extrapolation);
    and the context of a crowd that gathers at a place drawn at random, as the model encodes it from a logged
    trace whose UEs were drawn anew. Fewer are returned if too many are refused.
    """
    names = list(logged)
    abducted = {name: model.abduct(trace, seed) for name, trace in logged.items()}
    contexts = np.stack([abduction.context for abduction in abducted.values()])
    rejected = {"off-road": 0, "unphysical": 0, "novel": 0}
    traces: dict[str, MobilityTrace] = {}
    provenance: dict[str, Provenance] = {}
    for attempt in range(_ATTEMPTS * count):
        if len(traces) == count:
            break
        random = stream(seed, "interventions", attempt)
        factual, other = (names[int(index)] for index in _two_of(len(names), random))
        if attempt % 2:
            context, place = _gathered_context(model, logged[other], random)
            intervention = f"do(context: UEs of {other} gather at {place})"
        else:
            weight = MIX_WEIGHTS[attempt // 2 % len(MIX_WEIGHTS)]
            context = abducted[factual].context + weight * (abducted[other].context - abducted[factual].context)
            intervention = f"do(context: {weight:g} of the way to {other})"
        trace = model.generate(abducted[factual], do_context=context)
        reason = refusal(model, trace, street_map, contexts)
        if reason:
            rejected[reason] += 1
            continue
        name = f"generated-{len(traces):03d}"
        metadata = trace.metadata.model_copy(
            update={"context": "generated", "provenance": trace.metadata.provenance | {"intervention": intervention}}
        )
        traces[name] = replace(trace, metadata=metadata)
        sources = tuple(dict.fromkeys([factual, other]))
        provenance[name] = Provenance(kind="generated", source=sources, intervention=intervention, action_source="-")
    return Drawn(traces, provenance, rejected)


def refusal(model: CausalMobilityModel, trace: MobilityTrace, street_map: StreetMap, contexts: Floats) -> str:
    """Returns the gate that a trace does not pass, or nothing.

    * off-road: more than 1 % of the positions are farther than 5 m from all lanes;
    * unphysical: more than 1 % of the UE-steps exceed the speed or the acceleration that the model may use;
    * novel: its context, encoded from the trace, is farther from all logged contexts (N, C) than twice the
      greatest distance between them (or than 2, the prior's scale, if there is but one).
    """
    if (street_map.distance_m(trace.position_m) > _OFF_ROAD_M).mean() > _OFF_ROAD_SHARE:
        return "off-road"
    acceleration = np.diff(trace.speed_mps, axis=0) / trace.step_s
    fast = trace.speed_mps > 1.01 * model.config.fastest_mps
    hard = (acceleration > HIGHEST_MPS2 + 0.01) | (acceleration < LOWEST_MPS2 - 0.01)
    if max(fast.mean(), hard.mean()) > _UNPHYSICAL_SHARE:
        return "unphysical"
    apart = np.linalg.norm(contexts[:, None] - contexts[None], axis=-1).max()
    nearest = np.linalg.norm(contexts - model.context_of(trace), axis=-1).min()
    return "novel" if nearest > _NOVELTY * (apart if len(contexts) > 1 else 1.0) else ""


def _two_of(count: int, random: np.random.Generator) -> list[int]:
    """Two different numbers below `count`, or twice 0."""
    return random.choice(count, size=2, replace=False).tolist() if count > 1 else [0, 0]


def _gathered_context(
    model: CausalMobilityModel, trace: MobilityTrace, random: np.random.Generator
) -> tuple[Floats, str]:
    """The context of a crowd that gathers somewhere, and where."""
    west, south, east, north = trace.metadata.bounds_m
    place = random.uniform([west, south], [east, north])
    scale_m = max(east - west, north - south) / 2
    weight = gathering_weight((trace.position_m[-1] - place) / scale_m, random)
    ues = random.choice(trace.ues, size=trace.ues, p=weight / weight.sum())
    crowd = replace(
        trace,
        position_m=trace.position_m[:, ues],
        speed_mps=trace.speed_mps[:, ues],
        heading_deg=trace.heading_deg[:, ues],
    )
    return model.context_of(crowd), f"({place[0]:.0f}, {place[1]:.0f}) m"
