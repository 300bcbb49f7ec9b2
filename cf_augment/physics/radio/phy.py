"""The LTE physical layer by SINR: CQI, transport blocks, and errors of control regions and blocks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cf_augment.physics.constants import (
    CODE_BLOCK_CRC_BITS,
    CODE_RATE,
    CODE_RATES,
    LAST_MCS,
    SUBCARRIER_HZ,
    THERMAL_NOISE_DBM_PER_HZ,
    TURBO_BITS,
)
from cf_augment.physics.tables import BandwidthTables, code_errors, control_errors, lte_tables, mutual_information
from ns3_scenarios.kernels import inlined
from sumo_mobility.base.arrays import AnyFloats, Floats

if TYPE_CHECKING:
    from ns3_scenarios.scenario import Scenario

STEPS = 1000
"""The greatest number of steps of a tabulated curve."""
SIZE_CLASSES = 9
"""Number of classes of code block sizes in code_errors()."""
MAX_RBGS = 25
"""Number of RBGs on 100 RBs, TS 36.213 table 7.1.6.1-1."""
_INT, _FLOAT = np.int64, np.float64
_SAFE_DEVIATIONS = 8.6
"""Standard deviations beyond which a normal distribution has 4e-18 left, which double precision cannot tell from 0."""

PHY = np.dtype(
    [
        ("rbg_size_rb", _INT),
        ("rbgs", _INT),
        # Transport block size by CQI and number of RBGs.
        ("block_bytes", _INT, (16, MAX_RBGS + 1)),
        # Least SINR of CQI 1 to 15, linear.
        ("cqi_sinr", _FLOAT, (15,)),
        # Whether the CQI is that of the data region.
        ("pdsch", np.bool_),
        # By CQI: modulation and code rate, and the curve of code_errors() of a first transmission.
        ("modulation", _INT, (16,)),
        ("code_rate", _FLOAT, (16,)),
        ("curve", _INT, (16,)),
        # First and last curve that a retransmission is judged by, by modulation.
        ("first_curve", _INT, (3,)),
        ("last_curve", _INT, (3,)),
        # By CQI and number of RBGs: how many code blocks of which class of sizes, twice.
        ("code_blocks", _INT, (16, MAX_RBGS + 1, 2, 2)),
        ("noise_mw", _FLOAT),
        # SINR from which the next rate holds, linear, and the probability that a UE misses the control region.
        ("miss_sinr", _FLOAT, (STEPS,)),
        ("miss_rate", _FLOAT, (STEPS + 1,)),
        # SINR from which no UE misses it.
        ("safe_control_sinr", _FLOAT),
        # By modulation: SINR from which the next entry holds, linear, and the mutual information of a bit.
        ("information_sinr", _FLOAT, (3, STEPS)),
        ("information", _FLOAT, (3, STEPS + 1)),
        # Of the block error curves: code rate, and by class of sizes the mutual information at which half of the code
        # blocks fail, and its standard deviation.
        ("curve_rate", _FLOAT, (len(CODE_RATES),)),
        ("curve_mean", _FLOAT, (SIZE_CLASSES, len(CODE_RATES))),
        ("curve_std", _FLOAT, (SIZE_CLASSES, len(CODE_RATES))),
        # By CQI and number of RBGs: SINR from which a first transmission cannot fail.
        ("safe_sinr", _FLOAT, (16, MAX_RBGS + 1)),
    ],
    align=True,
)
"""The record of the physical layer's tables for compiled code."""


