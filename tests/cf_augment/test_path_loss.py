"""The path loss that the engine computes against published values, and where ns-3, which it mirrors, departs."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_cases import scenario

from cf_augment.physics.radio.path_loss import PathLoss
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.errors import ConfigError

VECTORS = list(csv.DictReader((Path(__file__).parents[1] / "reference" / "path_loss.csv").open(encoding="utf-8")))
"""Worked by the formulas of the papers and standards that they name, without the code under test."""


def loss_db(loss: dict[str, str], distance_m: float, **radio: float) -> float:
    network = scenario([(0, 0), (1400, 0)], radio={"path_loss": loss, **radio})
    square_km = torch.tensor([[(distance_m / 1000) ** 2]])
    return PathLoss(network, torch.device("cpu")).loss_db(square_km)[0, 0].item()


def heights(row: dict[str, str]) -> dict[str, float]:
    return {"cell_height_m": float(row["cell_height_m"]), "ue_height_m": float(row["ue_height_m"])}


@pytest.mark.parametrize("row", VECTORS, ids=lambda row: f"{row['source']}, {row['distance_m']} m")
def test_path_loss_is_that_of_its_source(row: dict[str, str]) -> None:
    loss = json.loads(row["path_loss"])
    computed = loss_db(loss, float(row["distance_m"]), dl_earfcn=int(row["dl_earfcn"]), **heights(row))
    assert computed == pytest.approx(float(row["loss_db"]), abs=1e-3)


def test_hata_is_126_4_plus_35_2_log_d_at_900_mhz() -> None:
    """As planners know it, for masts of 30 m; the nearest carrier of the bands is 893.9 MHz."""
    radio = {"dl_earfcn": 2649, "cell_height_m": 30.0}
    near, far = (loss_db({"model": "okumura-hata"}, distance_m, **radio) for distance_m in (1000, 10_000))
    assert near == pytest.approx(126.4, abs=0.1)
    assert far - near == pytest.approx(35.2, abs=0.1)


def test_large_cities_above_1500_mhz_lack_the_constant_of_hata_as_in_ns3() -> None:
    # a(1.5 m) = 3.2 (log10 17.625)^2 - 4.97 = 0.0 dB by Hata; ns-3 leaves the 4.97 out, and C_m = 3 dB.
    small, large = (
        loss_db({"model": "okumura-hata", "city_size": size}, 1000, dl_earfcn=800, cell_height_m=30.0)
        for size in ("small", "large")
    )
    assert small == pytest.approx(137.4, abs=0.05)
    assert large == pytest.approx(137.4 + 3 - 4.97, abs=0.1)


def test_cost231_of_ns3_is_10_db_more_and_lets_the_height_count_otherwise() -> None:
    # a(h) with 1.11 for 1.1 is 0.01 x 3.29 x 1.5 = 0.05 dB more at 1950 MHz.
    radio = {"dl_earfcn": 800, "cell_height_m": 30.0}
    other = loss_db({"model": "okumura-hata"}, 1000, **radio)
    assert loss_db({"model": "cost231-hata"}, 1000, **radio) == pytest.approx(other + 10 - 0.0494, abs=1e-3)


@pytest.mark.parametrize(
    ("radio", "message"),
    [
        ({"dl_earfcn": 4990}, r"radio\.dl_earfcn: is not a downlink EARFCN .*got 4990"),
        ({"path_loss": {"model": "itu"}}, r"radio\.path_loss: model = 'itu' is not one of 'log-distance'"),
        ({"path_loss": {"model": "uma", "exponent": 3}}, r"path_loss\.exponent: unknown key \(known: .*condition"),
        ({"path_loss": {"model": "okumura-hata", "environment": "open"}}, r"to 1500 MHz, but dl_earfcn 100 is 2120 M"),
        ({"path_loss": {"model": "umi"}, "ue_height_m": 10}, r"ue_height_m 10 is not from 1.5 to 10 m"),
        ({"path_loss": {"model": "uma"}, "ue_height_m": 1}, r"ue_height_m 1 is not from 1.5 to 13 m"),
        ({"path_loss": {"model": "uma"}, "cell_height_m": 2}, r"cell_height_m must be ue_height_m \+ 1 m"),
    ],
)
def test_a_path_loss_out_of_its_range_is_refused(radio: dict[str, Any], message: str) -> None:
    network = scenario([(0, 0), (1400, 0)])
    with pytest.raises(ConfigError, match=message):
        Scenario.parse(network.model_dump() | {"radio": radio}, "test")


def test_cells_on_towers_of_two_heights_do_not_fit_cost231() -> None:
    network = scenario([(0, 0), (1400, 0)], radio={"path_loss": {"model": "cost231-hata"}}).model_dump()
    network["cells"][1]["height_m"] = 40.0
    with pytest.raises(ConfigError, match=r"cells\.1\.height_m must be radio\.cell_height_m"):
        Scenario.parse(network, "test")
