"""Online training: it learns, is the same each time, and its policies are files like any other."""

from __future__ import annotations

import json
import pickle
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small_world import small_episode, small_scenario, small_trace

from cf_augment.dataset import EpisodeMetadata, Provenance
from ns3_scenarios.mdp import action_size
from py_agent.algorithms.base import trained_policy
from py_agent.env import MlbEnv, open_backend
from py_agent.online import ONLINE
from py_agent.online.ppo import PpoConfig
from py_agent.online.sac import OnlineSacConfig
from py_agent.online.train import train_online
from py_agent.policies.rules import Static
from py_agent.rollout import run_episode
from sumo_mobility.base.arrays import Singles
from sumo_mobility.base.errors import ConfigError, DataError, DependencyError, StorageError

METADATA = EpisodeMetadata(
    scenario_id="small-v0", trace_name="trace", policy="online", seed=0, backend="engine",
    provenance=Provenance(action_source="online"),
)  # fmt: skip
SCENARIO = small_scenario()
TRACES = [small_trace(SCENARIO, seed) for seed in range(8)]
QUICK: dict[str, Any] = {
    "online-ppo": PpoConfig(environment_steps=96, environments=4, steps_per_update=12, batch_size=24, hidden=8),
    "online-sac": OnlineSacConfig(
        environment_steps=96, environments=4, first_steps=24, batch_size=16, updates=1, hidden=8
    ),
}


@pytest.fixture(params=list(ONLINE))
def name(request: pytest.FixtureRequest) -> str:
    pytest.importorskip("stable_baselines3")
    return str(request.param)


def quick(name: str, folder: Path, seed: int = 3) -> Path:
    return train_online(name, SCENARIO, folder, QUICK[name], seed, traces=TRACES)


def act(checkpoint: Path, observations: Singles) -> Singles:
    policy = trained_policy(SCENARIO, checkpoint)
    policy.reset(0)
    kpis = small_episode(SCENARIO, 0).kpis_at(0)
    return np.stack([policy.act(one, kpis, np.zeros(6)) for one in observations])


def observations() -> Singles:
    """Some of an episode, and two that are far off."""
    seen = small_episode(SCENARIO, 0).observations
    return np.concatenate([seen, 1e6 * seen[:2]]).astype(np.float32)


def test_same_seed_same_bytes_and_another_seed_others(name: str, tmp_path: Path) -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    drawn = random.getstate(), np.random.get_state()[2], torch.random.get_rng_state()  # noqa: NPY002
    paths = [quick(name, tmp_path / f"{k}", seed) for k, seed in enumerate((3, 3, 4))]
    first, same, other = (path.read_bytes() for path in paths)
    assert first == same
    assert first != other
    metrics = [path.parents[1] / "metrics.parquet" for path in paths]
    assert metrics[0].read_bytes() == metrics[1].read_bytes()
    assert pd.read_parquet(metrics[0]).step.tolist() == [24, 48, 72, 96]
    # the generators of whoever calls it are as they were
    assert random.getstate() == drawn[0]
    assert np.random.get_state()[2] == drawn[1]  # noqa: NPY002
    assert torch.equal(torch.random.get_rng_state(), drawn[2])


