"""Linear probes: what can be read from latents, by ridge regression, on contexts that the probe has not seen."""

from __future__ import annotations

import math

import numpy as np

from sumo_mobility.base.arrays import Floats, Ints

_PENALTY = 1.0
"""Weight of the squared coefficients: that of one observation, inputs and target having a standard deviation of 1."""


def scale_of(values: Floats) -> tuple[Floats, Floats]:
    """Returns the mean and the standard deviation of each column, (D,) each; 1 in place of a deviation of 0."""
    mean, deviation = np.asarray(values.mean(axis=0)), np.asarray(values.std(axis=0))
    return mean, np.where(deviation > 1e-12 * np.maximum(np.abs(mean), 1), deviation, 1.0)


def coefficients(inputs: Floats, target: Floats) -> Floats:
    """Returns the coefficients of a ridge regression between standardised quantities, (D,).

    Args:
        inputs: (N, D).
        target: (N,).
    """
    (mean, deviation), (level, spread) = scale_of(inputs), scale_of(target[:, None])
    columns, wanted = (inputs - mean) / deviation, (target - level) / spread
    system = columns.T @ columns + _PENALTY * np.eye(columns.shape[1])
    return np.linalg.solve(system, columns.T @ wanted).astype(np.float64)


def explained_share(inputs: Floats, target: Floats, groups: Ints) -> float:
    """Returns how much of a target's variance a probe explains that has not seen the target's group: R2.

    Args:
        inputs: (N, D).
        target: (N,).
        groups: (N,) each group is left out once.

    Returns:
        1 less the squared error over that of the mean of the other groups; at most 1, below 0 where the probe is worse
        than that mean, NaN if there are fewer than three groups or the target is constant.
    """
    error = plain = 0.0
    names = np.unique(groups)
    if len(names) < 3 or np.ptp(target) == 0:
        return math.nan
    for name in names:
        left_out = groups == name
        seen, wanted = inputs[~left_out], target[~left_out]
        (mean, deviation), level = scale_of(seen), float(wanted.mean())
        spread = scale_of(wanted[:, None])[1][0]
        guess = level + spread * ((inputs[left_out] - mean) / deviation) @ coefficients(seen, wanted)
        error += float(((target[left_out] - guess) ** 2).sum())
        plain += float(((target[left_out] - level) ** 2).sum())
    return 1 - error / plain
