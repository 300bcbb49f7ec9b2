"""Actor and twin critic, as plain perceptrons or sharing their weights over cells and neighbour pairs.

What a CIO does at one pair of cells it does at every other, so with shared weights each transition teaches as many
lessons as there are pairs; scarce data suffices, where a perceptron must learn each pair by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ns3_scenarios.mdp import OBSERVATIONS, action_size, observation_size
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Singles
from sumo_mobility.base.errors import ConfigError, DataError

_Part = TypeVar("_Part", nn.Module, Tensor)
_LOG_STD_RANGE = (-5.0, 2.0)
OBSERVATION_CLIP = 5.0
"""Greatest absolute value of a normalised observation."""
_MIN_STD = 1e-2
_FIRST_CORRECTION = 0.01
"""Factor on the weights that give the first corrections of a rule."""


@dataclass(frozen=True)
class Layout:
    """Sizes of observation and action, and the neighbour pairs that the observation is ordered by.

    Attributes:
        observation_size: O.
        action_size: A.
        pairs: (serving, neighbour) cells of each pair, if the observation is ordered by cells and pairs and the action
            by pairs; empty if not, and the networks are plain perceptrons.
        cell_features: Numbers a cell in the observation; see `Observation.cell_features`.
    """

    observation_size: int
    action_size: int
    pairs: tuple[tuple[int, int], ...] = ()
    cell_features: int = 0

    @classmethod
    def of(cls, scenario: Scenario) -> Layout:
        """The layout of a scenario."""
        sizes = observation_size(scenario), action_size(scenario)
        cell_features = OBSERVATIONS[scenario.observation].cell_features
        if not cell_features or scenario.handover.action != "pair" or scenario.handover.steer:
            return cls(*sizes)
        return cls(*sizes, scenario.neighbor_pairs, cell_features)

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
        return (self.observation_size - self.cell_features * self.cells) // len(self.pairs)

    def split(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what an observation (..., O) says of cells (..., C, F) and of pairs (..., A, G)."""
        cell, pair = observations.split([self.cell_features * self.cells, self.pair_features * len(self.pairs)], dim=-1)
        return (
            cell.unflatten(-1, (self.cell_features, self.cells)).transpose(-1, -2),
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
        sizes = [(layout.pair_features, layout.cell_features) for layout in (self, other) if layout.pairs]
        return self == other or (len(sizes) == 2 and sizes[0] == sizes[1])

    def acting_in(self, scenario: Scenario, shared_weights: bool) -> Layout:
        """Returns the layout of a scenario, in which networks of this layout are to act.

        Args:
            scenario: Where they act.
            shared_weights: Whether they share weights over cells and pairs, so that other numbers of them will do.

        Raises:
            DataError: they do not fit it.
        """
        here = Layout.of(scenario)
        if here == self or (shared_weights and self.fits(here)):
            return here
        found = "as many, of other pairs" if str(here) == str(self) else str(here)
        raise DataError(
            f"the policy was trained for {self}; scenario {scenario.id} has {found}",
            "evaluate it in a scenario whose observations and actions have the same form",
        )

    def unpool(self, pooled: Tensor, other: Layout) -> Tensor:
        """Returns a pooled statistic (O,) of this layout for the cells and pairs of another one that it fits."""
        if not self.pairs:
            return pooled
        sizes = other.cells, len(other.pairs)
        parts = zip(self.split(pooled), sizes, strict=True)
        return torch.cat([part[0].repeat_interleave(size) for part, size in parts])


class StackedLinear(nn.Module):
    """Independent linear layers side by side, (copies, ..., inputs) to (copies, ..., outputs).

    Fewer inputs than there are copies are shared: of S of them, each goes to copies / S layers in a row.

    Attributes:
        precision: Numbers in which the products are computed; what goes in and comes out is of float32.
    """

    precision = torch.float32

    def __init__(self, copies: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(copies, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(copies, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        x = _shared(x, len(self.weight))
        rows = x.flatten(1, -2)
        if self.weight.shape[-1] == 1:  # many times as fast as a product of matrices with one column
            outputs = (rows * self.weight.mT).sum(-1, keepdim=True) + self.bias
        else:
            product = torch.bmm(rows.to(self.precision), self.weight.to(self.precision))
            outputs = product.float().add_(self.bias)
        return outputs.unflatten(1, x.shape[1:-1])


def _shared(x: Tensor, copies: int) -> Tensor:
    """Repeats each of the S leading entries of x (S, ...) in a row, to (copies, ...)."""
    return x if len(x) == copies else x[:, None].expand(-1, copies // len(x), *x.shape[1:]).flatten(0, 1)


def stacked(parts: Sequence[_Part], device: torch.device) -> _Part:
    """Joins networks of one form, which differ in their weights alone, to one that computes them side by side.

    Args:
        parts: Modules made of StackedLinear layers, the first of which is changed and returned, and whose buffers all
            share; or tensors with a leading dimension of 1.
        device: Where it goes.
    """
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(list(parts)).detach().to(device).requires_grad_(first.requires_grad)
    for name, parameter in first.named_parameters():
        parameter.data = torch.cat([part.get_parameter(name).data for part in parts])
    return first.to(device)


def perceptron(copies: int, inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Returns perceptrons of two hidden layers side by side, (copies, ..., inputs) to (copies, ..., outputs)."""
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
    reverse: Tensor
    degree: Tensor

    def __init__(self, copies: int, layout: Layout, extra: int, hidden: int) -> None:
        super().__init__()
        self._layout = layout
        index = {pair: k for k, pair in enumerate(layout.pairs)}
        serving, neighbor = torch.tensor(layout.pairs).T.contiguous()
        reverse = torch.tensor([index.get((j, i), len(index)) for i, j in layout.pairs])
        self.register_buffer("serving", serving, persistent=False)
        self.register_buffer("neighbor", neighbor, persistent=False)
        self.register_buffer("reverse", reverse, persistent=False)
        degree = torch.bincount(serving, minlength=layout.cells).clamp_min(1)[:, None]
        self.register_buffer("degree", degree.float(), persistent=False)
        pair_features = 2 * (layout.pair_features + extra)  # of the pair and of its reverse, zeros where there is none
        self.pair = perceptron(copies, 2 * layout.cell_features + pair_features, hidden, hidden)
        self.cell = perceptron(copies, layout.cell_features + 2 * hidden, hidden, hidden)

    def forward(self, observations: Tensor, *extra: Tensor) -> tuple[Tensor, Tensor]:
        """Returns embeddings of pairs (copies, N, A, H) and cells (copies, N, C, H) of observations (S, N, O)."""
        cell, pair = self._layout.split(observations)
        pair = torch.cat([pair, *extra], dim=-1)
        # The reverse of a pair that has none is the row of zeros behind the last pair.
        back = functional.pad(pair, (0, 0, 0, 1)).index_select(-2, self.reverse)
        inputs = torch.cat([*self.ends(cell), pair, back], dim=-1)
        pairs = self.pair(inputs).relu()
        nothing = pairs.new_zeros(*pairs.shape[:-2], len(self.degree), pairs.shape[-1])
        messages = [nothing.index_add(-2, cells, pairs) / self.degree for cells in (self.serving, self.neighbor)]
        cells = self.cell(torch.cat([_shared(cell, len(pairs)), *messages], dim=-1)).relu()
        return pairs, cells

    def ends(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what cells (..., C, F) have at the serving and at the neighbour end of each pair, (..., A, F)."""
        return cells.index_select(-2, self.serving), cells.index_select(-2, self.neighbor)


@dataclass(frozen=True)
class Residual:
    """The integral rule that a policy corrects: a_ij = leak * a_ij in force + gain * (load_i - load_j).

    Attributes:
        gain: Change of the action, which is the CIO over its range, for a load difference of 1; 0 is no rule.
        leak: Share of the action in force that is kept.
    """

    gain: float = 0.0
    leak: float = 1.0

    @classmethod
    def of(cls, scenario: Scenario) -> Residual:
        """Returns the integral part of the scenario's rule.

        Raises:
            ConfigError: observations and actions are not those of cells and pairs.
        """
        if not Layout.of(scenario).pairs:
            raise ConfigError(
                "residual: only policies by cell and pair can correct a rule",
                "choose an observation such as cell-kpi and handover.action: pair, or leave it out",
            )
        return cls(scenario.rule.gain_db / scenario.handover.cio_range_db, scenario.rule.leak)


class Sample(NamedTuple):
    """Actions that were drawn for N observations of each of S seeds."""

    actions: Tensor
    """(S, N, A) in [-1, 1]."""
    log_prob: Tensor
    """(S, N) log-density of the actions; of the correction, where the policy corrects a rule."""
    mean_actions: Tensor
    """(S, N, A) actions of the mean before squashing, which the policy takes once it is trained."""


class Normalizer(nn.Module):
    """Centres and scales observations by the moments of the data, pooled over the cells and pairs that share a feature.

    Attributes:
        mean: (O,) what is subtracted.
        std: (O,) what is divided by.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self._layout = layout
        self.register_buffer("mean", torch.zeros(layout.observation_size))
        self.register_buffer("std", torch.ones(layout.observation_size))

    def fit_normalizer(self, mean: Tensor, std: Tensor) -> None:
        """Sets the normaliser from the moments (O,) of the data."""
        pooled = self._layout.pool(mean)
        self.mean.copy_(pooled)
        self.std.copy_(self._layout.pool(std**2 + (mean - pooled) ** 2).sqrt().clamp_min(_MIN_STD))

    def normalize(self, observations: Tensor) -> Tensor:
        """Centres and scales raw observations, and clips what lies far outside the training data."""
        return ((observations - self.mean) / self.std).clamp(-OBSERVATION_CLIP, OBSERVATION_CLIP)


class Actor(Normalizer):
    """Squashed Gaussian policies of S seeds with their observation normaliser.

    One actor is of one seed; `stacked` joins several. `forward` takes normalised observations (S, N, O).

    With a rule to correct, the action is that of the rule plus the squashed Gaussian, clipped to [-1, 1]; it begins
    close to the rule. Gradients go straight through the clipping.
    """

    def __init__(self, layout: Layout, hidden: int, residual: Residual = Residual()) -> None:
        super().__init__(layout)
        self._residual = residual
        if layout.pairs:
            self.graph = _Graph(1, layout, 0, hidden)
            self.head = perceptron(1, 3 * hidden, hidden, 2)
        else:
            self.head = perceptron(1, layout.observation_size, hidden, 2 * layout.action_size)
        if residual.gain:
            last = self.head[-1]
            assert isinstance(last, StackedLinear)
            with torch.no_grad():
                last.weight[..., : last.weight.shape[-1] // 2] *= _FIRST_CORRECTION
                last.bias[..., : last.bias.shape[-1] // 2] *= _FIRST_CORRECTION

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and log standard deviation before squashing, each (S, N, A)."""
        if self._layout.pairs:
            pairs, cells = self.graph(observations)
            mean, log_std = self.head(torch.cat([pairs, *self.graph.ends(cells)], dim=-1)).unbind(-1)
        else:
            mean, log_std = self.head(observations).chunk(2, dim=-1)
        low, high = _LOG_STD_RANGE
        return mean, low + 0.5 * (high - low) * (torch.tanh(log_std) + 1)

    @torch.no_grad()
    def mode(self, observations: Singles) -> Singles:
        """Returns the deterministic actions (S, N, A) for raw observations (S, N, O)."""
        actions: Singles = self.mean_action(self.normalize(torch.as_tensor(observations))).numpy()
        return actions

    def mean_action(self, observations: Tensor) -> Tensor:
        """Returns the actions of the mean before squashing, (S, N, A)."""
        return self._corrected(observations, torch.tanh(self(observations)[0]))

    def sample(self, observations: Tensor, noise: Tensor) -> Sample:
        """Draws reparametrised actions with standard normal noise (S, N, A)."""
        mean, log_std = self(observations)
        raw = mean + log_std.exp() * noise
        gaussian = -0.5 * noise**2 - log_std - 0.5 * math.log(2 * math.pi)
        # log(1 - tanh(x)^2) in a form that does not underflow
        squash = 2 * (math.log(2) - raw - functional.softplus(-2 * raw))
        actions, mean_actions = (self._corrected(observations, torch.tanh(value)) for value in (raw, mean))
        return Sample(actions, (gaussian - squash).sum(-1), mean_actions)

    def _corrected(self, observations: Tensor, squashed: Tensor) -> Tensor:
        """Adds a correction (S, N, A) in [-1, 1] to the action of the rule, if there is one."""
        if not self._residual.gain:
            return squashed
        cell, pair = self._layout.split(observations * self.std + self.mean)
        serving, neighbor = self.graph.ends(cell[..., :1])
        difference = (serving - neighbor).squeeze(-1)
        rule = self._residual.leak * pair[..., -1] + self._residual.gain * difference
        wanted = rule.clamp(-1, 1) + squashed
        return wanted + (wanted.clamp(-1, 1) - wanted).detach()


class TwinCritic(nn.Module):
    """Two independent Q-functions for each of S seeds; one is made, and `stacked` joins several."""

    def __init__(self, layout: Layout, hidden: int) -> None:
        super().__init__()
        self._layout = layout
        if layout.pairs:
            self.graph = _Graph(2, layout, 1, hidden)
            self.head = perceptron(2, hidden, hidden, 1)
        else:
            self.head = perceptron(2, layout.observation_size + layout.action_size, hidden, 1)

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Returns both values, (S, 2, N), of normalised observations (S, N, O) and actions (S, N, A)."""
        if self._layout.pairs:
            _, cells = self.graph(observations, actions[..., None])
            inputs = cells.mean(-2)
        else:
            inputs = torch.cat([observations, actions], dim=-1)
        values: Tensor = self.head(inputs)
        return values.squeeze(-1).unflatten(0, (-1, 2))
