"""Traces, data, trainings and judgements of a benchmark of agents: made once, and kept in a directory."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from cf_augment.augment import augment
from cf_augment.dataset import Episode, EpisodeMetadata, Provenance, read_dataset, write_dataset
from ns3_scenarios.rule import Rule
from ns3_scenarios.scenario import Scenario
from py_agent.algorithms.config import TrainConfig
from py_agent.collect import simulation_work
from py_agent.env import MlbEnv, open_backend
from py_agent.jobs import Executor, Job
from py_agent.metrics import episode_metrics
from py_agent.policies import PolicyFactory, policy_factory
from py_agent.rollout import run_episode
from py_agent.rundir import last_checkpoint
from py_agent.train import train
from py_agent.tune import tune
from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import StorageError
from sumo_mobility.base.files import replacing, sha256, write_text
from sumo_mobility.base.seeds import derive
from sumo_mobility.pipeline import load_map, make_traces
from sumo_mobility.trace import MobilityTrace

_TUNE_TRACES = 24


@dataclass(frozen=True)
class LoggedJob:
    """Logged episodes of random offsets on some traces.

    Attributes:
        scenario: Where they are played, in the engine.
        traces: Files of the traces, by name.
        seed: Of the offsets.
        path: The dataset.
    """

    scenario: Scenario
    traces: Mapping[str, Path]
    seed: int
    path: Path

    @property
    def work(self) -> float:
        """See `simulation_work`."""
        return len(self.traces) * simulation_work(self.scenario, self.scenario.episode.duration_s)

    def run(self, advance: Callable[[float], None]) -> None:
        """Plays them; `advance` is called once."""
        episodes = _played(self.scenario, self.traces, policy_factory("random"), "random", self.seed, "engine")
        write_dataset(self.path, self.scenario, episodes)
        advance(self.work)


@dataclass(frozen=True)
class DataJob:
    """Logged episodes of random offsets on some traces, and counterfactual episodes of them.

    Attributes:
        scenario: Where they are played, in the engine.
        traces: Files of the traces, by name.
        seed: Of offsets and interventions.
        replays: Counterfactual episodes on each trace.
        mixed_traces: Traces of other crowds beside the logged ones.
        generated_traces: Traces that the causal model draws, beside those.
        folder: Where logged.h5 and augmented.h5 go.
    """

    scenario: Scenario
    traces: Mapping[str, Path]
    seed: int
    replays: int
    mixed_traces: int
    generated_traces: int
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
        episodes = self.replays * (len(self.traces) + self.mixed_traces + self.generated_traces)
        return episodes * simulation_work(self.scenario, self.scenario.episode.duration_s)

    def run(self, advance: Callable[[float], None]) -> None:
        """Plays them; `advance` is called once."""
        LoggedJob(self.scenario, self.traces, self.seed, self.logged).run(lambda work: None)
        street_map, model = load_map(self.scenario.mobility.map), self.folder / "model.json"
        made = augment(
            read_dataset(self.logged), street_map, self.seed, self.replays, self.mixed_traces, self.generated_traces,
            model,
        )  # fmt: skip
        write_dataset(self.path, self.scenario, list(made))
        advance(self.work)


@dataclass(frozen=True)
class TrainJob:
    """A training of several seeds at once.

    Attributes:
        data: What it learns from.
        method: How its directory is called.
        training: Fields of the `TrainConfig` of SAC; those that are not named have its defaults.
        counterfactual: Whether it learns from counterfactual data as well.
        seeds: Number of seeds.
    """

    data: DataJob
    method: str
    training: Mapping[str, Any]
    counterfactual: bool
    seeds: int

    @property
    def path(self) -> Path:
        """What it took."""
        return self._folder / "cost.json"

    @property
    def work(self) -> float:
        """Gradient steps of all seeds."""
        return float(self.seeds * self.training["sac"]["gradient_steps"])

    def cpu_s(self) -> float:
        """CPU time of one seed's training, in s."""
        spent: float = json.loads(self.path.read_text())["cpu_s"]
        return spent / self.seeds

    @property
    def checkpoints(self) -> list[Path]:
        """The last checkpoint of each seed."""
        return [last_checkpoint(self._folder / str(seed)) for seed in range(self.seeds)]

    @property
    def _folder(self) -> Path:
        return self.data.folder / _slug(self.method)

    def run(self, advance: Callable[[float], None]) -> None:
        """Trains; `advance` is called once."""
        # Made here, because its class is made while the program runs and could not be sent to this process.
        config = TrainConfig.of("sac").parse(dict(self.training), f"training {self.method}")
        started = time.process_time()
        logged = read_dataset(self.data.logged)
        counterfactual = read_dataset(self.data.path) if self.counterfactual else None
        train(config, logged, counterfactual, [path.parents[1] for path in self.checkpoints], resume=True)
        write_text(self.path, json.dumps({"cpu_s": time.process_time() - started}) + "\n")
        advance(self.work)


