"""Model-based offline policy optimisation (Yu et al. 2020, arXiv 2005.13239)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ns3_scenarios.scenario import Scenario
from py_agent.algorithms.networks import OBSERVATION_CLIP, perceptron
from py_agent.algorithms.replay import Replay
from py_agent.algorithms.sac import Sac, SacConfig
from py_agent.algorithms.transitions import Transitions
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.base.seeds import derive

_LOG_VARIANCE_RANGE = (-4.0, 2.0)
"""The difference of two numbers of variance 1 has a variance of 4 at most, whose logarithm is 1.4. Below the range,
what is certain, such as the offsets in force, would outweigh all else in the gradients of the layers they share."""
_CHECK_EVERY = 50
"""Gradient steps of the model between two looks at the rows that are held out."""
_MOST_HELD_OUT = 1000


class MopoConfig(SacConfig):
    """Hyper-parameters of MOPO; those of SAC are its policy's and critics'."""

    ensemble: int = Field(7, ge=1, le=64)
    """Networks in the model, N."""
    elites: int = Field(5, ge=1, le=64)
    """Networks that roll out, those with the lowest loss on rows that are held out."""
    holdout_share: float = Field(0.1, gt=0, lt=1)
    """Share of each dataset's rows that no network learns from; 1000 rows a dataset at most."""
    model_hidden: int = Field(64, ge=1, le=4096)
    """Units in each of the two hidden layers of the model's networks, in place of `hidden`."""
    model_steps: int = Field(1000, ge=1)
    """Gradient steps of the model, all before the first one of the policy; each network learns from a batch of its own
    and keeps the weights that were the best on the rows held out."""
    model_learning_rate: float = Field(3e-3, gt=0, le=1)
    """Step size of Adam for the model."""
    rollout_every: int = Field(20, ge=1)
    """Gradient steps of the policy between two roll-outs of it in the model."""
    rollout_states: int = Field(64, ge=1)
    """States of the data from which a roll-out begins."""
    rollout_steps: int = Field(5, ge=1, le=1000)
    """Control intervals that a roll-out lasts, h."""
    kept_rollouts: int = Field(5, ge=1)
    """Roll-outs whose rows are kept to learn from; the oldest one gives way. They are part of every checkpoint."""
    penalty: float = Field(0.1, ge=0)
    """Reward standard deviations that a unit of the model's uncertainty costs, lambda; 0 trusts the model (Dyna, Sutton
    1990). The uncertainty grows with the root of the observation's size: it is about 10 at 300 numbers, where the
    paper's 0.5 to 5 would leave nothing of the reward."""
    real_share: float = Field(0.05, ge=0, lt=1)
    """Share of each batch that is data, but for at least one row of the model."""


class Prediction(NamedTuple):
    """What each of N networks says of B rows of each of S seeds."""

    mean: Tensor
    """(S N, B, O + 1) of the difference of the next observation, and of the reward."""
    log_variance: Tensor
    """(S N, B, O + 1) natural logarithm of the variance of both."""
    end: Tensor
    """(S N, B) log-odds that the episode ends here by itself."""

    def loss(self, data: _Data) -> Tensor:
        """Returns the negative log-likelihood (S N, B) of what followed, without its constant; see `Mopo`."""
        errors = (data.following - self.mean) ** 2
        gaussian = 0.5 * (errors * (-self.log_variance).exp() + self.log_variance).sum(-1)
        return gaussian + functional.binary_cross_entropy_with_logits(self.end, data.ends, reduction="none")


class Dynamics(nn.Module):
    """Ensembles of S seeds, of N Gaussian networks each, with independent components; `stacked` joins several of one.

    Args:
        observation_size: O.
        action_size: A.
        hidden: Units in each hidden layer.
        ensemble: N.
    """

    def __init__(self, observation_size: int, action_size: int, hidden: int, ensemble: int) -> None:
        super().__init__()
        self._sizes = [observation_size + 1, observation_size + 1, 1]
        self.network = perceptron(ensemble, observation_size + action_size, hidden, sum(self._sizes))

    def forward(self, observations: Tensor, actions: Tensor) -> Prediction:
        """Predicts what follows observations (S, B, O) and actions (S, B, A), or those of each network."""
        mean, log_variance, end = self.network(torch.cat([observations, actions], -1)).split(self._sizes, -1)
        low, high = _LOG_VARIANCE_RANGE
        log_variance = high - functional.softplus(high - log_variance)
        return Prediction(mean, low + functional.softplus(log_variance - low), end.squeeze(-1))


