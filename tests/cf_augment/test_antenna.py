"""The sector antenna of the engine against gains worked by hand from TR 36.814 table A.2.1.1-2."""

from __future__ import annotations

import math

import pytest
import torch
from engine_cases import scenario

from cf_augment.physics.radio.antenna import SectorAntennas
from ns3_scenarios.radio import Sector

HEIGHT_M = 28.5


def gain_db(azimuth_deg: float, down_deg: float, cell: int = 0, **antenna: float) -> float:
    """Gain of one of three sectors at 0, 120 and 240 degrees towards a UE on the ground, as angles from the mast."""
    network = scenario(
        [(0, 0), (1400, 0)], radio={"antenna": {"pattern": "sector", **antenna}}, sites={"sectors": 3}
    )  # fmt: skip
    pattern = network.radio.antenna
    assert isinstance(pattern, Sector)
    away_km = HEIGHT_M / 1000 / math.tan(math.radians(down_deg))
    east, north = (torch.tensor(away_km * f(math.radians(azimuth_deg))) for f in (math.sin, math.cos))
    return SectorAntennas(network, pattern, torch.device("cpu")).gain_db(east, north)[cell].item()


@pytest.mark.parametrize(
    ("azimuth_deg", "down_deg", "by_hand"),
    [
        (0, 6, 14.0),  # the main lobe
        (35, 6, 14 - 3),  # 12 (35/70)^2
        (-35, 6, 14 - 3),
        (70, 6, 14 - 12),  # 12 (70/70)^2
        (180, 6, 14 - 25),  # A_m
        (0, 11, 14 - 3),  # 12 (5/10)^2
        (0, 1, 14 - 3),
        (0, 45, 14 - 20),  # SLA_v
        (35, 11, 14 - 6),  # both
        (100, 60, 14 - 25),  # both, no more than A_m
    ],
)
def test_gain_is_that_of_tr_36814(azimuth_deg: float, down_deg: float, by_hand: float) -> None:
    assert gain_db(azimuth_deg, down_deg) == pytest.approx(by_hand, abs=1e-3)


def test_sectors_look_120_degrees_apart_clockwise_from_north() -> None:
    assert gain_db(120, 6, cell=1) == gain_db(240, 6, cell=2) == pytest.approx(14, abs=1e-3)
    assert gain_db(120, 6, cell=0) == pytest.approx(14 - 25, abs=1e-3)  # 12 (120/70)^2 = 35 > A_m


def test_beam_tilt_and_gain_are_the_scenarios() -> None:
    fields = {"horizontal_beamwidth_deg": 65, "vertical_beamwidth_deg": 8, "max_attenuation_db": 30,
              "side_lobe_limit_db": 18, "gain_dbi": 17, "tilt_deg": 4}  # fmt: skip
    assert gain_db(0, 4, **fields) == pytest.approx(17, abs=1e-3)
    assert gain_db(32.5, 8, **fields) == pytest.approx(17 - 6, abs=1e-3)
    assert gain_db(0, 60, **fields) == pytest.approx(17 - 18, abs=1e-3)
    assert gain_db(180, 60, **fields) == pytest.approx(17 - 30, abs=1e-3)
