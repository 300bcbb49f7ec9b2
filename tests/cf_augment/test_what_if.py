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
from sumo_mobility.base.errors import ConfigError, DataError

# Two UEs' worth of traffic fits easily, so that no queue remembers how it came about.
NETWORK = scenario(ues=60, traffic={"offered_bps": 40e3})


def first_kpis(network: Scenario, seed: int) -> StepKpis:
    kpis = Engine(network).reset(walk_m(1, network.mobility.ues, 1, 1.0, seed)[:, 0])
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


def test_bad_input_is_refused_by_name() -> None:
    kpis, what_if = first_kpis(NETWORK, seed=1), WhatIf(Engine(NETWORK))
    nothing = np.zeros((1, len(NETWORK.neighbor_pairs)))
    with pytest.raises(ConfigError, match="neighbour pairs"):
        what_if(kpis, np.zeros((1, 3)))
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
