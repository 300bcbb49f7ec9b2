"""The suites of the benchmark: networks, contexts, and how much of them was logged before anything was learnt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ns3_scenarios.scenario import Preset, Scenario
from py_agent.benchmark.workshop import Effort
from sumo_mobility.base.registry import Registry
from sumo_mobility.pipeline import load_map


@dataclass(frozen=True)
class Data:
    """What was logged, under random offsets.

    Attributes:
        name: What the results call it.
        train_traces: Traces of the train contexts.
        test_traces: Traces of the context in which the policy is judged; others than those that it is judged on.
    """

    name: str
    train_traces: int
    test_traces: int = 0


@dataclass(frozen=True)
class Suite:
    """A comparison of methods on one scale.

    S = (x - floor) / (ceiling - floor) of the metric, means over the traces of a context: what is called the floor has
    0, the ceiling has 1.

    Attributes:
        name: What commands and results call it.
        title: What it is about, in a sentence.
        track: Under which name it is run together with others.
        presets: Presets; policies are judged in each of their test contexts.
        data: What was logged.
        main: The amount of data with which methods are compared in detail.
        metric: What S is of: one of METRICS, or "reward".
        floor: The method that has 0.
        ceiling: The method that has 1.
        effort: How much is done.
        quick: The same with `--quick`.
        changes: Fields of the presets that are changed.
        others: Number of traces on which policies of the first seed are judged in other back ends too, by their names.
        published: Improvement over static in %, by preset and by the name of the method there.
    """

    name: str
    title: str
    track: str
    presets: tuple[str, ...]
    data: tuple[Data, ...]
    main: str
    metric: str
    floor: str
    ceiling: str
    effort: Effort
    quick: Effort
    changes: Mapping[str, Any] = field(default_factory=dict)
    others: Mapping[str, int] = field(default_factory=dict)
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def scenarios(self) -> list[Scenario]:
        """Returns the scenarios of all presets, with all of their contexts."""
        return [self._scenario(Preset.load(preset)) for preset in self.presets]

    def homes(self) -> list[Scenario]:
        """Returns a scenario for each test context, which has no other."""
        return [
            scenario if len(scenario.mobility.test_contexts) == 1 else only(scenario, index)
            for scenario in self.scenarios()
            for index in range(len(scenario.mobility.test_contexts))
        ]

    def _scenario(self, preset: Preset) -> Scenario:
        if self.changes:
            fields = {**preset.model_dump(exclude_unset=True), **self.changes, "id": f"{preset.id}-{self.name}"}
            preset = Preset.parse(fields, f"suite {self.name}")
        return Scenario.place(preset, preset.sites.place(load_map(preset.mobility.map)))


def only(scenario: Scenario, index: int) -> Scenario:
    """Returns a scenario with one of its test contexts alone, and another id."""
    context = scenario.mobility.test_contexts[index]
    mobility = scenario.mobility.model_copy(update={"test_contexts": (context,)})
    return scenario.model_copy(update={"id": f"{scenario.id}-{index}-{context.name}", "mobility": mobility})


SUITES: Registry[Suite] = Registry("suite")
"""All suites by name."""

_CONTEXTS = ("right-loiter-left", "right-right-left", "right-none-left")
_REFERENCE = Effort(seeds=5, test_traces=50, gradient_steps=4000, replays=8, mixed_traces=40, generated_traces=20)
_REFERENCE_QUICK = Effort(
    seeds=2,
    test_traces=12,
    gradient_steps=500,
    replays=4,
    mixed_traces=10,
    generated_traces=5,
    environment_steps=2000,
    candidates=2,
)
_REFERENCE_DATA = (
    Data("k = 0 %", 20), Data("k = 20 %", 20, 2), Data("k = 100 %", 20, 10),
    Data("1 trace", 1), Data("2 traces", 2), Data("5 traces", 5),
)  # fmt: skip
_PUBLISHED = ("random", "MOPO", "SAC+0", "SAC+20", "SAC+20+CF", "SAC+100", "online SAC", "online PPO")


def _published(network: str, *of_contexts: tuple[float, ...]) -> dict[str, dict[str, float]]:
    return {
        f"{network}-{context}-v0": dict(zip(_PUBLISHED, values, strict=True))
        for context, values in zip(_CONTEXTS, of_contexts, strict=True)
    }


def _reference(network: str, title: str, **more: Any) -> Suite:
    given = {
        "name": network, "track": "reference", "presets": tuple(f"{network}-{context}-v0" for context in _CONTEXTS),
        "data": _REFERENCE_DATA, "main": "k = 20 %", **more,
    }  # fmt: skip
    return Suite(
        title=title, metric="load_std", floor="best tuned rule", ceiling="planner", effort=_REFERENCE,
        quick=_REFERENCE_QUICK, **given,
    )  # fmt: skip


SUITES.register(
    _reference(
        "line3", "Three sites in a line, 50 UEs on open ground, offsets set each second",
        published=_published(
            "line3",
            (-6.6, -3.5, 8.2, 14.0, 19.0, 18.3, 24.3, 43.7),
            (-11.6, -1.4, 13.3, 10.3, 19.6, 21.1, 36.2, 55.4),
            (1.0, -2.0, 8.0, 16.7, 17.2, 33.0, 39.9, 58.2),
        ),
    )
)  # fmt: skip
SUITES.register(
    _reference(
        "helsinki3", "Three sites in the streets of Helsinki, 50 UEs in cars, offsets set each second",
        published=_published(
            "helsinki3",
            (-14.0, -18.0, 17.1, 17.6, 19.3, 33.2, 51.3, 42.1),
            (-27.6, -48.1, -16.4, -6.4, 7.9, 29.0, 43.8, 37.5),
            (-0.4, -12.6, -21.1, -1.8, 9.6, 23.7, 40.8, 44.7),
        ),
    )
)  # fmt: skip
SUITES.register(
    _reference(
        "helsinki3", "The same streets under the physics of ns-3, in the engine, the emulator and ns-3",
        name="helsinki3-ns3", changes={"profile": "ns3"}, data=(Data("k = 20 %", 20, 2),),
        others={"emulator": 10, "ns3": 10},
    )
)  # fmt: skip
SUITES.register(
    Suite(
        name="slow", title="Offsets held for 30 s on reports that are 30 s late, in contexts that nobody logged",
        track="slow", presets=("helsinki-slow-v0",),
        data=(
            Data("15 traces", 15), Data("5 traces", 5), Data("2 traces", 2), Data("1 trace of the context", 0, 1)
        ),
        main="5 traces", metric="reward", floor="best tuned rule", ceiling="planner, clairvoyant",
        effort=Effort(
            seeds=5, test_traces=7, gradient_steps=1000, replays=4, mixed_traces=15, generated_traces=60,
            environment_steps=5000,
        ),
        quick=Effort(
            seeds=2, test_traces=2, gradient_steps=200, replays=2, mixed_traces=5, generated_traces=15,
            environment_steps=200, candidates=2,
        ),
        others={"ns3": 3},
    )
)  # fmt: skip
SUITES.register(
    _reference(
        "helsinki3", "What the agent's parameters are worth, in one of the contexts and with one logged trace",
        name="studies", track="studies", presets=("helsinki3-right-right-left-v0",), main="1 trace",
        data=(Data("1 trace", 1),),
    )
)  # fmt: skip
