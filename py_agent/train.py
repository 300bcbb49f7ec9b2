"""Trains SAC on logged data, counterfactual data or both, into a directory of its own that can be resumed."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pandas as pd

from cf_augment.dataset import Dataset
from ns3_scenarios.mdp import reward
from py_agent.algorithms.config import TrainConfig
from py_agent.algorithms.networks import Layout
from py_agent.algorithms.sac import Metrics, Sac, Transitions
from py_agent.rundir import last_checkpoint, versions
from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import DataError, StorageError
from sumo_mobility.base.files import replacing
from sumo_mobility.base.progress import progress


class TrainRecord(Contract):
    """What a training was made of, as kept in its directory."""

    config: TrainConfig
    scenario_id: str
    logged_transitions: int
    counterfactual_transitions: int
    data_sha256: str
    versions: dict[str, str]


def train(
    config: TrainConfig, logged: Dataset | None, counterfactual: Dataset | None, out_dir: Path, resume: bool
) -> Path:
    """Trains SAC and returns the path of its last checkpoint.

    The directory holds record.json (configuration, seed, versions), metrics.parquet (step, losses, q, alpha,
    entropy; see `Metrics`), train.log and checkpoints/{last,step-*}.pt. Resumed, it ends with the same bytes of
    metrics and weights as if it had never stopped.

    Args:
        config: What to do.
        logged: What the network did; None trains on the counterfactual data alone.
        counterfactual: What it would have done; None trains on the logged data alone, with as many gradient steps.
        out_dir: The training's directory; progress and log call it by its name.
        resume: Go on with a training that was begun there.

    Raises:
        StorageError: the directory is in use and `resume` is False, or was begun with other options or data.
        DataError: there are no data, the datasets are of two scenarios, or a checkpoint is damaged.
    """
    datasets = [data for data in (logged, counterfactual) if data is not None]
    if not datasets:
        raise DataError(f"training {out_dir.name}: no data", "run 'mlb collect' first")
    scenario = datasets[0].scenario
    if any(data.scenario != scenario for data in datasets):
        raise DataError("train: logged and counterfactual data are of two scenarios", "run 'mlb augment' anew")
    share = config.counterfactual_share
    sources = [shaped(data, config.sac.gamma) for data in datasets]
    shares = [1 - share, share] if len(sources) == 2 else [1.0]
    sac = Sac(config.sac, sources, shares, config.seed, Layout.of(scenario).pairs)
    record = TrainRecord(
        config=config,
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
        sac.restore(last)
        kept = pd.read_parquet(metrics_path).query("step <= @sac.step")
        rows = [{str(name): value for name, value in row.items()} for row in kept.to_dict("records")]
    columns = ["step", *(field.name for field in fields(Metrics))]  # there may be no rows yet
    started, first = time.monotonic(), sac.step
    left = config.sac.gradient_steps - first
    with (out_dir / "train.log").open("a") as log, progress(f"train {out_dir.name}", left) as bar:
        while sac.step < config.sac.gradient_steps:
            metrics = asdict(sac.train_step())
            bar.advance()
            if sac.step % config.log_every == 0:
                rows.append({"step": sac.step, **metrics})
            if sac.step % config.checkpoint_every == 0 or sac.step == config.sac.gradient_steps:
                # the metrics first: a checkpoint without its metrics could not be resumed
                with replacing(metrics_path) as temporary:
                    pd.DataFrame(rows, columns=columns).to_parquet(temporary, index=False)
                sac.save(last.with_name(f"step-{sac.step:07d}.pt"))
                sac.save(last)
                rate = (sac.step - first) / (time.monotonic() - started)
                line = " ".join(f"{name}={value:.4g}" for name, value in metrics.items())
                print(f"{out_dir.name}, step {sac.step}: {line} ({rate:.0f} steps/s)", file=log, flush=True)
    return last


def shaped(data: Dataset, gamma: float) -> Transitions:
    """Returns a dataset's transitions with the reward of the interval before as a potential.

    r + gamma * potential(s') - potential(s) has the same optimal policies as r (Ng et al. 1999), and at gamma 0 it is
    what the action improved: most of the reward's variance, which is that of the traffic, is gone.
    """
    rows = []
    for episode in data.episodes:
        earned = reward(data.scenario, episode.kpis)
        rewards = episode.rewards + gamma * earned[1:] - earned[:-1]
        rows.append((episode.observations[:-1], episode.actions, rewards, episode.observations[1:]))
    observations, actions, rewards, next_observations = map(np.concatenate, zip(*rows, strict=True))
    terminals = np.zeros(len(rewards), dtype=bool)
    return Transitions.of(observations, actions, rewards, next_observations, terminals)


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
