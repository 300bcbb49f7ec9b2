"""Judges policies: each on the same traces and seeds, in ns-3 or in the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from cf_augment.dataset import Episode
from ns3_scenarios.scenario import Scenario
from py_agent.collect import collect
from py_agent.identities import remember
from py_agent.jobs import LOCAL, Executor
from py_agent.metrics import episode_metrics, step_metrics
from py_agent.policies import PolicyFactory
from sumo_mobility.base.system import NS3
from sumo_mobility.trace import MobilityTrace

_KEYS = ["policy", "trace", "seed"]


@dataclass(frozen=True)
class Evaluation:
    """The episodes of an evaluation and their metrics.

    Attributes:
        scenario: The scenario of all episodes.
        episodes: Each policy on each trace with each seed.
    """

    scenario: Scenario
    episodes: Sequence[Episode]

    @cached_property
    def per_episode(self) -> pd.DataFrame:
        """Returns a row for each episode: policy, trace, seed, context and the metrics of `episode_metrics`."""
        return pd.DataFrame(
            [
                {**_keys(episode), "context": episode.of_trace("context"), **episode_metrics(self.scenario, episode)}
                for episode in self.episodes
            ]
        )

    @cached_property
    def per_step(self) -> pd.DataFrame:
        """Returns a row for each step: policy, trace, seed and the columns of `step_metrics`."""
        tables = [step_metrics(episode).assign(**_keys(episode)) for episode in self.episodes]
        return pd.concat(tables, ignore_index=True)[[*_KEYS, *tables[0].columns.drop(_KEYS)]]


def evaluate(
    scenario: Scenario,
    traces: Mapping[str, MobilityTrace],
    policies: Mapping[str, PolicyFactory],
    seeds: Sequence[int],
    directory: Path,
    executor: Executor = LOCAL,
    backend: str = "ns3",
    ns3: str = NS3,
) -> Evaluation:
    """Plays every policy on every trace with every seed; what is in `directory` already is not played again.

    Args:
        scenario: The experiment.
        traces: Mobility that no training saw, by name.
        policies: Policies by name; importable, or a functools.partial of that.
        seeds: Seeds of the network and of the policies.
        directory: Where finished episodes are kept.
        executor: Where the episodes are played.
        backend: The back end that plays them, one of BACKENDS.
        ns3: Version of ns-3.

    Raises:
        StorageError: the directory holds episodes of another experiment or of a policy that has changed since.
        SimulatorError: an episode failed; finished episodes are kept.
        DataError: a policy does not fit the scenario.
    """
    for policy in policies.values():
        policy(scenario)  # says what is wrong before anything is played
    remember(policies, directory)
    return Evaluation(scenario, collect(scenario, traces, policies, seeds, directory, executor, backend, ns3))


def _keys(episode: Episode) -> dict[str, str | int]:
    metadata = episode.metadata
    return {"policy": metadata.policy, "trace": metadata.trace_name, "seed": metadata.seed}
