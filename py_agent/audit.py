"""The audit of a run's causal model: its traces made again as the truth, several draws, figures with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cf_augment.audit import ERRORS, MEASURES, AuditedModel, Auditor, Findings, Material, Question, questions
from cf_augment.augment import logged_traces
from cf_augment.dataset import read_dataset
from cf_augment.model import CausalMobilityModel
from py_agent.measurement import Measurement
from py_agent.rundir import RunDirectory, check_name
from py_agent.statistics import estimate, mean
from sumo_mobility.base.errors import ConfigError, DataError, SimulatorError
from sumo_mobility.base.files import sha256
from sumo_mobility.base.progress import progress
from sumo_mobility.base.seeds import derive
from sumo_mobility.contexts import Context
from sumo_mobility.pipeline import changed_context, load_map, make_trace_like, phase_s
from sumo_mobility.trace import MobilityTrace


@dataclass(frozen=True)
class AuditFigure(Measurement):
    """A figure of a model beside what it must reach.

    Attributes:
        group: The heading that it stands under.
        note: How it is measured.
        low: Lower end of the 95 % interval of its mean over the draws, NaN where there is none.
        high: Upper end.
        by_seed: Its value for each draw.
        beside: The same of others, by name: means over the draws.
        reason: Why it could not be measured, if so.
    """

    group: str = ""
    note: str = ""
    low: float = math.nan
    high: float = math.nan
    by_seed: tuple[float, ...] = ()
    beside: dict[str, float] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class AuditStudy:
    """What was found of a run's model.

    Attributes:
        auditor: What the models were asked, and the truth.
        findings: Of each draw.
        figures: All of MEASURES, over the draws.
    """

    auditor: Auditor
    findings: tuple[Findings, ...]
    figures: tuple[AuditFigure, ...]

    @property
    def errors(self) -> dict[Question, dict[str, dict[str, float]]]:
        """For each question that has a truth ERRORS of the model, mean over the draws, and of other guesses."""
        guesses = [self.auditor.guesses(found) for found in self.findings]
        return {
            question: {
                measure: {
                    name: float(np.mean([error(truth, guess[name][question]) for guess in guesses]))
                    for name, answers in guesses[0].items()
                    if question in answers
                }
                for measure, error in ERRORS.items()
            }
            for question, truth in self.auditor.truth.items()
        }

    @property
    def data(self) -> dict[str, Any]:
        """What the page shows beside the figures, for machines."""
        material, first = self.auditor.material, self.findings[0]
        return {
            "train": list(material.train),
            "held_out": list(material.held_out),
            "questions": [question._asdict() | self.errors.get(question, {}) for question in material.questions],
            "unknown": list(material.unknown),
            "seeds": [found.seed for found in self.findings],
            "factors": list(first.factors),
            "importance": [None if found.importance is None else found.importance.tolist() for found in self.findings],
        }


def gather(
    run: RunDirectory, folder: Path, data: Path | None, train_traces: int | None, count: int, seed: int
) -> Material:
    """Reads a run's traces, draws questions, and makes what the simulator answers to them.

    Args:
        run: With test traces, and with training traces if `data` is None.
        folder: Where the answers are kept; those that are there are not made again.
        data: A dataset whose logged traces are the training traces.
        train_traces: How many of the training traces to take, the first ones; None: all.
        count: How many questions to draw.
        seed: Of the questions and of the other drivers.

    Raises:
        DataError: there are too few traces, traces of two maps, or of one context; or the dataset cannot be read.
    """
    if train_traces is not None and train_traces < 1:
        raise ConfigError(f"--train-traces {train_traces}: must be 1 at least")
    if count < 1:
        raise ConfigError(f"--questions {count}: must be 1 at least")
    paths = run.trace_paths("train") if data is None else _traces_of(data, folder)
    files = {path.stem: path for path in paths[:train_traces]}
    held_files = {path.stem: path for path in run.trace_paths("test")}
    scenario = run.scenario()
    read = {name: run.trace(path) for name, path in (files | held_files).items()}
    contexts, unknown = _contexts(files | held_files)
    phases_s = {name: phase_s(path) for name, path in (files | held_files).items() if name in contexts}
    given = {name: contexts.get(name, name) for name in read}
    material = Material(
        scenario=scenario,
        street_map=load_map(scenario.mobility.map),
        train={name: read[name] for name in files},
        held_out={name: read[name] for name in held_files},
        contexts={
            name: context.later(-phases_s[name]).model_dump(mode="json") for name, context in contexts.items()
        },
        questions=questions(
            {name: given[name] for name in files}, {name: given[name] for name in held_files}, count, seed
        ),
    )  # fmt: skip
    drivers = derive(seed, "audit", "drivers")
    truth: dict[bool, dict[Question, MobilityTrace]] = {False: {}, True: {}}
    with progress("what would have been", 2 * len(material.questions)) as bar:
        for question in material.questions:
            for redriven, answers in truth.items():
                try:
                    if question.factual in contexts and question.target in contexts:
                        path = folder / f"{question.factual}-as-{question.target}{'-redriven' * redriven}.parquet"
                        # What sets in does so when it does in the target.
                        later_s = phases_s[question.factual] - phases_s[question.target]
                        context, who = contexts[question.target].later(later_s), drivers if redriven else None
                        answers[question] = _made_again(files[question.factual], context, who, path)
                except (DataError, ConfigError, SimulatorError) as error:
                    unknown.append(error.message)
                bar.advance()
    return material.answered(truth[False], truth[True], tuple(dict.fromkeys(unknown)))


def study(auditor: Auditor, seeds: Sequence[int], fitted: Callable[[int], AuditedModel[Any]]) -> AuditStudy:
    """Judges what several seeds draw, and sums up.

    Args:
        auditor: Judges them.
        seeds: Of the draws.
        fitted: From a seed to the model that is judged with it.
    """
    findings = []
    for seed in seeds:
        model = fitted(seed)
        with progress(f"audit of draw {seed}", auditor.work) as bar:
            findings.append(auditor.judge(model, seed, bar.advance))
    return AuditStudy(auditor, tuple(findings), tuple(_figure(name, findings) for name in MEASURES))


def fit(material: Material) -> AuditedModel[Any]:
    """Returns the causal model, fitted to the training traces."""
    return CausalMobilityModel.fit(list(material.train.values()), material.street_map)


def _figure(name: str, findings: Sequence[Findings]) -> AuditFigure:
    measure = MEASURES[name]
    values = np.array([found.value[name] for found in findings])
    value, low, high = estimate([values], mean, bounds=measure.bounds)
    return AuditFigure(
        metric=measure.title, value=value, unit=measure.unit, target=measure.reach, goal=measure.goal,
        more_is_better=measure.more_is_better, group=measure.group, note=measure.note, low=low, high=high,
        by_seed=tuple(values.tolist()),
        beside={
            other: float(np.mean([found.beside[name][other] for found in findings]))
            for other in findings[0].beside.get(name, {})
        },
        reason=next((found.reason[name] for found in findings if name in found.reason), ""),
    )  # fmt: skip


def _traces_of(data: Path, folder: Path) -> list[Path]:
    """Writes the logged traces of a dataset to files, where they can be made again, and returns these."""
    paths = []
    for name, trace in logged_traces(read_dataset(data)).items():
        check_name(name)
        trace.write(path := folder / f"{name}.parquet")
        paths.append(path)
    return paths


def _contexts(files: dict[str, Path]) -> tuple[dict[str, Context], list[str]]:
    """Returns the true contexts of the traces of which they are known, and why the others are not."""
    contexts, unknown = {}, []
    for name, path in files.items():
        try:
            contexts[name] = changed_context(path, {})
        except (DataError, ConfigError) as error:
            unknown.append(error.message)
    return contexts, unknown


def _made_again(path: Path, context: Context, drivers: int | None, kept: Path) -> MobilityTrace:
    """Returns a trace made again under another context, which is kept in a file."""
    if kept.with_suffix(".json").is_file():
        before = MobilityTrace.read(kept)
        origin = before.metadata.provenance.get("like_sha256")
        same_drivers = drivers is None or before.metadata.settings.get("drivers") == drivers
        if origin == sha256(path) and same_drivers and changed_context(kept, {}) == context:
            return before
    made = make_trace_like(path, context, drivers)
    made.write(kept)
    return made
