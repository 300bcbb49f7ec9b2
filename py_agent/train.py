"""Trains any algorithm on logged data, counterfactual data or both, into a directory that can be resumed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tensorboardX import SummaryWriter

from cf_augment.dataset import Dataset, Episode
from cf_augment.dataset.records import actions_in_force
from cf_augment.physics import Engine, RadioStates
from ns3_scenarios.mdp import cio_from_action, reward
from py_agent.algorithms.checkpoint import FUTURE
from py_agent.algorithms.config import TrainConfig
from py_agent.algorithms.registry import ALGORITHMS
from py_agent.algorithms.replay import Replay
from py_agent.algorithms.transitions import Transitions
from py_agent.policies.futures import keep_future, learn_future
from py_agent.policies.outlook import MOMENTS, View, middles_s
from py_agent.rundir import checkpoint_after, last_checkpoint, versions
from sumo_mobility.base.arrays import Bools, Floats
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
    config: TrainConfig, logged: Dataset | None, counterfactual: Dataset | None, out_dirs: Sequence[Path], resume: bool
) -> list[Path]:
    """Trains an algorithm with one seed or several at once, and returns the paths of their last checkpoints.

    Each directory holds record.json (configuration, seed, versions), metrics.parquet (step, and what the algorithm
    reports), the same in tensorboard/ for TensorBoard, train.log and checkpoints/{last,step-*}.pt. Resumed, it ends
    with the same bytes of metrics and weights as if it had never stopped.

    Args:
        config: What to do; of the class that `TrainConfig.of` returns.
        logged: What the network did; None trains on the counterfactual data alone.
        counterfactual: What it would have done; None trains on the logged data alone, with as many gradient steps.
        out_dirs: A directory for each training; the first has the seed of `config`, each other the next one. Progress
            and log call them by their names.
        resume: Go on with trainings that were begun there.

    Raises:
        StorageError: a directory is in use and `resume` is False, or was begun with other options or data.
        DataError: there are no data, the datasets are of two scenarios, a checkpoint is damaged, or a training
            diverged; what was saved before is kept.
    """
    title = out_dirs[0].name if len(out_dirs) == 1 else f"{out_dirs[0].name} to {out_dirs[-1].name}"
    datasets = [data for data in (logged, counterfactual) if data is not None]
    if not datasets:
        raise DataError(f"training {title}: no data", "run 'mlb collect' first")
    scenario = datasets[0].scenario
    if any(data.scenario != scenario for data in datasets):
        raise DataError("train: logged and counterfactual data are of two scenarios", "run 'mlb augment' anew")
    share = config.counterfactual_share
    parameters = config.parameters
    learned = learn_future(parameters.future, logged) if parameters.future else None
    sources = [shaped(data, parameters.discount, bool(parameters.future)) for data in datasets]
    shares = [1 - share, share] if len(sources) == 2 else [1.0]
    seeds = [config.seed + k for k in range(len(out_dirs))]
    learner = ALGORITHMS[config.algorithm].load()(parameters, sources, shares, seeds, scenario, config.device)
    data_sha256 = _fingerprint(sources)
    logs = []
    for seed, out_dir in zip(seeds, out_dirs, strict=True):
        record = TrainRecord(
            config=config.model_copy(update={"seed": seed}).model_dump(mode="json"),
            scenario_id=scenario.id,
            logged_transitions=0 if logged is None else logged.transitions,
            counterfactual_transitions=0 if counterfactual is None else counterfactual.transitions,
            data_sha256=data_sha256,
            versions=versions(),
        )
        _begin(record, out_dir, resume)
        logs.append(_Log(out_dir))
        if parameters.future:
            keep_future(parameters.future, learned, last_checkpoint(out_dir).with_name(FUTURE))
    common = _common_step(out_dirs)
    if common:
        learner.restore([checkpoint_after(out_dir, common) for out_dir in out_dirs])
        for index, log in enumerate(logs):
            log.restore(common)
            last = last_checkpoint(log.out_dir)
            if not last.is_file() or last.read_bytes() != checkpoint_after(log.out_dir, common).read_bytes():
                learner.save(last, index)
    started, first, steps = time.monotonic(), learner.step, parameters.gradient_steps
    with progress(f"train {title}", steps - first) as bar, ExitStack() as opened:
        for log in logs if first < steps else []:
            opened.enter_context(log.board(first))
        while learner.step < steps:
            metrics = learner.train_step()
            bar.advance()
            if learner.step % config.log_every == 0:
                for log, row in zip(logs, metrics, strict=True):
                    log.add(learner.step, row)
            if learner.step % config.checkpoint_every == 0 or learner.step == steps:
                rate = (learner.step - first) / (time.monotonic() - started)
                for index, (log, row) in enumerate(zip(logs, metrics, strict=True)):
                    # the metrics first: a checkpoint without its metrics could not be resumed
                    log.write(learner.step, row, rate)
                    learner.save(checkpoint_after(log.out_dir, learner.step), index)
                    learner.save(last_checkpoint(log.out_dir), index)
    return [last_checkpoint(out_dir) for out_dir in out_dirs]


class _Log:
    """What one training reports: metrics.parquet, train.log and tensorboard/ in its directory."""

    def __init__(self, out_dir: Path) -> None:
        self.out_dir = out_dir
        self._rows: list[dict[str, float]] = []
        self._path = out_dir / "metrics.parquet"
        self._board: SummaryWriter | None = None

    def board(self, first: int) -> SummaryWriter:
        """Opens the files for TensorBoard, in which what comes after step `first` replaces what was there."""
        # Without a suffix, files that are begun in the same second would have the same name.
        folder, suffix = str(self.out_dir / "tensorboard"), f".{first:07d}"
        self._board = SummaryWriter(folder, purge_step=first + 1, filename_suffix=suffix)
        return self._board

    def add(self, step: int, metrics: dict[str, float]) -> None:
        """Takes up the metrics of a step."""
        self._rows.append({"step": step, **metrics})
        assert self._board is not None
        for name, value in metrics.items():
            self._board.add_scalar(name, value, step)

    def restore(self, step: int) -> None:
        """Takes over the rows up to a step."""
        kept = pd.read_parquet(self._path).query("step <= @step")
        self._rows = [{str(name): value for name, value in row.items()} for row in kept.to_dict("records")]

    def write(self, step: int, metrics: dict[str, float], rate: float) -> None:
        """Writes the rows so far, and a line about this step."""
        with replacing(self._path) as temporary:
            columns = ["step", *metrics]  # there may be no rows yet
            pd.DataFrame(self._rows, columns=columns).to_parquet(temporary, index=False)
        line = " ".join(f"{name}={value:.4g}" for name, value in metrics.items())
        with (self.out_dir / "train.log").open("a") as log:
            print(f"{self.out_dir.name}, step {step}: {line} ({rate:.0f} steps/s)", file=log)


def _common_step(out_dirs: Sequence[Path]) -> int:
    """Returns the last step of which every training has a checkpoint, 0 if there is none."""
    steps = [
        {int(path.stem[5:]) for path in checkpoint_after(out_dir, 0).parent.glob("step-*.pt")} for out_dir in out_dirs
    ]
    return max(set.intersection(*steps), default=0)


def shaped(data: Dataset, gamma: float, coming: bool = False) -> Replay:
    """Returns a dataset's transitions with the reward of the interval before as a potential.

    r + gamma * potential(s') - potential(s) has the same optimal policies as r (Ng et al. 1999), and at gamma 0 it is
    what the action improved: most of the reward's variance, which is that of the traffic, is gone.

    If the RSRP and serving cells of an episode were not measured, no row has states of the radio.

    Args:
        data: The dataset.
        gamma: The discount.
        coming: Whether observations are of the interval that came, as `View` shows it, instead of what was reported.
            Each transition then has a row for each moment, whose state of the radio is that of the moment.

    Raises:
        DataError: the coming interval is to be seen, and the data have no traces, RSRP or serving cells.
    """
    return Replay.of_parts(_seen(data, gamma) if coming else _shaped(data, gamma))


def _shaped(data: Dataset, gamma: float) -> Iterator[Transitions]:
    has_states = not {"ue_rsrp_dbm", "ue_serving_cell"} & data.unknown
    for episode in data.episodes:
        states = RadioStates(*(column[:-1] for column in RadioStates.of(episode.kpis))) if has_states else None
        rewards, terminals = _rewards(data, episode, gamma)
        observations = episode.observations
        yield Transitions.of(observations[:-1], episode.actions, rewards, observations[1:], terminals, states)


def _seen(data: Dataset, gamma: float) -> Iterator[Transitions]:
    use, interval_s = "to see the coming interval", data.scenario.episode.control_interval_s
    view, moments_s = View(Engine(data.scenario)), middles_s(interval_s, MOMENTS)
    for episode in data.episodes:
        episode.require(use, "ue_rsrp_dbm", "ue_serving_cell")
        rewards, terminals = _rewards(data, episode, gamma)
        begin_s = interval_s * np.arange(len(rewards) + 1)
        # Behind the last interval the UEs stand.
        position_m = episode.moved(use).position_at(begin_s[:, None] + moments_s)
        in_force_db = cio_from_action(data.scenario, actions_in_force(episode.actions, episode.first_action))
        observed, rsrp_dbm = view.of(episode.kpis, position_m, in_force_db)
        serving = RadioStates.of(episode.kpis).serving[:-1].repeat_interleave(MOMENTS, dim=0)
        states = RadioStates(torch.from_numpy(rsrp_dbm[:-1].astype(np.float32)).flatten(0, 1), serving)
        rows = np.repeat(np.arange(len(rewards)), MOMENTS)  # those of one step differ in their states alone
        observations = observed.mean(axis=1)
        yield Transitions.of(
            observations[rows], episode.actions[rows], rewards[rows], observations[rows + 1], terminals[rows], states
        )


def _rewards(data: Dataset, episode: Episode, gamma: float) -> tuple[Floats, Bools]:
    """Returns the shaped rewards, and that no step is terminal."""
    earned = reward(data.scenario, episode.kpis)
    rewards = episode.rewards + gamma * earned[1:] - earned[:-1]
    return rewards, np.zeros(len(rewards), dtype=bool)


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


def _fingerprint(sources: list[Replay]) -> str:
    digest = hashlib.sha256()
    for source in sources:
        for records in source.record_blocks():
            digest.update(records.numpy().data)
    return digest.hexdigest()