def test_its_policy_is_what_the_library_would_do(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, kept = ONLINE[name].load(), []
    tensors = kind.tensors.__func__

    def watched(cls: Any, learner: Any, *moments: Any) -> Any:
        kept.append(learner)
        return tensors(cls, learner, *moments)

    monkeypatch.setattr(kind, "tensors", classmethod(watched))
    path = quick(name, tmp_path)
    (learner,) = kept
    seen = observations()
    wanted, _ = learner.predict(learner.get_vec_normalize_env().normalize_obs(seen), deterministic=True)
    done = act(path, seen)
    assert done.dtype == np.float32
    assert done.shape == (len(seen), action_size(SCENARIO))
    assert np.abs(done).max() <= 1
    np.testing.assert_allclose(done, wanted, atol=1e-4)
    assert done[:-2].std(axis=0).max() > 1e-4


def test_episodes_are_those_of_the_environment() -> None:
    """Each ends with its last observation and goes on with the first one of the next."""
    pytest.importorskip("stable_baselines3")
    from py_agent.online.environments import EngineEnvironments

    rounds = [TRACES[:2], TRACES[2:4]]
    playing = EngineEnvironments(SCENARIO, 2, lambda number: (rounds[number], 7))
    actions = np.random.default_rng(0).uniform(-1, 1, (SCENARIO.episode.steps, 2, 6)).astype(np.float32)
    seen = [playing.reset()]
    for action in actions:
        playing.step_async(action)
        following, rewards, ended, infos = playing.step_wait()
        seen.append(following)
    assert ended.all()
    for index in range(2):
        env = MlbEnv(SCENARIO, open_backend(SCENARIO, "engine"), TRACES)
        first, _ = env.reset(seed=0, options={"trace": index})
        np.testing.assert_allclose(seen[0][index], first, rtol=1e-6)
        for step in range(SCENARIO.episode.steps):
            last, reward, _, truncated, _ = env.step(actions[step, index])
        assert truncated
        assert infos[index]["TimeLimit.truncated"]
        np.testing.assert_allclose(infos[index]["terminal_observation"], last, rtol=1e-5)
        assert rewards[index] == pytest.approx(reward, rel=1e-5)
        np.testing.assert_allclose(seen[-1][index], env.reset(seed=0, options={"trace": 2 + index})[0], rtol=1e-6)


@pytest.mark.slow
def test_ppo_learns_to_balance_loads(tmp_path: Path) -> None:
    """Its last episodes are better than its first ones, and its mean action is better than none on other traces."""
    pytest.importorskip("stable_baselines3")
    config = PpoConfig(environment_steps=14400, steps_per_update=24, batch_size=96, learning_rate=1e-3)
    traces = [small_trace(SCENARIO, seed) for seed in range(1000, 1400)]
    path = train_online("online-ppo", SCENARIO, tmp_path, config, traces=traces)
    rewards = pd.read_parquet(tmp_path / "metrics.parquet").reward
    assert len(rewards) == 300
    assert rewards[-20:].mean() > 0.85 * rewards[:20].mean()
    earned = {}
    for name, policy in (("ppo", trained_policy(SCENARIO, path)), ("static", Static(SCENARIO))):
        envs = [MlbEnv(SCENARIO, open_backend(SCENARIO, "engine"), [small_trace(SCENARIO, k)]) for k in range(100, 124)]
        earned[name] = np.mean([run_episode(env, policy, METADATA).rewards.mean() for env in envs])
    assert earned["ppo"] > 0.85 * earned["static"]


@pytest.mark.slow
def test_fresh_traces_are_of_the_contexts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from py_agent.online import train as module

    asked: list[tuple[str, int]] = []

    def made(mobility: Any, context: Any, seed: int) -> Any:
        asked.append((context.name, seed))
        return TRACES[len(asked) % 8]

    monkeypatch.setattr(module, "make_trace", made)
    train_online(name, SCENARIO, tmp_path, QUICK[name])
    assert len(asked) == 4 * 5  # four rounds have ended, and the fifth has begun
    assert len(set(asked)) == 20
    assert {context for context, _ in asked} == {"uniform"}
    record = json.loads((tmp_path / "record.json").read_text())
    assert (record["contexts"], record["algorithm"], record["seed"]) == (["uniform"], name, 0)
    assert "stable-baselines3" in record["versions"]


def test_damaged_and_foreign_files_are_refused(name: str, tmp_path: Path) -> None:
    path = quick(name, tmp_path)
    good, folder = path.read_bytes(), path.parent
    torch.save({"weights": torch.zeros(3)}, folder / "foreign.pt")
    tensors = torch.load(path, weights_only=True)
    torch.save(tensors | {"actor.0.weight": torch.zeros(3, 5)}, folder / "shape.pt")
    torch.save(tensors | {"mean": torch.zeros(1)}, folder / "moments.pt")
    (folder / "pickle.pt").write_bytes(pickle.dumps(Path, protocol=2))
    (folder / "cut.pt").write_bytes(good[: len(good) // 2])
    for file in ("foreign", "shape", "moments", "pickle", "cut", "absent"):
        with pytest.raises(DataError, match=rf"{file}\.pt.*checkpoint[\s\S]*cure: train the policy anew"):
            trained_policy(SCENARIO, folder / f"{file}.pt")
    record = json.loads((folder / "algorithm.json").read_text())
    (folder / "algorithm.json").write_text(json.dumps(record | {"version": 99}))
    with pytest.raises(DataError, match=rf"is a checkpoint of algorithm {name}, version 99, not of {name}, version 1"):
        trained_policy(SCENARIO, path)
    (folder / "algorithm.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match=r"last\.pt: the policy was trained for 45 observations, .* has 84"):
        trained_policy(small_scenario(4), path)


def test_what_cannot_be_trained_is_refused(name: str, tmp_path: Path) -> None:
    other = QUICK["online-sac" if name == "online-ppo" else "online-ppo"]
    with pytest.raises(ConfigError, match=r"is no configuration of it"):
        train_online(name, SCENARIO, tmp_path, other)
    with pytest.raises(ConfigError, match="both contexts and traces"):
        train_online(name, SCENARIO, tmp_path, contexts=SCENARIO.mobility.train_contexts, traces=TRACES)
    with pytest.raises(ConfigError, match="neither a context nor a trace"):
        train_online(name, SCENARIO, tmp_path, traces=[])
    with pytest.raises(ConfigError, match=r"unknown online algorithm 'online-pop' \(did you mean 'online-ppo'\?\)"):
        train_online("online-pop", SCENARIO, tmp_path)
    (tmp_path / "something").touch()
    with pytest.raises(StorageError, match="exists and is not empty"):
        train_online(name, SCENARIO, tmp_path, traces=TRACES)


def test_without_the_library_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(DependencyError, match=r"not installed[\s\S]*pip install 'mlb-testbed\[baselines\]'"):
        train_online("online-ppo", SCENARIO, tmp_path / "new", traces=TRACES)
    assert not (tmp_path / "new").exists()


def test_a_policy_of_a_file_needs_no_library(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = quick(name, tmp_path)
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    assert act(path, observations()[:1]).shape == (1, 6)
