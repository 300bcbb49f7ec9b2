"""GreedyPlanner: no data, no learning; searches the CIO of each step in the analytic engine, over futures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cf_augment.physics import Engine, WhatIf
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import action_from_cio, cio_from_action, reward
from ns3_scenarios.scenario import Scenario
from py_agent.policies.futures import future_of
from py_agent.policies.outlook import Outlook, Outlooks
from sumo_mobility.base.arrays import Floats, Singles
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.base.seeds import derive, stream
from sumo_mobility.trace import MobilityTrace

_HANDOVER_COST = 1e-6
_OFFSET_COST = 1e-9
_MOST_PARTS = 15
"""Parts into which an interval is cut where UEs move; shorter ones than a second are not needed."""


class GreedyPlanner:
    """Maximises the reward that the engine's what-if predicts for the coming interval, on average over futures.

    Where reports are late, it first predicts through the intervals that they do not show; see `Outlooks`. In
    `future=frozen` UEs stand still and the network settles. The search is the cross-entropy method from
    the action in force, then a coordinate search from the best; ties go to fewer handovers, then to smaller offsets.

    Args:
        scenario: The scenario.
        samples: Actions drawn in each round.
        rounds: Rounds of the cross-entropy method.
        sweeps: Rounds of the coordinate search; each tries `levels` values of every component and keeps the best one.
        levels: Values of one component, evenly over its range.
        future: Where the UEs go, one of FUTURES.
        data: The dataset from whose traces a future learns that learns.
        futures: How many futures such a one draws.

    Raises:
        ConfigError: there are no samples or no levels, fewer than no rounds or sweeps; or see `future_of`.
        DataError: see `future_of`.
    """

    def __init__(
        self, scenario: Scenario, samples: int = 400, rounds: int = 4, sweeps: int = 4, levels: int = 9,
        future: str = "frozen", data: Path | None = None, futures: int = 10,
    ) -> None:  # fmt: skip
        for name, value, least in (
            ("samples", samples, 1), ("rounds", rounds, 0), ("sweeps", sweeps, 0), ("levels", levels, 1),
        ):  # fmt: skip
            if value < least:
                raise ConfigError(f"planner: {name} is {value}, must be at least {least}")
        self._scenario = scenario
        self._what_if = WhatIf(Engine(scenario))
        self._samples, self._rounds, self._sweeps = samples, rounds, sweeps
        self._levels = np.linspace(-1, 1, levels)
        self._outlooks = Outlooks(scenario, future_of(future, scenario, data, futures), self._what_if, _MOST_PARTS)
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Seeds the search, and begins a future."""
        self._random = stream(seed, "greedy-planner")
        self._outlooks.reset(derive(seed, "greedy-planner", "future"))

    def foresee(self, trace: MobilityTrace | None) -> None:
        """See `Clairvoyant.foresee`."""
        self._outlooks.foresee(trace)

    def act(self, observation: Singles, kpis: StepKpis, cio_db: Floats) -> Singles:
        """Returns the best action found.

        Raises:
            ConfigError: the future needs the trace, and was not told it.
        """
        action = action_from_cio(self._scenario, np.asarray(cio_db))
        return self.search(self._outlooks.of(kpis, cio_db), action).astype(np.float32)

    def search(self, outlooks: Sequence[Outlook], action: Floats) -> Floats:
        """Returns the action (A,) of the greatest predicted reward, never worse than `action` or no offsets."""
        size = len(action)
        best, best_value = self._best(outlooks, np.stack([action, np.zeros(size)]), action, -np.inf)
        mean, spread = best, np.full(size, 0.5)
        for _ in range(self._rounds):
            draws = mean + spread * self._random.standard_normal((self._samples, size))
            candidates = np.clip(draws, -1, 1)
            values = self._values(outlooks, candidates)
            elite = candidates[np.argsort(-values, kind="stable")[: max(2, self._samples // 20)]]
            if values.max() > best_value:
                best, best_value = elite[0], values.max()
            mean, spread = elite.mean(axis=0), elite.std(axis=0)
        for _ in range(self._sweeps):
            candidates = np.repeat(best[None], size * len(self._levels), axis=0)
            candidates[np.arange(len(candidates)), np.repeat(np.arange(size), len(self._levels))] = np.tile(
                self._levels, size
            )
            found, value = self._best(outlooks, candidates, best, best_value)
            if value <= best_value:
                break
            best, best_value = found, value
        return best

    def _best(
        self, outlooks: Sequence[Outlook], candidates: Floats, best: Floats, best_value: float
    ) -> tuple[Floats, float]:
        values = self._values(outlooks, candidates)
        top = int(values.argmax())
        return (candidates[top], float(values[top])) if values[top] > best_value else (best, best_value)

    def _values(self, outlooks: Sequence[Outlook], actions: Floats) -> Floats:
        cio_db = cio_from_action(self._scenario, actions)
        values = []
        for kpis, position_m in outlooks:
            predicted = self._what_if(kpis, cio_db, position_m)
            cost = _HANDOVER_COST * predicted.handovers + _OFFSET_COST * np.abs(cio_db).sum(axis=-1)
            values.append(reward(self._scenario, predicted) - cost)
        return np.asarray(np.mean(values, axis=0))
