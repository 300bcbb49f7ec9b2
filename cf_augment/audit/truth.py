"""Counterfactual traces against what the simulator says would have been: loads of cells, and which action is best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cf_augment.agreement.rankings import kendall
from cf_augment.physics import Engine
from ns3_scenarios.mdp import reward
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.seeds import stream
from sumo_mobility.trace import MobilityTrace


class Played(NamedTuple):
    """A trace as the network meets it, in K control intervals and C cells.

    Attributes:
        load: PRB utilisation with all CIOs at 0 dB, (K, C).
        ue_share: Share of the UEs that each cell has then, (K, C).
        reward: Mean reward of each constant action, (A,).
    """

    load: Floats
    ue_share: Floats
    reward: Floats

    @property
    def states(self) -> Floats:
        """Loads and shares of each interval, (K, 2 C)."""
        return np.concatenate([self.load, self.ue_share], axis=1)


class Network:
    """Plays traces in the engine, each under constant CIOs.

    Args:
        scenario: The scenario; one that the engine mirrors.
        actions: How many constant CIOs are tried.
        seed: Of the CIOs, which are uniform over their range.
    """

    def __init__(self, scenario: Scenario, actions: int, seed: int) -> None:
        self._scenario, self._engine = scenario, Engine(scenario)
        limit_db = scenario.handover.cio_range_db
        random = stream(seed, "audit", "actions")
        drawn_db = random.uniform(-limit_db, limit_db, (actions, len(scenario.neighbor_pairs)))
        self._cio_db = np.concatenate([np.zeros((1, drawn_db.shape[1])), drawn_db])

    def play(self, trace: MobilityTrace) -> Played:
        """Returns what the network makes of a trace.

        Raises:
            DataError: the trace has another number of UEs than the scenario, or is shorter than its episode.
        """
        count, steps = len(self._cio_db), self._scenario.episode.steps
        position_m = np.repeat(self._engine.positions(trace)[None], count, axis=0)
        kpis = self._engine.rollout(position_m, np.repeat(self._cio_db[:, None], steps, axis=1))
        earned = reward(self._scenario, kpis)[:, 1:].mean(axis=1)
        share = kpis.connected_ues[0, 1:] / self._scenario.mobility.ues
        return Played(kpis.prb_utilization[0, 1:], share, earned[1:])


def load_error(truth: Played, guess: Played) -> float:
    """Returns the mean absolute error of the cells' loads over all intervals, in % of their mean; NaN of no load."""
    mean = float(truth.load.mean())
    return 100 * float(np.abs(guess.load - truth.load).mean()) / mean if mean > 0 else math.nan


def share_error(truth: Played, guess: Played) -> float:
    """Returns the mean absolute error of the cells' shares of the UEs over all intervals, in % of all UEs."""
    return 100 * float(np.abs(guess.ue_share - truth.ue_share).mean())


def ranking(truth: Played, guess: Played) -> float:
    """Returns Kendall's tau-b of the constant actions by their rewards; NaN where the truth knows no best."""
    return kendall(truth.reward, guess.reward)


def distances_m(one: MobilityTrace, other: MobilityTrace) -> Floats:
    """Returns how far each UE is from itself in another trace of the same UEs and times, (T, U)."""
    return np.linalg.norm(one.position_m - other.position_m, axis=-1)


def mean_known(values: Sequence[float]) -> float:
    """Returns the mean of the values that are not NaN; NaN if none is."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
