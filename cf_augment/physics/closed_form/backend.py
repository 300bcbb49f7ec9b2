"""The engine as a back end: the same protocol, warm-up, intervals and events as the ns-3 program."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cf_augment.physics.closed_form.engine import Engine
from cf_augment.physics.closed_form.interval import CellChanges
from cf_augment.physics.constants import HANDOVER_S
from cf_augment.physics.radio.rsrp import GRID_S
from ns3_scenarios.backend import Backend
from ns3_scenarios.control import Control
from ns3_scenarios.kpis import EVENT_DTYPE, KPI_AXES, EventKind, StepKpis
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats
from sumo_mobility.trace import Mobility


class EngineBackend(Backend):
    """One environment in the engine, which is deterministic: the seed changes nothing.

    Args:
        scenario: The scenario.
    """

    name = Engine.name
    has = Engine.has

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self._engine = Engine(scenario)

    def _begin(self, trace: Mobility, seed: int) -> StepKpis:
        return _single(self._engine.reset(trace.position_at(np.zeros(1))), [])

    def _advance(self, trace: Mobility, step: int, control: Control) -> StepKpis:
        return _single(self._engine.step(self._interval_m(trace, step), control[None]), self._engine.cell_changes)

    def _futures(self, trace: Mobility, step: int, control: Control) -> list[list[StepKpis]]:
        engine = self._engine.copies(len(control))
        branches: list[list[StepKpis]] = [[] for _ in control]
        for ahead in range(control.cio_db.shape[1]):
            position_m = np.repeat(self._interval_m(trace, step + ahead), len(control), axis=0)
            kpis = engine.step(position_m, control[:, ahead])
            for index, branch in enumerate(branches):
                branch.append(_single(kpis, engine.cell_changes, index))
        return branches

    def _interval_m(self, trace: Mobility, step: int) -> Floats:
        """Positions during a step, with a leading dimension of one environment."""
        grid = step * self._engine.grid_steps + np.arange(self._engine.grid_steps + 1, dtype=np.float64)
        return trace.position_at(GRID_S * grid)[None]


def _single(kpis: StepKpis, changes: list[tuple[float, CellChanges]], index: int = 0) -> StepKpis:
    """Returns one environment of a batch, with its events."""
    return replace(kpis, **{name: getattr(kpis, name)[index] for name in KPI_AXES}, events=_events(changes, index))


def _events(changes: list[tuple[float, CellChanges]], index: int) -> np.ndarray:
    rows: list[tuple[float, int, int, int, int]] = []
    for time_s, batch in changes:
        source, target, selected = batch.source[index], batch.target[index], batch.selected[index]
        moving, failing = np.flatnonzero(target >= 0).tolist(), np.flatnonzero(selected >= 0).tolist()
        start_s, end_s = (round(time_s + wait_s, 9) for wait_s in (0, HANDOVER_S))
        rows += [(start_s, ue, source[ue], -1, EventKind.RADIO_LINK_FAILURE) for ue in failing]
        rows += [(start_s, ue, source[ue], selected[ue], EventKind.CONNECTION_REESTABLISHED) for ue in failing]
        rows += [(start_s, ue, source[ue], target[ue], EventKind.HANDOVER_START) for ue in moving]
        rows += [(end_s, ue, source[ue], target[ue], EventKind.HANDOVER_OK) for ue in moving]
    return np.array(rows, dtype=EVENT_DTYPE)
