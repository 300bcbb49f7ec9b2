"""Trains any algorithm on logged data, counterfactual data or both, into a directory that can be resumed."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cf_augment.dataset import Dataset
from cf_augment.physics import RadioStates
from ns3_scenarios.mdp import reward
from py_agent.algorithms.config import TrainConfig
from py_agent.algorithms.registry import ALGORITHMS
from py_agent.algorithms.transitions import Transitions
from py_agent.rundir import last_checkpoint, versions
from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import DataError, StorageError
from sumo_mobility.base.files import replacing
from sumo_mobility.base.progress import progress


class TrainRecord(Contract):
    """The record of a training in its directory."""

    config: dict[str, Any]
    """The `TrainConfig` of its algorithm."""
    scenario_id: str
    logged_transitions: int
    counterfactual_transitions: int
    data_sha256: str
    versions: dict[str, str]


def train(
    config: TrainConfig, logged: Dataset | None, counterfactual: Dataset | None, out_dir: Path, resume: bool
) -> Path:
    """Trains an algorithm and returns the path of its last checkpoint.

    The directory holds record.json (configuration, seed, versions), metrics.parquet (step, and what the algorithm
    reports), train.log and checkpoints/{last,step-*}.pt. Resumed, it ends with the same bytes of
    metrics and weights as if it had never stopped.

    Args:
        config: What to do; of the class that `TrainConfig.of` returns.
        logged: What the network did; None trains on the counterfactual data alone.
        counterfactual: What it would have done; None trains on the logged data alone, with as many gradient steps.
        out_dir: The training's directory; progress and log call it by its name.
        resume: Go on with a training that was begun there.

    Raises:
        StorageError: the directory is in use and `resume` is False, or was begun with other options or data.
        DataError: there are no data, the datasets are of two scenarios, a checkpoint is damaged, or the training
            diverged; what it had saved before is kept.
    """
    datasets = [data for data in (logged, counterfactual) if data is not None]
    if not datasets:
        raise DataError(f"training {out_dir.name}: no data", "run 'mlb collect' first")
    scenario = datasets[0].scenario
    if any(data.scenario != scenario for data in datasets):
        raise DataError("train: logged and counterfactual data are of two scenarios", "run 'mlb augment' anew")
    share = config.counterfactual_share
    parameters = config.parameters
    sources = [shaped(data, parameters.discount) for data in datasets]
    shares = [1 - share, share] if len(sources) == 2 else [1.0]
    learner = ALGORITHMS[config.algorithm].load()(parameters, sources, shares, config.seed, scenario)
    record = TrainRecord(
        config=config.model_dump(mode="json"),
        scenario_id=scenario.id,
        logged_transitions=0 if logged is None else logged.transitions,
        counterfactual_transitions=0 if counterfactual is None else counterfactual.transitions,
        data_sha256=_fingerprint(sources),
        versions=versions(),
    )
    _begin(record, out_dir, resume)
    last, metrics_path = last_checkpoint(out_dir), out_dir / "metrics.parquet"
    rows: list[dict[str, float]] = []
    if last.is_file():
        learner.restore(last)
        kept = pd.read_parquet(metrics_path).query("step <= @learner.step")
        rows = [{str(name): value for name, value in row.items()} for row in kept.to_dict("records")]
    started, first, steps = time.monotonic(), learner.step, parameters.gradient_steps
    with (out_dir / "train.log").open("a") as log, progress(f"train {out_dir.name}", steps - first) as bar:
        while learner.step < steps:
            metrics = learner.train_step()
            bar.advance()
            if learner.step % config.log_every == 0:
                rows.append({"step": learner.step, **metrics})
            if learner.step % config.checkpoint_every == 0 or learner.step == steps:
                # the metrics first: a checkpoint without its metrics could not be resumed
                with replacing(metrics_path) as temporary:
                    columns = ["step", *metrics]  # there may be no rows yet
                    pd.DataFrame(rows, columns=columns).to_parquet(temporary, index=False)
                learner.save(last.with_name(f"step-{learner.step:07d}.pt"))
                learner.save(last)
                rate = (learner.step - first) / (time.monotonic() - started)
                line = " ".join(f"{name}={value:.4g}" for name, value in metrics.items())
                print(f"{out_dir.name}, step {learner.step}: {line} ({rate:.0f} steps/s)", file=log, flush=True)
    return last


def shaped(data: Dataset, gamma: float) -> Transitions:
    """Returns a dataset's transitions with the reward of the interval before as a potential.

    r + gamma * potential(s') - potential(s) has the same optimal policies as r (Ng et al. 1999), and at gamma 0 it is
    what the action improved: most of the reward's variance, which is that of the traffic, is gone.
    """
    parts = []
    for episode in data.episodes:
        earned = reward(data.scenario, episode.kpis)
        rewards = episode.rewards + gamma * earned[1:] - earned[:-1]
        terminals = np.zeros(len(rewards), dtype=bool)
        states = RadioStates(*(column[:-1] for column in RadioStates.of(episode.kpis)))
        observations = episode.observations
        parts.append(Transitions.of(observations[:-1], episode.actions, rewards, observations[1:], terminals, states))
    return Transitions.joined(parts)


def _begin(record: TrainRecord, out_dir: Path, resume: bool) -> None:
    path = out_dir / "record.json"
    if not resume and out_dir.exists() and any(out_dir.iterdir()):
        raise StorageError(f"{out_dir}: exists and is not empty", "resume it with --resume, or choose another --name")
    if path.is_file():
        before = TrainRecord.read_json(path).model_dump(exclude={"versions"})
        after = record.model_dump(exclude={"versions"})
        changed = [name for name in after if after[name] != before[name]]
        if changed:
            raise StorageError(
                f"{path}: the training there was begun with another {changed[0]}",
                "resume with the same options and data, or choose another --name",
            )
    else:
        record.write_json(path)


def _fingerprint(sources: list[Transitions]) -> str:
    digest = hashlib.sha256()
    for source in sources:
        for column in source:
            digest.update(column.numpy().tobytes())
    return digest.hexdigest()
