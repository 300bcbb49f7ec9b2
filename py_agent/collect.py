"""Many episodes in parallel processes: for datasets and for evaluation, in ns-3 or in the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from cf_augment.dataset import EpisodeFiles, EpisodeMetadata, Provenance, read_episode, write_episode
from ns3_scenarios.bridge.event_log import EventLog
from ns3_scenarios.scenario import Scenario
from py_agent.env import MlbEnv, open_backend
from py_agent.jobs import LOCAL, Executor
from py_agent.policies import PolicyFactory
from py_agent.rollout import run_episode
from sumo_mobility.base.errors import StorageError
from sumo_mobility.base.system import NS3
from sumo_mobility.trace import MobilityTrace


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
        if kept.metadata != asked or not np.array_equal(kept.trace.position_m, self.trace.position_m):
            raise StorageError(f"{self.path}: is an episode of another experiment", "choose another directory")
        return True

    @property
    def work(self) -> float:
        """See `simulation_work`."""
        episode = self.scenario.episode
        return simulation_work(self.scenario, episode.warmup_s + episode.duration_s)

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


def simulation_work(scenario: Scenario, time_s: float) -> float:
    """Returns the relative cost of simulating some time, in s times UEs times cells."""
    return time_s * scenario.mobility.ues * len(scenario.cells)


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

    Returns:
        The episodes, which stay in their files until they are read: trace by trace, in each policy by policy, in each
        seed by seed; the same wherever they are played.

    Raises:
        SimulatorError: an episode failed or a worker died; finished episodes are kept.
        StorageError: the directory holds an episode of another experiment, or cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make {directory}: {error.strerror}", "choose another directory") from None
    jobs = [
        EpisodeJob.of(scenario, trace, policy, seed, directory, backend, ns3, event_log)
        for trace in traces.items()
        for policy in policies.items()
        for seed in seeds
    ]
    executor.run([job for job in jobs if not job.is_done()], "episodes")
    return EpisodeFiles([job.path for job in jobs])
