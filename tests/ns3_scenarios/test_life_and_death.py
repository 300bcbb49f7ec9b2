"""Neither end outlives the other: the real program, and agents that are killed, slow, or never there."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import made_network
import numpy as np
import programs
import psutil
import pytest

from ns3_scenarios.bridge.backend import Ns3Backend
from ns3_scenarios.bridge.server import AgentServer
from sumo_mobility.base.errors import SimulatorError

pytestmark = pytest.mark.ns3

SHORT = {"steps": 2, "control_interval_s": 0.2, "warmup_s": 1.2}
"""Half a second of work."""
MANY = {"steps": 300, "control_interval_s": 0.2, "warmup_s": 1.2}
LONG = {"steps": 2, "control_interval_s": 60.0, "warmup_s": 61.0}
MOBILITY = {
    "ues": made_network.UES,
    "duration_s": 130,
    "train_contexts": [{"name": "uniform"}],
    "test_contexts": [{"name": "uniform"}],
}
TRACE = made_network.trace()

AGENT = """
import sys, time
from ns3_scenarios.bridge.server import AgentServer
endpoint, last = sys.argv[1:]
with AgentServer(endpoint, 60) as server:
    print(server.endpoint, flush=True)
    server.accept()
    if last != "accept":
        server.receive()
    print("ready", flush=True)
    if last == "branch":
        server.branch([[server.action_space.sample()] * 300] * 2, 60)
    time.sleep(60)
"""
"""Binds, and stops talking after the handshake or after the first state, or asks for branches then."""


@contextmanager
def agent(last: str, endpoint: str = "tcp://127.0.0.1:*") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """An agent in a process of its own, and its endpoint."""
    argv = [sys.executable, "-c", AGENT, endpoint, last]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=programs.python_path())
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def started_by_hand(
    folder: Path, endpoint: str, episode: dict[str, float], **options: object
) -> Iterator[subprocess.Popen[str]]:
    """The program as a child of the test, not of the agent."""
    trace = made_network.trace(steps=round(episode["steps"] * episode["control_interval_s"]) + 2)
    scenario = made_network.scenario(episode=episode, mobility=MOBILITY)
    argv = programs.command(folder, scenario, trace, endpoint, **options)
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


@pytest.mark.parametrize(("last", "episode"), [("receive", SHORT), ("accept", LONG)], ids=["waiting", "simulating"])
@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
def test_the_program_leaves_when_its_agent_is_killed(
    tmp_path: Path, last: str, episode: dict[str, float], scheme: str
) -> None:
    endpoint = "tcp://127.0.0.1:*" if scheme == "tcp" else f"ipc://{tmp_path}/wire"
    with agent(last, endpoint) as (owner, bound), started_by_hand(tmp_path, bound, episode, timeout_s=60) as process:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        owner.kill()
        assert process.wait(5) == 1
        assert process.stderr is not None
        assert f"error: agent: it left {bound} before the end; cure: " in process.stderr.read()


def test_the_program_and_its_branches_leave_when_their_agent_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLB_TEST_MARK", str(tmp_path))
    (tmp_path / "log").mkdir()
    with (
        agent("branch") as (owner, bound),
        started_by_hand(tmp_path, bound, MANY, timeout_s=60, event_log=tmp_path / "log") as process,
    ):
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 20
        while len(programs_with(str(tmp_path))) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(programs_with(str(tmp_path))) == 3
        owner.kill()
        assert process.wait(5) == 1
        deadline = time.monotonic() + 5
        while programs_with(str(tmp_path)) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert programs_with(str(tmp_path)) == []
    # What was asked for is whole up to there.
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == ["dl_dci.csv", "events.csv"]
    lines = (tmp_path / "log" / "dl_dci.csv").read_text().splitlines()
    assert len(lines) > 100
    assert {len(line.split(",")) for line in lines} == {8}


def programs_with(mark: str) -> list[str]:
    return [command for command in programs.processes_with("MLB_TEST_MARK", mark) if "mlb-lte" in command]


def test_the_program_waits_for_an_agent_that_is_slow_or_stopped(tmp_path: Path) -> None:
    with agent("receive") as (owner, bound), started_by_hand(tmp_path, bound, SHORT, timeout_s=60) as process:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        owner.send_signal(signal.SIGSTOP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        owner.kill()
        assert process.wait(5) == 1


def test_the_program_does_not_wait_for_ever(tmp_path: Path) -> None:
    with (
        agent("receive") as (_, bound),
        started_by_hand(tmp_path, bound, SHORT, timeout_s=0.5, connect_timeout_s=30) as process,
    ):
        assert process.wait(30) == 1
        assert process.stderr is not None
        assert f"agent: no answer from {bound} within 0.5 s; cure: raise --timeout-s" in process.stderr.read()


def test_the_program_does_not_wait_for_ever_for_an_agent_to_come(tmp_path: Path) -> None:
    with started_by_hand(tmp_path, f"ipc://{tmp_path}/none", SHORT, connect_timeout_s=0.3) as process:
        assert process.wait(10) == 1
        assert process.stderr is not None
        said = process.stderr.read()
        assert f"agent: nobody at ipc://{tmp_path}/none within 0.3 s; cure: start the agent first" in said


def test_an_agent_may_come_after_the_program(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/wire"
    with started_by_hand(tmp_path, endpoint, SHORT, connect_timeout_s=30) as process:
        time.sleep(0.5)
        with AgentServer(endpoint, 30) as server:
            server.accept()
            server.receive()
        assert process.wait(5) == 0


def test_a_second_program_on_the_port_waits_for_its_turn(tmp_path: Path) -> None:
    """The first one's episode is, bit for bit, the one that it plays alone."""
    folders = [tmp_path / name for name in ("first", "second", "alone")]
    for folder in folders:
        folder.mkdir()

    def play(server: AgentServer) -> list[dict[str, list[float]]]:
        states = [server.receive()]
        while not states[-1].over:
            server.act(np.array([1.0, -1.0]))
            states.append(server.receive())
        server.stop()
        return [{name: values.tolist() for name, values in state.observation.items()} for state in states]

    with AgentServer("tcp://127.0.0.1:*", 60) as server:
        with started_by_hand(folders[0], server.endpoint, SHORT, timeout_s=60) as first:
            server.accept()
            with started_by_hand(folders[1], server.endpoint, SHORT, timeout_s=60, seed=2) as second:
                time.sleep(2)  # it is there, and has spoken
                disturbed = play(server)
                assert first.wait(5) == 0
                server.accept()
                assert play(server) != disturbed
                assert second.wait(5) == 0
        with started_by_hand(folders[2], server.endpoint, SHORT, timeout_s=60):
            server.accept()
            assert play(server) == disturbed


