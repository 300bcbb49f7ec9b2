"""Implicit Q-Learning (Kostrikov et al. 2021, arXiv 2110.06169), d3rlpy's."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from py_agent.algorithms.d3rlpy_algorithm import D3rlpyAlgorithm, D3rlpyConfig


class IqlConfig(D3rlpyConfig):
    """Hyper-parameters of IQL; the defaults are the paper's and d3rlpy's."""

    expectile: float = Field(0.7, gt=0, lt=1)
    """Which expectile of the data's action values is the value of a state; 0.5 is the mean, 1 would be the best."""
    weight_temp: float = Field(3.0, ge=0)
    """How much more an action is imitated the better it is, by reward standard deviation; 0 is behaviour cloning."""
    max_weight: float = Field(100.0, gt=0)
    """Bound of the weight of an action."""


class Iql(D3rlpyAlgorithm):
    """Values of the data's actions alone, and an actor that imitates the better ones: no action is judged unseen.

    Over a batch of (s, a, r, s', d), with d = 1 at a terminal, Q' = min_k Q'_k of the targets, A = Q'(s, a) - V(s) and
    the normal density pi(.|s) about a mean in [-1, 1]:

        L_V = mean |expectile - (A < 0)| A^2
        L_Q = sum_k mean (Q_k(s, a) - r - gamma (1 - d) V(s'))^2
        L_pi = -mean min(exp(weight_temp A), max_weight) log pi(a|s)

    Metrics: q_loss, v_loss and their sum critic_loss; actor_loss.
    """

    name = "iql"
    Config = IqlConfig
    config: IqlConfig

    @classmethod
    def _d3rlpy(cls, library: Any, config: IqlConfig, encoder: Any) -> Any:
        return library.algos.IQLConfig(
            batch_size=config.batch_size,
            gamma=config.gamma,
            tau=config.tau,
            actor_learning_rate=config.learning_rate,
            critic_learning_rate=config.learning_rate,
            actor_encoder_factory=encoder,
            critic_encoder_factory=encoder,
            value_encoder_factory=encoder,
            expectile=config.expectile,
            weight_temp=config.weight_temp,
            max_weight=config.max_weight,
        )
