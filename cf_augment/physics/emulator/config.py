"""The constants of a scenario, as the emulator takes them."""

from __future__ import annotations

import math

import numpy as np

from cf_augment.physics.constants import (
    FULL_BUFFER_TTIS,
    IN_SYNC_INDICATIONS,
    LARGEST_BLOCK_BITS,
    PDCP_BYTES,
    RLC_BUFFER_BYTES,
    TTI_S,
    UDP_IP_BYTES,
)
from cf_augment.physics.emulator.state import CONFIG, Config
from cf_augment.physics.emulator.traffic import CBR, FULL_BUFFER, ON_OFF, POISSON
from cf_augment.physics.radio.phy import PHY, phy_of
from ns3_scenarios.scenario import Scenario
from ns3_scenarios.traffic import FullBuffer, OnOff
from sumo_mobility.base.arrays import Ints

_MODELS = {"cbr": CBR, "poisson": POISSON, "on-off": ON_OFF, "full-buffer": FULL_BUFFER}


def config_of(scenario: Scenario) -> Config:
    """Returns what the compiled code needs to know of a scenario."""
    radio, traffic, phy = scenario.radio, scenario.traffic, phy_of(scenario)
    constants = np.zeros(1, CONFIG)[0]
    for name in PHY.names or ():
        constants[name] = phy[name]
    constants["rbg_rate"] = phy["block_bytes"][:, 1] / TTI_S
    constants["round_robin"] = radio.scheduler == "rr"
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
    return constants


def interval_ns_of(scenario: Scenario) -> Ints:
    """Returns the time between two packets of each UE's source, (U,); on average, or within an on time."""
    traffic = scenario.traffic
    rate_bps = traffic.ue_offered_bps(scenario.mobility.ues)
    if isinstance(traffic.arrivals, OnOff):
        rate_bps = rate_bps * ((traffic.arrivals.mean_on_s + traffic.arrivals.mean_off_s) / traffic.arrivals.mean_on_s)
    # ns-3's DataRate is in whole bit/s.
    return np.rint(8 * traffic.packet_bytes / np.rint(rate_bps) * 1e9).astype(np.int64)
