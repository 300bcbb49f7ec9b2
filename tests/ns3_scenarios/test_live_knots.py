"""Positions that come with each action: the ns-3 program moves as if it had known them all, and refuses bad ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import programs
import pytest
import three_cells
from gymnasium import spaces

from ns3_scenarios.bridge.server import AgentServer
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import SimulatorError
from sumo_mobility.trace import MobilityTrace

pytestmark = pytest.mark.ns3


class Drawn:
    """A trace of which nothing is given out before it must be known."""

    def __init__(self, trace: MobilityTrace) -> None:
        self.trace = trace
        self.ues, self.step_s, self.duration_s = trace.ues, trace.step_s, trace.duration_s
        self.known = 0

    def position_at(self, time_s: float | Floats) -> Floats:
        raise AssertionError("ns-3 interpolates itself")

    def knots_m(self, first: int, last: int) -> Floats:
        self.known = last
        return self.trace.knots_m(first, last)


@pytest.mark.parametrize("ns3", ["3.44", "3.37"])
@pytest.mark.parametrize(("interval_s", "steps"), [(1.0, 4), (0.4, 9), (2.2, 3)])
def test_live_knots_give_the_kpis_of_the_trace(ns3: str, interval_s: float, steps: int) -> None:
    mobility = {"ues": 12, "duration_s": 8, "train_contexts": [{"name": "uniform"}]}
    mobility["test_contexts"] = mobility["train_contexts"]
    episode = {"steps": steps, "control_interval_s": interval_s, "warmup_s": 3.2}
    scenario = three_cells.scenario(mobility=mobility, episode=episode)
    trace = three_cells.trace(scenario)
    cio_db = three_cells.random_cio_db(scenario)
    drawn = Drawn(trace)
    assert three_cells.play(scenario, drawn, cio_db, ns3) == three_cells.play(scenario, trace, cio_db, ns3)
    assert drawn.known == min(int(scenario.episode.duration_s / trace.step_s) + 1, len(trace.time_s) - 1)


SCENARIO = three_cells.scenario(steps=3, ues=2)
KNOTS_M = np.array([[[50.0, 10.0], [90.0, 0.0]]])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AgentServer]:
    """A program that waits for its first action."""
    (tmp_path / "scenario.json").write_text(SCENARIO.model_dump_json())
    (tmp_path / "waypoints.csv").write_text("ue_id,time_s,x_m,y_m\n0,0,50,10\n0,1,50,10\n1,0,90,0\n1,1,90,0\n")
    files = [f"--scenario={tmp_path}/scenario.json", f"--waypoints={tmp_path}/waypoints.csv"]
    with AgentServer(f"ipc://{tmp_path}/wire", 60) as server:
        server.launch([str(programs.program()), *files, f"--endpoint={server.endpoint}", "--live-step-s=1"])
        server.accept()
        server.receive()
        yield server


def action(knots_from_s: float, knots_m: Floats) -> dict[str, Any]:
    control = np.zeros(len(SCENARIO.neighbor_pairs))
    return {"control": control, "knots_from_s": np.array([knots_from_s]), "knots_m": knots_m}


def test_the_wire_says_what_an_action_is(server: AgentServer) -> None:
    space = server.action_space
    assert isinstance(space, spaces.Dict)
    assert {name: box.shape for name, box in space.items()} == {
        "control": (len(SCENARIO.neighbor_pairs),), "knots_from_s": (1,), "knots_m": (1, 2, 2)
    }  # fmt: skip
    assert not server.can_branch
    server.act(action(2.0, KNOTS_M + np.array([3.0, 4.0])))
    server.receive()
    server.act(action(3.0, KNOTS_M))
    position_m = server.receive().observation["ue_position_m"]
    np.testing.assert_allclose(position_m, KNOTS_M[0] + np.array([3.0, 4.0]), atol=1e-6)


@pytest.mark.parametrize(
    ("knots_from_s", "knots_m", "message"),
    [
        (1.0, KNOTS_M, "action.knots_m: they end at 1 s, but the interval at 1 s"),
        (2.0, KNOTS_M + np.inf, "action.knots_m of UE 0: not finite"),
        (np.inf, KNOTS_M, "action.knots_m of UE 0: not finite"),
        (2.0, KNOTS_M + np.array([[[0.0, 0.0], [2000.0, 0.0]]]), "action.knots_m of UE 1: the UE jumps by 2000 m"),
    ],
)
def test_bad_knots_are_named(server: AgentServer, knots_from_s: float, knots_m: Floats, message: str) -> None:
    server.act(action(knots_from_s, knots_m))
    with pytest.raises(SimulatorError, match=f"exit code 2(.|\n)*{message}"):
        server.receive()
