"""The jobs of a benchmark of methods: what is logged, made of it, tuned, trained and judged, a file each."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cf_augment.augment import augment
from cf_augment.dataset import Episode, EpisodeMetadata, Provenance, read_dataset, write_dataset
from cf_augment.physics.closed_form.backend import EngineBackend
from ns3_scenarios.scenario import Scenario
from py_agent.algorithms.config import TrainConfig
from py_agent.collect import simulation_work
from py_agent.env import MlbEnv, open_backend
from py_agent.metrics import episode_metrics
from py_agent.online.registry import ONLINE
from py_agent.online.train import train_online
from py_agent.policies import PolicyFactory, policy_factory
from py_agent.rollout import run_engine_episodes, run_episode
from py_agent.rundir import checkpoint_after, last_checkpoint
from py_agent.train import train
from py_agent.tune import at_edge, best_of, policy_text, tune
from sumo_mobility.base.contract import Contract
from sumo_mobility.base.files import replacing, write_text
from sumo_mobility.pipeline import load_map
from sumo_mobility.trace import MobilityTrace

_AT_ONCE = 25
"""Episodes that the engine plays side by side."""


@dataclass(frozen=True)
class LoggedJob:
    """Logged episodes of random offsets on some traces.

    Attributes:
        scenario: Where they are played, in the engine.
        traces: Files of the traces, by name.
        seed: Of the offsets.
        path: The dataset.
    """

    scenario: Scenario
    traces: Mapping[str, Path]
    seed: int
    path: Path

    @property
    def work(self) -> float:
        """See `simulation_work`."""
        return len(self.traces) * simulation_work(self.scenario, self.scenario.episode.duration_s)

    def run(self, advance: Callable[[float], None]) -> None:
        """Plays them; `advance` is called once."""
        episodes = played(self.scenario, self.traces, policy_factory("random"), "random", self.seed, "engine")
        write_dataset(self.path, self.scenario, episodes)
        advance(self.work)


@dataclass(frozen=True)
class AugmentJob:
    """Counterfactual episodes of logged ones.

    Attributes:
        logged: What they are made of; it has to be there.
        replays: Counterfactual episodes on each trace.
        mixed_traces: Traces of other crowds beside the logged ones.
        generated_traces: Traces that the causal model draws, beside those.
        path: The dataset; the causal model goes beside it.
    """

    logged: LoggedJob
    replays: int
    mixed_traces: int
    generated_traces: int
    path: Path

    @property
    def work(self) -> float:
        """See `simulation_work`."""
        episodes = self.replays * (len(self.logged.traces) + self.mixed_traces + self.generated_traces)
        return episodes * simulation_work(self.logged.scenario, self.logged.scenario.episode.duration_s)

    def run(self, advance: Callable[[float], None]) -> None:
        """Makes them; `advance` is called once."""
        scenario = self.logged.scenario
        made = augment(
            read_dataset(self.logged.path), load_map(scenario.mobility.map), self.logged.seed, self.replays,
            self.mixed_traces, self.generated_traces, self.path.with_name("model.json"),
        )  # fmt: skip
        write_dataset(self.path, scenario, list(made))
        advance(self.work)


class Tuned(Contract):
    """What a search for the parameters of a policy found."""

    policy: str
    """The policy with its best parameters, as `policy_factory` takes it."""
    tried: int
    """Number of candidates."""
    reward: float
    """Mean reward a step of the best one."""
    at_edge: tuple[str, ...]
    """Parameters whose best value is the last one of a range that could go on."""


@dataclass(frozen=True)
class TuneJob:
    """A search for the parameters of a policy, in the engine.

    Attributes:
        scenario: What it is tuned to.
        traces: Files of the development traces, by name.
        policy: One of POLICIES that has something to tune.
        path: What was found, a `Tuned`.
    """

    scenario: Scenario
    traces: Mapping[str, Path]
    policy: str
    path: Path

    @property
    def work(self) -> float:
        """See `simulation_work`; as if there were 60 candidates."""
        return 60 * len(self.traces) * simulation_work(self.scenario, self.scenario.episode.duration_s)

    def run(self, advance: Callable[[float], None]) -> None:
        """Searches; `advance` is called once."""
        tried = tune(self.scenario, [MobilityTrace.read(path) for path in self.traces.values()], self.policy)
        best = best_of(tried, self.policy)
        edges = at_edge(self.scenario, self.policy, best)
        reward = float(tried["reward"].iloc[0])
        found = Tuned(policy=policy_text(self.policy, best), tried=len(tried), reward=reward, at_edge=tuple(edges))
        found.write_json(self.path)
        advance(self.work)


@dataclass(frozen=True)
class TrainJob:
    """A training of several seeds at once.

    Attributes:
        logged: What it learns from.
        augmented: Counterfactual data that it learns from as well, if any.
        algorithm: One of ALGORITHMS.
        training: Fields of its `TrainConfig`; those that are not named have their defaults.
        seeds: Number of seeds.
        folder: Where the trainings go, each in a folder of its seed.
    """

    logged: LoggedJob
    augmented: AugmentJob | None
    algorithm: str
    training: Mapping[str, Any]
    seeds: int
    folder: Path

    @property
    def path(self) -> Path:
        """What it took."""
        return self.folder / "cost.json"

    @property
    def work(self) -> float:
        """Gradient steps of all seeds."""
        return float(self.seeds * self.training[self.algorithm]["gradient_steps"])

    def cpu_s(self) -> float:
        """CPU time of one seed's training, in s."""
        spent: float = json.loads(self.path.read_text())["cpu_s"]
        return spent / self.seeds

    @property
    def checkpoints(self) -> list[Path]:
        """The last checkpoint of each seed."""
        return [last_checkpoint(self.folder / str(seed)) for seed in range(self.seeds)]

    @property
    def early(self) -> dict[int, list[Path]]:
        """Checkpoints of each seed before the last one, by the number of gradient steps."""
        every, last = self.training["checkpoint_every"], self.training[self.algorithm]["gradient_steps"]
        return {
            step: [checkpoint_after(self.folder / str(seed), step) for seed in range(self.seeds)]
            for step in range(every, last, every)
        }

    def run(self, advance: Callable[[float], None]) -> None:
        """Trains; `advance` is called once."""
        # Made here, because its class is made while the program runs and could not be sent to this process.
        config = TrainConfig.of(self.algorithm).parse(dict(self.training), f"training in {self.folder}")
        started = time.process_time()
        logged = read_dataset(self.logged.path)
        counterfactual = read_dataset(self.augmented.path) if self.augmented else None
        train(config, logged, counterfactual, [path.parents[1] for path in self.checkpoints], resume=True)
        write_text(self.path, json.dumps({"cpu_s": time.process_time() - started}) + "\n")
        advance(self.work)


