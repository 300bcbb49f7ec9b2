"""Runs a suite: what methods need is made, round by round, and each is judged in each context."""

from __future__ import annotations

import hashlib
import shlex
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd

from py_agent.benchmark.coverage import coverage
from py_agent.benchmark.methods import METHODS, Cell, Made, Method
from py_agent.benchmark.results import VERSION, Coverage, Results, ResultsRecord
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
"""Traces on which policies are judged that are not trained to the end, and whose states are shown."""
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
            write_text(self.failed, _said(error) + "\n")
        advance(self.work)


@dataclass
class Trial:
    """A method in a cell, on its way.

    Attributes:
        method: The method.
        cell: The cell.
        steps: What it yields.
        made: What became of it; None while it is on its way, or if it failed.
        error: Why it failed, if it did.
        judged: Judgements by back end, gradient steps (0 for the last policy) and seed.
    """

    method: Method
    cell: Cell
    steps: Generator[Sequence[Job], None, Made]
    made: Made | None = None
    error: str = ""
    judged: dict[tuple[str, int, int], JudgeJob] = field(default_factory=dict)

    def next(self) -> list[Job]:
        """Returns the jobs of the next round; none if it is made, or has failed."""
        try:
            return list(next(self.steps))
        except StopIteration as end:
            self.made = end.value
        except Exception as error:  # as of an attempt
            self.error = _said(error)
        return []

    def judge(self) -> None:
        """Says how its policies are to be judged, if it was made."""
        try:
            self.judged = self._judgements(self.made) if self.made else {}
        except Exception as error:  # as of an attempt: a policy of anyone's method may have no file
            self.error = _said(error)

    def _judgements(self, made: Made) -> dict[tuple[str, int, int], JudgeJob]:
        cell, data = self.cell, self.cell.data
        name = f"{self.method.name} {data.name}" if data else self.method.name

        def judgement(policy: PolicyFactory, seed: int, backend: str = ENGINE, traces: int = 0) -> JudgeJob:
            return cell.workshop.judgement(cell.home, f"{name} {seed}", policy, backend, traces)

        judged = {(ENGINE, 0, seed): judgement(policy, seed) for seed, policy in enumerate(made.policies)}
        if data is None or data.name == cell.suite.main:
            for backend, traces in cell.suite.others.items():
                judged[backend, 0, 0] = judgement(made.policies[0], 0, backend, traces)
            few = min(_FEW, cell.workshop.effort.test_traces)
            for steps, policies in made.early.items():
                judged |= {(ENGINE, steps, seed): judgement(of, seed, traces=few) for seed, of in enumerate(policies)}
        return judged

    def rows(self, failed: Mapping[Path, str]) -> Iterator[dict[str, object]]:
        """Yields its rows; one without a trace for each back end in which it failed.

        Args:
            failed: Why judgements failed, by their files.
        """
        cell, made, data = self.cell, self.made or Made([]), self.cell.data or Data("", 0)
        common = {
            "suite": cell.suite.name, "scenario": cell.home.id, "data": data.name, "method": self.method.name,
            "group": self.method.group, "train_traces": data.train_traces, "test_traces": data.test_traces,
            "cpu_s": made.cpu_s, "tried": made.tried, "at_edge": made.at_edge, "config_sha256": _fingerprint(self),
        }  # fmt: skip
        errors = {ENGINE: self.error} if self.error else {}
        for (backend, _, _), job in self.judged.items():
            if job.path in failed:
                errors.setdefault(backend, failed[job.path])
        tables = {key: pd.read_parquet(job.path) for key, job in self.judged.items() if key[0] not in errors}
        for (backend, _, _), table in tables.items():
            if not np.isfinite(table[["reward", cell.suite.metric]].to_numpy()).all():
                errors.setdefault(backend, "a figure is not finite")
        for backend, error in errors.items():
            yield {**common, "gradient_steps": 0, "seed": 0, "backend": backend, "trace": "", "error": error}
        for (backend, steps, seed), table in tables.items():
            if backend not in errors:
                where = {"gradient_steps": steps, "seed": seed, "backend": backend, "error": ""}
                yield from ({**common, **where, **row} for row in table.to_dict("records"))


