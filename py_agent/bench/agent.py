"""Measures what a trained agent is worth, against the tuned rule, the planner and SAC without counterfactual data.

S = (rule - x) / (rule - planner) of the mean load standard deviation: the tuned rule has 0, the greedy planner, which
searches the engine at every step, has 1. Everything is judged on the same fresh traces; logged data are those of random
offsets. What has been made is kept in a directory, so that a measurement that was interrupted goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ns3_scenarios.scenario import Preset, Scenario
from py_agent.algorithms.base import trained_policy
from py_agent.algorithms.recipes import PHYSICS
from py_agent.bench.training_speed import training_speed
from py_agent.benchmark.scores import score, score_interval
from py_agent.benchmark.tasks import JudgeJob, TrainJob
from py_agent.benchmark.workshop import Effort, Workshop
from py_agent.jobs import LOCAL
from py_agent.measurement import Measurement
from py_agent.policies import policy_factory
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.contract import nearest
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.pipeline import load_map


@dataclass(frozen=True)
class Method:
    """A way to train.

    Attributes:
        counterfactual: Whether it learns from counterfactual data beside the logged ones.
        training: Fields of `TrainConfig`, but for the number of gradient steps, which is the same for all.
    """

    counterfactual: bool
    training: Mapping[str, Any] = field(default_factory=dict)


OURS, PLAIN = "SAC + CF", "SAC"
METHODS = {
    PLAIN: Method(False),
    "SAC + CF, no physics": Method(True, {"counterfactual_share": PHYSICS["counterfactual_share"]}),
    OURS: Method(True, PHYSICS),
}
"""The methods; what they do not say has SAC's own defaults."""


@dataclass(frozen=True)
class Setting:
    """What a training may learn from, and what it must come to.

    Attributes:
        name: What the figures call it.
        train_traces: Logged traces of the train contexts.
        test_traces: Logged traces of the contexts in which the policy is judged.
        target: S to reach, the mean over the contexts and the least of them.
        goal: S to aim at, likewise.
        choices: From how many choices of the traces seeds learn, as many from each; none has a trace of another.
        methods: Which of METHODS are tried.
    """

    name: str
    train_traces: int
    test_traces: int
    target: tuple[float, float]
    goal: tuple[float, float]
    choices: int = 1
    methods: tuple[str, ...] = (PLAIN, OURS)


@dataclass(frozen=True)
class Network:
    """A network, in which several settings are tried.

    Attributes:
        name: What the figures call it.
        presets: Presets that differ in their test contexts alone; policies are judged in all of them.
        settings: The settings.
        carried: The setting whose policies are judged elsewhere too: in ns-3, and with other numbers of cells.
    """

    name: str
    presets: tuple[str, ...]
    settings: tuple[Setting, ...]
    carried: Setting | None = None


_CONTEXTS = ("right-loiter-left", "right-right-left", "right-none-left")
_FROM_20 = Setting("from 20 traces", 20, 0, (0.4, 0.4), (0.8, 0.8), methods=tuple(METHODS))
NETWORKS = (
    Network(
        "line3", tuple(f"line3-{context}-v0" for context in _CONTEXTS),
        (
            Setting("k = 20 %", 20, 2, (1.0, 0.7), (1.2, 1.0)),
            Setting("k = 0 from 20 traces", 20, 0, (0.9, 0.6), (1.1, 0.9), methods=tuple(METHODS)),
            Setting("k = 0 from one trace", 1, 0, (0.6, 0.4), (1.0, 0.7)),
        ),
    ),
    Network(
        "helsinki3", tuple(f"helsinki3-{context}-v0" for context in _CONTEXTS),
        (
            Setting("k = 20 %", 20, 2, (0.7, 0.4), (1.0, 1.0)),
            Setting("k = 0 from 20 traces", 20, 0, (0.5, 0.2), (0.8, 0.8), methods=tuple(METHODS)),
            Setting("k = 0 from one trace", 1, 0, (0.3, 0.0), (0.5, 0.5)),
        ),
    ),
    Network(
        "helsinki-event", ("helsinki-event-v0",),
        (
            Setting("from the test contexts", 0, 40, (0.75, 0.75), (1.0, 1.0)),
            _FROM_20,
            Setting("from 5 traces", 5, 0, (0.2, 0.2), (0.6, 0.6)),
            Setting("from 2 traces", 2, 0, (0.25, 0.25), (0.6, 0.6), choices=5),
        ),
        _FROM_20,
    ),
)  # fmt: skip
ELSEWHERE: dict[str, dict[str, Any]] = {
    "7 cells": {"sites": {"inter_site_distance_m": 500}, "traffic": {"offered_bps": 132e3}},
    "21 cells": {
        "sites": {"inter_site_distance_m": 500, "sectors": 3}, "traffic": {"offered_bps": 200e3},
        "radio": {"antenna": {"pattern": "sector", "tilt_deg": 8}},
        "handover": {"neighbors": {"by": "count", "count": 6}},
    },
}  # fmt: skip
"""Networks of other numbers of cells for the same UEs, whose traffic loads the cells about as much."""
_ELSEWHERE_TRACES, _NS3_TRACES = 20, 10
_WHOLE = Effort(seeds=5, test_traces=50, gradient_steps=4000)
_QUICK = Effort(seeds=2, test_traces=12, gradient_steps=1000)


