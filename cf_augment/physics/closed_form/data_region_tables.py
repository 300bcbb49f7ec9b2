"""What the data region's closed form knows of a scenario beforehand: when UEs report which CQI, and block errors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from cf_augment.physics.constants import CODE_RATE, MAX_RETRANSMISSIONS, PDCP_BYTES, RLC_BYTES, UDP_IP_BYTES
from cf_augment.physics.radio.phy import phy_of
from cf_augment.physics.tables import lte_tables
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats, Ints

TRANSMISSIONS = 1 + MAX_RETRANSMISSIONS
GRID = 512
"""Steps of mutual information in the table of block errors."""
_CODE_BITS = 1 << 16
"""ns-3 counts the code bits of a process in 16 bits."""


class DataRegion(NamedTuple):
    """The constants of one scenario; by CQI 0..15."""

    used: bool
    """Whether the CQI is measured in the data region."""
    noise_mw: float
    cqi_sinr: Floats
    """(15,) least SINR of CQI 1 to 15, linear."""
    modulation: Ints
    """(16,)."""
    information_sinr: Floats
    """(3, N) SINR from which the next entry of `information` holds, by modulation."""
    information: Floats
    """(3, N + 1) mutual information of a bit."""
    block_error: Floats
    """(16, TRANSMISSIONS, GRID + 1) probability that a block is broken still, by receptions and their mean mutual
    information."""
    packet_share: Floats
    """(16,) of a packet that fits into a block."""


def data_region_of(scenario: Scenario) -> DataRegion:
    """Returns the constants of a scenario."""
    phy, radio = phy_of(scenario), scenario.radio
    rbgs = int(phy["rbgs"])
    need = scenario.traffic.packet_bytes + UDP_IP_BYTES + PDCP_BYTES + RLC_BYTES
    block_error = np.ones((16, TRANSMISSIONS, GRID + 1))
    for row in lte_tables(radio.dl_bandwidth_rb).cqi:
        for receptions in range(1, TRANSMISSIONS + 1):
            block_error[row.cqi, receptions - 1] = _block_error(phy, row.cqi, row.mcs, rbgs, receptions)
    return DataRegion(
        used=radio.cqi == "pdsch",
        noise_mw=float(phy["noise_mw"]),
        cqi_sinr=phy["cqi_sinr"].copy(),
        modulation=phy["modulation"].copy(),
        information_sinr=phy["information_sinr"].copy(),
        information=phy["information"].copy(),
        block_error=block_error,
        packet_share=np.maximum(phy["block_bytes"][:, rbgs] - RLC_BYTES, 0) / need,
    )


def _block_error(phy: Any, cqi: int, mcs: int, rbgs: int, receptions: int) -> Floats:
    """Returns the probability that a block on all RBGs is broken still, (GRID + 1,) by the mean mutual information of
    its receptions."""
    bits = 8 * int(phy["block_bytes"][cqi, rbgs])
    code_bits = 8 * int(bits / 8 / CODE_RATE[mcs])
    counted = max(1, receptions * code_bits % _CODE_BITS)
    information = np.linspace(0, 1, GRID + 1) * (receptions * code_bits / counted)
    curve = phy["curve"][cqi]
    if receptions > 1:
        modulation = phy["modulation"][cqi]
        curve, first = phy["last_curve"][modulation], phy["first_curve"][modulation]
        while phy["curve_rate"][curve] > bits / counted and curve > first:
            curve -= 1
    success = np.ones(GRID + 1)
    for count, size in phy["code_blocks"][cqi, rbgs]:
        if count > 0:
            deviation = (information - phy["curve_mean"][size, curve]) / phy["curve_std"][size, curve]
            success *= ndtr(deviation) ** count
    return 1 - success
