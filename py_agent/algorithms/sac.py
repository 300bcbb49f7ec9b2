"""Soft Actor-Critic for offline data (Haarnoja et al. 2018, arXiv 1812.05905): it learns from arrays and never acts.

Twin Q-functions, a tanh-squashed Gaussian actor, automatic temperature, Polyak-averaged targets. The observation
normaliser lives in the actor, so that a policy is one file. The same data, configuration and seed give the same bytes.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.scenario import Scenario
from py_agent.algorithms.config import SacConfig
from py_agent.algorithms.networks import Actor, Layout, TwinCritic
from sumo_mobility.base.arrays import AnyFloats, Bools, Floats, Singles
from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.base.files import replacing
from sumo_mobility.base.seeds import derive

RECORD = "sac.json"
"""Name of the JSON file beside the checkpoints."""
_CURE = "train the policy anew with 'mlb train'"


class Transitions(NamedTuple):
    """Rows of a dataset in D4RL's terms; a time-out is no terminal, so the value of its next state counts."""

    observations: Tensor
    """(N, O) float32."""
    actions: Tensor
    """(N, A) float32 in [-1, 1]."""
    rewards: Tensor
    """(N,) float32."""
    next_observations: Tensor
    """(N, O) float32."""
    terminals: Tensor
    """(N,) float32, 1 where the episode ended by itself."""

    @classmethod
    def of(
        cls,
        observations: AnyFloats,
        actions: AnyFloats,
        rewards: AnyFloats,
        next_observations: AnyFloats,
        terminals: Bools,
    ) -> Self:
        """Checks and converts arrays.

        Raises:
            DataError: no rows, lengths that differ, a value that is not finite, or an action beyond [-1, 1].
        """
        arrays = (observations, actions, rewards, next_observations, terminals)
        for name, array in zip(cls._fields, arrays, strict=True):
            if len(array) != len(observations) or len(array) == 0:
                raise DataError(f"dataset: {name} has {len(array)} rows, observations {len(observations)}")
            if not np.isfinite(array).all():
                row = int(np.argwhere(~np.isfinite(array))[0][0])
                raise DataError(f"dataset: {name}[{row}] is not finite")
        if np.abs(actions).max() > 1 + 1e-6:
            raise DataError(f"dataset: actions reach {np.abs(actions).max():.3g}; they must be scaled to [-1, 1]")
        return cls(*(torch.as_tensor(np.ascontiguousarray(array), dtype=torch.float32) for array in arrays))


class _Record(Contract):
    algorithm: str = "sac"
    config: SacConfig
    layout: Layout


@dataclass(frozen=True)
class Metrics:
    """What one gradient step reports; Q, losses and entropy in units of the reward's standard deviation."""

    critic_loss: float
    actor_loss: float
    q: float
    alpha: float
    entropy: float


