"""Whatever comes in, an error names it or a finite value comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engine_cases import FIVE_SITES_M, scenario, trace, walk_m
from hypothesis import given, settings
from hypothesis import strategies as st
from test_engine import assert_sound
from test_engine_links import MODELS, network_of

from cf_augment.physics import Engine, EngineBackend
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import observe, reward
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.errors import ConfigError, DataError

PLACES = ["streets", "on a mast", "one place", "out of reach", "jumps"]


def positions(kind: str, ues: int, points: int, seed: int) -> np.ndarray:
    random, walk = np.random.default_rng(seed), walk_m(2, ues, points, 0.1, seed)
    others: dict[str, Any] = {
        "streets": walk,
        "on a mast": np.broadcast_to(FIVE_SITES_M[2], walk.shape).copy(),
        "one place": np.broadcast_to(walk[:1, :1, :1], walk.shape).copy(),
        "out of reach": walk + random.choice([-9e6, 2e5, 9e6], 2),
        "jumps": random.uniform(-5000, 5000, walk.shape),
    }
    return np.asarray(others[kind])


@pytest.mark.slow
@settings(max_examples=60)
@given(
    kind=st.sampled_from(PLACES),
    radio=st.sampled_from(MODELS),
    exponent=st.sampled_from([1.5, 6.0]),
    offered_bps=st.sampled_from([1.0, 2e5, 1e9]),
    seed=st.integers(0, 2**31),
)
def test_every_kpi_observation_and_reward_is_finite(
    kind: str, radio: dict[str, Any], exponent: float, offered_bps: float, seed: int
) -> None:
    if "path_loss" not in radio:
        radio = radio | {"path_loss": {"model": "log-distance", "exponent": exponent}}
    network = network_of(radio, 7).model_copy(
        update={"traffic": scenario(traffic={"offered_bps": offered_bps}).traffic}
    )
    engine = Engine(network)
    cio_db = np.random.default_rng(seed).uniform(-6, 6, (2, 2, len(network.neighbor_pairs)))
    kpis = engine.rollout(positions(kind, 7, 2 * engine.grid_steps + 1, seed), cio_db)
    assert_finite(network, kpis, cio_db)
    assert_sound(network, kpis)


def assert_finite(network: Scenario, kpis: StepKpis, cio_db: np.ndarray) -> None:
    for name in ("load-std", "p5-throughput", "jain"):
        assert np.isfinite(reward(network.model_copy(update={"reward": name}), kpis)).all()
    before = np.concatenate([np.zeros_like(cio_db[:, :1]), cio_db], axis=1)
    for name in ("cell-kpi", "rsrp-matrix"):
        assert np.isfinite(observe(network.model_copy(update={"observation": name}), kpis, before)).all()


def test_a_cell_without_ues_is_idle() -> None:
    kpis = Engine(scenario(ues=3)).reset(np.full((1, 3, 2), 10.0))
    assert kpis.connected_ues[0].tolist() == [3, 0, 0, 0, 0]
    assert (kpis.prb_utilization[0, 1:] == 0).all()
    assert (kpis.offered_bps[0, 1:] == kpis.served_bps[0, 1:]).all()


def test_a_ue_out_of_reach_is_connected_and_gets_nothing() -> None:
    kpis = Engine(scenario(ues=2)).reset(np.array([[[10.0, 10.0], [9e6, 9e6]]]))
    assert kpis.ue_serving_cell[0, 1] >= 0
    assert kpis.ue_throughput_bps[0].tolist() == pytest.approx([200e3, 0.0])


@settings(max_examples=40)
@given(
    bad=st.sampled_from([np.nan, np.inf, -np.inf, 1.1e7, -1e300]),
    where=st.tuples(st.integers(0, 1), st.integers(0, 10), st.integers(0, 2), st.integers(0, 1)),
)
def test_a_position_that_is_no_place_is_named(bad: float, where: tuple[int, int, int, int]) -> None:
    network = scenario(ues=3)
    engine = Engine(network)
    position = np.zeros((2, 11, 3, 2))
    first = engine.reset(position[:, 0])
    position[where] = bad
    no_cio = np.zeros((2, len(network.neighbor_pairs)))
    with pytest.raises(DataError, match=rf"position_m\[{where[0]}, {where[1]}, {where[2]}, {where[3]}\]"):
        engine.step(position, no_cio)
    # The engine can go on.
    after = engine.step(np.zeros((2, 11, 3, 2)), no_cio)
    assert np.array_equal(after.ue_serving_cell, first.ue_serving_cell)


@pytest.mark.parametrize("offered_bps", [0, -1, 1e10, float("nan"), float("inf")])
def test_demand_out_of_range_is_named(offered_bps: float) -> None:
    wrong = scenario().model_dump() | {"traffic": {"offered_bps": offered_bps}}
    with pytest.raises(ConfigError, match=r"traffic\.offered_bps"):
        Scenario.parse(wrong, "test")


def test_a_trace_that_does_not_fit_is_named() -> None:
    backend = EngineBackend(scenario(ues=3, episode={"steps": 5}))
    with pytest.raises(DataError, match=r"4 UEs, but mobility\.ues"):
        backend.reset(trace(np.zeros((6, 4, 2)), 1.0), seed=1)
    with pytest.raises(DataError, match="4 s long, but an episode"):
        backend.reset(trace(np.zeros((5, 3, 2)), 1.0), seed=1)