@dataclass(frozen=True)
class JudgeJob:
    """A policy on some traces, of which the metrics of the episodes and their mean reward a step are kept.

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
            earned = {"reward": float(episode.rewards.mean())}
            rows.append({"trace": episode.metadata.trace_name, **earned, **episode_metrics(self.scenario, episode)})
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


class Effort(Contract):
    """How much is done in each setting."""

    seeds: int
    """Seeds of each training."""
    test_traces: int
    """Traces on which policies are judged."""
    gradient_steps: int
    """The length of each training."""
    replays: int = 8
    """Counterfactual episodes on each trace."""
    mixed_traces: int = 40
    """Traces of other crowds beside the logged ones."""
    generated_traces: int = 20
    """Traces that the causal model draws, beside those."""


class WorkshopRecord(Contract):
    """What everything in a directory was made with."""

    seed: int
    effort: Effort


class Workshop:
    """Makes traces, data, trainings and judgements in a directory, and keeps them.

    Args:
        directory: Where they are kept.
        seed: Of all traces and data.
        effort: How much is done.
        executor: Where it is done.

    Raises:
        StorageError: the directory was made with another seed or effort.
    """

    def __init__(self, directory: Path, seed: int, effort: Effort, executor: Executor) -> None:
        self._directory, self._seed, self._executor = directory, seed, executor
        self.effort = effort
        _keep(WorkshopRecord(seed=seed, effort=effort), directory / "workshop.json")

    def traces(self, scenario: Scenario, split: str, count: int) -> dict[str, Path]:
        """Returns the files of traces by name, made if need be.

        Args:
            scenario: Whose UEs they are.
            split: "train" or "tune", of the train contexts; "logged", of the test contexts but to learn from; "test".
            count: How many.

        Raises:
            StorageError: what is kept of the scenario was made when it was another one.
        """
        _keep(scenario, self._directory / scenario.id / "scenario.json")
        mobility = scenario.mobility
        contexts = mobility.train_contexts if split in ("train", "tune") else mobility.test_contexts
        folder = self._directory / scenario.id / "traces"
        paths = [folder / f"{split}-{index:03d}.parquet" for index in range(count)]
        missing = [index for index, path in enumerate(paths) if not path.with_suffix(".json").is_file()]
        jobs = [(contexts[i % len(contexts)], derive(self._seed, "bench", "agent", split, i)) for i in missing]
        if jobs:
            make_traces(scenario.mobility, jobs, 2, lambda index, trace: trace.write(paths[missing[index]]))
        return {path.stem: path for path in paths}

    def logged(self, scenario: Scenario, name: str, traces: Mapping[str, Path]) -> LoggedJob:
        """Returns logged episodes on some traces; `name` is how their directory is called."""
        return LoggedJob(scenario, traces, self._seed, self._directory / scenario.id / _slug(name) / "logged.h5")

    def data(
        self, scenario: Scenario, name: str, train_traces: int, test_traces: int, effort: Effort | None = None,
        choice: int = 0,
    ) -> DataJob:  # fmt: skip
        """Returns the data of some logged traces.

        Args:
            scenario: Where they were logged.
            name: How their directory is called.
            train_traces: Traces of the scenario's train contexts.
            test_traces: Traces of its test contexts, which are others than those that policies are judged on.
            effort: How many counterfactual episodes there are, if it is not the workshop's.
            choice: Which of the choices of as many traces, none of which has a trace of another.
        """
        traces: dict[str, Path] = {}
        for split, count in (("train", train_traces), ("logged", test_traces)):
            traces |= [*self.traces(scenario, split, (choice + 1) * count).items()][choice * count :]
        folder = self._directory / scenario.id / (f"{_slug(name)}-{choice}" if choice else _slug(name))
        effort = effort or self.effort
        made = effort.replays, effort.mixed_traces, effort.generated_traces
        return DataJob(scenario, traces, self._seed, *made, folder)

    def tuned(self, scenario: Scenario) -> Scenario:
        """Returns the scenario, by another id, with the rule that is tuned to it on traces of its train contexts."""
        path = self._directory / scenario.id / "rule.json"
        if not path.is_file():
            traces = [MobilityTrace.read(trace) for trace in self.traces(scenario, "tune", _TUNE_TRACES).values()]
            best = tune(scenario, traces).iloc[0]
            Rule(**{name: float(best[name]) for name in Rule.model_fields}).write_json(path)
        return scenario.model_copy(update={"id": f"{scenario.id}-tuned", "rule": Rule.read_json(path)})

    def training(
        self, data: DataJob, method: str, counterfactual: bool, training: Mapping[str, Any], choices: int = 1
    ) -> TrainJob:
        """Returns a training of SAC; of several choices of data, with its share of the seeds."""
        sac = training.get("sac", {}) | {"gradient_steps": self.effort.gradient_steps}
        return TrainJob(data, method, {**training, "sac": sac}, counterfactual, self.effort.seeds // choices)

    def judgement(
        self, scenario: Scenario, policy: str, factory: PolicyFactory, backend: str = "engine", traces: int = 0
    ) -> JudgeJob:
        """Returns the judgement of a policy in a scenario, on as many test traces as the effort says, or `traces`."""
        files = self.traces(scenario, "test", traces or self.effort.test_traces)
        given = factory.keywords.get("checkpoint") if isinstance(factory, partial) else None
        what = f"{_slug(policy)}-{sha256(given)[:12]}" if given else _slug(policy)
        path = self._directory / scenario.id / f"judged-{backend}-{len(files)}" / f"{what}.parquet"
        return JudgeJob(scenario, files, policy, factory, backend, path)

    def run(self, jobs: Sequence[Job], title: str) -> None:
        """Does what has not been done."""
        self._executor.run([job for job in jobs if not job.path.is_file()], title)


def _keep(record: Contract, path: Path) -> None:
    """Writes what results are made of, or checks that it is still the same."""
    if not path.is_file():
        record.write_json(path)
    elif type(record).read_json(path) != record:
        raise StorageError(f"{path}: what is kept there was made of something else", "choose another --directory")


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")
