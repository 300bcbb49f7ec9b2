"""The fidelity report: one HTML file without JavaScript, drawn from what `mlb fidelity` found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from cf_augment.agreement.rankings import is_constant
from cf_augment.dataset import Episode
from ns3_scenarios.kpis import EventKind
from py_agent.fidelity.pairs import Pair
from py_agent.fidelity.runs import BASELINE, NS3, TIERS
from py_agent.fidelity.study import Figure, Study
from py_agent.fidelity.tables import Column, Row, Table
from py_agent.report import fidelity_charts as charts
from py_agent.report.results import Chart
from py_agent.report.scene import ink
from py_agent.report.templating import limit, pages
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.files import write_text

HEADINGS: dict[str, str] = {name: f"{short}, {name}" for name, short in TIERS.items()}
HEADINGS[BASELINE] = "naive fluid model"
"""Headings of the models."""
_SHORT: dict[str, str] = dict(TIERS.items())


@dataclass(frozen=True)
class _Shown:
    """A figure of a table as text."""

    text: str
    interval: str
    fails: bool


def write_fidelity_page(path: Path, study: Study, command: str) -> None:
    """Writes the report as one HTML file.

    Args:
        path: Where it goes.
        study: What was found.
        command: The command line that finds it again.

    Raises:
        StorageError: `path` cannot be written; what was there before is whole.
    """
    environment = pages()
    environment.filters |= {"limit": limit, "value": _value, "interval": _interval}
    failing = {(row.table, row.where, row.model, row.figure) for row in study.failing}
    page = environment.get_template("fidelity.html").render(
        study=study,
        reached=sum(figure.ok and figure.target is not None for figure in study.figures),
        with_target=sum(figure.target is not None for figure in study.figures),
        tables=[_laid_out(table, failing) for table in study.tables],
        charts=_charts(study),
        models={HEADINGS[name]: ink(color) for name, color in _inks().items()},
        headings=HEADINGS,
        command=command,
    )
    write_text(path, page)


def figure_text(value: float, decimals: int) -> str:
    """A figure as the report prints it."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.{decimals}f}".replace("-", "−").replace(",", " ")


def _value(figure: Figure, value: float) -> str:
    """A headline figure, with as many digits as its target deserves."""
    if not math.isfinite(value):
        return "–"
    decimals = 5 if figure.unit == "dB" else 3 if figure.unit == "" else 2
    return figure_text(value, decimals)


def _interval(figure: Figure) -> str:
    return f"{_value(figure, figure.low)} … {_value(figure, figure.high)}" if figure.low < figure.high else ""


def _laid_out(table: Table, failing: set[tuple[str, str, str, str]]) -> dict[str, object]:
    """A table as text; the two ends of an interval stand below the figure before them."""
    columns = [column for column in table.columns if column.key not in ("low", "high")]
    models = list(dict.fromkeys(model for row in table.rows for model in row.models))
    with_interval = table.columns[0].key if len(columns) < len(table.columns) else ""
    return {
        "table": table,
        "keys": list(table.rows[0].keys) if table.rows else [],
        "columns": columns,
        "models": {model: HEADINGS.get(model, model) for model in models},
        "rows": [
            (
                list(row.keys.values()),
                [_shown(table, row, model, column, with_interval, failing) for model in models for column in columns],
            )
            for row in table.rows
        ],
    }


def _shown(
    table: Table, row: Row, model: str, column: Column, with_interval: str, failing: set[tuple[str, str, str, str]]
) -> _Shown:
    values = row.models.get(model)
    if values is None:
        return _Shown("–", "", fails=False)
    where = ", ".join(f"{label} {text}" for label, text in row.keys.items())
    ends = ""
    if column.key == with_interval and values["low"] < values["high"]:
        ends = " … ".join(figure_text(values[end], column.decimals) for end in ("low", "high"))
    fails = (table.name, where, _SHORT.get(model, ""), column.heading) in failing
    return _Shown(figure_text(values[column.key], column.decimals), ends, fails)


def _inks() -> dict[str, str]:
    return charts.colors([*TIERS, BASELINE])


def _charts(study: Study) -> dict[str, list[Chart]]:
    """The pictures by title."""
    found = {
        "RSRP: differences (Bland and Altman)": _differences(study),
        "PRB utilisation of each cell and second, control CQI": _scatters(study),
        "Distribution of the PRB utilisation, control CQI": _distributions(study),
        "CIO sequences: ranks by reward": _ranks(study),
        "Policies: mean load-std reward": _policies(study),
        "Handovers": _handovers(study),
    }
    return {title: pairs for title, pairs in found.items() if pairs}


