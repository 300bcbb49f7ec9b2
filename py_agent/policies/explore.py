"""Behaviour policies that explore around another policy, and know the density of what they draw."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr, ndtri

from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import action_size
from ns3_scenarios.scenario import Scenario
from py_agent.policies.base import PolicyFactory, StochasticPolicy
from py_agent.policies.rules import IntegralRule
from sumo_mobility.base.arrays import Floats, Singles
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.base.seeds import derive, stream


class Noise:
    """Gaussian noise on each component of another policy's action, truncated to [-1, 1].

    The noise is drawn from what the normal distribution has within the range, so that the action has a density
    everywhere, also at its ends, where clipping would heap up actions:
    p(x) = phi((x - m) / std) / (std (Phi((1 - m) / std) - Phi((-1 - m) / std))) with the other policy's component m.

    Args:
        scenario: The scenario.
        std: Standard deviation of the normal distribution before it is truncated, in units of the action, 0.001 to 10.
        around: The other policy.

    Raises:
        ConfigError: `std` is out of range: below, float32 would round the noise; beyond, it is uniform.
    """

    def __init__(self, scenario: Scenario, std: float = 0.2, around: PolicyFactory = IntegralRule) -> None:
        if not 1e-3 <= std <= 10:
            raise ConfigError(f"policy noise: std is {std:g}, must be 0.001 to 10")
        self._std, self._around = std, around(scenario)
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Begins an episode of the other policy, and seeds the noise."""
        self._around.reset(derive(seed, "noise-policy", "around"))
        self._random = stream(seed, "noise-policy")

    def act(self, observation: Singles, kpis: StepKpis, cio_db: Floats) -> Singles:
        """Returns the other policy's action with noise."""
        self._mean = np.asarray(self._around.act(observation, kpis, cio_db), dtype=np.float64)
        low, high = self._shares()
        share = low + (high - low) * self._random.uniform(size=len(low))
        return np.clip(self._mean + self._std * ndtri(share), -1, 1).astype(np.float32)

    def log_prob(self, action: Singles) -> float:
        """Returns the log-density of an action (A,) given the other policy's; -inf beyond [-1, 1]."""
        if np.abs(action).max() > 1:
            return -math.inf
        low, high = self._shares()
        square = ((np.asarray(action, dtype=np.float64) - self._mean) / self._std) ** 2
        scale = self._std * math.sqrt(2 * math.pi) * (high - low)
        return float((-square / 2 - np.log(scale)).sum())

    def _shares(self) -> tuple[Floats, Floats]:
        """What the normal distribution has below -1 and below 1, each (A,)."""
        return ndtr((-1 - self._mean) / self._std), ndtr((1 - self._mean) / self._std)


class Epsilon:
    """A uniform action with some probability, or else another policy's.

    Where the other policy has a density p, this one has (1 - epsilon) p(a) + epsilon / 2^A. Where it has none, its
    action has the probability 1 - epsilon, and no density; all other actions have the density epsilon / 2^A.

    Args:
        scenario: The scenario.
        epsilon: Probability of a uniform action, above 0 and below 1.
        around: The other policy.

    Raises:
        ConfigError: `epsilon` is out of range.
    """

    def __init__(self, scenario: Scenario, epsilon: float = 0.1, around: PolicyFactory = IntegralRule) -> None:
        if not 0 < epsilon < 1:
            raise ConfigError(f"policy epsilon: epsilon is {epsilon:g}, must be above 0 and below 1")
        self._epsilon, self._around = epsilon, around(scenario)
        self._size = action_size(scenario)
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Begins an episode of the other policy, and seeds the draws."""
        self._around.reset(derive(seed, "epsilon-policy", "around"))
        self._random = stream(seed, "epsilon-policy")

    def act(self, observation: Singles, kpis: StepKpis, cio_db: Floats) -> Singles:
        """Returns a draw from [-1, 1), or the other policy's action."""
        self._others = self._around.act(observation, kpis, cio_db)
        explores = self._random.uniform() < self._epsilon
        drawn = self._random.uniform(-1.0, 1.0, self._size).astype(np.float32)
        return drawn if explores else self._others

    def log_prob(self, action: Singles) -> float:
        """Returns the log-density of an action (A,); NaN for the other policy's, if that has no density."""
        uniform = math.log(self._epsilon) - self._size * math.log(2)
        if isinstance(self._around, StochasticPolicy):
            return float(np.logaddexp(math.log1p(-self._epsilon) + self._around.log_prob(action), uniform))
        return math.nan if np.array_equal(action, self._others) else uniform
