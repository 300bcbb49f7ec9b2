"""Actor and twin critic, as plain perceptrons or sharing their weights over cells and neighbour pairs.

What a CIO does at one pair of cells it does at every other, so with shared weights each transition teaches as many
lessons as there are pairs; scarce data suffices, where a perceptron must learn each pair by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ns3_scenarios.mdp import action_size, observation_size
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Singles

_CELL_FEATURES = 3
_LOG_STD_RANGE = (-5.0, 2.0)
_OBSERVATION_CLIP = 5.0
_MIN_STD = 1e-2


@dataclass(frozen=True)
class Layout:
    """Sizes of observation and action, and the neighbour pairs that the observation is ordered by.

    Attributes:
        observation_size: O.
        action_size: A.
        pairs: (serving, neighbour) cells of each pair, if the observation is ordered by cells and pairs ("cell-kpi")
            and the action by pairs; empty if not, and the networks are plain perceptrons.
    """

    observation_size: int
    action_size: int
    pairs: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, scenario: Scenario) -> Layout:
        """The layout of a scenario."""
        handover = scenario.handover
        by_pairs = scenario.observation == "cell-kpi" and handover.action == "pair" and not handover.steer
        return cls(observation_size(scenario), action_size(scenario), scenario.neighbor_pairs if by_pairs else ())

    def __str__(self) -> str:
        form = f"by cell ({self.cells}) and pair ({len(self.pairs)})" if self.pairs else "not by cell and pair"
        return f"{self.observation_size} observations, {self.action_size} actions, {form}"

    @property
    def cells(self) -> int:
        """Number of cells."""
        return 1 + max(max(pair) for pair in self.pairs)

    @property
    def pair_features(self) -> int:
        """Numbers a pair in the observation."""
        return (self.observation_size - _CELL_FEATURES * self.cells) // len(self.pairs)

    def split(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what an observation (..., O) says of cells (..., C, F) and of pairs (..., A, G)."""
        cell, pair = observations.split([_CELL_FEATURES * self.cells, self.pair_features * len(self.pairs)], dim=-1)
        return (
            cell.unflatten(-1, (_CELL_FEATURES, self.cells)).transpose(-1, -2),
            pair.unflatten(-1, (self.pair_features, len(self.pairs))).transpose(-1, -2),
        )

    def pool(self, moments: Tensor) -> Tensor:
        """Averages a statistic of each observation (O,) over the cells, and over the pairs, that share a feature."""
        if not self.pairs:
            return moments
        cell, pair = self.split(moments)
        return torch.cat([part.mean(0).repeat_interleave(len(part)) for part in (cell, pair)])

    def fits(self, other: Layout) -> bool:
        """Returns whether networks of this layout act in another one: weights are shared over cells and pairs."""
        return self == other or bool(self.pairs and other.pairs and self.pair_features == other.pair_features)

    def unpool(self, pooled: Tensor, other: Layout) -> Tensor:
        """Returns a pooled statistic (O,) of this layout for the cells and pairs of another one that it fits."""
        if not self.pairs:
            return pooled
        sizes = other.cells, len(other.pairs)
        parts = zip(self.split(pooled), sizes, strict=True)
        return torch.cat([part[0].repeat_interleave(size) for part, size in parts])


