"""Many episodes in parallel processes: for datasets and for evaluation, in ns-3 or in the engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np

from cf_augment.dataset import (
    Dataset,
    Episode,
    EpisodeFiles,
    EpisodeMetadata,
    Provenance,
    read_episode,
    write_episode,
)  # fmt: skip
from cf_augment.physics.closed_form.backend import EngineBackend
from ns3_scenarios.bridge.event_log import EventLog
from ns3_scenarios.scenario import Scenario
from py_agent.env import MlbEnv, open_backend
from py_agent.jobs import LOCAL, Executor
from py_agent.policies import PolicyFactory
from py_agent.rollout import run_engine_episodes, run_episode
from sumo_mobility.base.errors import DataError, StorageError
from sumo_mobility.base.system import NS3
from sumo_mobility.trace import MobilityTrace

_First = TypeVar("_First")
_Second = TypeVar("_Second")


@dataclass(frozen=True)
class EpisodeJob:
    """An episode that is to be played, and the file that it goes to."""

    scenario: Scenario
    trace: MobilityTrace
    policy: PolicyFactory
    metadata: EpisodeMetadata
    path: Path
    ns3: str = NS3
    event_log: EventLog | None = None

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        trace: tuple[str, MobilityTrace],
        policy: tuple[str, PolicyFactory],
        seed: int,
        directory: Path,
        backend: str = "ns3",
        ns3: str = NS3,
        event_log: EventLog | None = None,
    ) -> EpisodeJob:
        """Names the episode after its trace, policy and seed; see `collect`."""
        versions = {"mlb-testbed": version("mlb-testbed")} | ({"ns3": ns3} if backend == "ns3" else {})
        metadata = EpisodeMetadata(
            scenario_id=scenario.id,
            trace_name=trace[0],
            policy=policy[0],
            seed=seed,
            backend=backend,
            versions=versions,
            provenance=Provenance(action_source=policy[0]),
        )
        path = cls.path_in(directory, trace[0], policy[0], seed)
        own_log = event_log and replace(event_log, directory=event_log.directory / path.stem)
        return cls(scenario, trace[1], policy[1], metadata, path, ns3, own_log)

    @staticmethod
    def path_in(directory: Path, trace: str, policy: str, seed: int) -> Path:
        """Returns the file that the episode of a trace, a policy and a seed goes to."""
        return directory / f"{trace}-{policy}-{seed}.h5"

    def is_done(self) -> bool:
        """Returns whether the episode is there already.

        Raises:
            StorageError: the file holds an episode of another experiment.
        """
        if not self.path.is_file():
            return False
        kept = read_episode(self.path)
        asked = self.metadata.model_copy(update={"report_seed": kept.metadata.report_seed})
        if kept.metadata != asked or not np.array_equal(kept.moved("a kept episode").position_m, self.trace.position_m):
            raise StorageError(f"{self.path}: is an episode of another experiment", "choose another directory")
        return True

    @property
    def work(self) -> float:
        """See `simulation_work`."""
        return simulation_work(self.scenario, self.scenario.episode.simulated_s)

    def run(self, advance: Callable[[float], None] = lambda work: None) -> None:
        """Plays it; `advance` is called with the work of each interval."""
        backend = open_backend(self.scenario, self.metadata.backend, self.ns3, self.event_log)
        env = MlbEnv(self.scenario, backend, [self.trace])
        try:
            policy = self.policy(self.scenario)
            episode = run_episode(
                env, policy, self.metadata, on_time=lambda time_s: advance(simulation_work(self.scenario, time_s))
            )
            write_episode(self.path, episode)
        finally:
            env.close()


@dataclass(frozen=True)
class EpisodeBatch:
    """Episodes of one scenario that are played side by side in the engine; each goes to its own file.

    Attributes:
        jobs: The episodes.
    """

    jobs: tuple[EpisodeJob, ...]

    @property
    def path(self) -> Path:
        """The file of the last episode, which is written last."""
        return self.jobs[-1].path

    @property
    def work(self) -> float:
        """See `simulation_work`."""
        return sum(job.work for job in self.jobs)

    def run(self, advance: Callable[[float], None] = lambda work: None) -> None:
        """Plays them; `advance` is called with the work of each interval of all."""
        scenario = self.jobs[0].scenario
        episodes = run_engine_episodes(
            scenario,
            [job.trace for job in self.jobs],
            [job.policy(scenario) for job in self.jobs],
            [job.metadata for job in self.jobs],
            on_time=lambda time_s: advance(simulation_work(scenario, time_s)),
        )
        for job, episode in zip(self.jobs, episodes, strict=True):
            write_episode(job.path, episode)


_BATCH = 8
"""Greatest number of episodes in a batch; more are hardly faster, and lose more where they are interrupted."""


def _in_batches(jobs: Sequence[EpisodeJob]) -> Sequence[EpisodeJob] | list[EpisodeBatch]:
    """Returns jobs, those of the engine in batches, of which there are at least four to share among processes."""
    size = min(_BATCH, len(jobs) // 4)
    if size < 2 or any(job.metadata.backend != EngineBackend.name or job.event_log for job in jobs):
        return jobs
    return [EpisodeBatch(tuple(jobs[first : first + size])) for first in range(0, len(jobs), size)]


def simulation_work(scenario: Scenario, time_s: float) -> float:
    """Returns the relative cost of simulating some time, in s times UEs times cells."""
    return time_s * scenario.mobility.ues * len(scenario.cells)


def episode_jobs(
    scenario: Scenario,
    traces: Mapping[str, MobilityTrace],
    policies: Mapping[str, PolicyFactory],
    seeds: Sequence[int],
    directory: Path,
    backend: str = "ns3",
    ns3: str = NS3,
    event_log: EventLog | None = None,
    limit: int | None = None,
) -> list[EpisodeJob]:
    """Returns the episodes of every policy on every trace with every seed; see `collect`."""
    return [
        EpisodeJob.of(scenario, trace, policy, seed, directory, backend, ns3, event_log)
        for trace, policy, seed in _chosen(list(traces.items()), list(policies.items()), seeds, limit)
    ]


def _chosen(
    traces: Sequence[_First], policies: Sequence[_Second], seeds: Sequence[int], limit: int | None
) -> list[tuple[_First, _Second, int]]:
    """Trace by trace, in each policy by policy, seed by seed; at most `limit`, even over policies and over traces.

    The first ones are taken with the first seed on a diagonal: each takes the next policy and the next trace. Where the
    diagonal comes back to its beginning, the one beside it follows. So any number of them has each policy as often as
    any other, but for one, and each trace likewise.
    """
    if not traces or not policies:
        return []
    diagonal = math.lcm(len(traces), len(policies))
    pairs = [((n + n // diagonal) % len(traces), n % len(policies)) for n in range(len(traces) * len(policies))]
    order = [(*pair, seed) for seed in range(len(seeds)) for pair in pairs]
    return [(traces[trace], policies[policy], seeds[seed]) for trace, policy, seed in sorted(order[:limit])]


def play(jobs: Sequence[EpisodeJob], executor: Executor = LOCAL) -> EpisodeFiles:
    """Plays the episodes of one scenario that are not there yet, and returns all in their order; see `collect`."""
    for directory in {job.path.parent for job in jobs}:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make {directory}: {error.strerror}", "choose another directory") from None
    executor.run(_in_batches([job for job in jobs if not job.is_done()]), "episodes")
    return EpisodeFiles([job.path for job in jobs])


def appended(logged: Dataset, jobs: Sequence[EpisodeJob]) -> Iterable[Episode]:
    """Returns the episodes of a dataset and then those of jobs, which have to be played before they are read.

    Raises:
        DataError: the dataset is of another scenario.
        StorageError: the dataset has an episode of the same policy, trace, seed and back end already.
    """

    def key(record: EpisodeMetadata) -> tuple[str, str, int, str]:
        return record.policy, record.trace_name, record.seed, record.backend

    if any(job.scenario != logged.scenario for job in jobs):
        raise DataError(
            f"the dataset is of another scenario than {jobs[0].scenario.id} as it is now", "use another --run"
        )
    there = {key(episode.metadata) for episode in logged.episodes}
    for job in jobs:
        if key(job.metadata) in there:
            policy, trace, seed, backend = key(job.metadata)
            raise StorageError(
                f"the dataset has '{policy}' on {trace} with seed {seed} in {backend} already",
                "append other policies, or other seeds with --seed",
            )
    return chain(logged.episodes, EpisodeFiles([job.path for job in jobs]))


def collect(
    scenario: Scenario,
    traces: Mapping[str, MobilityTrace],
    policies: Mapping[str, PolicyFactory],
    seeds: Sequence[int],
    directory: Path,
    executor: Executor = LOCAL,
    backend: str = "ns3",
    ns3: str = NS3,
    event_log: EventLog | None = None,
    limit: int | None = None,
) -> EpisodeFiles:
    """Plays every policy on every trace with every seed.

    Args:
        scenario: The experiment.
        traces: Mobility by name.
        policies: Policies by name; must be importable, since other processes play them.
        seeds: Seeds; policies with the same seed and trace meet the same network.
        directory: Where finished episodes are kept; those that are there already are not played again.
        executor: Where the episodes are played.
        backend: The back end that plays them, one of BACKENDS.
        ns3: Version of ns-3.
        event_log: Where each episode that is played leaves its events and DCIs, in a directory of its name; ns-3 only.
        limit: Greatest number of episodes, if not all: the first ones in an order that takes policies and traces in
            turn, all of them with the first seed before the second.

    Returns:
        The episodes, which stay in their files until they are read: trace by trace, in each policy by policy, in each
        seed by seed; the same wherever they are played.

    Raises:
        SimulatorError: an episode failed or a worker died; finished episodes are kept.
        StorageError: the directory holds an episode of another experiment, or cannot be written.
    """
    return play(episode_jobs(scenario, traces, policies, seeds, directory, backend, ns3, event_log, limit), executor)