RULES = {"static": "static", "rule": "integral", "planner": "planner"}
"""Policies that are not trained."""


def measure(seed: int, quick: bool, directory: Path, network: Sequence[str]) -> Iterator[Measurement]:
    """Yields the figures, network by network.

    Args:
        seed: Of all traces, data and trainings.
        quick: 2 seeds, 12 traces and a quarter of the gradient steps; on line3 and in one setting alone, if no network
            is named.
        directory: Where everything is kept.
        network: Names of the networks; all if none is named.

    Raises:
        ConfigError: there is no such network.
        StorageError: the directory was made with another seed or effort, or by other presets.
        DependencyError: d3rlpy is not installed, which is said last.
    """
    known = {each.name: each for each in NETWORKS}
    for name in network:
        if name not in known:
            raise ConfigError(f"unknown network '{name}'{nearest(name, list(known))}")
    workshop = Workshop(directory, seed, _QUICK if quick else _WHOLE, LOCAL)
    chosen = [known[name] for name in network] or list(NETWORKS)
    if quick and not network:
        chosen = [replace(NETWORKS[0], settings=NETWORKS[0].settings[1:2])]
    for each in chosen:
        rules = judged_rules(workshop, each)
        for setting in each.settings:
            yield from figures(workshop, each, setting, rules)
        if each.carried:
            yield from elsewhere(workshop, each, each.carried)
            yield from in_ns3(workshop, each, each.carried)
    yield from training_speed(seed, 2 if quick else 10)


@dataclass(frozen=True)
class Judged:
    """The metrics of a policy in one or more contexts, each with its seeds.

    Attributes:
        tables: Of each context (preset), of each seed, a row for each trace.
    """

    tables: list[list[pd.DataFrame]]

    def __getitem__(self, metric: str) -> Floats:
        """Returns one of METRICS, (contexts, seeds, traces)."""
        return np.array([[table[metric] for table in of_seeds] for of_seeds in self.tables])


def judged_rules(workshop: Workshop, network: Network) -> dict[str, Judged]:
    """Judges the policies that are not trained in all presets of a network."""
    return _judged_rules(workshop, [scenario_of(preset) for preset in network.presets], network.name)


def _judged_rules(workshop: Workshop, scenarios: Sequence[Scenario], title: str, traces: int = 0) -> dict[str, Judged]:
    jobs = {
        name: [[workshop.judgement(scenario, name, policy_factory(policy), traces=traces)] for scenario in scenarios]
        for name, policy in RULES.items()
    }
    return judge(workshop, jobs, f"{title}: rules")


