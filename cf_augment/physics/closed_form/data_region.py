"""CQI from the data region (ns-3's default) in closed form: what UEs report, what they decode, and the loads of cells.

A cell sends in a TTI with the probability of its load, whatever the others do. A UE whose cell was silent when it
measured reports a channel without interference (LteUePhy::GenerateMixedCqiReport); what it is sent then meets another
draw of interferers, and is sent again until the mutual information of all receptions suffices (LteMiErrorModel), or
until a grant is missed, of which the cell learns nothing. Loads follow from all that, and it from them and from which
cells send in the same TTIs (coupling.py): a fixed point.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from cf_augment.physics.closed_form.coupling import couple, follow
from cf_augment.physics.constants import (
    CODE_RATE,
    CQI_DELAY_TTIS,
    HARQ_FEEDBACK_TTIS,
    MAC_TO_CHANNEL_TTIS,
    MAX_RETRANSMISSIONS,
    PDCP_BYTES,
    RLC_BYTES,
    TTI_S,
    UDP_IP_BYTES,
)
from cf_augment.physics.radio.phy import phy_of, rank
from cf_augment.physics.radio.vector_math import compiled
from cf_augment.physics.tables import lte_tables
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats, Ints

SENDINGS = 1 + MAX_RETRANSMISSIONS
_STRONGEST = 3
"""Interferers that are on or off; what all others send is taken as even."""
_STATES = 1 << _STRONGEST
_GRID = 512
"""Steps of mutual information in the table of block errors."""
_UNITS = 64
"""A packet is cut into at most."""
_ROUNDS = 6
"""Iterations of the fixed point in a slot before which nothing is known; one is enough later."""
_SETTLED = 0.003
"""Change of a load from round to round, below which none follows."""
_RARE = 1e-3
_FAINT, _HARMLESS = 0.05, 0.001
"""Interferers below this part of the noise, or of the signal, are among the others."""
_ROUND_TRIP = HARQ_FEEDBACK_TTIS + MAC_TO_CHANNEL_TTIS
"""TTIs from one sending of a block to the next."""
_MEASURED_BEFORE = CQI_DELAY_TTIS + MAC_TO_CHANNEL_TTIS + 1.5
"""TTIs from the measurement that decides on a block to the block: UEs report in every other TTI on the last one."""
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
    """(16, SENDINGS, _GRID + 1) probability that a block is broken still, by receptions and their mean information."""
    packet_share: Floats
    """(16,) of a packet that fits into a block."""


def data_region_of(scenario: Scenario) -> DataRegion:
    """Returns the constants of a scenario."""
    phy, radio = phy_of(scenario), scenario.radio
    rbgs = int(phy["rbgs"])
    need = scenario.traffic.packet_bytes + UDP_IP_BYTES + PDCP_BYTES + RLC_BYTES
    block_error = np.ones((16, SENDINGS, _GRID + 1))
    for row in lte_tables(radio.dl_bandwidth_rb).cqi:
        for receptions in range(1, SENDINGS + 1):
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
    """(_GRID + 1,) by the mean mutual information of some receptions of a block on all RBGs."""
    bits = 8 * int(phy["block_bytes"][cqi, rbgs])
    code_bits = 8 * int(bits / 8 / CODE_RATE[mcs])
    counted = max(1, receptions * code_bits % _CODE_BITS)
    information = np.linspace(0, 1, _GRID + 1) * (receptions * code_bits / counted)
    curve = phy["curve"][cqi]
    if receptions > 1:
        modulation = phy["modulation"][cqi]
        curve, first = phy["last_curve"][modulation], phy["first_curve"][modulation]
        while phy["curve_rate"][curve] > bits / counted and curve > first:
            curve -= 1
    success = np.ones(_GRID + 1)
    for count, size in phy["code_blocks"][cqi, rbgs]:
        if count > 0:
            deviation = (information - phy["curve_mean"][size, curve]) / phy["curve_std"][size, curve]
            success *= ndtr(deviation) ** count
    return 1 - success


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
        pace: The Pace; its `grant_received` is given, that of the control region.
        sinr_db: (U,) filled in with the SINR that a UE measures, on average over TTIs.
    """
    rounds = 1
    if coupling.load[0] < 0:
        rounds = _ROUNDS
        coupling.load[:] = 0
    cells = len(coupling.load)
    sent, broken = np.empty((cells, cells + 1)), np.empty((cells, cells + 1))
    decoded, before = pace.grant_received.copy(), np.empty(cells)
    for _ in range(rounds):
        pace.grant_received[:], before[:] = decoded, coupling.load
        _pace_at_loads(data, queues, received_mw, serving, coupling, pace, sinr_db, sent, broken)
        coupling.load[:] = 0
        for u in range(len(serving)):
            need = queues.packets_per_s[u] * pace.alone[u] + backlog[u] / duration_s * pace.packed[u]
            coupling.own[u] = min(1.0, need * TTI_S)
            coupling.load[serving[u]] += need * TTI_S
        for c in range(cells):
            coupling.load[c] = min(1.0, coupling.load[c])
        couple(coupling, sent, broken)
        if np.abs(coupling.load - before).max() < _SETTLED:
            break


