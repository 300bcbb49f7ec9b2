"""Proximal Policy Optimisation online (Schulman et al. 2017, arXiv 1707.06347), by stable-baselines3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field
from torch import nn

from py_agent.online.base import OnlineAlgorithm, OnlineConfig


class PpoConfig(OnlineConfig):
    """Hyper-parameters of PPO."""

    steps_per_update: int = Field(100, ge=2)
    """Control intervals of each environment between two updates, n_steps."""
    batch_size: int = Field(100, ge=2)
    """Transitions per gradient step."""
    epochs: int = Field(10, ge=1)
    """Times that each update goes through what it has gathered."""
    clip_range: float = Field(0.2, gt=0, lt=1)
    """How far the probability of an action may move in an update, as a share of what it was."""
    gae_lambda: float = Field(0.95, ge=0, le=1)
    """Weight of later rewards in the estimate of advantages (Schulman et al. 2016, arXiv 1506.02438)."""
    entropy_weight: float = Field(0.0, ge=0)
    """Weight of the policy's entropy in the loss."""


class OnlinePpo(OnlineAlgorithm):
    """A Gaussian policy, whose actions are clipped to [-1, 1]; the mean is what the trained policy does."""

    name = "online-ppo"
    Config = PpoConfig
    activation, squash = nn.Tanh, nn.Hardtanh

    @classmethod
    def learner(cls, library: Any, config: PpoConfig, environments: Any, seed: int) -> Any:
        """See the contract."""
        network = {"net_arch": [config.hidden] * 2, "activation_fn": cls.activation}
        return library.PPO(
            "MlpPolicy", environments, learning_rate=config.learning_rate, n_steps=config.steps_per_update,
            batch_size=config.batch_size, n_epochs=config.epochs, gamma=config.gamma, gae_lambda=config.gae_lambda,
            clip_range=config.clip_range, ent_coef=config.entropy_weight, policy_kwargs=network, seed=seed,
            device="cpu",
        )  # fmt: skip

    @classmethod
    def actor(cls, learner: Any) -> Sequence[nn.Module]:
        """See the contract."""
        return [learner.policy.mlp_extractor.policy_net, learner.policy.action_net]
