"""An evaluation's figures as text: the terminal and the report show the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from py_agent.metrics import METRICS, Metric
from py_agent.statistics import reference_of

_FEW = 10
"""Fewer traces than these are said to be few."""


@dataclass(frozen=True)
class Cell:
    """A figure with its interval, empty where there is none."""

    mean: str
    interval: str
    best: bool


@dataclass(frozen=True)
class ResultTable:
    """The result of `summarize` for readers.

    Attributes:
        columns: The metric of each column, by its name in the summary.
        rows: The cells of each policy, in the order of the columns.
        remarks: Notes on the figures, of one sentence or two each.
    """

    columns: dict[str, Metric]
    rows: dict[str, list[Cell]]
    remarks: list[str]

    @classmethod
    def of(cls, summary: pd.DataFrame, keys: Sequence[str] = ()) -> ResultTable:
        """Rounds each column to two digits of its intervals' half width; means that tie in print are all best.

        Args:
            summary: What `summarize` returned.
            keys: The columns; all but those of mobility robustness if empty.
        """
        columns = columns_of(summary)
        columns = {
            key: columns[key] for key in keys or columns if key in columns and (keys or not columns[key].is_detail)
        }
        cells = [_cells(summary, key, metric) for key, metric in columns.items()]
        rows = {str(policy): list(row) for policy, row in zip(summary.index, zip(*cells, strict=True), strict=True)}
        return cls(columns, rows, _remarks(summary))


def columns_of(summary: pd.DataFrame) -> dict[str, Metric]:
    """The metrics that the summary holds, and after the first one how far it is below the reference's."""
    columns = {key: metric for key, metric in METRICS.items() if key in summary}
    if len(summary) == 1:
        return columns
    heading = f"Load std below {reference_of(list(summary.index))}"
    meaning = "How much lower the mean load std is than that of the policy it is compared with, in % of that."
    gain = Metric(heading, "gain", higher_is_better=True, unit="%", decimals=1, definition=meaning)
    return {"load_std": columns.pop("load_std"), "improvement_percent": gain, **columns}


def scaled(summary: pd.DataFrame, key: str, metric: Metric) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, low and high of a metric in the unit that is shown, (P,) each."""
    mean, low, high = (summary[f"{key}{part}"].to_numpy(np.float64) * metric.scale for part in ("", "_low", "_high"))
    return mean, low, high


def best_of(values: np.ndarray, metric: Metric) -> int:
    """Index of the best value."""
    worst = -np.inf if metric.higher_is_better else np.inf
    values = np.where(np.isfinite(values), values, worst)
    return int(values.argmax() if metric.higher_is_better else values.argmin())


def number(value: float, decimals: int, signed: bool = False) -> str:
    """A number with a true minus, 0 without a sign; a dash if there is none."""
    if not np.isfinite(value):
        return "–"
    value = round(value, decimals) or 0.0
    return f"{value:{'+' if signed and value else ''}.{decimals}f}".replace("-", "−")


def _cells(summary: pd.DataFrame, key: str, metric: Metric) -> list[Cell]:
    values, lows, highs = scaled(summary, key, metric)
    signed = key == "improvement_percent"
    half = (highs - lows)[highs > lows] / 2
    decimals = metric.decimals
    if half.size:
        decimals = int(np.clip(1 - np.floor(np.log10(np.median(half))), 0, decimals))
    means = [number(value, decimals, signed) for value in values]
    best = means[best_of(values, metric)] if len(set(means)) > 1 else ""
    return [
        Cell(
            mean,
            f"{number(low, decimals, signed)} … {number(high, decimals, signed)}" if low < high else "",
            mean == best,
        )
        for mean, low, high in zip(means, lows, highs, strict=True)
    ]


def _remarks(summary: pd.DataFrame) -> list[str]:
    traces = int(summary["traces"].iloc[0])
    if traces == 1:
        remarks = ["One trace: no intervals."]
    else:
        remarks = [
            f"Means over {traces} traces, paired, with 95 % confidence intervals; none where all traces gave the same."
        ]
    if traces < _FEW:
        remarks.append("So few traces rank nothing: read the intervals, not the order of the means.")
    same = [str(policy) for policy in summary.index[summary["same"]]]
    if same:
        reference = reference_of(list(summary.index))
        remarks.append(
            f"The figures of {' and '.join(same)} equal those of {reference} in every episode: what "
            f"{'it' if len(same) == 1 else 'they'} did had no effect."
        )
    return remarks