class Sac:
    """A training in progress.

    Args:
        config: Hyper-parameters.
        sources: Datasets that are mixed in every batch.
        shares: Share of the batch that each source gives; they add up to 1.
        seed: Fixes weights, batches and noise.
        pairs: See `Layout.pairs`.

    Raises:
        DataError: the sources do not fit each other.
        ConfigError: the shares do not fit the sources.
    """

    def __init__(
        self,
        config: SacConfig,
        sources: Sequence[Transitions],
        shares: Sequence[float],
        seed: int,
        pairs: tuple[tuple[int, int], ...] = (),
    ) -> None:
        torch.set_num_threads(1)  # contended threads are slower than one, and the order of sums stays fixed
        self.config = config
        self.step = 0
        sizes = {(source.observations.shape[1], source.actions.shape[1]) for source in sources}
        if len(sizes) != 1:
            raise DataError(f"datasets: (observation, action) sizes {sorted(sizes)} differ, so they cannot be mixed")
        if len(shares) != len(sources) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
            raise ConfigError(f"shares {list(shares)} must be one a dataset, none negative, with the sum 1")
        self.layout = Layout(*sizes.pop(), pairs)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "sac", "weights"))
            self.actor = Actor(self.layout, config.hidden)
            self.critic = TwinCritic(self.layout, config.hidden)
            self.target = TwinCritic(self.layout, config.hidden)
        self.target.load_state_dict(self.critic.state_dict())
        self.log_alpha = torch.tensor(math.log(config.initial_alpha), requires_grad=True)
        self.target_entropy = config.target_entropy_per_action * self.layout.action_size
        self._optimizers = {
            name: torch.optim.Adam(parameters, lr=config.learning_rate, fused=True)
            for name, parameters in (
                ("actor", list(self.actor.parameters())),
                ("critic", list(self.critic.parameters())),
                ("alpha", [self.log_alpha]),
            )
        }
        self._generator = torch.Generator().manual_seed(derive(seed, "sac", "batches"))
        bounds = [round(config.batch_size * share) for share in np.cumsum([0.0, *shares])]
        self._rows = [int(rows) for rows in np.diff(bounds)]
        self.actor.fit_normalizer(*_moments([source.observations for source in sources], shares))
        # A scale of the reward changes no optimal policy, but it sets what entropy and bc_weight are weighed against.
        scale = 1 / _moments([source.rewards for source in sources], shares)[1].clamp_min(1e-6)
        self._sources = [
            source._replace(
                observations=self.actor.normalize(source.observations),
                next_observations=self.actor.normalize(source.next_observations),
                rewards=source.rewards * scale,
            )
            for source in sources
        ]

    def train_step(self) -> Metrics:
        """Draws a batch and updates critics, actor, temperature and targets once."""
        self.step += 1
        batch = self._batch()
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
        return Metrics(critic_loss.item(), actor_loss.item(), q.mean().item(), alpha.item(), entropy.item())

    def save(self, path: Path) -> None:
        """Writes the whole state to `path` and the configuration beside it, atomically; same state, same bytes."""
        record = _Record(config=self.config, layout=self.layout)
        record.write_json(path.parent / RECORD)
        buffer = io.BytesIO()  # torch names the archive's members after the file, which is a random name here
        torch.save(self._tensors(), buffer)
        with replacing(path) as temporary:
            temporary.write_bytes(buffer.getvalue())

    def restore(self, path: Path) -> None:
        """Takes over the state of a checkpoint, so that training goes on as if it had never stopped.

        Raises:
            DataError: the file is missing, damaged or foreign, or of a training with another configuration.
        """
        record = _Record.read_json(path.parent / RECORD)
        if record.config != self.config:
            raise DataError(f"{path}: was trained with another configuration ({path.parent / RECORD})", _CURE)
        tensors = _load(path)
        try:
            for name in ("actor", "critic", "target"):
                getattr(self, name).load_state_dict(_below(tensors, name))
            for name, optimizer in self._optimizers.items():
                state: dict[int, dict[str, Tensor]] = {}
                for key, value in _below(tensors, f"adam.{name}").items():
                    index, _, moment = key.partition(".")
                    state.setdefault(int(index), {})[moment] = value
                groups = optimizer.state_dict()["param_groups"]
                optimizer.load_state_dict({"state": state, "param_groups": groups})
            with torch.no_grad():
                self.log_alpha.copy_(tensors["log_alpha"])
            self._generator.set_state(tensors["generator"])
            self.step = int(tensors["step"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise DataError(f"{path}: not a SAC checkpoint of this training ({error})", _CURE) from None

    def _tensors(self) -> dict[str, Tensor]:
        """The state as one flat dictionary, because pickle writes nested ones differently after a restore."""
        tensors = {
            f"{name}.{key}": value
            for name in ("actor", "critic", "target")
            for key, value in getattr(self, name).state_dict().items()
        }
        for name, optimizer in self._optimizers.items():
            for index, moments in optimizer.state_dict()["state"].items():
                tensors.update({f"adam.{name}.{index}.{key}": value for key, value in moments.items()})
        return tensors | {
            "log_alpha": self.log_alpha.detach(),
            "generator": self._generator.get_state(),
            "step": torch.tensor(self.step),
        }

    def _batch(self) -> Transitions:
        parts = [
            (source, torch.randint(len(source.rewards), (rows,), generator=self._generator))
            for source, rows in zip(self._sources, self._rows, strict=True)
        ]
        columns = range(len(Transitions._fields))
        return Transitions(*(torch.cat([source[k][index] for source, index in parts]) for k in columns))

    @torch.no_grad()
    def _target_values(self, batch: Transitions, alpha: Tensor) -> Tensor:
        if self.config.gamma == 0:
            return batch.rewards
        actions, log_prob = self.actor.sample(batch.next_observations, self._generator)
        value = self.target(batch.next_observations, actions).amin(0) - alpha * log_prob
        return batch.rewards + self.config.gamma * (1 - batch.terminals) * value

    def _descend(self, name: str, loss: Tensor) -> None:
        optimizer = self._optimizers[name]
        parameters = optimizer.param_groups[0]["params"]
        optimizer.zero_grad()
        loss.backward(inputs=parameters)  # the actor's loss leaves the critics' gradients uncomputed
        optimizer.step()


class SacPolicy:
    """The deterministic policy of a checkpoint: tanh of the actor's mean.

    Networks that share their weights over cells and neighbour pairs act wherever an observation is made of the same
    features of cells and pairs, however many there are; plain perceptrons only where all sizes are the same.

    Args:
        scenario: Where it acts; not necessarily where it was trained.
        checkpoint: A file that `Sac.save` wrote.

    Raises:
        DataError: the file is missing, damaged or foreign, or the policy does not fit the scenario.
    """

    def __init__(self, scenario: Scenario, checkpoint: Path) -> None:
        record = _Record.read_json(checkpoint.parent / RECORD)
        layout = Layout.of(scenario)
        if not record.layout.fits(layout):
            raise DataError(
                f"{checkpoint}: was trained for {record.layout}; scenario {scenario.id} has {layout}",
                "evaluate it in a scenario whose observations and actions have the same form",
            )
        self._actor = Actor(layout, record.config.hidden)
        try:
            weights = _below(_load(checkpoint), "actor")
            for name in ("mean", "std"):
                weights[name] = record.layout.unpool(weights[name], layout)
            self._actor.load_state_dict(weights)
        except (KeyError, RuntimeError) as error:
            raise DataError(f"{checkpoint}: not a SAC checkpoint that fits {RECORD} ({error})", _CURE) from None
        torch.set_num_threads(1)

    def reset(self, seed: int) -> None:
        """Nothing to begin: there is neither state nor chance."""

    def act(self, observation: Singles, kpis: StepKpis, cio_db: Floats) -> Singles:
        """Returns the action for an observation."""
        return self._actor.mode(observation[None])[0]


def _moments(parts: Sequence[Tensor], shares: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over the rows of a mixture, computed in double precision."""
    pairs = [(part.double(), share) for part, share in zip(parts, shares, strict=True)]
    mean = torch.stack([share * part.mean(0) for part, share in pairs]).sum(0)
    variance = torch.stack([share * ((part - mean) ** 2).mean(0) for part, share in pairs]).sum(0)
    return mean.float(), variance.sqrt().float()


def _load(path: Path) -> dict[str, Tensor]:
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DataError(f"{path}: no such checkpoint", _CURE) from None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(f"{path}: not a readable checkpoint ({error})", _CURE) from None
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise DataError(f"{path}: not a SAC checkpoint", _CURE)
    return tensors


def _below(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The entries whose key starts with `name` and a dot, without it."""
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
