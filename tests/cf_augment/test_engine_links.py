"""The compiled links against the 5 ms samples themselves, worked in float64 from the definitions, and against torch."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from engine_cases import FIVE_SITES_M, scenario, walk_m
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_augment.physics import Engine
from cf_augment.physics.radio.vector_math import atan2, compiled, exp10, log10
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.scenario import Scenario
from ns3_scenarios.shadowing import shadowing_map, sites_of
from sumo_mobility.base.arrays import Floats

SECTORS = {"antenna": {"pattern": "sector"}}
SHADOWS = {"shadowing": {"std_db": 8, "decorrelation_m": 30, "grid_m": 5, "margin_m": 100}}
MODELS: list[dict[str, Any]] = [
    {},
    {"cell_height_m": 1.5},
    {"path_loss": {"model": "uma", "condition": "los"}},
    {"path_loss": {"model": "umi", "condition": "nlos"}, "cell_height_m": 10},
    {"path_loss": {"model": "cost231-hata"}},
    SECTORS,
    {"antenna": {"pattern": "sector", "horizontal_beamwidth_deg": 150, "tilt_deg": 12}},
    SHADOWS,
    SECTORS | SHADOWS,
]


def loss_db(network: Scenario, cell: int, flat_m: Floats) -> Floats:
    """TR 38.901 table 7.4.1-1 and its like, in metres."""
    radio, height_m = network.radio, network.cells[cell].height_m
    far_m = np.hypot(flat_m, height_m - radio.ue_height_m)
    loss, ghz = radio.path_loss, radio.carrier_hz / 1e9
    if loss.model == "log-distance":
        return loss.reference_loss_db + 10 * loss.exponent * np.log10(np.maximum(far_m, 1.0))
    if loss.model == "cost231-hata":
        # As in ns-3, see its contract.
        gain_db = (1.11 * math.log10(1e3 * ghz) - 0.7) * radio.ue_height_m - 1.56 * math.log10(1e3 * ghz) + 0.8
        at_1_km = 46.3 + 33.9 * math.log10(1e3 * ghz) - 13.82 * math.log10(height_m) - gain_db + 10
        return at_1_km + (44.9 - 6.55 * math.log10(height_m)) * np.log10(far_m / 1000)
    base, slope, factor = (28.0, 22.0, 9.0) if loss.model == "uma" else (32.4, 21.0, 9.5)
    bend_m = 4 * (height_m - 1) * (radio.ue_height_m - 1) * radio.carrier_hz / 3e8
    near = base + slope * np.log10(far_m) + 20 * math.log10(ghz)
    beyond = 40 * np.log10(far_m) - factor * math.log10(bend_m**2 + (height_m - radio.ue_height_m) ** 2)
    sight = np.where(flat_m <= bend_m, near, base + beyond + 20 * math.log10(ghz))
    if loss.condition == "los":
        return sight
    none = (13.54, 39.08, 20.0) if loss.model == "uma" else (22.4, 35.3, 21.3)
    return np.maximum(sight, none[0] + none[1] * np.log10(far_m) + none[2] * math.log10(ghz))


def rsrp_dbm(network: Scenario, position_m: Floats) -> Floats:
    """RSRP (..., U, C) at positions (..., U, 2) in float64."""
    radio, chart, columns = network.radio, shadowing_map(network), []
    for index, cell in enumerate(network.cells):
        east, north = np.moveaxis(position_m - (cell.x_m, cell.y_m), -1, 0)
        flat_m = np.hypot(east, north)
        rsrp = cell.tx_power_dbm - 10 * math.log10(12 * radio.dl_bandwidth_rb) - loss_db(network, index, flat_m)
        antenna = radio.antenna
        if antenna.pattern == "sector":
            aside_deg = (90 - np.degrees(np.arctan2(north, east)) - cell.azimuth_deg + 180) % 360 - 180
            below_deg = np.degrees(np.arctan2(cell.height_m - radio.ue_height_m, flat_m)) - cell.tilt_deg
            aside_db = np.minimum(12 * (aside_deg / antenna.horizontal_beamwidth_deg) ** 2, antenna.max_attenuation_db)
            below_db = np.minimum(12 * (below_deg / antenna.vertical_beamwidth_deg) ** 2, antenna.side_lobe_limit_db)
            rsrp += antenna.gain_dbi - np.minimum(aside_db + below_db, antenna.max_attenuation_db)
        if chart is not None:
            rows, ends = chart.loss_db[sites_of(network)[index]].astype(float), np.array(chart.loss_db.shape[:0:-1]) - 1
            place = (position_m - (chart.west_m, chart.south_m)) / chart.grid_m
            place = np.clip(place, 0, ends)
            corner = np.minimum(np.floor(place), ends - 1).astype(int)
            (x, y), (column, row) = np.moveaxis(place - corner, -1, 0), np.moveaxis(corner, -1, 0)
            south = rows[row, column] * (1 - x) + rows[row, column + 1] * x
            rsrp -= south * (1 - y) + (rows[row + 1, column] * (1 - x) + rows[row + 1, column + 1] * x) * y
        columns.append(rsrp)
    return np.stack(columns, axis=-1)


def network_of(radio: dict[str, Any], ues: int) -> Scenario:
    return scenario(ues=ues, radio=radio, sites={"sectors": 3 if "antenna" in radio else 1})


@pytest.mark.parametrize("bends", [False, True])
@pytest.mark.parametrize("radio", MODELS, ids=str)
def test_measurements_are_means_of_the_samples(radio: dict[str, Any], bends: bool) -> None:
    """UEs at up to 38 m/s, some right below a site; with bends, they turn at every point of the grid."""
    network = network_of(radio, 40)
    position = walk_m(1, 40, 12, 0.1, seed=3, speed_mps=30.0)[:, 1:]
    position[:, :, :5] += np.array(FIVE_SITES_M) - position[:, 5:6, :5]
    if bends:
        position[:, ::2] += np.random.default_rng(0).normal(0, 0.5, (1, 6, 40, 2))
    engine = Engine(network)
    l1_dbm, received_mw = engine.links(position, np.array([0.0, 3.25, 10.0]), 5)
    rows = np.arange(200) * 0.05
    lower = rows.astype(int)
    share = (rows - lower)[:, None, None]
    samples = rsrp_dbm(network, position[0, lower] * (1 - share) + position[0, lower + 1] * share)
    expected = samples.reshape(5, 40, *samples.shape[1:]).mean(axis=1)
    error = np.abs(l1_dbm[0].transpose(1, 2, 0) - expected)
    assert error.max() < 1e-3
    assert math.sqrt((error**2).mean()) < 1e-4
    points = np.stack([position[0, 0], position[0, 3] * 0.75 + position[0, 4] * 0.25, position[0, 10]])
    assert 10 * np.log10(received_mw[0].transpose(1, 2, 0)) == pytest.approx(rsrp_dbm(network, points), abs=3e-4)


@pytest.mark.slow
@pytest.mark.parametrize("radio", MODELS, ids=str)
def test_compiled_links_and_torch_lead_to_the_same_kpis(radio: dict[str, Any]) -> None:
    network = network_of(radio, 30)
    position = walk_m(2, 30, 31, 0.1, seed=5, speed_mps=20.0)
    cio_db = np.random.default_rng(1).uniform(-6, 6, (2, 3, len(network.neighbor_pairs)))
    engine = Engine(network)
    compiled_kpis = engine.rollout(position, cio_db)
    engine.compiled_links = False
    torch_kpis = engine.rollout(position, cio_db)
    assert compiled_kpis.handovers.sum() > 0
    # Where SINR is at a threshold, the two may differ by a CQI, and at a hysteresis by a handover.
    for field in fields(StepKpis):
        if field.name != "events":
            one, other = (getattr(kpis, field.name) for kpis in (compiled_kpis, torch_kpis))
            assert np.isclose(one, other, rtol=1e-3, atol=0.02).mean() > 0.97, field.name


@settings(max_examples=100)
@given(
    st.floats(-30, 30, width=32), st.floats(-1e4, 1e4, width=32), st.floats(-1e4, 1e4, width=32), st.floats(1e-30, 1e30)
)
def test_vector_functions(power: float, y: float, x: float, positive: float) -> None:
    values = np.array([power, y, x, positive], np.float32)
    found = evaluated(values)
    power, y, x, positive = values.astype(float) + 0.0  # without the sign of zero, which atan2 here does not see
    assert found[0] == pytest.approx(10**power, rel=1e-5)
    assert found[1] == pytest.approx(math.atan2(y, x) if (abs(x) + abs(y)) > 1e-6 else found[1], abs=1e-6)
    assert found[2] == pytest.approx(math.log10(positive), abs=4e-6)


@compiled
def evaluated(values: Any) -> Any:
    return exp10(values[0]), atan2(values[1], values[2]), log10(values[3])
