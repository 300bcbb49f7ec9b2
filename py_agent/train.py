"""Trains SAC on logged, or on logged and counterfactual data, into a run directory that can be resumed."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from cf_augment.dataset import Dataset
from ns3_scenarios.mdp import reward
from py_agent.algorithms.networks import Layout
from py_agent.algorithms.sac import Sac, SacConfig, Transitions
from py_agent.rundir import versions
from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import DataError, StorageError
from sumo_mobility.base.files import replacing
from sumo_mobility.base.progress import progress


class TrainConfig(Contract):
    """One training."""

    sac: SacConfig = SacConfig()
    seed: int = Field(0, ge=0)
    """Fixes weights, batches and noise."""
    counterfactual_share: float = Field(0.5, ge=0, le=1)
    """Share of each batch that comes from the counterfactual dataset, if there is one."""
    log_every: int = Field(50, ge=1)
    """Gradient steps between two rows of metrics.parquet."""
    checkpoint_every: int = Field(1000, ge=1)
    """Gradient steps between two checkpoints."""


class TrainRecord(Contract):
    """The resolved configuration of a training, as kept in its run directory."""

    config: TrainConfig
    scenario_id: str
    logged_transitions: int
    counterfactual_transitions: int
    data_sha256: str
    versions: dict[str, str]


def last_checkpoint(out_dir: Path) -> Path:
    """Path of the newest checkpoint of a training."""
    return out_dir / "checkpoints" / "last.pt"


def train(config: TrainConfig, logged: Dataset, counterfactual: Dataset | None, out_dir: Path, resume: bool) -> Path:
    """Trains SAC and returns the path of its last checkpoint.

    The directory holds record.json (configuration, seed, versions), metrics.parquet (step, losses, q, alpha,
    entropy; see `Metrics`), train.log and checkpoints/{last,step-*}.pt. Resumed, it ends with the same bytes of
    metrics and weights as if it had never stopped.

    Args:
        config: What to do.
        logged: What the network did.
        counterfactual: What it would have done; None trains on the logged data alone, with as many gradient steps.
        out_dir: The run directory.
        resume: Go on with a training that was begun there.

    Raises:
        StorageError: the directory is in use and `resume` is False, or was begun with other options or data.
        DataError: the datasets are of two scenarios, or a checkpoint is damaged.
    """
    if counterfactual is not None and counterfactual.scenario != logged.scenario:
        raise DataError("train: logged and counterfactual data are of two scenarios", "run 'mlb augment' anew")
    datasets = [logged] if counterfactual is None else [logged, counterfactual]
    share = 0.0 if counterfactual is None else config.counterfactual_share
    sources = [shaped(data, config.sac.gamma) for data in datasets]
    record = TrainRecord(
        config=config,
        scenario_id=logged.scenario.id,
        logged_transitions=len(logged.rewards),
        counterfactual_transitions=0 if counterfactual is None else len(counterfactual.rewards),
        data_sha256=_fingerprint(sources),
        versions=versions(),
    )
    _begin(record, out_dir, resume)
    sac = Sac(config.sac, sources, [1 - share, share][: len(sources)], config.seed, Layout.of(logged.scenario).pairs)
    last, metrics_path = last_checkpoint(out_dir), out_dir / "metrics.parquet"
    rows: list[dict[str, float]] = []
    if last.is_file():
        sac.restore(last)
        kept = pd.read_parquet(metrics_path).query("step <= @sac.step")
        rows = [{str(name): value for name, value in row.items()} for row in kept.to_dict("records")]
    started, first = time.monotonic(), sac.step
    with (out_dir / "train.log").open("a") as log, progress("SAC", config.sac.gradient_steps - first) as bar:
        while sac.step < config.sac.gradient_steps:
            metrics = asdict(sac.train_step())
            bar.advance()
            if sac.step % config.log_every == 0:
                rows.append({"step": sac.step, **metrics})
            if sac.step % config.checkpoint_every == 0 or sac.step == config.sac.gradient_steps:
                # the metrics first: a checkpoint without its metrics could not be resumed
                with replacing(metrics_path) as temporary:
                    pd.DataFrame(rows).to_parquet(temporary, index=False)
                sac.save(last.with_name(f"step-{sac.step:07d}.pt"))
                sac.save(last)
                rate = (sac.step - first) / (time.monotonic() - started)
                line = " ".join(f"{name}={value:.4g}" for name, value in metrics.items())
                print(f"step {sac.step}: {line} ({rate:.0f} steps/s)", file=log, flush=True)
    return last


def shaped(data: Dataset, gamma: float) -> Transitions:
    """Returns a dataset's transitions with the reward of the interval before as a potential.

    r + gamma * potential(s') - potential(s) has the same optimal policies as r (Ng et al. 1999), and at gamma 0 it is
    what the action improved: most of the reward's variance, which is that of the traffic, is gone.
    """
    earned = [reward(data.scenario, episode.kpis) for episode in data.episodes]
    before, after = (np.concatenate([row[part] for row in earned]) for part in (slice(None, -1), slice(1, None)))
    rewards = data.rewards + gamma * after - before
    return Transitions.of(data.observations, data.actions, rewards, data.next_observations, data.terminals)


def _begin(record: TrainRecord, out_dir: Path, resume: bool) -> None:
    path = out_dir / "record.json"
    if not resume and out_dir.exists() and any(out_dir.iterdir()):
        raise StorageError(f"{out_dir}: exists and is not empty", "resume it with --resume, or choose another --run")
    if path.is_file():
        before = TrainRecord.read_json(path).model_dump(exclude={"versions"})
        after = record.model_dump(exclude={"versions"})
        changed = [name for name in after if after[name] != before[name]]
        if changed:
            raise StorageError(
                f"{path}: the training there was begun with another {changed[0]}",
                "resume with the same options and data, or choose another --run",
            )
    else:
        record.write_json(path)


def _fingerprint(sources: list[Transitions]) -> str:
    digest = hashlib.sha256()
    for source in sources:
        for column in source:
            digest.update(column.numpy().tobytes())
    return digest.hexdigest()
