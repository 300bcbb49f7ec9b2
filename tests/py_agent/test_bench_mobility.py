"""How UEs spread over cells, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import made_network
import numpy as np
import pytest

from ns3_scenarios.scenario import Scenario
from py_agent.bench.mobility import CellDemand
from sumo_mobility.trace import MobilityTrace


@pytest.fixture(scope="module")
def network() -> Scenario:
    return made_network.scenario()


def trace_of(x_m: np.ndarray) -> MobilityTrace:
    made = made_network.trace(ues=x_m.shape[1])
    position_m = np.stack([x_m, np.zeros_like(x_m)], axis=-1)
    zeros = np.zeros(x_m.shape)
    return replace(made, time_s=np.arange(float(len(x_m))), position_m=position_m, speed_mps=zeros, heading_deg=zeros)


def test_ues_per_cell_and_changes_are_what_geometry_says(network: Scenario) -> None:
    # Cells at 0 and 600 m: the border is at 300 m. One of three UEs crosses it after the second second.
    x_m = np.array([[100.0, 200, 290], [100, 200, 295], [100, 200, 310], [100, 200, 320]])
    demand = CellDemand.of(network, trace_of(x_m))
    assert demand.max_over_mean == pytest.approx(np.mean([2, 2, 4 / 3, 4 / 3]))
    assert demand.jain == pytest.approx(np.mean([9 / 18, 9 / 18, 9 / 10, 9 / 10]))
    assert demand.changes_per_minute == pytest.approx(60 / 9)


def test_an_even_load_has_a_jain_index_of_1(network: Scenario) -> None:
    demand = CellDemand.of(network, trace_of(np.tile([0.0, 600.0], (5, 1))))
    assert (demand.max_over_mean, demand.jain, demand.changes_per_minute) == (1, 1, 0)
