"""Rules of the literature that set offsets by the loads of cells, as the baselines of policies that learn.

Each has the values of its source as defaults, so that it can be used plain, and declares the SEARCH of `py_agent.tune`,
so that it can be tuned: a baseline that was not tuned to the network says little.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ns3_scenarios.grids import CIO_GRID
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import action_from_cio
from ns3_scenarios.scenario import Scenario
from py_agent.policies.base import Search
from sumo_mobility.base.arrays import Floats, Singles
from sumo_mobility.base.errors import ConfigError


class LoadRule:
    """A rule that says which CIO each neighbour pair is to have, given the last report.

    CIO_ij is the offset that neighbour j has in event A3 while cell i serves: if it is raised, UEs leave i for j. What
    the form of the action cannot express becomes the nearest that it can, in least squares, and what is beyond
    handover.cio_range_db becomes its end. A rule that goes by steps remembers the CIO that it wants, so that steps
    which are smaller than those of a standard grid add up. None of them makes up for late reports.

    Args:
        scenario: The scenario.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._serving, self._neighbor = np.array(scenario.neighbor_pairs).T
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Begins an episode with no offsets; nothing is drawn."""

    def act(self, observation: Singles, kpis: StepKpis, cio_db: Floats) -> Singles:
        """Returns the action of the CIO that the rule wants."""
        return action_from_cio(self._scenario, self._wanted_db(kpis)).astype(np.float32)

    def _wanted_db(self, kpis: StepKpis) -> Floats:
        """Returns the CIO of each pair in dB, (E,)."""
        raise NotImplementedError

    def _difference(self, of_cell: Floats) -> Floats:
        """The value (C,) of the serving cell of each pair less that of its neighbour, (E,)."""
        return of_cell[self._serving] - of_cell[self._neighbor]


class SonStep(LoadRule):
    """The classic load balancing of self-organising networks: steps away from overloaded cells, half steps back.

    With the PRB utilisation l of the last interval, for each pair (i, j): if l_i > overload and l_i - l_j > margin,
    CIO_ij grows by step_db and CIO_ji falls by as much. If neither of the two cells is relieved so, and
    |l_i - l_j| < balance, both go back by step_db / 2 towards 0 dB. All are within handover.cio_range_db.

    It stands for a family of rules, of which Lobinger, Stefanski, Jansen and Balan, "Load balancing in downlink LTE
    self-optimizing networks", IEEE VTC 2010 Spring, is the best known. They differ in details, with thresholds of
    0.7 to 0.8, margins of 0.1 to 0.2 and steps of 0.5 to 1 dB; this form is the testbed's own, and so is `balance`. The
    default step is the smallest of Q-OffsetRange (TS 36.331 6.3.4).

    Args:
        scenario: The scenario.
        overload: PRB utilisation above which a cell is relieved, 0 to 1.
        margin: Difference of the PRB utilisations above which a neighbour takes UEs, 0 to 1.
        step_db: Step of the CIO in dB for each control interval, 0.001 to 48.
        balance: Difference of the PRB utilisations below which the offsets go back, 0 to 1; at 0 they never do.

    Raises:
        ConfigError: a parameter is out of range.
    """

    SEARCH: ClassVar[Search] = Search(
        {
            "step_db": (0.125, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 12.0),
            "overload": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
            "margin": (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3),
            "balance": (0.0, 0.02, 0.05, 0.1, 0.2, 0.3),
        }
    )

    def __init__(
        self,
        scenario: Scenario,
        overload: float = 0.7,
        margin: float = 0.1,
        step_db: float = 1.0,
        balance: float = 0.05,
    ) -> None:
        for name, value in (("overload", overload), ("margin", margin), ("balance", balance)):
            _check("son-step", name, value, 0, 1)
        _check("son-step", "step_db", step_db, 1e-3, 48)
        self._overload, self._margin, self._step_db, self._balance = overload, margin, step_db, balance
        super().__init__(scenario)

    def reset(self, seed: int) -> None:
        """See `LoadRule.reset`."""
        self._cio_db = np.zeros(len(self._serving))

    def _wanted_db(self, kpis: StepKpis) -> Floats:
        load, difference = kpis.prb_utilization, self._difference(kpis.prb_utilization)
        out = (load[self._serving] > self._overload) & (difference > self._margin)
        back = (load[self._neighbor] > self._overload) & (-difference > self._margin)
        relaxed_db = np.sign(self._cio_db) * np.maximum(np.abs(self._cio_db) - self._step_db / 2, 0)
        rests = ~out & ~back & (np.abs(difference) < self._balance)
        stepped_db = np.where(rests, relaxed_db, self._cio_db + self._step_db * (1.0 * out - back))
        limit_db = self._scenario.handover.cio_range_db
        self._cio_db = np.clip(stepped_db, -limit_db, limit_db)
        return self._cio_db


class OnosMlb(LoadRule):
    """The steps of the xApp onos-mlb of the Open Networking Foundation's SD-RAN.

    The load of a cell is its share of the connected UEs, in whole per cent, rounded up. Every `period_steps` control
    intervals, for each cell i: if its load is below `target` and below `overload`, the offsets Ocn_ij of all its
    neighbours j fall by `delta_steps`; else, if it is above `overload`, those of the neighbours whose load is below
    `target` grow by as much. Ocn_ij is the CIO_ij of this testbed. Steps are those of Q-OffsetRange (TS 36.331 6.3.4),
    1 dB up to 6 dB and 2 dB beyond; offsets stay within handover.cio_range_db, where the xApp has 24 dB.

    The defaults are those with which the xApp is shipped (github.com/onosproject/onos-mlb, pkg/controller/handler.go
    and cmd/onos-mlb/onos-mlb.go): three steps, every 10 s, which are ten control intervals of 1 s. With them it does
    nothing, for no load is below 0 % or above 100 %: its operator has to set the thresholds, or `mlb tune` finds them.

    Args:
        scenario: The scenario.
        overload: Share of the UEs in per cent above which a cell is relieved, 0 to 100.
        target: Share of the UEs in per cent below which a cell takes and keeps UEs, 0 to 100.
        delta_steps: Values of Q-OffsetRange by which an offset changes, 1 to 30.
        period_steps: Control intervals from one change to the next, the first of which is the warm-up, 1 to 1,000,000.

    Raises:
        ConfigError: a parameter is out of range.
    """

    SEARCH: ClassVar[Search] = Search(
        {
            "overload": (5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 50.0, 60.0, 80.0, 100.0),
            "target": (0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 50.0, 60.0, 80.0, 100.0),
            "delta_steps": (1, 2, 3, 4, 6),
            "period_steps": (1, 2, 3, 5, 10, 20),
        },
        # While one threshold is its default, no value of the other relieves a cell; a target of 0 is what is shipped.
        start={"overload": 25.0, "target": 25.0},
    )

    def __init__(
        self,
        scenario: Scenario,
        overload: float = 100.0,
        target: float = 0.0,
        delta_steps: int = 3,
        period_steps: int = 10,
    ) -> None:
        for name, value, low, high in (
            ("overload", overload, 0, 100), ("target", target, 0, 100),
            ("delta_steps", delta_steps, 1, 30), ("period_steps", period_steps, 1, 1_000_000),
        ):  # fmt: skip
            _check("onos-mlb", name, value, low, high)
        self._overload, self._target = overload, target
        self._delta_steps, self._period_steps = delta_steps, period_steps
        limit_db = scenario.handover.cio_range_db
        self._offsets_db = np.array([value for value in CIO_GRID.values if abs(value) <= limit_db], dtype=np.float64)
        super().__init__(scenario)

    def reset(self, seed: int) -> None:
        """See `LoadRule.reset`."""
        self._reports = 0
        self._index = np.full(len(self._serving), len(self._offsets_db) // 2)  # the middle one is 0 dB

    def _wanted_db(self, kpis: StepKpis) -> Floats:
        self._reports += 1
        if self._reports % self._period_steps == 0:
            ues = kpis.connected_ues
            load = np.ceil(100 * ues / max(ues.sum(), 1) - 1e-9)
            serving, neighbor = load[self._serving], load[self._neighbor]
            keeps = (serving < self._target) & (serving < self._overload)
            gives = ~keeps & (serving > self._overload) & (neighbor < self._target)
            index = self._index + self._delta_steps * (1 * gives - keeps)
            self._index = np.clip(index, 0, len(self._offsets_db) - 1)
        return self._offsets_db[self._index]


class ReBuHa(LoadRule):
    """Handover by resource block utilisation: to the cell with the best RSRP less a penalty on its load.

    A UE is to be served by the cell c of the greatest RSRP_c - weight_db * l_c, with the PRB utilisation l of the last
    interval. Event A3 hands it over from i to j once RSRP_j + CIO_ij exceeds RSRP_i by the hysteresis; so the rule is
    CIO_ij = weight_db * (l_i - l_j), with the hysteresis as the margin that the better cell needs. It is a map from the
    loads to the offsets without memory: once loads are even the offsets are gone, where those of `integral` stay. In
    fact it is the proportional part of that rule alone, `integral:gain_db=0,proportional_db=WEIGHT,discount_per_db=0`.

    ReBuHa is a baseline of Iturria-Rivera and Erol-Kantarci, "QoS-aware load balancing in wireless networks using
    clipped double Q-learning", arXiv 2107.04207, among others. That the penalty is linear, and how great it is, is the
    testbed's own definition: by default a full cell counts 6 dB less than an empty one, the usual range of a CIO.

    Args:
        scenario: The scenario.
        weight_db: Penalty in dB for a PRB utilisation of 1, 0 to 1000.

    Raises:
        ConfigError: the weight is out of range.
    """

    SEARCH: ClassVar[Search] = Search({"weight_db": (0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0)})

    def __init__(self, scenario: Scenario, weight_db: float = 6.0) -> None:
        _check("rebuha", "weight_db", weight_db, 0, 1000)
        self._weight_db = weight_db
        super().__init__(scenario)

    def _wanted_db(self, kpis: StepKpis) -> Floats:
        return self._weight_db * self._difference(kpis.prb_utilization)


class CmfMap(LoadRule):
    """The table from the load of a cell to its offset of the O-RAN conflict mitigation framework's load balancing.

    The loads above `threshold` are cut into `steps` bands of equal width, and a cell in the n-th of them has an offset
    of n * step_db; one at or below the threshold has none. The offset of a cell makes its UEs leave, and others stay
    away: CIO_ij is the offset of i less that of j. The rule has no memory.

    The defaults are the table of C. Adamczyk and A. Kliks, "Conflict mitigation framework and conflict detection in
    O-RAN near-RT RIC", IEEE Communications Magazine 2023, as github.com/czezy/O-RAN_CMF_CM2023 has it: 0 dB up to
    45.45 %, then 0.5 dB more for each 9.09 %, up to 3 dB. Load is the PRB utilisation here. The table has one offset
    a cell; that it counts on both sides of a border is the testbed's reading, without which two cells that are equally
    full would hand UEs to and fro.

    Args:
        scenario: The scenario.
        threshold: PRB utilisation up to which a cell has no offset, 0 to 0.99.
        steps: Number of bands above it, 1 to 1000.
        step_db: Offset in dB for each band, 0 to 48.

    Raises:
        ConfigError: a parameter is out of range.
    """

    SEARCH: ClassVar[Search] = Search(
        {
            "step_db": (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 12.0),
            "threshold": (0.0, 0.1, 0.2, 0.3, 0.4, 0.4545, 0.5, 0.6, 0.7, 0.8, 0.9),
            "steps": (1, 2, 3, 4, 6, 8, 12, 24),
        }
    )

    def __init__(self, scenario: Scenario, threshold: float = 0.4545, steps: int = 6, step_db: float = 0.5) -> None:
        _check("cmf-map", "threshold", threshold, 0, 0.99)
        _check("cmf-map", "steps", steps, 1, 1000)
        _check("cmf-map", "step_db", step_db, 0, 48)
        self._threshold, self._steps, self._step_db = threshold, steps, step_db
        super().__init__(scenario)

    def _wanted_db(self, kpis: StepKpis) -> Floats:
        share = (kpis.prb_utilization - self._threshold) / (1 - self._threshold)
        band = np.clip(np.ceil(self._steps * share), 0, self._steps)
        return self._difference(self._step_db * band)


def _check(policy: str, name: str, value: float, low: float, high: float) -> None:
    """Refuses a parameter beyond its range, and NaN."""
    if not low <= value <= high:
        raise ConfigError(f"policy {policy}: {name} is {value:g}, must be {low:g} to {high:g}")
