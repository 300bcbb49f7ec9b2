"""Decision Transformer (Chen et al. 2021, arXiv 2106.01345), d3rlpy's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import reward
from ns3_scenarios.scenario import Scenario
from py_agent.algorithms.checkpoint import below
from py_agent.algorithms.config import AlgorithmConfig
from py_agent.algorithms.d3rlpy_algorithm import D3rlpyAlgorithm, modules_of
from py_agent.algorithms.networks import Layout, Normalizer
from py_agent.algorithms.replay import Replay
from py_agent.algorithms.transitions import Transitions
from py_agent.policies.base import Policy
from sumo_mobility.base.arrays import Floats, Singles
from sumo_mobility.base.errors import ConfigError, DataError


class DtConfig(AlgorithmConfig):
    """Hyper-parameters of the Decision Transformer; the defaults are d3rlpy's.

    `hidden` is the width of its tokens and of the perceptron that makes them of observations, `batch_size` the number
    of histories.
    """

    context_size: int = Field(20, ge=1)
    """Steps of an episode that it looks back on."""
    num_heads: int = Field(1, ge=1)
    """Heads of the attention; they share `hidden` evenly."""
    num_layers: int = Field(3, ge=1)
    """Layers of the transformer."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of attention, of residuals and of embeddings that is left out while it learns."""
    max_timestep: int = Field(1000, ge=1)
    """Longest episode that it can learn from; later steps of one in which it acts look to it like that last one."""
    target_quantile: float = Field(1.0, ge=0, le=1)
    """Return that it is asked for, as a quantile of those of the data's episodes; 1 is the best of them."""

    @property
    def discount(self) -> float:
        """1: what is left of an episode's rewards counts in full."""
        return 1.0


class Dt(D3rlpyAlgorithm):
    """Imitates the data's actions, given what the rest of the episode then earned, and is asked for a good return.

    With the rewards r and the return R_t = sum_(k >= t) r_k that is left at step t, over histories of up to K steps:

        L = mean |pi(R_(t-K+1), s_(t-K+1), a_(t-K+1), ..., R_t, s_t) - a_t|^2

    The mean is over steps, those before an episode's begin included as zeros. A return is also due to the traffic,
    which no action changes, so what it is asked for is not always its to reach.

    Episodes are the parts that `Replay` was given, each cut where a transition is terminal. Rewards are shaped with
    discount 1: the return that is left is that of the episode, plus the reward of its last interval, less that of the
    interval before. The policy subtracts each reward as it is reported; one that cannot be told from the KPIs counts as
    that of the interval before.

    Metrics: loss.
    """

    name = "dt"
    Config = DtConfig
    config: DtConfig

    def __init__(
        self,
        config: DtConfig,
        sources: Sequence[Replay],
        shares: Sequence[float],
        seeds: Sequence[int],
        scenario: Scenario | None = None,
        device: str = "cpu",
    ) -> None:
        if config.hidden % config.num_heads:
            raise ConfigError(f"dt: {config.num_heads} heads cannot share {config.hidden} units evenly")
        if config.future:
            raise ConfigError(
                "dt: rows of the coming interval are moments of a step, and no history", "leave out --dt.future"
            )
        super().__init__(config, sources, shares, seeds, scenario, device)
        self._episodes = [_Episodes.of(source) for source in sources]
        longest = 1 + max(int(episodes.steps.max()) for episodes in self._episodes)
        if longest > config.max_timestep:
            raise DataError(f"dt: an episode has {longest} steps", f"train with --dt.max-timestep {longest}")
        squares = [float((episodes.left**2).mean()) for episodes in self._episodes]
        self._scale = max(1e-6, math.sqrt(sum(share * square for share, square in zip(shares, squares, strict=True))))
        returns = torch.cat([episodes.left[episodes.steps == 0] for episodes in self._episodes])
        self._target = float(np.quantile(returns.numpy(), config.target_quantile))
        self._windows: list[tuple[Tensor, Tensor]] = []

    @classmethod
    def _d3rlpy(cls, library: Any, config: DtConfig, encoder: Any) -> Any:
        return library.algos.DecisionTransformerConfig(
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            encoder_factory=encoder,
            context_size=config.context_size,
            num_heads=config.num_heads,
            num_layers=config.num_layers,
            attn_dropout=config.dropout,
            resid_dropout=config.dropout,
            embed_dropout=config.dropout,
            max_timestep=config.max_timestep,
        )

    def _wanted(self, number: int, drawn: Tensor) -> Tensor:
        """Returns each drawn row behind the rows before it, (S, B, K); those before its episode are only fillers."""
        episodes = self._episodes[number]
        back = torch.arange(self.config.context_size - 1, -1, -1)
        rows = (drawn[..., None] - back).clamp_min(0)
        self._windows.append((episodes.steps[drawn][..., None] - back, episodes.left[rows].float() / self._scale))
        return rows

    def _learn(self, batch: Transitions) -> dict[str, Tensor]:
        self._steps, self._left = (torch.cat(columns, dim=1) for columns in zip(*self._windows, strict=True))
        self._windows.clear()
        return super()._learn(batch)

    def _mini_batch(self, library: Any, batch: Transitions, index: int) -> Any:
        steps = self._steps[index]
        mask = (steps >= 0).float()
        only = mask[..., None]
        return library.dataset.TrajectoryMiniBatch(
            observations=(batch.observations[index] * only).numpy(),
            actions=(batch.actions[index] * only).numpy(),
            rewards=(batch.rewards[index][..., None] * only).numpy(),
            returns_to_go=(self._left[index][..., None] * only).numpy(),
            terminals=(batch.terminals[index][..., None] * only).numpy(),
            timesteps=((steps + 1) * mask).numpy(),
            masks=mask.numpy(),
            length=self.config.context_size,
        )

    def _state(self, index: int) -> dict[str, Tensor]:
        asked = {"asked.scale": self._scale, "asked.target": self._target}
        return super()._state(index) | {name: torch.tensor(value, dtype=torch.float64) for name, value in asked.items()}

    @classmethod
    def _policy(cls, scenario: Scenario, config: AlgorithmConfig, layout: Layout, tensors: dict[str, Tensor]) -> Policy:
        """Makes the policy that acts on its history and on the return that is still wanted."""
        normalizer = Normalizer(layout.acting_in(scenario, shared_weights=False))
        normalizer.load_state_dict(below(tensors, "normalizer"))
        with torch.random.fork_rng(devices=[]):
            learner = cls._learner(config, layout)
        modules_of(learner)["transformer"].load_state_dict(below(tensors, "transformer"))
        asked = below(tensors, "asked")
        return _Asked(scenario, normalizer, learner, float(asked["target"]), float(asked["scale"]))


