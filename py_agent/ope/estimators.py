"""Estimators of the value of a policy from the trajectories of others.

They are our own: SCOPE-RL, the library that has them for sequences of continuous actions, was last released in 2023,
for gym and d3rlpy 2.0.4, and takes the evaluated policy as a d3rlpy algorithm, which a rule is not.

Each takes how often an episode counts, which is 1 for all of them, or what a bootstrap has drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sumo_mobility.base.arrays import Floats

_LEAST = -700.0
"""Logarithm of the least weight beside the greatest one; lesser ones would vanish, and all of them in a resample."""


@dataclass(frozen=True)
class Trajectories:
    """E episodes of T steps, as one policy collected them and as another one would have acted.

    The value of a policy is the discounted mean reward of a step: sum of gamma^t r_t over that of gamma^t.

    Attributes:
        rewards: (E, T).
        log_ratios: (E, T), natural logarithm of the ratio of the density of each action under the evaluated policy to
            that under the behaviour policy; not looked at by `fitted`.
        discount: gamma, above 0 and at most 1.
        q_values: (E, T), what a model says of each action: the discounted sum of the rewards from it on.
        values: (E, T + 1), what it says of each state under the evaluated policy; 0 after the last step.
    """

    rewards: Floats
    log_ratios: Floats
    discount: float
    q_values: Floats | None = None
    values: Floats | None = None

    @cached_property
    def discounts(self) -> Floats:
        """(T,) gamma^t, scaled to sum to 1."""
        powers = self.discount ** np.arange(self.rewards.shape[1])
        return np.asarray(powers / powers.sum())

    @cached_property
    def log_weights(self) -> Floats:
        """(E, T) logarithm of the product of the ratios up to each step."""
        return np.cumsum(self.log_ratios, axis=1, dtype=np.float64)

    @cached_property
    def relative_weights(self) -> Floats:
        """(E, T) weights over the greatest one of the same step."""
        return _relative(self.log_weights)

    @cached_property
    def corrections(self) -> Floats:
        """(E, T) r + gamma v' - q: by how much each step was better than the model says."""
        assert self.q_values is not None
        assert self.values is not None
        return np.asarray(self.rewards + self.discount * self.values[:, 1:] - self.q_values)

    @property
    def effective_sample_size(self) -> float:
        """Kish's number of episodes that equal weights would need to be as good: (sum w)^2 / sum w^2, 1 to E."""
        return _effective(self.relative_weights[:, -1])

    @property
    def effective_sample_size_per_step(self) -> float:
        """The same of the weights up to each step, on average over the steps."""
        return float(np.mean([_effective(weights) for weights in self.relative_weights.T]))


def _relative(log_weights: Floats) -> Floats:
    greatest = log_weights.max(axis=0)
    return np.exp(np.maximum(log_weights - np.where(np.isfinite(greatest), greatest, 0.0), _LEAST))


def _effective(weights: Floats) -> float:
    return float(weights.sum() ** 2 / (weights**2).sum())


def mean_reward(of: Trajectories, counts: Floats) -> Floats:
    """The value of the policies that did collect the episodes."""
    return _mean(of.rewards @ of.discounts, counts)


def importance_sampling(of: Trajectories, counts: Floats) -> Floats:
    """IS: the mean of the returns times their weights; without bias (Precup, Sutton and Singh 2000, section 2)."""
    with np.errstate(over="ignore"):
        return _mean(np.exp(of.log_weights[:, -1]) * (of.rewards @ of.discounts), counts)


def weighted(of: Trajectories, counts: Floats) -> Floats:
    """WIS: the mean of the returns under their weights; with some bias and less variance."""
    weights = of.relative_weights[:, -1]
    return np.asarray((counts @ (weights * (of.rewards @ of.discounts))) / (counts @ weights))


def per_decision_weighted(of: Trajectories, counts: Floats) -> Floats:
    """PDWIS: each reward under the weight of the actions up to it alone (Thomas 2015, section 3.7)."""
    return _weighted_by_step(of, of.rewards, counts)


def doubly_robust(of: Trajectories, counts: Floats) -> Floats:
    """DR: a model's value, corrected by importance sampling; without bias if the model is of other data (Jiang and Li
    2016, equation 10)."""
    with np.errstate(over="ignore", invalid="ignore"):
        corrected = (np.exp(of.log_weights) * of.corrections) @ of.discounts
        return fitted(of, counts) + _mean(corrected, counts)


def weighted_doubly_robust(of: Trajectories, counts: Floats) -> Floats:
    """WDR: the same with weights that sum to 1 at each step (Thomas and Brunskill 2016, section 4)."""
    return fitted(of, counts) + _weighted_by_step(of, of.corrections, counts)


def fitted(of: Trajectories, counts: Floats) -> Floats:
    """FQE: what the model says of the first states (Le, Voloshin and Yue 2019)."""
    assert of.values is not None
    return _mean(of.values[:, 0] * of.discounts[0], counts)


def _mean(values: Floats, counts: Floats) -> Floats:
    return np.asarray((counts @ values) / counts.sum(axis=-1))


def _weighted_by_step(of: Trajectories, terms: Floats, counts: Floats) -> Floats:
    of_step = (counts @ (of.relative_weights * terms)) / (counts @ of.relative_weights)
    return np.asarray(of_step @ of.discounts)


Estimator = Callable[[Trajectories, Floats], Floats]
"""Returns the value (...,) of episodes that count `counts` (..., E) times."""
BY_WEIGHTS: dict[str, Estimator] = {
    "IS": importance_sampling, "WIS": weighted, "PDWIS": per_decision_weighted
}  # fmt: skip
"""The estimators that need densities alone."""
BY_BOTH: dict[str, Estimator] = {"DR": doubly_robust, "WDR": weighted_doubly_robust}
"""Those that need densities and a model."""
BY_MODEL: dict[str, Estimator] = {"FQE": fitted}
"""Those that need a model alone."""