def test_an_agent_learns_that_a_program_it_did_not_start_was_killed(tmp_path: Path) -> None:
    with (
        AgentServer(f"ipc://{tmp_path}/wire", 60) as server,
        started_by_hand(tmp_path, server.endpoint, LONG, timeout_s=60) as process,
    ):
        server.accept()
        threading.Timer(0.5, process.kill).start()
        begin = time.monotonic()
        with pytest.raises(SimulatorError, match="the simulator ended"):
            server.receive()
        assert time.monotonic() - begin < 5


def test_a_forked_copy_of_the_owner_ends_nothing() -> None:
    backend = Ns3Backend(made_network.scenario(), timeout_s=60)
    try:
        backend.reset(TRACE, 1)
        child = os.fork()
        if child == 0:
            backend._server = backend._scratch = None  # what the garbage collector does in a worker
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert float(backend.step(np.zeros(2)).time_s) == 1
    finally:
        backend.close()


OWNER = """
import made_network, numpy as np
from ns3_scenarios.bridge.backend import Ns3Backend
backend = Ns3Backend(made_network.scenario(episode={episode}))
print("ready", flush=True)
while True:
    backend.reset(made_network.trace(), 1)
    backend.step(np.zeros(2))
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_left_of_200_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends of all kinds: 180 by close or by the end of the episode, 10 programs and 10 owners killed at any moment."""
    folder = tempfile.mkdtemp(prefix="mlb-orphans-")
    monkeypatch.setenv("TMPDIR", folder)
    monkeypatch.setattr(tempfile, "tempdir", None)
    moment = random.Random(0)
    backend = Ns3Backend(made_network.scenario(episode=SHORT), timeout_s=60)
    for start in range(180):
        backend.reset(TRACE, start)
        for _ in range(start % 3):
            backend.step(np.zeros(2))
    for _ in range(10):
        noticed = threading.Event()
        killer = threading.Thread(target=kill_programs, args=[folder, moment.uniform(0, 0.7), noticed])
        killer.start()
        try:
            with pytest.raises(SimulatorError, match=r"mlb-lte.* ended by signal SIGKILL"):
                start_again_and_again(backend)
        finally:
            noticed.set()
            killer.join()
    for _ in range(10):
        argv = [sys.executable, "-c", OWNER.format(episode=SHORT)]
        owner = subprocess.Popen(argv, stdout=subprocess.PIPE, env=programs.python_path())
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        time.sleep(moment.uniform(0, 0.7))
        owner.kill()
        owner.wait()
        owner.stdout.close()
    assert programs.left_with("TMPDIR", folder) == []
    # Sweeps up: a child that its owner's death met before its exec has kept the directory's lock until now.
    backend.reset(TRACE, 1)
    backend.close()
    assert programs.left_with("TMPDIR", folder) == []
    assert list(Path(folder).iterdir()) == []
    Path(folder).rmdir()


def start_again_and_again(backend: Ns3Backend) -> None:
    while True:
        backend.reset(TRACE, 1)
        backend.step(np.zeros(2))


def kill_programs(folder: str, delay_s: float, noticed: threading.Event) -> None:
    """Kills a program that runs with this TMPDIR; the first may be at its end and not be missed."""
    while not noticed.wait(delay_s):
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("TMPDIR") == folder and "mlb-lte" in process.name():
                    process.kill()
                    break
