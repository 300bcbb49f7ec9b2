"""Algorithms of d3rlpy (https://github.com/takuseno/d3rlpy) under this project's contract, as baselines of the field.

They learn from the same batches as this project's own algorithms, with the same normaliser and the same rewards, in
networks of d3rlpy's: plain perceptrons of two hidden layers.
"""

from __future__ import annotations

import contextlib
import io
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution

from ns3_scenarios.scenario import Scenario
from py_agent.algorithms.base import Algorithm, NetworkPolicy
from py_agent.algorithms.checkpoint import below
from py_agent.algorithms.config import AlgorithmConfig
from py_agent.algorithms.networks import Layout, Normalizer
from py_agent.algorithms.transitions import Transitions
from py_agent.policies.base import Policy
from sumo_mobility.base.errors import ConfigError, DependencyError
from sumo_mobility.base.seeds import derive

_MOMENTS = {"step", "exp_avg", "exp_avg_sq"}
"""What Adam remembers of a parameter."""


class D3rlpyConfig(AlgorithmConfig):
    """Hyper-parameters that those of d3rlpy's algorithms share which learn values."""

    gamma: float = Field(0.5, ge=0, lt=1)
    """Discount a control interval. It is SAC's here, so that all learn from the same shaped rewards; d3rlpy's is
    0.99."""
    tau: float = Field(0.005, gt=0, le=1)
    """Share of the critics that moves into their targets each time."""

    @property
    def discount(self) -> float:
        """The discount."""
        return self.gamma


class D3rlpyAlgorithm(Algorithm):
    """An algorithm of d3rlpy's, one for each seed, which do not influence each other.

    A subclass says its name, its hyper-parameters, and in `_d3rlpy` which of d3rlpy's configurations they make. Seeds
    are trained one after the other, each as it would be alone. d3rlpy draws from PyTorch's global generator, which is
    the seed's while it does, and what it was before afterwards.

    Metrics: what d3rlpy reports; a loss that is not computed at each step is reported as it was last.
    """

    gpu = False

    def _make(self) -> None:
        if self.config.residual:
            raise ConfigError(
                f"residual: the networks of '{self.name}' are d3rlpy's, which correct no rule", "leave it out"
            )
        if self.config.precision != "float32":
            raise ConfigError(f"precision: the networks of '{self.name}' are d3rlpy's, of float32", "leave it out")
        self._normalizer = Normalizer(self.layout)
        self._learners = []
        for seed in self.seeds:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(derive(seed, self.name, "weights"))
                self._learners.append(self._learner(self.config, self.layout))
        self._reported: list[dict[str, float]] = [{} for _ in self.seeds]
        self._rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in _optimizers(self._learners[0])}

    @classmethod
    def _learner(cls, config: AlgorithmConfig, layout: Layout) -> Any:
        """Makes one of d3rlpy's learners with its networks, whose weights come from PyTorch's global generator.

        Raises:
            DependencyError: d3rlpy is not installed.
        """
        library = d3rlpy_library(cls.name)
        encoder = library.models.encoders.VectorEncoderFactory([config.hidden, config.hidden])
        learner = cls._d3rlpy(library, config, encoder).create(device="cpu:0")
        learner.create_impl((layout.observation_size,), layout.action_size)
        return learner

    @classmethod
    @abstractmethod
    def _d3rlpy(cls, library: Any, config: Any, encoder: Any) -> Any:
        """Returns d3rlpy's configuration of the algorithm.

        Args:
            library: The module d3rlpy.
            config: The hyper-parameters, of the class `Config`.
            encoder: The hidden layers of every network.
        """

    @property
    def normalizer(self) -> Normalizer:
        """The normaliser of the observations that d3rlpy is given."""
        return self._normalizer

    def _learn(self, batch: Transitions) -> dict[str, Tensor]:
        factor = self._annealed(self.config.learning_rate_decay)
        for index, learner in enumerate(self._learners):
            for name, optimizer in _optimizers(learner):
                for group in optimizer.param_groups:
                    group["lr"] = self._rates[name] * factor
            learner.set_grad_step(self.step - 1)
            with self._drawing(index):
                self._reported[index] |= learner.update(self._mini_batch(d3rlpy_library(self.name), batch, index))
        names = self._reported[0]
        return {name: torch.tensor([each[name] for each in self._reported], dtype=torch.float64) for name in names}

    def _mini_batch(self, library: Any, batch: Transitions, index: int) -> Any:
        """Returns the rows of one seed as d3rlpy takes them; the algorithms here look at no next actions."""
        rewards, terminals = (column[index][:, None].numpy() for column in (batch.rewards, batch.terminals))
        actions = batch.actions[index].numpy()
        return library.dataset.TransitionMiniBatch(
            observations=batch.observations[index].numpy(),
            actions=actions,
            rewards=rewards,
            next_observations=batch.next_observations[index].numpy(),
            next_actions=0 * actions,
            terminals=terminals,
            intervals=0 * rewards + 1,
            transitions=(),
        )

    @contextlib.contextmanager
    def _drawing(self, index: int) -> Iterator[None]:
        """Lets PyTorch's global generator be that of a seed, and densities of what is not finite be computed.

        They would be refused by a message that names no loss, while a training that diverges is found out by its loss.
        """
        generator, checked = self._generators[index], Distribution._validate_args
        Distribution.set_default_validate_args(False)
        try:
            with torch.random.fork_rng(devices=[]):
                torch.set_rng_state(generator.get_state())
                yield
                generator.set_state(torch.get_rng_state())
        finally:
            Distribution.set_default_validate_args(checked)

    def _state(self, index: int) -> dict[str, Tensor]:
        learner = self._learners[index]
        modules = {"normalizer": self._normalizer, **modules_of(learner)}
        tensors = {f"{name}.{key}": value for name, part in modules.items() for key, value in part.state_dict().items()}
        for name, optimizer in _optimizers(learner):
            for parameter, moments in optimizer.state_dict()["state"].items():
                tensors.update({f"{name}.{parameter}.{key}": value for key, value in moments.items()})
        for name, value in self._reported[index].items():
            tensors[f"reported.{name}"] = torch.tensor(value, dtype=torch.float64)
        return {name: value.clone() for name, value in tensors.items()}

    def _take(self, states: Sequence[dict[str, Tensor]]) -> None:
        for index, (learner, state) in enumerate(zip(self._learners, states, strict=True)):
            self._normalizer.load_state_dict(below(state, "normalizer"))
            for name, module in modules_of(learner).items():
                module.load_state_dict(below(state, name))
            for name, optimizer in _optimizers(learner):
                _take_moments(name, optimizer, below(state, name))
            self._reported[index] = {name: float(value) for name, value in below(state, "reported").items()}

    @classmethod
    def _policy(cls, scenario: Scenario, config: AlgorithmConfig, layout: Layout, tensors: dict[str, Tensor]) -> Policy:
        """Makes the deterministic policy of d3rlpy's actor, which fits scenarios of the same cells and pairs alone."""
        normalizer = Normalizer(layout.acting_in(scenario, shared_weights=False))
        normalizer.load_state_dict(below(tensors, "normalizer"))
        with torch.random.fork_rng(devices=[]):
            policy = modules_of(cls._learner(config, layout))["policy"]
        policy.load_state_dict(below(tensors, "policy"))
        return NetworkPolicy(_Acting(normalizer, policy), normalizer)


