"""The methods that the benchmark compares: a class for each kind, a line for each method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd

from ns3_scenarios.scenario import Scenario
from py_agent.algorithms.base import trained_policy
from py_agent.algorithms.recipes import PHYSICS, SLOW
from py_agent.benchmark.suites import Data, Suite
from py_agent.benchmark.tasks import LoggedJob, TrainJob, Tuned
from py_agent.benchmark.workshop import Effort, Workshop
from py_agent.jobs import Job
from py_agent.policies import PolicyFactory, policy_factory
from py_agent.policies.planner import GreedyPlanner
from py_agent.rundir import last_checkpoint
from py_agent.tune import tunable_policies
from sumo_mobility.base.registry import Registry
from sumo_mobility.base.seeds import stream


def _counts(effort: Effort, mixed: int, generated: int) -> Effort:
    return effort.model_copy(update={"mixed_traces": mixed, "generated_traces": generated})


COUNTERFACTUAL: Mapping[str, Callable[[Effort], Effort]] = {
    "all": lambda effort: effort,
    "replay": lambda effort: _counts(effort, 0, 0),
    "mixing": lambda effort: _counts(effort, effort.mixed_traces + effort.generated_traces, 0),
    "generation": lambda effort: _counts(effort, 0, effort.mixed_traces + effort.generated_traces),
    "a quarter": lambda effort: _counts(effort, effort.mixed_traces // 4, effort.generated_traces // 4),
}
"""Traces beside the logged ones, given how much is done: mixed crowds and drawn traces; none, so that the logged ones
are replayed alone; as many of one kind; a quarter of both."""
_DEVELOPMENT_TRACES = 8
"""Logged traces from which candidates learn; they are judged on others."""


@dataclass(frozen=True)
class Cell:
    """A context in which a method is judged, and what it may learn from.

    Attributes:
        workshop: Makes what the method needs.
        suite: The suite.
        home: The scenario whose only test context it is.
        source: The scenario that was logged; that of another context if only train contexts were.
        data: What was logged; None for methods that learn from nothing.
    """

    workshop: Workshop
    suite: Suite
    home: Scenario
    source: Scenario
    data: Data | None


class Made(NamedTuple):
    """What became of a method in a cell."""

    policies: Sequence[PolicyFactory]
    """Its policies, one for each seed."""
    cpu_s: float = 0.0
    """CPU time of one seed's training, in s."""
    tried: int = 0
    """Number of candidates that were tried on development traces to tune it."""
    at_edge: str = ""
    """Parameters whose best value is the last one of a range that could go on."""
    early: Mapping[int, Sequence[PolicyFactory]] = {}
    """The policies as they were after fewer gradient steps, by their number."""


@dataclass(frozen=True)
class Method(ABC):
    """A way to steer the offsets.

    Attributes:
        name: What results call it.
        group: The kind of methods that it is of, for tables and pictures.
        tracks: The tracks on which it is tried.
    """

    name: str
    group: str
    tracks: tuple[str, ...] = ("reference", "slow")

    learns: ClassVar[bool] = False
    """Whether it learns from logged data, so that there is a cell for each amount of them."""

    @abstractmethod
    def make(self, cell: Cell) -> Generator[Sequence[Job], None, Made]:
        """Yields the jobs that have to be done next, and returns what became of them.

        Jobs of one round do not need each other; all methods' rounds are done together, and a job that two methods
        yield is done once.

        Raises:
            MlbError: the method cannot be made; it costs its own rows alone.
        """


@dataclass(frozen=True)
class Rule(Method):
    """A policy that neither learns nor looks ahead.

    Attributes:
        policy: One of POLICIES, with its parameters.
        tuned: Whether its parameters are searched for on development traces.
    """

    policy: str = ""
    tuned: bool = False

    def make(self, cell: Cell) -> Generator[Sequence[Job], None, Made]:
        """See `Method.make`."""
        if not self.tuned:
            return Made([policy_factory(self.policy)])
        job = cell.workshop.tuning(cell.source, self.policy)
        yield [job]
        found = Tuned.read_json(job.path)
        return Made([policy_factory(found.policy)], tried=found.tried, at_edge=", ".join(found.at_edge))


