"""The coming interval, as it is to be expected: for policies that search it, and for those that are shown it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from cf_augment.physics import Engine, WhatIf
from ns3_scenarios.kpis import KPI_AXES, StepKpis
from ns3_scenarios.mdp import observe
from ns3_scenarios.scenario import Scenario
from py_agent.policies.base import Policy
from py_agent.policies.futures import Future
from sumo_mobility.base.arrays import Floats, Singles
from sumo_mobility.trace import MobilityTrace

MOMENTS = 5
"""Parts of an interval, in the midst of which it is looked at where a policy is shown it."""


class Outlook(NamedTuple):
    """One future of the coming interval.

    Attributes:
        kpis: The state at its beginning.
        position_m: (S, U, 2) where the UEs are in each of S equal parts of it; None: where they stand.
    """

    kpis: StepKpis
    position_m: Floats | None = None


class Outlooks:
    """The futures of the coming interval in an episode.

    Where reports are late, it is first predicted through the intervals that they do not show, under the CIO that was in
    force then.

    Args:
        scenario: The scenario.
        future: Where the UEs go.
        what_if: Of the scenario's engine.
        most_parts: Into how many parts an interval is cut; but none is shorter than a second.
    """

    def __init__(self, scenario: Scenario, future: Future, what_if: WhatIf, most_parts: int) -> None:
        self._delay = scenario.reports.delay_intervals
        self._interval_s = scenario.episode.control_interval_s
        self._parts = int(np.clip(np.ceil(self._interval_s), 1, most_parts))
        self._future, self._what_if = future, what_if
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Begins an episode."""
        self._future.reset(seed)
        # Of the interval that is reported, and of all later ones.
        self._in_force_db: deque[Floats] = deque(maxlen=self._delay + 1)

    def foresee(self, trace: MobilityTrace | None) -> None:
        """See `Clairvoyant.foresee`."""
        self._future.foresee(trace)

    def of(self, kpis: StepKpis, cio_db: Floats) -> list[Outlook]:
        """Returns the futures; to be called once an interval.

        Args:
            kpis: What is reported.
            cio_db: (E,) CIO that was in force during the last interval, of which the report need not be.
        """
        self._in_force_db.append(np.asarray(cio_db))
        not_shown_db = list(self._in_force_db)[1:]
        intervals = len(not_shown_db) + 1
        ahead_s = middles_s(self._interval_s, self._parts, intervals)
        position_m = self._future.positions_m(kpis, kpis.time_s + ahead_s)
        if position_m is None:
            ways: list[list[Floats | None]] = [[None] * intervals]
        else:
            ways = [np.split(way_m, intervals) for way_m in position_m]
        outlooks = []
        for *passed, coming in ways:
            state = kpis
            for way_m, held_db in zip(passed, not_shown_db, strict=True):
                state = self._what_if(state, held_db, way_m).at(0)
            outlooks.append(Outlook(state, coming))
        return outlooks


def middles_s(interval_s: float, parts: int, intervals: int = 1) -> Floats:
    """Returns the middle of each of the equal parts of some intervals, in s from the first's beginning."""
    return interval_s * (np.arange(intervals * parts) + 0.5) / parts


class View:
    """What a policy is shown of an interval that has not been: observations of moments in it.

    In each moment the UEs are at another place and receive what they would there; all else is the state at the
    interval's beginning, with the cells that serve them then.

    Args:
        engine: The engine of the scenario, of which the radio is used.
    """

    def __init__(self, engine: Engine) -> None:
        self._scenario, self._radio = engine.scenario, engine.radio

    def of(self, kpis: StepKpis, position_m: Floats, cio_db: Floats) -> tuple[Singles, Floats]:
        """Returns the observations (B, M, O) of B intervals, and the RSRP in dBm (B, M, U, C).

        Args:
            kpis: (B, ...) at the intervals' beginnings.
            position_m: (B, M, U, 2) where the UEs are in M moments.
            cio_db: (B, E) CIO in force before.
        """
        rsrp = self._radio.rsrp_dbm(self._radio.local(torch.from_numpy(np.ascontiguousarray(position_m))))
        rsrp_dbm = rsrp.mT.cpu().numpy().astype(np.float64)
        shape = rsrp_dbm.shape[:2]
        still = {name: getattr(kpis, name)[:, None] for name in KPI_AXES}
        arrays = {name: np.broadcast_to(value, (*shape, *value.shape[2:])) for name, value in still.items()}
        shown = StepKpis(**arrays | {"ue_position_m": position_m, "ue_rsrp_dbm": rsrp_dbm}, events=kpis.events[:0])
        observed = observe(self._scenario, shown, np.broadcast_to(cio_db[:, None], (*shape, cio_db.shape[-1])))
        return observed, rsrp_dbm


class Anticipating:
    """A policy that is shown the coming interval, as it is to be expected, in place of the last report.

    It sees the mean of the observations of some moments of the interval, over all its futures.

    Args:
        scenario: The scenario.
        future: Where the UEs go.
        around: The policy.

    Raises:
        ConfigError: the scenario's physics know no what-if; see `WhatIf`.
    """

    def __init__(self, scenario: Scenario, future: Future, around: Policy) -> None:
        engine = Engine(scenario)
        self._scenario, self._around, self._view = scenario, around, View(engine)
        self._outlooks = Outlooks(scenario, future, WhatIf(engine), MOMENTS)

    def reset(self, seed: int) -> None:
        """Begins an episode."""
        self._outlooks.reset(seed)
        self._around.reset(seed)

    def foresee(self, trace: MobilityTrace | None) -> None:
        """See `Clairvoyant.foresee`."""
        self._outlooks.foresee(trace)

    def act(self, observation: Singles, kpis: StepKpis, cio_db: Floats) -> Singles:
        """Returns the policy's action in view of the coming interval.

        Raises:
            ConfigError: the future needs the trace, and was not told it.
        """
        outlooks = self._outlooks.of(kpis, cio_db)
        return self._around.act(self._expected(outlooks, np.asarray(cio_db)), kpis, cio_db)

    def _expected(self, outlooks: Sequence[Outlook], cio_db: Floats) -> Singles:
        """Returns the mean observation (O,) of the moments of all futures."""
        ways = [way_m for _, way_m in outlooks if way_m is not None]
        states = StepKpis(
            **{name: np.stack([getattr(state, name) for state, _ in outlooks]) for name in KPI_AXES},
            events=outlooks[0].kpis.events[:0],
        )
        in_force_db = np.broadcast_to(cio_db, (len(outlooks), len(cio_db)))
        if not ways:  # they stand where they are
            return np.asarray(observe(self._scenario, states, in_force_db).mean(axis=0))
        observed, _ = self._view.of(states, np.stack(ways), in_force_db)
        return np.asarray(observed.mean(axis=(0, 1)))
