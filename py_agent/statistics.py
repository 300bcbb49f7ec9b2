"""Honest intervals for policies that were judged on the same traces and seeds.

The unit is the trace: episodes on one trace with several seeds are not independent, so they are averaged first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
from scipy import stats

from py_agent.metrics import METRICS
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.contract import nearest
from sumo_mobility.base.errors import DataError
from sumo_mobility.base.seeds import stream

FEW = 20
"""Below this many traces a bootstrap is too narrow, and the intervals are Student's."""
REFERENCE = "static"
"""The policy that others are compared with, where it was judged."""
NO_BOUNDS = (-np.inf, np.inf)
_RESAMPLES = 9999
_CURE = "run 'mlb evaluate' for these policies on the same traces and seeds"


class Statistic(Protocol):
    """A function of one or more paired samples along an axis."""

    def __call__(self, *samples: Floats, axis: int = -1) -> Floats: ...


class Estimate(NamedTuple):
    """A value and its confidence interval; NaN where the data give none."""

    value: float
    low: float
    high: float


def mean(*samples: Floats, axis: int = -1) -> Floats:
    """Mean of the only sample."""
    return np.asarray(samples[0].mean(axis=axis))


def reduction_percent(*samples: Floats, axis: int = -1) -> Floats:
    """Returns by how much the mean of the first sample is lower than that of the second, in % of the latter."""
    first, second = (sample.mean(axis=axis) for sample in samples)
    return np.asarray(100 * (second - first) / np.abs(second))


def estimate(
    samples: Sequence[Floats],
    statistic: Statistic,
    seed: int = 0,
    level: float = 0.95,
    bounds: tuple[float, float] = NO_BOUNDS,
) -> Estimate:
    """Returns a statistic of paired samples with its confidence interval, which keeps to the statistic's bounds.

    From FEW observations on, the bootstrap BCa of scipy: it stays within what the resampled statistic can be. Below,
    Student's t on the jackknife's pseudo-values, which for a mean without bounds is the ordinary t-interval. With
    bounds the same is done on the scale that stabilises the variance: the square root of the distance to the only
    bound, or the arcsine of the square root between two (Bartlett, Biometrics 3, 1947; the standard error by the delta
    method, so that single observations of 0 do no harm). One observation has no interval, nor have observations that
    all lie on a bound.

    In simulations of 3, 5 and 9 skewed observations (exponential, log-normal with sigma 1, overdispersed counts, shares
    from a beta distribution) 95 % intervals held the truth in 85 to 99 %, where the t-interval did in 82 to 100 % and
    the percentile bootstrap in 65 to 88 %; a t-interval on a logarithmic scale did in 88 to 99 %, but reached to 70
    times the mean where two of three counts were 0. Of 10 observations BCa held it in 85 to 90 % and this in 89 to 94
    %, of 20 BCa in 92 % and this in 93 to 95 %.

    Args:
        samples: One or more samples (n,), paired by position.
        statistic: What is estimated.
        seed: Fixes the resampling.
        level: Confidence level.
        bounds: The least and the greatest value that the statistic can have.
    """
    n = len(samples[0])
    value = float(statistic(*samples))
    if n == 1 or not bounds[0] < value < bounds[1]:  # as NaN is not
        return Estimate(value, np.nan, np.nan)
    left_out = np.array([statistic(*(np.delete(sample, i) for sample in samples)) for i in range(n)])
    pseudo = n * value - (n - 1) * left_out
    spread = float(pseudo.std(ddof=1))
    if spread <= 1e-12 * abs(value):
        return Estimate(value, value, value)
    if n < FEW:
        half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * spread / float(np.sqrt(n))
        low, high = _within(value, half, *bounds)
        return Estimate(value, min(low, value), max(high, value))  # a distance to a bound may round the value away
    interval = stats.bootstrap(
        samples, statistic, paired=True, vectorized=True, n_resamples=_RESAMPLES, confidence_level=level,
        method="BCa", rng=stream(seed, "bootstrap"),
    ).confidence_interval  # fmt: skip
    return Estimate(value, float(interval.low), float(interval.high))


def _within(value: float, half: float, least: float, greatest: float) -> tuple[float, float]:
    """The ends of value ± half, taken on the scale that stabilises the variance between the bounds."""
    below, above = value - least, greatest - value
    if np.isinf(below) and np.isinf(above):
        return value - half, value + half
    if np.isinf(below):
        low, high = _within(above, half, 0.0, np.inf)
        return greatest - high, greatest - low
    if np.isinf(above):
        root = np.sqrt(below)
        ends = np.maximum(root + np.array([-half, half]) / (2 * root), 0.0) ** 2
    else:
        angle = np.arcsin(np.sqrt(below / (below + above)))
        step = half / (2 * np.sqrt(below * above))
        ends = (below + above) * np.sin(np.clip(angle + np.array([-step, step]), 0, np.pi / 2)) ** 2
    return float(least + ends[0]), float(least + ends[1])


