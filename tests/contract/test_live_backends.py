"""Live traffic by the real SUMO beside every back end: the KPIs of the offline trace, and traffic that reacts."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import cache

import numpy as np
import psutil
import pytest

from cf_augment.dataset import EpisodeMetadata, Provenance
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.scenario import Preset, Scenario
from py_agent.env import MlbEnv, make_env, open_backend
from py_agent.policies.rules import Random
from py_agent.rollout import run_episode
from sumo_mobility.base.errors import ConfigError, DataError, SimulatorError
from sumo_mobility.live import LiveTraffic
from sumo_mobility.pipeline import make_trace
from sumo_mobility.trace import MobilityTrace

pytestmark = pytest.mark.sumo

BACKENDS = ["engine", "emulator", "fluid", pytest.param("ns3", marks=pytest.mark.ns3)]
SITES_M = [(300.0, 500.0), (700.0, 900.0), (600.0, 300.0)]
STEPS, SEED = 4, 6
PRESET = Preset.parse(
    {
        "id": "live-v0",
        "description": "three cells in Helsinki",
        "mobility": {
            "ues": 16, "duration_s": 8, "settle_s": 60, "pedestrian_share": 0.25,
            "train_contexts": [{"name": "uniform"}], "test_contexts": [{"name": "uniform"}],
        },
        "sites": {},
        "episode": {"steps": STEPS, "control_interval_s": 1.4, "warmup_s": 3},
    },
    "test",
)  # fmt: skip
SCENARIO = Scenario.place(PRESET, SITES_M)
CONTEXT = PRESET.mobility.train_contexts[0]


@pytest.fixture(params=BACKENDS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def env(name: str) -> Iterator[MlbEnv]:
    env = MlbEnv(SCENARIO, open_backend(SCENARIO, name), [LiveTraffic(PRESET.mobility, CONTEXT, SEED)])
    yield env
    env.close()


@cache
def trace() -> MobilityTrace:
    return make_trace(PRESET.mobility, CONTEXT, SEED)


def actions() -> np.ndarray:
    return np.random.default_rng(2).uniform(-1, 1, (STEPS, len(SCENARIO.neighbor_pairs))).astype(np.float32)


def played(env: MlbEnv) -> list[StepKpis]:
    infos = [env.reset(seed=1)[1], *(env.step(action)[-1] for action in actions())]
    return [info["kpis"] for info in infos]


def test_left_alone_it_gives_the_kpis_of_the_offline_trace(name: str, env: MlbEnv) -> None:
    offline = MlbEnv(SCENARIO, open_backend(SCENARIO, name), [trace()])
    try:
        expected = played(offline)
    finally:
        offline.close()
    assert played(env) == expected
    np.testing.assert_array_equal(env.traffic.trace().position_m, trace().position_m[:7])
    assert played(env) == expected
    assert len({kpis.ue_position_m.tobytes() for kpis in expected}) == STEPS + 1


def test_traffic_that_reacts_moves_the_ues_of_the_network(env: MlbEnv) -> None:
    """All cars stop where they are told to, by what a step has yielded."""
    env.reset(seed=1)
    kpis = env.step(actions()[0])[-1]["kpis"]
    vehicle = env.traffic.connection.vehicle
    cars = [int(car) for car in vehicle.getIDList()]
    for car in cars:
        if kpis.ue_serving_cell[car] == kpis.connected_ues.argmax():
            vehicle.setSpeed(str(car), 0)
    for action in actions()[1:]:
        kpis = env.step(action)[-1]["kpis"]
    end_s = SCENARIO.episode.duration_s
    driven = env.traffic.trace()
    away_m = np.hypot(*(kpis.ue_position_m - trace().position_at(end_s)).T)
    assert away_m.max() > 3
    assert kpis.ue_position_m == pytest.approx(driven.position_at(end_s), abs=1e-5)
    np.testing.assert_array_equal(driven.position_m[:3], trace().position_m[:3])


def test_no_branches_and_the_episode_goes_on(env: MlbEnv) -> None:
    env.reset(seed=1)
    with pytest.raises(ConfigError, match=r"SUMO cannot be copied(.|\n)*cure: branch on the offline trace"):
        env.branch(actions()[:2], horizon=2)
    env.step(actions()[0])


def test_a_sumo_that_dies_ends_the_episode_and_no_more(env: MlbEnv) -> None:
    env.reset(seed=1)
    os.kill(env.traffic.pid, signal.SIGKILL)
    with pytest.raises(SimulatorError, match="sumo was killed by SIGKILL"):
        env.step(actions()[0])
    with pytest.raises(ConfigError, match="reset"):
        env.step(actions()[0])
    env.reset(seed=1)
    env.step(actions()[0])
    sumo = psutil.Process(env.traffic.pid)
    env.close()
    assert not sumo.is_running()


def test_an_episode_of_live_traffic_is_kept_with_the_trace_it_drove() -> None:
    env = MlbEnv(SCENARIO, open_backend(SCENARIO, "engine"), [LiveTraffic(PRESET.mobility, CONTEXT, SEED)])
    metadata = EpisodeMetadata(
        scenario_id=SCENARIO.id, trace_name="live", policy="random", seed=1, backend="engine",
        provenance=Provenance.parse({"kind": "logged", "source": (), "action_source": "random"}, "test"),
    )  # fmt: skip
    try:
        episode = run_episode(env, Random(SCENARIO), metadata)
    finally:
        env.close()
    assert episode.trace.metadata.source == "sumo-live"
    np.testing.assert_array_equal(episode.trace.position_m, trace().position_m[:7])


def test_traffic_that_ends_before_the_episode_and_none_at_all_are_refused() -> None:
    short = PRESET.mobility.model_copy(update={"duration_s": 5.0})
    env = MlbEnv(SCENARIO, open_backend(SCENARIO, "engine"), [LiveTraffic(short, CONTEXT, SEED), trace()])
    try:
        with pytest.raises(DataError, match=r"5 s long, but an episode of live-v0 has 5\.6 s"):
            env.reset(options={"trace": 0})
        with pytest.raises(ConfigError, match=r"SUMO does not run"):
            env.traffic.connection  # noqa: B018 - a property
        env.reset(options={"trace": 1})
        with pytest.raises(ConfigError, match=r"no live traffic(.|\n)*live=True"):
            env.traffic  # noqa: B018
    finally:
        env.close()
    with pytest.raises(ConfigError, match="no streets on 'open:"):
        make_env("line3-right-none-left-v0", backend="engine", live=True)
