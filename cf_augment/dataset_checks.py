"""What files of episodes must agree in: values that exist, and what follows from others computed again."""

from __future__ import annotations

import numpy as np

from ns3_scenarios.kpis import KPI_AXES, EventKind, StepKpis
from ns3_scenarios.mdp import cio_from_action, observe, reward
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Bools, Ints, Singles
from sumo_mobility.base.errors import DataError
from sumo_mobility.trace import MobilityTrace

_OFF_TRACE_M = 0.01
"""How far the position that a back end reports may be from the trace; ns-3 is told coordinates to 1e-6 m."""
_RELATIVE, _ABSOLUTE = 1e-5, 1e-6
"""How far float32 values may differ that another machine computed from the same KPIs."""


def check_kpis(kpis: StepKpis) -> None:
    """Raises DataError unless rows of KPIs (R, ...) and their events are finite, and of cells and UEs that exist."""
    ues, cells = kpis.ue_rsrp_dbm.shape[1:]
    for name in KPI_AXES:
        values = getattr(kpis, name)
        _require(f"kpis/{name}", values, np.isfinite(values), "a finite number")
    _require_within("kpis/ue_serving_cell", kpis.ue_serving_cell, -1, cells - 1)
    events = kpis.events
    _require("kpis/events/time_s", events["time_s"], np.isfinite(events["time_s"]), "a finite number")
    _require_within("kpis/events/ue", events["ue"], 0, ues - 1)
    _require_within("kpis/events/source_cell", events["source_cell"], -1, cells - 1)
    _require_within("kpis/events/target_cell", events["target_cell"], -1, cells - 1)
    _require_within("kpis/events/kind", events["kind"], min(EventKind), max(EventKind))


def check_positions(kpis: StepKpis, trace: MobilityTrace, rows: slice | Ints) -> None:
    """Raises DataError unless the UEs of some rows of KPIs are where the trace has them at that time."""
    off_m = np.abs(kpis.ue_position_m[rows] - trace.position_at(kpis.time_s[rows])).max(axis=-1)
    index, ue = np.unravel_index(int(off_m.argmax()), off_m.shape)
    if off_m[index, ue] > _OFF_TRACE_M:
        row = np.arange(len(kpis.time_s))[rows][index]
        raise DataError(f"kpis/ue_position_m[{row}, {ue}]: is {off_m[index, ue]:.2f} m off the trace of its episode")


def check_derived(scenario: Scenario, kpis: StepKpis, first: Ints, arrays: dict[str, Singles]) -> None:
    """Checks times, observations and rewards against what the scenario yields from the KPIs and actions.

    Args:
        scenario: The scenario.
        kpis: Rows of KPIs (R, ...) of E episodes, the first of each being its reset.
        first: (E + 1,) the first row of each episode, and R.
        arrays: The flat arrays of D4RL, R - E rows each.

    Raises:
        DataError: names the first value that differs.
    """
    is_reset = np.isin(np.arange(first[-1]), first[:-1])
    before_reset = np.isin(np.arange(first[-1]), first[1:] - 1)
    step = np.arange(first[-1]) - np.repeat(first[:-1], np.diff(first))
    _require_equal("kpis/time_s", kpis.time_s, step * scenario.episode.control_interval_s)
    in_force = np.zeros((first[-1], arrays["actions"].shape[1]))
    in_force[~is_reset] = arrays["actions"]
    observations = observe(scenario, kpis, cio_from_action(scenario, in_force))
    _require_equal("observations", arrays["observations"], observations[~before_reset])
    _require_equal("next_observations", arrays["next_observations"], observations[~is_reset])
    _require_equal("rewards", arrays["rewards"], reward(scenario, kpis)[~is_reset])


def _require_equal(name: str, values: np.ndarray, expected: np.ndarray) -> None:
    close = np.abs(values - expected) <= _ABSOLUTE + _RELATIVE * np.abs(expected)  # not so where one is NaN
    _require(name, values, close, "what follows from the KPIs and the scenario")


def _require_within(name: str, values: np.ndarray, low: int, high: int) -> None:
    _require(name, values, (values >= low) & (values <= high), f"within {low} to {high}")


def _require(name: str, values: np.ndarray, good: Bools, what: str) -> None:
    """Raises DataError that names the first value that is not good."""
    if not good.all():
        where = tuple(int(index) for index in np.argwhere(~good)[0])
        raise DataError(f"{name}{list(where)}: is {values[where]}, not {what}")
