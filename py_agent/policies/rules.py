"""Rule-based behaviour policies and baselines."""

from __future__ import annotations

import numpy as np

from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import action_from_cio, action_size
from ns3_scenarios.scenario import Scenario
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


class IntegralRule:
    """Integral control of the load: CIO_ij += gain_db x (load_i - load_j) at each step, clipped to the range.

    While cell i carries more than its neighbour j, the offset of j grows and UEs at the border leave i. Load is
    the PRB utilisation. What it asks for is the difference of two cells, which every form of the action can express.
    Where handover.grid is standard, the integral is kept beside the CIO, which is the nearest value to it: corrections
    that are smaller than a step of the grid add up instead of being lost.

    Args:
        scenario: The scenario.
        gain_db: CIO in dB a step for a load difference of 1.
    """

    def __init__(self, scenario: Scenario, gain_db: float = 8.0) -> None:
        self._scenario = scenario
        self._gain_db = gain_db
        self._serving, self._neighbor = np.array(scenario.neighbor_pairs).T
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Begins the integral at 0."""
        self._integral_db = np.zeros(len(self._scenario.neighbor_pairs))

    def act(self, observation: Singles, kpis: StepKpis, cio_db: Floats) -> Singles:
        """Returns the integral, which is the CIO in force if that can be any value, plus the correction."""
        load, handover = kpis.prb_utilization, self._scenario.handover
        before_db = cio_db if handover.grid == "continuous" else self._integral_db
        wanted_db = before_db + self._gain_db * (load[self._serving] - load[self._neighbor])
        self._integral_db = np.clip(wanted_db, -handover.cio_range_db, handover.cio_range_db)
        return action_from_cio(self._scenario, self._integral_db).astype(np.float32)
