"""Crowds whose causes are known, and a causal model of them that is right, so that an audit must say so."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from small_world import small_scenario

from cf_augment.audit import Material, Question, questions
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.seeds import stream
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import MobilityTrace, TraceMetadata

SIDE_M = 1000.0
GROUND = StreetMap(
    name="nowhere", streets=(), bounds_m=(0, 0, SIDE_M, SIDE_M), projection="", net_offset_m=(0.0, 0.0),
    licence="CC0-1.0", attribution="nobody",
)  # fmt: skip


@dataclass(frozen=True)
class Latents:
    """What has been abducted: the place of the crowd, what is each UE's own, and the trace."""

    context: np.ndarray
    local: np.ndarray
    trace: MobilityTrace


def crowd(place: tuple[float, float], seed: int, steps: int = 6, ues: int = 12) -> MobilityTrace:
    """UEs about a place, a share of the side each way; seen from it, those of a seed move alike around any place."""
    random = stream(seed, "made-crowd")
    own_m = random.normal(0, 120, (ues, 2))
    velocity = random.normal(0, 8, (ues, 2))
    velocity[: 1 + seed % 3] = 0  # some stand
    time_s = np.arange(steps + 1.0)
    moved_m = own_m + time_s[:, None, None] * velocity
    moved_m -= moved_m[0].mean(axis=0)
    ones = np.ones((steps + 1, 1))
    metadata = TraceMetadata(
        source="made up", map_name="nowhere", licence="CC0-1.0", attribution="nobody", seed=seed, context="event",
        context_parameters={"x_share": place[0], "y_share": place[1]}, bounds_m=GROUND.bounds_m,
    )  # fmt: skip
    speed, heading = np.hypot(*velocity.T), np.degrees(np.arctan2(*velocity.T)) % 360
    return MobilityTrace(time_s, SIDE_M * np.array(place) + moved_m, ones * speed, ones * heading, metadata)


class TrueModel:
    """The model that made the crowds: the context is the place, and a crowd is moved as it is."""

    def abduct(self, trace: MobilityTrace, seed: int = 0) -> Latents:
        place_m = trace.position_m[0].mean(axis=0)
        return Latents(place_m / SIDE_M, trace.position_m[0] - place_m, trace)

    def generate(
        self, abduction: Latents, do_context: np.ndarray | None = None, do_local: np.ndarray | None = None
    ) -> MobilityTrace:
        context = abduction.context if do_context is None else do_context
        moved_m = SIDE_M * (context - abduction.context)
        return replace(abduction.trace, position_m=abduction.trace.position_m + moved_m)

    def context_of(self, trace: MobilityTrace) -> np.ndarray:
        return self.abduct(trace).context


class DeafModel(TrueModel):
    """A model that does not listen to interventions, and whose locals say all that its context should."""

    def abduct(self, trace: MobilityTrace, seed: int = 0) -> Latents:
        truth = super().abduct(trace)
        random = stream(int(1e6 * truth.context.sum()), "deaf")
        return Latents(random.normal(size=2), np.tile(truth.context, (trace.ues, 1)), trace)

    def generate(
        self, abduction: Latents, do_context: np.ndarray | None = None, do_local: np.ndarray | None = None
    ) -> MobilityTrace:
        return abduction.trace


def material(scenario: Scenario | None = None) -> Material:
    """Twelve training traces and eight held-out ones, each of a place of its own, and all truths."""
    places = stream(7, "places").uniform(0.1, 0.9, (20, 2)).tolist()
    traces = {f"{'train' if i < 12 else 'test'}-{i:03d}": crowd(tuple(place), i) for i, place in enumerate(places)}
    contexts = {name: {"name": "event", **trace.metadata.context_parameters} for name, trace in traces.items()}
    train, held_out = ({n: t for n, t in traces.items() if n.startswith(split)} for split in ("train", "test"))
    asked = questions(
        {name: contexts[name] for name in train}, {name: contexts[name] for name in held_out}, count=10, seed=1
    )

    def truth(question: Question, seed: int) -> MobilityTrace:
        where = contexts[question.target]
        return crowd((where["x_share"], where["y_share"]), seed)

    made = Material(scenario or small_scenario(), GROUND, train, held_out, contexts, asked)
    return made.answered(
        {question: truth(question, int(question.factual[-3:])) for question in asked},
        {question: truth(question, 99) for question in asked},
        (),
    )
