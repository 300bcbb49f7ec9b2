"""Soft Actor-Critic for offline data (Haarnoja et al. 2018, arXiv 1812.05905)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from ns3_scenarios.scenario import Scenario
from py_agent.algorithms.actor_algorithm import ActorAlgorithm
from py_agent.algorithms.config import AlgorithmConfig
from py_agent.algorithms.networks import TwinCritic
from py_agent.algorithms.replay import Replay
from py_agent.algorithms.soft_reward import SoftReward
from py_agent.algorithms.transitions import Transitions
from sumo_mobility.base.errors import ConfigError, DataError


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
    physics_weight: float = Field(0.0, ge=0)
    """Weight of the soft physics in the actor's loss, beside the critic, which has 1; 0 is plain SAC."""
    physics_temperature_db: float = Field(1.0, gt=0, le=100)
    """Softness of the physics at the first gradient step: the difference of RSRP over which a handover turns."""
    physics_last_temperature_db: float = Field(0.2, gt=0, le=100)
    """Softness at the last gradient step, to which it falls exponentially."""
    physics_through_mean: bool = True
    """Whether the physics judges the mean action, as it will be taken, or one that is drawn."""

    @property
    def discount(self) -> float:
        """The discount."""
        return self.gamma


class Sac(ActorAlgorithm):
    """Twin Q-functions, a tanh-squashed Gaussian actor, automatic temperature, Polyak-averaged targets.

    Over a batch of (s, a, r, s', d), with d = 1 at a terminal, and b and b' that the actor draws at s and s':

        y = r + gamma (1 - d) (min_k Q'_k(s', b') - alpha log pi(b'|s'))
        L_Q = sum_k mean (Q_k(s, a) - y)^2
        L_pi = mean (alpha log pi(b|s) - min_k Q_k(s, b) - physics_weight R(s, m)) + bc_weight mean (b - a)^2
        L_alpha = log(alpha) (mean (-log pi(b|s)) - target entropy)
        Q' <- (1 - tau) Q' + tau Q

    m is the actor's mean action, or b unless physics_through_mean. R is the reward of the coming interval by the soft
    physics (`cf_augment.physics.SoftWhatIf`): a stochastic value gradient (Heess et al. 2015, arXiv 1510.09142; Amos et
    al. 2021, arXiv 2008.12775) through known physics, in which the UEs stand still. The critic, which has learned from
    rewards, also values what the physics leaves out: movement, and what follows the interval.

    Metrics: critic_loss, actor_loss, q (mean over the batch), alpha and entropy; Q, losses and entropy are in units of
    the reward's standard deviation.
    """

    name = "sac"
    Config = SacConfig
    config: SacConfig

    critic: TwinCritic
    target: TwinCritic
    log_alpha: Tensor

    def __init__(
        self,
        config: SacConfig,
        sources: Sequence[Replay],
        shares: Sequence[float],
        seeds: Sequence[int],
        scenario: Scenario | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__(config, sources, shares, seeds, scenario, device)
        self._physics = _soft_reward(scenario, sources[0], device) if config.physics_weight > 0 else None

    def _build(self) -> dict[str, nn.Module | Tensor]:
        critic, target = (TwinCritic(self.layout, self.config.hidden) for _ in range(2))
        target.load_state_dict(critic.state_dict())
        log_alpha = torch.tensor([math.log(self.config.initial_alpha)], requires_grad=True)
        return {"critic": critic, "target": target, "log_alpha": log_alpha}

    def _learn(self, batch: Transitions) -> dict[str, Tensor]:
        alpha = self.log_alpha.detach().exp()
        q = self.critic(batch.observations, batch.actions)
        errors = q - self._target_values(batch, alpha)[:, None]
        critic_loss = (errors**2).mean(2).sum(1)
        self._descend("critic", critic_loss)

        drawn = self.actor.sample(batch.observations, self._noise(*batch.actions.shape[1:]))
        value = self.critic(batch.observations, drawn.actions).amin(1) - alpha[:, None] * drawn.log_prob
        actor_loss = -value.mean(1)
        if self._physics is not None:
            first_db, last_db = self.config.physics_temperature_db, self.config.physics_last_temperature_db
            judged = drawn.mean_actions if self.config.physics_through_mean else drawn.actions
            soft = self._physics(batch.states, judged, first_db * self._annealed(last_db / first_db))
            actor_loss = actor_loss - self.config.physics_weight * self._reward_scale * soft.mean(1)
        if self.config.bc_weight > 0:
            actor_loss = actor_loss + self.config.bc_weight * ((drawn.actions - batch.actions) ** 2).mean((1, 2))
        self._descend("actor", actor_loss)

        entropy = -drawn.log_prob.detach().mean(1)
        target_entropy = self.config.target_entropy_per_action * self.layout.action_size
        self._descend("log_alpha", self.log_alpha * (entropy - target_entropy))

        with torch.no_grad():
            for target, source in zip(self.target.parameters(), self.critic.parameters(), strict=True):
                target.lerp_(source, self.config.tau)
        return {
            "critic_loss": critic_loss, "actor_loss": actor_loss, "q": q.mean((1, 2)), "alpha": alpha,
            "entropy": entropy,
        }  # fmt: skip

    @torch.no_grad()
    def _target_values(self, batch: Transitions, alpha: Tensor) -> Tensor:
        """Returns y, (S, B)."""
        if self.config.gamma == 0:
            return batch.rewards
        drawn = self.actor.sample(batch.next_observations, self._noise(*batch.actions.shape[1:]))
        value = self.target(batch.next_observations, drawn.actions).amin(1) - alpha[:, None] * drawn.log_prob
        return batch.rewards + self.config.gamma * (1 - batch.terminals) * value


def _soft_reward(scenario: Scenario | None, data: Replay, device: str) -> SoftReward:
    cure = "set physics_weight to 0, which is plain SAC, or train on data of 'mlb collect' and 'mlb augment'"
    if scenario is None:
        raise ConfigError("physics_weight: the physics of data without a scenario is not known", cure)
    if data.sizes.ues == 0:
        raise DataError("dataset: has no RSRP and serving cells of the UEs, which the physics needs", cure)
    return SoftReward(scenario, device)
