"""Episodes in other processes: order, equality, resumption, and what a failing or dying worker does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import made_network
import numpy as np
import pandas as pd
import programs
import psutil
import pytest

from cf_augment.dataset import Episode, EpisodeMetadata, Provenance, read_episode, write_episode
from ns3_scenarios.bridge.event_log import EventLog
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import cio_from_action
from ns3_scenarios.scenario import Scenario
from py_agent import jobs
from py_agent.collect import EpisodeBatch, collect
from py_agent.env import MlbEnv, open_backend
from py_agent.jobs import Executor, Job, LocalExecutor
from py_agent.policies import policy_factory
from py_agent.policies.rules import Static
from py_agent.rollout import run_episode
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError, DataError, SimulatorError, StorageError

SCENARIO = made_network.scenario()
TRACES = {"train-000": made_network.trace(), "train-001": made_network.trace(shift_m=30)}


class Suicidal(Static):
    """Kills the process that plays it."""

    def act(self, observation: np.ndarray, kpis: StepKpis, cio_db: Floats) -> np.ndarray:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


class Confused(Static):
    """Returns no numbers."""

    def act(self, observation: np.ndarray, kpis: StepKpis, cio_db: Floats) -> np.ndarray:
        return np.full(2, np.nan, np.float32)


@dataclass
class Marked(Static):
    """Leaves a mark in a file when it is played."""

    scenario: Scenario
    path: Path

    def __post_init__(self) -> None:
        super().__init__(self.scenario)
        with self.path.open("a") as file:
            file.write("played\n")


def metadata(policy: str, seed: int, trace_name: str) -> EpisodeMetadata:
    return EpisodeMetadata(
        scenario_id=SCENARIO.id,
        trace_name=trace_name,
        policy=policy,
        seed=seed,
        backend="engine",
        versions={"mlb-testbed": version("mlb-testbed")},
        provenance=Provenance(action_source=policy),
    )


def rolled_out(policy: str, seed: int = 1, trace_name: str = "train-000") -> Episode:
    env = MlbEnv(SCENARIO, open_backend(SCENARIO, "engine"), list(TRACES.values()))
    index = list(TRACES).index(trace_name)
    return run_episode(env, policy_factory(policy)(SCENARIO), metadata(policy, seed, trace_name), index)


def test_a_rollout_is_what_the_environment_showed_and_can_be_replayed() -> None:
    episode = rolled_out("random")
    env = MlbEnv(SCENARIO, open_backend(SCENARIO, "engine"), list(TRACES.values()))
    observations, rewards = [env.reset(options={"trace": 0})[0]], []
    for action in episode.actions:
        observation, reward, *_ = env.step(action)
        observations.append(observation)
        rewards.append(np.float32(reward))
    assert np.array_equal(episode.observations, np.stack(observations))
    assert np.array_equal(episode.rewards, np.array(rewards))
    backend = open_backend(SCENARIO, "engine")
    backend.reset(episode.trace, 0)
    for step, action in enumerate(episode.actions):
        assert backend.step(cio_from_action(SCENARIO, action)) == episode.kpis_at(step + 1)


def test_random_actions_differ_by_seed_and_by_trace() -> None:
    first = rolled_out("random").actions
    assert np.array_equal(rolled_out("random").actions, first)
    assert not np.array_equal(rolled_out("random", seed=2).actions, first)
    assert not np.array_equal(rolled_out("random", trace_name="train-001").actions, first)


class InTurn(Executor):
    """Runs jobs one after another in this process."""

    def run(self, jobs: Sequence[Job], title: str) -> None:
        for job in jobs:
            job.run(lambda work: None)


def test_another_executor_gives_the_same_bytes(tmp_path: Path) -> None:
    collect(SCENARIO, TRACES, {"random": policy_factory("random")}, [2], tmp_path, InTurn(), "engine")
    for trace_name in TRACES:
        write_episode(tmp_path / "here.h5", rolled_out("random", 2, trace_name))
        assert (tmp_path / "here.h5").read_bytes() == (tmp_path / f"{trace_name}-random-2.h5").read_bytes()


def test_episodes_of_the_engine_side_by_side_are_those_played_alone(tmp_path: Path) -> None:
    """All arrays, events too, bit for bit; 16 episodes are four batches."""
    names = ["noise:std=0.5,around=random", "integral", "epsilon", "random"]
    policies = {name: policy_factory(name) for name in names}
    played: list[Job] = []

    class Noted(InTurn):
        def run(self, jobs: Sequence[Job], title: str) -> None:
            played.extend(jobs)
            super().run(jobs, title)

    collect(SCENARIO, TRACES, policies, [1, 2], tmp_path, Noted(), "engine")
    assert [len(job.jobs) for job in played if isinstance(job, EpisodeBatch)] == [4] * 4
    for trace_name in TRACES:
        for name in names:
            for seed in (1, 2):
                write_episode(tmp_path / "here.h5", rolled_out(name, seed, trace_name))
                assert (tmp_path / "here.h5").read_bytes() == (tmp_path / f"{trace_name}-{name}-{seed}.h5").read_bytes()
    events = [len(read_episode(path).kpis.events) for path in tmp_path.glob("train-*.h5")]
    assert max(events) > 0


def test_side_by_side_or_alone_the_same_is_reported(tmp_path: Path) -> None:
    """Late and noisy reports are of the network's seed in both; they change what the rule does."""
    told = made_network.scenario(reports={"delay_intervals": 1, "load_noise_std": 0.1, "rsrp_noise_std_db": 2})
    collect(told, TRACES, {"integral": policy_factory("integral")}, [1, 2], tmp_path, InTurn(), "engine")
    for trace_name, trace in TRACES.items():
        env = MlbEnv(told, open_backend(told, "engine"), [trace])
        policy = policy_factory("integral")(told)
        alone = run_episode(env, policy, metadata("integral", 2, trace_name))
        kept = read_episode(tmp_path / f"{trace_name}-integral-2.h5")
        assert kept.metadata.report_seed == alone.metadata.report_seed != 0
        for name in ("observations", "actions", "rewards"):
            assert np.array_equal(getattr(kept, name), getattr(alone, name))
        assert not np.array_equal(kept.actions, rolled_out("integral", 2, trace_name).actions)


