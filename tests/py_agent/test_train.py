"""Training into a run directory: the same bytes again, after an interruption too, and nothing overwritten."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small_world import small_dataset, small_scenario
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

import py_agent.train as train_module
from cf_augment.dataset import Dataset
from py_agent.algorithms.base import trained_policy
from py_agent.algorithms.sac import Sac, SacConfig
from py_agent.algorithms.transitions import Transitions
from py_agent.train import TrainConfig, last_checkpoint, train
from sumo_mobility.base.errors import DataError, StorageError

SCENARIO = small_scenario()
CONFIG = TrainConfig.of("sac")(
    sac=SacConfig(hidden=8, batch_size=8, gradient_steps=25), seed=3, log_every=5, checkpoint_every=10
)


@cache
def logged() -> Dataset:
    return small_dataset(SCENARIO, [0, 1])


@cache
def counterfactual() -> Dataset:
    return small_dataset(SCENARIO, [2, 3], "generated")


def results(out_dir: Path) -> dict[str, bytes]:
    """All that must not depend on when and how often the training was interrupted."""
    names = [
        path
        for path in sorted(out_dir.rglob("*"))
        if path.is_file() and path.name != "train.log" and path.parent.name != "tensorboard"
    ]
    return {str(path.relative_to(out_dir)): path.read_bytes() for path in names}


def test_run_directory(tmp_path: Path) -> None:
    (last,) = train(CONFIG, logged(), counterfactual(), [tmp_path], resume=False)
    assert last == last_checkpoint(tmp_path)
    steps = [path.name for path in sorted(last.parent.glob("step-*.pt"))]
    assert steps == ["step-0000010.pt", "step-0000020.pt", "step-0000025.pt"]
    assert last.read_bytes() == (last.parent / "step-0000025.pt").read_bytes()
    metrics = pd.read_parquet(tmp_path / "metrics.parquet")
    assert list(metrics["step"]) == [5, 10, 15, 20, 25]
    assert {"critic_loss", "actor_loss", "q", "alpha", "entropy"} < set(metrics)
    assert metrics.notna().all(axis=None)
    assert "step 25:" in (tmp_path / "train.log").read_text()
    record = train_module.TrainRecord.read_json(tmp_path / "record.json")
    assert record.config == CONFIG.model_dump()
    assert record.counterfactual_transitions == 12
    policy = trained_policy(SCENARIO, last)
    action = policy.act(logged().observations[0], logged().episodes[0].kpis_at(0), None)
    assert action.shape == (6,)
    assert action.dtype == "float32"


def stopping(monkeypatch: pytest.MonkeyPatch, out_dir: Path, stop: int) -> None:
    """Trains until a step, before which Ctrl-C is pressed."""
    with monkeypatch.context() as patch:
        step = Sac.train_step

        def interrupted(self: Sac) -> list[dict[str, float]]:
            if self.step == stop:
                raise KeyboardInterrupt
            return step(self)

        patch.setattr(Sac, "train_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(CONFIG, logged(), counterfactual(), [out_dir], resume=False)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [7, 13, 20])
def test_interrupted_and_resumed_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    train(CONFIG, logged(), counterfactual(), [tmp_path / "whole"], resume=False)
    stopping(monkeypatch, tmp_path / "part", stop)
    train(CONFIG, logged(), counterfactual(), [tmp_path / "part"], resume=True)
    assert results(tmp_path / "part") == results(tmp_path / "whole")


def test_tensorboard_shows_the_metrics_of_a_training_that_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose steps after the last checkpoint were done twice, and are shown once."""
    stopping(monkeypatch, tmp_path, 18)
    train(CONFIG, logged(), counterfactual(), [tmp_path], resume=True)
    metrics = pd.read_parquet(tmp_path / "metrics.parquet").set_index("step")
    shown = EventAccumulator(str(tmp_path / "tensorboard"))
    shown.Reload()
    assert set(shown.Tags()["scalars"]) == set(metrics)
    for name in metrics:
        events = {event.step: event.value for event in shown.Scalars(name)}
        assert list(events) == [5, 10, 15, 20, 25]
        assert len(shown.Scalars(name)) == 5
        np.testing.assert_allclose(list(events.values()), metrics[name].to_numpy(), rtol=1e-6)