@compiled
def _pace_at_loads(
    data: Any, queues: Any, received_mw: Any, serving: Any, coupling: Any, pace: Any, sinr_db: Any, sent: Any,
    broken: Any,
) -> None:  # fmt: skip
    """Fills in the Pace, and how often cells send, (C, C + 1): while another one does, and in all; and in vain."""
    cells, ues = received_mw.shape
    load = coupling.load
    sent[:], broken[:] = 0.0, 0.0
    strongest, power = np.empty(_STRONGEST, np.int64), np.empty(_STRONGEST)
    weight, heard, sinr, cqi = np.empty(_STATES), np.empty(_STATES), np.empty(_STATES), np.empty(_STATES, np.int64)
    following = np.empty((_STATES, _STATES))
    information, failure = np.empty(_STATES), np.empty(_STATES)
    sent_in, broken_in, times = np.empty(_STATES), np.empty(_STATES), np.empty(SENDINGS)
    share, sendings, blocks = np.empty(16), np.empty(16), np.empty(_UNITS + 1)
    for u in range(ues):
        cell, decoded = serving[u], pace.grant_received[u]
        signal = float(received_mw[cell, u])
        least = max(_FAINT * data.noise_mw, _HARMLESS * signal)
        count, rest = 0, 0.0
        for c in range(cells):
            if c == cell:
                continue
            one, which = float(received_mw[c, u]), c
            if one > least:
                for k in range(count):
                    if one > power[k]:
                        one, power[k] = power[k], one
                        which, strongest[k] = strongest[k], which
                if count < _STRONGEST:
                    power[count], strongest[count] = one, which
                    count += 1
                    continue
            rest += one * coupling.met_first[cell, which]
        states = 1 << count
        sinr_db[u] = 0
        for j in range(states):
            weight[j], heard[j], noise = 1.0, 1.0, data.noise_mw + rest
            for k in range(count):
                on, other = (j >> k) & 1, strongest[k]
                weight[j] *= coupling.met_first[cell, other] if on else 1 - coupling.met_first[cell, other]
                heard[j] *= coupling.met[cell, other] if on else 1 - coupling.met[cell, other]
                noise += on * power[k]
            sinr[j] = signal / noise
            cqi[j] = rank(data.cqi_sinr, sinr[j])
            sinr_db[u] += load[cell] * heard[j] * 10 * math.log10(sinr[j])
        sinr_db[u] += (1 - load[cell]) * 10 * math.log10(signal / data.noise_mw)
        # What the cell sends when this UE measures, for it or for others.
        others = min(1.0, max(0.0, load[cell] - coupling.own[u]) / max(1e-9, 1 - coupling.own[u]))
        busy = coupling.measured[u] + (1 - coupling.measured[u]) * others
        share[:] = 0.0
        share[rank(data.cqi_sinr, signal / data.noise_mw)] = 1 - busy
        for j in range(states):
            share[cqi[j]] += busy * heard[j]
        follow(coupling, cell, strongest[:count], following)
        reached, known = 1 - share[0], -1
        cost = packets = lost = total = 0.0
        sendings[:], sent_in[:], broken_in[:], times[:] = 0.0, 0.0, 0.0, 0.0
        for q in range(1, 16):
            if share[q] < _RARE:
                continue
            modulation, part = data.modulation[q], share[q] / reached
            for j in range(states):
                if modulation != known:
                    information[j] = data.information[modulation, rank(data.information_sinr[modulation], sinr[j])]
                failure[j] = weight[j] * decoded * data.block_error[q, 0, int(information[j] * _GRID + 0.5)]
            known = modulation
            sendings[q], broken_all = _sendings(
                data, q, part, decoded, states, information, weight, failure, following, sent_in, broken_in, times
            )
            cost += part * sendings[q]
            packets += part * data.packet_share[q]
            lost += part * broken_all
            total += part
        if total == 0.0:
            pace.alone[u] = pace.packed[u] = pace.reached[u] = pace.late[u] = 0
            pace.grant_received[u] = 1
            continue
        pace.alone[u] = _ttis_alone(data, share, sendings, blocks)
        pace.packed[u] = cost / packets
        pace.reached[u], pace.late[u], pace.grant_received[u] = 1, 0, decoded * max(0.0, 1 - lost / total)
        number = pace.alone[u] * total / cost
        coupling.measured[u] = _measured(queues.packets_per_s[u], number, times, total)
        for j in range(states):
            one, again = number * queues.packets_per_s[u] * sent_in[j], number * queues.packets_per_s[u] * broken_in[j]
            for k in range(count):
                more = ((j >> k) & 1) - load[strongest[k]]
                sent[cell, strongest[k]] += more * one
                broken[cell, strongest[k]] += more * again
            sent[cell, cells] += one
            broken[cell, cells] += again
    for c in range(cells):
        for other in range(cells):
            # UEs to which the other one is not among the strongest.
            sent[c, other] += load[other] * sent[c, cells]
            broken[c, other] += load[other] * broken[c, cells]


