"""The result table: which metrics are shown, in which unit, and which policy is best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from py_agent.metrics import HIGHER_IS_BETTER
from py_agent.report.charts import interval_chart


@dataclass(frozen=True)
class Metric:
    """One column of the table; `key` is its name in the summary frame."""

    key: str
    heading: str
    unit: str
    decimals: int
    scale: float = 1.0
    charted: bool = False

    @property
    def higher_is_better(self) -> bool:
        """The direction; an improvement is always better when higher."""
        return HIGHER_IS_BETTER.get(self.key, True)


METRICS = (
    Metric("load_std", "Load std", "", 4, charted=True),
    Metric("improvement_percent", "Load std below static", "%", 1),
    Metric("jain", "Jain index", "", 3),
    Metric("p5_throughput_bps", "p5 throughput", "kbit/s", 1, 1e-3, charted=True),
    Metric("mean_throughput_bps", "Mean throughput", "kbit/s", 1, 1e-3),
    Metric("handovers_per_ue_minute", "Handovers", "per UE-minute", 2, charted=True),
    Metric("ping_pong_share", "Ping-pongs", "% of handovers", 1, 100),
    Metric("failures_per_ue_minute", "Handover failures", "per UE-minute", 3),
    Metric("rlf_per_ue_minute", "Radio link failures", "per UE-minute", 3),
)


@dataclass(frozen=True)
class Cell:
    """One figure as text, with its interval."""

    mean: str
    interval: str
    best: bool


@dataclass(frozen=True)
class Row:
    """One policy."""

    policy: str
    cells: list[Cell]
    traces: int
    episodes: int


@dataclass(frozen=True)
class Chart:
    """One inline SVG with its caption."""

    title: str
    note: str
    svg: str


def shown(summary: pd.DataFrame) -> list[Metric]:
    """The metrics that the summary holds, in the table's order."""
    return [metric for metric in METRICS if metric.key in summary.columns]


def rows(summary: pd.DataFrame) -> list[Row]:
    """Returns the table's body; policies that tie in print are all best, unless all tie."""
    columns = [_cells(summary, metric) for metric in shown(summary)]
    return [
        Row(str(policy), list(cells), int(summary["traces"].iloc[index]), int(summary["episodes"].iloc[index]))
        for index, (policy, *cells) in enumerate(zip(summary.index, *columns, strict=True))
    ]


def interval_charts(summary: pd.DataFrame) -> list[Chart]:
    """Draws the metrics that matter most; where a policy has no figure, it has no point."""
    charts = []
    for metric in shown(summary):
        if not metric.charted:
            continue
        mean, low, high = (values * metric.scale for values in _values(summary, metric))
        labels = [str(policy) for policy in summary.index]
        direction = "higher is better" if metric.higher_is_better else "lower is better"
        note = f"{metric.unit}, {direction}" if metric.unit else direction
        title = f"{metric.heading} ({note})"
        svg = interval_chart(title, labels, mean, low, high, _best(mean, metric))
        charts.append(Chart(metric.heading, note, svg))
    return charts


def _values(summary: pd.DataFrame, metric: Metric) -> Sequence[np.ndarray]:
    """Mean, low and high, (P,) each."""
    return [summary[f"{metric.key}{part}"].to_numpy(np.float64) for part in ("", "_low", "_high")]


def _cells(summary: pd.DataFrame, metric: Metric) -> list[Cell]:
    values, lows, highs = _values(summary, metric)
    means = [_number(value, metric) for value in values]
    best = means[_best(values, metric)] if len(set(means)) > 1 else ""
    return [
        Cell(mean, f"{_number(low, metric)} … {_number(high, metric)}" if low < high else "", mean == best)
        for mean, low, high in zip(means, lows, highs, strict=True)
    ]


def _best(values: np.ndarray, metric: Metric) -> int:
    worst = -np.inf if metric.higher_is_better else np.inf
    values = np.where(np.isfinite(values), values, worst)
    return int(values.argmax() if metric.higher_is_better else values.argmin())


def _number(value: float, metric: Metric) -> str:
    return f"{value * metric.scale:.{metric.decimals}f}".replace("-", "−") if np.isfinite(value) else "–"
