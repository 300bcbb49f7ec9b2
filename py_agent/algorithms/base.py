"""The contract of offline RL algorithms: they learn from arrays, and never act while they learn."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.scenario import Scenario
from py_agent.algorithms.checkpoint import CURE, FUTURE, RECORD, CheckpointRecord, load_tensors, save_tensors
from py_agent.algorithms.config import AlgorithmConfig
from py_agent.algorithms.networks import Layout, Normalizer
from py_agent.algorithms.registry import ALGORITHMS
from py_agent.algorithms.replay import Replay
from py_agent.algorithms.transitions import Transitions
from py_agent.online.registry import ONLINE
from py_agent.policies.base import Policy
from py_agent.policies.futures import kept_future
from py_agent.policies.outlook import Anticipating
from sumo_mobility.base.arrays import Floats, Singles
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.base.memory import keep_freed_memory
from sumo_mobility.base.seeds import derive


class Algorithm(ABC):
    """A training in progress, of several seeds at once. The same data, configuration and seed give the same bytes.

    All seeds share the data and the configuration; each has weights, batches and noise of its own, and its weights
    are, but for rounding, those that it would have alone. Tensors have a leading dimension of S seeds.

    Here is what all algorithms share: the mixture of data, its normaliser and scale of rewards, the batches, the
    checkpoints. A subclass makes what it trains in `_make`, learns from one batch in `_learn`, and says in `_state`,
    `_take` and `_policy` how the state of a seed is written, taken over and turned into a policy; `ActorAlgorithm`
    does so for this project's networks, `D3rlpyAlgorithm` for d3rlpy's. Its hyper-parameters are a class `Config`
    derived from `AlgorithmConfig`.

    Attributes:
        config: Hyper-parameters.
        seeds: The seeds.
        step: Number of gradient steps so far.
        layout: Form of the observations and actions.

    Args:
        config: Hyper-parameters.
        sources: Datasets that are mixed in every batch.
        shares: Share of the batch that each source gives; they add up to 1.
        seeds: Each fixes the weights, batches and noise of one training.
        scenario: The scenario of the data, if it is of one; without it, networks are plain perceptrons.
        device: Where it is computed, as PyTorch names it. What is random is drawn on the CPU all the same.

    Raises:
        DataError: the sources do not fit each other or the scenario, or hold a value that is not finite.
        ConfigError: the shares do not fit the sources, or there is no seed or no such device.
    """

    name: ClassVar[str]
    """The name of the algorithm in the registry."""
    version: ClassVar[int] = 3
    """The version of the checkpoints, raised when older ones can no longer be read."""
    Config: ClassVar[type[AlgorithmConfig]] = AlgorithmConfig
    """Class of its hyper-parameters; all have defaults."""
    deterministic: ClassVar[bool] = True
    """Whether the policy's actions depend on the observation alone, and not on the seed of the episode."""
    gpu: ClassVar[bool] = True
    """Whether it can be trained on a GPU."""
    config: AlgorithmConfig

    def __init__(
        self,
        config: AlgorithmConfig,
        sources: Sequence[Replay],
        shares: Sequence[float],
        seeds: Sequence[int],
        scenario: Scenario | None = None,
        device: str = "cpu",
    ) -> None:
        torch.set_num_threads(1)  # contended threads are slower than one, and the order of sums stays fixed
        self.config = config
        self.seeds = tuple(seeds)
        if not self.seeds:
            raise ConfigError(f"{self.name}: no seed to train with")
        self.device = torch.device(device)
        if self.device.type == "cuda" and (self.device.index or 0) >= torch.cuda.device_count():
            raise ConfigError(f"device {device}: there is none that PyTorch could use", "train on --device cpu")
        if self.device.type != "cpu" and not self.gpu:
            raise ConfigError(f"device {device}: {self.name} is trained on the CPU alone", "train on --device cpu")
        self.step = 0
        sizes = {source.sizes for source in sources}
        if len(sizes) != 1:
            raise DataError(f"datasets: {', '.join(sorted(map(str, sizes)))} differ, so they cannot be mixed")
        if len(shares) != len(sources) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
            raise ConfigError(f"shares {list(shares)} must be one a dataset, none negative, with the sum 1")
        observation_size, action_size = sources[0].sizes.observation, sources[0].sizes.action
        self.scenario = scenario
        self.layout = Layout(observation_size, action_size) if scenario is None else Layout.of(scenario)
        if (self.layout.observation_size, self.layout.action_size) != (observation_size, action_size):
            raise DataError(
                f"datasets: {observation_size} observations, {action_size} actions; the scenario has {self.layout}"
            )
        self._generators = [torch.Generator().manual_seed(derive(seed, self.name, "batches")) for seed in self.seeds]
        self._make()
        bounds = [round(config.batch_size * share) for share in np.cumsum([0.0, *shares])]
        self._rows = [int(rows) for rows in np.diff(bounds)]
        self.normalizer.fit_normalizer(*_moments(sources, shares, lambda rows: rows.observations))
        # A scale of the reward changes no optimal policy, but it sets what other terms of a loss are weighed against.
        scale = 1 / _moments(sources, shares, lambda rows: rows.rewards)[1].clamp_min(1e-6)
        self._reward_scale = float(scale)
        self._sources = [source.to(self.device) for source in sources]

    @property
    @abstractmethod
    def normalizer(self) -> Normalizer:
        """The normaliser of observations, which `_make` makes; it is fitted to the data afterwards."""

    @abstractmethod
    def _make(self) -> None:
        """Makes what is trained, of every seed, whose weights follow from `derive(seed, self.name, "weights")`.

        Raises:
            ConfigError: the configuration asks for what it cannot do.
        """

    @abstractmethod
    def _learn(self, batch: Transitions) -> dict[str, Tensor]:
        """Updates the networks of all seeds once.

        Args:
            batch: A batch of each seed, (S, B, ...). Observations are normalised, rewards in units
                of their standard deviation.

        Returns:
            What is logged, by name, each (S,); the same names at each step.
        """

    @abstractmethod
    def _state(self, index: int) -> dict[str, Tensor]:
        """Returns what of one seed `_take` needs to go on, and `_policy` to act, besides generator and step: copies.

        The dictionary is flat, and the same state gives the same order of keys, so that files are the same too.
        """

    @abstractmethod
    def _take(self, states: Sequence[dict[str, Tensor]]) -> None:
        """Takes over what `_state` returned, of each seed.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError, AttributeError: the states are of another training.
        """

    def train_step(self) -> list[dict[str, float]]:
        """Draws a batch for each seed, learns from them, and returns what `_learn` reports of each seed.

        Raises:
            DataError: the training diverged; names the quantity that is no longer finite.
        """
        keep_freed_memory()  # not before: among blocks of all rows, what is kept is in pieces that fit nothing else
        self.step += 1
        parts = []
        for number, (source, rows) in enumerate(zip(self._sources, self._rows, strict=True)):
            of_seeds = [torch.randint(len(source), (rows,), generator=each) for each in self._generators]
            parts.append(source.batch(self._wanted(number, torch.stack(of_seeds))).to(self.device))
        batch = Transitions.joined(parts, dim=1)
        batch = batch._replace(
            observations=self.normalizer.normalize(batch.observations),
            next_observations=self.normalizer.normalize(batch.next_observations),
            rewards=batch.rewards * self._reward_scale,
        )
        metrics = {name: value.tolist() for name, value in self._learn(batch).items()}
        for name, values in metrics.items():
            for seed, value in zip(self.seeds, values, strict=True):
                if not math.isfinite(value):
                    raise DataError(
                        f"{self.name}: the training diverged, {name} of seed {seed} is {value} at gradient step "
                        f"{self.step}",
                        "the last checkpoint was kept; train with a lower learning rate",
                    )
        return [{name: values[k] for name, values in metrics.items()} for k in range(len(self.seeds))]

    def _wanted(self, number: int, drawn: Tensor) -> Tensor:
        """Returns which rows a batch has of a source: those drawn, or (S, B, ...) others that go with each.

        Args:
            number: Which of the sources.
            drawn: (S, B) numbers of rows.
        """
        return drawn

    def save(self, path: Path, index: int = 0) -> None:
        """Writes the state of one seed to `path` and the configuration beside it, atomically; same state, same bytes.

        Args:
            path: The file.
            index: Which of the seeds.
        """
        config = self.config.model_dump(mode="json")
        record = CheckpointRecord(algorithm=self.name, version=self.version, config=config, layout=self.layout)
        record.write_json(path.parent / RECORD)
        save_tensors(self._tensors(index), path)

    def restore(self, paths: Sequence[Path]) -> None:
        """Takes over the states of checkpoints, one of each seed, so that training goes on as if it had never stopped.

        Raises:
            DataError: a file is missing, damaged or foreign, or of a training with another configuration, or two are
                of different steps.
        """
        states = []
        for path in paths:
            record = CheckpointRecord.beside(path)
            record.check_version(path, self.name, self.version)
            if record.config != self.config.model_dump(mode="json"):
                raise DataError(f"{path}: was trained with another configuration ({path.parent / RECORD})", CURE)
            states.append(load_tensors(path))
        steps = [int(state.get("step", -1)) for state in states]
        if len(set(steps)) != 1 or len(steps) != len(self.seeds):
            raise DataError(f"{paths[0]}: checkpoints of steps {steps}, for {len(self.seeds)} seeds", CURE)
        try:
            self._take(states)
            for generator, state in zip(self._generators, states, strict=True):
                generator.set_state(state["generator"])
            self.step = steps[0]
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise DataError(f"{paths[0]}: not a {self.name} checkpoint of this training ({error})", CURE) from None

    def policy(self, scenario: Scenario, index: int = 0) -> Policy:
        """Returns the policy of one seed as it is now, for any scenario that it fits; training on leaves it as it is.

        Args:
            scenario: Where it acts.
            index: Which of the seeds.

        Raises:
            DataError: the policy does not fit the scenario.
        """
        return self._policy(scenario, self.config, self.layout, self._tensors(index))

    @classmethod
    @abstractmethod
    def _policy(cls, scenario: Scenario, config: AlgorithmConfig, layout: Layout, tensors: dict[str, Tensor]) -> Policy:
        """Makes a policy of the state of a training.

        Args:
            scenario: Where it acts.
            config: Hyper-parameters of the training.
            layout: Form of the observations and actions that it was trained on.
            tensors: The state of one seed, by name.

        Raises:
            DataError: the policy does not fit the scenario; see `Layout.acting_in`.
            KeyError, RuntimeError: the state is of other networks.
        """

    def _tensors(self, index: int) -> dict[str, Tensor]:
        """The state of one seed as a flat dictionary, because pickle writes nested ones differently after a restore."""
        return self._state(index) | {
            "generator": self._generators[index].get_state(),
            "step": torch.tensor(self.step),
        }

    def _annealed(self, last: float) -> float:
        """Returns a factor that goes exponentially from 1, at the first gradient step, to `last` at the last one."""
        return float(last ** min(1.0, (self.step - 1) / max(1, self.config.gradient_steps - 1)))