class _Asked:
    """A transformer of d3rlpy's that is asked for a return."""

    def __init__(self, scenario: Scenario, normalizer: Normalizer, learner: Any, target: float, scale: float) -> None:
        self._scenario, self._normalizer, self._scale = scenario, normalizer, scale
        self._history = learner.as_stateful_wrapper(target_return=target / scale)
        self._earned = math.nan
        torch.set_num_threads(1)

    def reset(self, seed: int) -> None:
        """Forgets the episode before."""
        self._history.reset()
        self._earned = math.nan

    def act(self, observation: Singles, kpis: StepKpis, cio_db: Floats) -> Singles:
        """Returns the action that the return which is left is expected from."""
        before, earned = self._earned, float(reward(self._scenario, kpis))
        earned = earned if math.isfinite(earned) else before
        # as `py_agent.train.shaped` does, with discount 1; nothing is earned before the first action
        shaped = 2 * earned - before if math.isfinite(before) else 0.0
        self._earned = earned
        seen = self._normalizer.normalize(torch.as_tensor(observation)).numpy()
        action: Singles = self._history.predict(seen, shaped / self._scale)
        return action.clip(-1, 1)


class _Episodes(NamedTuple):
    """Where the rows of a source stand in their episodes."""

    steps: Tensor
    """(N,) int64, rows of the same episode before each."""
    left: Tensor
    """(N,) float64, sum of the rewards from each on."""

    @classmethod
    def of(cls, source: Replay) -> _Episodes:
        columns = [(rows.rewards.double(), rows.terminals > 0) for rows in source.blocks()]
        rewards, ends = (torch.cat(parts) for parts in zip(*columns, strict=True))
        parts = source.part_rows
        ends[parts[parts > 0].cumsum(0) - 1] = True
        last = ends.nonzero()[:, 0]
        rows = last.diff(prepend=torch.tensor([-1]))
        steps = torch.arange(len(rewards)) - (last - rows + 1).repeat_interleave(rows)
        sums = rewards.cumsum(0)
        return cls(steps, sums[last].repeat_interleave(rows) - sums + rewards)
