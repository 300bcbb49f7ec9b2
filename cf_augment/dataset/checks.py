"""Checks of episodes from files: their values must be possible, and what is derived must be that of the KPIs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cf_augment.dataset.records import actions_in_force
from ns3_scenarios.kpis import KPI_AXES, EventKind, StepKpis
from ns3_scenarios.mdp import cio_from_action, observe, reward
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Bools, Singles
from sumo_mobility.base.errors import DataError
from sumo_mobility.trace import MobilityTrace

_OFF_TRACE_M = 0.01
"""Greatest distance of a reported position from the trace; ns-3 is told coordinates to 1e-6 m."""
_RELATIVE, _ABSOLUTE = 1e-5, 1e-6
"""Tolerances of float32 values that another machine computed from the same KPIs."""


def check_kpis(kpis: StepKpis, row: int = 0, event: int = 0, measured: bool = False) -> None:
    """Checks that rows of KPIs (R, ...) and their events are finite, and of cells and UEs that exist.

    Args:
        kpis: Rows of KPIs.
        row: Number of the first row in its file.
        event: Number of the first event in its file.
        measured: Whether KPIs other than the time may be NaN, because nobody measured them.

    Raises:
        DataError: names the first value that is not.
    """
    ues, cells = kpis.ue_rsrp_dbm.shape[1:]
    for name in KPI_AXES:
        values = getattr(kpis, name)
        good = np.isfinite(values) | (np.isnan(values) if measured and name != "time_s" else False)
        _require(f"kpis/{name}", values, good, "a finite number", row)
    _require_within("kpis/ue_serving_cell", kpis.ue_serving_cell, -1, cells - 1, row)
    events = kpis.events
    _require("kpis/events/time_s", events["time_s"], np.isfinite(events["time_s"]), "a finite number", event)
    _require_within("kpis/events/ue", events["ue"], 0, ues - 1, event)
    _require_within("kpis/events/source_cell", events["source_cell"], -1, cells - 1, event)
    _require_within("kpis/events/target_cell", events["target_cell"], -1, cells - 1, event)
    _require_within("kpis/events/kind", events["kind"], min(EventKind), max(EventKind), event)


def check_positions(kpis: StepKpis, trace: MobilityTrace, row: int = 0) -> None:
    """Checks that the UEs are where the trace has them at that time.

    Args:
        kpis: Rows of KPIs of one episode.
        trace: Its trace.
        row: Number of the first row in its file.

    Raises:
        DataError: names the first position that is off the trace.
    """
    off_m = np.abs(kpis.ue_position_m - trace.position_at(kpis.time_s)).max(axis=-1)
    index, ue = np.unravel_index(int(off_m.argmax()), off_m.shape)
    if off_m[index, ue] > _OFF_TRACE_M:
        where = f"kpis/ue_position_m[{row + index}, {ue}]"
        raise DataError(f"{where}: is {off_m[index, ue]:.2f} m off the trace of its episode")


def check_infos(infos: Mapping[str, np.ndarray], expected: Mapping[str, int | str | bool], step: int) -> None:
    """Checks what `infos` says of the transitions of one episode against its metadata, and the steps' numbers.

    Args:
        infos: The episode's part of each column, T rows.
        expected: What each of them but "step" should be in all rows.
        step: Number of the first transition in its file.

    Raises:
        DataError: names the first value that differs.
    """
    for name, values in infos.items():
        if name == "step":
            due: np.ndarray = np.arange(len(values))
        else:
            due = np.asarray(expected[name])
        if due.dtype.kind == "U":
            due = np.char.encode(due, "utf-8")
        _require(f"infos/{name}", values, values == due, "what the metadata of its episode says", step)


def check_derived(
    scenario: Scenario,
    kpis: StepKpis,
    arrays: Mapping[str, Singles],
    first_action: Singles | None,
    row: int,
    step: int,
    report_seed: int,
) -> None:
    """Checks times, observations and rewards against what the scenario yields from the KPIs and actions.

    Args:
        scenario: The scenario.
        kpis: T + 1 rows of KPIs of one episode, the first being its reset.
        arrays: The episode's part of the flat arrays of D4RL, T rows each.
        first_action: As of the episode.
        row: Number of the first row of KPIs in its file.
        step: Number of the first transition in its file.
        report_seed: See `EpisodeMetadata.report_seed`.

    Raises:
        DataError: names the first value that differs.
    """
    in_force = actions_in_force(arrays["actions"], first_action)
    observations = observe(scenario, scenario.reports.of_rows(kpis, report_seed), cio_from_action(scenario, in_force))
    _require_equal("kpis/time_s", kpis.time_s, np.arange(len(in_force)) * scenario.episode.control_interval_s, row)
    _require_equal("observations", arrays["observations"], observations[:-1], step)
    _require_equal("next_observations", arrays["next_observations"], observations[1:], step)
    _require_equal("rewards", arrays["rewards"], reward(scenario, kpis)[1:], step)


def _require_equal(name: str, values: np.ndarray, expected: np.ndarray, first: int) -> None:
    close = np.abs(values - expected) <= _ABSOLUTE + _RELATIVE * np.abs(expected)  # not so where one is NaN
    _require(name, values, close, "what follows from the KPIs and the scenario", first)


def _require_within(name: str, values: np.ndarray, low: int, high: int, first: int) -> None:
    _require(name, values, (values >= low) & (values <= high), f"within {low} to {high}", first)


def _require(name: str, values: np.ndarray, good: Bools, what: str, first: int) -> None:
    """Raises DataError that names the first value that is not good; `first` is the number of the first row."""
    if not good.all():
        where = tuple(int(index) for index in np.argwhere(~good)[0])
        raise DataError(f"{name}{[first + where[0], *where[1:]]}: is {values[where]}, not {what}")
