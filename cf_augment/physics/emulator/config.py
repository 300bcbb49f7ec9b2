"""The constants of a scenario, as the emulator takes them."""

from __future__ import annotations

import math

import numpy as np

from cf_augment.physics.constants import (
    CODE_BLOCK_CRC_BITS,
    CODE_RATE,
    CODE_RATES,
    FULL_BUFFER_TTIS,
    IN_SYNC_INDICATIONS,
    LARGEST_BLOCK_BITS,
    LAST_MCS,
    PDCP_BYTES,
    RLC_BUFFER_BYTES,
    SUBCARRIER_HZ,
    THERMAL_NOISE_DBM_PER_HZ,
    TTI_S,
    TURBO_BITS,
    UDP_IP_BYTES,
    BandwidthTables,
    code_errors,
    control_errors,
    lte_tables,
    mutual_information,
)
from cf_augment.physics.emulator.state import CONFIG, Config, Floats, Ints
from cf_augment.physics.emulator.traffic import CBR, FULL_BUFFER, ON_OFF, POISSON
from ns3_scenarios.scenario import Scenario
from ns3_scenarios.traffic import FullBuffer, OnOff

_SAFE_DEVIATIONS = 8.6
"""Of a normal distribution: what lies beyond is 4e-18, and 1 - 4e-18 is 1 in double precision, which ends at 1e-16."""
_MODELS = {"cbr": CBR, "poisson": POISSON, "on-off": ON_OFF, "full-buffer": FULL_BUFFER}


