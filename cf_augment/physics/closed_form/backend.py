"""The engine as a back end: the same protocol, warm-up, intervals and events as the ns-3 program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, Self

import numpy as np

from cf_augment.physics.closed_form.engine import Engine
from cf_augment.physics.closed_form.interval import CellChanges
from cf_augment.physics.constants import HANDOVER_S
from cf_augment.physics.radio.rsrp import GRID_S
from ns3_scenarios.backend import Backend
from ns3_scenarios.control import Control
from ns3_scenarios.kpis import EVENT_DTYPE, KPI_AXES, EventKind, StepKpis
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats, Ints
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
        [kpis] = BatchKpis.of(self._engine.reset(trace.position_at(np.zeros(1))), []).each()
        return kpis

    def _advance(self, trace: Mobility, step: int, control: Control) -> StepKpis:
        stepped = self._engine.step(self._interval_m(trace, step), control[None])
        [kpis] = BatchKpis.of(stepped, self._engine.cell_changes).each()
        return kpis

    def _futures(self, trace: Mobility, step: int, control: Control) -> list[list[StepKpis]]:
        engine = self._engine.copies(len(control))
        branches: list[list[StepKpis]] = [[] for _ in control]
        for ahead in range(control.cio_db.shape[1]):
            position_m = np.repeat(self._interval_m(trace, step + ahead), len(control), axis=0)
            kpis = BatchKpis.of(engine.step(position_m, control[:, ahead]), engine.cell_changes)
            for branch, own in zip(branches, kpis.each(), strict=True):
                branch.append(own)
        return branches

    def _interval_m(self, trace: Mobility, step: int) -> Floats:
        """Positions during a step, with a leading dimension of one environment."""
        grid = step * self._engine.grid_steps + np.arange(self._engine.grid_steps + 1, dtype=np.float64)
        return trace.position_at(GRID_S * grid)[None]


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
        self._engine, self._step = Engine(scenario), 0
        known = {id(trace): trace for trace in traces}  # episodes often share one
        positions_m = {key: self._engine.positions(trace) for key, trace in known.items()}
        self._positions_m = [positions_m[id(trace)] for trace in traces]

    def reset(self) -> BatchKpis:
        """Begins, and returns the KPIs of the last interval of each warm-up."""
        self._step = 0
        return BatchKpis.of(self._engine.reset(np.stack([position_m[0] for position_m in self._positions_m])), [])

    def step(self, control: Control) -> BatchKpis:
        """Runs one control interval under controls with batch dimension B, and returns the KPIs of the episodes."""
        start = self._step * self._engine.grid_steps
        rows = slice(start, start + self._engine.grid_steps + 1)
        kpis = self._engine.step(np.stack([position_m[rows] for position_m in self._positions_m]), control)
        self._step += 1
        return BatchKpis.of(kpis, self._engine.cell_changes)


@dataclass(frozen=True)
class BatchKpis:
    """What one interval yielded in each of B environments.

    Attributes:
        kpis: With leading B, and without events.
        events: Those of all environments, one environment after the other.
        event_start: (B + 1,) where those of each environment begin, and their number.
    """

    kpis: StepKpis
    events: np.ndarray
    event_start: Ints

    @classmethod
    def of(cls, kpis: StepKpis, changes: list[tuple[float, CellChanges]]) -> Self:
        """Takes what the engine returned, and the changes of cells during it."""
        events, of_environment = _events(changes)
        start = np.cumsum([0, *np.bincount(of_environment, minlength=len(kpis.time_s))])
        return cls(kpis, events[np.argsort(of_environment, kind="stable")], start)

    def each(self, reported: StepKpis | None = None) -> Iterator[StepKpis]:
        """Yields the KPIs of each environment, or its part of what is reported of them, with its events."""
        arrays: dict[str, Any] = {name: getattr(reported or self.kpis, name) for name in KPI_AXES}
        arrays["events"] = [self.events[first:last] for first, last in pairwise(self.event_start)]
        return map(StepKpis, *(arrays[field.name] for field in fields(StepKpis)))


def _events(changes: list[tuple[float, CellChanges]]) -> tuple[np.ndarray, Ints]:
    """Returns events, in the order in which they happen in each environment, and the environment of each."""
    parts, environments = [np.empty(0, EVENT_DTYPE)], [np.empty(0, np.int64)]
    for time_s, batch in changes:
        start_s, end_s = (round(time_s + wait_s, 9) for wait_s in (0, HANDOVER_S))
        moving, failing = np.nonzero(batch.target >= 0), np.nonzero(batch.selected >= 0)
        for when_s, which, target, kind in (
            (start_s, failing, None, EventKind.RADIO_LINK_FAILURE),
            (start_s, failing, batch.selected, EventKind.CONNECTION_REESTABLISHED),
            (start_s, moving, batch.target, EventKind.HANDOVER_START),
            (end_s, moving, batch.target, EventKind.HANDOVER_OK),
        ):
            if len(which[0]):
                rows = np.empty(len(which[0]), EVENT_DTYPE)
                rows["time_s"], rows["ue"], rows["kind"] = when_s, which[1], kind
                rows["source_cell"] = batch.source[which]
                rows["target_cell"] = -1 if target is None else target[which]
                parts.append(rows)
                environments.append(which[0])
    return np.concatenate(parts), np.concatenate(environments)
