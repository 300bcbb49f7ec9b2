"""The engine as a back end: the same protocol, warm-up, intervals and events as the ns-3 program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cf_augment.physics.closed_form.engine import Engine
from cf_augment.physics.closed_form.interval import CellChanges
from cf_augment.physics.constants import HANDOVER_S
from cf_augment.physics.radio.rsrp import GRID_S
from ns3_scenarios.backend import Backend, check_trace
from ns3_scenarios.control import Control
from ns3_scenarios.kpis import EVENT_DTYPE, EventKind, StepKpis
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats
from sumo_mobility.trace import Mobility, MobilityTrace


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
        return _interval_m(self._engine, trace, step)[None]


class EngineEpisodes:
    """Episodes side by side in the engine, which is many times as fast; each is that of EngineBackend, bit for bit.

    Args:
        scenario: The scenario.
        traces: The trace of each of B episodes.

    Raises:
        ConfigError: the engine does not mirror the scenario.
        DataError: a trace does not fit the scenario.
    """

    def __init__(self, scenario: Scenario, traces: Sequence[MobilityTrace]) -> None:
        for trace in traces:
            check_trace(scenario, trace)
        self._engine, self._traces, self._step = Engine(scenario), traces, 0

    def reset(self) -> list[StepKpis]:
        """Begins, and returns the KPIs of the last interval of each warm-up."""
        self._step = 0
        kpis = self._engine.reset(np.concatenate([trace.position_at(np.zeros(1)) for trace in self._traces]))
        return [_single(kpis, [], index) for index in range(len(self._traces))]

    def step(self, control: Control) -> list[StepKpis]:
        """Runs one control interval under controls with batch dimension B, and returns the KPIs of each episode."""
        position_m = np.stack([_interval_m(self._engine, trace, self._step) for trace in self._traces])
        kpis = self._engine.step(position_m, control)
        self._step += 1
        changes = self._engine.cell_changes
        return [_single(kpis, changes, index) for index in range(len(self._traces))]


def _interval_m(engine: Engine, trace: Mobility, step: int) -> Floats:
    grid = step * engine.grid_steps + np.arange(engine.grid_steps + 1, dtype=np.float64)
    return trace.position_at(GRID_S * grid)


def _single(kpis: StepKpis, changes: list[tuple[float, CellChanges]], index: int = 0) -> StepKpis:
    """Returns one environment of a batch, with its events."""
    return replace(kpis.at(index), events=_events(changes, index))


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
