"""Many episodes in parallel processes: for datasets and for evaluation, in ns-3 or in the engine."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
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
    read_dataset,
    read_episode,
    write_dataset,
    write_episode,
)  # fmt: skip
from cf_augment.dataset.storage.read import StoredEpisodes
from cf_augment.physics.closed_form.backend import EngineBackend
from ns3_scenarios.bridge.event_log import EventLog
from ns3_scenarios.scenario import Scenario
from py_agent.env import MlbEnv, open_backend
from py_agent.identities import BATCH
from py_agent.jobs import LOCAL, Executor, Job
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
        self.require(read_episode(self.path), self.path)
        return True

    def require(self, kept: Episode, path: Path) -> None:
        """Raises StorageError unless an episode in a file is this one."""
        asked = self.metadata.model_copy(update={"report_seed": kept.metadata.report_seed})
        if kept.metadata != asked or not np.array_equal(kept.moved("a kept episode").position_m, self.trace.position_m):
            raise StorageError(f"{path}: is an episode of another experiment", "choose another directory")

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
    """Episodes of one scenario that are played side by side in the engine.

    Attributes:
        jobs: The episodes.
        path: The file of all of them, as a dataset, or that of the last one, if each goes to its own.
    """

    jobs: tuple[EpisodeJob, ...]
    path: Path

    @classmethod
    def together(cls, jobs: Sequence[EpisodeJob]) -> EpisodeBatch:
        """Returns a batch with one file, whose name says of which episodes."""
        digest = hashlib.sha256("\n".join(job.path.stem for job in jobs).encode()).hexdigest()
        return cls(tuple(jobs), jobs[0].path.with_name(f"{BATCH}{digest[:16]}.h5"))

    def is_done(self) -> bool:
        """Returns whether the file of all is there already.

        Raises:
            StorageError: it holds episodes of another experiment.
        """
        if not self.path.is_file():
            return False
        kept = read_dataset(self.path).episodes
        for job, episode in zip(self.jobs, kept, strict=True):
            job.require(episode, self.path)
        return True

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
        if self.path != self.jobs[-1].path:
            write_dataset(self.path, scenario, episodes, packed=False)
            return
        for job, episode in zip(self.jobs, episodes, strict=True):
            write_episode(job.path, episode)


_BATCH = 64
"""Greatest number of episodes in a batch; more are hardly faster, and lose more where they are interrupted."""
_BATCH_LINKS = 1 << 22
"""Greatest number of RSRPs in a batch, whose KPIs are in memory: some 100 MB."""


def _in_batches(jobs: Sequence[EpisodeJob]) -> list[Sequence[EpisodeJob]]:
    """Returns jobs of the engine in batches, of which there are at least four for processes to share; others alone."""
    size = 1
    if jobs and all(job.metadata.backend == EngineBackend.name and not job.event_log for job in jobs):
        scenario = jobs[0].scenario
        links = scenario.episode.steps * scenario.mobility.ues * len(scenario.cells)
        size = max(1, min(_BATCH, len(jobs) // 4, _BATCH_LINKS // links))
    return [jobs[first : first + size] for first in range(0, len(jobs), size)]


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
    _make_folders(jobs)
    todo = _in_batches([job for job in jobs if not job.is_done()])
    executor.run([part[0] if len(part) == 1 else EpisodeBatch(tuple(part), part[-1].path) for part in todo], "episodes")
    return EpisodeFiles([job.path for job in jobs])


class Played:
    """Episodes of one scenario that are played to become a dataset, and the files in which they wait for it.

    Those of the engine wait in batches, since a file each takes longer than their playing. What is interrupted goes on
    behind the last batch, or the last episode of another back end.

    Args:
        jobs: The episodes, in their order.
    """

    def __init__(self, jobs: Sequence[EpisodeJob]) -> None:
        self.jobs = jobs
        parts = _in_batches(jobs)
        alone = all(len(part) == 1 for part in parts)
        self._parts = [part[0] if alone else EpisodeBatch.together(part) for part in parts]

    def play(self, executor: Executor = LOCAL) -> None:
        """Plays what has not been played yet; raises as `collect` does."""
        executor.run(self._left(), "episodes")

    def write(self, path: Path, scenario: Scenario, executor: Executor = LOCAL, before: Iterable[Episode] = ()) -> None:
        """Writes the episodes as a dataset, while those that have not been played yet are played.

        Args:
            path: The file.
            scenario: The scenario of all episodes.
            executor: Where the episodes are played.
            before: Other episodes, which come first in the dataset.

        Raises:
            MlbError: as `collect` and `write_dataset` do.
        """
        with closing(executor.each(self._left(), "episodes")) as playing:
            write_dataset(path, scenario, chain(before, self._episodes(playing)))

    def _left(self) -> list[EpisodeJob | EpisodeBatch]:
        """Returns what has not been played yet."""
        _make_folders(self.jobs)
        return [part for part in self._parts if not part.is_done()]

    def _episodes(self, playing: Iterator[Job]) -> Iterator[Episode]:
        """Yields all episodes in their order, each as soon as it has been played."""
        for part in self._parts:
            while not part.path.is_file():
                next(playing)
            if isinstance(part, EpisodeBatch):
                yield from StoredEpisodes(part.path, trusted=True)
            else:
                yield read_episode(part.path)
        for _ in playing:  # so that the executor ends as it does by itself
            pass

    def forget(self) -> None:
        """Removes the files of batches, once their episodes are in a dataset."""
        for part in self._parts:
            if isinstance(part, EpisodeBatch):
                part.path.unlink(missing_ok=True)


def _make_folders(jobs: Sequence[EpisodeJob]) -> None:
    for directory in {job.path.parent for job in jobs}:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make {directory}: {error.strerror}", "choose another directory") from None


EpisodeKey = tuple[str, str, int, str]
"""Policy, trace, seed and back end."""


def keys_of(logged: Dataset) -> set[EpisodeKey]:
    """Returns what the episodes of a dataset are of."""
    return {_key(episode.metadata) for episode in logged.episodes}


def require_new(logged: Dataset, there: set[EpisodeKey], jobs: Sequence[EpisodeJob]) -> None:
    """Refuses to append the episodes of jobs to a dataset whose `keys_of` are `there`.

    Raises:
        DataError: the dataset is of another scenario.
        StorageError: the dataset has an episode of the same policy, trace, seed and back end already.
    """
    if any(job.scenario != logged.scenario for job in jobs):
        raise DataError(
            f"the dataset is of another scenario than {jobs[0].scenario.id} as it is now", "use another --run"
        )
    for job in jobs:
        if _key(job.metadata) in there:
            policy, trace, seed, backend = _key(job.metadata)
            raise StorageError(
                f"the dataset has '{policy}' on {trace} with seed {seed} in {backend} already",
                "append other policies, or other seeds with --seed",
            )


def _key(record: EpisodeMetadata) -> EpisodeKey:
    return record.policy, record.trace_name, record.seed, record.backend


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