@dataclass(frozen=True)
class BestRule(Method):
    """The tuned rule that earns most on development traces, of all that can be tuned."""

    def make(self, cell: Cell) -> Generator[Sequence[Job], None, Made]:
        """See `Method.make`."""
        jobs = [cell.workshop.tuning(cell.source, policy) for policy in tunable_policies()]
        yield jobs
        found = [Tuned.read_json(job.path) for job in jobs]
        best = max(found, key=lambda tuned: tuned.reward)
        tried = sum(tuned.tried for tuned in found)
        return Made([policy_factory(best.policy)], tried=tried, at_edge=", ".join(best.at_edge))


@dataclass(frozen=True)
class Planner(Method):
    """The search in the engine at each step, over a future that needs no data.

    Attributes:
        search: Parameters of `GreedyPlanner`.
    """

    search: Mapping[str, Any] = field(default_factory=dict)

    def make(self, cell: Cell) -> Generator[Sequence[Job], None, Made]:
        """See `Method.make`."""
        yield []  # nothing has to be done first
        return Made([partial(GreedyPlanner, **self.search)])


@dataclass(frozen=True)
class LearnedPlanner(Planner):
    """The same over a future that learns from logged traces."""

    learns = True

    def make(self, cell: Cell) -> Generator[Sequence[Job], None, Made]:
        """See `Method.make`."""
        logged = _logged(cell)
        yield [logged]
        return Made([partial(GreedyPlanner, **self.search, data=logged.path)])


@dataclass(frozen=True)
class Offline(Method):
    """A policy that was trained on logged data, and on counterfactual ones if so.

    Attributes:
        algorithm: One of ALGORITHMS.
        training: Fields of its `TrainConfig`.
        counterfactual: Which counterfactual traces it has, one of COUNTERFACTUAL; None: it learns from what was logged
            alone.
        space: Values of the algorithm's hyper-parameters; a candidate has one of each. Empty: nothing is tuned.
    """

    algorithm: str = "sac"
    training: Mapping[str, Any] = field(default_factory=dict)
    counterfactual: str | None = None
    space: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    learns = True

    def make(self, cell: Cell) -> Generator[Sequence[Job], None, Made]:
        """See `Method.make`."""
        training, tried = self.training, 0
        if self.space:
            training, tried = yield from self._tuned(cell)
        logged = _logged(cell)
        yield [logged]
        (job,) = yield from self._trained(cell.workshop, logged, {self.name: training}, cell.workshop.effort.seeds)
        early = {step: _of(checkpoints) for step, checkpoints in job.early.items()}
        return Made(_of(job.checkpoints), job.cpu_s(), tried, early=early)

    def _trained(
        self, workshop: Workshop, logged: LoggedJob, trainings: Mapping[str, Mapping[str, Any]], seeds: int
    ) -> Generator[Sequence[Job], None, list[TrainJob]]:
        """Yields what trains with each of several hyper-parameters, by the names of their directories."""
        augmented = None
        if self.counterfactual is not None:
            augmented = workshop.augmented(logged, COUNTERFACTUAL[self.counterfactual](workshop.effort))
            yield [augmented]
        jobs = [
            replace(workshop.training(name, logged, augmented, training, self.algorithm), seeds=seeds)
            for name, training in trainings.items()
        ]
        yield jobs
        return jobs

    def _tuned(self, cell: Cell) -> Generator[Sequence[Job], None, tuple[Mapping[str, Any], int]]:
        """Yields what finds the candidate that earns most on development traces; returns it, and how many there were.

        One search serves all cells of a suite, and a candidate has one seed.
        """
        workshop, scenario = cell.workshop, cell.suite.scenarios()[0]
        candidates = self._candidates(workshop.effort.candidates)
        logged = workshop.logged(scenario, "development", _DEVELOPMENT_TRACES, 0, split="development")
        yield [logged]
        names = {f"{self.name} {index}": training for index, training in enumerate(candidates)}
        jobs = yield from self._trained(workshop, logged, names, 1)
        judged = [
            workshop.judgement(scenario, name, _of(job.checkpoints)[0], split="tune")
            for name, job in zip(names, jobs, strict=True)
        ]
        yield judged
        earned = [pd.read_parquet(job.path)["reward"].mean() for job in judged]
        return candidates[int(np.argmax(earned))], len(candidates)

    def _candidates(self, count: int) -> list[Mapping[str, Any]]:
        """Returns what is tried: `training` itself, and as many more as are left of it, drawn without repetition."""
        given = dict(self.training.get(self.algorithm, {}))
        combinations = [dict(zip(self.space, values, strict=True)) for values in product(*self.space.values())]
        order = stream(0, "benchmark", "candidates", self.name).permutation(len(combinations))
        chosen = [{}, *(combinations[index] for index in order)][:count]
        return [{**self.training, self.algorithm: given | parameters} for parameters in chosen]


