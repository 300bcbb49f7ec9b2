"""Line of sight over and between buildings, by geometry worked out by hand; and its cost in all back ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cf_augment.physics import EmulatorBackend, EngineBackend
from cf_augment.physics.radio.path_loss import PathLoss
from ns3_scenarios.bridge.backend import Ns3Backend
from ns3_scenarios.radio import LteRadio, Uma, Umi
from ns3_scenarios.scenario import Preset, Scenario
from ns3_scenarios.shadowing import shadowing_map
from ns3_scenarios.urban import obstruction_db, sees
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.features import MapFeatures
from sumo_mobility.pipeline import load_map, make_trace

BLOCK = np.array([[40.0, -20.0], [60.0, -20.0], [60.0, 20.0], [40.0, 20.0], [40.0, -20.0]])


def block(height_m: float) -> MapFeatures:
    """A block from 40 to 60 m east and 20 m to both sides."""
    return MapFeatures(np.empty((0, 2)), (BLOCK,), np.array([height_m]))


def test_what_a_block_hides() -> None:
    """From 31.5 m over the origin to 1.5 m: over the block's far wall, a ray to x m is at 31.5 - 1800 / x m."""
    points = np.array([[80.0, 0.0], [150.0, 0.0], [250.0, 0.0], [80.0, 60.0], [-80.0, 0.0], [30.0, 0.0]])
    # At the far wall, 60 m east, the ray to 80 m is at 9 m, to 150 m at 19.5 m, to 250 m at 24.3 m.
    assert sees(block(22.0), (0.0, 0.0), 31.5, points, 1.5).tolist() == [False, False, True, True, True, True]
    assert sees(block(8.0), (0.0, 0.0), 31.5, points, 1.5).tolist() == [True] * 6
    assert sees(block(60.0), (0.0, 0.0), 31.5, points, 1.5).tolist() == [False, False, False, True, True, True]


def test_an_antenna_is_not_hidden_by_what_it_stands_on_and_nothing_is_seen_indoors() -> None:
    points = np.array([[50.0, 5.0], [52.0, -80.0], [120.0, 0.0]])
    assert sees(block(50.0), (50.0, 0.0), 30.0, points, 1.5).tolist() == [True, True, True]
    assert sees(block(50.0), (0.0, 0.0), 30.0, points[:1], 1.5).tolist() == [False]
    assert sees(MapFeatures(np.empty((0, 2)), (), np.empty(0)), (0.0, 0.0), 30.0, points, 1.5).all()


@pytest.mark.parametrize("model", ["uma", "umi"])
def test_an_obstruction_costs_what_lies_between_the_two_conditions(model: str) -> None:
    preset = Preset.load("helsinki-event-v0").model_dump()
    flat_m = np.array([5.0, 40.0, 180.0, 700.0, 2500.0])
    square_km = torch.from_numpy((flat_m / 1000) ** 2).float().expand(2, -1)
    loss_db = {}
    for condition in ("los", "nlos"):
        preset["radio"]["path_loss"] = {"model": model, "condition": condition}
        network = Scenario.place(Preset.model_validate(preset), [(0.0, 0.0), (700.0, 0.0)])
        loss_db[condition] = PathLoss(network, torch.device("cpu")).loss_db(square_km)[0].numpy()
    found = obstruction_db(Uma() if model == "uma" else Umi(), LteRadio(), 30.0, flat_m)
    assert found == pytest.approx(loss_db["nlos"] - loss_db["los"], abs=1e-4)
    assert found.max() > 15


def helsinki(**shadowing: object) -> Scenario:
    preset = Preset.load("helsinki-event-v0").model_dump()
    preset["mobility"] |= {"ues": 15, "duration_s": 3.0, "settle_s": 60.0}
    preset["episode"] |= {"steps": 3, "warmup_s": 2.0}
    preset["radio"] = {
        "path_loss": {"model": "uma", "condition": "los"},
        "shadowing": {"std_db": 0, "buildings": True, "grid_m": 5, "margin_m": 100} | shadowing,
        "cell_height_m": 25,
    }
    parsed = Preset.parse(preset, "test")
    return Scenario.place(parsed, parsed.sites.place(load_map(parsed.mobility.map)))


@pytest.mark.sumo
def test_streets_near_a_site_see_it_and_streets_far_away_do_not() -> None:
    """Sites 1, 2 and 4 stand on streets or squares; roofs in Helsinki's centre are as high as they are."""
    scenario, streets = helsinki(), load_map("helsinki-centre")
    place_m = np.concatenate(streets.streets)
    for cell in (scenario.cells[index] for index in (1, 2, 4)):
        site_m = (cell.x_m, cell.y_m)
        away_m = np.hypot(*(place_m - site_m).T)
        seen = sees(streets.features, site_m, cell.height_m, place_m, scenario.radio.ue_height_m)
        assert seen[away_m < 50].mean() > 0.9
        assert seen[away_m > 600].mean() < 0.1
    made = shadowing_map(scenario)
    assert made is not None
    assert made.loss_db.min() == 0
    assert 20 < made.loss_db.max() < 40


@pytest.mark.ns3
@pytest.mark.sumo
def test_all_back_ends_see_the_same_buildings() -> None:
    scenario = helsinki()
    trace = make_trace(scenario.mobility, scenario.mobility.train_contexts[0], 1)
    seen = []
    for backend in (Ns3Backend(scenario), EngineBackend(scenario), EmulatorBackend(scenario)):
        try:
            kpis = [backend.reset(trace, 1)] + [backend.step(np.zeros(len(scenario.neighbor_pairs))) for _ in range(3)]
        finally:
            backend.close()
        seen.append(np.stack([one.ue_rsrp_dbm for one in kpis]))
    assert np.abs(seen[1] - seen[0]).max() < 2e-3
    assert np.abs(seen[2] - seen[0]).max() < 2e-3
    bare = EngineBackend(scenario.model_copy(update={"radio": scenario.radio.model_copy(update={"shadowing": None})}))
    assert np.abs(bare.reset(trace, 1).ue_rsrp_dbm - seen[1][0]).max() > 10


@pytest.mark.slow
def test_buildings_need_a_map_that_has_some_and_a_line_of_sight_to_lose() -> None:
    with pytest.raises(ConfigError, match="'uma' or 'umi' with condition 'los'"):
        Preset.parse(
            Preset.load("helsinki-event-v0").model_dump() | {"radio": {"shadowing": {"buildings": True}}}, "test"
        )
    with pytest.raises(ConfigError, match="std_db 0 without buildings"):
        Preset.parse(Preset.load("helsinki-event-v0").model_dump() | {"radio": {"shadowing": {"std_db": 0}}}, "test")
    scenario = helsinki()
    elsewhere = scenario.mobility.model_copy(update={"map": "berlin-adlershof"})
    with pytest.raises(ConfigError, match="'berlin-adlershof' has no buildings"):
        shadowing_map(scenario.model_copy(update={"mobility": elsewhere}))
