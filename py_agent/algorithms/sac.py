"""Soft Actor-Critic for offline data (Haarnoja et al. 2018, arXiv 1812.05905)."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor

from py_agent.algorithms.base import Algorithm
from py_agent.algorithms.config import AlgorithmConfig
from py_agent.algorithms.networks import TwinCritic
from py_agent.algorithms.transitions import Transitions


class SacConfig(AlgorithmConfig):
    """Hyper-parameters of SAC."""

    gamma: float = Field(0.5, ge=0, lt=1)
    """Discount a control interval; 0 makes it a contextual bandit, which chatters more."""
    tau: float = Field(0.005, gt=0, le=1)
    """Share of the critics that moves into their targets each step."""
    initial_alpha: float = Field(0.01, gt=0)
    """Temperature at the start; small, because nothing is explored offline."""
    target_entropy_per_action: float = 0.0
    """Entropy, in nats a component of the action, that the temperature is steered to."""
    bc_weight: float = Field(0.0, ge=0)
    """Pull towards the data's actions, in reward standard deviations per unit of squared distance (after TD3+BC,
    Fujimoto & Gu 2021); 0 is plain SAC. Scarce data of one behaviour policy needs it, random actions do not."""

    @property
    def discount(self) -> float:
        """The discount."""
        return self.gamma


class Sac(Algorithm):
    """Twin Q-functions, a tanh-squashed Gaussian actor, automatic temperature, Polyak-averaged targets.

    Over a batch of (s, a, r, s', d), with d = 1 at a terminal, and b and b' that the actor draws at s and s':

        y = r + gamma (1 - d) (min_k Q'_k(s', b') - alpha log pi(b'|s'))
        L_Q = sum_k mean (Q_k(s, a) - y)^2
        L_pi = mean (alpha log pi(b|s) - min_k Q_k(s, b)) + bc_weight mean (b - a)^2
        L_alpha = log(alpha) (mean (-log pi(b|s)) - target entropy)
        Q' <- (1 - tau) Q' + tau Q

    Metrics: critic_loss, actor_loss, q (mean over the batch), alpha and entropy; Q, losses and entropy are in units of
    the reward's standard deviation.
    """

    name = "sac"
    Config = SacConfig
    config: SacConfig

    def _build(self) -> None:
        self.critic = TwinCritic(self.layout, self.config.hidden)
        self.target = TwinCritic(self.layout, self.config.hidden)
        self.target.load_state_dict(self.critic.state_dict())
        self.log_alpha = torch.tensor(math.log(self.config.initial_alpha), requires_grad=True)
        self.target_entropy = self.config.target_entropy_per_action * self.layout.action_size
        self._optimize("critic", self.critic.parameters())
        self._optimize("alpha", [self.log_alpha])

    def _learn(self, batch: Transitions) -> dict[str, float]:
        alpha = self.log_alpha.detach().exp()
        q = self.critic(batch.observations, batch.actions)
        critic_loss = ((q - self._target_values(batch, alpha)) ** 2).mean(1).sum()
        self._descend("critic", critic_loss)

        actions, log_prob = self.actor.sample(batch.observations, self._generator)
        actor_loss = (alpha * log_prob - self.critic(batch.observations, actions).amin(0)).mean()
        if self.config.bc_weight > 0:
            actor_loss = actor_loss + self.config.bc_weight * ((actions - batch.actions) ** 2).mean()
        self._descend("actor", actor_loss)

        entropy = -log_prob.detach().mean()
        self._descend("alpha", self.log_alpha * (entropy - self.target_entropy))

        with torch.no_grad():
            for target, source in zip(self.target.parameters(), self.critic.parameters(), strict=True):
                target.lerp_(source, self.config.tau)
        return {
            "critic_loss": critic_loss.item(), "actor_loss": actor_loss.item(), "q": q.mean().item(),
            "alpha": alpha.item(), "entropy": entropy.item(),
        }  # fmt: skip

    @torch.no_grad()
    def _target_values(self, batch: Transitions, alpha: Tensor) -> Tensor:
        if self.config.gamma == 0:
            return batch.rewards
        actions, log_prob = self.actor.sample(batch.next_observations, self._generator)
        value = self.target(batch.next_observations, actions).amin(0) - alpha * log_prob
        return batch.rewards + self.config.gamma * (1 - batch.terminals) * value
