"""MOPO's model against a system that is known, its roll-outs against the data, and itself after an interruption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_world import small_dataset, small_scenario
from torch import Tensor

from py_agent.algorithms.base import trained_policy
from py_agent.algorithms.mopo import Mopo, MopoConfig
from py_agent.algorithms.replay import Replay
from py_agent.algorithms.sac import Sac
from py_agent.algorithms.transitions import Transitions
from py_agent.train import shaped
from sumo_mobility.base.errors import ConfigError, DataError

STEP, PULL = np.array([0.5, -0.3]), np.array([0.1, 0.2])
NOISE = np.array([0.5, 0.2])
"""Standard deviation of the noise of each component of the state; that of the reward is 0.3 more where x > 0."""


def system(rows: int = 2000, seed: int = 0, ends: bool = False) -> Replay:
    """x' = x - PULL x + STEP a + noise, r = x_0 - a_1 + noise; states and actions are normal and uniform."""
    rng = np.random.default_rng(seed)
    states, actions = rng.normal(size=(rows, 2)), rng.uniform(-1, 1, (rows, 2))
    following = states - PULL * states + STEP * actions + NOISE * rng.normal(size=(rows, 2))
    noise = np.where(states[:, 0] > 0, 0.6, 0.3) * rng.normal(size=rows)
    return Replay.of(states, actions, states[:, 0] - actions[:, 1] + noise, following, np.full(rows, ends))


def config(**parameters: Any) -> MopoConfig:
    return MopoConfig.parse(
        {"hidden": 16, "batch_size": 64, "learning_rate": 3e-3, "model_steps": 200, "model_learning_rate": 3e-3}
        | {"rollout_states": 32, "rollout_steps": 3, "rollout_every": 5} | parameters,
        "test",
    )  # fmt: skip


def learner(*seeds: int, data: Replay | None = None, **parameters: Any) -> Mopo:
    return Mopo(config(**parameters), [data or system()], [1.0], seeds or (0,))


