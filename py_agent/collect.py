"""Many episodes in parallel processes: for datasets and for evaluation, in ns-3 or in the engine.

Each finished episode is a file of its own, so that what was interrupted goes on where it stopped.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

import numpy as np

from cf_augment.dataset import Episode, EpisodeMetadata, Provenance, read_episode, write_episode
from ns3_scenarios.bridge.process import die_with_parent
from ns3_scenarios.bridge.traces import Traces
from ns3_scenarios.scenario import Scenario
from py_agent.env import BackendName, MlbEnv, open_backend
from py_agent.policies import PolicyFactory
from py_agent.rollout import run_episode
from sumo_mobility.base.errors import ConfigError, MlbError, SimulatorError, StorageError
from sumo_mobility.base.progress import progress
from sumo_mobility.trace import MobilityTrace


@dataclass(frozen=True)
class _Job:
    """One episode to be played by a worker."""

    scenario: Scenario
    trace: MobilityTrace
    policy: PolicyFactory
    metadata: EpisodeMetadata
    ns3: str
    path: Path
    traces: Traces | None


def collect(
    scenario: Scenario,
    traces: Mapping[str, MobilityTrace],
    policies: Mapping[str, PolicyFactory],
    seeds: Sequence[int],
    directory: Path,
    workers: int = 2,
    backend: BackendName = "ns3",
    ns3: str = "3.44",
    traces_to: Traces | None = None,
) -> list[Episode]:
    """Plays every policy on every trace with every seed.

    Args:
        scenario: The experiment.
        traces: Mobility by name.
        policies: Policies by name; must be importable, since other processes play them.
        seeds: Seeds; policies with the same seed and trace meet the same network.
        directory: Where finished episodes are kept; those that are there already are not played again.
        workers: Number of processes.
        backend: "ns3", "engine" or "emulator".
        ns3: Version of ns-3.
        traces_to: Where each episode that is played leaves its events and DCIs, in a directory of its name; ns-3 only.

    Returns:
        The episodes, trace by trace, in each policy by policy, in each seed by seed; the same whatever `workers` is.

    Raises:
        SimulatorError: an episode failed or a worker died; finished episodes are kept.
        StorageError: the directory holds an episode of another experiment, or cannot be written.
        ConfigError: fewer than one worker.
    """
    if workers < 1:
        raise ConfigError(f"workers: {workers}, must be at least 1")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make {directory}: {error.strerror}", "choose another directory") from None
    versions = {"mlb-testbed": version("mlb-testbed")} | ({"ns3": ns3} if backend == "ns3" else {})
    jobs = []
    for trace_name, trace in traces.items():
        for policy_name, policy in policies.items():
            for seed in seeds:
                metadata = EpisodeMetadata(
                    scenario_id=scenario.id,
                    trace_name=trace_name,
                    policy=policy_name,
                    seed=seed,
                    backend=backend,
                    versions=versions,
                    provenance=Provenance(action_source=policy_name),
                )
                path = directory / f"{trace_name}-{policy_name}-{seed}.h5"
                tracing = traces_to and replace(traces_to, directory=traces_to.directory / path.stem)
                jobs.append(_Job(scenario, trace, policy, metadata, ns3, path, tracing))
    missing = []
    for job in jobs:
        if job.path.is_file():
            _check_kept(job)
        else:
            missing.append(job)
    _play(missing, workers)
    return [read_episode(job.path) for job in jobs]


def _check_kept(job: _Job) -> None:
    kept = read_episode(job.path)
    if kept.metadata != job.metadata or not np.array_equal(kept.trace.position_m, job.trace.position_m):
        raise StorageError(f"{job.path}: is an episode of another experiment", "choose another directory")


def _play(jobs: Sequence[_Job], workers: int) -> None:
    todo = iter(jobs)
    running: dict[Connection, tuple[SpawnProcess, _Job]] = {}
    with progress("episodes", len(jobs)) as bar, _processes(min(workers, len(jobs))) as slots:
        for connection, process in slots.items():
            _assign(next(todo), connection, process, running)
        while running:
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                process, job = running.pop(ready)
                _finish(ready, process, job)
                bar.advance()
                following = next(todo, None)
                if following is not None:
                    _assign(following, ready, process, running)


def _assign(
    job: _Job, connection: Connection, process: SpawnProcess, running: dict[Connection, tuple[SpawnProcess, _Job]]
) -> None:
    running[connection] = process, job
    try:
        connection.send(job)
    except BrokenPipeError:
        _finish(connection, process, job)


def _finish(connection: Connection, process: SpawnProcess, job: _Job) -> None:
    """Takes a worker's answer; raises what went wrong."""
    try:
        error = connection.recv()
    except (EOFError, ConnectionResetError):
        process.join()
        raise SimulatorError(
            f"the process that played {job.path.stem} died with exit code {process.exitcode}",
            "run the command again: finished episodes are kept; with fewer workers if memory is short",
        ) from None
    if error is not None:
        raise error


@contextmanager
def _processes(count: int) -> Iterator[dict[Connection, SpawnProcess]]:
    """Worker processes and our ends of their pipes; killed at the end of the block."""
    spawn = multiprocessing.get_context("spawn")
    slots: dict[Connection, SpawnProcess] = {}
    try:
        for _ in range(count):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=_work, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            slots[ours] = process
        yield slots
    finally:
        for connection, process in slots.items():
            process.kill()
            process.join()
            connection.close()


def _work(connection: Connection) -> None:
    """A worker: plays the jobs that it is sent, until it is killed."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    os.environ["OMP_NUM_THREADS"] = "1"
    while True:
        job = connection.recv()
        try:
            _play_one(job)
        except MlbError as error:
            connection.send(error)
        else:
            connection.send(None)


def _play_one(job: _Job) -> None:
    env = MlbEnv(job.scenario, open_backend(job.scenario, job.metadata.backend, job.ns3, job.traces), [job.trace])
    try:
        write_episode(job.path, run_episode(env, job.policy(job.scenario), job.metadata))
    finally:
        env.close()
