"""The contract of a back end: a network that is simulated an interval at a time, and what it may be told."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ns3_scenarios.grids import CIO_GRID, HYSTERESIS_GRID, TIME_TO_TRIGGER_GRID, Grid
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.trace import Mobility, MobilityTrace


class Backend(Protocol):
    """A network that can be controlled: the ns-3 program or the analytic engine."""

    scenario: Scenario

    def reset(self, trace: Mobility, seed: int) -> StepKpis:
        """Starts an episode, runs the warm-up with all CIO at 0 dB and the scenario's hysteresis and time
        to trigger, and returns the KPIs at trace time 0.

        `seed` feeds the network's own randomness (packet phases, random access), not the mobility. Where the UEs are
        in an interval, live traffic is asked at its beginning; it gives the KPIs of its trace, bit for bit.
        """
        ...

    def step(self, control: Floats) -> StepKpis:
        """Sets the CIO of every neighbour pair and what else is steered, and runs one control interval.

        A cell for which something changes reconfigures its UEs: their time to trigger begins anew (5.5.2.5, 5.5.2.7).

        Args:
            control: (N,) the CIO of every neighbour pair in dB; then, where handover.steer names them, the hysteresis
                of every serving cell in dB and its time to trigger in ms (TS 36.331 6.3.5).
        """
        ...

    def branch(self, control: Floats) -> list[list[StepKpis]]:
        """Returns what the next steps would yield under other controls, without taking any of them.

        Args:
            control: (K, H, N) what step() takes at each of the next H steps, for K branches.

        Returns:
            The KPIs of the H steps of each branch, equal to those that step() would return.

        Raises:
            ConfigError: the traffic is live; there is one SUMO, and it cannot be copied.
        """
        ...

    def close(self) -> None:
        """Ends the episode and frees its processes; may be called twice."""
        ...


def checked_control(scenario: Scenario, control: Floats) -> Floats:
    """Returns what Backend.step takes as float64 (..., N).

    Raises:
        ConfigError: wrong length, not finite, beyond its range, or off the standard's grid where handover.grid asks for
            it; names the component.
    """
    control = np.asarray(control, dtype=np.float64)
    handover, pairs, cells = scenario.handover, len(scenario.neighbor_pairs), len(scenario.cells)
    limit_db = handover.cio_range_db
    ranges: list[tuple[str, str, str, int, float, float, Grid]] = [
        ("CIO of pair", "dB", "handover.cio_range_db", pairs, -limit_db, limit_db, CIO_GRID)
    ]
    if "hysteresis" in handover.steer:
        field = "handover.hysteresis_range_db"
        ranges.append(("hysteresis of cell", "dB", field, cells, *handover.hysteresis_range_db, HYSTERESIS_GRID))
    if "time-to-trigger" in handover.steer:
        field, range_ms = "handover.time_to_trigger_range_ms", handover.time_to_trigger_range_ms
        ranges.append(("time to trigger of cell", "ms", field, cells, *range_ms, TIME_TO_TRIGGER_GRID))
    size = sum(count for _, _, _, count, *_ in ranges)
    if control.ndim == 0 or control.shape[-1] != size:
        more = "" if size == pairs else f" and {size - pairs} more values to steer"
        raise ConfigError(f"action: {control.shape} values, but the scenario has {pairs} neighbour pairs{more}")
    checked, start = control.copy(), 0
    for name, unit, field, count, low, high, grid in ranges:
        values = control[..., start : start + count].reshape(-1, count)
        if not np.isfinite(values).all():
            raise ConfigError(f"action: {name} {int(np.argwhere(~np.isfinite(values))[0][-1])} is not finite")
        beyond = np.maximum(values - high, low - values)
        if beyond.max(initial=0.0) > 1e-6:
            row, index = np.unravel_index(int(beyond.argmax()), beyond.shape)
            what = f"action: {name} {index} is {values[row, index]:.2f} {unit}, not within {low:g} to {high:g} {unit}"
            raise ConfigError(what, f"stay within {field}")
        signalled = handover.signalled(values, grid)
        off = np.abs(values - signalled)
        if off.max(initial=0.0) > 1e-6:
            row, index = np.unravel_index(int(off.argmax()), off.shape)
            what = f"action: {name} {index} is {values[row, index]:g} {unit}, no value of {grid.field}"
            raise ConfigError(what, f"send {signalled[row, index]:g} {unit}, or set handover.grid: continuous")
        within = np.clip(signalled, low, high)
        checked[..., start : start + count] = within.reshape(checked[..., start : start + count].shape)
        start += count
    return checked


def checked_branches(scenario: Scenario, trace: Mobility, control: Floats, steps_left: int) -> Floats:
    """Returns what Backend.branch takes as float64 (K, H, N).

    Raises:
        ConfigError: live traffic, wrong shape, more steps than the episode has left, or what checked_control refuses.
    """
    if not isinstance(trace, MobilityTrace):
        raise ConfigError(
            "branch: the traffic is live, and SUMO cannot be copied",
            "branch on the offline trace: make_env without live, or trace() of what was driven",
        )
    shape = np.shape(control)
    if len(shape) != 3 or 0 in shape:
        raise ConfigError(f"branch: control of shape {shape}, but (branches, steps, values of a step) is needed")
    if shape[1] > steps_left:
        raise ConfigError(f"branch: a horizon of {shape[1]} steps, but the episode has only {steps_left} left")
    return checked_control(scenario, control)


def check_trace(scenario: Scenario, trace: Mobility) -> None:
    """Raises DataError if the trace has other UEs than the scenario, or is shorter than its episode."""
    if trace.ues != scenario.mobility.ues:
        raise DataError(f"trace: {trace.ues} UEs, but mobility.ues of {scenario.id} is {scenario.mobility.ues}")
    if trace.duration_s < scenario.episode.duration_s - 1e-6:
        raise DataError(
            f"trace: {trace.duration_s:g} s long, but an episode of {scenario.id} has {scenario.episode.duration_s:g} s"
        )
