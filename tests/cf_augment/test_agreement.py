"""The comparison of two episodes, on errors that are known; and of the engine with the real ns-3."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from engine_cases import scenario, trace, walk_m

from cf_augment.agreement import agreement, compare
from cf_augment.dataset import Episode, EpisodeMetadata, Provenance
from cf_augment.physics import EngineBackend
from cf_augment.physics.tables import TABLES
from ns3_scenarios.backend import Backend
from ns3_scenarios.bridge.backend import Ns3Backend
from ns3_scenarios.build import program
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import cio_from_action
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import DataError
from sumo_mobility.trace import MobilityTrace


def play(backend: Backend, walk: MobilityTrace, cio_db: Floats) -> list[StepKpis]:
    try:
        return [backend.reset(walk, seed=1)] + [backend.step(row) for row in cio_db]
    finally:
        backend.close()


@pytest.fixture(scope="module")
def episode() -> list[StepKpis]:
    network = scenario(ues=30, episode={"steps": 6})
    walk = trace(walk_m(1, 30, 7, 1.0, seed=4, speed_mps=25.0)[0], 1.0)
    return play(EngineBackend(network), walk, np.random.default_rng(4).uniform(-6, 6, (6, len(network.neighbor_pairs))))


def test_an_episode_agrees_with_itself(episode: list[StepKpis]) -> None:
    metrics = compare(episode, episode)
    assert metrics["handovers_ns3"] == metrics["handovers_engine"] > 4
    assert metrics["serving_agreement"] == metrics["handover_match"] == 1
    moving = np.unique(np.concatenate([kpis.events["ue"] for kpis in episode]))
    assert metrics["handover_equal_ues"] == metrics["handover_moving_ues"] == len(moving) > 1
    assert {name for name, value in metrics.items() if value == 0} == {
        "rsrp_rmse_db", "rsrp_max_db", "sinr_rmse_db", "utilization_mae_pp", "utilization_bias_pp",
        "utilization_max_pp", "utilization_ks", "throughput_mae_share", "throughput_error_share", "served_error_share",
        "handover_delay_max_ms",
    }  # fmt: skip


def test_errors_are_measured_as_they_were_made(episode: list[StepKpis]) -> None:
    truth = guess = next(kpis for kpis in episode if len(kpis.events) > 0)
    rsrp, load, serving = guess.ue_rsrp_dbm.copy(), guess.prb_utilization.copy(), guess.ue_serving_cell.copy()
    rsrp[7, 2] += 3.0
    load[:2] += (0.02, -0.01)
    serving[5] = (serving[5] + 1) % 5
    later = guess.events.copy()
    later["time_s"] += 0.1
    guess = replace(
        guess,
        ue_rsrp_dbm=rsrp,
        prb_utilization=load,
        ue_serving_cell=serving,
        ue_throughput_bps=1.1 * guess.ue_throughput_bps,
        served_bps=0.9 * guess.served_bps,
        events=later,
    )
    metrics = compare([truth], [guess])
    assert metrics["rsrp_max_db"] == pytest.approx(3)
    assert metrics["rsrp_rmse_db"] == pytest.approx(3 / np.sqrt(150))
    assert metrics["serving_agreement"] == pytest.approx(29 / 30)
    assert metrics["utilization_mae_pp"] == pytest.approx(3 / 5)
    assert metrics["utilization_bias_pp"] == pytest.approx(1 / 5)
    assert metrics["utilization_max_pp"] == pytest.approx(2)
    assert metrics["throughput_mae_share"] == pytest.approx(0.1)
    assert metrics["throughput_error_share"] == pytest.approx(0.1)
    assert metrics["utilization_ks"] == pytest.approx(1 / 5)
    assert metrics["served_error_share"] == pytest.approx(-0.1)
    assert metrics["handover_match"] == 0
    assert metrics["handover_equal_ues"] == metrics["handover_moving_ues"] > 0
    assert metrics["handover_delay_max_ms"] == pytest.approx(100)


def test_episodes_that_do_not_fit_are_refused(episode: list[StepKpis]) -> None:
    with pytest.raises(DataError, match="7 steps of ns-3, 6 of the engine"):
        compare(episode, episode[:-1])
    with pytest.raises(DataError, match="times differ"):
        compare(episode[:3], episode[1:4])
    with pytest.raises(DataError, match="prb_utilization"):
        compare(episode[:1], [replace(episode[0], prb_utilization=np.zeros(4))])


def test_an_episode_played_by_the_engine_agrees_with_the_engine() -> None:
    network = scenario(ues=30, episode={"steps": 4})
    walk = trace(walk_m(1, 30, 5, 1.0, seed=4, speed_mps=25.0)[0], 1.0)
    actions = np.random.default_rng(4).uniform(-1, 1, (4, len(network.neighbor_pairs))).astype(np.float32)
    metadata = EpisodeMetadata(
        scenario_id=network.id, trace_name="walk", policy="random", seed=1, backend="engine",
        provenance=Provenance(kind="logged", action_source="random"),
    )  # fmt: skip
    kpis = play(EngineBackend(network), walk, cio_from_action(network, actions))
    metrics = agreement(network, Episode.from_kpis(network, walk, kpis, actions, metadata))
    assert metrics == compare(kpis, kpis)
    with pytest.raises(DataError, match="30 UEs"):
        agreement(scenario(ues=31, episode={"steps": 4}), Episode.from_kpis(network, walk, kpis, actions, metadata))


@pytest.mark.ns3
def test_the_engine_agrees_with_ns3_under_load_and_random_offsets() -> None:
    """Half of the cells are overloaded, UEs ride at up to 31 m/s, and every CIO changes each second."""
    network = scenario(ues=24, traffic={"offered_bps": 400e3}, episode={"steps": 8})
    walk = trace(walk_m(1, 24, 9, 1.0, seed=7, speed_mps=25.0)[0], 1.0)
    cio_db = np.random.default_rng(7).uniform(-6, 6, (8, len(network.neighbor_pairs)))
    metrics = compare(play(Ns3Backend(network), walk, cio_db), play(EngineBackend(network), walk, cio_db))
    assert metrics["rsrp_rmse_db"] <= 0.001
    assert metrics["sinr_rmse_db"] <= 0.01
    assert metrics["serving_agreement"] >= 0.99
    assert metrics["handovers_ns3"] >= 10
    assert metrics["handover_match"] >= 0.95
    assert metrics["utilization_mae_pp"] <= 1.0
    assert abs(metrics["served_error_share"]) <= 0.02


@pytest.mark.ns3
def test_the_tables_are_those_of_the_ns3_that_is_built() -> None:
    tables = subprocess.run([program(name="mlb-lte-tables")], capture_output=True, timeout=120, check=True).stdout
    assert json.loads(tables) == json.loads(TABLES.read_text())
