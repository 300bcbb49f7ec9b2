"""Path loss, RSRP, SINR and ns-3's tables against published values and hand calculation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from engine_cases import FIVE_SITES_M, scenario, walk_m

from cf_augment.physics.radio.rsrp import Radio
from cf_augment.physics.tables import block_bytes, granted_rb, lte_tables, ttis_per_packet

FLAT = {"cell_height_m": 30.0, "ue_height_m": 30.0}
CPU = torch.device("cpu")


def radio_of(sites_m: list[tuple[float, float]], **radio: float) -> Radio:
    return Radio(scenario(sites_m, radio=radio), CPU)


def at(radio: Radio, *position_m: tuple[float, float]) -> torch.Tensor:
    """RSRP (U, C) at some points."""
    return radio.rsrp_dbm(radio.local(torch.tensor(position_m, dtype=torch.float64))).T


@pytest.mark.parametrize(("distance_km", "loss_db"), [(1.0, 128.1), (0.5, 116.781), (0.1, 90.5), (5.0, 154.381)])
def test_path_loss_is_that_of_tr_36942_section_4_5_2(distance_km: float, loss_db: float) -> None:
    radio = radio_of([(0, 0), (1400, 0)], tx_power_dbm=40.0, **FLAT)
    rsrp = at(radio, (0, 1000 * distance_km))[0, 0].item()
    # 40 dBm over 25 RB x 12 subcarriers are 15.229 dBm in a resource element.
    assert 15.229 - rsrp == pytest.approx(loss_db, abs=2e-3)


def test_rsrp_of_a_case_worked_by_hand() -> None:
    # d = sqrt(300^2 + 400^2 + 28.5^2) = 500.8116 m; loss = 15.3 + 37.6 x 2.699674 = 116.8078 dB;
    # 46 dBm - 10 log10(12 x 50) = 18.2185 dBm in a resource element.
    radio = radio_of([(0, 0), (1400, 0)], dl_bandwidth_rb=50, tx_power_dbm=46.0)
    assert at(radio, (300, 400))[0, 0].item() == pytest.approx(18.2185 - 116.8078, abs=1e-3)


def test_loss_is_the_reference_loss_on_top_of_a_site_as_in_ns3() -> None:
    radio = radio_of([(0, 0), (1400, 0)], tx_power_dbm=40.0, **FLAT)
    here, near = at(radio, (0, 0), (0.5, 0))[:, 0].tolist()
    assert here == near == pytest.approx(15.229 - 15.3, abs=1e-3)


def test_sinr_between_two_cells_is_limited_by_interference_and_noise() -> None:
    radio = radio_of([(0, 0), (1400, 0)], tx_power_dbm=20.0, **FLAT)
    rsrp = at(radio, (700, 0))
    # Both are received with -4.771 - 122.276 = -127.047 dBm; noise is -174 + 9 + 41.761 = -123.239 dBm.
    received, noise = 10**-12.7047, 10**-12.3239
    by_hand = 10 * math.log10(received / (received + noise))
    assert radio.sinr_db(rsrp.T[None], torch.tensor([[0]])).item() == pytest.approx(by_hand, abs=2e-3)
    assert radio.sinr_of_all_db(rsrp.T)[1, 0].item() == pytest.approx(by_hand, abs=2e-3)


def test_l1_measurement_is_the_mean_in_db_of_the_samples_of_5_ms() -> None:
    # Float64, all 40 samples, for UEs at up to 38 m/s, some of which pass right below a site.
    position = walk_m(1, 40, 11, 0.1, seed=3, speed_mps=30.0)
    position[:, :, :5] += np.array(FIVE_SITES_M) - position[:, 5:6, :5]
    network = scenario(ues=40)
    measured = Radio(network, CPU)
    l1 = measured.l1_rsrp_dbm(measured.local(torch.tensor(position)))[0].mT.numpy()
    for period in range(5):
        rows = period * 2 + np.arange(40) * 0.05
        lower = np.floor(rows + 1e-9).astype(int)
        share = (rows - lower)[:, None, None]
        points = position[0, lower] * (1 - share) + position[0, lower + 1] * share
        for cell, site in enumerate(network.cells):
            squares = ((points - (site.x_m, site.y_m)) ** 2).sum(axis=-1) + 28.5**2
            loss = 15.3 + 37.6 * np.log10(np.sqrt(squares))
            mean = (40 - 10 * math.log10(300) - loss).mean(axis=0)
            assert np.abs(l1[period, :, cell] - mean).max() < 1e-4


@pytest.mark.parametrize(
    ("bandwidth_rb", "mcs", "rbs", "bits"),
    # TS 36.213 tables 7.1.7.1-1 and 7.1.7.2.1-1.
    [(25, 0, 1, 16), (25, 28, 6, 4392), (25, 28, 25, 18336), (50, 28, 50, 36696), (100, 28, 100, 75376),
     (25, 9, 25, 4008), (25, 10, 25, 4008), (100, 16, 100, 30576), (100, 17, 100, 30576)],
)  # fmt: skip
def test_transport_blocks_are_those_of_ts_36213(bandwidth_rb: int, mcs: int, rbs: int, bits: int) -> None:
    assert lte_tables(bandwidth_rb).tbs_bits[mcs][rbs - 1] == bits


def test_cqi_rises_at_the_thresholds_of_ns3() -> None:
    radio = radio_of([(0, 0), (1400, 0)])
    sinr = torch.tensor([-30.0, -4.43, -4.42, 19.79, 19.82, 60.0])
    assert radio.cqi(sinr).tolist() == [0, 0, 1, 14, 15, 15]


def test_grants_leave_one_of_25_rbs_unused() -> None:
    assert [granted_rb(bandwidth) for bandwidth in (25, 50, 100)] == [24, 48, 100]


def test_a_packet_takes_whole_ttis_alone_and_shares_of_them_in_a_queue() -> None:
    # CQI 15 is MCS 28: 17568 bits on 24 RB (I_TBS 26) = 2196 bytes; CQI 1 is MCS 0: 648 bits = 81 bytes.
    assert block_bytes(25)[15] == 2196
    assert block_bytes(25)[1] == 81
    alone, packed = ttis_per_packet(25, 1000)
    assert alone[0] == packed[0] == math.inf
    assert alone[15] == 1
    assert packed[15] == pytest.approx((1000 + 28 + 2 + 2) / (2196 - 2))
    assert alone[1] == 14
