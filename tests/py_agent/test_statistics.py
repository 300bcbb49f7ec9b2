"""Intervals against hand-computed values, scipy's own tests and simulated coverage."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from py_agent.statistics import (
    estimate,
    interquartile_mean,
    mean,
    probability_of_improvement,
    reduction_percent,
    summarize,
)
from sumo_mobility.base.errors import DataError


def table(values: dict[str, dict[tuple[str, int], float]], metric: str = "load_std") -> pd.DataFrame:
    """One row an episode."""
    return pd.DataFrame(
        [
            {"policy": policy, "trace": trace, "seed": seed, metric: value}
            for policy, episodes in values.items()
            for (trace, seed), value in episodes.items()
        ]
    )


@pytest.mark.parametrize("n", [2, 3, 19])
def test_few_observations_get_the_t_interval(n: int) -> None:
    sample = np.random.default_rng(n).normal(2, 1, n)
    value, low, high = estimate([sample], mean)
    reference = stats.ttest_1samp(sample, 0).confidence_interval(0.95)
    assert (value, low, high) == pytest.approx((sample.mean(), reference.low, reference.high))


def test_many_observations_get_the_bootstrap() -> None:
    random = np.random.default_rng(1)
    reference = random.lognormal(0, 0.3, 40)
    sample = reference * random.normal(0.8, 0.05, 40)
    value, low, high = estimate([sample, reference], reduction_percent, seed=3)
    assert value == pytest.approx(100 * (1 - sample.sum() / reference.sum()))
    assert (low, high) == estimate([sample, reference], reduction_percent, seed=3)[1:]
    # the ratio estimator's textbook variance (Cochran 1977, 6.4) for the width, normal quantiles
    ratio = sample.sum() / reference.sum()
    half = 1.96 * 100 * np.std(sample - ratio * reference, ddof=1) / np.sqrt(40) / reference.mean()
    assert (value - low, high - value) == pytest.approx((half, half), rel=0.15)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """A few skewed observations are the hard case; a percentile bootstrap of 5 covers about 80 %."""
    random = np.random.default_rng(0)
    held = [(e := estimate([random.normal(1, 0.5, 5)], mean)).low <= 1 <= e.high for _ in range(400)]
    assert 0.92 < np.mean(held) < 0.98


@pytest.mark.parametrize(
    ("draw", "truth", "greatest"),
    [
        (lambda random, shape: random.exponential(1, shape), 1.0, np.inf),
        (lambda random, shape: random.poisson(random.gamma(2, 1, shape)).astype(float), 2.0, np.inf),
        (lambda random, shape: random.beta(0.5, 5, shape), 0.5 / 5.5, 1.0),
        (lambda random, shape: random.beta(5, 0.5, shape), 5 / 5.5, 1.0),
    ],
    ids=["exponential", "overdispersed counts", "rare shares", "frequent shares"],
)
@pytest.mark.parametrize("n", [3, 9])
def test_bounded_intervals_keep_to_the_bounds_and_hold_the_truth(
    draw: Callable[[np.random.Generator, tuple[int, int]], np.ndarray], truth: float, greatest: float, n: int
) -> None:
    """Of few skewed observations near a bound a plain t-interval covers less, and ends beyond it."""
    samples = draw(np.random.default_rng(n), (600, n))
    found = np.array([estimate([sample], mean, bounds=(0, greatest)) for sample in samples if sample.std() > 0])
    value, low, high = found.T
    assert ((low >= 0) & (low < value) & (value < high) & (high <= greatest)).all()
    assert ((low <= truth) & (truth <= high)).mean() > 0.86
    plain = np.array([estimate([sample], mean) for sample in samples if sample.std() > 0])
    assert (plain[:, 1] < 0).any() or (plain[:, 2] > greatest).any()
    assert ((low <= truth) & (truth <= high)).mean() >= ((plain[:, 1] <= truth) & (truth <= plain[:, 2])).mean()


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=22),
    st.sampled_from([(0.0, 1.0), (0.0, np.inf), (-np.inf, 1.0), (-1.0, 1.0)]),
)
@example([0.0, 5.9e-90], (-np.inf, 1.0))
@example([0.0, 5.9e-90], (-1.0, 1.0))
@settings(deadline=None)
def test_no_interval_leaves_the_bounds(values: list[float], bounds: tuple[float, float]) -> None:
    value, low, high = estimate([np.array(values)], mean, bounds=bounds)
    if np.isnan(low):
        assert np.isnan(high)
        assert value in bounds
    else:
        assert bounds[0] <= low <= value <= high <= bounds[1]


def test_zeros_alone_say_nothing_of_how_rare_it_is() -> None:
    assert np.isnan(estimate([np.zeros(5)], mean, bounds=(0, np.inf))[1:]).all()


def test_one_observation_has_no_interval_and_no_spread_a_point() -> None:
    assert np.isnan(estimate([np.array([2.0])], mean)[1:]).all()
    assert estimate([np.full(20, 0.3)], mean)[1:] == pytest.approx((0.3, 0.3))


def test_interquartile_mean_by_hand() -> None:
    assert interquartile_mean(np.array([100.0, 1, 2, 3, 4, 5, 6, -50])) == (2 + 3 + 4 + 5) / 4


def test_probability_of_improvement_is_the_exact_binomial() -> None:
    for wins, n in [(0, 5), (3, 8), (12, 12)]:
        value, low, high = probability_of_improvement(np.r_[np.ones(wins), np.zeros(n - wins)])
        reference = stats.binomtest(wins, n).proportion_ci(0.95, method="exact")
        assert (value, low, high) == pytest.approx((wins / n, reference.low, reference.high))


def test_summary_by_hand() -> None:
    values = {
        "static": {("a", 0): 0.20, ("a", 1): 0.22, ("b", 0): 0.30, ("b", 1): 0.28},
        "rule": {("a", 0): 0.10, ("a", 1): 0.12, ("b", 0): 0.32, ("b", 1): 0.28},
    }
    summary = summarize(table(values))
    assert list(summary.index) == ["static", "rule"]
    rule = summary.loc["rule"]
    assert rule["load_std"] == pytest.approx((0.11 + 0.30) / 2)
    assert rule["difference"] == pytest.approx((-0.10 + 0.01) / 2)
    # two traces: t with one degree of freedom on the traces' means -0.10 and +0.01, of which the arcsine of the root
    # is taken between the least and the greatest difference, -0.5 and 0.5
    half, share = stats.t.ppf(0.975, 1) * 0.11 / 2, -0.045 + 0.5
    slope = 1 / (2 * np.sqrt(share * (1 - share)))
    ends = np.sin(np.clip(np.arcsin(np.sqrt(share)) + np.array([-half, half]) * slope, 0, np.pi / 2)) ** 2 - 0.5
    assert (rule["difference_low"], rule["difference_high"]) == pytest.approx(tuple(ends))
    assert -0.5 <= rule["difference_low"] < rule["difference_high"] <= 0.5
    assert rule["improvement_percent"] == pytest.approx(100 * (0.25 - 0.205) / 0.25)
    assert rule["probability_of_improvement"] == pytest.approx((1 + 0.25) / 2)
    assert rule["iqm"] == pytest.approx((0.12 + 0.28) / 2)
    assert (rule["traces"], rule["episodes"]) == (2, 4)
    static = summary.loc["static"]
    assert (static["improvement_percent"], static["probability_of_improvement"]) == (0, 0.5)


def test_more_is_better_where_it_is() -> None:
    values = {"static": {("a", 0): 100.0, ("b", 0): 200.0}, "rule": {("a", 0): 150.0, ("b", 0): 210.0}}
    rule = summarize(table(values, "p5_throughput_bps"), metric="p5_throughput_bps").loc["rule"]
    assert rule["improvement_percent"] == pytest.approx(20)
    assert rule["improvement_percent_low"] < 20 < rule["improvement_percent_high"]
    assert rule["probability_of_improvement"] == 1


def test_without_static_the_first_policy_is_the_reference() -> None:
    values = {"mine": {("a", 0): 0.2, ("b", 0): 0.3}, "other": {("a", 0): 0.1, ("b", 0): 0.2}}
    summary = summarize(table(values))
    assert summary["improvement_percent"].tolist() == pytest.approx([0, 40])
    assert summary["same"].tolist() == [False, False]
    assert summarize(table({"mine": values["mine"]}))["traces"].tolist() == [2]


def test_a_policy_that_changed_nothing_is_found() -> None:
    static = {("a", 0): 0.2, ("b", 0): 0.3}
    summary = summarize(table({"static": static, "idle": static, "rule": {**static, ("b", 0): 0.31}}))
    assert summary["same"].tolist() == [False, True, False]


def test_pairing_is_checked() -> None:
    good = {"static": {("a", 0): 0.2, ("b", 0): 0.3}, "rule": {("a", 0): 0.1, ("b", 0): 0.2}}
    lost = table(good).drop(index=3)
    with pytest.raises(DataError, match="only one of 'rule' and 'static' ran trace 'b', seed 0"):
        summarize(lost)
    with pytest.raises(DataError, match="has an episode twice"):
        summarize(pd.concat([table(good), table(good).iloc[2:3]]))
    with pytest.raises(DataError, match=r"no policy 'statik' \(did you mean 'static'"):
        summarize(table(good), reference="statik")
    with pytest.raises(DataError, match="no episodes"):
        summarize(table(good).iloc[:0])
    with pytest.raises(DataError, match="no metric 'jain'"):
        summarize(table(good), metric="jain")