def interquartile_mean(values: Floats) -> float:
    """Mean of the middle half of the values, as rliable has it (Agarwal et al. 2021, arXiv 2108.13264)."""
    return float(stats.trim_mean(values, 0.25))


def probability_of_improvement(better: Floats, level: float = 0.95) -> Estimate:
    """Probability that a policy beats another on a trace, with the exact interval of Clopper and Pearson.

    Args:
        better: (n,) share of a trace's seeds on which it is better; a tie counts one half.
        level: Confidence level.
    """
    n, wins, tail = len(better), float(better.sum()), (1 - level) / 2
    low = float(stats.beta.ppf(tail, wins, n - wins + 1)) if wins > 0 else 0.0
    high = float(stats.beta.ppf(1 - tail, wins + 1, n - wins)) if wins < n else 1.0
    return Estimate(wins / n, low, high)


def reference_of(policies: Sequence[str]) -> str:
    """The policy that the others are compared with, unless another is named: REFERENCE, or the first."""
    return REFERENCE if REFERENCE in policies else policies[0]


def summarize(
    episodes: pd.DataFrame, metric: str = "load_std", reference: str = "", seed: int = 0, level: float = 0.95
) -> pd.DataFrame:
    """Sums an evaluation up: one row a policy, in order of appearance.

    Args:
        episodes: One row an episode with the columns policy, trace, seed and the metrics.
        metric: What `iqm`, `difference`, `improvement_percent` and `probability_of_improvement` are about.
        reference: The policy that they compare with; that of `reference_of` if empty.
        seed: Fixes the resampling.
        level: Confidence level of the intervals.

    Returns:
        Columns `traces`, `episodes`; each metric; `iqm`; `difference` (to the reference, in the metric's unit),
        `improvement_percent` (positive is better, whatever the metric's direction) and
        `probability_of_improvement` (paired by trace and seed); each but iqm with `_low` and `_high`. `same`: whether
        every metric of every episode is the reference's, so that the policy most likely had no effect.

    Raises:
        DataError: there are no episodes, the reference or the metric is missing, or the policies were not run on the
            same episodes.
    """
    policies = [str(policy) for policy in episodes["policy"].unique()]
    if not policies:
        raise DataError("summary: no episodes", _CURE)
    metrics = [name for name in METRICS if name in episodes]
    reference = reference or reference_of(policies)
    if reference not in policies:
        raise DataError(f"summary: no policy '{reference}'{nearest(reference, policies)}", _CURE)
    if metric not in metrics:
        raise DataError(f"summary: no metric '{metric}'{nearest(metric, metrics)}")
    tables = {policy: _paired(episodes, policy, reference) for policy in policies}
    base, chosen = tables[reference], METRICS[metric]
    sign = 1 if chosen.higher_is_better else -1
    base_means = base.groupby("trace")[metric].mean().to_numpy()
    rows = []
    for policy, table in tables.items():
        by_trace = table.groupby("trace")[metrics].mean()
        values = by_trace[metric].to_numpy()
        gain = sign * (table[metric] - base[metric])
        better = ((gain > 0) + 0.5 * (gain == 0)).groupby("trace").mean().to_numpy().astype(np.float64)
        improvement = estimate([values, base_means], reduction_percent, seed, level, (-np.inf, 100.0))
        if sign > 0:
            improvement = Estimate(-improvement.value, -improvement.high, -improvement.low)
        estimates = {
            name: estimate([by_trace[name].to_numpy()], mean, seed, level, (0.0, METRICS[name].greatest))
            for name in metrics
        } | {
            "difference": estimate([values - base_means], mean, seed, level, (-chosen.greatest, chosen.greatest)),
            "improvement_percent": improvement,
            "probability_of_improvement": probability_of_improvement(better, level),
        }
        row = {
            "traces": len(by_trace),
            "episodes": len(table),
            "iqm": interquartile_mean(table[metric].to_numpy()),
            "same": policy != reference and table[metrics].equals(base[metrics]),
        }
        for name, (value, low, high) in estimates.items():
            row |= {name: value, f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return pd.DataFrame(rows, index=pd.Index(policies, name="policy"))


def _paired(episodes: pd.DataFrame, policy: str, reference: str) -> pd.DataFrame:
    """Returns a policy's episodes by trace and seed, checked to be those of the reference."""
    table, base = (
        episodes[episodes["policy"] == name].set_index(["trace", "seed"]).sort_index() for name in (policy, reference)
    )
    if not table.index.is_unique:
        raise DataError(f"summary: policy '{policy}' has an episode twice: {table.index[table.index.duplicated()][0]}")
    if not table.index.equals(base.index):
        trace, seed = table.index.symmetric_difference(base.index)[0]
        raise DataError(f"summary: only one of '{policy}' and '{reference}' ran trace '{trace}', seed {seed}", _CURE)
    return table
