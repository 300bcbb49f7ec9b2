"""The contract of online RL algorithms, which are those of stable-baselines3 (Raffin et al. 2021, JMLR 22(268):1-8)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.scenario import Scenario
from py_agent.algorithms.checkpoint import below
from py_agent.algorithms.networks import Layout
from sumo_mobility.base.arrays import Floats, Singles
from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import DataError, DependencyError

OBSERVATION_CLIP = 10.0
"""Greatest absolute value of a normalised observation."""
_LEAST_VARIANCE = 1e-8


class OnlineConfig(Contract):
    """Hyper-parameters that every online algorithm has; an algorithm's own class adds its own."""

    environment_steps: int = Field(50_000, ge=1)
    """Control intervals to learn from, of all environments together; an algorithm that learns from so many at a time
    finishes the last time."""
    environments: int = Field(8, ge=1, le=1024)
    """Networks that are steered side by side in the engine, each with traces of its own."""
    hidden: int = Field(64, ge=1, le=4096)
    """Units in each of the two hidden layers of every perceptron."""
    learning_rate: float = Field(3e-4, gt=0, le=1)
    """Step size of Adam."""
    gamma: float = Field(0.5, ge=0, lt=1)
    """Discount a control interval; as that of `sac`."""

    @property
    def future(self) -> str:
        """None: the policy is shown the last report, as the environment shows it; see `AlgorithmConfig.future`."""
        return ""


class OnlineAlgorithm(ABC):
    """One algorithm of stable-baselines3: how its learner is made, and what of it is the policy.

    The learner normalises observations by their running moments, and rewards by that of their return. What is kept of
    it are tensors: the layers of the network that says the mean action, and the moments of the observations. A policy
    is made of them without stable-baselines3.
    """

    name: ClassVar[str]
    """The name of the algorithm in the registry."""
    version: ClassVar[int] = 1
    """The version of the checkpoints, raised when older ones can no longer be read."""
    Config: ClassVar[type[OnlineConfig]] = OnlineConfig
    """Class of its hyper-parameters; all have defaults."""
    activation: ClassVar[type[nn.Module]]
    """What follows each hidden layer of its actor."""
    squash: ClassVar[type[nn.Module]]
    """What makes an action in [-1, 1] of the last layer's output."""

    @classmethod
    @abstractmethod
    def learner(cls, library: Any, config: Any, environments: Any, seed: int) -> Any:
        """Makes the learner.

        Args:
            library: The module stable_baselines3.
            config: Hyper-parameters, of the class `Config`.
            environments: A VecEnv of stable-baselines3.
            seed: Of its weights and of all that it draws.
        """

    @classmethod
    @abstractmethod
    def actor(cls, learner: Any) -> Sequence[nn.Module]:
        """Returns what stands in the learner between a normalised observation and `squash`, in order."""

    @classmethod
    def tensors(cls, learner: Any, mean: Tensor, variance: Tensor) -> dict[str, Tensor]:
        """Returns what is kept of a learner, given the moments (O,) of the observations, by name."""
        found = (module for part in cls.actor(learner) for module in part.modules())
        layers = [layer for layer in found if isinstance(layer, nn.Linear)]
        kept = {
            f"actor.{k}.{name}": value.clone()
            for k, layer in enumerate(layers)
            for name, value in layer.state_dict().items()
        }
        return kept | {"mean": mean.float(), "std": (variance + _LEAST_VARIANCE).sqrt().float()}

    @classmethod
    def _policy(
        cls, scenario: Scenario, config: OnlineConfig, layout: Layout, tensors: dict[str, Tensor]
    ) -> OnlinePolicy:
        """Makes the policy of a checkpoint; see `py_agent.algorithms.base.trained_policy`.

        Raises:
            DataError: the policy does not fit the scenario.
            KeyError, RuntimeError: the tensors are of other networks.
        """
        here = Layout.of(scenario)
        if layout != here:
            raise DataError(
                f"the policy was trained for {layout}; scenario {scenario.id} has {here}",
                "evaluate it where observations and actions are the same: its networks share no weights",
            )
        sizes = [layout.observation_size, config.hidden, config.hidden, layout.action_size]
        layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        layers.load_state_dict(below(tensors, "actor"))
        steps = [step for layer in layers for step in (layer, cls.activation())][:-1]
        mean, std = tensors["mean"], tensors["std"]
        if not mean.shape == std.shape == (layout.observation_size,):
            raise RuntimeError(f"moments of shape {tuple(mean.shape)} and {tuple(std.shape)}")
        return OnlinePolicy(nn.Sequential(*steps, cls.squash()).requires_grad_(False), mean, std)


class OnlinePolicy:
    """The deterministic policy of an online algorithm: its mean action, in [-1, 1].

    Args:
        network: Normalised observations (N, O) to actions (N, A).
        mean: (O,) of the observations.
        std: (O,) of the observations.
    """

    def __init__(self, network: nn.Module, mean: Tensor, std: Tensor) -> None:
        self.network, self.mean, self.std = network, mean, std
        torch.set_num_threads(1)

    def reset(self, seed: int) -> None:
        """Nothing to begin: there is neither state nor chance."""

    @torch.no_grad()
    def act(self, observation: Singles, kpis: StepKpis, cio_db: Floats) -> Singles:
        """Returns the action for an observation."""
        normalised = (torch.as_tensor(observation) - self.mean) / self.std
        action: Singles = self.network(normalised.clamp(-OBSERVATION_CLIP, OBSERVATION_CLIP)[None])[0].numpy()
        return action


def stable_baselines() -> Any:
    """Returns the module stable_baselines3.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        import stable_baselines3
    except ImportError:
        cure = "pip install 'mlb-testbed[baselines]'"
        raise DependencyError("online training: stable-baselines3 is not installed", cure) from None
    return stable_baselines3