class StackedLinear(nn.Module):
    """Independent linear layers side by side, (copies, ..., inputs) to (copies, ..., outputs)."""

    def __init__(self, copies: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(copies, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(copies, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x.flatten(1, -2), self.weight).unflatten(1, x.shape[1:-1])


def _perceptron(copies: int, inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        StackedLinear(copies, inputs, hidden),
        nn.ReLU(),
        StackedLinear(copies, hidden, hidden),
        nn.ReLU(),
        StackedLinear(copies, hidden, outputs),
    )


class _Graph(nn.Module):
    """A round of messages from pairs to their cells (Battaglia et al. 2018, arXiv 1806.01261)."""

    serving: Tensor
    neighbor: Tensor

    def __init__(self, copies: int, layout: Layout, extra: int, hidden: int) -> None:
        super().__init__()
        self._copies, self._layout = copies, layout
        one_hot = functional.one_hot(torch.tensor(layout.pairs), layout.cells).float()
        self.register_buffer("serving", one_hot[:, 0], persistent=False)
        self.register_buffer("neighbor", one_hot[:, 1], persistent=False)
        self.pair = _perceptron(copies, 2 * _CELL_FEATURES + layout.pair_features + extra, hidden, hidden)
        self.cell = _perceptron(copies, _CELL_FEATURES + 2 * hidden, hidden, hidden)

    def forward(self, observations: Tensor, *extra: Tensor) -> tuple[Tensor, Tensor]:
        """Returns embeddings of pairs (copies, N, A, H) and cells (copies, N, C, H)."""
        cell, pair = self._layout.split(observations)
        inputs = torch.cat([self.serving @ cell, self.neighbor @ cell, pair, *extra], dim=-1)
        pairs = self.pair(inputs.expand(self._copies, *inputs.shape)).relu()
        degree = self.serving.sum(0).clamp_min(1)[:, None]
        messages = [incidence.T @ pairs / degree for incidence in (self.serving, self.neighbor)]
        cells = self.cell(torch.cat([cell.expand(self._copies, *cell.shape), *messages], dim=-1)).relu()
        return pairs, cells


class Actor(nn.Module):
    """Squashed Gaussian policy with its observation normaliser; `forward` takes normalised observations (N, O)."""

    mean: Tensor
    std: Tensor

    def __init__(self, layout: Layout, hidden: int) -> None:
        super().__init__()
        self._layout = layout
        self.register_buffer("mean", torch.zeros(layout.observation_size))
        self.register_buffer("std", torch.ones(layout.observation_size))
        if layout.pairs:
            self.graph = _Graph(1, layout, 0, hidden)
            self.head = _perceptron(1, 3 * hidden, hidden, 2)
        else:
            self.head = _perceptron(1, layout.observation_size, hidden, 2 * layout.action_size)

    def fit_normalizer(self, mean: Tensor, std: Tensor) -> None:
        """Sets the normaliser from the moments (O,) of the data."""
        pooled = self._layout.pool(mean)
        self.mean.copy_(pooled)
        self.std.copy_(self._layout.pool(std**2 + (mean - pooled) ** 2).sqrt().clamp_min(_MIN_STD))

    def normalize(self, observations: Tensor) -> Tensor:
        """Centres and scales raw observations, and clips what lies far outside the training data."""
        return ((observations - self.mean) / self.std).clamp(-_OBSERVATION_CLIP, _OBSERVATION_CLIP)

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and log standard deviation before squashing, each (N, A)."""
        if self._layout.pairs:
            pairs, cells = self.graph(observations)
            ends = [self.graph.serving @ cells, self.graph.neighbor @ cells]
            mean, log_std = self.head(torch.cat([pairs, *ends], dim=-1))[0].unbind(-1)
        else:
            mean, log_std = self.head(observations[None])[0].chunk(2, dim=-1)
        low, high = _LOG_STD_RANGE
        return mean, low + 0.5 * (high - low) * (torch.tanh(log_std) + 1)

    @torch.no_grad()
    def mode(self, observations: Singles) -> Singles:
        """Returns the deterministic actions (N, A) for raw observations (N, O)."""
        mean, _ = self(self.normalize(torch.as_tensor(observations)))
        actions: Singles = torch.tanh(mean).numpy()
        return actions

    def sample(self, observations: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draws reparametrised actions (N, A) and their log-density (N,)."""
        mean, log_std = self(observations)
        noise = torch.randn(mean.shape, generator=generator)
        raw = mean + log_std.exp() * noise
        gaussian = -0.5 * noise**2 - log_std - 0.5 * math.log(2 * math.pi)
        # log(1 - tanh(x)^2) in a form that does not underflow
        squash = 2 * (math.log(2) - raw - functional.softplus(-2 * raw))
        return torch.tanh(raw), (gaussian - squash).sum(-1)


class TwinCritic(nn.Module):
    """Two independent Q-functions."""

    def __init__(self, layout: Layout, hidden: int) -> None:
        super().__init__()
        self._layout = layout
        if layout.pairs:
            self.graph = _Graph(2, layout, 1, hidden)
            self.head = _perceptron(2, hidden, hidden, 1)
        else:
            self.head = _perceptron(2, layout.observation_size + layout.action_size, hidden, 1)

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Returns both values, (2, N), of normalised observations (N, O) and actions (N, A)."""
        if self._layout.pairs:
            _, cells = self.graph(observations, actions[..., None])
            inputs = cells.mean(-2)
        else:
            inputs = torch.cat([observations, actions], dim=-1).expand(2, -1, -1)
        values: Tensor = self.head(inputs)
        return values.squeeze(-1)