@dataclass(frozen=True)
class Online(Method):
    """A policy that learns by acting in the engine, in the context in which it is judged: what nobody may do live.

    Attributes:
        algorithm: One of ONLINE.
        training: Fields of its configuration.
    """

    algorithm: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)

    def make(self, cell: Cell) -> Generator[Sequence[Job], None, Made]:
        """See `Method.make`."""
        jobs = cell.workshop.acting(cell.home, self.name, self.algorithm, self.training)
        yield jobs
        return Made(_of([last_checkpoint(job.folder) for job in jobs]), float(np.mean([job.cpu_s() for job in jobs])))


def _of(checkpoints: Sequence[Path]) -> list[PolicyFactory]:
    return [partial(trained_policy, checkpoint=checkpoint) for checkpoint in checkpoints]


def _logged(cell: Cell) -> LoggedJob:
    assert cell.data is not None
    return cell.workshop.logged(cell.source, cell.data.name, cell.data.train_traces, cell.data.test_traces)


METHODS: Registry[Method] = Registry("method")
"""All methods by name, in the order in which results list them."""

_ALL = ("reference", "slow", "studies")
_SLOW_SEARCH = {"samples": 60, "rounds": 2, "sweeps": 2}
_FIELD = {"hidden": 64, "batch_size": 64}
"""The size of all networks and batches, so that costs can be compared."""


def _shown(future: str) -> Mapping[str, Any]:
    """Returns the recipe of the slow track with another future."""
    return {**SLOW, "sac": SLOW["sac"] | {"future": future}}


def _with(parameter: str, value: float) -> Mapping[str, Any]:
    """Returns the recipe of control each second with another value of a parameter."""
    if parameter in PHYSICS:
        return {**PHYSICS, parameter: value}
    return {**PHYSICS, "sac": PHYSICS["sac"] | {parameter: value}}


METHODS.register(Rule("static", "rules", _ALL, policy="static"))
METHODS.register(Rule("random", "rules", policy="random"))
for _policy in tunable_policies():
    METHODS.register(Rule(_policy, "rules", policy=_policy))
    METHODS.register(Rule(f"{_policy}, tuned", "rules", policy=_policy, tuned=True))
METHODS.register(BestRule("best tuned rule", "rules", _ALL))

METHODS.register(Planner("planner", "planners", ("reference", "studies")))
METHODS.register(Planner("planner, frozen", "planners", ("slow",), _SLOW_SEARCH | {"future": "frozen"}))
METHODS.register(Planner("planner, dead reckoning", "planners", ("slow",), _SLOW_SEARCH | {"future": "dead-reckoning"}))
METHODS.register(Planner("planner, clairvoyant", "planners", ("slow",), _SLOW_SEARCH | {"future": "true"}))
for _name, _future in (("neighbours", "neighbors"), ("VAE", "vae"), ("causal model", "model")):
    METHODS.register(LearnedPlanner(f"planner, {_name}", "planners", ("slow",), _SLOW_SEARCH | {"future": _future}))

