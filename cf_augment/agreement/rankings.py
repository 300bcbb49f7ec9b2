"""Rank agreement: whether a model puts actions and policies in ns-3's order."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from sumo_mobility.base.arrays import Floats


def is_constant(values: Floats) -> bool:
    """Returns whether values differ by no more than rounding, so that they have no order."""
    return bool(np.ptp(values) <= 1e-9 * max(float(np.abs(values).max()), 1.0))


def spearman(*samples: Floats, axis: int = -1) -> Floats:
    """Spearman's rank correlation of two paired samples, ties averaged; NaN where one is constant."""
    first, second = (stats.rankdata(sample, axis=axis) for sample in samples)
    first, second = (rank - rank.mean(axis=axis, keepdims=True) for rank in (first, second))
    with np.errstate(invalid="ignore", divide="ignore"):
        product = (first * second).sum(axis=axis)
        return np.asarray(product / np.sqrt((first**2).sum(axis=axis) * (second**2).sum(axis=axis)))


def kendall(truth: Floats, guess: Floats) -> float:
    """Kendall's tau-b (Biometrika 33, 1945), which allows for ties.

    NaN where the truth is constant; 0 where only the guess is, which then knows no order.
    """
    if is_constant(truth):
        return math.nan
    return 0.0 if is_constant(guess) else float(stats.kendalltau(truth, guess, variant="b").statistic)


def regret(truth: Floats, guess: Floats) -> float:
    """Returns the regret of choosing the greatest guess, as a share of the greatest true value's magnitude (>= 0.01).

    Args:
        truth: (P,) true values of the choices.
        guess: (P,) what a model takes them for; of equal guesses the first is chosen.

    Returns:
        0 if it is the truly best choice.
    """
    best = float(truth.max())
    return (best - float(truth[int(guess.argmax())])) / max(abs(best), 0.01)