def trained(workshop: Workshop, network: Network, setting: Setting) -> dict[str, list[list[TrainJob]]]:
    """Trains by all methods of a setting.

    Returns:
        Of each method, for each preset, if logged traces are of the test contexts, or for all of them: a training for
        each choice of the traces.
    """
    title = f"{network.name}, {setting.name}"
    homes = [scenario_of(preset) for preset in (network.presets if setting.test_traces else network.presets[:1])]
    choices = range(min(setting.choices, workshop.effort.seeds))
    data = [
        [
            workshop.augmented(workshop.logged(home, setting.name, setting.train_traces, setting.test_traces, choice))
            for choice in choices
        ]
        for home in homes
    ]
    workshop.run([job.logged for of_home in data for job in of_home], f"{title}: logged data")
    workshop.run([job for of_home in data for job in of_home], f"{title}: counterfactual data")
    trainings = {
        name: [
            [
                workshop.training(
                    name, job.logged, job if method.counterfactual else None, method.training, choices=len(choices)
                )
                for job in of_home
            ]
            for of_home in data
        ]
        for name, method in METHODS.items()
        if name in setting.methods
    }
    jobs = [job for of_homes in trainings.values() for of_home in of_homes for job in of_home]
    workshop.run(jobs, f"{title}: trainings")
    return trainings


def judge(workshop: Workshop, jobs: dict[str, list[list[JudgeJob]]], title: str) -> dict[str, Judged]:
    """Judges policies, by name, in contexts and with seeds, or reads what is kept of it."""
    workshop.run([job for presets in jobs.values() for seeds in presets for job in seeds], title)
    return {
        name: Judged([[pd.read_parquet(job.path) for job in seeds] for seeds in presets])
        for name, presets in jobs.items()
    }


def figures(
    workshop: Workshop, network: Network, setting: Setting, rules: Mapping[str, Judged]
) -> Iterator[Measurement]:
    """Yields the figures of one setting.

    Args:
        workshop: Where everything is made.
        network: The network.
        setting: One of its settings.
        rules: As of `judged_rules`.
    """
    title = f"{network.name}, {setting.name}"
    trainings = trained(workshop, network, setting)
    judgements = {
        name: [
            _of_seeds(workshop, scenario_of(preset), name, jobs[min(index, len(jobs) - 1)])
            for index, preset in enumerate(network.presets)
        ]
        for name, jobs in trainings.items()
    }
    judged = judge(workshop, judgements, f"{title}: judgements")
    references = [rules[name]["load_std"][:, 0] for name in ("rule", "planner")]
    for name, of_method in judged.items():
        scores = score(of_method["load_std"], references[0], references[1])
        low, high = score_interval(of_method["load_std"], references[0], references[1])
        target, goal = (setting.target, setting.goal) if name == OURS else (None, None)
        yield Measurement(
            f"{title}: S of {name} [{low:.2f}, {high:.2f}]", float(scores.mean()), "",
            target and target[0], goal and goal[0], more_is_better=True,
        )  # fmt: skip
        if len(scores) > 1 and target and goal:
            yield Measurement(
                f"{title}: S of {name}, least of the contexts", float(scores.min()), "", target[1], goal[1],
                more_is_better=True,
            )  # fmt: skip
    ours, plain, rule = judged[OURS], judged[PLAIN], rules["rule"]
    # Over all pairs of seeds, trace by trace; a tie is no win.
    better = float((ours["load_std"][:, :, None] < plain["load_std"][:, None]).mean())
    yield Measurement(f"{title}: P({OURS} > {PLAIN})", better, "", 0.95, 1.0, more_is_better=True)
    handovers = ours["handovers_per_ue_minute"]
    ratio = float(handovers.mean() / rule["handovers_per_ue_minute"].mean())
    yield Measurement(f"{title}: handovers, over the rule's", ratio, "", 1.5, 1.0)
    back = float((ours["ping_pong_share"] * handovers).sum() / handovers.sum())
    yield Measurement(f"{title}: ping-pongs", 100 * back, "% of handovers", 10, 5)
    for metric, unit, scale, sign in (
        ("p5_throughput_bps", "kbit/s", 1e-3, 1), ("rlf_per_ue_minute", "per UE-minute", 1.0, -1)
    ):  # fmt: skip
        # Not worse: the better end of the 95 % interval of the difference, paired by trace.
        difference = scale * (ours[metric].mean(1) - rule[metric][:, 0]).ravel()
        end = float(difference.mean() + sign * 1.96 * difference.std(ddof=1) / np.sqrt(difference.size))
        what = f"{title}: {metric} less the rule's, {'upper' if sign > 0 else 'lower'} end of the interval"
        yield Measurement(what, end, unit, 0.0, more_is_better=sign > 0)
    spent_s = float(np.mean([job.cpu_s() for choices in trainings[OURS] for job in choices]))
    yield Measurement(f"{title}: CPU time of a training", spent_s, "s", 600, 60)