class NetworkPolicy:
    """The deterministic policy that a network is, from raw observations (N, O) float32 to actions (N, A) in [-1, 1].

    Attributes:
        network: It; normalises what it is given.
        normalizer: The normaliser within it.
    """

    def __init__(self, network: nn.Module, normalizer: Normalizer) -> None:
        self.network, self.normalizer = network, normalizer
        torch.set_num_threads(1)

    def reset(self, seed: int) -> None:
        """Nothing to begin: there is neither state nor chance."""

    @torch.no_grad()
    def act(self, observation: Singles, kpis: StepKpis, cio_db: Floats) -> Singles:
        """Returns the action for an observation."""
        action: Singles = self.network(torch.as_tensor(observation[None]))[0].numpy()
        return action


def trained_policy(scenario: Scenario, checkpoint: Path) -> Policy:
    """Returns the policy of a checkpoint, whichever algorithm of a registry wrote it, offline or online.

    Args:
        scenario: Where it acts; not necessarily where it was trained.
        checkpoint: A file that `Algorithm.save` wrote, or `train_online`.

    Raises:
        DataError: the file is missing, damaged or foreign, its algorithm is not known or of another version, or the
            policy does not fit the scenario.
    """
    record = CheckpointRecord.beside(checkpoint)
    try:
        known = ONLINE if record.algorithm in ONLINE else ALGORITHMS
        algorithm: Any = known[record.algorithm].load()
    except ConfigError as error:
        raise DataError(f"{checkpoint}: {error.message}", "set MLB_PLUGINS to the module that registers it") from None
    record.check_version(checkpoint, algorithm.name, algorithm.version)
    config = algorithm.Config.parse(record.config, str(checkpoint.parent / RECORD))
    tensors = load_tensors(checkpoint)
    try:
        policy = algorithm._policy(scenario, config, record.layout, tensors)
        if not config.future:
            return policy
        return Anticipating(scenario, kept_future(config.future, scenario, checkpoint.with_name(FUTURE)), policy)
    except DataError as error:
        raise DataError(f"{checkpoint}: {error.message}", error.cure) from None
    except (KeyError, RuntimeError) as error:
        raise DataError(f"{checkpoint}: not a checkpoint that fits {RECORD} ({error})", CURE) from None


def _moments(
    sources: Sequence[Replay], shares: Sequence[float], column: Callable[[Transitions], Tensor]
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of a column over the rows of a mixture, computed in double precision."""

    def mean(of: Callable[[Tensor], Tensor]) -> Tensor:
        parts = [share * _total(source, of) / len(source) for share, source in zip(shares, sources, strict=True)]
        return torch.stack(parts).sum(0)

    def _total(source: Replay, of: Callable[[Tensor], Tensor]) -> Tensor:
        blocks: Tensor | None = None
        for number, rows in enumerate(source.blocks()):
            total = of(column(rows).double()).sum(0)
            if blocks is None:  # a tensor of each block's own would stay in the midst of what the next block could use
                blocks = total.new_empty(source.block_count, *total.shape)
            blocks[number] = total
        assert blocks is not None
        return blocks.sum(0)

    center = mean(lambda values: values)
    return center.float(), mean(lambda values: (values - center) ** 2).sqrt().float()
