"""Runs a suite: what methods need is made, round by round, and each is judged in each context."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd

from ns3_scenarios.scenario import Scenario
from py_agent.benchmark.methods import METHODS, Cell, Made, Method
from py_agent.benchmark.results import VERSION, Results, ResultsRecord
from py_agent.benchmark.suites import Data, Suite
from py_agent.benchmark.tasks import JudgeJob
from py_agent.benchmark.workshop import Workshop
from py_agent.jobs import Executor, Job
from py_agent.measurement import machine
from py_agent.metrics import METRICS
from py_agent.policies import PolicyFactory
from py_agent.rundir import versions
from sumo_mobility.base.errors import ConfigError, DataError, MlbError
from sumo_mobility.base.files import sha256, write_text
from sumo_mobility.base.progress import note

ENGINE = "engine"
"""The back end in which all policies are judged."""
_FEW = 12
"""Traces on which policies are judged that are not trained to the end."""
STATIC = "static"
"""The method over which improvements are, as the literature has them."""


@dataclass(frozen=True)
class Attempt:
    """A job whose failure is written down and stops no other.

    Attributes:
        job: What is tried.
    """

    job: Job

    @property
    def path(self) -> Path:
        """The file of the job."""
        return self.job.path

    @property
    def failed(self) -> Path:
        """Says why it failed, if it did."""
        return self.path.with_name(self.path.name + ".failed")

    @property
    def work(self) -> float:
        """One: the jobs of a round are of several kinds, whose works cannot be compared."""
        return 1.0

    def run(self, advance: Callable[[float], None]) -> None:
        """Does the job, or says why it could not be done."""
        try:
            self.job.run(lambda work: None)
        except Exception as error:  # a method of anyone may raise anything
            said = error.message if isinstance(error, MlbError) else "".join(traceback.format_exception_only(error))
            write_text(self.failed, said.strip().splitlines()[0] + "\n")
        advance(self.work)


@dataclass
class _Trial:
    """A method in a cell, on its way."""

    method: Method
    cell: Cell
    steps: Generator[Sequence[Job], None, Made]
    made: Made | None = None
    error: str = ""
    judged: dict[tuple[str, int, int], JudgeJob] = field(default_factory=dict)
    """By back end, gradient steps (0 for the last policy) and seed."""


def run(
    suite: Suite, methods: Sequence[str], quick: bool, seeds: int, seed: int, directory: Path, executor: Executor
) -> Results:
    """Runs a suite, or what is left of it; a method that fails costs its own rows.

    Args:
        suite: The suite.
        methods: Names of the methods, beside those that make the scale; all of the suite's track if there are none.
        quick: Less of everything, as the suite says.
        seeds: Seeds of each training; as many as the suite says if 0.
        seed: Of all traces, data and trainings.
        directory: Where all that was made is kept, in a folder for the suite.
        executor: Where jobs are done.

    Returns:
        The results.

    Raises:
        ConfigError: a method is not known, or not of the suite's track.
        StorageError: the directory was made with another seed, effort or preset.
        DataError: a trace is among those to learn from and those to be judged on.
    """
    effort = suite.quick if quick else suite.effort
    effort = effort.model_copy(update={"seeds": seeds}) if seeds else effort
    workshop = Workshop(directory / suite.name, seed, effort, executor)
    chosen = _chosen(suite, methods)
    homes, sources = suite.homes(), suite.scenarios()
    cells = [
        Cell(workshop, suite, home, home if data.test_traces else sources[0], data)
        for home in homes
        for data in suite.data
    ]
    idle = [Cell(workshop, suite, home, sources[0], None) for home in homes]
    trials = [
        _Trial(method, cell, method.make(cell)) for method in chosen for cell in (cells if method.learns else idle)
    ]
    for number in count(1):
        asked = [(trial, list(_next(trial))) for trial in trials if trial.made is None and not trial.error]
        if not asked:
            break
        _try(workshop, asked, f"{suite.name}: round {number}")
    for trial in trials:
        if trial.made:
            trial.judged = _judgements(trial, trial.made)
    _try(
        workshop, [(trial, list(trial.judged.values())) for trial in trials if trial.judged], f"{suite.name}: judgement"
    )
    _keep_apart(workshop, [*sources, *homes])
    rows = [row for trial in trials for row in _rows(trial)]
    words = ["mlb benchmark run", suite.name, *(["--quick"] if quick else []), *([f"--seeds {seeds}"] if seeds else [])]
    words += [f"--seed {seed}"] if seed else []
    words += [f"--methods {' '.join(map(repr, methods))}"] if methods else []
    record = ResultsRecord(
        version=VERSION, suite=suite.name, title=suite.title, command=" ".join(words), seed=seed, quick=quick,
        effort=effort.model_dump(), main_data=suite.main, metric=suite.metric,
        higher_is_better=suite.metric == "reward" or METRICS[suite.metric].higher_is_better, floor=suite.floor,
        ceiling=suite.ceiling, published={name: dict(of) for name, of in suite.published.items()}, machine=machine(),
        versions=versions(),
    )  # fmt: skip
    return Results(record, pd.DataFrame(rows))


def _chosen(suite: Suite, names: Sequence[str]) -> list[Method]:
    """Returns the methods by name, and those that make the scale, in the order of the registry."""
    of_track = [name for name, method in METHODS.items() if suite.track in method.tracks]
    for name in names:
        if name not in of_track:
            METHODS[name]  # says which there are
            raise ConfigError(f"method '{name}': is not tried in suite {suite.name}", "name another one")
    wanted = {*names, suite.floor, suite.ceiling, STATIC} if names else set(of_track)
    return [METHODS[name] for name in of_track if name in wanted]


def _next(trial: _Trial) -> Sequence[Job]:
    """Returns the jobs of a trial's next round; none if it is made, or has failed."""
    try:
        return next(trial.steps)
    except StopIteration as end:
        trial.made = end.value
    except Exception as error:  # as of an attempt
        trial.error = str(error).splitlines()[0]
    return []


