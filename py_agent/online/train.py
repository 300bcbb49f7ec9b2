"""Trains an online algorithm in the engine, into a directory whose policy can be evaluated as any other."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ns3_scenarios.scenario import Scenario
from py_agent.algorithms.checkpoint import RECORD, CheckpointRecord, save_tensors
from py_agent.algorithms.networks import Layout
from py_agent.online.base import OBSERVATION_CLIP, OnlineConfig, stable_baselines
from py_agent.online.registry import ONLINE
from py_agent.rundir import last_checkpoint, versions
from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import ConfigError, DataError, StorageError
from sumo_mobility.base.files import replacing
from sumo_mobility.base.progress import progress
from sumo_mobility.base.seeds import derive, stream
from sumo_mobility.contexts import Context
from sumo_mobility.pipeline import make_trace
from sumo_mobility.trace import MobilityTrace


class OnlineRecord(Contract):
    """The record of an online training in its directory."""

    algorithm: str
    config: dict[str, Any]
    """Hyper-parameters of the algorithm."""
    seed: int
    scenario_id: str
    contexts: list[str]
    """Names of the contexts of the fresh traces; empty if traces were given."""
    versions: dict[str, str]


def train_online(
    algorithm: str,
    scenario: Scenario,
    out_dir: Path,
    config: OnlineConfig | None = None,
    seed: int = 0,
    contexts: Sequence[Context] | None = None,
    traces: Sequence[MobilityTrace] | None = None,
) -> Path:
    """Trains an online algorithm in the engine, and returns the path of its checkpoint.

    Every episode of every environment has a fresh trace, of the contexts in turn, unless traces are given, of which
    episodes then draw. The directory holds record.json, metrics.parquet (step: control intervals so far; reward: mean
    of an interval over the episodes that ended there) and checkpoints/last.pt, all written at the end: what is
    interrupted leaves nothing. `mlb evaluate --policy DIRECTORY` judges it; in a run directory's training/ it is known
    by its name. The same arguments give the same bytes of metrics and checkpoint.

    Args:
        algorithm: Its name, one of ONLINE.
        scenario: Where it acts; one that the engine mirrors.
        out_dir: The directory.
        config: Hyper-parameters, of the algorithm's class `Config`; None: their defaults.
        seed: Of weights, noise, traces and networks.
        contexts: Of the fresh traces; None: the scenario's train contexts.
        traces: Given instead of contexts.

    Raises:
        ConfigError: the algorithm is unknown, the configuration is another one's, there are both contexts and traces or
            none of them, or the engine does not mirror the scenario.
        DependencyError: stable-baselines3 is not installed.
        StorageError: the directory holds something.
        DataError: the training diverged.
        SimulatorError: SUMO failed.
    """
    kind = ONLINE[algorithm].load()
    config = kind.Config() if config is None else config
    if type(config) is not kind.Config:
        raise ConfigError(
            f"{algorithm}: a {type(config).__name__} is no configuration of it", f"use {kind.Config.__name__}"
        )
    if contexts is not None and traces is not None:
        raise ConfigError(f"{algorithm}: both contexts and traces", "give one of them")
    contexts = scenario.mobility.train_contexts if contexts is None else contexts
    if not (contexts if traces is None else traces):
        raise ConfigError(f"{algorithm}: neither a context nor a trace to act in")
    library = stable_baselines()
    if out_dir.exists() and any(out_dir.iterdir()):
        raise StorageError(f"{out_dir}: exists and is not empty", "choose another directory")
    torch.set_num_threads(1)
    count = config.environments

    def episodes(number: int) -> tuple[list[MobilityTrace], int]:
        network_seed = derive(seed, algorithm, "network", number)
        if traces is not None:
            drawn = stream(seed, algorithm, "traces", number).integers(len(traces), size=count)
            return [traces[index] for index in drawn], network_seed
        each = range(number * count, (number + 1) * count)
        jobs = [(contexts[index % len(contexts)], derive(seed, algorithm, "trace", index)) for index in each]
        return [make_trace(scenario.mobility, *job) for job in jobs], network_seed

    with progress(f"train {out_dir.name}", config.environment_steps) as bar, _own_randomness():
        from stable_baselines3.common.vec_env import VecNormalize

        from py_agent.online.environments import EngineEnvironments

        playing = EngineEnvironments(scenario, count, episodes, bar.advance)
        normalised = VecNormalize(playing, gamma=config.gamma, clip_obs=OBSERVATION_CLIP)
        learner = kind.learner(library, config, normalised, derive(seed, algorithm, "learner"))
        learner.learn(config.environment_steps)
        moments: Any = normalised.obs_rms
        tensors = kind.tensors(learner, torch.from_numpy(moments.mean), torch.from_numpy(moments.var))
    broken = [name for name, value in tensors.items() if not value.isfinite().all()]
    if broken:
        raise DataError(f"{algorithm}: the training diverged, {broken[0]} is not finite", "use a lower learning_rate")
    kept = config.model_dump(mode="json")
    OnlineRecord(
        algorithm=algorithm, config=kept, seed=seed, scenario_id=scenario.id,
        contexts=[] if traces is not None else [context.name for context in contexts],
        versions=versions() | {"stable-baselines3": version("stable-baselines3")},
    ).write_json(out_dir / "record.json")  # fmt: skip
    steps = count * scenario.episode.steps * np.arange(1, len(playing.rewards) + 1)
    with replacing(out_dir / "metrics.parquet") as temporary:
        pd.DataFrame({"step": steps, "reward": playing.rewards}).to_parquet(temporary, index=False)
    path = last_checkpoint(out_dir)
    record = CheckpointRecord(algorithm=algorithm, version=kind.version, config=kept, layout=Layout.of(scenario))
    record.write_json(path.with_name(RECORD))
    save_tensors(tensors, path)
    return path


@contextmanager
def _own_randomness() -> Iterator[None]:
    """Leaves the generators of Python, NumPy and PyTorch as they were, which stable-baselines3 seeds and draws from."""
    python, arrays = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)  # noqa: NPY002