def elsewhere(workshop: Workshop, network: Network, setting: Setting) -> Iterator[Measurement]:
    """Yields S of the trained policies in networks of other numbers of cells, whose rules are tuned anew."""
    base = Preset.load(network.presets[0]).model_dump(exclude_unset=True)
    (trainings,) = trained(workshop, network, setting)[OURS]
    for name, changes in ELSEWHERE.items():
        preset = Preset.parse({**base, **changes, "id": f"{network.name}-{name.replace(' ', '-')}"}, name)
        scenario = workshop.tuned(_placed(preset))
        rules = _judged_rules(workshop, [scenario], name, _ELSEWHERE_TRACES)
        jobs = {OURS: [_of_seeds(workshop, scenario, OURS, trainings, _ELSEWHERE_TRACES)]}
        load_std = judge(workshop, jobs, f"{name}: judgements")[OURS]["load_std"]
        references = [rules[of]["load_std"][:, 0] for of in ("rule", "planner")]
        low, high = score_interval(load_std, references[0], references[1])
        value = float(score(load_std, references[0], references[1]).mean())
        title = f"{network.name}, {setting.name}, zero-shot on {name}: S of {OURS} [{low:.2f}, {high:.2f}]"
        yield Measurement(title, value, "", 0.0, 0.5, more_is_better=True)


def in_ns3(workshop: Workshop, network: Network, setting: Setting) -> Iterator[Measurement]:
    """Yields how many pairs of policies ns-3 puts in the same order as the engine, by their mean load_std."""
    (preset,) = network.presets
    scenario, trainings = scenario_of(preset), trained(workshop, network, setting)
    policies = {name: policy_factory(policy) for name, policy in RULES.items()}
    policies |= {
        name: partial(trained_policy, checkpoint=jobs[0][0].checkpoints[0]) for name, jobs in trainings.items()
    }
    means = {}
    for backend in ("engine", "ns3"):
        jobs = {
            name: [[workshop.judgement(scenario, name, factory, backend, _NS3_TRACES)]]
            for name, factory in policies.items()
        }
        judged = judge(workshop, jobs, f"{network.name} in {backend}")
        means[backend] = {name: float(of_policy["load_std"].mean()) for name, of_policy in judged.items()}
        for name, value in means[backend].items():
            yield Measurement(f"{network.name}, {setting.name}: load std of {name} in {backend}", value, "", None)
    pairs = list(combinations(policies, 2))
    kept = [
        (means["engine"][first] < means["engine"][second]) == (means["ns3"][first] < means["ns3"][second])
        for first, second in pairs
    ]
    title = f"{network.name}, {setting.name}: pairs of policies in the same order in ns-3"
    yield Measurement(title, 100 * float(np.mean(kept)), f"% of {len(pairs)}", 90, 100, more_is_better=True)


def scenario_of(preset: str) -> Scenario:
    """Returns the scenario of a shipped preset."""
    return _placed(Preset.load(preset))


def _placed(preset: Preset) -> Scenario:
    return Scenario.place(preset, preset.sites.place(load_map(preset.mobility.map)))


def _of_seeds(
    workshop: Workshop, scenario: Scenario, method: str, trainings: Sequence[TrainJob], traces: int = 0
) -> list[JudgeJob]:
    """Returns the judgements of all seeds of all trainings."""
    checkpoints = [checkpoint for training in trainings for checkpoint in training.checkpoints]
    return [
        workshop.judgement(scenario, f"{method}-{seed}", partial(trained_policy, checkpoint=checkpoint), traces=traces)
        for seed, checkpoint in enumerate(checkpoints)
    ]