def phy_of(scenario: Scenario) -> np.void:
    """Returns the record PHY of a scenario."""
    radio = scenario.radio
    tables, errors = lte_tables(radio.dl_bandwidth_rb), control_errors()
    size, rbgs = tables.rbg_size_rb, radio.dl_bandwidth_rb // tables.rbg_size_rb
    phy: np.void = np.zeros(1, PHY)[0]
    phy["rbg_size_rb"], phy["rbgs"] = size, rbgs
    for row in tables.cqi:
        blocks = [tables.tbs_bits[row.mcs][size * count - 1] // 8 for count in range(1, rbgs + 1)]
        phy["block_bytes"][row.cqi, 1 : rbgs + 1] = blocks
    # Round robin scheduling goes by wideband CQI, proportional fair by that of RBGs.
    is_rr = radio.scheduler == "rr"
    phy["cqi_sinr"] = _linear([row.wideband_sinr_db if is_rr else row.sinr_db for row in tables.cqi])
    phy["pdsch"] = radio.cqi == "pdsch"
    _set_codes(phy, tables)
    noise_dbm = THERMAL_NOISE_DBM_PER_HZ + radio.ue_noise_figure_db + 10 * math.log10(SUBCARRIER_HZ)
    phy["noise_mw"] = 10 ** (noise_dbm / 10)
    _set_curve(phy["miss_sinr"], phy["miss_rate"], [(row.sinr_db, row.error_rate) for row in errors])
    for index, curve in enumerate(mutual_information()):
        rows = [(row.sinr_db, row.mutual_information) for row in curve]
        _set_curve(phy["information_sinr"][index], phy["information"][index], rows)
    phy["curve_rate"] = CODE_RATES
    phy["curve_mean"] = [[curve.mean for curve in size.curves] for size in code_errors()]
    phy["curve_std"] = [[curve.std for curve in size.curves] for size in code_errors()]
    _set_safe(phy)
    return phy


@inlined
def rank(thresholds: AnyFloats, value: float | np.float32) -> int:
    """Counts thresholds, in rising order, that a value reaches."""
    low, high = 0, len(thresholds)
    while low < high:
        middle = (low + high) // 2
        if value >= thresholds[middle]:
            low = middle + 1
        else:
            high = middle
    return low


def _set_safe(phy: np.void) -> None:
    """Sets from which SINR on nothing can fail: double precision then has no error rate left."""
    sure = int(np.flatnonzero(phy["miss_rate"]).max(initial=-1))
    phy["safe_control_sinr"] = phy["miss_sinr"][sure] if sure >= 0 else 0
    needed = phy["curve_mean"] + _SAFE_DEVIATIONS * phy["curve_std"]
    phy["safe_sinr"] = np.inf
    for cqi in range(1, 16):
        modulation, curve = phy["modulation"][cqi], phy["curve"][cqi]
        steps = np.isfinite(phy["information_sinr"][modulation]).sum()
        information = phy["information"][modulation, : steps + 1]
        for count in range(1, int(phy["rbgs"]) + 1):
            least = max(needed[size, curve] for blocks, size in phy["code_blocks"][cqi, count] if blocks > 0)
            # The value before the first of a curve holds for all SINR below.
            short = int(np.flatnonzero(information < least).max(initial=-1))
            if short < steps:
                sinr = phy["information_sinr"][modulation, short] if short >= 0 else 0
                phy["safe_sinr"][cqi, count] = sinr


def _set_curve(sinr: Floats, values: Floats, rows: list[tuple[float, float]]) -> None:
    """Sets a tabulated curve of (SINR in dB, value from there on); the first value also holds below."""
    sinr[:] = np.inf
    sinr[: len(rows) - 1] = _linear([sinr_db for sinr_db, _ in rows[1:]])
    values[: len(rows)] = [value for _, value in rows]


def _set_codes(phy: np.void, tables: BandwidthTables) -> None:
    """Sets what the error model needs to know of each CQI."""
    phy["first_curve"] = (0, *(last + 1 for last in LAST_MCS[:-1]))
    phy["last_curve"] = LAST_MCS
    for row in tables.cqi:
        modulation = int(np.searchsorted(LAST_MCS, row.mcs))
        phy["modulation"][row.cqi] = modulation
        phy["code_rate"][row.cqi] = CODE_RATE[row.mcs]
        # Each modulation has three curves more, for retransmissions, before those of its MCS.
        phy["curve"][row.cqi] = row.mcs + 3 * (modulation + 1)
        for count in range(1, int(phy["rbgs"]) + 1):
            size_bits = 8 * int(phy["block_bytes"][row.cqi, count])
            phy["code_blocks"][row.cqi, count] = code_blocks(size_bits)


def code_blocks(size_bits: int) -> list[tuple[int, int]]:
    """Segments a transport block (TS 36.212 5.1.2, as ns-3 does it).

    Returns:
        How many code blocks, and the class of sizes in code_errors() that they are in, for each of two sizes.
    """
    classes = [size.bits for size in code_errors()]

    def class_of(bits: int) -> int:
        return int(np.searchsorted(classes, bits, side="right")) - 1

    largest = TURBO_BITS[-1]
    if size_bits <= largest:
        return [(1, class_of(TURBO_BITS[int(np.searchsorted(TURBO_BITS, size_bits))])), (0, 0)]
    count = math.ceil(size_bits / (largest - CODE_BLOCK_CRC_BITS))
    total_bits = size_bits + count * CODE_BLOCK_CRC_BITS
    index = int(np.searchsorted(TURBO_BITS, math.ceil(total_bits / count)))
    greater, smaller = TURBO_BITS[index], TURBO_BITS[index - 1]
    few = (count * greater - total_bits) // (greater - smaller)
    return [(count - few, class_of(greater)), (few, class_of(smaller))]


def _linear(values_db: list[float]) -> Floats:
    return np.asarray(10 ** (np.array(values_db) / 10))