class Study:
    """A suite at work: what is there already is not made again, and a method that fails costs its own rows.

    Args:
        suite: The suite.
        methods: Names of the methods, beside those that make the scale; all of the suite's track if there are none.
        quick: Less of everything, as the suite says.
        seeds: Seeds of each training; as many as the suite says if 0.
        seed: Of all traces, data and trainings.
        directory: Where all that is made is kept, in a folder for the suite.
        executor: Where jobs are done.

    Attributes:
        workshop: Where everything is made.
        homes: A scenario for each context.
        trials: Each method in each of its cells.

    Raises:
        ConfigError: a method is not known, or not of the suite's track.
        StorageError: the directory was made with another seed, effort or preset.
    """

    def __init__(
        self, suite: Suite, methods: Sequence[str], quick: bool, seeds: int, seed: int, directory: Path,
        executor: Executor,
    ) -> None:  # fmt: skip
        chosen = _chosen(suite, methods)
        effort = suite.quick if quick else suite.effort
        effort = effort.model_copy(update={"seeds": seeds}) if seeds else effort
        self.workshop = Workshop(directory / suite.name, seed, effort, executor)
        self._suite, self._quick, self._seed = suite, quick, seed
        self.homes, self._sources = suite.homes(), suite.scenarios()
        words = ["mlb", "benchmark", "run", suite.name, *(["--quick"] if quick else [])]
        words += ["--seeds", str(seeds)] if seeds else []
        words += ["--seed", str(seed)] if seed else []
        words += ["--methods", *methods] if methods else []
        self._command = shlex.join(words)
        cells = [
            Cell(self.workshop, suite, home, home if data.test_traces else self._sources[0], data)
            for home in self.homes
            for data in suite.data
        ]
        idle = [Cell(self.workshop, suite, home, self._sources[0], None) for home in self.homes]
        self.trials = [
            Trial(method, cell, method.make(cell)) for method in chosen for cell in (cells if method.learns else idle)
        ]

    def run(self) -> Results:
        """Does all that is left to do, and returns the results.

        Raises:
            DataError: a trace is among those to learn from and those to be judged on.
            SimulatorError: a process died.
        """
        name = self._suite.name
        for number in count(1):
            asked = [(trial, trial.next()) for trial in self.trials if trial.made is None and not trial.error]
            if not asked:
                break
            failed = self._try([job for _, jobs in asked for job in jobs], f"{name}: round {number}")
            for trial, jobs in asked:
                errors = [failed[job.path] for job in jobs if job.path in failed]
                trial.error = trial.error or (errors[0] if errors else "")
        for trial in self.trials:
            trial.judge()
        self._keep_apart()
        judgements = [job for trial in self.trials for job in trial.judged.values()]
        failed = self._try(judgements, f"{name}: judgement")
        rows = [row for trial in self.trials for row in trial.rows(failed)]
        for row in rows:
            if row["error"]:
                note(f"{row['method']} in {row['scenario']}, {row['backend']}: {row['error']}")
        return Results(self._record(), pd.DataFrame(rows))

    def policy(self, method: str, data: str) -> PolicyFactory:
        """Returns the policy of the first seed of a method in the first context, once the study was run.

        Raises:
            DataError: there is none.
        """
        for trial in self.trials:
            name = trial.cell.data.name if trial.cell.data else ""
            if (trial.method.name, name, trial.cell.home) == (method, data, self.homes[0]) and trial.made:
                return trial.made.policies[0]
        raise DataError(f"suite {self._suite.name}: no policy of '{method}' {data}".rstrip(), "run it first")

    def _try(self, jobs: Sequence[Job], title: str) -> dict[Path, str]:
        """Does each job once, and says why those failed that did, by their files."""
        attempts = {job.path: Attempt(job) for job in jobs}
        for attempt in attempts.values():
            attempt.failed.unlink(missing_ok=True)  # of a run before
        self.workshop.run([*attempts.values()], title)
        return {path: each.failed.read_text().strip() for path, each in attempts.items() if each.failed.is_file()}

    def _keep_apart(self) -> None:
        seen: dict[str, Path] = {}
        scenarios = {scenario.id: scenario for scenario in (*self._sources, *self.homes)}
        for path in (path for scenario in scenarios.values() for path in self.workshop.trace_files(scenario)):
            other = seen.setdefault(sha256(path), path)
            if _split(other) != _split(path) and "test" in (_split(other), _split(path)):
                raise DataError(
                    f"{path}: is the same trace as {other}", "choose another --seed and another --directory"
                )

    def _coverage(self) -> Coverage | None:
        home, main = self.homes[0], next(data for data in self._suite.data if data.name == self._suite.main)
        source = home if main.test_traces else self._sources[0]
        data = self.workshop.augmented(self.workshop.logged(source, main.name, main.train_traces, main.test_traces))
        if not data.path.is_file():
            return None
        return coverage(data, self.workshop.traces(home, "test", min(_FEW, self.workshop.effort.test_traces)))

    def _record(self) -> ResultsRecord:
        suite = self._suite
        return ResultsRecord(
            version=VERSION, suite=suite.name, title=suite.title, command=self._command, seed=self._seed,
            quick=self._quick, effort=self.workshop.effort.model_dump(), main_data=suite.main, metric=suite.metric,
            higher_is_better=suite.metric == "reward" or METRICS[suite.metric].higher_is_better, floor=suite.floor,
            ceiling=suite.ceiling, published={name: dict(of) for name, of in suite.published.items()},
            coverage=self._coverage(), machine=machine(), versions=versions(),
        )  # fmt: skip


def _chosen(suite: Suite, names: Sequence[str]) -> list[Method]:
    """Returns the methods by name, and those that make the scale, in the order of the registry."""
    of_track = [name for name, method in METHODS.items() if suite.track in method.tracks]
    for name in names:
        if name not in of_track:
            METHODS[name]  # says which there are
            raise ConfigError(f"method '{name}': is not tried in suite {suite.name}", "name another one")
    wanted = {*names, suite.floor, suite.ceiling, STATIC} if names else set(of_track)
    return [METHODS[name] for name in of_track if name in wanted]


def _said(error: Exception) -> str:
    """Returns the first line of what an error says, with its kind if it is none of this project's."""
    said = error.message if isinstance(error, MlbError) else "".join(traceback.format_exception_only(error))
    return said.strip().splitlines()[0]


def _fingerprint(trial: Trial) -> str:
    """Returns a digest of what a trial's rows depend on."""
    cell = trial.cell
    depends = [
        repr(trial.method), cell.home.model_dump_json(), cell.source.model_dump_json(), repr(cell.data),
        cell.workshop.effort.model_dump_json(), str(cell.workshop.seed),
    ]  # fmt: skip
    return hashlib.sha256("\n".join(depends).encode()).hexdigest()[:16]


def _split(path: Path) -> str:
    return path.stem.rpartition("-")[0]
