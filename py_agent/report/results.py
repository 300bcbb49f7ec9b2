"""The metrics that matter most, as points with intervals: what each policy got, and how far from the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from py_agent.metrics import METRICS, Metric
from py_agent.report.charts import interval_chart, trade_off_chart
from py_agent.report.data import ReportData
from py_agent.report.scene import line_styles
from py_agent.result_table import ResultTable, best_of, columns_of, scaled
from py_agent.statistics import estimate, mean

_CHARTED = ("load_std", "p5_throughput_bps", "handovers_per_ue_minute")
_GAIN = "improvement_percent"
_PRICES = ("unnecessary_per_ue_minute", "mobility_failures_per_ue_minute")


@dataclass(frozen=True)
class Chart:
    """An inline SVG with its caption."""

    title: str
    note: str
    svg: str


def interval_charts(data: ReportData) -> list[Chart]:
    """Draws what each policy got on each trace, with the mean's interval."""
    charts = []
    for key in _CHARTED:
        metric, title, note = _titled(key)
        values, low, high = scaled(data.summary, key, metric)
        points = _by_trace(data, key, data.policies)
        svg = interval_chart(f"{title} ({note})", data.policies, points, values, low, high, best_of(values, metric))
        charts.append(Chart(title, note, svg))
    return charts


def difference_charts(data: ReportData) -> list[Chart]:
    """Draws how far each policy was from the reference on the same trace; none of the reference alone."""
    others = [policy for policy in data.policies if policy != data.reference]
    charts = []
    for key in _CHARTED if others else ():
        metric, title, note = _titled(key)
        points = _by_trace(data, key, others) - _by_trace(data, key, [data.reference])
        greatest = metric.greatest * metric.scale
        value, low, high = np.array([estimate([row], mean, bounds=(-greatest, greatest)) for row in points]).T
        name = f"{title}, difference to {data.reference} ({note})"
        charts.append(Chart(title, note, interval_chart(name, others, points, value, low, high, best=-1, zero=True)))
    return charts


def robustness_table(data: ReportData) -> ResultTable:
    """Returns the gain in balance beside its cost in mobility robustness; without columns if that was not evaluated."""
    details = [key for key, metric in METRICS.items() if metric.is_detail and key in data.summary]
    shown = ["load_std", _GAIN, "ping_pong_share", *details] if details else []
    return ResultTable.of(data.summary, shown) if shown else ResultTable({}, {}, [])


def robustness_charts(data: ReportData) -> list[Chart]:
    """Draws each price in mobility robustness over the gain in balance; none of the reference alone."""
    columns = columns_of(data.summary)
    if _GAIN not in columns:
        return []
    gain, styles = columns[_GAIN], line_styles(data.policies)
    charts = []
    for key in _PRICES:
        if key not in columns or not np.isfinite(data.summary[key]).any():
            continue
        metric, title, note = _titled(key)
        svg = trade_off_chart(
            f"{title} ({note}) over {gain.heading} ({gain.unit})", styles,
            np.array(scaled(data.summary, _GAIN, gain)), np.array(scaled(data.summary, key, metric)),
            f"{gain.heading} ({gain.unit})",
        )  # fmt: skip
        charts.append(Chart(title, note, svg))
    return charts


def _titled(key: str) -> tuple[Metric, str, str]:
    metric = METRICS[key]
    direction = "higher is better" if metric.higher_is_better else "lower is better"
    return metric, metric.heading, f"{metric.unit}, {direction}" if metric.unit else direction


def _by_trace(data: ReportData, key: str, policies: list[str]) -> np.ndarray:
    """A metric in the unit that is shown, (P, N) over the traces."""
    values = data.by_trace[key].unstack("trace").loc[policies]
    return values.to_numpy(np.float64) * METRICS[key].scale
