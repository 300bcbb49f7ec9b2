"""What a model is asked: logged traces, contexts of traces that it did not see, and what would have been."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

from pydantic import JsonValue

from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.errors import DataError
from sumo_mobility.base.seeds import stream
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import MobilityTrace


class Question(NamedTuple):
    """What would a logged trace have been in the context of a held-out one? Both by name."""

    factual: str
    target: str


@dataclass(frozen=True)
class Material:
    """What an audit is made of.

    Attributes:
        scenario: The network that the traces are played in.
        street_map: The map of all traces.
        train: The traces that models learn from, by name.
        held_out: The traces that they do not see.
        contexts: The true name and parameters of the context of each trace of which they are known.
        questions: What is asked.
        truth: What the simulator answers, where it can: the factual trace made again under the context of the target.
        redriven: The same with other drivers: how far two truths are apart.
        unknown: Why something cannot be measured, in the order in which it was found.
    """

    scenario: Scenario
    street_map: StreetMap
    train: Mapping[str, MobilityTrace]
    held_out: Mapping[str, MobilityTrace]
    contexts: Mapping[str, Mapping[str, JsonValue]]
    questions: tuple[Question, ...]
    truth: Mapping[Question, MobilityTrace] = field(default_factory=dict)
    redriven: Mapping[Question, MobilityTrace] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        traces = self.traces
        if not self.train or not self.held_out:
            raise DataError(
                f"audit: {len(self.train)} traces to learn from, {len(self.held_out)} held out; one of each is needed",
                "make more with 'mlb mobility make --train-traces N --test-traces M'",
            )
        maps = {trace.metadata.map_name: name for name, trace in reversed(traces.items())}
        if len(maps) > 1:
            (one, first), (other, second) = list(maps.items())[:2]
            raise DataError(
                f"audit: trace {second} is of map {other} and trace {first} of map {one}",
                "a model has one map: choose traces of one",
            )

    def answered(
        self,
        truth: Mapping[Question, MobilityTrace],
        redriven: Mapping[Question, MobilityTrace],
        unknown: tuple[str, ...],
    ) -> Self:
        """Returns the same with what the simulator has answered; see the attributes."""
        return replace(self, truth=truth, redriven=redriven, unknown=unknown)

    @property
    def traces(self) -> dict[str, MobilityTrace]:
        """All traces by name."""
        return {**self.train, **self.held_out}


def questions(
    train: Mapping[str, object], held_out: Mapping[str, object], count: int, seed: int
) -> tuple[Question, ...]:
    """Draws what is asked: each held-out context in turn, of logged traces of other contexts, drawn at random.

    Args:
        train: The contexts of the traces to begin from, by name of the trace; any values that can be compared.
        held_out: Those of the traces whose contexts are put in their place.
        count: How many to draw; fewer if there are no more pairs of different contexts.
        seed: Of the draws.

    Raises:
        DataError: all traces are of one context.
    """
    random = stream(seed, "audit", "questions")
    rest = {}
    for target, wanted in held_out.items():
        names = [name for name, context in train.items() if context != wanted]
        rest[target] = [names[index] for index in random.permutation(len(names))]
    drawn: list[Question] = []
    while len(drawn) < count and any(rest.values()):
        drawn += [Question(names.pop(), target) for target, names in rest.items() if names]
    if not drawn:
        raise DataError(
            "audit: all traces are of one context, so there is no other one to ask for",
            "make traces of a preset with several contexts",
        )
    return tuple(drawn[:count])