_DISCOUNTS, _STEP_SIZES = (0.0, 0.5, 0.9), (3e-4, 1e-3)


def _of_the_field(name: str, algorithm: str, **space: tuple[Any, ...]) -> None:
    """Registers an offline algorithm of the literature, with the values of its own parameters that are tried."""
    space = {"learning_rate": _STEP_SIZES, **space}
    METHODS.register(Offline(name, "offline RL", algorithm=algorithm, training={algorithm: _FIELD}, space=space))


_of_the_field("BC", "bc")
_of_the_field("TD3+BC", "td3-bc", gamma=_DISCOUNTS, alpha=(0.5, 2.5, 10.0))
_of_the_field("IQL", "iql", gamma=_DISCOUNTS, expectile=(0.7, 0.9), weight_temp=(1.0, 3.0, 10.0))
_of_the_field("CQL", "cql", gamma=_DISCOUNTS, conservative_weight=(0.5, 5.0))
_of_the_field("DT", "dt", context_size=(5, 20), target_quantile=(0.9, 1.0))
_of_the_field("MOPO", "mopo", gamma=_DISCOUNTS, penalty=(0.0, 0.1, 1.0))
_of_the_field("SAC", "sac", gamma=_DISCOUNTS, bc_weight=(0.0, 1.0, 10.0))

METHODS.register(Online("online PPO", "online RL", algorithm="online-ppo"))
METHODS.register(Online("online SAC", "online RL", algorithm="online-sac"))

METHODS.register(
    Offline(
        "SAC + CF, no physics", "controls", ("reference",), counterfactual="all",
        training={"counterfactual_share": PHYSICS["counterfactual_share"], "sac": _FIELD},
    )
)  # fmt: skip
METHODS.register(Offline("SAC + exact replay", "controls", ("reference",), training=PHYSICS, counterfactual="replay"))
METHODS.register(Offline("SAC + mixing", "controls", ("reference",), training=PHYSICS, counterfactual="mixing"))
METHODS.register(Offline("SAC + CF", "ours", ("reference", "studies"), training=PHYSICS, counterfactual="all"))


def _study(name: str, training: Mapping[str, Any], counterfactual: str = "all") -> None:
    METHODS.register(
        Offline(f"SAC + CF, {name}", "studies", ("studies",), training=training, counterfactual=counterfactual)
    )


for _parameter, _values in {
    "counterfactual_share": (0.5, 0.8), "gamma": (0.5, 0.9), "physics_weight": (0, 4), "hidden": (32, 128),
    "physics_last_temperature_db": (0.05, 0.5), "target_entropy_per_action": (0,),
}.items():  # fmt: skip
    for _value in _values:
        _study(f"{_parameter} {_value:g}", _with(_parameter, _value))
_study("bfloat16", {**PHYSICS, "sac": PHYSICS["sac"] | {"precision": "bfloat16"}})
for _kind in ("mixing", "generation", "a quarter"):
    _study(f"{_kind} of traces", PHYSICS, _kind)

METHODS.register(
    Offline(
        "SAC + exact replay, dead reckoning", "controls", ("slow",), training=_shown("dead-reckoning"),
        counterfactual="replay",
    )
)  # fmt: skip
METHODS.register(
    Offline(
        "SAC + mixing, neighbours", "controls", ("slow",), training=_shown("neighbors"),
        counterfactual="mixing",
    )
)  # fmt: skip
METHODS.register(
    Offline("SAC + exact replay, causal model", "controls", ("slow",), training=SLOW, counterfactual="replay")
)
METHODS.register(Offline("SAC + CF, late reports", "controls", ("slow",), training=_shown(""), counterfactual="all"))
METHODS.register(Offline("SAC + CF, causal model", "ours", ("slow",), training=SLOW, counterfactual="all"))
