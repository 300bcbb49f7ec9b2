"""CQI from the data region (ns-3's default) in closed form: what UEs report, what they decode, and the loads of cells.

A cell sends in a TTI with the probability of its load, whatever the others do. A UE whose cell was silent when it
measured reports a channel without interference (LteUePhy::GenerateMixedCqiReport); what it is sent then meets another
draw of interferers, and is sent again until the mutual information of all receptions suffices (LteMiErrorModel). Two
cells whose blocks broke each other send both again, seven TTIs later, in the same TTI. Loads follow from all that, and
it from them: a fixed point.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cf_augment.physics.constants import (
    CODE_RATE,
    MAX_RETRANSMISSIONS,
    PDCP_BYTES,
    RLC_BYTES,
    TTI_S,
    UDP_IP_BYTES,
    lte_tables,
)
from cf_augment.physics.emulator.config import config_of
from cf_augment.physics.vector_math import compiled
from ns3_scenarios.kpis import Floats
from ns3_scenarios.scenario import Scenario

SENDINGS = 1 + MAX_RETRANSMISSIONS
_STRONGEST = 2
"""Interferers that are on or off; what all others send is taken as even."""
_STATES = 1 << _STRONGEST
_GRID = 512
"""Steps of mutual information in the table of block errors."""
_UNITS = 64
"""A packet is cut into at most."""
_ROUNDS = 6
"""Of the fixed point, in a slot before which nothing is known; one is enough later."""
_RARE = 1e-4
_CODE_BITS = 1 << 16
"""ns-3 counts the code bits of a process in 16 bits."""


class DataRegion(NamedTuple):
    """The constants of one scenario; by CQI 0..15."""

    used: bool
    """Whether CQI are those of the data region."""
    noise_mw: float
    cqi_sinr: Floats
    """(15,) least SINR of CQI 1 to 15, linear."""
    modulation: NDArray[np.int64]
    """(16,)."""
    information_sinr: Floats
    """(3, N) SINR from which the next entry of `information` holds, by modulation."""
    information: Floats
    """(3, N + 1) mutual information of a bit."""
    block_error: Floats
    """(16, SENDINGS, _GRID + 1) probability that a block is broken still, by receptions and their mean information."""
    packet_share: Floats
    """(16,) of a packet that fits into a block."""


class Coupling(NamedTuple):
    """What cells and UEs do to one another, from slot to slot; kernels see one environment."""

    load: Floats
    """(C,) probability that a cell sends in a TTI."""
    own: Floats
    """(U,) part of its cell's load that is for the UE."""
    again: Floats
    """(C, C) probability that what a cell sends breaks while another one sends."""


def data_region_of(scenario: Scenario) -> DataRegion:
    """Returns the constants of a scenario."""
    config, radio = config_of(scenario), scenario.radio
    rbgs = int(config["rbgs"])
    need = scenario.traffic.packet_bytes + UDP_IP_BYTES + PDCP_BYTES + RLC_BYTES
    block_error = np.ones((16, SENDINGS, _GRID + 1))
    for row in lte_tables(radio.dl_bandwidth_rb).cqi:
        for receptions in range(1, SENDINGS + 1):
            block_error[row.cqi, receptions - 1] = _block_error(config, row.cqi, row.mcs, rbgs, receptions)
    return DataRegion(
        used=radio.cqi == "pdsch",
        noise_mw=float(config["noise_mw"]),
        cqi_sinr=config["cqi_sinr"].copy(),
        modulation=config["modulation"].copy(),
        information_sinr=config["information_sinr"].copy(),
        information=config["information"].copy(),
        block_error=block_error,
        packet_share=np.maximum(config["block_bytes"][:, rbgs] - RLC_BYTES, 0) / need,
    )


def _block_error(config: Any, cqi: int, mcs: int, rbgs: int, receptions: int) -> Floats:
    """(_GRID + 1,) by the mean mutual information of some receptions of a block on all RBGs."""
    bits = 8 * int(config["block_bytes"][cqi, rbgs])
    code_bits = 8 * int(bits / 8 / CODE_RATE[mcs])
    counted = max(1, receptions * code_bits % _CODE_BITS)
    information = np.linspace(0, 1, _GRID + 1) * (receptions * code_bits / counted)
    curve = config["curve"][cqi]
    if receptions > 1:
        modulation = config["modulation"][cqi]
        curve, first = config["last_curve"][modulation], config["first_curve"][modulation]
        while config["curve_rate"][curve] > bits / counted and curve > first:
            curve -= 1
    success = np.ones(_GRID + 1)
    for count, size in config["code_blocks"][cqi, rbgs]:
        if count > 0:
            deviation = (information - config["curve_mean"][size, curve]) / config["curve_std"][size, curve]
            success *= np.array([1 - 0.5 * math.erfc(one / math.sqrt(2)) for one in deviation]) ** count
    return 1 - success


