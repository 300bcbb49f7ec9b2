"""Algorithms that train this project's own networks, of several seeds side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ns3_scenarios.scenario import Scenario
from py_agent.algorithms.base import Algorithm, NetworkPolicy
from py_agent.algorithms.checkpoint import below
from py_agent.algorithms.config import AlgorithmConfig
from py_agent.algorithms.networks import Actor, Layout, Normalizer, Residual, StackedLinear, stacked
from py_agent.policies.base import Policy
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.base.seeds import derive


class ActorAlgorithm(Algorithm):
    """An algorithm whose policy is an `Actor`.

    A subclass says its name, makes what it needs besides the actor in `_build`, and learns from one batch in `_learn`.
    The state of a seed is its part of every attribute that is a module or a tensor and of their optimizers.

    Attributes:
        actor: The policies with their normaliser of observations.
    """

    actor: Actor

    def _make(self) -> None:
        if self.config.residual and self.scenario is None:
            raise ConfigError("residual: data without a scenario have no rule", "leave it out")
        residual = Residual.of(self.scenario) if self.config.residual and self.scenario else Residual()
        parts: list[dict[str, Any]] = []
        for seed in self.seeds:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(derive(seed, self.name, "weights"))
                parts.append({"actor": Actor(self.layout, self.config.hidden, residual), **self._build()})
        for name in parts[0]:
            joined = stacked([part[name] for part in parts], self.device)
            for module in joined.modules() if isinstance(joined, nn.Module) else ():
                if isinstance(module, StackedLinear):
                    module.precision = getattr(torch, self.config.precision)
            setattr(self, name, joined)
        self._optimizers: dict[str, torch.optim.Optimizer] = {}

    @property
    def normalizer(self) -> Normalizer:
        """The actor, which is its own normaliser."""
        return self.actor

    def _build(self) -> dict[str, nn.Module | Tensor]:
        """Returns what one seed trains besides the actor, by the name of the attribute that it becomes.

        PyTorch's global generator has been seeded for it. Modules are made of `StackedLinear` layers; tensors have a
        leading dimension of 1. The attributes hold those of all seeds side by side.
        """
        return {}

    def _noise(self, *shape: int) -> Tensor:
        """Draws standard normal numbers, (S, *shape)."""
        return torch.stack([torch.randn(shape, generator=each) for each in self._generators]).to(self.device)

    def _descend(self, name: str, loss: Tensor) -> None:
        """Moves the parameters of the attribute `name`, and no others, a step down the gradient of a loss.

        Args:
            name: The attribute, a module or a tensor.
            loss: (S,) the loss of each seed.
        """
        optimizer = self._optimizer(name)
        (group,) = optimizer.param_groups
        group["lr"] = self.config.learning_rate * self._annealed(self.config.learning_rate_decay)
        optimizer.zero_grad()
        loss.sum().backward(inputs=group["params"])  # the actor's loss leaves the critics' gradients uncomputed
        optimizer.step()

    def _optimizer(self, name: str) -> torch.optim.Optimizer:
        """Returns the optimizer of the attribute `name`; Adam moves every number by itself, so seeds may share one."""
        if name not in self._optimizers:
            part = getattr(self, name)
            parameters = [part] if isinstance(part, Tensor) else part.parameters()
            self._optimizers[name] = torch.optim.Adam(parameters, lr=self.config.learning_rate, fused=True)
        return self._optimizers[name]

    def _state(self, index: int) -> dict[str, Tensor]:
        parts = vars(self)
        tensors = {
            f"{name}.{key}": value
            for name, part in parts.items()
            if isinstance(part, nn.Module)
            for key, value in part.state_dict().items()
        }
        for name, optimizer in self._optimizers.items():
            for parameter, moments in optimizer.state_dict()["state"].items():
                tensors.update({f"adam.{name}.{parameter}.{key}": value for key, value in moments.items()})
        tensors |= {name: part.detach() for name, part in parts.items() if isinstance(part, Tensor)}
        return {
            name: (value.chunk(len(self.seeds))[index] if self._is_by_seed(name) else value).cpu().clone()
            for name, value in tensors.items()
        }

    def _take(self, states: Sequence[dict[str, Tensor]]) -> None:
        tensors = {
            name: torch.cat([state[name] for state in states]) if self._is_by_seed(name) else value
            for name, value in states[0].items()
        }
        for name, part in vars(self).items():
            if isinstance(part, nn.Module):
                part.load_state_dict(below(tensors, name))
            elif isinstance(part, Tensor):
                part.data.copy_(tensors[name])
        moments: dict[str, dict[int, dict[str, Tensor]]] = {}
        for key, value in below(tensors, "adam").items():
            name, index, moment = key.split(".")
            moments.setdefault(name, {}).setdefault(int(index), {})[moment] = value
        for name, of_parameters in moments.items():
            optimizer = self._optimizer(name)
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": of_parameters, "param_groups": groups})

    def _is_by_seed(self, name: str) -> bool:
        """Whether a tensor of the state has a part for each seed; buffers and numbers of steps are the same for all."""
        if name in ("generator", "step") or (name.startswith("adam.") and name.endswith(".step")):
            return False
        attribute, _, key = name.partition(".")
        part = getattr(self, attribute, None)
        return not (isinstance(part, nn.Module) and key in dict(part.named_buffers()))

    @classmethod
    def _policy(cls, scenario: Scenario, config: AlgorithmConfig, layout: Layout, tensors: dict[str, Tensor]) -> Policy:
        """Makes the actor's deterministic policy, tanh of its mean.

        Networks that share their weights over cells and neighbour pairs act wherever an observation is made of the
        same features of cells and pairs, however many there are; plain perceptrons only where all sizes are the same.
        """
        here = layout.acting_in(scenario, shared_weights=True)
        actor = Actor(here, config.hidden, Residual.of(scenario) if config.residual else Residual())
        weights = below(tensors, "actor")
        actor.load_state_dict(weights | {name: layout.unpool(weights[name], here) for name in ("mean", "std")})
        return NetworkPolicy(_Acting(actor), actor)


class _Acting(nn.Module):
    """Raw observations (N, O) to actions (N, A): normaliser, network and rule in one."""

    def __init__(self, actor: Actor) -> None:
        super().__init__()
        self.actor = actor

    def forward(self, observations: Tensor) -> Tensor:
        return self.actor.mean_action(self.actor.normalize(observations)[None])[0]
