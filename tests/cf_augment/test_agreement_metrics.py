"""Handovers in common and rankings, on cases whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cf_augment.agreement.compare import load_distance
from cf_augment.agreement.handovers import match_handovers
from cf_augment.agreement.rankings import is_constant, kendall, regret, spearman
from ns3_scenarios.kpis import EVENT_DTYPE, EventKind

Start = tuple[float, int, int, int]


def events(*starts: Start, kind: EventKind = EventKind.HANDOVER_START) -> np.ndarray:
    return np.array([(*start, kind) for start in starts], dtype=EVENT_DTYPE)


def test_a_shifted_handover_is_the_same_handover_later() -> None:
    truth = events((1.0, 7, 0, 1), (3.0, 7, 1, 2), (2.0, 9, 4, 5))
    guess = events((2.0, 9, 4, 5), (1.2, 7, 0, 1), (3.0, 7, 1, 2))
    match = match_handovers(truth, guess)
    assert (match.truth, match.guess, match.moving_ues, match.equal_ues) == (3, 3, 2, 2)
    assert sorted(match.delay_s) == pytest.approx([0, 0, 0.2])


def test_an_additional_handover_breaks_the_sequence_but_not_what_is_common() -> None:
    truth = events((1.0, 7, 0, 1), (3.0, 7, 1, 2), (5.0, 7, 2, 0))
    guess = events((1.0, 7, 0, 1), (2.0, 7, 1, 0), (2.5, 7, 0, 1), (3.4, 7, 1, 2))
    match = match_handovers(truth, guess)
    assert (match.moving_ues, match.equal_ues) == (1, 0)
    assert match.delay_s.tolist() == pytest.approx([1.5, 0.4])  # 0-1, 1-2: the later of the two 0-1 is as good


def test_the_order_of_two_handovers_counts() -> None:
    match = match_handovers(events((1.0, 7, 0, 1), (2.0, 7, 1, 0)), events((1.0, 7, 1, 0), (2.0, 7, 0, 1)))
    assert (match.equal_ues, len(match.delay_s)) == (0, 1)


def test_only_starts_count_and_ues_that_stay_are_left_out() -> None:
    done = events((1.0, 7, 0, 1), kind=EventKind.HANDOVER_OK)
    match = match_handovers(done, events())
    assert (match.truth, match.guess, match.moving_ues, match.equal_ues, len(match.delay_s)) == (0, 0, 0, 0, 0)


def test_kendall_allows_for_ties() -> None:
    """Concordant 4, discordant 0; one pair tied in each: tau-b = 4 / sqrt((6 - 1)(6 - 1)), not 4 / 6."""
    assert kendall(np.array([1, 2, 2, 3.0]), np.array([1, 2, 3, 3.0])) == pytest.approx(4 / 5)
    assert kendall(np.array([1, 2, 3.0]), np.array([3, 2, 1.0])) == -1
    assert np.isnan(kendall(np.ones(3), np.array([1, 2, 3.0])))
    assert kendall(np.array([1, 2, 3.0]), np.ones(3)) == 0


def test_spearman_is_scipys_along_any_axis() -> None:
    random = np.random.default_rng(3)
    one, other = random.integers(0, 5, (2, 4, 30)).astype(float)
    expected = [stats.spearmanr(a, b).statistic for a, b in zip(one, other, strict=True)]
    assert spearman(one, other) == pytest.approx(expected)
    assert np.isnan(spearman(np.ones(5), np.arange(5.0)))


def test_regret_is_what_the_choice_loses() -> None:
    truth = np.array([-0.10, -0.08, -0.16])
    assert regret(truth, np.array([0.0, 1.0, 0.5])) == 0
    assert regret(truth, np.array([0.0, 0.2, 0.5])) == pytest.approx(1.0)
    assert regret(truth, np.array([0.5, 0.5, 0.2])) == pytest.approx(0.25)


def test_rounding_is_no_order() -> None:
    assert is_constant(np.array([1.0, 1.0 + 1e-12]))
    assert not is_constant(np.array([1.0, 1.001]))


def test_the_distance_of_two_distributions_is_kolmogorovs_and_smirnovs() -> None:
    random = np.random.default_rng(2)
    one, other = random.normal(size=(4, 10)), random.normal(0.3, 1, (4, 10))
    assert load_distance(one, other) == pytest.approx(stats.ks_2samp(one.ravel(), other.ravel()).statistic)
    assert load_distance(one, one) == 0
    assert load_distance(np.zeros(3), np.array([0.0, 0.0, 1.0])) == pytest.approx(1 / 3)