@compiled
def new_coupling(cells: int, ues: int) -> Any:
    """Returns the Coupling of cells of which nothing is known."""
    return Coupling(np.full(cells, -1.0), np.zeros(ues), np.zeros((cells, cells)))


@compiled
def pace_in_data_region(
    data: Any, queues: Any, received_mw: Any, serving: Any, backlog: Any, duration_s: float, coupling: Any, pace: Any,
    sinr_db: Any,
) -> None:  # fmt: skip
    """Fills in the Pace of a slot, and the Coupling.

    Args:
        data: The DataRegion.
        queues: The Queues.
        received_mw: (C, U) power of a resource element.
        serving: (U,).
        backlog: (U,) packets queued.
        duration_s: Of the slot.
        coupling: The Coupling of the slot before.
        pace: The Pace.
        sinr_db: (U,) filled in with the SINR that a UE measures, on average over TTIs.
    """
    rounds = 1
    if coupling.load[0] < 0:
        rounds = _ROUNDS
        coupling.load[:] = 0
    for _ in range(rounds):
        _pace_at_loads(data, queues, received_mw, serving, coupling, pace, sinr_db)
        coupling.load[:] = 0
        for u in range(len(serving)):
            need = queues.packets_per_s[u] * pace.alone[u] + backlog[u] / duration_s * pace.packed[u]
            coupling.own[u] = min(1.0, need * TTI_S)
            coupling.load[serving[u]] += need * TTI_S
        for c in range(len(coupling.load)):
            coupling.load[c] = min(1.0, coupling.load[c])


@compiled
def _pace_at_loads(
    data: Any, queues: Any, received_mw: Any, serving: Any, coupling: Any, pace: Any, sinr_db: Any
) -> None:
    cells, ues = received_mw.shape
    load, again = coupling.load, coupling.again
    broken, sent = np.zeros((cells, cells)), np.zeros(cells)
    strongest, power = np.empty(_STRONGEST, np.int64), np.empty(_STRONGEST)
    weight, sinr, cqi = np.empty(_STATES), np.empty(_STATES), np.empty(_STATES, np.int64)
    following = np.empty((_STATES, _STATES))
    information, failure = np.empty(_STATES), np.empty(_STATES)
    share, blocks = np.empty(16), np.empty(_UNITS + 1)
    for u in range(ues):
        cell = serving[u]
        signal, rest = received_mw[cell, u], 0.0
        power[:], strongest[:] = 0.0, -1
        for c in range(cells):
            if c == cell:
                continue
            one, which = received_mw[c, u], c
            for k in range(_STRONGEST):
                if one > power[k]:
                    one, power[k] = power[k], one
                    which, strongest[k] = strongest[k], which
            if which >= 0:
                rest += one * load[which]
        for j in range(_STATES):
            weight[j], noise = 1.0, data.noise_mw + rest
            for k in range(_STRONGEST):
                if strongest[k] >= 0:
                    on = (j >> k) & 1
                    weight[j] *= load[strongest[k]] if on else 1 - load[strongest[k]]
                    noise += on * power[k]
                elif (j >> k) & 1:
                    weight[j] = 0.0
            sinr[j] = signal / noise
            cqi[j] = np.searchsorted(data.cqi_sinr, sinr[j], side="right")
        sinr_db[u] = 0
        for j in range(_STATES):
            sinr_db[u] += load[cell] * weight[j] * 10 * math.log10(sinr[j])
        sinr_db[u] += (1 - load[cell]) * 10 * math.log10(signal / data.noise_mw)
        # What the cell sends for others, when this UE measures.
        busy = min(1.0, max(0.0, load[cell] - coupling.own[u]) / max(1e-9, 1 - coupling.own[u]))
        share[:] = 0.0
        share[np.searchsorted(data.cqi_sinr, signal / data.noise_mw, side="right")] = 1 - busy
        for j in range(_STATES):
            share[cqi[j]] += busy * weight[j]
        _chain(coupling, cell, strongest, following)
        reached = 1 - share[0]
        cost = packets = lost = total = 0.0
        blocks[:] = 0.0
        sendings = np.zeros(16)
        for q in range(1, 16):
            if share[q] < _RARE:
                continue
            modulation = data.modulation[q]
            for j in range(_STATES):
                information[j] = data.information[
                    modulation, np.searchsorted(data.information_sinr[modulation], sinr[j], side="right")
                ]
                failure[j] = weight[j] * data.block_error[q, 0, int(information[j] * _GRID)]
            sendings[q], broken_all = _sendings(data, q, information, failure, following)
            part = share[q] / reached
            for k in range(_STRONGEST):
                if strongest[k] >= 0:
                    for j in range(_STATES):
                        if (j >> k) & 1:
                            broken[cell, strongest[k]] += queues.packets_per_s[u] * part * failure[j]
            cost += part * sendings[q]
            packets += part * data.packet_share[q]
            lost += part * broken_all
            total += part
        if total == 0.0:
            pace.alone[u] = pace.packed[u] = pace.reached[u] = pace.late[u] = 0
            pace.grant_received[u] = 1
            continue
        sent[cell] += queues.packets_per_s[u]
        pace.alone[u] = _ttis_alone(data, share, sendings, blocks)
        pace.packed[u] = cost / packets
        pace.reached[u], pace.late[u], pace.grant_received[u] = 1, 0, max(0.0, 1 - lost / total)
    for c in range(cells):
        for other in range(cells):
            again[c, other] = 0.0
            if sent[c] > 0 and load[other] > 0:
                again[c, other] = min(1.0, broken[c, other] / (sent[c] * load[other]))


