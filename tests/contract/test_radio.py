"""ns-3 and the engine see the same dB: RSRP of moving UEs under every model of the radio."""

from __future__ import annotations

from typing import Any

import made_network
import numpy as np
import pytest

from ns3_scenarios.kpis import StepKpis
from py_agent.env import open_backend
from sumo_mobility.base.errors import ConfigError

pytestmark = pytest.mark.ns3

HIGH = {"dl_earfcn": 100}
LOW = {"dl_earfcn": 3625}
"""942.5 MHz, where Hata's own formulas hold."""


def play(name: str, radio: dict[str, Any], sectors: int = 1, **parts: Any) -> list[StepKpis]:
    """KPIs of the reset and of two steps without CIO, with UEs at up to 10 m/s."""
    scenario = made_network.scenario(steps=2, radio=radio, sites={"sectors": sectors}, **parts)
    backend = open_backend(scenario, name)
    no_cio_db = np.zeros(len(scenario.neighbor_pairs))
    try:
        return [backend.reset(made_network.trace(steps=2), 1), *(backend.step(no_cio_db) for _ in range(2))]
    finally:
        backend.close()


def difference_db(radio: dict[str, Any], sectors: int = 1) -> float:
    """Greatest difference of RSRP between ns-3 and the engine."""
    ns3, engine = (np.array([kpis.ue_rsrp_dbm for kpis in play(name, radio, sectors)]) for name in ("ns3", "engine"))
    return float(np.abs(ns3 - engine).max())


@pytest.mark.parametrize(
    "radio",
    [
        HIGH | {"path_loss": {"model": "log-distance", "exponent": 2.9, "reference_loss_db": 31}},
        LOW | {"path_loss": {"model": "okumura-hata", "environment": "urban", "city_size": "small"}},
        LOW | {"path_loss": {"model": "okumura-hata", "environment": "suburban", "city_size": "large"}},
        LOW | {"path_loss": {"model": "okumura-hata", "environment": "open", "city_size": "small"}},
        HIGH | {"path_loss": {"model": "okumura-hata", "city_size": "small"}},
        HIGH | {"path_loss": {"model": "okumura-hata", "city_size": "large"}},
        HIGH | {"path_loss": {"model": "cost231-hata"}},
        HIGH | {"path_loss": {"model": "uma", "condition": "los"}},
        HIGH | {"path_loss": {"model": "uma", "condition": "nlos"}, "ue_height_m": 12.5},
        HIGH | {"path_loss": {"model": "umi", "condition": "los"}, "cell_height_m": 10},
        LOW | {"path_loss": {"model": "umi", "condition": "nlos"}, "cell_height_m": 10},
    ],
    ids=lambda radio: "-".join(str(value) for value in radio["path_loss"].values()),
)
def test_path_loss_is_that_of_ns3(radio: dict[str, Any]) -> None:
    assert difference_db(radio) < 1e-4


@pytest.mark.parametrize("tilt_deg", [0, 12])
def test_sector_antennas_are_those_of_ns3(tilt_deg: float) -> None:
    assert difference_db({"antenna": {"pattern": "sector", "tilt_deg": tilt_deg}}, sectors=3) < 1e-3


def test_shadowing_is_the_same_db_in_ns3_and_the_engine() -> None:
    """The UEs cross a grid line of the map each second or so; its std of 8 dB moves RSRP by far more than 0.01 dB."""
    shadowing = {"std_db": 8, "decorrelation_m": 30, "grid_m": 5, "margin_m": 100}
    assert difference_db({"shadowing": shadowing}) < 0.01
    assert difference_db({"shadowing": shadowing, "antenna": {"pattern": "sector"}}, sectors=3) < 0.01
    plain, shadowed = (play("engine", radio)[0].ue_rsrp_dbm for radio in ({}, {"shadowing": shadowing}))
    assert np.abs(shadowed - plain).max() > 5


def test_ues_attach_to_the_strongest_cell_behind_the_shadows() -> None:
    for seed in range(2):
        first = play("ns3", {"shadowing": {"std_db": 12, "seed": seed}})[0]
        assert first.ue_serving_cell.tolist() == first.ue_rsrp_dbm.argmax(axis=1).tolist()


def test_ues_attach_to_the_sector_that_looks_at_them() -> None:
    """UEs 2, 3 and 4 are north-east, south-east and east of site 0, whose sectors look to 0, 120 and 240 degrees."""
    first = play("ns3", {"antenna": {"pattern": "sector"}}, sectors=3)[0]
    assert first.ue_serving_cell.tolist() == first.ue_rsrp_dbm.argmax(axis=1).tolist()
    assert first.ue_serving_cell[3] == 1


@pytest.mark.parametrize("bandwidth_rb", [25, 50, 100])
def test_bandwidths_have_the_rsrp_and_load_of_ns3(bandwidth_rb: int) -> None:
    traffic = {"offered_bps": 4e5 * bandwidth_rb / 25}
    ns3, engine = (play(name, {"dl_bandwidth_rb": bandwidth_rb}, traffic=traffic) for name in ("ns3", "engine"))
    for one, other in zip(ns3, engine, strict=True):
        assert one.ue_rsrp_dbm == pytest.approx(other.ue_rsrp_dbm, abs=3e-5)
        assert one.prb_utilization == pytest.approx(other.prb_utilization, abs=0.01)


def test_cqi_from_pdsch_sees_how_little_the_others_send() -> None:
    """At low load the data region is almost free of interference, the control region never is."""
    control, pdsch = (play("ns3", {"cqi": cqi})[-1] for cqi in ("control", "pdsch"))
    assert (pdsch.ue_sinr_db > control.ue_sinr_db + 3).all()
    assert pdsch.ue_rsrp_dbm == pytest.approx(control.ue_rsrp_dbm, abs=1e-9)
    assert pdsch.prb_utilization.sum() < control.prb_utilization.sum()


def test_round_robin_deals_equal_shares() -> None:
    """Round robin cuts a TTI into equal shares: 5 UEs get 2 of 13 RBGs each, 20 of 25 PRBs. PF gives all 24 to one."""
    full = {"offered_bps": 5e6}
    pf, rr = (play("ns3", {"scheduler": scheduler}, traffic=full)[-1] for scheduler in ("pf", "rr"))
    assert pf.prb_utilization[0] == pytest.approx(24 / 25, abs=0.01)
    assert rr.prb_utilization[0] == pytest.approx(20 / 25, abs=0.01)


@pytest.mark.parametrize("field", [{"scheduler": "rr"}, {"rrc": "real"}])
def test_the_engine_refuses_what_it_does_not_mirror(field: dict[str, str]) -> None:
    with pytest.raises(
        ConfigError, match=rf"radio\.{next(iter(field))}: the back end engine has no .*\n.*use the back end ns3"
    ):
        play("engine", field)