@dataclass(frozen=True)
class OnlineJob:
    """A training that acts in the engine, on fresh traces of the context in which its policy is judged.

    Attributes:
        scenario: The scenario whose only test context it is.
        algorithm: One of ONLINE.
        training: Fields of its configuration.
        seed: Of weights, noise and traces.
        folder: Where the training goes.
    """

    scenario: Scenario
    algorithm: str
    training: Mapping[str, Any]
    seed: int
    folder: Path

    @property
    def path(self) -> Path:
        """What it took."""
        return self.folder.with_suffix(".json")

    @property
    def work(self) -> float:
        """Control intervals."""
        return float(self.training["environment_steps"])

    def cpu_s(self) -> float:
        """CPU time, in s."""
        spent: float = json.loads(self.path.read_text())["cpu_s"]
        return spent

    def run(self, advance: Callable[[float], None]) -> None:
        """Trains; `advance` is called once."""
        config = ONLINE[self.algorithm].load().Config.parse(dict(self.training), f"training in {self.folder}")
        started = time.process_time()
        contexts = self.scenario.mobility.test_contexts
        shutil.rmtree(self.folder, ignore_errors=True)  # of a training that was interrupted as it was being written
        train_online(self.algorithm, self.scenario, self.folder, config, self.seed, contexts)
        write_text(self.path, json.dumps({"cpu_s": time.process_time() - started}) + "\n")
        advance(self.work)


@dataclass(frozen=True)
class JudgeJob:
    """A policy on some traces, of which the metrics of the episodes and their mean reward a step are kept.

    Attributes:
        scenario: Where it is judged.
        traces: Files of the traces, by name.
        policy: Its name.
        factory: Makes it.
        backend: One of BACKENDS.
        path: The table that is written.
    """

    scenario: Scenario
    traces: Mapping[str, Path]
    policy: str
    factory: PolicyFactory
    backend: str
    path: Path

    @property
    def work(self) -> float:
        """See `simulation_work`; the engine is as fast as if a second had a hundredth."""
        work = len(self.traces) * simulation_work(self.scenario, self.scenario.episode.duration_s)
        return work if self.backend == "ns3" else work / 100

    def run(self, advance: Callable[[float], None]) -> None:
        """Plays them; `advance` is called for each episode."""
        rows = []
        for episode in played(self.scenario, self.traces, self.factory, self.policy, 0, self.backend):
            earned = {"reward": float(episode.rewards.mean())}
            rows.append({"trace": episode.metadata.trace_name, **earned, **episode_metrics(self.scenario, episode)})
            advance(self.work / len(self.traces))
        with replacing(self.path) as temporary:
            pd.DataFrame(rows).to_parquet(temporary, index=False)


def played(
    scenario: Scenario, traces: Mapping[str, Path], factory: PolicyFactory, name: str, seed: int, backend: str
) -> Iterator[Episode]:
    """Plays a policy on each trace.

    Args:
        scenario: Where it acts.
        traces: Files of the traces, by name.
        factory: Makes the policy.
        name: What the episodes call it.
        seed: Of network and policy.
        backend: One of BACKENDS.
    """
    made = {trace: MobilityTrace.read(path) for trace, path in traces.items()}
    records = [
        EpisodeMetadata(
            scenario_id=scenario.id, trace_name=trace, policy=name, seed=seed, backend=backend,
            provenance=Provenance(action_source=name),
        )
        for trace in made
    ]  # fmt: skip
    if backend == EngineBackend.name:
        for first in range(0, len(made), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            driven = [*made.values()][some]
            yield from run_engine_episodes(scenario, driven, [factory(scenario) for _ in driven], records[some])
        return
    env = MlbEnv(scenario, open_backend(scenario, backend), list(made.values()))
    try:
        policy = factory(scenario)
        for index, record in enumerate(records):
            yield run_episode(env, policy, record, index)
    finally:
        env.close()