@pytest.mark.slow
def test_workers_give_the_same_bytes_as_one_process_in_the_order_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals: list[float] = []
    done: list[float] = []

    @contextmanager
    def noted(title: str, total: float) -> Iterator[SimpleNamespace]:
        totals.append(total)
        yield SimpleNamespace(advance=done.append)

    monkeypatch.setattr(jobs, "progress", noted)
    policies = {name: policy_factory(name) for name in ("static", "random")}
    episodes = collect(SCENARIO, TRACES, policies, [2, 1], tmp_path, LocalExecutor(2), "engine")
    assert sum(done) == pytest.approx(totals[0])
    assert len(done) == 4 * (1 + SCENARIO.episode.steps)  # four batches; not by episode: by what has been simulated
    order = [(e.metadata.trace_name, e.metadata.policy, e.metadata.seed) for e in episodes]
    assert order == [(trace, policy, seed) for trace in TRACES for policy in policies for seed in (2, 1)]
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(f"{t}-{p}-{s}" for t, p, s in order)
    for trace_name, policy, seed in order:
        write_episode(tmp_path / "here.h5", rolled_out(policy, seed, trace_name))
        assert (tmp_path / "here.h5").read_bytes() == (tmp_path / f"{trace_name}-{policy}-{seed}.h5").read_bytes()


@dataclass(frozen=True)
class Waiting:
    """Writes its file as soon as another one is there."""

    path: Path
    other: Path
    work: float = 1.0

    def run(self, advance: Callable[[float], None]) -> None:
        assert wait_for(self.other.exists, within_s=60)
        self.path.touch()


@pytest.mark.slow
def test_what_is_done_is_passed_on_while_the_rest_is_being_done(tmp_path: Path) -> None:
    first, second, seen = (tmp_path / name for name in ("first", "second", "seen"))
    doing = LocalExecutor(2).each([Waiting(first, tmp_path), Waiting(second, seen)], "files")
    assert next(doing).path == first
    seen.touch()
    assert [job.path for job in doing] == [second]