class _Data(NamedTuple):
    """Rows of the data in the units of the model, (..., B)."""

    observations: Tensor
    actions: Tensor
    following: Tensor
    """(..., O + 1) the difference of the next observation, and the reward."""
    ends: Tensor
    """1 where the episode ended by itself."""

    def cpu(self) -> _Data:
        """Returns the rows on the CPU."""
        return _Data(*(column.cpu() for column in self))


class Mopo(Sac):
    """SAC on roll-outs in a model of the data, whose rewards are the lower, the less sure the model is.

    The model is an ensemble of N perceptrons on the flat (s, a), in the units of the normalised observations and
    rewards. Network i says mean m_i(s, a) and standard deviation v_i(s, a) of the next observation's difference and
    the reward, y = (s' - s, r), each component by itself, and the probability e_i(s, a) that the episode ends there,
    and minimises over the data

        L_i = mean sum_components (y - m_i)^2 / (2 v_i^2) + log v_i
              - mean (d log e_i + (1 - d) log(1 - e_i))

    log v_i^2 is softly bounded to [-4, 2]. Each network starts and draws its batches by itself and keeps the weights
    with the lowest L_i on rows that are held out; the elites are the networks where that is lowest. Every
    `rollout_every` steps the current policy is rolled out h intervals from states of the data; each interval of each
    roll-out is drawn from an elite, itself drawn anew, and the critics and the actor see its reward as

        r - lambda u(s, a),  u(s, a) = max_i |v_i(s, a)|_2

    over all N networks: the estimator of the paper's experiments, where its theorem has the Frobenius norm of the
    covariance. Batches mix data and the rows of the last roll-outs. Where an elite finds an end likelier than none,
    the roll-out begins anew from another state of the data. Next observations are clipped as normalised ones are.

    The rows of the model have neither RSRP nor actions of the data, so that `physics_weight` and `bc_weight` must be 0.
    Rewards that were shaped, as those of `mlb train` are, are learnt as they are.

    Metrics: those of SAC; model_error, the mean squared error of the elites' means on the rows held out, a component;
    and penalty, the mean of u over the model's rows of the batch.
    """

    name = "mopo"
    Config = MopoConfig
    config: MopoConfig

    model: Dynamics
    elites: Tensor
    """(S, elites) int64 numbers of the networks that roll out, the best one first."""
    model_error: Tensor
    """(S,)"""
    made: Tensor
    """(S, kept_rollouts, rollout_steps, rollout_states, width) the rows of the model, where they have been made: s, a,
    r, s', d, u."""

    def __init__(
        self,
        config: MopoConfig,
        sources: Sequence[Replay],
        shares: Sequence[float],
        seeds: Sequence[int],
        scenario: Scenario | None = None,
        device: str = "cpu",
    ) -> None:
        if config.physics_weight > 0:
            cure = "set physics_weight to 0, or train sac"
            raise ConfigError("physics_weight: states that a model made have no RSRP for the physics", cure)
        if config.bc_weight > 0:
            cure = "set bc_weight to 0, or raise penalty"
            raise ConfigError("bc_weight: actions of a model's rows are the policy's own, not the data's", cure)
        if config.elites > config.ensemble:
            raise ConfigError(f"elites: {config.elites} of an ensemble of {config.ensemble}", "choose fewer")
        super().__init__(config, sources, shares, seeds, scenario, device)
        self._shares = tuple(shares)
        for source, share in zip(sources, shares, strict=True):
            if share > 0 and len(source) < 2:
                raise DataError("dataset: has one row, of which none can be held out", "collect more episodes")
        self._rows = self._split(min(round(config.batch_size * config.real_share), config.batch_size - 1))
        self._made_rows = config.batch_size - sum(self._rows)

    def _build(self) -> dict[str, nn.Module | Tensor]:
        config, observation_size, action_size = self.config, self.layout.observation_size, self.layout.action_size
        width = 2 * observation_size + action_size + 3
        return super()._build() | {
            "model": Dynamics(observation_size, action_size, config.model_hidden, config.ensemble),
            "elites": torch.zeros(1, config.elites, dtype=torch.int64),
            "model_error": torch.zeros(1),
            "made": torch.zeros(1, config.kept_rollouts, config.rollout_steps, config.rollout_states, width),
        }

    def _learn(self, batch: Transitions) -> dict[str, Tensor]:
        if self.step == 1:
            self._fit_model()
        if (self.step - 1) % self.config.rollout_every == 0:
            self._roll_out()
        made, uncertainty = self._made_batch()
        real = batch._replace(rsrp_dbm=made.rsrp_dbm[:, :0], serving=made.serving[:, :0])
        metrics = super()._learn(Transitions.joined([real, made], dim=1))
        return metrics | {"model_error": self.model_error, "penalty": uncertainty.mean(1)}

    def _split(self, rows: int) -> list[int]:
        """Returns how many of so many rows each dataset gives."""
        return [int(own) for own in np.diff([round(rows * share) for share in np.cumsum([0.0, *self._shares])])]

    def _data(self, parts: Iterable[tuple[Replay, Tensor]]) -> _Data:
        """Returns rows of datasets side by side, by their numbers (..., rows), in the units of the model."""
        batches = [source.batch(rows).to(self.device) for source, rows in parts]
        batch = Transitions.joined(batches, dim=batches[0].rewards.dim() - 1)
        observations = self.actor.normalize(batch.observations)
        difference = self.actor.normalize(batch.next_observations) - observations
        following = torch.cat([difference, batch.rewards[..., None] * self._reward_scale], dim=-1)
        return _Data(observations, batch.actions, following, batch.terminals)

    def _fit_model(self) -> None:
        """Trains the ensembles and chooses their elites; what is random is their own, and over afterwards.

        One seed after the other and on the CPU, because so many steps make much of any difference in rounding.
        """
        config, (seen, acting) = self.config, (self.layout.observation_size, self.layout.action_size)
        for index, seed in enumerate(self.seeds):
            model = Dynamics(seen, acting, config.model_hidden, config.ensemble)
            model.load_state_dict(
                {name: each.chunk(len(self.seeds))[index] for name, each in self.model.state_dict().items()}
            )
            elites, error = self._fitted(model, torch.Generator().manual_seed(derive(seed, self.name, "model")))
            with torch.no_grad():
                for joined, own in zip(self.model.parameters(), model.parameters(), strict=True):
                    joined.chunk(len(self.seeds))[index].copy_(own)
            self.elites[index], self.model_error[index] = elites, error

    def _fitted(self, model: Dynamics, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Trains the ensemble of one seed, and returns the numbers of its elites and their error on rows held out."""
        config = self.config
        parts = [
            _Part.of(source, share, rows, config.holdout_share, generator)
            for source, share, rows in zip(self._sources, self._shares, self._split(config.batch_size), strict=True)
            if share > 0
        ]
        held_out = [(part.share, self._data([part.held_out(config.ensemble)]).cpu()) for part in parts]

        @torch.no_grad()
        def judged(measure: Callable[[Prediction, _Data], Tensor]) -> Tensor:
            """The mean of a measure (N, B) over the rows that are held out, (N,)."""
            means = [share * measure(model(data.observations, data.actions), data).mean(1) for share, data in held_out]
            return torch.stack(means).sum(0)

        parameters = list(model.parameters())
        best = [each.detach().clone() for each in parameters]
        least = torch.full((config.ensemble,), torch.inf)
        optimizer = torch.optim.Adam(parameters, lr=config.model_learning_rate, fused=True)
        for step in range(1, config.model_steps + 1):
            batch = self._data([part.batch(config.ensemble, generator) for part in parts]).cpu()
            loss = model(batch.observations, batch.actions).loss(batch).mean(1)
            optimizer.zero_grad()
            loss.sum().backward()
            optimizer.step()
            if step % _CHECK_EVERY == 0 or step == config.model_steps:
                found = judged(Prediction.loss)
                better = found < least
                least = torch.where(better, found, least)
                for kept, parameter in zip(best, parameters, strict=True):
                    kept[better] = parameter.detach()[better]
        with torch.no_grad():
            for kept, parameter in zip(best, parameters, strict=True):
                parameter.copy_(kept)
        elites = least.argsort(stable=True)[: config.elites]
        return elites, judged(lambda said, data: ((data.following - said.mean) ** 2).mean(-1))[elites].mean()

    @torch.no_grad()
    def _roll_out(self) -> None:
        """Lets the policy act in the model, and keeps the rows in place of the oldest ones."""
        config = self.config
        slot = (self.step - 1) // config.rollout_every % config.kept_rollouts
        rows = zip(self._sources, self._split(config.rollout_states), strict=True)
        starts = [(source, self._integers(len(source), config.rollout_steps, count)) for source, count in rows]
        begins = self._data(starts).observations
        observations = begins[:, 0]
        for step in range(config.rollout_steps):
            noise = self._noise(config.rollout_states, self.layout.action_size)
            actions = self.actor.sample(observations, noise).actions
            said = self.model(observations, actions)
            deviations = (0.5 * said.log_variance).exp()
            uncertainty = deviations.norm(dim=-1).unflatten(0, (-1, config.ensemble)).amax(1)
            elite = self.elites.gather(1, self._integers(config.elites, config.rollout_states))
            mean, deviation, end = (_of_one(values, elite) for values in (said.mean, deviations, said.end[..., None]))
            drawn = mean + deviation * self._noise(*mean.shape[1:])
            following = (observations + drawn[..., :-1]).clamp(-OBSERVATION_CLIP, OBSERVATION_CLIP)
            ends = (end > 0).float()
            columns = [observations, actions, drawn[..., -1:], following, ends, uncertainty[..., None]]
            self.made[:, slot, step] = torch.cat(columns, dim=-1)
            observations = torch.where(ends > 0, begins[:, (step + 1) % config.rollout_steps], following)

    def _made_batch(self) -> tuple[Transitions, Tensor]:
        """Draws rows of the model, (S, B, ...), and how uncertain it is of each, (S, B)."""
        config, seen = self.config, self.layout.observation_size
        rollouts = min(1 + (self.step - 1) // config.rollout_every, config.kept_rollouts)
        rows = self._integers(rollouts * config.rollout_steps * config.rollout_states, self._made_rows)
        records = self.made.flatten(1, 3)[torch.arange(len(rows), device=self.device)[:, None], rows]
        widths = [seen, self.layout.action_size, 1, seen, 1, 1]
        observations, actions, reward, following, ends, uncertainty = records.split(widths, dim=-1)
        rewards = (reward - config.penalty * uncertainty).squeeze(-1)
        states = observations.new_empty(*rows.shape, 0, 0), rows.new_empty(*rows.shape, 0)
        made = Transitions(observations, actions, rewards, following, ends.squeeze(-1), *states)
        return made, uncertainty.squeeze(-1)

    def _integers(self, end: int, *shape: int) -> Tensor:
        """Draws whole numbers from 0 to `end`, which is none of them, (S, *shape)."""
        drawn = [torch.randint(end, shape, generator=each) for each in self._generators]
        return torch.stack(drawn).to(self.device)


class _Part(NamedTuple):
    """A dataset, some rows of which are held out."""

    source: Replay
    share: float
    rows: int
    """Rows that it gives to a batch."""
    order: Tensor
    """The numbers of its rows, mixed; the first ones are held out."""
    held: int

    @classmethod
    def of(cls, source: Replay, share: float, rows: int, holdout: float, generator: torch.Generator) -> Self:
        """Draws the rows that are held out."""
        held = min(max(1, round(len(source) * holdout)), _MOST_HELD_OUT, len(source) - 1)
        return cls(source, share, rows, torch.randperm(len(source), generator=generator), held)

    def held_out(self, ensemble: int) -> tuple[Replay, Tensor]:
        """Returns the dataset, and the numbers (N, B) of the rows that are held out, the same for each network."""
        return self.source, self.order[: self.held].expand(ensemble, -1)

    def batch(self, ensemble: int, generator: torch.Generator) -> tuple[Replay, Tensor]:
        """Returns the dataset, and numbers (N, rows) of other rows, drawn for each network."""
        places = torch.randint(self.held, len(self.source), (ensemble, self.rows), generator=generator)
        return self.source, self.order[places]


def _of_one(values: Tensor, network: Tensor) -> Tensor:
    """Chooses, for each row, what one network of its seed says.

    Args:
        values: (S N, B, K) what all say.
        network: (S, B) the numbers of the networks.

    Returns:
        (S, B, K).
    """
    of_seeds = values.unflatten(0, (len(network), -1))
    return of_seeds.gather(1, network[:, None, :, None].expand(-1, 1, -1, values.shape[-1])).squeeze(1)
