"""Measures the bridge: the time of a step that is spent outside the simulation.

A peer process that answers at once, with states as large as the ns-3 program's, takes the simulator's place. What is
left is the wire: checking and packing the action, two messages through the socket, unpacking the state to KPIs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import zmq
from gymnasium import spaces

from ns3_scenarios.bridge import ns3gym_pb2 as pb
from ns3_scenarios.bridge.backend import kpis_from_observation
from ns3_scenarios.bridge.server import AgentServer, endpoint_in
from ns3_scenarios.bridge.wire import Value, pack, pack_space
from ns3_scenarios.control import Control
from ns3_scenarios.kpis import KPI_TABLE, EventKind
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.files import write_text
from sumo_mobility.base.scratch import ScratchDirectory

_EVENTS = 10
"""Rows of the events of each step."""
_START_S, _PEER_TIMEOUT_MS = 60.0, 60_000


def bridge_overhead(scenario: Scenario, steps: int = 500) -> np.ndarray:
    """Measures the time that each step spends outside the simulation.

    Args:
        scenario: Sizes the messages: cells, UEs and neighbour pairs.
        steps: Steps to measure, after a tenth as many that are not.

    Returns:
        (steps,) milliseconds, the peer's own answering included.
    """
    warmup = steps // 10
    cio_db = np.linspace(-1, 1, len(scenario.neighbor_pairs)) * scenario.handover.cio_range_db
    with ScratchDirectory() as scratch, AgentServer(endpoint_in(scratch.path), _START_S) as server:
        path = scratch.path / "scenario.json"
        write_text(path, scenario.model_dump_json())
        server.launch([sys.executable, "-m", "py_agent.bench.bridge", server.endpoint, str(path)])
        server.accept()
        server.receive()
        spent_ms = np.empty(warmup + steps)
        for step in range(len(spent_ms)):
            begin = time.perf_counter()
            server.act(Control.checked(scenario, cio_db).encoded(scenario))
            kpis_from_observation(scenario, server.receive().observation)
            spent_ms[step] = 1e3 * (time.perf_counter() - begin)
    return spent_ms[warmup:]


def made_up_state(scenario: Scenario) -> tuple[spaces.Dict, dict[str, Value]]:
    """An observation space and a value of it as large as the ns-3 program's."""
    sizes = {"C": len(scenario.cells), "U": scenario.mobility.ues, "2": 2}
    shapes = {kpi.name: tuple(sizes[axis] for axis in kpi.axes) or (1,) for kpi in KPI_TABLE.step if not kpi.derived}
    shapes["events"] = (_EVENTS, len(KPI_TABLE.event))
    values: dict[str, Value] = {name: np.full(shape, 1 / 3) for name, shape in shapes.items()}
    values["ue_serving_cell"] = np.zeros(scenario.mobility.ues)
    values["events"] = np.tile([0.5, 0.0, 0.0, 1.0, float(EventKind.HANDOVER_START)], (_EVENTS, 1))
    space = spaces.Dict([(name, spaces.Box(-np.inf, np.inf, shape, np.float64)) for name, shape in shapes.items()])
    return space, values


def _answer_at_once(endpoint: str, scenario_path: str) -> None:
    """The peer: a simulator that takes no time and is never done."""
    scenario = Scenario.read_json(Path(scenario_path))
    space, values = made_up_state(scenario)
    limit_db = scenario.handover.cio_range_db
    actions = spaces.Box(-limit_db, limit_db, (len(scenario.neighbor_pairs),), np.float64)
    state = pb.EnvStateMsg(obsData=pack(space, values), reward=-0.1, info='{"ns3_version": "none"}').SerializeToString()
    socket = zmq.Context().socket(zmq.REQ)
    socket.setsockopt(zmq.RCVTIMEO, _PEER_TIMEOUT_MS)
    socket.connect(endpoint)
    socket.send(pb.SimInitMsg(obsSpace=pack_space(space), actSpace=pack_space(actions)).SerializeToString())
    socket.recv()
    stopped = False
    while not stopped:
        socket.send(state)
        stopped = pb.EnvActMsg.FromString(socket.recv()).stopSimReq


if __name__ == "__main__":
    _answer_at_once(*sys.argv[1:])
