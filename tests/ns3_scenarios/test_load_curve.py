"""The load curve, against loops that are written by its definition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from engine_cases import scenario, walk_m

from cf_augment.physics import Engine
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import OBSERVATIONS, observation_size, observe
from ns3_scenarios.scenario import Scenario


def case(profile: str, **parts: Any) -> tuple[Scenario, StepKpis]:
    network = scenario(ues=40, profile=profile, observation="load-curve", **parts)
    return network, Engine(network).reset(walk_m(3, 40, 1, 1.0, seed=5)[:, 0])


def needed(network: Scenario, rsrp_dbm: np.ndarray, ue: int, cell: int) -> float:
    """Share of a cell's PRBs, from the text: N0 = -174 dBm/Hz, gap -ln(5 BER) / 1.5, CQI 1 to 15."""
    power = [10 ** (value / 10) for value in rsrp_dbm[ue]]
    noise = 10 ** ((-174 + network.radio.ue_noise_figure_db) / 10) * 15000
    others = 0 if network.profile == "paper" else sum(power) - power[cell]
    bits = math.log(1 + power[cell] / (others + noise) * 1.5 / -math.log(5 * 5e-5), 2)
    symbols_per_s = network.radio.dl_bandwidth_rb * 12 * 15000 * 11 / 14
    return network.traffic.offered_bps / (symbols_per_s * min(max(bits, 0.1523), 5.5547))


@pytest.mark.parametrize(("profile", "range_db"), [("ns3", 6), ("paper", 12)])
def test_it_is_what_the_definition_says(profile: str, range_db: float) -> None:
    network, kpis = case(profile)
    cio_db = np.random.default_rng(0).uniform(-6, 6, (3, len(network.neighbor_pairs)))
    seen = observe(network, kpis, cio_db)
    assert seen.shape == (3, observation_size(network))
    cells, pairs, levels = len(network.cells), len(network.neighbor_pairs), 25
    for b in range(3):
        rsrp, serving = kpis.ue_rsrp_dbm[b], kpis.ue_serving_cell[b]
        cell, curves = seen[b, : 3 * cells].reshape(3, cells), seen[b, 3 * cells : -pairs].reshape(2, levels, pairs)
        assert cell[0] == pytest.approx(kpis.prb_utilization[b])
        assert cell[1] == pytest.approx(kpis.connected_ues[b] / 40)
        for c in range(cells):
            assert cell[2, c] == pytest.approx(sum(needed(network, rsrp, u, c) for u in range(40) if serving[u] == c))
        for level, offset_db in enumerate(np.linspace(-range_db, range_db, levels)):
            for e, (i, j) in enumerate(network.neighbor_pairs):
                moved = [
                    u
                    for u in range(40)
                    if serving[u] == i
                    and rsrp[u, j] + offset_db
                    > rsrp[u, i] + network.handover.a3_offset_db + network.handover.hysteresis_db
                ]
                assert curves[0, level, e] == pytest.approx(sum(needed(network, rsrp, u, i) for u in moved), abs=1e-6)
                assert curves[1, level, e] == pytest.approx(sum(needed(network, rsrp, u, j) for u in moved), abs=1e-6)
        assert seen[b, -pairs:] == pytest.approx(cio_db[b] / 6)
    assert (seen[:, 3 * cells : -pairs] > 0).any()


def test_its_loads_are_close_to_those_of_the_physics() -> None:
    """Where nothing saturates, loads by RSRP alone follow those that the engine computes."""
    network, kpis = case("ns3", traffic={"offered_bps": 100e3})
    seen = observe(network, kpis, np.zeros((3, len(network.neighbor_pairs))))
    cells = len(network.cells)
    by_rsrp, load = seen[:, 2 * cells : 3 * cells].ravel(), kpis.prb_utilization.ravel()
    assert load.max() < 0.8
    assert np.corrcoef(by_rsrp, load)[0, 1] > 0.9


def test_a_ue_without_a_cell_counts_nowhere() -> None:
    network, kpis = case("ns3")
    kpis.ue_serving_cell[:] = -1
    seen = observe(network, kpis, np.zeros(len(network.neighbor_pairs)))
    cells, pairs = len(network.cells), len(network.neighbor_pairs)
    assert not seen[:, 2 * cells : -pairs].any()
    assert OBSERVATIONS["load-curve"].cell_features == 3
