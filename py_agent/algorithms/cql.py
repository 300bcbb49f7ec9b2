"""Conservative Q-Learning (Kumar et al. 2020, arXiv 2006.04779) for continuous actions, d3rlpy's."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from py_agent.algorithms.d3rlpy_algorithm import D3rlpyAlgorithm, D3rlpyConfig


class CqlConfig(D3rlpyConfig):
    """Hyper-parameters of CQL; the defaults are d3rlpy's, whose actor, temperature and alpha go a third as fast."""

    slow_share: float = Field(1 / 3, gt=0, le=1)
    """Step size of actor, temperature and alpha, as a share of that of the critics."""
    initial_temperature: float = Field(1.0, gt=0)
    """Weight of the actor's entropy at the start; it is steered so that the entropy becomes minus one nat a component
    of the action."""
    initial_alpha: float = Field(1.0, gt=0)
    """Weight of the conservatism at the start; it is steered so that the gap becomes `alpha_threshold`."""
    alpha_threshold: float = 10.0
    """Gap between the values of all actions and of the data's that is allowed."""
    conservative_weight: float = Field(5.0, ge=0)
    """Constant factor of the conservatism."""
    n_action_samples: int = Field(10, ge=1)
    """Actions of each kind that stand for all; most of the cost."""


class Cql(D3rlpyAlgorithm):
    """Soft actor-critic whose critics value actions that the data do not show no more than those that they do.

    Over a batch of (s, a, r, s', d), with d = 1 at a terminal, pi(s) the actor's mode, and b drawn from it at s:

        G_k = mean (log sum_c exp Q_k(s, c) - Q_k(s, a)) - alpha_threshold
        L_Q = sum_k mean (Q_k(s, a) - r - gamma (1 - d) min_j Q'_j(s', pi(s')))^2 + alpha conservative_weight sum_k G_k
        L_alpha = -alpha conservative_weight mean_k G_k
        L_pi = mean (temperature log pi(b|s) - min_k Q_k(s, b))

    The sum over c is estimated by importance sampling from actions that are uniform, and that the actor draws at s and
    at s'.

    Metrics: critic_loss; conservative_loss, which is its second term; alpha; actor_loss; temp and temp_loss of the
    temperature.
    """

    name = "cql"
    Config = CqlConfig
    config: CqlConfig

    @classmethod
    def _d3rlpy(cls, library: Any, config: CqlConfig, encoder: Any) -> Any:
        slow = config.slow_share * config.learning_rate
        return library.algos.CQLConfig(
            batch_size=config.batch_size,
            gamma=config.gamma,
            tau=config.tau,
            actor_learning_rate=slow,
            critic_learning_rate=config.learning_rate,
            temp_learning_rate=slow,
            alpha_learning_rate=slow,
            actor_encoder_factory=encoder,
            critic_encoder_factory=encoder,
            initial_temperature=config.initial_temperature,
            initial_alpha=config.initial_alpha,
            alpha_threshold=config.alpha_threshold,
            conservative_weight=config.conservative_weight,
            n_action_samples=config.n_action_samples,
        )
