"""Branches of the ns-3 program: true futures, and a parent that is none the worse for them."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import three_cells
import wire_peer

from ns3_scenarios.bridge.backend import Ns3Backend
from ns3_scenarios.bridge.server import AgentServer
from ns3_scenarios.build import program
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError, DependencyError, SimulatorError

pytestmark = pytest.mark.ns3

SCENARIO = three_cells.scenario()
TRACE = three_cells.trace(SCENARIO)
CIO_DB = three_cells.random_cio_db(SCENARIO)
STEPS, PAIRS = CIO_DB.shape


def opened(ns3: str = "3.44", workers: int = 2, timeout_s: float = 60) -> Ns3Backend:
    try:
        program(ns3)
    except DependencyError as error:
        pytest.skip(error.message)
    return Ns3Backend(SCENARIO, ns3, timeout_s, workers)


@pytest.fixture
def backend() -> Iterator[Ns3Backend]:
    backend = opened()
    yield backend
    backend.close()


@pytest.mark.parametrize("ns3", ["3.44", "3.37"])
def test_a_branch_with_the_parents_actions_is_the_parents_future_and_the_parent_does_not_notice(ns3: str) -> None:
    """Branch points at the start, at each third step and at the last; all that was played is compared bit for bit."""
    backend = opened(ns3)
    try:
        kpis, futures = [backend.reset(TRACE, 1)], {}
        for step in range(STEPS):
            if step % 3 == 0 or step == STEPS - 1:
                horizon = min(2, STEPS - step)
                own = CIO_DB[step : step + horizon]
                futures[step] = backend.branch(np.stack([-own, own]))
            kpis.append(backend.step(CIO_DB[step]))
    finally:
        backend.close()
    assert kpis == three_cells.played(ns3)
    assert sum(len(one.events) for one in kpis) > 20
    for step, (_, same) in futures.items():
        assert same == kpis[step + 1 : step + 1 + len(same)]
    assert any(len(one.events) for _, same in futures.values() for one in same)
    assert sum(opposite != same for opposite, same in futures.values()) > len(futures) / 2


def test_a_branch_is_what_another_run_yields(backend: Ns3Backend) -> None:
    """What a branch tells of the last steps is what a simulation from the start finds that really takes them."""
    others = np.clip(CIO_DB + 3, -6, 6)
    backend.reset(TRACE, 1)
    backend.step(CIO_DB[0])
    [future] = backend.branch(others[None, 1:4])
    rerun = three_cells.play(SCENARIO, TRACE, np.concatenate([CIO_DB[:1], others[1:4]]))
    assert future == rerun[2:]


def test_more_branches_than_workers(backend: Ns3Backend) -> None:
    backend.reset(TRACE, 1)
    futures = backend.branch(np.linspace(-6, 6, 5)[:, None, None] * np.ones((5, 1, PAIRS)))
    assert len(futures) == 5
    assert futures[2] == [backend.step(np.zeros(PAIRS))]


def test_what_cannot_be_branched_is_refused_and_the_episode_goes_on(backend: Ns3Backend) -> None:
    def refuses(cio_db: Floats, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            backend.branch(cio_db)

    refuses(np.zeros((1, 1, PAIRS)), "no episode is running")
    backend.reset(TRACE, 1)
    refuses(np.zeros((1, STEPS + 1, PAIRS)), f"has only {STEPS} left")
    refuses(np.zeros((1, PAIRS)), "is needed")
    refuses(np.zeros((0, 1, PAIRS)), "is needed")
    refuses(np.zeros((2, 1, PAIRS + 1)), "neighbour pairs")
    refuses(np.full((1, 1, PAIRS), 7.0), "handover.cio_range_db")
    assert backend.step(CIO_DB[0]) == three_cells.played()[1]


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def first_child_of(pid: int) -> int:
    deadline = time.monotonic() + 30
    while not children_of(pid):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return children_of(pid)[0]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[AgentServer, int]]:
    """The program after its first state, and its process ID, which Ns3Backend hides."""
    (tmp_path / "scenario.json").write_text(SCENARIO.model_dump_json())
    TRACE.write_waypoints(tmp_path / "waypoints.csv")
    with AgentServer(f"ipc://{tmp_path}/wire", 60) as server:
        files = [f"--scenario={tmp_path}/scenario.json", f"--waypoints={tmp_path}/waypoints.csv"]
        process = server.launch([str(program()), *files, f"--endpoint={server.endpoint}", "--branch-workers=2"])
        server.accept()
        server.receive()
        yield server, process.pid


def branches(count: int, steps: int) -> list[list[np.ndarray]]:
    return [[np.zeros(PAIRS)] * steps] * count


def test_a_killed_branch_is_an_error_that_names_it_and_the_parent_goes_on(started: tuple[AgentServer, int]) -> None:
    server, pid = started

    def kill() -> None:
        os.kill(first_child_of(pid), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(SimulatorError, match=r"branch [01]: its simulation ended by signal 9 \(Killed\)"):
        server.branch(branches(3, 10), 60)
    killer.join()
    assert children_of(pid) == []
    assert [len(states) for states in server.branch(branches(2, 1), 60)] == [1, 1]
    server.act(np.zeros(PAIRS))
    assert isinstance(server.receive().observation, dict)


def test_a_late_branch_is_an_error_that_names_it_and_leaves_no_process(
    started: tuple[AgentServer, int],
) -> None:
    server, pid = started
    with pytest.raises(SimulatorError, match="branch 0: its simulation was not done in time"):
        server.branch(branches(3, 14), 1e-3)
    assert children_of(pid) == []
    server.act(np.zeros(PAIRS))
    server.receive()


def test_branches_die_with_the_program(started: tuple[AgentServer, int]) -> None:
    server, pid = started
    orphans: list[int] = []

    def kill() -> None:
        first = first_child_of(pid)
        os.kill(pid, signal.SIGSTOP)  # so that it does not reap them
        orphans.extend(children_of(pid))
        assert first in orphans
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(SimulatorError, match="ended by signal SIGKILL"):
        server.branch(branches(4, 14), 60)
    killer.join()
    deadline = time.monotonic() + 5
    while any(running(pid) for pid in orphans) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(running(pid) for pid in orphans)


def running(pid: int) -> bool:
    """Whether it is a process and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_branch_beyond_the_end_ends_with_the_episode(started: tuple[AgentServer, int]) -> None:
    server, _ = started
    [states] = server.branch(branches(1, STEPS + 5), 60)
    assert [state.over for state in states] == [False] * (STEPS - 1) + [True]


def test_a_simulator_that_knows_no_branches_is_not_asked(tmp_path: Path) -> None:
    with AgentServer(f"ipc://{tmp_path}/wire", 30) as server:
        server.launch([sys.executable, wire_peer.__file__, server.endpoint, "count"])
        server.accept()
        server.receive()
        with pytest.raises(ConfigError, match="does not know"):
            server.branch([[np.zeros(2)]], 1)
        server.act(np.ones(2))
        assert server.receive().info == "step 1"