@compiled
def _chain(coupling: Any, cell: int, strongest: Any, following: Any) -> None:
    """Fills in the probability (J, J) that the strongest interferers go from one state to another until the next
    sending: who was broken by the cell is sent again at the same time."""
    for j in range(_STATES):
        for n in range(_STATES):
            following[j, n] = 1.0
        for k in range(_STRONGEST):
            other = strongest[k]
            on = 0.0
            if other >= 0:
                load = coupling.load[other]
                on = coupling.again[other, cell] + (1 - coupling.again[other, cell]) * load
                if not (j >> k) & 1:
                    on = load * (1 - on) / (1 - load) if load < 1 else 1.0
            for n in range(_STATES):
                following[j, n] *= on if (n >> k) & 1 else 1 - on


@compiled
def _sendings(data: Any, q: int, information: Any, failure: Any, following: Any) -> tuple[float, float]:
    """How often a block is sent on average, and the probability that it is never decoded."""
    error = data.block_error[q]
    expected, lost = 1.0, 0.0
    for j in range(_STATES):
        if failure[j] < _RARE:
            expected += failure[j]
            continue
        expected += failure[j]
        for n in range(_STATES):
            two = information[j] + information[n]
            second = failure[j] * following[j, n] * error[1, int(two / 2 * _GRID)]
            expected += second
            if second < _RARE:
                continue
            for m in range(_STATES):
                three = two + information[m]
                third = second * following[n, m] * error[2, int(three / 3 * _GRID)]
                expected += third
                if third > _RARE:
                    # The last one meets what the third one has met.
                    lost += third * error[3, int((three + information[m]) / 4 * _GRID)]
    return expected, lost


@compiled
def _ttis_alone(data: Any, share: Any, sendings: Any, blocks: Any) -> float:
    """TTIs that a packet alone takes, when each of its blocks has a CQI drawn anew."""
    blocks[0] = 0.0
    reached, once, fits = 1 - share[0], 0.0, True
    for q in range(1, 16):
        once += share[q] / reached * sendings[q]
        fits &= sendings[q] == 0.0 or data.packet_share[q] >= 1
    if fits:
        return once
    for units in range(1, _UNITS + 1):
        expected, staying = 0.0, 0.0
        for q in range(1, 16):
            if sendings[q] == 0.0:
                continue
            part = share[q] / reached
            # What is left is rounded to units, and nothing is left of less than half of one.
            left = round(units - data.packet_share[q] * _UNITS)
            if left >= units:
                staying += part
                expected += part * sendings[q]
            else:
                expected += part * (sendings[q] + (blocks[left] if left > 0 else 0.0))
        blocks[units] = expected / (1 - staying) if staying < 1 else expected * _UNITS
    return blocks[_UNITS]
