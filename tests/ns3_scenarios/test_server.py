"""The agent's end of the wire with a real peer process on a real socket: the sequence, and every way it can break."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import wire_peer
import zmq
from programs import gone

from ns3_scenarios.bridge import ns3gym_pb2 as pb
from ns3_scenarios.bridge import server as server_module
from ns3_scenarios.bridge.process import ChildProcess
from ns3_scenarios.bridge.server import AgentServer, endpoint_in
from sumo_mobility.base.errors import ConfigError, DependencyError, SimulatorError

pytestmark = pytest.mark.slow  # nearly each of them starts a process

PEER = [sys.executable, wire_peer.__file__]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AgentServer]:
    with AgentServer(f"ipc://{tmp_path}/wire", timeout_s=30) as server:
        yield server


def launched(server: AgentServer, way: str) -> ChildProcess:
    return server.launch([*PEER, server.endpoint, way])


@pytest.mark.parametrize("endpoint", ["ipc://{}/wire", "tcp://127.0.0.1:*"])
def test_a_whole_episode(endpoint: str, tmp_path: Path) -> None:
    with AgentServer(endpoint.format(tmp_path), timeout_s=30) as server:
        process = launched(server, "count")
        server.accept()
        assert server.action_space == wire_peer.ACTION
        assert server.observation_space == wire_peer.OBSERVATION
        state = server.receive()
        for step in range(wire_peer.STEPS):
            assert isinstance(state.observation, dict)
            assert state.observation["step"] == step
            assert (state.reward, state.over, state.info) == (-0.5 * step, False, f"step {step}")
            server.act(np.array([1.23456789012, -step]))
            state = server.receive()
            assert np.array_equal(state.observation["echo"], [1.23456789012, -step])  # all digits of a double
        assert (state.over, state.game_over) == (True, False)
        server.stop()
        assert process.wait(5) == 0


def test_the_simulators_own_end_is_told_from_the_end_of_time(server: AgentServer) -> None:
    launched(server, "game")
    server.accept()
    for _ in range(wire_peer.STEPS):
        assert not server.receive().game_over
        server.act(np.zeros(2))
    assert server.receive().game_over


def test_stop_in_the_middle_ends_the_simulator_cleanly(server: AgentServer) -> None:
    process = launched(server, "count")
    server.accept()
    server.receive()
    server.stop()
    assert process.wait(5) == 0
    assert process.last_lines()[-1] == "peer: told to stop"


def test_a_refused_action_leaves_the_episode_usable(server: AgentServer) -> None:
    launched(server, "count")
    server.accept()
    server.receive()
    with pytest.raises(ConfigError, match="does not fit"):
        server.act(np.zeros(3))
    server.act(np.ones(2))
    assert server.receive().info == "step 1"


def test_a_killed_simulator_is_an_error_with_its_last_lines(server: AgentServer) -> None:
    process = launched(server, "mute")
    server.accept()
    server.receive()
    server.act(np.zeros(2))
    threading.Timer(0.3, os.kill, (process.pid, signal.SIGKILL)).start()
    with pytest.raises(SimulatorError, match=r"(?s)ended by signal SIGKILL.*peer: here I am, mute"):
        server.receive()


def test_a_simulator_that_ends_by_itself_is_an_error_with_its_last_lines(tmp_path: Path) -> None:
    script = "import sys; print('\\n'.join(f'line {i}' for i in range(99)), file=sys.stderr); sys.exit(2)"
    with AgentServer(f"ipc://{tmp_path}/wire", timeout_s=30) as server:
        server.launch([sys.executable, "-c", script])
        with pytest.raises(SimulatorError, match="ended with exit code 2") as caught:
            server.accept()
        assert "line 98" in str(caught.value)
        assert "line 80" not in str(caught.value)


def test_a_silent_simulator_is_an_error_after_the_time_out(server: AgentServer) -> None:
    process = launched(server, "silent")
    while not process.last_lines():
        time.sleep(0.02)
    server.timeout_s = 0.3
    with pytest.raises(SimulatorError, match=r"(?s)no SimInitMsg within 0.3 s.*peer: here I am, silent"):
        server.accept()
    server.close()
    assert gone(process.pid)


def test_a_simulator_that_falls_silent_is_an_error_after_the_time_out(server: AgentServer) -> None:
    launched(server, "mute")
    server.accept()
    server.receive()
    server.act(np.zeros(2))
    server.timeout_s = 0.3
    with pytest.raises(SimulatorError, match=r"(?s)no EnvStateMsg within 0.3 s.*peer: here I am, mute"):
        server.receive()


def test_no_simulator_at_all_is_an_error_after_the_time_out(tmp_path: Path) -> None:
    with (
        AgentServer(f"ipc://{tmp_path}/wire", timeout_s=0.3) as server,
        pytest.raises(SimulatorError, match="no SimInitMsg"),
    ):
        server.accept()


def test_foreign_bytes_are_an_error(server: AgentServer) -> None:
    launched(server, "foreign")
    with pytest.raises(SimulatorError, match="not a SimInitMsg"):
        server.accept()


def test_a_simulator_that_will_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_EXIT_S", 0.3)
    server = AgentServer(f"ipc://{tmp_path}/wire", timeout_s=30)
    process = launched(server, "stubborn")
    server.accept()
    server.receive()
    server.close()
    assert gone(process.pid)
    server.close()


def test_a_second_peer_does_not_disturb_the_first(server: AgentServer, capfd: pytest.CaptureFixture[str]) -> None:
    """It is told to stop, by whatever it begins; what the first one says is what it says alone."""
    process = launched(server, "count")
    server.accept()
    first = [server.receive()]
    with zmq.Context() as context:
        strangers = [stranger(context, server.endpoint) for _ in range(2)]
        strangers[0].send(pb.SimInitMsg(simProcessId=1).SerializeToString())
        strangers[1].send_multipart([b"not", b"a message"])
        dealer = stranger(context, server.endpoint, zmq.DEALER)
        dealer.send(b"no envelope")
        for step in range(wire_peer.STEPS):
            time.sleep(0.05)
            server.act(np.array([0.5, -step]))
            first.append(server.receive())
        for socket in strangers:
            assert pb.SimInitAck.FromString(socket.recv()) == pb.SimInitAck(stopSimReq=True)
        for socket in (*strangers, dealer):
            socket.close()
    server.stop()
    assert process.wait(5) == 0
    assert [state.observation["step"][0] for state in first] == [0, 1, 2, 3]
    assert [state.observation["echo"].tolist() for state in first] == [[0, 0], [0.5, 0], [0.5, -1], [0.5, -2]]
    said = capfd.readouterr().err
    assert said.count("another simulator has connected, and was told to stop") == 2
    assert said.count("is ignored") == 1


def stranger(context: zmq.Context, endpoint: str, kind: int = zmq.REQ) -> zmq.Socket:
    socket = context.socket(kind)
    socket.setsockopt(zmq.RCVTIMEO, 20_000)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(endpoint)
    return socket


@pytest.mark.parametrize("parts", [[b"", b""], [b"\0" * 10] * 3])
def test_a_message_of_several_parts_is_an_error(server: AgentServer, parts: list[bytes]) -> None:
    with zmq.Context() as context, stranger(context, server.endpoint) as peer:
        peer.send_multipart(parts)
        with pytest.raises(SimulatorError, match=f"a message of {len(parts)} parts"):
            server.accept()


def test_an_action_that_nobody_waits_for_is_refused(server: AgentServer) -> None:
    launched(server, "count")
    server.accept()
    with pytest.raises(ConfigError, match=r"does not wait for an action\n.*call receive"):
        server.act(np.zeros(2))
    server.receive()
    server.act(np.zeros(2))
    with pytest.raises(ConfigError, match="does not wait"):
        server.act(np.zeros(2))


def test_a_simulator_that_we_did_not_start_hears_the_request_to_stop(tmp_path: Path) -> None:
    server = AgentServer(f"ipc://{tmp_path}/wire", timeout_s=30)
    peer = subprocess.Popen([*PEER, server.endpoint, "count"], stderr=subprocess.DEVNULL)
    try:
        server.accept()
        server.receive()
        server.close()
        assert peer.wait(10) == 0
    finally:
        peer.kill()
        peer.wait()


@pytest.mark.parametrize("endpoint", ["tcp://*:5555", "tcp://0.0.0.0:*", "tcp://localhost:5555", "inproc://x"])
def test_nothing_outside_this_machine_can_reach_the_socket(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"must begin with ipc:// or tcp://127\.0\.0\.1"):
        AgentServer(endpoint, timeout_s=1)


def test_a_port_in_use_is_an_error(server: AgentServer) -> None:
    with zmq.Context() as context, context.socket(zmq.REP) as other:
        port = other.bind_to_random_port("tcp://127.0.0.1")
        with pytest.raises(ConfigError, match="choose a free port"):
            AgentServer(f"tcp://127.0.0.1:{port}", timeout_s=1)


def test_a_path_too_long_for_a_socket_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose a short path"):
        AgentServer(f"ipc://{tmp_path}/{'x' * 120}", timeout_s=1)


@pytest.mark.parametrize(("length", "scheme"), [(0, "ipc"), (200, "tcp")])
def test_a_folder_of_any_length_gives_an_endpoint(tmp_path: Path, length: int, scheme: str) -> None:
    """Batch systems set TMPDIR to paths that no socket can have."""
    folder = tmp_path / ("x" * length)
    folder.mkdir(exist_ok=True)
    with AgentServer(endpoint_in(folder), timeout_s=30) as server:
        assert server.endpoint.startswith(scheme)
        launched(server, "count")
        server.accept()
        server.receive()


def test_a_wire_that_does_not_end_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """libzmq waits for ever in one end of some hundreds where the peer dies as it is told to stop."""
    monkeypatch.setattr(server_module, "_EXIT_S", 0.1)
    monkeypatch.setattr(server_module, "_LINGER_S", 0.1)
    for_ever = threading.Event()
    monkeypatch.setattr(zmq.Context, "term", lambda self: for_ever.wait(30))
    server = AgentServer(f"ipc://{tmp_path}/wire", timeout_s=30)
    begin = time.monotonic()
    server.close()
    assert time.monotonic() - begin < 20
    for_ever.set()
    AgentServer(server.endpoint, timeout_s=30).close()


def test_a_missing_program_is_an_error(tmp_path: Path) -> None:
    process = ChildProcess([str(tmp_path / "none")])
    assert process.wait(10) == 127
    with pytest.raises(SimulatorError, match=r"(?s)none ended with exit code 127.*cannot start .*none: No such file"):
        process.check()
    with pytest.raises(DependencyError, match=r"cannot start sleep in .*none: No such file"):
        ChildProcess(["sleep", "60"], tmp_path / "none")


class TestNoOrphans:
    """A child ends with its owner, whatever way that goes."""

    def test_when_the_owner_is_dropped(self) -> None:
        process = ChildProcess(["sleep", "60"])
        pid = process.pid
        del process
        assert gone(pid)

    def test_when_python_ends_without_close(self) -> None:
        assert gone(self._child_of("print(process.pid, flush=True)"))

    def test_when_python_ends_by_an_error(self) -> None:
        assert gone(self._child_of("print(process.pid, flush=True); raise KeyboardInterrupt"))

    @pytest.mark.skipif(sys.platform != "linux", reason="the system cannot bind a child's life to its parent's")
    def test_when_python_is_killed(self) -> None:
        assert gone(self._child_of("print(process.pid, flush=True); import os; os.kill(os.getpid(), 9)"))

    @staticmethod
    def _child_of(ending: str) -> int:
        script = f"from ns3_scenarios.bridge.process import ChildProcess as C; process = C(['sleep', '60']); {ending}"
        run = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return int(run.stdout)
