"""Soft Actor-Critic online (Haarnoja et al. 2018, arXiv 1812.05905), by stable-baselines3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field
from torch import nn

from py_agent.online.base import OnlineAlgorithm, OnlineConfig


class OnlineSacConfig(OnlineConfig):
    """Hyper-parameters of online SAC."""

    batch_size: int = Field(128, ge=1)
    """Transitions per gradient step."""
    first_steps: int = Field(1000, ge=0)
    """Control intervals of all environments together that are random, before the first gradient step."""
    updates: int = Field(4, ge=1)
    """Gradient steps after each step of all environments."""
    kept_transitions: int = Field(50_000, ge=1)
    """Transitions to draw from, the last ones."""
    tau: float = Field(0.005, gt=0, le=1)
    """Share of the critics that moves into their targets each gradient step."""


class OnlineSac(OnlineAlgorithm):
    """Twin critics and a tanh-squashed Gaussian policy, whose temperature is steered to an entropy of -1 an action."""

    name = "online-sac"
    Config = OnlineSacConfig
    activation, squash = nn.ReLU, nn.Tanh

    @classmethod
    def learner(cls, library: Any, config: OnlineSacConfig, environments: Any, seed: int) -> Any:
        """See the contract."""
        network = {"net_arch": [config.hidden] * 2, "activation_fn": cls.activation}
        return library.SAC(
            "MlpPolicy", environments, learning_rate=config.learning_rate, buffer_size=config.kept_transitions,
            learning_starts=config.first_steps, batch_size=config.batch_size, tau=config.tau, gamma=config.gamma,
            train_freq=1, gradient_steps=config.updates, policy_kwargs=network, seed=seed, device="cpu",
        )  # fmt: skip

    @classmethod
    def actor(cls, learner: Any) -> Sequence[nn.Module]:
        """See the contract."""
        return [learner.actor.latent_pi, learner.actor.mu]