def _differences(study: Study) -> list[Chart]:
    drawn = []
    for tier in TIERS:
        for shadowing in (False, True):
            pairs = [pair for pair in _pairs(study, tier) if pair.case.shadowing == shadowing]
            what = "with shadowing" if shadowing else "without shadowing"
            truth, guess = (_pooled(pairs, side, "ue_rsrp_dbm") for side in ("truth", "guess"))
            svg = charts.bland_altman(f"RSRP of {tier} against ns-3 {what}", truth, guess, _inks()[tier])
            drawn.append(Chart(HEADINGS[tier], what, svg))
    return drawn


def _scatters(study: Study) -> list[Chart]:
    drawn = []
    for model, color in _inks().items():
        truth, guess = (_pooled(_pairs(study, model), side, "prb_utilization") for side in ("truth", "guess"))
        svg = charts.load_scatter(f"PRB utilisation of {model} against ns-3", truth, guess, color)
        drawn.append(Chart(HEADINGS[model], f"{len(truth)} samples, line: identity", svg))
    return drawn


def _distributions(study: Study) -> list[Chart]:
    drawn = []
    for load in study.plan.loads:
        pairs_of = {model: [pair for pair in _pairs(study, model) if pair.case.load == load] for model in _inks()}
        loads: dict[str, Floats] = {NS3: _pooled(next(iter(pairs_of.values())), "truth", "prb_utilization")}
        loads |= {model: _pooled(chosen, "guess", "prb_utilization") for model, chosen in pairs_of.items()}
        svg = charts.ecdf_chart(f"Distribution of the PRB utilisation, {load}", loads, _inks())
        drawn.append(Chart(load, "broad line: ns-3", svg))
    return drawn


def _ranks(study: Study) -> list[Chart]:
    drawn = []
    for network, rewards in study.futures.items():
        for reward, by_name in rewards.items():
            if not is_constant(by_name[NS3]):
                guesses = {model: by_name[model] for model in reversed(_inks()) if model in by_name}
                name = f"Ranks of CIO sequences in {network} by {reward}"
                svg = charts.rank_chart(name, by_name[NS3], guesses, _inks())
                drawn.append(Chart(f"{network}, {reward}", "", svg))
    return drawn


def _policies(study: Study) -> list[Chart]:
    drawn = []
    for network, values in study.policies.items():
        table = {model: np.array(rewards) for model, rewards in values.items()}
        means = {model: rewards.mean(axis=1) for model, rewards in table.items()}
        errors = {
            model: stats.sem(rewards, axis=1) if rewards.shape[1] > 1 else 0 * rewards[:, 0]
            for model, rewards in table.items()
        }
        svg = charts.policy_chart(
            f"Mean reward of policies in {network}", list(study.plan.policies), means, errors, _inks()
        )
        drawn.append(Chart(network, "± standard error over traces", svg))
    return drawn


def _handovers(study: Study) -> list[Chart]:
    """The first trace of each network, under medium load if that was run."""
    drawn = []
    for network in study.plan.networks:
        same: dict[str, list[Pair]] = {
            str(tier): [p for p in _pairs(study, tier) if p.case.network == network and not p.case.shadowing]
            for tier in TIERS
        }
        load = "medium" if "medium" in study.plan.loads else study.plan.loads[0]
        first = {tier: next(p for p in pairs if p.case.load == load) for tier, pairs in same.items()}
        starts: dict[str, tuple[Floats, Floats]] = {NS3: _starts(next(iter(first.values())).truth)}
        starts |= {tier: _starts(pair.guess) for tier, pair in first.items()}
        svg = charts.handover_raster(f"Handovers in {network}", starts, _inks())
        drawn.append(Chart(network, f"load: {load}; rings: ns-3, points: model", svg))
    return drawn


def _pairs(study: Study, model: str) -> list[Pair]:
    """Returns the pairs of a model under control CQI."""
    return [pair for pair in study.pairs if pair.model == model and pair.case.cqi == "control"]


def _pooled(pairs: list[Pair], side: str, name: str) -> Floats:
    return np.concatenate([getattr(getattr(pair, side).kpis, name).ravel() for pair in pairs])


def _starts(episode: Episode) -> tuple[Floats, Floats]:
    events = episode.kpis.events[episode.kpis.events["kind"] == EventKind.HANDOVER_START]
    return events["time_s"], events["ue"].astype(np.float64)
