"""The audit report: one HTML file without JavaScript, drawn from what `mlb audit` found."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from cf_augment.audit import MODEL, Question
from cf_augment.audit.coverage import Plane
from cf_augment.audit.study import AS_LOGGED
from py_agent.audit import AuditFigure, AuditStudy
from py_agent.report import audit_charts
from py_agent.report.charts import interval_chart, lines_chart
from py_agent.report.results import Chart
from py_agent.report.scene import PALETTE, ink, line_styles, street_path
from py_agent.report.templating import limit, pages
from py_agent.rundir import versions
from py_agent.statistics import NO_BOUNDS, estimate, mean
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.files import write_text
from sumo_mobility.trace import MobilityTrace

_BOUNDS = {"load": (0.0, math.inf), "ranking": (-1.0, 1.0)}
_ERRORS = {"load": "Error of the cells' loads (%)", "ranking": "Kendall's tau of constant actions"}


@dataclass(frozen=True)
class _Map:
    """Where the UEs are at the end, in metres from the map's north-west corner, y down."""

    title: str
    ues: list[tuple[float, float]]


def write_audit_page(path: Path, study: AuditStudy, title: str, command: str) -> None:
    """Writes the report as one HTML file.

    Args:
        path: Where it goes.
        study: What was found.
        title: What was audited.
        command: The command line that finds it again.

    Raises:
        StorageError: `path` cannot be written; what was there before is whole.
    """
    environment = pages()
    environment.filters |= {"limit": limit, "figure": figure_text, "interval": _interval}
    material = study.auditor.material
    west, south, east, north = material.street_map.bounds_m
    write_text(
        path,
        environment.get_template("audit.html").render(
            title=title,
            groups={name: list(some) for name, some in groupby(study.figures, lambda figure: figure.group)},
            reached=sum(figure.ok and figure.target is not None for figure in study.figures),
            with_target=sum(figure.target is not None for figure in study.figures),
            material=material,
            draws=len(study.findings),
            charts=_charts(study),
            errors=study.errors,
            streets=street_path(material.street_map.streets, material.street_map.bounds_m),
            width_m=round(east - west, 1),
            height_m=round(north - south, 1),
            maps=_maps(study),
            asked=_shown(study),
            nan=math.nan,
            command=command,
            versions=versions(),
        ),
    )


def figure_text(value: float) -> str:
    """A figure as the report prints it, with two decimals, or fewer if it is large."""
    if not math.isfinite(value):
        return "–"
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{decimals}f}".replace("-", "−")


def _interval(figure: AuditFigure) -> str:
    ends = (figure_text(end) for end in (figure.low, figure.high))
    return " … ".join(ends) if figure.low < figure.high else ""


_GUESSES = {MODEL: PALETTE[0], AS_LOGGED: PALETTE[1]}
_STATES = {"training": PALETTE[0], "counterfactual": PALETTE[1], "held-out": PALETTE[4]}
_SPEEDS = line_styles(("counterfactual", "real, same question", "held-out"))


def _charts(study: AuditStudy) -> list[tuple[Chart, dict[str, str]]]:
    """The pictures, each with the colours of its legend, if it needs one."""
    charts = [
        *((chart, {}) for chart in (*_guesses(study), *_importance(study))),
        *((chart, _GUESSES) for chart in _loads(study)),
        (_coverage(study), _STATES),
        (_speeds(study), {name: style.color for name, style in _SPEEDS.items()}),
    ]
    return [(chart, {name: ink(color) for name, color in legend.items()}) for chart, legend in charts]


def _guesses(study: AuditStudy) -> list[Chart]:
    charts = []
    errors = list(study.errors.values())
    for measure, what in _ERRORS.items():
        names = [name for name in (errors[0][measure] if errors else ()) if all(name in one[measure] for one in errors)]
        points = np.array([[one[measure][name] for one in errors] for name in names])
        if not points.size or not np.isfinite(points).any(axis=1).all():
            continue
        ends = [estimate([row[np.isfinite(row)]], mean, bounds=_BOUNDS.get(measure, NO_BOUNDS)) for row in points]
        value, low, high = np.array(ends).T
        svg = interval_chart(what, names, points, value, low, high, best=0)
        charts.append(Chart(what, "a ring for each question; mean and 95 % interval over them", svg))
    return charts


def _loads(study: AuditStudy) -> list[Chart]:
    """True and guessed loads of each cell, mean over the episode, of all questions and draws."""
    truth = study.auditor.truth
    points: dict[str, tuple[Floats, Floats]] = {}
    for name in (AS_LOGGED, MODEL) if truth else ():
        guesses = [study.auditor.guesses(found)[name] for found in study.findings]
        true, guessed = (
            np.concatenate([played.load.mean(axis=0) for answers in sides for played in answers.values()])
            for sides in ([truth] * len(guesses), guesses)
        )
        points[name] = true, guessed
    if not points:
        return []
    svg = audit_charts.guess_scatter("Guessed over true load of the cells", points, _GUESSES)
    return [Chart("Loads of the cells", "a point for each cell, question and draw; line: identity", svg)]


def _coverage(study: AuditStudy) -> Chart:
    states = study.auditor.states(study.findings[0])
    plane = Plane.of(np.concatenate([states["training"], states["held-out"]]))
    places = {kind: plane.project(states[kind]) for kind in ("counterfactual", "training", "held-out")}
    svg = audit_charts.plane_chart("States of the network by principal components", places, _STATES, plane.explained)
    return Chart("States of the network", "loads and shares of the UEs of all cells, by principal components", svg)


def _speeds(study: AuditStudy) -> Chart:
    material, made = study.auditor.material, study.findings[0].made
    same = {question: made[question] for question in material.truth} or made
    sides = (same.values(), material.truth.values(), material.held_out.values())
    lines = {name: _distribution(traces) for name, traces in zip(_SPEEDS, sides, strict=True)}
    known = {name: line for name, line in lines.items() if len(line[0])}
    svg = lines_chart("Distribution of the UEs' speeds", known, _SPEEDS, "speed (m/s)", share=True)
    return Chart("Speeds", "share of the UEs' time in which they are at most as fast", svg)


def _distribution(traces: Iterable[MobilityTrace]) -> tuple[Floats, Floats]:
    """Returns speeds and the share of the time in which UEs are at most as fast."""
    speeds = [trace.speed_mps.ravel() for trace in traces]
    if not speeds:
        return np.empty(0), np.empty(0)
    share = np.linspace(0, 1, 101)
    return np.quantile(np.concatenate(speeds), share), share


def _importance(study: AuditStudy) -> list[Chart]:
    first = study.findings[0]
    if first.importance is None:
        return []
    svg = audit_charts.importance_chart("Importance of components for factors", first.importance, first.factors)
    return [Chart("What the context says", f"areas: coefficients of probes for true factors; draw {first.seed}", svg)]


def _shown(study: AuditStudy) -> Question:
    """The question whose answer is shown as a map: the first one that has a truth, if any has."""
    return next(iter(study.auditor.truth), study.auditor.material.questions[0])


def _maps(study: AuditStudy) -> list[_Map]:
    material, question = study.auditor.material, _shown(study)
    traces: dict[str, MobilityTrace | None] = {
        f"{question.factual}, as logged": material.train[question.factual],
        f"model: in the context of {question.target}": study.findings[0].made[question],
        "truth": material.truth.get(question),
    }
    west, _, _, north = material.street_map.bounds_m
    return [
        _Map(title, [(round(x - west, 1), round(north - y, 1)) for x, y in trace.position_m[-1].tolist()])
        for title, trace in traces.items()
        if trace is not None
    ]