@pytest.mark.ns3
def test_what_was_interrupted_by_an_error_goes_on_where_it_stopped(tmp_path: Path) -> None:
    mark, directory = tmp_path / "mark", tmp_path / "episodes"
    policies = {"marked": partial(Marked, path=mark), "confused": Confused}
    with pytest.raises(ConfigError, match="value 0 is nan"):
        collect(SCENARIO, TRACES, policies, [1], directory, LocalExecutor(1))
    finished = directory / "train-000-marked-1.h5"
    assert list(directory.iterdir()) == [finished]
    before = finished.read_bytes()
    mended = policies | {"confused": Static}
    episodes = collect(SCENARIO, TRACES, mended, [1], directory, LocalExecutor(1))
    assert len(episodes) == 4
    assert finished.read_bytes() == before
    assert mark.read_text() == "played\n" * 2


def test_episodes_of_another_experiment_are_not_taken(tmp_path: Path) -> None:
    write_episode(tmp_path / "train-000-static-1.h5", rolled_out("static", seed=2))
    with pytest.raises(StorageError, match=r"train-000-static-1\.h5: is an episode of another experiment"):
        collect(SCENARIO, TRACES, {"static": Static}, [1], tmp_path, backend="engine")
    (tmp_path / "train-000-static-1.h5").write_bytes(b"half a file")
    with pytest.raises(DataError, match="damaged"):
        collect(SCENARIO, TRACES, {"static": Static}, [1], tmp_path, backend="engine")


def test_what_cannot_work_is_refused_before_anything_is_played(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="Not a directory"):
        collect(SCENARIO, TRACES, {"static": Static}, [1], tmp_path / "file" / "episodes", backend="engine")
    with pytest.raises(ConfigError, match="workers: 0"):
        LocalExecutor(0)


@pytest.mark.ns3
def test_a_dead_worker_is_an_error_that_names_the_episode(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match="played train-000-suicidal-1 died with exit code -9"):
        collect(SCENARIO, TRACES, {"suicidal": Suicidal}, [1], tmp_path, LocalExecutor(1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.ns3
@pytest.mark.skipif(sys.platform != "linux", reason="the system cannot bind a child's life to its parent's")
@pytest.mark.parametrize("moment", ["workers", "simulators"])
def test_nothing_is_left_when_the_command_is_killed(tmp_path: Path, moment: str) -> None:
    script = (
        "from pathlib import Path; import made_network; from py_agent.collect import collect;"
        "from py_agent.policies.rules import Static; steps = 500;"
        "collect(made_network.scenario(steps), {'long': made_network.trace(steps)}, {'static': Static},"
        f"[1, 2], Path({str(tmp_path)!r}))"
    )
    environment = programs.python_path() | {"MLB_TEST_MARK": str(tmp_path)}
    command = subprocess.Popen([sys.executable, "-c", script], env=environment)
    try:
        found = simulators if moment == "simulators" else workers
        assert wait_for(lambda: len(found(command.pid)) == 2 or command.poll() is not None, within_s=60)
        assert command.poll() is None
    finally:
        command.kill()
        command.wait()
    assert programs.left_with("MLB_TEST_MARK", str(tmp_path), within_s=10) == []
    assert list(tmp_path.iterdir()) == []


def simulators(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children(recursive=True) if "mlb-lte" in child.name()]


def workers(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children() if "--multiprocessing-fork" in child.cmdline()]


def wait_for(condition: Callable[[], bool], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.ns3
def test_each_episode_leaves_its_event_log_and_the_engine_has_none(tmp_path: Path) -> None:
    scenario, moves = made_network.scenario(steps=2), {"t0": made_network.trace(steps=2)}
    episodes = collect(
        scenario, moves, {"static": Static}, [0, 1], tmp_path / "e", event_log=EventLog(tmp_path / "log")
    )
    for seed, episode in enumerate(episodes):
        dcis = pd.read_parquet(tmp_path / "log" / f"t0-static-{seed}" / "0000-dl_dci.parquet")
        last = dcis[(dcis["time_s"] > 1) & (dcis["cell"] == 0)]
        assert last["prbs"].sum() / 25_000 == episode.kpis.prb_utilization[2, 0]
    with pytest.raises(ConfigError, match=r"engine has no DCIs to log\n.*back end ns3"):
        collect(scenario, moves, {"static": Static}, [0], tmp_path, backend="engine", event_log=EventLog(tmp_path))
