"""Where a planner takes the UEs to go: each future a class that is registered in FUTURES."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.base.registry import Registry
from sumo_mobility.trace import MobilityTrace


class Future(ABC):
    """What is expected of the UEs in an episode, from what is reported of it.

    Attributes:
        name: How the policy's parameter writes it, as in planner:future=frozen.
    """

    name: ClassVar[str]

    def __init__(self, scenario: Scenario) -> None:
        self.reset(0)

    def reset(self, seed: int) -> None:  # noqa: B027 (most remember nothing)
        """Begins an episode; all randomness comes from `seed`."""

    def foresee(self, trace: MobilityTrace | None) -> None:  # noqa: B027 (most do not listen)
        """Is told the mobility of the episode before it begins; None where nobody knows it."""

    @abstractmethod
    def positions_m(self, kpis: StepKpis, times_s: Floats) -> Floats | None:
        """Returns where the UEs will be, in one future or several that are as likely as each other.

        Args:
            kpis: What is reported now, whose `time_s` says of when; each report of an episode is given once or more, in
                order of time.
            times_s: (T,) trace times after that.

        Returns:
            (K, T, U, 2) in trace coordinates in K futures; None if the UEs stand where they are reported.
        """


FUTURES: Registry[type[Future]] = Registry("future")
"""All futures by name."""


class Frozen(Future):
    """The UEs stand still, and receive for ever what they have reported."""

    name = "frozen"

    def positions_m(self, kpis: StepKpis, times_s: Floats) -> None:
        """Returns None."""


FUTURES.register(Frozen)


class DeadReckoning(Future):
    """Each UE goes straight on at its last velocity, that between its places in the last two reports.

    The rectangle that the network covers reaches beyond its outermost sites by half of the greatest distance from a
    site to its nearest neighbour. At its edge, or where it was reported if that is farther out, a UE turns along the
    edge: it loses the part of its velocity that leads outwards. UEs of which there is one report only stand still.

    Args:
        scenario: The scenario, whose cells say where the network is.
    """

    name = "dead-reckoning"

    def __init__(self, scenario: Scenario) -> None:
        sites_m = np.unique([(cell.x_m, cell.y_m) for cell in scenario.cells], axis=0)
        apart_m = np.linalg.norm(sites_m[:, None] - sites_m, axis=-1)
        np.fill_diagonal(apart_m, np.inf)
        margin_m = apart_m.min(axis=1).max() / 2 if len(sites_m) > 1 else np.inf
        self._low_m, self._high_m = sites_m.min(axis=0) - margin_m, sites_m.max(axis=0) + margin_m
        super().__init__(scenario)

    def reset(self, seed: int) -> None:
        """Forgets the reports."""
        self._last: StepKpis | None = None
        self._velocity_mps: float | Floats = 0.0

    def positions_m(self, kpis: StepKpis, times_s: Floats) -> Floats:
        """See `Future.positions_m`; one future."""
        here_m = kpis.ue_position_m
        if self._last is not None and kpis.time_s > self._last.time_s:
            self._velocity_mps = (here_m - self._last.ue_position_m) / (kpis.time_s - self._last.time_s)
        self._last = kpis
        ahead_m = here_m + self._velocity_mps * (times_s - kpis.time_s)[:, None, None]
        inside_m = np.clip(ahead_m, np.minimum(self._low_m, here_m), np.maximum(self._high_m, here_m))
        return np.asarray(inside_m[None])


FUTURES.register(DeadReckoning)


class TrueFuture(Future):
    """What will be: the mobility of the episode, as only an evaluation on recorded traces knows it."""

    name = "true"
    _trace: MobilityTrace | None = None

    def foresee(self, trace: MobilityTrace | None) -> None:
        """Remembers the trace."""
        self._trace = trace

    def positions_m(self, kpis: StepKpis, times_s: Floats) -> Floats:
        """See `Future.positions_m`; one future.

        Raises:
            ConfigError: it was not told the trace.
        """
        if self._trace is None:
            raise ConfigError(
                "planner: future=true needs the trace of the episode, and there is none here",
                "play it on recorded traces, as mlb evaluate does, or choose future=dead-reckoning",
            )
        return self._trace.position_at(times_s)[None]


FUTURES.register(TrueFuture)
