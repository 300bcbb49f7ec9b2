"""What a policy is shown of the coming interval, and trainings on intervals as they came."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from test_futures import INTERVAL_S, marching, network, records, straight

from cf_augment.dataset import Dataset
from cf_augment.physics import Engine, EngineBackend
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import cio_from_action, observation_size, observe
from ns3_scenarios.scenario import Preset, Scenario
from py_agent.algorithms.base import trained_policy
from py_agent.algorithms.checkpoint import FUTURE
from py_agent.algorithms.sac import SacConfig
from py_agent.policies import Clairvoyant, policy_factory
from py_agent.policies.futures import Frozen, TrueFuture
from py_agent.policies.outlook import MOMENTS, Anticipating
from py_agent.rollout import run_engine_episodes
from py_agent.train import TrainConfig, shaped, train
from sumo_mobility.base.arrays import Floats, Singles
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.pipeline import make_trace
from sumo_mobility.trace import MobilityTrace

MIDDLES_S = INTERVAL_S / MOMENTS * (np.arange(MOMENTS) + 0.5)


class Seen:
    """No offsets, and a record of what was observed."""

    def __init__(self, scenario: Scenario) -> None:
        self.observations: list[Singles] = []
        self.size = len(scenario.neighbor_pairs)

    def reset(self, seed: int) -> None:
        self.observations.clear()

    def act(self, observation: Singles, kpis: StepKpis, cio_db: Floats) -> Singles:
        self.observations.append(observation)
        return np.zeros(self.size, np.float32)


def played(scenario: Scenario, traces: list[MobilityTrace], policy: str = "random") -> Dataset:
    make = policy_factory(policy)
    return Dataset(
        scenario,
        run_engine_episodes(scenario, traces, [make(scenario) for _ in traces], records(scenario, len(traces))),
    )


def heard_dbm(scenario: Scenario, position_m: Floats) -> Floats:
    """What UEs receive that an engine begins with at each of several places; (N, U, C)."""
    return Engine(scenario).reset(position_m).ue_rsrp_dbm


def test_a_policy_sees_the_mean_of_the_moments_of_the_coming_interval() -> None:
    scenario, trace = network(delay_intervals=0), marching(3)
    seen = Seen(scenario)
    policy = Anticipating(scenario, TrueFuture(scenario), seen)
    assert isinstance(policy, Clairvoyant)
    [episode] = run_engine_episodes(scenario, [trace], [policy], records(scenario, 1))
    assert len(seen.observations) == scenario.episode.steps
    no_offsets = np.zeros(len(scenario.neighbor_pairs))
    for step, observation in enumerate(seen.observations):
        state = episode.kpis_at(step)
        moments = [
            observe(scenario, StepKpis(**vars(state) | {"ue_rsrp_dbm": rsrp_dbm}), no_offsets)
            for rsrp_dbm in heard_dbm(scenario, trace.position_at(step * INTERVAL_S + MIDDLES_S))
        ]
        assert observation == pytest.approx(np.mean(moments, axis=0), abs=1e-5)
        assert not np.allclose(observation, moments[0], atol=1e-3)


def test_who_stands_is_seen_as_reported() -> None:
    """Then the coming interval looks as the last one, in any future, up to what is predicted of an unseen interval."""
    scenario = network(delay_intervals=0)
    trace = straight(np.random.default_rng(4).normal((250, 50), 90, (30, 2)), np.zeros((30, 2)))
    shown = {}
    for name, future in (("true", TrueFuture(scenario)), ("frozen", Frozen(scenario)), ("reports", None)):
        seen = Seen(scenario)
        policy = seen if future is None else Anticipating(scenario, future, seen)
        run_engine_episodes(scenario, [trace], [policy], records(scenario, 1))
        shown[name] = np.stack(seen.observations)
    assert shown["true"] == pytest.approx(shown["reports"], abs=1e-5)
    assert shown["frozen"] == pytest.approx(shown["reports"], abs=1e-6)


def test_training_sees_intervals_as_they_came() -> None:
    scenario, traces = network(), [marching(seed) for seed in (1, 2)]
    data = played(scenario, traces)
    rows, plain = (shaped(data, 0.0, coming).columns() for coming in (True, False))
    steps = scenario.episode.steps
    assert len(rows.rewards) == 2 * steps * MOMENTS
    for name in ("actions", "rewards", "terminals"):
        assert np.array_equal(getattr(rows, name)[::MOMENTS], getattr(plain, name))
    for index, (episode, trace) in enumerate(zip(data.episodes, traces, strict=True)):
        for step in range(steps):
            here = slice((index * steps + step) * MOMENTS, (index * steps + step + 1) * MOMENTS)
            rsrp_dbm = heard_dbm(scenario, trace.position_at(step * INTERVAL_S + MIDDLES_S))
            assert rows.rsrp_dbm[here].numpy() == pytest.approx(rsrp_dbm, abs=1e-3)
            serving = episode.kpis_at(step).ue_serving_cell
            assert np.array_equal(rows.serving[here], np.tile(serving, (MOMENTS, 1)))
            cio_db = cio_from_action(scenario, episode.actions[step - 1]) if step else np.zeros(6)
            moments = [
                observe(scenario, StepKpis(**vars(episode.kpis_at(step)) | {"ue_rsrp_dbm": heard}), cio_db)
                for heard in rsrp_dbm
            ]
            assert rows.observations[here].numpy() == pytest.approx(
                np.tile(np.mean(moments, 0), (MOMENTS, 1)), abs=1e-5
            )
    following = rows.observations[MOMENTS : steps * MOMENTS]
    assert np.array_equal(rows.next_observations[: (steps - 1) * MOMENTS], following)
    assert rows.next_observations.isfinite().all()


def test_what_came_is_seen_with_traces_alone() -> None:
    scenario = network()
    data = played(scenario, [marching(1)])
    [episode] = data.episodes
    measured = episode.metadata.model_copy(
        update={"provenance": episode.metadata.provenance.model_copy(update={"kind": "measured"})}
    )
    blind = Dataset(scenario, [replace(episode, trace=None, metadata=measured)])
    with pytest.raises(DataError, match=r"to see the coming interval"):
        shaped(blind, 0.0, coming=True)


@pytest.fixture(scope="module")
def walking() -> Dataset:
    preset = Preset.load("line3-slow-v0").model_dump()
    preset["episode"] |= {"steps": 3}
    preset["mobility"] |= {"duration_s": 90}
    scenario = Scenario.place(Preset.model_validate(preset), [(250.0, 250.0), (750.0, 100.0), (1250.0, 400.0)])
    return played(scenario, [make_trace(scenario.mobility, scenario.mobility.train_contexts[0], 0)])


def config(future: str, steps: int = 20) -> TrainConfig:
    sac = SacConfig(hidden=8, batch_size=8, gradient_steps=steps, gamma=0, physics_weight=10, future=future)
    return TrainConfig.of("sac")(sac=sac, checkpoint_every=steps)


@pytest.mark.slow
@pytest.mark.parametrize("future", ["model", "neighbors"])
def test_a_trained_policy_has_its_future_with_it(tmp_path: Path, walking: Dataset, future: str) -> None:
    scenario = walking.scenario
    actions = []
    for name in ("a", "b"):
        lasts = train(config(future), walking, None, [tmp_path / name / "0", tmp_path / name / "1"], resume=False)
        [episode] = run_engine_episodes(
            scenario, [walking.episodes[0].trace], [trained_policy(scenario, lasts[1])], records(scenario, 1)
        )
        actions.append(episode.actions)
        (tmp_path / name / "0/checkpoints" / FUTURE).unlink()  # each seed has its own
    assert np.array_equal(*actions)
    files = [{path.name: path.read_bytes() for path in (tmp_path / name / "1/checkpoints").iterdir()} for name in "ab"]
    assert files[0] == files[1]
    assert FUTURE in files[0]
    lasts[1].with_name(FUTURE).write_text("{}")
    with pytest.raises(DataError, match=r"checkpoints/future"):
        trained_policy(scenario, lasts[1])
    lasts[1].with_name(FUTURE).unlink()
    with pytest.raises(DataError, match=rf"future: no such file, and future={future} learns"):
        trained_policy(scenario, lasts[1])


@pytest.mark.slow
def test_a_future_that_learns_nothing_leaves_nothing(tmp_path: Path, walking: Dataset) -> None:
    scenario = walking.scenario
    (last,) = train(config("dead-reckoning"), walking, None, [tmp_path], resume=False)
    assert not last.with_name(FUTURE).exists()
    policy = trained_policy(scenario, last)
    policy.reset(0)
    kpis = EngineBackend(scenario).reset(walking.episodes[0].moved("a test"), 0)
    nothing = np.zeros(observation_size(scenario), np.float32)
    action = policy.act(nothing, kpis, np.zeros(len(scenario.neighbor_pairs)))
    assert action.shape == (len(scenario.neighbor_pairs),)
    assert np.array_equal(action, policy.act(nothing + 1, kpis, np.zeros(len(scenario.neighbor_pairs))))


def test_futures_that_cannot_be_are_refused_before_anything_is_made(tmp_path: Path, walking: Dataset) -> None:
    begin = partial(train, out_dirs=[tmp_path / "new"], resume=False)
    with pytest.raises(ConfigError, match=r"unknown future 'modle' \(did you mean 'model'\?\)"):
        begin(config("modle"), walking, None)
    with pytest.raises(DataError, match="future=model learns from logged traces"):
        begin(config("model"), None, walking)
    assert not (tmp_path / "new").exists()