def _try(workshop: Workshop, asked: Sequence[tuple[_Trial, Sequence[Job]]], title: str) -> None:
    """Does what trials ask for, each job once, and marks the trials that it fails."""
    jobs = {job.path: Attempt(job) for _, asked_for in asked for job in asked_for}
    for attempt in jobs.values():
        attempt.failed.unlink(missing_ok=True)  # of a run before
    workshop.run([*jobs.values()], title)
    said = {path: attempt.failed.read_text().strip() for path, attempt in jobs.items() if attempt.failed.is_file()}
    for trial, asked_for in asked:
        errors = [said[job.path] for job in asked_for if job.path in said]
        if errors and not trial.error:
            trial.error = errors[0]
            note(f"{trial.method.name} in {trial.cell.home.id}: {errors[0]}")


def _judgements(trial: _Trial, made: Made) -> dict[tuple[str, int, int], JudgeJob]:
    """Returns the judgements of a trial's policies."""
    cell, data = trial.cell, trial.cell.data
    name = f"{trial.method.name} {data.name}" if data else trial.method.name

    def judgement(policy: PolicyFactory, seed: int, backend: str = ENGINE, traces: int = 0) -> JudgeJob:
        return cell.workshop.judgement(cell.home, f"{name} {seed}", policy, backend, traces)

    judged = {(ENGINE, 0, seed): judgement(policy, seed) for seed, policy in enumerate(made.policies)}
    if data is None or data.name == cell.suite.main:
        for backend, traces in cell.suite.others.items():
            judged[backend, 0, 0] = judgement(made.policies[0], 0, backend, traces)
        few = min(_FEW, cell.workshop.effort.test_traces)
        for steps, policies in made.early.items():
            judged |= {(ENGINE, steps, seed): judgement(each, seed, traces=few) for seed, each in enumerate(policies)}
    return judged


def _rows(trial: _Trial) -> list[dict[str, object]]:
    """Returns the rows of a trial; one without a trace if it failed."""
    cell, made = trial.cell, trial.made or Made([])
    data = cell.data or Data("", 0)
    common = {
        "suite": cell.suite.name, "scenario": cell.home.id, "data": data.name, "method": trial.method.name,
        "group": trial.method.group, "train_traces": data.train_traces, "test_traces": data.test_traces,
        "cpu_s": made.cpu_s, "tried": made.tried, "at_edge": made.at_edge,
        "config_sha256": _fingerprint(trial),
    }  # fmt: skip
    rows = []
    if not trial.error:
        for (backend, steps, seed), job in trial.judged.items():
            table = pd.read_parquet(job.path)
            if not np.isfinite(table[["reward", cell.suite.metric]].to_numpy()).all():
                trial.error = f"{cell.suite.metric} is not finite"
                break
            rows += [
                {**common, "gradient_steps": steps, "seed": seed, "backend": backend, "error": "", **row}
                for row in table.to_dict("records")
            ]
    if not trial.error:
        return rows
    return [{**common, "gradient_steps": 0, "seed": 0, "backend": ENGINE, "trace": "", "error": trial.error}]


def _fingerprint(trial: _Trial) -> str:
    """Returns a digest of what a trial's rows depend on."""
    cell = trial.cell
    depends = [
        repr(trial.method), cell.home.model_dump_json(), cell.source.model_dump_json(), repr(cell.data),
        cell.workshop.effort.model_dump_json(), str(cell.workshop.seed),
    ]  # fmt: skip
    return hashlib.sha256("\n".join(depends).encode()).hexdigest()[:16]


def _keep_apart(workshop: Workshop, scenarios: Sequence[Scenario]) -> None:
    """Refuses a trace that is both to learn or tune from and to be judged on.

    Raises:
        DataError: names both files.
    """
    seen: dict[str, Path] = {}
    for path in sorted(path for scenario in scenarios for path in workshop.trace_files(scenario)):
        digest = sha256(path)
        other = seen.setdefault(digest, path)
        if _split(other) != _split(path) and "test" in (_split(other), _split(path)):
            raise DataError(f"{path}: is the same trace as {other}", "choose another --seed and another --directory")


def _split(path: Path) -> str:
    return path.stem.rpartition("-")[0]
