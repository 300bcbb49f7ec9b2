"""Ns3Backend: the ns-3 LTE program behind the Backend protocol, a fresh process an episode."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from ns3_scenarios.backend import Backend
from ns3_scenarios.bridge.event_log import EventLog
from ns3_scenarios.bridge.process import ChildProcess
from ns3_scenarios.bridge.server import AgentServer, endpoint_in
from ns3_scenarios.bridge.wire import Value
from ns3_scenarios.build import program
from ns3_scenarios.control import Control
from ns3_scenarios.kpis import EVENT_DTYPE, KPI_TABLE, EventKind, StepKpis
from ns3_scenarios.scenario import Scenario
from ns3_scenarios.shadowing import shadowing_map
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError, SimulatorError
from sumo_mobility.base.files import write_text
from sumo_mobility.base.scratch import ScratchDirectory
from sumo_mobility.base.system import NS3
from sumo_mobility.trace import WAYPOINT_M, Mobility, MobilityTrace, write_waypoints

MAX_UES = 320
"""SRS resources of a cell: one a subframe, at the longest period of 320 ms (TS 36.213 table 8.2-1)."""
_AGENT_TIMEOUT_S = 3600
"""The program ends when no action arrives for this long; it also ends with its parent."""
_ROUNDING = 1e-9
_CONNECT_TIMEOUT_S = 5
"""The agent is there before the program starts, or gone already."""


class Ns3Backend(Backend):
    """The network simulated by ns-3.

    The program ends with the thread that called reset() (Linux binds it to that), so that thread must outlive the
    episode.

    Args:
        scenario: What to simulate.
        ns3: Version of ns-3, as `mlb doctor` lists them.
        timeout_s: How long one control interval (or the warm-up) may take to simulate, in wall-clock time; one of more
            than a minute may take as many times as long.
        branch_workers: How many branches are simulated at once; one a core if None.
        event_log: Where to leave the events and DCIs of each episode, whether it ends, is closed or reset early; those
            of branches are not logged.
        stock: Do all that ns-3 does by default, which costs more; `mlb bench ns3` shows what it changes.

    Raises:
        ConfigError: the scenario has more UEs than ns-3 can serve in one cell, or another profile than ns-3's.
        DependencyError: the ns-3 program has not been built.
    """

    name = "ns3"
    has: ClassVar[Mapping[str, tuple[object, ...]]] = {"profile": ("ns3",)}

    def __init__(
        self,
        scenario: Scenario,
        ns3: str = NS3,
        timeout_s: float = 300.0,
        branch_workers: int | None = None,
        event_log: EventLog | None = None,
        stock: bool = False,
    ) -> None:
        super().__init__(scenario)
        if scenario.mobility.ues > MAX_UES:
            raise ConfigError(
                f"mobility.ues: {scenario.mobility.ues}, but a cell of ns-3 has SRS resources for {MAX_UES} UEs",
                "lower mobility.ues, or take the backend engine",
            )
        self._event_log = event_log
        self._stock = stock
        self._episode = -1
        self._branch_workers = branch_workers
        self._program = program(ns3)
        episode = scenario.episode
        self._timeout_s = timeout_s * max(1.0, episode.control_interval_s / 60, episode.warmup_s / 60)
        self._server: AgentServer | None = None
        self._process: ChildProcess | None = None
        self._scratch: ScratchDirectory | None = None

    @classmethod
    def open(cls, scenario: Scenario, ns3: str = NS3, event_log: EventLog | None = None) -> Self:
        """See `ns3_scenarios.backend.Backend.open`."""
        return cls(scenario, ns3, event_log=event_log)

    @property
    def pid(self) -> int:
        """Process id of the program.

        Raises:
            ConfigError: no episode is running.
        """
        if self._process is None:
            raise ConfigError("no episode is running", "call reset() first")
        return self._process.pid

    def _begin(self, trace: Mobility, seed: int) -> StepKpis:
        self._episode += 1
        if self._event_log is not None:
            self._event_log.reserve(self._episode)
        self._scratch = ScratchDirectory()
        folder = self._scratch.path
        write_text(folder / "scenario.json", self.scenario.model_dump_json())
        live = []
        if isinstance(trace, MobilityTrace):
            trace.write_waypoints(folder / "waypoints.csv")
        else:
            first_s = trace.step_s * np.arange(2, dtype=np.float64)
            write_waypoints(folder / "waypoints.csv", first_s, trace.knots_m(0, 1))
            live = [f"--live-step-s={trace.step_s}"]
        shadowing = shadowing_map(self.scenario)
        if shadowing is not None:
            shadowing.write(folder / "shadowing.bin")
        self._server = AgentServer(endpoint_in(folder), self._timeout_s)
        self._process = self._server.launch(
            [
                str(self._program),
                f"--scenario={folder}/scenario.json",
                f"--waypoints={folder}/waypoints.csv",
                *([f"--shadowing={folder}/shadowing.bin"] if shadowing is not None else []),
                f"--seed={seed}",
                f"--endpoint={self._server.endpoint}",
                f"--timeout-s={_AGENT_TIMEOUT_S}",
                f"--connect-timeout-s={_CONNECT_TIMEOUT_S}",
                *([f"--branch-workers={self._branch_workers}"] if self._branch_workers else []),
                *([f"--event-log={folder}"] if self._event_log is not None else []),
                *(["--stock"] if self._stock else []),
                *live,
            ]
        )
        self._server.accept()
        return self._receive(is_last=False)

    def _advance(self, trace: Mobility, step: int, control: Control) -> StepKpis:
        assert self._server is not None
        values = control.encoded(self.scenario)
        offline = isinstance(trace, MobilityTrace)
        self._server.act(values if offline else {"control": values, **self._knots(trace, step)})
        return self._receive(is_last=step + 1 == self.scenario.episode.steps)

    def _futures(self, trace: Mobility, step: int, control: Control) -> list[list[StepKpis]]:
        assert self._server is not None
        values = control.encoded(self.scenario)
        futures = self._server.branch([list(branch) for branch in values], self._timeout_s * values.shape[1])
        return [[kpis_from_observation(self.scenario, state.observation) for state in states] for states in futures]

    def _end(self) -> None:
        self._process = None
        server, self._server = self._server, None
        scratch, self._scratch = self._scratch, None
        try:
            if server is not None:
                server.close()
            if scratch is not None and self._event_log is not None:
                self._event_log.publish(self._episode, scratch.path)
        finally:
            if scratch is not None:
                scratch.close()

    def _knots(self, mobility: Mobility, step: int) -> dict[str, Value]:
        """Returns the positions of live UEs at the knots of the coming interval and at the next one, as in `waypoints`.

        There are as many each time, so that some may be known already: the program passes these over.
        """
        episode, step_s = self.scenario.episode, mobility.step_s
        until_s = (step + 1) * episode.control_interval_s
        last = min(math.floor(until_s / step_s + _ROUNDING) + 1, round(mobility.duration_s / step_s))
        count = math.ceil(episode.control_interval_s / step_s - _ROUNDING)
        first = last - count + 1
        knots_m = mobility.knots_m(first, last)
        as_written = np.array([float(WAYPOINT_M % value) for value in knots_m.flat])
        return {"knots_from_s": np.array([first * step_s]), "knots_m": as_written.reshape(knots_m.shape)}

    def _receive(self, is_last: bool) -> StepKpis:
        assert self._server is not None
        state = self._server.receive()
        kpis = kpis_from_observation(self.scenario, state.observation)
        if state.over != is_last:
            raise SimulatorError(
                f"ns-3 {'ended' if state.over else 'goes on'} at {float(kpis.time_s):g} s of trace time, "
                f"but an episode has {self.scenario.episode.duration_s:g} s",
                "build the ns-3 program anew with 'mlb build'",
            )
        if is_last:
            self._end()
        return kpis


def kpis_from_observation(scenario: Scenario, observation: Value) -> StepKpis:
    """Turns the observation of the ns-3 program into KPIs.

    Raises:
        SimulatorError: a field is missing, has another shape than the scenario asks for, or is not finite.
    """
    if not isinstance(observation, dict):
        raise SimulatorError("ns-3 sent an observation that is not a Dict")
    sizes = {"C": len(scenario.cells), "U": scenario.mobility.ues, "2": 2}

    def field(name: str, *shape: int) -> Floats:
        values = observation.get(name)
        if not isinstance(values, np.ndarray) or len(shape) != values.ndim:
            raise SimulatorError(f"ns-3 sent no {name} of {len(shape)} dimensions")
        if any(want not in (-1, got) for want, got in zip(shape, values.shape, strict=True)):
            raise SimulatorError(f"ns-3 sent {name} of shape {values.shape} instead of {shape}")
        if not np.isfinite(values).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise SimulatorError(f"ns-3 sent {name}{list(where)} = {values[where]}")
        return values

    columns = EVENT_DTYPE.names or ()
    rows = field("events", -1, len(columns))
    events = np.empty(len(rows), dtype=EVENT_DTYPE)
    for column, name in enumerate(columns):
        events[name] = rows[:, column]
    handovers = (events["kind"] == EventKind.HANDOVER_START).sum()
    values: dict[str, Any] = {"events": events, "handovers": np.asarray(handovers, dtype=np.float64)}
    for kpi in KPI_TABLE.step:
        if not kpi.derived:
            shape = [sizes[axis] for axis in kpi.axes]
            # On the wire a scalar is a vector of one.
            values[kpi.name] = field(kpi.name, *shape or [1]).reshape(shape)
    values["ue_serving_cell"] = values["ue_serving_cell"].astype(np.int64)
    return StepKpis(**values)
