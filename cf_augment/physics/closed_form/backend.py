"""The engine as a back end: the same protocol, warm-up, intervals and events as the ns-3 program."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cf_augment.physics.closed_form.engine import Engine, Moves
from cf_augment.physics.constants import HANDOVER_S
from cf_augment.physics.radio.rsrp import GRID_S
from ns3_scenarios.backend import check_trace, checked_branches
from ns3_scenarios.kpis import EVENT_DTYPE, KPI_AXES, EventKind, StepKpis
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.trace import Mobility


class EngineBackend:
    """One environment in the engine; deterministic, so that a seed changes nothing.

    Args:
        scenario: The scenario.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._engine = Engine(scenario)
        self._mobility: Mobility | None = None
        self._step = 0

    def reset(self, trace: Mobility, seed: int) -> StepKpis:
        """See `ns3_scenarios.backend.Backend.reset`."""
        check_trace(self.scenario, trace)
        self._mobility, self._step = trace, 0
        return _single(self._engine.reset(trace.position_at(np.zeros(1))), [])

    def step(self, control: Floats) -> StepKpis:
        """See `ns3_scenarios.backend.Backend.step`.

        Raises:
            ConfigError: the episode has ended or not begun, or the control does not fit.
        """
        if self._mobility is None:
            raise ConfigError("engine: step() before reset()")
        if self._step == self.scenario.episode.steps:
            raise ConfigError(f"engine: the episode has ended after {self._step} steps", "call reset()")
        kpis = self._engine.step(self._interval_m(self._step), np.asarray(control)[None])
        self._step += 1
        return _single(kpis, self._engine.moves)

    def branch(self, control: Floats) -> list[list[StepKpis]]:
        """See `ns3_scenarios.backend.Backend.branch`.

        Raises:
            ConfigError: the episode has ended or not begun, or the control or the horizon does not fit.
        """
        if self._mobility is None:
            raise ConfigError("engine: branch() before reset()")
        control = checked_branches(self.scenario, self._mobility, control, self.scenario.episode.steps - self._step)
        engine = self._engine.copies(len(control))
        branches: list[list[StepKpis]] = [[] for _ in control]
        for step in range(control.shape[1]):
            position_m = np.repeat(self._interval_m(self._step + step), len(control), axis=0)
            kpis = engine.step(position_m, control[:, step])
            for index, branch in enumerate(branches):
                branch.append(_single(kpis, engine.moves, index))
        return branches

    def _interval_m(self, step: int) -> Floats:
        """Positions during a step, with a leading dimension of one environment."""
        assert self._mobility is not None
        grid = step * self._engine.grid_steps + np.arange(self._engine.grid_steps + 1, dtype=np.float64)
        return self._mobility.position_at(GRID_S * grid)[None]

    def close(self) -> None:
        """Ends the episode."""
        self._mobility = None


def _single(kpis: StepKpis, moves: list[Moves], index: int = 0) -> StepKpis:
    """Returns one environment of a batch, with its events."""
    return replace(kpis, **{name: getattr(kpis, name)[index] for name in KPI_AXES}, events=_events(moves, index))


def _events(moves: list[Moves], index: int) -> np.ndarray:
    rows: list[tuple[float, int, int, int, int]] = []
    for move in moves:
        source, target, selected = move.source[index], move.target[index], move.selected[index]
        moving, failing = np.flatnonzero(target >= 0).tolist(), np.flatnonzero(selected >= 0).tolist()
        start_s, end_s = (round(move.time_s + wait_s, 9) for wait_s in (0, HANDOVER_S))
        rows += [(start_s, ue, source[ue], -1, EventKind.RADIO_LINK_FAILURE) for ue in failing]
        rows += [(start_s, ue, source[ue], selected[ue], EventKind.CONNECTION_REESTABLISHED) for ue in failing]
        rows += [(start_s, ue, source[ue], target[ue], EventKind.HANDOVER_START) for ue in moving]
        rows += [(end_s, ue, source[ue], target[ue], EventKind.HANDOVER_OK) for ue in moving]
    return np.array(rows, dtype=EVENT_DTYPE)