def said(mopo: Mopo, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the next state and of the reward, in their own units, averaged over the elites."""
    with torch.no_grad():
        told = mopo.model(mopo.actor.normalize(states)[None], actions[None])
    scale = torch.cat([mopo.actor.std, torch.tensor([1 / mopo._reward_scale])])
    mean, std = (values[mopo.elites[0]].mean(0) * scale for values in (told.mean, (told.log_variance / 2).exp()))
    return mean + torch.nn.functional.pad(states, (0, 1)), std


@pytest.mark.slow
def test_the_ensemble_recovers_mean_and_spread_of_a_linear_system() -> None:
    mopo = learner(model_steps=1500, batch_size=128)
    mopo.train_step()
    rng = np.random.default_rng(1)
    states, actions = rng.uniform(-1, 1, (500, 2)), rng.uniform(-1, 1, (500, 2))
    mean, std = said(mopo, *(torch.tensor(values, dtype=torch.float32) for values in (states, actions)))
    truth = np.column_stack([states - PULL * states + STEP * actions, states[:, 0] - actions[:, 1]])
    assert np.abs(mean.numpy() - truth).mean(0) == pytest.approx(0, abs=0.12)
    right = states[:, 0] > 0.3
    left = states[:, 0] < -0.3
    assert std[:, :2].mean(0).numpy() == pytest.approx(NOISE, rel=0.15)
    assert std[right, 2].mean().item() == pytest.approx(0.6, rel=0.2)
    assert std[left, 2].mean().item() == pytest.approx(0.3, rel=0.3)
    # what is left of the held-out rows is the noise, of which the reward's variance is the mean of two
    noise = [*(NOISE / mopo.actor.std.numpy()) ** 2, (0.36 + 0.09) / 2 * mopo._reward_scale**2]
    assert mopo.model_error.item() == pytest.approx(np.mean(noise), rel=0.25)


def test_the_elites_are_the_best_on_rows_that_no_network_learns_from(monkeypatch: pytest.MonkeyPatch) -> None:
    from py_agent.algorithms import mopo as module

    seen: list[Tensor] = []
    batch = module._Part.batch

    def watched(part: Any, *arguments: Any) -> Any:
        source, rows = batch(part, *arguments)
        seen.append(rows)
        held = set(part.order[: part.held].tolist())
        assert len(held) == 200
        assert not held & set(rows.flatten().tolist())
        return source, rows

    monkeypatch.setattr(module._Part, "batch", watched)
    mopo = learner(ensemble=4, elites=2, model_steps=60)
    mopo.train_step()
    assert len(seen) == 60
    assert not torch.equal(seen[0][0], seen[0][1])  # each network draws by itself
    generator = torch.Generator().manual_seed(module.derive(0, "mopo", "model"))
    part = module._Part.of(mopo._sources[0], 1.0, 64, 0.1, generator)
    data = mopo._data([part.held_out(4)])
    with torch.no_grad():
        loss = mopo.model(data.observations, data.actions).loss(data).mean(1)
    assert mopo.elites[0].tolist() == loss.argsort()[:2].tolist()


def test_the_penalty_is_larger_off_the_data_than_on_them() -> None:
    """Of a system that is not linear, whose states are within 3 and half of that; far are states at 4.5."""
    rng = np.random.default_rng(0)
    states, actions = rng.normal(size=(2000, 2)), rng.uniform(-1, 1, (2000, 2))
    following = states + np.sin(2 * states[:, ::-1]) + 0.5 * actions + 0.3 * rng.normal(size=(2000, 2))
    rewards = np.cos(2 * states).sum(1) + 0.3 * rng.normal(size=2000)
    mopo = learner(data=Replay.of(states, actions, rewards, following, np.zeros(2000, bool)), model_steps=400)
    mopo.train_step()
    generator = torch.Generator().manual_seed(0)
    near, taken = torch.randn(400, 2, generator=generator), 2 * torch.rand(400, 2, generator=generator) - 1
    far = 4.5 * near / near.norm(dim=-1, keepdim=True)
    with torch.no_grad():
        on, off = (
            (mopo.model(where[None], taken[None]).log_variance / 2).exp().norm(dim=-1).amax(0) for where in (near, far)
        )
    assert off.mean() > 2 * on.mean()


def batches_of(mopo: Mopo, steps: int, monkeypatch: pytest.MonkeyPatch) -> list[Transitions]:
    """What SAC is given to learn from."""
    given: list[Transitions] = []

    def learn(self: Sac, batch: Transitions) -> dict[str, Tensor]:
        given.append(batch)
        return {}

    monkeypatch.setattr(Sac, "_learn", learn)
    for _ in range(steps):
        mopo.train_step()
    return given


def among(rows: Tensor, known: Tensor) -> Tensor:
    """Whether each of some rows is one of those that are known."""
    return (rows[:, None] == known).all(-1).any(1)


@pytest.mark.parametrize(("penalty", "real_share"), [(0.0, 0.25), (2.0, 0.0)])
def test_batches_mix_data_and_rows_of_roll_outs_from_the_data(
    penalty: float, real_share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a penalty of 0 and one step, these are Dyna's: states of the data, and what the model says of them."""
    mopo = learner(penalty=penalty, real_share=real_share, rollout_steps=1)
    (batch,) = batches_of(mopo, 1, monkeypatch)
    real = round(64 * real_share)
    known = mopo.actor.normalize(system().columns().observations)
    assert among(batch.observations[0], known).all()
    taken = system().columns().actions
    assert among(batch.actions[0], taken).tolist() == [True] * real + [False] * (64 - real)
    with torch.no_grad():
        told = mopo.model(batch.observations[:, real:], batch.actions[:, real:])
    spread = (told.log_variance / 2).exp()
    # each number is within what some elite says, less the penalty of the least certain network
    uncertainty = spread.norm(dim=-1).amax(0)
    rewards = batch.rewards[0, real:] + penalty * uncertainty
    off = ((rewards - told.mean[..., 2]) / spread[..., 2])[mopo.elites[0]].abs().amin(0)
    assert off.max() < 4.5
    assert off.mean() > 0.2  # and drawn, not the mean
    change = (batch.next_observations - batch.observations)[0, real:]
    off = ((change - told.mean[..., :2]) / spread[..., :2])[mopo.elites[0]].abs().amax(-1).amin(0)
    assert off.max() < 5
    assert not batch.terminals.any()


def test_a_roll_out_goes_on_from_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    mopo = learner(kept_rollouts=2)
    batches_of(mopo, 1, monkeypatch)
    seen, following = mopo.made[0, 0, :, :, :2], mopo.made[0, 0, :, :, 5:7]
    torch.testing.assert_close(seen[1:], following[:-1])
    assert (mopo.made[0, 1] == 0).all()
    first = mopo.made[0, 0].clone()
    batches_of(mopo, 5, monkeypatch)  # the sixth step rolls out again
    assert torch.equal(mopo.made[0, 0], first)
    assert (mopo.made[0, 1] != 0).any()
    batches_of(mopo, 5, monkeypatch)
    assert not torch.equal(mopo.made[0, 0], first)


def test_where_the_episodes_end_the_roll_outs_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    data = system(ends=True)
    mopo = learner(data=data)
    (batch,) = batches_of(mopo, 1, monkeypatch)
    assert batch.terminals.all()
    known = mopo.actor.normalize(data.columns().observations)
    seen = mopo.made[0, 0, :, :, :2]
    assert among(seen.flatten(0, 1), known).all()
    assert not torch.equal(seen[0], seen[1])


@pytest.mark.slow
def test_a_policy_learns_from_the_model_alone() -> None:
    """Of a bandit, r = -|a - 0.8 s|^2: no row of the data is in a batch."""
    rng = np.random.default_rng(0)
    states, actions = rng.uniform(-1, 1, (1500, 2)), rng.uniform(-1, 1, (1500, 2))
    rewards = -((actions - 0.8 * states) ** 2).sum(1)
    data = Replay.of(states, actions, rewards, states, np.ones(1500, bool))
    parameters = {"real_share": 0, "gamma": 0, "target_entropy_per_action": -2, "penalty": 0, "hidden": 32}
    mopo = learner(data=data, model_steps=1500, rollout_steps=1, **parameters)
    for _ in range(400):
        mopo.train_step()
    states = np.random.default_rng(1).uniform(-1, 1, (200, 2)).astype(np.float32)
    assert np.abs(mopo.actor.mode(states[None])[0] - 0.8 * states).mean() < 0.2


def test_a_training_resumed_in_the_midst_of_its_roll_outs_ends_with_the_same_bytes(tmp_path: Path) -> None:
    files = []
    for name, stop in (("whole", 0), ("rest", 8)):
        mopo = learner(4, 5)
        for _ in range(stop):
            mopo.train_step()
        if stop:
            parts = [tmp_path / f"part-{k}.pt" for k in range(2)]
            for index, part in enumerate(parts):
                mopo.save(part, index)
            mopo = learner(4, 5)
            mopo.restore(parts)
        metrics = [mopo.train_step() for _ in range(13 - stop)][-1]
        mopo.save(tmp_path / f"{name}.pt", 1)
        files.append(((tmp_path / f"{name}.pt").read_bytes(), metrics))
    assert files[0] == files[1]


def test_the_model_of_a_seed_is_the_same_among_others(tmp_path: Path) -> None:
    """Bit for bit, because so many steps make much of any difference."""
    many, alone = learner(4, 5, 6), learner(5)
    for mopo in (many, alone):
        mopo.train_step()
    for together, own in zip(many.model.parameters(), alone.model.parameters(), strict=True):
        assert torch.equal(together[7:14], own)
        assert not torch.equal(together[:7], own)
    assert torch.equal(many.elites[1], alone.elites[0])
    assert torch.allclose(many.made[1], alone.made[0], atol=1e-5)


def test_it_learns_from_what_a_network_did(tmp_path: Path) -> None:
    """From observations by cell and pair, and with the rule to correct."""
    scenario = small_scenario()
    data = shaped(small_dataset(scenario, [0, 1]), 0.5)
    mopo = Mopo(config(model_steps=20, residual=True), [data, data], [0.5, 0.5], [0], scenario)
    metrics = [mopo.train_step()[0] for _ in range(7)][-1]
    assert {"critic_loss", "model_error", "penalty"} <= metrics.keys()
    mopo.save(tmp_path / "last.pt")
    action = trained_policy(scenario, tmp_path / "last.pt").act(
        data.columns().observations[0].numpy(), small_dataset(scenario, [0]).episodes[0].kpis_at(0), np.zeros(6)
    )
    assert np.abs(action).max() <= 1


def test_what_it_cannot_do_is_refused() -> None:
    for parameters, message in (
        ({"physics_weight": 1.0}, r"^physics_weight: states that a model made have no RSRP"),
        ({"bc_weight": 1.0}, r"^bc_weight: actions of a model's rows are the policy's own"),
        ({"ensemble": 3}, r"^elites: 5 of an ensemble of 3\n"),
    ):
        with pytest.raises(ConfigError, match=message):
            learner(**parameters)
    with pytest.raises(DataError, match=r"^dataset: has one row, of which none can be held out"):
        learner(data=system(rows=1))
    with pytest.raises(ConfigError, match=r"real_share"):
        config(real_share=1.0)
