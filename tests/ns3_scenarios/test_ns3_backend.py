"""Ns3Backend: the conversion of observations, and the real program when it is killed, left alone or spoken to oddly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import made_network
import numpy as np
import pytest
from gymnasium import spaces

from ns3_scenarios.bridge.backend import Ns3Backend, kpis_from_observation
from ns3_scenarios.bridge.server import AgentServer
from ns3_scenarios.bridge.wire import Value
from ns3_scenarios.build import program
from ns3_scenarios.kpis import EVENT_DTYPE
from sumo_mobility.base.errors import ConfigError, DependencyError, SimulatorError, StorageError

SCENARIO = made_network.scenario()
TRACE = made_network.trace()
CELLS, UES = 2, made_network.UES


@pytest.fixture
def observation() -> dict[str, Value]:
    return {
        "time_s": np.array([2.0]),
        "prb_utilization": np.array([0.5, 0.25]),
        "offered_bps": np.array([1e6, 2e5]),
        "served_bps": np.array([9e5, 1e5]),
        "connected_ues": np.array([4.0, 1.0]),
        "ue_position_m": np.arange(2.0 * UES).reshape(UES, 2),
        "ue_serving_cell": np.array([0.0, 0.0, 0.0, 0.0, 1.0, -1.0]),
        "ue_rsrp_dbm": -80 - np.arange(1.0 * UES * CELLS).reshape(UES, CELLS),
        "ue_sinr_db": np.arange(1.0 * UES),
        "ue_throughput_bps": 1e5 * np.arange(1.0 * UES),
        "events": np.array([[1.25, 3, 0, 1, 0], [1.3, 3, 0, 1, 1], [1.5, 5, 0, -1, 3]]),
    }


def test_kpis_of_an_observation(observation: dict[str, Value]) -> None:
    kpis = kpis_from_observation(SCENARIO, observation)
    assert kpis.time_s.shape == kpis.handovers.shape == ()
    assert (kpis.time_s, kpis.handovers) == (2.0, 1.0)
    assert kpis.ue_serving_cell.tolist() == [0, 0, 0, 0, 1, -1]
    assert kpis.ue_serving_cell.dtype == np.int64
    events = [(1.25, 3, 0, 1, 0), (1.3, 3, 0, 1, 1), (1.5, 5, 0, -1, 3)]
    assert np.array_equal(kpis.events, np.array(events, dtype=EVENT_DTYPE))
    for name in observation.keys() - {"time_s", "ue_serving_cell", "events"}:
        assert np.array_equal(getattr(kpis, name), np.asarray(observation[name])), name


def test_no_events(observation: dict[str, Value]) -> None:
    kpis = kpis_from_observation(SCENARIO, observation | {"events": np.empty((0, 5))})
    assert (len(kpis.events), kpis.handovers) == (0, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ue_sinr_db": np.zeros(5)}, r"ue_sinr_db of shape \(5,\) instead of \(6,\)"),
        ({"ue_rsrp_dbm": np.zeros((2, 6))}, r"ue_rsrp_dbm of shape \(2, 6\)"),
        ({"events": np.zeros((1, 4))}, r"events of shape \(1, 4\)"),
        ({"served_bps": np.array([1.0, np.nan])}, r"served_bps\[1\] = nan"),
        ({"time_s": 3}, "no time_s of 1 dimension"),
    ],
)
def test_a_foreign_observation_is_an_error(observation: dict[str, Value], change: dict, message: str) -> None:
    with pytest.raises(SimulatorError, match=message):
        kpis_from_observation(SCENARIO, observation | change)
    with pytest.raises(SimulatorError, match="not a Dict"):
        kpis_from_observation(SCENARIO, 3)


def test_a_missing_program_is_an_error_with_its_cure() -> None:
    with pytest.raises(DependencyError, match=r"(?s)ns-3 3\.99 has not been built.*cure: run 'mlb build"):
        Ns3Backend(SCENARIO, ns3="3.99")


@pytest.fixture
def backend() -> Iterator[Ns3Backend]:
    backend = Ns3Backend(SCENARIO, timeout_s=60)
    yield backend
    backend.close()


@pytest.mark.ns3
class TestProgram:
    def test_when_it_is_killed_the_wait_ends_in_an_error(self, backend: Ns3Backend) -> None:
        backend.reset(TRACE, 1)
        pid = simulators_of(os.getpid())[0]
        os.kill(pid, signal.SIGSTOP)  # so that it surely does not answer first
        threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()
        with pytest.raises(SimulatorError, match=r"mlb-lte.* ended by signal SIGKILL"):
            backend.step(np.zeros(2))
        with pytest.raises(ConfigError, match="no episode is running"):
            backend.step(np.zeros(2))
        assert backend.reset(TRACE, 1).time_s == 0

    def test_an_unwritable_directory_is_an_error(self, backend: Ns3Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
        with pytest.raises(StorageError, match="cannot make a temporary directory"):
            backend.reset(TRACE, 1)

    def test_it_is_gone_after_close_and_after_the_end(self, backend: Ns3Backend) -> None:
        backend.reset(TRACE, 1)
        assert len(simulators_of(os.getpid())) == 1
        backend.close()
        assert simulators_of(os.getpid()) == []
        backend.reset(TRACE, 1)
        for _ in range(made_network.STEPS):
            backend.step(np.zeros(2))
        assert simulators_of(os.getpid()) == []

    def test_it_is_gone_when_python_is_killed(self) -> None:
        script = (
            "import made_network, time; from ns3_scenarios.bridge.backend import Ns3Backend;"
            "backend = Ns3Backend(made_network.scenario()); backend.reset(made_network.trace(), 1);"
            "print('ready', flush=True); time.sleep(60)"
        )
        paths = [str(Path(made_network.__file__).parent), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
        owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment)
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        simulators = simulators_of(owner.pid)
        assert len(simulators) == 1
        owner.kill()
        owner.wait()
        owner.stdout.close()
        deadline = time.monotonic() + 5
        while alive(simulators[0]) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not alive(simulators[0])

    def test_it_ends_when_the_agent_falls_silent(self, tmp_path: Path) -> None:
        with AgentServer(f"ipc://{tmp_path}/wire", 60) as server:
            process = server.launch(command(tmp_path, server.endpoint, timeout_s=1))
            server.accept()
            server.receive()
            assert process.wait(30) not in (None, 0)
            assert "error" in "\n".join(process.last_lines())

    def test_it_ends_cleanly_when_told_to_stop(self, tmp_path: Path) -> None:
        with AgentServer(f"ipc://{tmp_path}/wire", 60) as server:
            process = server.launch(command(tmp_path, server.endpoint))
            server.accept()
            server.receive()
            server.stop()
            assert process.wait(10) == 0

    def test_it_takes_float_data_for_doubles_as_upstreams_client_sends_it(self, tmp_path: Path) -> None:
        with AgentServer(f"ipc://{tmp_path}/wire", 60) as server:
            server.launch(command(tmp_path, server.endpoint))
            server.accept()
            assert server.action_space == spaces.Box(-6.0, 6.0, (2,), np.float64)
            server.action_space = spaces.Box(-6.0, 6.0, (2,), np.float32)
            server.receive()
            for _ in range(made_network.STEPS):
                server.act(np.array([5.5, -5.5], np.float32))
                state = server.receive()
            assert (state.over, state.game_over) == (True, False)
            assert isinstance(state.observation, dict)
            assert state.observation["ue_serving_cell"].tolist() == [1, 1, 0, 0, 0, 1]
            assert state.reward == pytest.approx(-state.observation["prb_utilization"].std(), rel=1e-6)

    @pytest.mark.parametrize("action", [np.zeros(3), np.array([0.0, np.inf]), np.array([0.0, 6.5])])
    def test_it_refuses_a_bad_action_itself(self, tmp_path: Path, action: np.ndarray) -> None:
        with AgentServer(f"ipc://{tmp_path}/wire", 60) as server:
            server.launch(command(tmp_path, server.endpoint))
            server.accept()
            server.receive()
            server.action_space = spaces.Box(-np.inf, np.inf, action.shape, np.float64)
            server.act(action)
            with pytest.raises(SimulatorError, match=r"(?s)ended with exit code 2.*error: "):
                server.receive()

    def test_its_own_error_is_told(self, tmp_path: Path) -> None:
        with AgentServer(f"ipc://{tmp_path}/wire", 60) as server:
            arguments = command(tmp_path, server.endpoint)
            (tmp_path / "waypoints.csv").write_text("ue_id,time_s,x_m,y_m\n0,0,nan,0\n")
            server.launch(arguments)
            with pytest.raises(SimulatorError, match=r"(?s)mlb-lte.* ended with exit code 2.*error: .*cure: "):
                server.accept()


def command(folder: Path, endpoint: str, timeout_s: int = 60) -> list[str]:
    """The command line that Ns3Backend uses."""
    (folder / "scenario.json").write_text(SCENARIO.model_dump_json())
    TRACE.write_waypoints(folder / "waypoints.csv")
    files = [f"--scenario={folder}/scenario.json", f"--waypoints={folder}/waypoints.csv"]
    return [str(program("3.44")), *files, "--seed=1", f"--endpoint={endpoint}", f"--timeout-s={timeout_s}"]


def simulators_of(pid: int) -> list[int]:
    """Living ns-3 programs among the children of a process."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return [child for child in children if alive(child)]


def alive(pid: int) -> bool:
    """Whether it is an ns-3 program that still runs; a zombie has no command line."""
    try:
        return b"mlb-lte" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