@pytest.mark.slow
def test_several_seeds_are_interrupted_and_resumed_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here between the checkpoints of step 20 of the two: the second one has that of step 10 alone."""
    whole, part = ([tmp_path / f"{name}-{seed}" for seed in (3, 4)] for name in ("whole", "part"))
    train(CONFIG, logged(), None, whole, resume=False)
    with monkeypatch.context() as patch:
        save = Sac.save

        def interrupted(self: Sac, path: Path, index: int = 0) -> None:
            if index == 1 and self.step == 20:
                raise KeyboardInterrupt
            save(self, path, index)

        patch.setattr(Sac, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(CONFIG, logged(), None, part, resume=False)
    train(CONFIG, logged(), None, part, resume=True)
    assert [results(out_dir) for out_dir in part] == [results(out_dir) for out_dir in whole]
    record = train_module.TrainRecord.read_json(whole[1] / "record.json")
    assert record.config["seed"] == 4


def test_a_training_that_diverges_stops_and_keeps_its_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = Sac._learn

    def diverging(self: Sac, batch: Transitions) -> dict[str, Tensor]:
        return learn(self, batch) | ({"q": torch.tensor([float("inf")])} if self.step == 13 else {})

    monkeypatch.setattr(Sac, "_learn", diverging)
    with pytest.raises(DataError, match=r"^sac: the training diverged, q of seed 3 is inf at gradient step 13\n"):
        train(CONFIG, logged(), None, [tmp_path], resume=False)
    checkpoints = last_checkpoint(tmp_path).parent
    assert sorted(path.name for path in checkpoints.glob("*.pt")) == ["last.pt", "step-0000010.pt"]


def test_shaping_subtracts_the_reward_before() -> None:
    for gamma in (0.0, 0.5):
        rewards = train_module.shaped(logged(), gamma).columns().rewards.numpy()[:6]
        kpis, scenario = logged().episodes[0].kpis, logged().scenario
        paid = scenario.handover_cost / scenario.mobility.ues * kpis.handovers
        earned = -kpis.prb_utilization.std(axis=-1) - paid
        np.testing.assert_allclose(rewards, earned[1:] + gamma * earned[1:] - earned[:-1], atol=1e-6)


@pytest.mark.slow
def test_seed_and_data_matter_and_a_finished_training_stays(tmp_path: Path) -> None:
    train(CONFIG, logged(), None, [tmp_path / "a"], resume=False)
    before = results(tmp_path / "a")
    train(CONFIG, logged(), None, [tmp_path / "a"], resume=True)
    assert results(tmp_path / "a") == before
    weights = {"a": before["checkpoints/last.pt"]}
    for name, config, extra in (
        ("seed", CONFIG.model_copy(update={"seed": 4}), None),
        ("data", CONFIG, counterfactual()),
        ("share 0", CONFIG.model_copy(update={"counterfactual_share": 0.0}), counterfactual()),
    ):
        (last,) = train(config, logged(), extra, [tmp_path / name], resume=False)
        weights[name] = last.read_bytes()
    assert len({weights["a"], weights["seed"], weights["data"]}) == 3


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    train(CONFIG, logged(), None, [tmp_path], resume=False)
    before = results(tmp_path)
    with pytest.raises(StorageError, match=r"exists and is not empty[\s\S]*cure: resume it with --resume"):
        train(CONFIG, logged(), None, [tmp_path], resume=False)
    with pytest.raises(StorageError, match="begun with another config"):
        train(CONFIG.model_copy(update={"seed": 9}), logged(), None, [tmp_path], resume=True)
    with pytest.raises(StorageError, match="begun with another logged_transitions"):
        train(CONFIG, small_dataset(SCENARIO, [0]), None, [tmp_path], resume=True)
    with pytest.raises(StorageError, match="begun with another data_sha256"):
        train(CONFIG, small_dataset(SCENARIO, [0, 5]), None, [tmp_path], resume=True)
    assert results(tmp_path) == before


def test_a_damaged_checkpoint_and_foreign_data_are_refused(tmp_path: Path) -> None:
    (last,) = train(CONFIG, logged(), None, [tmp_path], resume=False)
    damaged = last.with_name("step-0000025.pt")
    damaged.write_bytes(last.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"step-0000025\.pt: not a readable checkpoint"):
        train(CONFIG, logged(), None, [tmp_path], resume=True)
    other = SCENARIO.model_copy(update={"reward": "jain"})
    with pytest.raises(DataError, match="two scenarios"):
        train(CONFIG, logged(), small_dataset(other, [2], "generated"), [tmp_path / "new"], resume=False)
    assert not (tmp_path / "new").exists()
    wider = SCENARIO.model_copy(update={"observation": "rsrp-matrix"})
    with pytest.raises(
        DataError, match=r"for 45 observations, 6 actions, by cell \(3\) and pair \(6\); .* has 36 .*, not"
    ):
        trained_policy(wider, last)
