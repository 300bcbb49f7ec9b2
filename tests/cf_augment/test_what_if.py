"""One-step what-if: event A3 at rest, against the engine that gets there step by step."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from engine_cases import scenario, walk_m
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_augment.physics import Engine, WhatIf
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats, Ints
from sumo_mobility.base.errors import ConfigError, DataError

# Two UEs' worth of traffic fits easily, so that no queue remembers how it came about.
NETWORK = scenario(ues=60, traffic={"offered_bps": 40e3})


def first_kpis(network: Scenario, seed: int, position_m: Floats | None = None) -> StepKpis:
    walked_m = walk_m(1, network.mobility.ues, 1, 1.0, seed)[:, 0]
    kpis = Engine(network).reset(walked_m if position_m is None else position_m)
    names = [field.name for field in fields(StepKpis) if field.name != "events"]
    single: dict[str, Any] = {name: getattr(kpis, name)[0] for name in names}
    return replace(kpis, **single)


def test_it_predicts_what_the_engine_reaches_when_ues_stand_still() -> None:
    engine = Engine(NETWORK)
    position = walk_m(1, 60, 1, 1.0, seed=2)
    # Offsets of opposite sign, so that no UE goes to and fro.
    towards_db = np.random.default_rng(2).uniform(-6, 6, (8, 5, 5))
    cio_db = np.stack([towards_db[:, i, j] - towards_db[:, j, i] for i, j in NETWORK.neighbor_pairs], axis=1) / 2
    predicted = WhatIf(engine)(first_kpis(NETWORK, seed=2), cio_db)
    still = np.repeat(np.repeat(position[:, :1], engine.grid_steps + 1, axis=1), 8, axis=0)
    engine.reset(np.repeat(position[:, 0], 8, axis=0))
    engine.step(still, cio_db)
    settled = engine.step(still, cio_db)
    assert np.array_equal(predicted.ue_serving_cell, settled.ue_serving_cell)
    assert (predicted.handovers > 0).sum() >= 4
    assert predicted.prb_utilization == pytest.approx(settled.prb_utilization, abs=1e-4)
    assert predicted.ue_throughput_bps == pytest.approx(settled.ue_throughput_bps, rel=1e-3)
    assert predicted.ue_sinr_db == pytest.approx(settled.ue_sinr_db, abs=1e-3)


def test_no_offset_moves_nobody() -> None:
    kpis = first_kpis(NETWORK, seed=3)
    predicted = WhatIf(Engine(NETWORK))(kpis, np.zeros((1, len(NETWORK.neighbor_pairs))))
    assert predicted.handovers.tolist() == [0]
    assert np.array_equal(predicted.ue_serving_cell[0], kpis.ue_serving_cell)
    assert predicted.prb_utilization[0] == pytest.approx(kpis.prb_utilization, abs=1e-4)


@pytest.mark.slow
@settings(max_examples=40)
@given(seed=st.integers(0, 2**31), cell=st.integers(0, 4), rise_db=st.floats(0.1, 6))
def test_raising_all_offsets_into_a_cell_never_takes_ues_from_it(seed: int, cell: int, rise_db: float) -> None:
    # One hop an interval (a time to trigger of 640 ms): with several, a UE may be led on from the cell.
    network = scenario(ues=30, handover={"time_to_trigger_ms": 640})
    random = np.random.default_rng(seed)
    low_db = random.uniform(-6, 6, len(network.neighbor_pairs))
    into = np.array([neighbor == cell for _, neighbor in network.neighbor_pairs])
    high_db = np.clip(low_db + rise_db * into, -6, 6)
    kpis = first_kpis(network, seed % 1000)
    few, many = WhatIf(Engine(network))(kpis, np.stack([low_db, high_db])).connected_ues[:, cell]
    assert many >= few


def settled_hop_by_hop(network: Scenario, rsrp_dbm: Floats, serving: Ints, cio_db: Floats, hops: int) -> list[Any]:
    """Event A3 with every hop that the time allows looked at: serving cells (K, U) and handovers (K,)."""
    handover, pairs, rsrp_dbm = network.handover, np.array(network.neighbor_pairs), rsrp_dbm.astype(np.float32)
    offsets_db = np.full((len(cio_db), len(network.cells), len(network.cells)), -np.inf, np.float32)
    offsets_db[:, pairs[:, 0], pairs[:, 1]] = cio_db
    cells, moved = np.tile(serving, (len(cio_db), 1)), np.zeros(len(cio_db))
    for _ in range(hops):
        biased_dbm = rsrp_dbm.astype(np.float32) + np.take_along_axis(offsets_db, cells[..., None], axis=1)
        own_dbm = np.take_along_axis(
            np.broadcast_to(rsrp_dbm.astype(np.float32), biased_dbm.shape), cells[..., None], 2
        )
        leaves = biased_dbm.max(2) - (own_dbm[..., 0] + np.float32(handover.a3_offset_db)) > handover.hysteresis_db
        cells, moved = np.where(leaves, biased_dbm.argmax(2), cells), moved + leaves.sum(1)
    return [cells, moved]


@pytest.mark.parametrize("interval_s", [1.0, 30.0])
def test_to_stop_when_nothing_moves_changes_nothing(interval_s: float) -> None:
    """Under any offsets, also such as make UEs go round for the whole interval."""
    network = scenario(ues=60, episode={"steps": 1, "control_interval_s": interval_s})
    what_if, kpis = WhatIf(Engine(network)), first_kpis(network, seed=4)
    cio_db = np.random.default_rng(4).uniform(-6, 6, (50, len(network.neighbor_pairs)))
    predicted = what_if(kpis, cio_db)
    serving, handovers = settled_hop_by_hop(network, kpis.ue_rsrp_dbm, kpis.ue_serving_cell, cio_db, what_if.hops)
    assert np.array_equal(predicted.ue_serving_cell, serving)
    assert np.array_equal(predicted.handovers, handovers)
    assert (handovers > 60 * (interval_s > 1)).any()


def test_ues_that_move_are_served_about_as_the_engine_serves_them() -> None:
    """30 s in 15 parts, under any offsets: the filter and the time to trigger come a little later in the engine."""
    network = scenario(ues=60, episode={"steps": 1, "control_interval_s": 30.0}, traffic={"offered_bps": 100e3})
    engine, count = Engine(network), 12
    walk = walk_m(1, 60, engine.grid_steps + 1, 0.1, seed=6)
    engine.reset(walk[:, 0])
    cio_db = np.random.default_rng(6).uniform(-3, 3, (count, len(network.neighbor_pairs)))
    stepped = engine.copies(count).step(walk.repeat(count, 0), cio_db)
    places_m = walk[0, 10:-1:20]
    predicted = WhatIf(engine)(first_kpis(network, seed=6, position_m=walk[:, 0]), cio_db, places_m)
    frozen = WhatIf(engine)(first_kpis(network, seed=6, position_m=walk[:, 0]), cio_db)
    error, error_frozen = (np.abs(of.prb_utilization - stepped.prb_utilization) for of in (predicted, frozen))
    assert error.mean() < 0.02
    assert error.mean() < 0.3 * error_frozen.mean()
    assert np.corrcoef(predicted.handovers, stepped.handovers)[0, 1] > 0.8
    assert np.array_equal(predicted.ue_position_m[0], places_m[-1])
    assert predicted.time_s.tolist() == [30.0] * count


@pytest.mark.parametrize("profile", ["ns3", "paper"])
def test_ues_that_are_said_to_stand_are_as_those_that_do(profile: str) -> None:
    network = scenario(ues=60, episode={"steps": 1, "control_interval_s": 30.0}, profile=profile)
    kpis = first_kpis(network, seed=5)
    cio_db = np.random.default_rng(5).uniform(-2, 2, (20, len(network.neighbor_pairs)))
    what_if = WhatIf(Engine(network))
    stand, standing = what_if(kpis, cio_db), what_if(kpis, cio_db, np.tile(kpis.ue_position_m, (15, 1, 1)))
    assert np.array_equal(stand.ue_serving_cell, standing.ue_serving_cell)
    assert standing.prb_utilization == pytest.approx(stand.prb_utilization, rel=1e-6)
    assert standing.ue_throughput_bps == pytest.approx(stand.ue_throughput_bps, rel=1e-2)


def test_bad_input_is_refused_by_name() -> None:
    kpis, what_if = first_kpis(NETWORK, seed=1), WhatIf(Engine(NETWORK))
    nothing = np.zeros((1, len(NETWORK.neighbor_pairs)))
    with pytest.raises(ConfigError, match="neighbour pairs"):
        what_if(kpis, np.zeros((1, 3)))
    for places_m in (np.zeros((2, 59, 2)), np.zeros((60, 2)), np.full((2, 60, 2), np.nan)):
        with pytest.raises(DataError, match="position_m"):
            what_if(kpis, nothing, places_m)
    with pytest.raises(DataError, match="ue_rsrp_dbm"):
        what_if(replace(kpis, ue_rsrp_dbm=kpis.ue_rsrp_dbm[:5]), nothing)
    holed = kpis.ue_rsrp_dbm.copy()
    holed[3, 2] = np.nan
    with pytest.raises(DataError, match=r"ue_rsrp_dbm\[3, 2\]"):
        what_if(replace(kpis, ue_rsrp_dbm=holed), nothing)


def test_a_ue_without_a_cell_starts_in_the_strongest() -> None:
    kpis = first_kpis(NETWORK, seed=1)
    lost = kpis.ue_serving_cell.copy()
    lost[7] = -1
    predicted = WhatIf(Engine(NETWORK))(replace(kpis, ue_serving_cell=lost), np.zeros((1, len(NETWORK.neighbor_pairs))))
    assert predicted.ue_serving_cell[0, 7] == kpis.ue_rsrp_dbm[7].argmax()
