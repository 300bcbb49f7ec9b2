"""Profile 3gpp against the formulas of the papers, written down again from their text; and ns3 beside it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from engine_cases import scenario
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_augment.physics import Engine
from cf_augment.physics.radio.antenna import SectorAntennas
from cf_augment.physics.radio.path_loss import PathLoss
from ns3_scenarios.radio import Sector
from ns3_scenarios.scenario import ProfileName


def cost_231_hata_db(mhz: float, mast_m: float, ue_m: float, km: float, metropolitan: bool) -> float:
    """COST 231 final report, eq. 4.4.3; a(h) of medium cities, or Hata's of large ones, and C_m."""
    log_f = math.log10(mhz)
    if metropolitan:
        a, c = 3.2 * math.log10(11.75 * ue_m) ** 2 - 4.97, 3
    else:
        a, c = (1.1 * log_f - 0.7) * ue_m - (1.56 * log_f - 0.8), 0
    return (
        46.3 + 33.9 * log_f - 13.82 * math.log10(mast_m) - a + (44.9 - 6.55 * math.log10(mast_m)) * math.log10(km) + c
    )


def loss_db(loss: dict[str, Any], profile: ProfileName, flat_m: float, **radio: float) -> float:
    network = scenario([(0, 0), (1400, 0)], radio={"path_loss": loss, "dl_earfcn": 800, **radio}, profile=profile)
    square_km = torch.tensor([[(flat_m / 1000) ** 2]])
    return PathLoss(network, torch.device("cpu")).loss_db(square_km)[0, 0].item()


@settings(max_examples=50)
@given(
    mast_m=st.floats(20, 150), ue_m=st.floats(1, 10), flat_m=st.floats(100, 2e4),
    loss=st.sampled_from(["cost231-hata", "small", "large"]),
)  # fmt: skip
def test_hata_above_1500_mhz_is_that_of_cost_231(mast_m: float, ue_m: float, flat_m: float, loss: str) -> None:
    """EARFCN 800 is 1950 MHz. The distance is that between the antennas, as ns-3 takes it."""
    chosen = {"model": loss} if loss == "cost231-hata" else {"model": "okumura-hata", "city_size": loss}
    heights = {"cell_height_m": mast_m, "ue_height_m": ue_m}
    km = math.hypot(flat_m, mast_m - ue_m) / 1000
    expected = cost_231_hata_db(1950.0, mast_m, ue_m, km, metropolitan=loss == "large")
    assert loss_db(chosen, "3gpp", flat_m, **heights) == pytest.approx(expected, abs=2e-3)
    more_db = {"small": 0.0, "large": -4.97, "cost231-hata": 10 - 0.01 * math.log10(1950) * ue_m}[loss]
    assert loss_db(chosen, "ns3", flat_m, **heights) == pytest.approx(expected + more_db, abs=2e-3)


@pytest.mark.parametrize(
    ("azimuth_deg", "below_deg", "gain_db"),
    # TR 36.814 table A.2.1.1-2 with 70 and 10 degrees, 25 and 20 dB, 14 dBi, tilt 6 degrees, by hand.
    [
        (0, 6, 14), (35, 6, 11), (-35, 6, 11), (70, 6, 2), (180, 6, -11), (0, 11, 11), (0, 1, 11),
        (0, 26, -6), (35, 11, 8), (60, 17, 14 - 12 * (60 / 70) ** 2 - 12 * 1.1**2), (101.1, 20, -11),
    ],
)  # fmt: skip
def test_the_antenna_is_that_of_tr_36814(azimuth_deg: float, below_deg: float, gain_db: float) -> None:
    network = scenario(
        [(0, 0), (1400, 0)], radio={"antenna": {"pattern": "sector", "tilt_deg": 6}}, sites={"sectors": 3}
    )
    antenna = network.radio.antenna
    assert isinstance(antenna, Sector)
    flat_km = 0.0285 / math.tan(math.radians(below_deg))
    east, north = (
        torch.full((6, 1), flat_km * value)
        for value in (math.sin(math.radians(azimuth_deg)), math.cos(math.radians(azimuth_deg)))
    )
    gain = SectorAntennas(network, antenna, torch.device("cpu")).gain_db(east, north)
    assert gain[0, 0].item() == pytest.approx(gain_db, abs=1e-3)  # cell 0 looks north


def test_3gpp_grants_all_rbs() -> None:
    """A full cell: 24 of 25 PRBs in ns-3, whose last RBG is never granted; all of them by TS 36.213."""
    position = np.full((1, 30, 2), 10.0)
    load = {
        profile: Engine(scenario(ues=30, traffic={"offered_bps": 1e6}, profile=profile))
        .reset(position)
        .prb_utilization[0, 0]
        for profile in ("ns3", "3gpp")
    }
    assert load == pytest.approx({"ns3": 0.96, "3gpp": 1.0})