class _Acting(nn.Module):
    """Raw observations (N, O) to the actions (N, A) that an actor of d3rlpy thinks best."""

    def __init__(self, normalizer: Normalizer, policy: nn.Module) -> None:
        super().__init__()
        self.normalizer, self.policy = normalizer, policy.eval()

    def forward(self, observations: Tensor) -> Tensor:
        actions: Tensor = self.policy(self.normalizer.normalize(observations)).squashed_mu
        return actions.clamp(-1, 1)


def d3rlpy_library(name: str) -> Any:
    """Imports d3rlpy, which says on both streams what is no business of a user's.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            import d3rlpy
    except ImportError as error:
        message = f"{name}: d3rlpy, whose algorithm it is, cannot be imported ({error})"
        raise DependencyError(message, "pip install 'mlb-testbed[baselines]'") from None
    return d3rlpy


def modules_of(learner: Any) -> dict[str, nn.Module]:
    """The networks of a learner of d3rlpy's, by name."""
    return {name: part for name, part in vars(learner.impl.modules).items() if isinstance(part, nn.Module)}


def _optimizers(learner: Any) -> list[tuple[str, torch.optim.Optimizer]]:
    """The optimizers of a learner of d3rlpy's, with their names."""
    return [(name, part.optim) for name, part in vars(learner.impl.modules).items() if hasattr(part, "optim")]


def _take_moments(name: str, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Lets an optimizer go on from the moments of its parameters, named by number and kind; there may be none yet.

    Raises:
        ValueError: they are not those of its parameters, which PyTorch would only find out at the next step.
    """
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        of, _, kind = key.partition(".")
        moments.setdefault(int(of), {})[kind] = value
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, of_parameter in moments.items():
        shapes = {parameters[number].shape} if number < len(parameters) else set()
        if of_parameter.keys() != _MOMENTS or {of_parameter[kind].shape for kind in _MOMENTS - {"step"}} != shapes:
            raise ValueError(f"{name}.{number} is of another network")
    if moments and len(moments) != len(parameters):
        raise ValueError(f"{name} has the moments of {len(moments)} parameters, of {len(parameters)}")
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
