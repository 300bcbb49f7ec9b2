"""The contract of a back end: a network that is simulated an interval at a time, and what it may be told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from operator import attrgetter
from typing import ClassVar, Self

import numpy as np

from ns3_scenarios.backends import BACKENDS
from ns3_scenarios.bridge.event_log import EventLog
from ns3_scenarios.control import Control
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.base.system import NS3
from sumo_mobility.trace import Mobility, MobilityTrace


class Backend(ABC):
    """A network that can be controlled, an episode at a time and in it an interval at a time.

    Whoever adds one writes `_begin`, `_advance`, `_futures` and `_end`; the order in which they may be called, and what
    they may be called with, is seen to here.

    Attributes:
        name: How options, presets and files write it.
        has: By the path of a field of the scenario, the values that it mirrors, where those are not all.
        is_baseline: Whether it passes over what it does not know, and so stands in for no other back end.
        scenario: What is simulated.

    Raises:
        ConfigError: the scenario has a value that the back end does not mirror; names the back ends that do.
    """

    name: ClassVar[str]
    has: ClassVar[Mapping[str, tuple[object, ...]]] = {}
    is_baseline: ClassVar[bool] = False

    def __init__(self, scenario: Scenario) -> None:
        require(scenario, self.name, self.has)
        self.scenario = scenario
        self._mobility: Mobility | None = None
        self._steps_done = 0

    @classmethod
    def open(cls, scenario: Scenario, ns3: str = NS3, event_log: EventLog | None = None) -> Self:
        """Returns a back end for a scenario.

        Args:
            scenario: What to simulate.
            ns3: Version of ns-3, for those that run it.
            event_log: Where events and DCIs are left, for those that have DCIs.

        Raises:
            ConfigError: the back end does not mirror the scenario, or has no DCIs.
        """
        if event_log is not None:
            raise ConfigError(f"event log: the back end {cls.name} has no DCIs to log", "use the back end ns3")
        return cls(scenario)

    def reset(self, trace: Mobility, seed: int) -> StepKpis:
        """Starts an episode, runs the warm-up with all CIO at 0 dB and the scenario's hysteresis and time
        to trigger, and returns the KPIs at trace time 0.

        `seed` feeds the network's own randomness (packet phases, random access), not the mobility. Where the UEs are
        in an interval, live traffic is asked at its beginning; it gives the KPIs of its trace, bit for bit.

        Raises:
            DataError: the trace does not fit the scenario.
            SimulatorError: the simulator or live traffic failed.
        """
        self.close()
        check_trace(self.scenario, trace)
        self._mobility, self._steps_done = trace, 0
        try:
            return self._begin(trace, seed)
        except BaseException:
            self.close()
            raise

    def step(self, control: Control | Floats) -> StepKpis:
        """Sets the CIO of every neighbour pair and what else is steered, and runs one control interval.

        A cell for which something changes reconfigures its UEs: their time to trigger begins anew (5.5.2.5, 5.5.2.7).

        Args:
            control: The control, without batch dimensions; or the CIO of every neighbour pair in dB (E,), where the
                rest is the scenario's own.

        Raises:
            ConfigError: the control is refused, and the episode can go on; or it has ended, or not begun.
            SimulatorError: the simulator or live traffic failed; the episode is lost.
        """
        trace, steps = self._running(), self.scenario.episode.steps
        if self._steps_done == steps:
            raise ConfigError(f"{self.name}: the episode has ended after {steps} steps", "call reset()")
        checked = Control.checked(self.scenario, control)
        if checked.cio_db.ndim != 1:
            raise ConfigError(f"action: {checked.cio_db.shape} values, but those of one step are needed")
        try:
            kpis = self._advance(trace, self._steps_done, checked)
        except BaseException:
            self.close()
            raise
        self._steps_done += 1
        return kpis

    def branch(self, control: Control | Floats) -> list[list[StepKpis]]:
        """Returns what the next steps would yield under other controls, without taking any of them.

        Args:
            control: What step() takes at each of the next H steps, for K branches; with batch dimensions (K, H).

        Returns:
            The KPIs of the H steps of each branch, equal to those that step() would return.

        Raises:
            ConfigError: the control or the horizon is refused, or the traffic is live, and the episode can go on; or
                none is running.
            SimulatorError: a branch failed, and the episode can go on; or the simulator did, and it is lost.
        """
        trace, left = self._running(), self.scenario.episode.steps - self._steps_done
        return self._futures(trace, self._steps_done, checked_branches(self.scenario, trace, control, left))

    def close(self) -> None:
        """Ends the episode and frees its processes; may be called twice."""
        self._mobility = None
        self._end()

    def _running(self) -> Mobility:
        if self._mobility is None:
            raise ConfigError(f"{self.name}: no episode is running", "call reset() first")
        return self._mobility

    @abstractmethod
    def _begin(self, trace: Mobility, seed: int) -> StepKpis:
        """Starts an episode, and returns what the last interval of the warm-up yields."""

    @abstractmethod
    def _advance(self, trace: Mobility, step: int, control: Control) -> StepKpis:
        """Runs the interval after `step` steps under a control that has been checked."""

    @abstractmethod
    def _futures(self, trace: Mobility, step: int, control: Control) -> list[list[StepKpis]]:
        """Returns what `branch` does for controls (K, H) that have been checked, after `step` steps."""

    def _end(self) -> None:  # noqa: B027 - most have nothing to free
        """Frees what an episode holds, if one is running."""


def require(scenario: Scenario, name: str, has: Mapping[str, tuple[object, ...]]) -> None:
    """Checks that a back end mirrors a scenario.

    Args:
        scenario: The scenario.
        name: Name of the back end.
        has: As `Backend.has`.

    Raises:
        ConfigError: it does not; names the field, what there is instead, and the back ends that do mirror it.
    """
    for field, known in has.items():
        value = attrgetter(field)(scenario)
        if value not in known:
            kinds = [kind.load() for kind in BACKENDS.values()]
            others = [kind.name for kind in kinds if not kind.is_baseline and value in kind.has.get(field, (value,))]
            cure = f"use the back end {' or '.join(others)}" if others else f"change {field}"
            raise ConfigError(
                f"{field}: the back end {name} has no {_shown(value)}, only {' and '.join(map(_shown, known))}", cure
            )


def _shown(value: object) -> str:
    return f"[{', '.join(value)}]" if isinstance(value, tuple) else f"'{value}'"


def checked_branches(scenario: Scenario, trace: Mobility, control: Control | Floats, steps_left: int) -> Control:
    """Returns the controls (K, H) of Backend.branch.

    Raises:
        ConfigError: live traffic, wrong shape, more steps than the episode has left, or what Control.checked refuses.
    """
    if not isinstance(trace, MobilityTrace):
        raise ConfigError(
            "branch: the traffic is live, and SUMO cannot be copied",
            "branch on the offline trace: make_env without live, or trace() of what was driven",
        )
    shape = np.shape(control.cio_db if isinstance(control, Control) else control)
    if len(shape) != 3 or 0 in shape:
        raise ConfigError(f"branch: control of shape {shape}, but (branches, steps, values of a step) is needed")
    if shape[1] > steps_left:
        raise ConfigError(f"branch: a horizon of {shape[1]} steps, but the episode has only {steps_left} left")
    return Control.checked(scenario, control)


def check_trace(scenario: Scenario, trace: Mobility) -> None:
    """Raises DataError if the trace has other UEs than the scenario, or is shorter than its episode."""
    if trace.ues != scenario.mobility.ues:
        raise DataError(f"trace: {trace.ues} UEs, but mobility.ues of {scenario.id} is {scenario.mobility.ues}")
    if trace.duration_s < scenario.episode.duration_s - 1e-6:
        raise DataError(
            f"trace: {trace.duration_s:g} s long, but an episode of {scenario.id} has {scenario.episode.duration_s:g} s"
        )