def config_of(scenario: Scenario) -> Config:
    """Returns what the compiled code needs to know of a scenario."""
    radio, traffic = scenario.radio, scenario.traffic
    tables, errors = lte_tables(radio.dl_bandwidth_rb), control_errors()
    size, rbgs = tables.rbg_size_rb, radio.dl_bandwidth_rb // tables.rbg_size_rb
    constants = np.zeros(1, CONFIG)[0]
    constants["rbg_size_rb"], constants["rbgs"] = size, rbgs
    for row in tables.cqi:
        blocks = [tables.tbs_bits[row.mcs][size * count - 1] // 8 for count in range(1, rbgs + 1)]
        constants["block_bytes"][row.cqi, 1 : rbgs + 1] = blocks
    constants["rbg_rate"] = constants["block_bytes"][:, 1] / TTI_S
    # Round robin scheduling goes by wideband CQI, proportional fair by that of RBGs.
    is_rr = radio.scheduler == "rr"
    constants["cqi_sinr"] = _linear([row.wideband_sinr_db if is_rr else row.sinr_db for row in tables.cqi])
    constants["pdsch"] = radio.cqi == "pdsch"
    constants["round_robin"] = is_rr
    _set_codes(constants, tables)
    noise_dbm = THERMAL_NOISE_DBM_PER_HZ + radio.ue_noise_figure_db + 10 * math.log10(SUBCARRIER_HZ)
    constants["noise_mw"] = 10 ** (noise_dbm / 10)
    constants["a3_offset_db"] = scenario.handover.a3_offset_db
    link = scenario.radio_link
    constants["n310"], constants["t310_ttis"] = link.n310, round(link.t310_ms * 1e-3 / TTI_S)
    constants["in_sync"] = math.ceil(link.n311 / IN_SYNC_INDICATIONS)

    arrivals = traffic.arrivals
    constants["traffic"] = _MODELS[arrivals.model]
    if isinstance(arrivals, OnOff):
        constants["mean_on_ns"], constants["mean_off_ns"] = arrivals.mean_on_s * 1e9, arrivals.mean_off_s * 1e9
    sdu_bytes = traffic.packet_bytes + UDP_IP_BYTES + PDCP_BYTES
    window_bytes = FULL_BUFFER_TTIS * LARGEST_BLOCK_BITS // 8 * radio.dl_bandwidth_rb // 100
    # Room for two windows with their headers (traffic-flows.cc).
    two_windows = 2 * window_bytes * sdu_bytes // traffic.packet_bytes
    constants["packet_bytes"] = sdu_bytes
    constants["buffer_bytes"] = two_windows if isinstance(arrivals, FullBuffer) else RLC_BUFFER_BYTES
    constants["window_packets"] = math.ceil(window_bytes / traffic.packet_bytes)
    _set_curve(constants["miss_sinr"], constants["miss_rate"], [(row.sinr_db, row.error_rate) for row in errors])
    for index, curve in enumerate(mutual_information()):
        rows = [(row.sinr_db, row.mutual_information) for row in curve]
        _set_curve(constants["information_sinr"][index], constants["information"][index], rows)
    constants["curve_rate"] = CODE_RATES
    constants["curve_mean"] = [[curve.mean for curve in size.curves] for size in code_errors()]
    constants["curve_std"] = [[curve.std for curve in size.curves] for size in code_errors()]
    _set_safe(constants)
    return constants


def _set_safe(constants: np.void) -> None:
    """Sets from which SINR on nothing can fail: double precision then has no error rate left."""
    sure = int(np.flatnonzero(constants["miss_rate"]).max(initial=-1))
    constants["safe_control_sinr"] = constants["miss_sinr"][sure] if sure >= 0 else 0
    needed = constants["curve_mean"] + _SAFE_DEVIATIONS * constants["curve_std"]
    constants["safe_sinr"] = np.inf
    for cqi in range(1, 16):
        modulation, curve = constants["modulation"][cqi], constants["curve"][cqi]
        steps = np.isfinite(constants["information_sinr"][modulation]).sum()
        information = constants["information"][modulation, : steps + 1]
        for count in range(1, int(constants["rbgs"]) + 1):
            least = max(needed[size, curve] for blocks, size in constants["code_blocks"][cqi, count] if blocks > 0)
            # The value before the first of a curve holds for all SINR below.
            short = int(np.flatnonzero(information < least).max(initial=-1))
            if short < steps:
                sinr = constants["information_sinr"][modulation, short] if short >= 0 else 0
                constants["safe_sinr"][cqi, count] = sinr


def _set_curve(sinr: Floats, values: Floats, rows: list[tuple[float, float]]) -> None:
    """Sets a tabulated curve of (SINR in dB, value from there on); the first value also holds below."""
    sinr[:] = np.inf
    sinr[: len(rows) - 1] = _linear([sinr_db for sinr_db, _ in rows[1:]])
    values[: len(rows)] = [value for _, value in rows]


def _set_codes(constants: np.void, tables: BandwidthTables) -> None:
    """Sets what the error model needs to know of each CQI."""
    constants["first_curve"] = (0, *(last + 1 for last in LAST_MCS[:-1]))
    constants["last_curve"] = LAST_MCS
    for row in tables.cqi:
        modulation = int(np.searchsorted(LAST_MCS, row.mcs))
        constants["modulation"][row.cqi] = modulation
        constants["code_rate"][row.cqi] = CODE_RATE[row.mcs]
        # Each modulation has three curves more, for retransmissions, before those of its MCS.
        constants["curve"][row.cqi] = row.mcs + 3 * (modulation + 1)
        for count in range(1, int(constants["rbgs"]) + 1):
            size_bits = 8 * int(constants["block_bytes"][row.cqi, count])
            constants["code_blocks"][row.cqi, count] = code_blocks(size_bits)


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


def interval_ns_of(scenario: Scenario) -> Ints:
    """Returns the time between two packets of each UE's source, (U,); on average, or within an on time."""
    traffic = scenario.traffic
    rate_bps = traffic.ue_offered_bps(scenario.mobility.ues)
    if isinstance(traffic.arrivals, OnOff):
        rate_bps = rate_bps * ((traffic.arrivals.mean_on_s + traffic.arrivals.mean_off_s) / traffic.arrivals.mean_on_s)
    # ns-3's DataRate is in whole bit/s.
    return np.rint(8 * traffic.packet_bytes / np.rint(rate_bps) * 1e9).astype(np.int64)


def _linear(values_db: list[float]) -> Floats:
    return np.asarray(10 ** (np.array(values_db) / 10))
