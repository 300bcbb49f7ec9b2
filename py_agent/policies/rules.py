"""Rule-based behaviour policies and baselines."""

from __future__ import annotations

import math
from collections import deque
from typing import ClassVar

import numpy as np

from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import action_from_cio, action_size
from ns3_scenarios.rule import Rule
from ns3_scenarios.scenario import Scenario
from py_agent.policies.base import Search
from sumo_mobility.base.arrays import Floats, Singles
from sumo_mobility.base.seeds import stream


class Static:
    """CIO 0 dB for ever: event A3 alone."""

    def __init__(self, scenario: Scenario) -> None:
        self._action = np.zeros(action_size(scenario), dtype=np.float32)

    def reset(self, seed: int) -> None:
        """Nothing to begin."""

    def act(self, observation: Singles, kpis: StepKpis, cio_db: Floats) -> Singles:
        """Returns zeros."""
        return self._action.copy()


class Random:
    """A new uniform action at each step."""

    def __init__(self, scenario: Scenario) -> None:
        self._size = action_size(scenario)
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Seeds the draws."""
        self._random = stream(seed, "random-policy")

    def act(self, observation: Singles, kpis: StepKpis, cio_db: Floats) -> Singles:
        """Returns a draw from [-1, 1)."""
        return self._random.uniform(-1.0, 1.0, self._size).astype(np.float32)

    def log_prob(self, action: Singles) -> float:
        """Returns -A ln 2, the same for all actions."""
        return -self._size * math.log(2)


class IntegralRule:
    """Proportional-integral control of the load, as `ns3_scenarios.rule.Rule` says.

    While cell i carries more than its neighbour j, the offset of j grows and UEs at the border leave i. Load is
    the PRB utilisation. What it asks for is the difference of two cells, which every form of the action can express.
    Where handover.grid is standard, the integral is kept beside the CIO, which is the nearest value to it: corrections
    that are smaller than a step of the grid add up instead of being lost.

    Args:
        scenario: The scenario.
        gain_db: CIO in dB a step for a load difference of 1; the scenario's own if None, as all others.
        leak: Share of the integral that is kept at each step.
        proportional_db: CIO in dB for a load difference of 1.
        discount_per_db: Load difference that 1 dB of an offset which late reports do not show yet will take away.

    Raises:
        ConfigError: a gain is out of range.
    """

    SEARCH: ClassVar[Search] = Search(
        {
            "gain_db": (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0),
            "proportional_db": (0.0, 2.0, 4.0, 8.0, 16.0, 32.0),
            "leak": (1.0, 0.98, 0.95, 0.9, 0.8, 0.6),
            "discount_per_db": (0.0, 0.02, 0.04, 0.08, 0.16, 0.32),
        },
        start=Rule().model_dump(),
        late=("discount_per_db",),
    )

    def __init__(
        self,
        scenario: Scenario,
        gain_db: float | None = None,
        leak: float | None = None,
        proportional_db: float | None = None,
        discount_per_db: float | None = None,
    ) -> None:
        given = {
            "gain_db": gain_db, "leak": leak, "proportional_db": proportional_db, "discount_per_db": discount_per_db
        }  # fmt: skip
        changed = {name: value for name, value in given.items() if value is not None}
        self._rule = Rule.parse(scenario.rule.model_dump() | changed, "policy integral")
        self._scenario = scenario
        self._serving, self._neighbor = np.array(scenario.neighbor_pairs).T
        self._is_cio = scenario.handover.grid == "continuous" and self._rule.proportional_db == 0
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Begins the integral at 0."""
        self._integral_db = np.zeros(len(self._scenario.neighbor_pairs))
        # Of the interval that is reported, and of all later ones.
        self._in_force_db: deque[Floats] = deque(maxlen=self._scenario.reports.delay_intervals + 1)

    def act(self, observation: Singles, kpis: StepKpis, cio_db: Floats) -> Singles:
        """Returns the integral, which is the CIO in force if that can be any value, plus the corrections."""
        load, limit_db = kpis.prb_utilization, self._scenario.handover.cio_range_db
        self._in_force_db.append(cio_db)
        not_shown_db = self._in_force_db[-1] - self._in_force_db[0]
        difference = load[self._serving] - load[self._neighbor] - self._rule.discount_per_db * not_shown_db
        before_db = cio_db if self._is_cio else self._integral_db
        self._integral_db, wanted_db = self._rule.follow(difference, before_db, limit_db)
        return action_from_cio(self._scenario, wanted_db).astype(np.float32)
