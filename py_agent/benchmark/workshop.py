"""Traces, data, trainings and judgements of a benchmark of methods: made once, and kept in a directory."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ns3_scenarios.rule import Rule
from ns3_scenarios.scenario import Scenario
from py_agent.benchmark.tasks import AugmentJob, JudgeJob, LoggedJob, OnlineJob, TrainJob, TuneJob
from py_agent.identities import identity_of
from py_agent.jobs import Executor, Job
from py_agent.policies import PolicyFactory
from py_agent.tune import tune
from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import StorageError
from sumo_mobility.base.seeds import derive
from sumo_mobility.pipeline import make_traces
from sumo_mobility.trace import MobilityTrace

_TUNE_TRACES, _CHECKPOINTS = 24, 4


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
    environment_steps: int = 50_000
    """Control intervals that a policy acts in, if it learns by acting."""
    candidates: int = 8
    """Hyper-parameters that are tried on development traces, of a method that is tuned so."""


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
        self._directory, self.seed, self._executor = directory, seed, executor
        self.effort = effort
        _keep(WorkshopRecord(seed=seed, effort=effort), directory / "workshop.json")

    def traces(self, scenario: Scenario, split: str, count: int) -> dict[str, Path]:
        """Returns the files of traces by name, made if need be.

        Args:
            scenario: Whose UEs they are.
            split: "train", "tune" or "development", of the train contexts; "logged", of the test contexts but to learn
                from; "test".
            count: How many.

        Raises:
            StorageError: what is kept of the scenario was made when it was another one.
        """
        _keep(scenario, self._directory / scenario.id / "scenario.json")
        mobility = scenario.mobility
        contexts = mobility.test_contexts if split in ("logged", "test") else mobility.train_contexts
        folder = self._directory / scenario.id / "traces"
        paths = [folder / f"{split}-{index:03d}.parquet" for index in range(count)]
        missing = [index for index, path in enumerate(paths) if not path.with_suffix(".json").is_file()]
        jobs = [(contexts[i % len(contexts)], derive(self.seed, "bench", "agent", split, i)) for i in missing]
        if jobs:
            make_traces(scenario.mobility, jobs, 2, lambda index, trace: trace.write(paths[missing[index]]))
        return {path.stem: path for path in paths}

    def trace_files(self, scenario: Scenario) -> list[Path]:
        """Returns the files of all traces that were made for a scenario."""
        return sorted((self._directory / scenario.id / "traces").glob("*.parquet"))

    def logged(
        self, scenario: Scenario, name: str, train_traces: int, test_traces: int, choice: int = 0, split: str = "train"
    ) -> LoggedJob:  # fmt: skip
        """Returns logged episodes of random offsets.

        Args:
            scenario: Where they were logged.
            name: How their directory is called.
            train_traces: Traces of the scenario's train contexts.
            test_traces: Traces of its test contexts, which are others than those that policies are judged on.
            choice: Which of the choices of as many traces, none of which has a trace of another.
            split: Which traces of the train contexts: "train", or "development".
        """
        traces: dict[str, Path] = {}
        for of_split, count in ((split, train_traces), ("logged", test_traces)):
            traces |= [*self.traces(scenario, of_split, (choice + 1) * count).items()][choice * count :]
        folder = f"{_slug(name)}-{choice}" if choice else _slug(name)
        return LoggedJob(scenario, traces, self.seed, self._directory / scenario.id / folder / "logged.h5")

    def augmented(self, logged: LoggedJob, effort: Effort | None = None) -> AugmentJob:
        """Returns counterfactual data of logged ones, as many as an effort says, or the workshop's."""
        effort = effort or self.effort
        counts = effort.replays, effort.mixed_traces, effort.generated_traces
        folder = logged.path.parent / "-".join(map(str, ("augmented", *counts)))
        return AugmentJob(logged, *counts, folder / "augmented.h5")

    def tuned(self, scenario: Scenario) -> Scenario:
        """Returns the scenario, by another id, with the rule that is tuned to it on traces of its train contexts."""
        path = self._directory / scenario.id / "rule.json"
        if not path.is_file():
            traces = [MobilityTrace.read(trace) for trace in self.traces(scenario, "tune", _TUNE_TRACES).values()]
            best = tune(scenario, traces).iloc[0]
            Rule(**{name: float(best[name]) for name in Rule.model_fields}).write_json(path)
        return scenario.model_copy(update={"id": f"{scenario.id}-tuned", "rule": Rule.read_json(path)})

    def tuning(self, scenario: Scenario, policy: str) -> TuneJob:
        """Returns the search for the parameters of a policy, on traces of a scenario's train contexts."""
        path = self._directory / scenario.id / f"tuned-{_slug(policy)}.json"
        return TuneJob(scenario, self.traces(scenario, "tune", _TUNE_TRACES), policy, path)

    def training(
        self, method: str, logged: LoggedJob, augmented: AugmentJob | None, training: Mapping[str, Any],
        algorithm: str = "sac", choices: int = 1,
    ) -> TrainJob:  # fmt: skip
        """Returns a training; of several choices of data, with its share of the seeds.

        Args:
            method: How its directory is called.
            logged: What it learns from.
            augmented: Counterfactual data that it learns from as well, if any.
            training: Fields of the algorithm's `TrainConfig`, but for the number of gradient steps.
            algorithm: One of ALGORITHMS.
            choices: From how many choices of the data there are trainings.
        """
        own = training.get(algorithm, {}) | {"gradient_steps": self.effort.gradient_steps}
        schedule = {"checkpoint_every": max(1, self.effort.gradient_steps // _CHECKPOINTS)}
        given = {**training, **schedule, algorithm: own}
        # Whoever changes a recipe must not find the policy of the one before.
        folder = (augmented or logged).path.parent / f"{_slug(method)}-{_digest(json.dumps(given, sort_keys=True))}"
        return TrainJob(logged, augmented, algorithm, given, self.effort.seeds // choices, folder)

    def acting(self, scenario: Scenario, method: str, algorithm: str, training: Mapping[str, Any]) -> list[OnlineJob]:
        """Returns the trainings of an online algorithm, one for each seed, in the only test context of a scenario."""
        given = {**training, "environment_steps": self.effort.environment_steps}
        folder = self._directory / scenario.id / "online" / _slug(method)
        seeds = range(self.effort.seeds)
        return [OnlineJob(scenario, algorithm, given, seed, folder / str(seed)) for seed in seeds]

    def judgement(
        self, scenario: Scenario, policy: str, factory: PolicyFactory, backend: str = "engine", traces: int = 0,
        split: str = "test",
    ) -> JudgeJob:  # fmt: skip
        """Returns the judgement of a policy in a scenario.

        Args:
            scenario: Where it acts.
            policy: How its file is called.
            factory: Makes it.
            backend: One of BACKENDS.
            traces: On how many traces; as many as the effort says if 0, or 24 to tune.
            split: On which traces: "test", or "tune".
        """
        files = self.traces(scenario, split, traces or (self.effort.test_traces if split == "test" else _TUNE_TRACES))
        name = f"{_slug(policy)}-{_digest(identity_of(factory))}.parquet"
        path = self._directory / scenario.id / f"judged-{split}-{backend}-{len(files)}" / name
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


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")
