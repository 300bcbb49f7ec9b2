"""TD3+BC (Fujimoto and Gu 2021, arXiv 2106.06860), d3rlpy's."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from py_agent.algorithms.d3rlpy_algorithm import D3rlpyAlgorithm, D3rlpyConfig


class Td3BcConfig(D3rlpyConfig):
    """Hyper-parameters of TD3+BC; the defaults are the paper's and d3rlpy's."""

    alpha: float = Field(2.5, ge=0)
    """Weight of the critic in the actor's loss, beside the distance from the data's actions, which has 1; 0 is
    behaviour cloning."""
    target_smoothing_sigma: float = Field(0.2, ge=0)
    """Standard deviation of the noise on the actions that the targets judge."""
    target_smoothing_clip: float = Field(0.5, ge=0)
    """Bound of that noise."""
    update_actor_interval: int = Field(2, ge=1)
    """Gradient steps of the critics for one of the actor and the targets."""


class Td3Bc(D3rlpyAlgorithm):
    """Twin Q-functions with smoothed targets, and an actor that is held to the data's actions.

    Over a batch of (s, a, r, s', d), with d = 1 at a terminal, pi and Q' with primes for targets, and clipped noise e:

        y = r + gamma (1 - d) min_k Q'_k(s', pi'(s') + e)
        L_Q = sum_k mean (Q_k(s, a) - y)^2
        L_pi = -alpha mean Q_1(s, pi(s)) / mean |Q_1(s, pi(s))| + mean (pi(s) - a)^2

    Metrics: critic_loss; actor_loss and bc_loss, which is its second term.
    """

    name = "td3-bc"
    Config = Td3BcConfig
    config: Td3BcConfig

    @classmethod
    def _d3rlpy(cls, library: Any, config: Td3BcConfig, encoder: Any) -> Any:
        return library.algos.TD3PlusBCConfig(
            batch_size=config.batch_size,
            gamma=config.gamma,
            tau=config.tau,
            actor_learning_rate=config.learning_rate,
            critic_learning_rate=config.learning_rate,
            actor_encoder_factory=encoder,
            critic_encoder_factory=encoder,
            alpha=config.alpha,
            target_smoothing_sigma=config.target_smoothing_sigma,
            target_smoothing_clip=config.target_smoothing_clip,
            update_actor_interval=config.update_actor_interval,
        )
