"""The fluid model, against the equations of the load coupling solved in another way."""

from __future__ import annotations

import made_network
import numpy as np
import pytest
from scipy.optimize import brentq

from cf_augment.physics.fluid import FluidBackend
from ns3_scenarios.scenario import Scenario


def scenario(offered_bps: float) -> Scenario:
    return made_network.scenario(traffic={"offered_bps": offered_bps})


def test_loads_are_the_fixed_point_of_the_coupling() -> None:
    """Two cells: each load is a function of the other one; their composition meets the identity once."""
    network = scenario(400e3)
    kpis = FluidBackend(network).reset(made_network.trace(), 0)
    received = 10 ** (kpis.ue_rsrp_dbm / 10)
    noise = 10 ** ((-174 + network.radio.ue_noise_figure_db) / 10) * 15e3
    bandwidth_hz = network.radio.dl_bandwidth_rb * 180e3

    def load(cell: int, other_load: float) -> float:
        mine = np.flatnonzero(kpis.ue_serving_cell == cell)
        sinr = received[mine, cell] / (other_load * received[mine, 1 - cell] + noise)
        return float((400e3 / (bandwidth_hz * np.log2(1 + sinr))).sum())

    first = brentq(lambda rho: load(0, load(1, rho)) - rho, 0, 1, xtol=1e-14)
    assert kpis.prb_utilization == pytest.approx([first, load(1, first)], rel=1e-6)
    assert kpis.served_bps == pytest.approx(kpis.offered_bps)


def test_an_overloaded_cell_is_full_and_serves_what_it_can() -> None:
    kpis = FluidBackend(scenario(10e6)).reset(made_network.trace(), 0)
    assert kpis.prb_utilization[0] == 1
    assert kpis.served_bps[0] < 0.9 * kpis.offered_bps[0]
    mine = kpis.ue_serving_cell == 0
    assert kpis.served_bps[0] == pytest.approx(kpis.ue_throughput_bps[mine].sum())
