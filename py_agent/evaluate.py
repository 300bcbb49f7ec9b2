"""Judges policies: each on the same traces and seeds, in ns-3 or in the engine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import pandas as pd

from cf_augment.dataset import Episode
from ns3_scenarios.scenario import Scenario
from py_agent.collect import collect
from py_agent.jobs import LOCAL, Executor
from py_agent.metrics import episode_metrics, step_metrics
from py_agent.policies import PolicyFactory
from sumo_mobility.base.documents import printable, read_json
from sumo_mobility.base.errors import DataError, StorageError
from sumo_mobility.base.files import sha256, write_text
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
    _remember(policies, directory / "policies.json")
    return Evaluation(scenario, collect(scenario, traces, policies, seeds, directory, executor, backend, ns3))


def _keys(episode: Episode) -> dict[str, str | int]:
    metadata = episode.metadata
    return {"policy": metadata.policy, "trace": metadata.trace_name, "seed": metadata.seed}


def _remember(policies: Mapping[str, PolicyFactory], path: Path) -> None:
    """Writes down what each policy was, or checks that it still is that, once there are episodes."""
    played = path.is_file() and any(not file.name.startswith(".") for file in path.parent.glob("*.h5"))
    try:
        known = read_json(path) if played else {}
        if not isinstance(known, dict) or not all(isinstance(identity, str) for identity in known.values()):
            raise DataError(f"{path}: does not say in text what each policy was")
    except DataError as error:
        raise DataError(error.message, "choose another directory") from None
    now = {name: _identity(factory) for name, factory in policies.items()}
    for name, identity in now.items():
        if known.get(name, identity) != identity:
            raise StorageError(
                f"{path}: episodes of '{name}' were played by {printable(known[name], 400)}, now it is {identity}",
                "choose another directory",
            )
    write_text(path, json.dumps(known | now, indent=2) + "\n")


def _identity(factory: PolicyFactory) -> str:
    """Name and arguments of a policy; a file counts by its content."""
    if not isinstance(factory, partial):
        return getattr(factory, "__qualname__", repr(factory))
    given = [*map(_argument, factory.args), *(f"{name}={_argument(v)}" for name, v in factory.keywords.items())]
    return f"{_identity(factory.func)}({', '.join(given)})"


def _argument(value: object) -> str:
    return f"sha256:{sha256(value)}" if isinstance(value, Path) else repr(value)
