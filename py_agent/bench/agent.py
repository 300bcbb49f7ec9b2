"""Measures what a trained agent is worth, against the tuned rule, the planner and SAC without counterfactual data.

S = (rule - x) / (rule - planner) of the mean load standard deviation: the tuned rule has 0, the greedy planner, which
searches the engine at every step, has 1. Everything is judged on the same fresh traces; logged data are those of random
offsets. What has been made is kept in a directory, so that a measurement that was interrupted goes on.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cf_augment.augment import augment
from cf_augment.dataset import Episode, EpisodeMetadata, Provenance, read_dataset, write_dataset
from ns3_scenarios.scenario import Preset, Scenario
from py_agent.algorithms.base import trained_policy
from py_agent.algorithms.config import TrainConfig
from py_agent.collect import simulation_work
from py_agent.env import MlbEnv, open_backend
from py_agent.jobs import LOCAL, Executor, Job
from py_agent.measurement import Measurement
from py_agent.metrics import episode_metrics
from py_agent.policies import PolicyFactory, policy_factory
from py_agent.rollout import run_episode
from py_agent.rundir import last_checkpoint
from py_agent.train import train
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.files import replacing, sha256, write_text
from sumo_mobility.base.seeds import derive, stream
from sumo_mobility.pipeline import load_map, make_traces
from sumo_mobility.trace import MobilityTrace


@dataclass(frozen=True)
class Setting:
    """What a training may learn from, and what it must come to.

    Attributes:
        name: What the figures call it.
        train_traces: Logged traces of the train contexts.
        test_traces: Logged traces of the contexts in which the policy is judged.
        target: S to reach, the mean over the contexts and the least of them.
        goal: S to aim at, likewise.
        generated: Traces that the causal model adds.
    """

    name: str
    train_traces: int
    test_traces: int
    target: tuple[float, float]
    goal: tuple[float, float]
    generated: int = 0


@dataclass(frozen=True)
class Network:
    """A network, in which several settings are tried.

    Attributes:
        name: What the figures call it.
        presets: Presets that differ in their test contexts alone; policies are judged in all of them.
        settings: The settings.
    """

    name: str
    presets: tuple[str, ...]
    settings: tuple[Setting, ...]


_CONTEXTS = ("right-loiter-left", "right-right-left", "right-none-left")
NETWORKS = (
    Network(
        "line3", tuple(f"line3-{context}-v0" for context in _CONTEXTS),
        (
            Setting("k = 20 %", 20, 2, (1.0, 0.7), (1.2, 1.0)),
            Setting("k = 0 from 20 traces", 20, 0, (0.9, 0.6), (1.1, 0.9)),
            Setting("k = 0 from one trace", 1, 0, (0.6, 0.4), (1.0, 0.7)),
        ),
    ),
    Network(
        "helsinki3", tuple(f"helsinki3-{context}-v0" for context in _CONTEXTS),
        (
            Setting("k = 20 %", 20, 2, (0.7, 0.4), (1.0, 1.0)),
            Setting("k = 0 from 20 traces", 20, 0, (0.5, 0.2), (0.8, 0.8)),
            Setting("k = 0 from one trace", 1, 0, (0.3, 0.0), (0.5, 0.5)),
        ),
    ),
    Network(
        "helsinki-event", ("helsinki-event-v0",),
        (
            Setting("from the test contexts", 0, 40, (0.75, 0.75), (1.0, 1.0)),
            Setting("from 20 traces", 20, 0, (0.4, 0.4), (0.8, 0.8)),
            Setting("from 5 traces", 5, 0, (0.2, 0.2), (0.6, 0.6)),
            Setting("from 2 traces", 2, 0, (0.2, 0.2), (0.5, 0.5), generated=24),
        ),
    ),
)  # fmt: skip

_PHYSICS: dict[str, Any] = {
    "hidden": 48, "batch_size": 64, "learning_rate": 2e-3, "learning_rate_decay": 0.05, "gamma": 0.0,
    "target_entropy_per_action": -1.0, "physics_weight": 40.0, "residual": True,
}  # fmt: skip
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "SAC": ("logged", {}),
    "SAC + CF, no physics": ("both", {}),
    "SAC + CF": ("both", _PHYSICS),
}
"""What each method learns from, and its hyper-parameters; all take the same number of gradient steps."""
OURS = "SAC + CF"
_RESAMPLES = 1000
RULES = {"static": "static", "rule": "integral", "planner": "planner"}
_REPLAYS = 160
"""Counterfactual episodes of the logged traces, however many these are."""


@dataclass(frozen=True)
class DataJob:
    """Logged episodes of random offsets on some traces, and counterfactual episodes of them.

    Attributes:
        scenario: Where they are played, in the engine.
        traces: Files of the traces, by name.
        seed: Of offsets, model and interventions.
        generated: Traces that the causal model adds.
        folder: Where logged.h5 and augmented.h5 go.
    """

    scenario: Scenario
    traces: Mapping[str, Path]
    seed: int
    generated: int
    folder: Path

    @property
    def logged(self) -> Path:
        """The logged data."""
        return self.folder / "logged.h5"

    @property
    def path(self) -> Path:
        """The counterfactual data, which are written last."""
        return self.folder / "augmented.h5"

    @property
    def work(self) -> float:
        """See `simulation_work`."""
        return _REPLAYS * simulation_work(self.scenario, self.scenario.episode.duration_s)

    def run(self, advance: Callable[[float], None]) -> None:
        """Plays them; `advance` is called once."""
        episodes = _played(self.scenario, self.traces, policy_factory("random"), "random", self.seed, "engine")
        write_dataset(self.logged, self.scenario, list(episodes))
        replays = -(-_REPLAYS // (len(self.traces) + self.generated))
        made = augment(
            read_dataset(self.logged), load_map(self.scenario.mobility.map), self.seed, replays, self.generated,
            self.folder / "model.pt",
        )  # fmt: skip
        write_dataset(self.path, self.scenario, list(made))
        advance(self.work)


@dataclass(frozen=True)
class TrainJob:
    """A training of several seeds at once.

    Attributes:
        data: What it learns from.
        method: One of METHODS.
        seeds: Number of seeds.
        gradient_steps: How long it is trained.
    """

    data: DataJob
    method: str
    seeds: int
    gradient_steps: int

    @property
    def path(self) -> Path:
        """What it took."""
        return self._folder / "cost.json"

    @property
    def work(self) -> float:
        """Gradient steps of all seeds."""
        return float(self.seeds * self.gradient_steps)

    @property
    def checkpoints(self) -> list[Path]:
        """The last checkpoint of each seed."""
        return [last_checkpoint(self._folder / str(seed)) for seed in range(self.seeds)]

    @property
    def _folder(self) -> Path:
        return self.data.folder / self.method.replace(" ", "-").replace(",", "")

    def run(self, advance: Callable[[float], None]) -> None:
        """Trains; `advance` is called once."""
        sources, parameters = METHODS[self.method]
        config = TrainConfig.of("sac").parse({"sac": parameters | {"gradient_steps": self.gradient_steps}}, "bench")
        started = time.process_time()
        logged = read_dataset(self.data.logged)
        counterfactual = read_dataset(self.data.path) if sources == "both" else None
        train(config, logged, counterfactual, [path.parents[1] for path in self.checkpoints], resume=True)
        write_text(self.path, json.dumps({"cpu_s": time.process_time() - started}) + "\n")
        advance(self.work)


@dataclass(frozen=True)
class JudgeJob:
    """A policy on some traces, of which the metrics of the episodes are kept.

    Attributes:
        scenario: Where it is judged.
        traces: Files of the traces, by name.
        policy: Its name.
        factory: Makes it.
        backend: One of BACKENDS.
        path: The table that is written.
    """

    scenario: Scenario
    traces: Mapping[str, Path]
    policy: str
    factory: PolicyFactory
    backend: str
    path: Path

    @property
    def work(self) -> float:
        """See `simulation_work`; the engine is as fast as if a second had a hundredth."""
        work = len(self.traces) * simulation_work(self.scenario, self.scenario.episode.duration_s)
        return work if self.backend == "ns3" else work / 100

    def run(self, advance: Callable[[float], None]) -> None:
        """Plays them; `advance` is called for each episode."""
        rows = []
        for episode in _played(self.scenario, self.traces, self.factory, self.policy, 0, self.backend):
            rows.append({"trace": episode.metadata.trace_name, **episode_metrics(self.scenario, episode)})
            advance(self.work / len(self.traces))
        with replacing(self.path) as temporary:
            pd.DataFrame(rows).to_parquet(temporary, index=False)


def _played(
    scenario: Scenario, traces: Mapping[str, Path], factory: PolicyFactory, name: str, seed: int, backend: str
) -> Iterator[Episode]:
    """Plays a policy on each trace."""
    made = {trace: MobilityTrace.read(path) for trace, path in traces.items()}
    env = MlbEnv(scenario, open_backend(scenario, backend), list(made.values()))
    try:
        policy = factory(scenario)
        for index, trace in enumerate(made):
            metadata = EpisodeMetadata(
                scenario_id=scenario.id, trace_name=trace, policy=name, seed=seed, backend=backend,
                provenance=Provenance(action_source=name),
            )  # fmt: skip
            yield run_episode(env, policy, metadata, index)
    finally:
        env.close()


class Workshop:
    """Makes traces, data, trainings and judgements in a directory, and keeps them.

    Args:
        directory: Where they are kept.
        seed: Of all traces and data.
        seeds: Seeds of each training.
        test_traces: Traces on which policies are judged.
        gradient_steps: How long each training is.
        executor: Where all is done.
    """

    def __init__(
        self, directory: Path, seed: int, seeds: int, test_traces: int, gradient_steps: int, executor: Executor
    ) -> None:
        self._directory, self._seed, self._executor = directory, seed, executor
        self.seeds, self.test_traces, self._gradient_steps = seeds, test_traces, gradient_steps

    def scenario(self, preset: str) -> Scenario:
        """Returns the scenario of a preset."""
        loaded = Preset.load(preset)
        return Scenario.place(loaded, loaded.sites.place(load_map(loaded.mobility.map)))

    def traces(self, scenario: Scenario, split: str, count: int) -> dict[str, Path]:
        """Returns the files of traces by name, made if need be: "train", "logged" (test contexts, to learn from) or
        "test" (test contexts, to be judged on)."""
        contexts = scenario.mobility.train_contexts if split == "train" else scenario.mobility.test_contexts
        folder = self._directory / scenario.id / "traces"
        paths = [folder / f"{split}-{index:03d}.parquet" for index in range(count)]
        missing = [index for index, path in enumerate(paths) if not path.with_suffix(".json").is_file()]
        jobs = [(contexts[i % len(contexts)], derive(self._seed, "bench", "agent", split, i)) for i in missing]
        if jobs:
            make_traces(scenario.mobility, jobs, 2, lambda index, trace: trace.write(paths[missing[index]]))
        return {path.stem: path for path in paths}

    def data(self, preset: str, setting: Setting) -> DataJob:
        """Returns the data of a setting, whose test contexts are those of the preset."""
        scenario = self.scenario(preset)
        traces = self.traces(scenario, "train", setting.train_traces)
        traces |= self.traces(scenario, "logged", setting.test_traces)
        folder = self._directory / scenario.id / _slug(setting.name)
        return DataJob(scenario, traces, self._seed, setting.generated, folder)

    def training(self, data: DataJob, method: str) -> TrainJob:
        """Returns the training of a method."""
        return TrainJob(data, method, self.seeds, self._gradient_steps)

    def judgement(
        self, preset: str, policy: str, factory: PolicyFactory, backend: str = "engine", traces: int = 0
    ) -> JudgeJob:
        """Returns the judgement of a policy in a preset."""
        scenario = self.scenario(preset)
        files = self.traces(scenario, "test", traces or self.test_traces)
        given = factory.keywords.get("checkpoint") if isinstance(factory, partial) else None
        what = f"{_slug(policy)}-{sha256(given)[:12]}" if given else _slug(policy)
        path = self._directory / scenario.id / f"judged-{backend}-{len(files)}" / f"{what}.parquet"
        return JudgeJob(scenario, files, policy, factory, backend, path)

    def run(self, jobs: Sequence[Job], title: str) -> None:
        """Does what has not been done."""
        self._executor.run([job for job in jobs if not job.path.is_file()], title)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


def score(load_std: Floats, rule: Floats, planner: Floats) -> Floats:
    """Returns S of load_std (..., seeds, traces) beside that of the rule and of the planner (..., traces)."""
    base = rule.mean(-1)
    return np.asarray((base - load_std.mean((-2, -1))) / (base - planner.mean(-1)))


def score_interval(load_std: Floats, rule: Floats, planner: Floats, seed: int = 0) -> tuple[float, float]:
    """Returns the 95 % interval of the mean of S over the contexts, by a bootstrap of the seeds and of the traces.

    Args:
        load_std: (contexts, seeds, traces).
        rule: (contexts, traces), paired by trace.
        planner: Likewise.
        seed: Of the resampling.
    """
    random, (contexts, seeds, traces) = stream(seed, "bench", "bootstrap"), load_std.shape
    drawn = []
    for _ in range(_RESAMPLES):
        of_seeds = random.integers(seeds, size=(contexts, seeds, 1))
        of_traces = random.integers(traces, size=(contexts, traces))
        context = np.arange(contexts)[:, None]
        sample = load_std[context[..., None], of_seeds, of_traces[:, None]]
        drawn.append(score(sample, rule[context, of_traces], planner[context, of_traces]).mean())
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def measure(seed: int, quick: bool, directory: Path) -> Iterator[Measurement]:
    """Yields the figures, network by network.

    Args:
        seed: Of all traces, data and trainings.
        quick: 2 seeds, 12 traces and a quarter of the gradient steps, on line3 and one setting alone.
        directory: Where everything is kept.
    """
    size = Workshop(directory, seed, 2, 12, 500, LOCAL) if quick else Workshop(directory, seed, 5, 50, 2000, LOCAL)
    for network in NETWORKS[:1] if quick else NETWORKS:
        rules = _judged_rules(size, network)
        for setting in network.settings[1:2] if quick else network.settings:
            yield from _figures(size, network, setting, rules)


def _judged_rules(workshop: Workshop, network: Network) -> dict[str, list[pd.DataFrame]]:
    """Returns the metrics of the policies that are not trained, by name, of each preset."""
    jobs = {
        name: [workshop.judgement(preset, name, policy_factory(policy)) for preset in network.presets]
        for name, policy in RULES.items()
    }
    workshop.run([job for of_presets in jobs.values() for job in of_presets], f"{network.name}: rules")
    return {name: [pd.read_parquet(job.path) for job in of_presets] for name, of_presets in jobs.items()}


def _figures(
    workshop: Workshop, network: Network, setting: Setting, rules: dict[str, list[pd.DataFrame]]
) -> Iterator[Measurement]:
    title = f"{network.name}, {setting.name}"
    # Where test contexts are among the data, each of them is learned from by itself.
    homes = network.presets if setting.test_traces else network.presets[:1]
    data = [workshop.data(preset, setting) for preset in homes]
    workshop.run(data, f"{title}: data")
    trainings = {method: [workshop.training(each, method) for each in data] for method in METHODS}
    workshop.run([job for jobs in trainings.values() for job in jobs], f"{title}: trainings")
    judged: dict[str, list[list[JudgeJob]]] = {}
    for method, jobs in trainings.items():
        judged[method] = [
            [
                workshop.judgement(preset, f"{method}-{k}", partial(trained_policy, checkpoint=checkpoint))
                for k, checkpoint in enumerate(job.checkpoints)
            ]
            for preset, job in zip(network.presets, jobs * (len(network.presets) // len(jobs)), strict=True)
        ]
    workshop.run([job for presets in judged.values() for jobs in presets for job in jobs], f"{title}: judgements")
    tables = {
        method: [[pd.read_parquet(job.path) for job in jobs] for jobs in presets] for method, presets in judged.items()
    }

    def column(name: str, method: str) -> Floats:
        return np.array([[table[name] for table in of_seeds] for of_seeds in tables[method]])

    def of_rule(name: str, rule: str = "rule") -> Floats:
        return np.array([table[name] for table in rules[rule]])

    for method in METHODS:
        load_std = column("load_std", method)
        references = of_rule("load_std"), of_rule("load_std", "planner")
        scores = score(load_std, *references)
        low, high = score_interval(load_std, *references, seed=0)
        is_ours = method == OURS
        for what, value, k in (("mean", scores.mean(), 0), ("least", scores.min(), 1)):
            if what == "least" and (len(scores) == 1 or not is_ours):
                continue
            interval = f" [{low:.2f}, {high:.2f}]" if what == "mean" else ""
            target, goal = (setting.target[k], setting.goal[k]) if is_ours else (None, None)
            yield Measurement(f"{title}: S of {method}, {what}{interval}", value, "", target, goal, more_is_better=True)
    ours, plain = column("load_std", OURS), column("load_std", "SAC")
    better = float((ours[:, :, None] < plain[:, None]).mean())
    yield Measurement(f"{title}: P({OURS} > SAC)", better, "", 0.95, 1.0, more_is_better=True)
    handovers, of_the_rule = column("handovers_per_ue_minute", OURS), of_rule("handovers_per_ue_minute")
    yield Measurement(f"{title}: handovers over the rule's", handovers.mean() / of_the_rule.mean(), "", 1.5, 1.0)
    back = (column("ping_pong_share", OURS) * handovers).sum() / handovers.sum()
    yield Measurement(f"{title}: ping-pongs", 100 * back, "% of handovers", 10, 5)
    for name, unit, scale, sign in (
        ("p5_throughput_bps", "kbit/s", 1e-3, 1),
        ("rlf_per_ue_minute", "per UE-minute", 1.0, -1),
    ):
        # Not worse: the better end of the 95 % interval of the difference, paired by trace, is no worse than 0.
        difference = scale * (column(name, OURS).mean(1) - of_rule(name)).ravel()
        end = difference.mean() + sign * 1.96 * difference.std(ddof=1) / np.sqrt(difference.size)
        what = f"{title}: {name} less the rule's, {'upper' if sign > 0 else 'lower'} end"
        yield Measurement(what, end, unit, 0.0, more_is_better=sign > 0)
    spent_s = np.array([json.loads(job.path.read_text())["cpu_s"] / job.seeds for job in trainings[OURS]])
    yield Measurement(f"{title}: CPU time of a training", spent_s.mean(), "s", 600, 60)