@compiled
def _measured(packets_per_s: float, blocks: float, times: Any, total: float) -> float:
    """Probability that a UE measures while its cell sends for it, for packets of `blocks` blocks.

    Packets come evenly, and the blocks of each are sent again after HARQ round trips; queues shift them by about one.
    """
    busy = max(0.0, blocks - _MEASURED_BEFORE) / blocks
    if packets_per_s <= 0:
        return busy
    apart = 1 / (packets_per_s * TTI_S)
    after = apart - _MEASURED_BEFORE
    while after < (SENDINGS - 0.5) * _ROUND_TRIP:
        if after >= -0.5 * _ROUND_TRIP:
            busy += blocks * times[int(after / _ROUND_TRIP + 0.5)] / total / _ROUND_TRIP
        after += apart
    return min(1.0, busy)


@compiled
def _sendings(
    data: Any, q: int, part: float, decoded: float, states: int, information: Any, weight: Any, failure: Any,
    following: Any, sent_in: Any, broken_in: Any, times: Any,
) -> tuple[float, float]:  # fmt: skip
    """Returns the mean number of transmissions of a block, and the probability that it is never decoded."""
    error = data.block_error[q]
    one = two = three = four = 0.0
    for j in range(states):
        one += failure[j]
        sent_in[j] += part * weight[j]
        broken_in[j] += part * failure[j]
        if part * failure[j] < _RARE:
            continue
        for n in range(states):
            known = information[j] + information[n]
            resent = failure[j] * following[j, n]
            second = resent * decoded * error[1, int(known * (_GRID / 2) + 0.5)]
            two += second
            sent_in[n] += part * resent
            broken_in[n] += part * second
            if part * second < _RARE:
                continue
            for m in range(states):
                both = known + information[m]
                resent = second * following[n, m]
                third = resent * decoded * error[2, int(both * (_GRID / 3) + 0.5)]
                three += third
                # The last one meets what the third one has met.
                sent_in[m] += part * (resent + third)
                broken_in[m] += part * third
                four += third * decoded * error[3, int((both + information[m]) * (_GRID / 4) + 0.5)]
    times[0] += part
    times[1] += part * one
    times[2] += part * two
    times[3] += part * three
    return 1 + one + two + three, four


@compiled
def _ttis_alone(data: Any, share: Any, sendings: Any, blocks: Any) -> float:
    """TTIs that a packet alone takes, when each of its blocks has a CQI drawn anew."""
    reached, once, fits = 1 - share[0], 0.0, True
    for q in range(1, 16):
        once += share[q] / reached * sendings[q]
        fits &= sendings[q] == 0.0 or data.packet_share[q] >= 1
    if fits:
        return once
    blocks[0] = 0.0
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
