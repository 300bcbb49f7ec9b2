"""CQI from the data region (ns-3's default) in closed form: what UEs report, what they decode, and the loads of cells.

A cell sends in a TTI with the probability of its load, whatever the others do. A UE whose cell was silent when it
measured reports a channel without interference (LteUePhy::GenerateMixedCqiReport); what it is sent then meets another
draw of interferers, and is sent again until the mutual information of all receptions suffices (LteMiErrorModel), or
until a grant is missed, of which the cell learns nothing. Loads follow from all that, and it from them and from which
cells send in the same TTIs (coupling.py): a fixed point.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cf_augment.physics.closed_form.coupling import Coupling, Transmissions, couple, follow, new_transmissions
from cf_augment.physics.closed_form.data_region_tables import GRID, TRANSMISSIONS, DataRegion
from cf_augment.physics.closed_form.load import Pace, Queues
from cf_augment.physics.closed_form.slot import Downlink, Slot
from cf_augment.physics.constants import (
    CQI_DELAY_TTIS,
    HARQ_FEEDBACK_TTIS,
    MAC_TO_CHANNEL_TTIS,
    TTI_S,
)
from cf_augment.physics.radio.phy import rank
from cf_augment.physics.radio.vector_math import compiled, part
from sumo_mobility.base.arrays import Floats, Ints, Singles

_STRONGEST = 3
"""Interferers that are on or off; what all others send is taken as even."""
_STATES = 1 << _STRONGEST
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


class Link(NamedTuple):
    """The link of a UE to its cell, of which some interferers are on or off and the others send evenly."""

    ue: int
    cell: int
    signal_mw: float
    evenly_mw: float
    """Mean power of the interferers that are not among the strongest."""
    interferers: int
    """K, how many are among the strongest."""
    states: int
    """J = 2^K; bit k of a state says whether the k-th strongest sends."""
    grant_received: float
    """Probability that the UE decodes a grant."""


class Scratch(NamedTuple):
    """What is known of one UE while its pace is computed; each UE overwrites that of the one before.

    Of arrays by interferer or by state, the first K or J entries count. A block is followed through its transmissions:
    probabilities and numbers are those of a block that the cell sends at a CQI above 0, unless said otherwise.
    """

    strongest: Ints
    """(_STRONGEST,) the strongest interferers, the strongest first."""
    power_mw: Floats
    """(_STRONGEST,) received from them."""
    if_new: Floats
    """(_STATES,) probability of each state while the cell sends a new block."""
    if_any: Floats
    """(_STATES,) probability of each state while the cell sends anything."""
    sinr: Floats
    """(_STATES,) linear."""
    cqi: Ints
    """(_STATES,) what a UE reports that measures it."""
    following: Floats
    """(_STATES, _STATES) probability of each state at the next transmission of a block, by the state at this one."""
    information: Floats
    """(_STATES,) mutual information of a bit at the block's modulation."""
    failure: Floats
    """(_STATES,) probability that a block's first transmission meets the state and fails."""
    sent: Floats
    """(_STATES,) mean number of transmissions that meet the state."""
    broken: Floats
    """(_STATES,) mean number of those that fail."""
    attempts: Floats
    """(TRANSMISSIONS,) probability that there is a first, second, ... transmission."""
    cqi_share: Floats
    """(16,) probability that a block has the CQI; that of CQI 0 counts here as well."""
    transmissions: Floats
    """(16,) mean number of transmissions of a block with the CQI; 0 where it is too rare to be looked at."""
    ttis_left: Floats
    """(_UNITS + 1,) TTIs that the rest of a packet takes, by its length in units."""


class BlockMeans(NamedTuple):
    """Means over the CQIs of a UE's blocks, weighted by their probability; `total` is the sum of the weights."""

    transmissions: float
    packets: float
    lost: float
    """Probability that a block is never decoded."""
    total: float


@compiled
def pace_in_data_region(data: DataRegion, queues: Queues, slot: Slot, downlink: Downlink) -> None:
    """Fills in the pace of a slot, what UEs measure, and how the cells are coupled.

    Args:
        data: The constants of the data region.
        queues: The constants of the queues.
        slot: The slot.
        downlink: The state after the slot before; `pace.grant_received` is given, that of the control region.
    """
    coupling, pace = downlink.coupling, downlink.pace
    rounds = 1
    if coupling.load[0] < 0:
        rounds = _ROUNDS
        coupling.load[:] = 0
    transmissions, scratch = new_transmissions(len(coupling.load)), _new_scratch()
    grant_received, load_before = pace.grant_received.copy(), np.empty(len(coupling.load))
    for _ in range(rounds):
        pace.grant_received[:], load_before[:] = grant_received, coupling.load
        _pace_at_loads(data, queues, slot, downlink, transmissions, scratch)
        _update_loads(queues, slot, downlink)
        couple(coupling, transmissions)
        if np.abs(coupling.load - load_before).max() < _SETTLED:
            break


@part
def _update_loads(queues: Queues, slot: Slot, downlink: Downlink) -> None:
    """Sets the loads of the cells to what their UEs need at their pace."""
    coupling, pace = downlink.coupling, downlink.pace
    coupling.load[:] = 0
    for u in range(len(slot.serving)):
        need = queues.packets_per_s[u] * pace.alone[u] + slot.backlog[u] / slot.duration_s * pace.packed[u]
        coupling.own[u] = min(1.0, need * TTI_S)
        coupling.load[slot.serving[u]] += need * TTI_S
    for c in range(len(coupling.load)):
        coupling.load[c] = min(1.0, coupling.load[c])


@compiled
def _new_scratch() -> Scratch:
    """Returns arrays to be filled in."""
    return Scratch(
        strongest=np.empty(_STRONGEST, np.int64),
        power_mw=np.empty(_STRONGEST),
        if_new=np.empty(_STATES),
        if_any=np.empty(_STATES),
        sinr=np.empty(_STATES),
        cqi=np.empty(_STATES, np.int64),
        following=np.empty((_STATES, _STATES)),
        information=np.empty(_STATES),
        failure=np.empty(_STATES),
        sent=np.empty(_STATES),
        broken=np.empty(_STATES),
        attempts=np.empty(TRANSMISSIONS),
        cqi_share=np.empty(16),
        transmissions=np.empty(16),
        ttis_left=np.empty(_UNITS + 1),
    )


@compiled
def _pace_at_loads(
    data: DataRegion, queues: Queues, slot: Slot, downlink: Downlink, transmissions: Transmissions, scratch: Scratch
) -> None:
    """Fills in the pace at the loads of the cells, what UEs measure, and how often cells send.

    One UE after the other: its interferers and their states, the CQIs that it reports, what becomes of its blocks, and
    the TTIs that its packets take by that.
    """
    coupling, pace = downlink.coupling, downlink.pace
    transmissions.sent[:], transmissions.broken[:] = 0.0, 0.0
    for u in range(len(slot.serving)):
        link = _link(data, slot, downlink, u, scratch)
        _hear_states(data, coupling, link, scratch, downlink.sinr_db)
        _draw_cqi(data, coupling, link, scratch)
        follow(coupling, link.cell, scratch.strongest[: link.interferers], scratch.following)
        means = _send_blocks(data, link, scratch)
        if means.total == 0.0:
            pace.alone[u] = pace.packed[u] = pace.reached[u] = pace.late[u] = 0
            pace.grant_received[u] = 1
            continue
        _set_pace(data, link, means, pace, scratch)
        blocks = pace.alone[u] * means.total / means.transmissions
        coupling.measured[u] = _measured(queues.packets_per_s[u], blocks, scratch.attempts, means.total)
        _count_transmissions(coupling, link, blocks, queues.packets_per_s[u], scratch, transmissions)
    cells = len(coupling.load)
    for c in range(cells):
        for other in range(cells):
            # UEs to which the other one is not among the strongest.
            transmissions.sent[c, other] += coupling.load[other] * transmissions.sent[c, cells]
            transmissions.broken[c, other] += coupling.load[other] * transmissions.broken[c, cells]


@part
def _link(data: DataRegion, slot: Slot, downlink: Downlink, u: int, scratch: Scratch) -> Link:
    """Finds the strongest interferers of a UE, and returns its link."""
    cell = slot.serving[u]
    signal_mw = float(slot.received_mw[cell, u])
    least_mw = max(_FAINT * data.noise_mw, _HARMLESS * signal_mw)
    count, evenly_mw = 0, 0.0
    for c in range(len(slot.received_mw)):
        if c == cell:
            continue
        power_mw, interferer = float(slot.received_mw[c, u]), c
        if power_mw > least_mw:
            power_mw, interferer = _insert(power_mw, interferer, count, scratch)
            if count < _STRONGEST:
                scratch.power_mw[count], scratch.strongest[count] = power_mw, interferer
                count += 1
                continue
        evenly_mw += power_mw * downlink.coupling.met_by_new[cell, interferer]
    return Link(u, cell, signal_mw, evenly_mw, count, 1 << count, downlink.pace.grant_received[u])


@part
def _insert(power_mw: float, interferer: int, count: int, scratch: Scratch) -> tuple[float, int]:
    """Puts an interferer in its place among `count` strongest ones; returns power and cell of the weakest of all."""
    for k in range(count):
        if power_mw > scratch.power_mw[k]:
            power_mw, scratch.power_mw[k] = scratch.power_mw[k], power_mw
            interferer, scratch.strongest[k] = scratch.strongest[k], interferer
    return power_mw, interferer


@part
def _hear_states(data: DataRegion, coupling: Coupling, link: Link, scratch: Scratch, sinr_db: Singles) -> None:
    """Fills in probability, SINR and CQI of the states, and the mean of what the UE measures, its entry in (U,).

    A UE whose cell sends nothing measures a channel without interference.
    """
    u, cell, load = link.ue, link.cell, coupling.load
    sinr_db[u] = 0
    for j in range(link.states):
        scratch.if_new[j], scratch.if_any[j], noise_mw = 1.0, 1.0, data.noise_mw + link.evenly_mw
        for k in range(link.interferers):
            on, other = (j >> k) & 1, scratch.strongest[k]
            scratch.if_new[j] *= coupling.met_by_new[cell, other] if on else 1 - coupling.met_by_new[cell, other]
            scratch.if_any[j] *= coupling.met_by_any[cell, other] if on else 1 - coupling.met_by_any[cell, other]
            noise_mw += on * scratch.power_mw[k]
        scratch.sinr[j] = link.signal_mw / noise_mw
        scratch.cqi[j] = rank(data.cqi_sinr, scratch.sinr[j])
        sinr_db[u] += load[cell] * scratch.if_any[j] * 10 * math.log10(scratch.sinr[j])
    sinr_db[u] += (1 - load[cell]) * 10 * math.log10(link.signal_mw / data.noise_mw)


@part
def _draw_cqi(data: DataRegion, coupling: Coupling, link: Link, scratch: Scratch) -> None:
    """Fills in how probable each CQI is: what the cell sends when the UE measures is for the UE or for others."""
    own, measured = coupling.own[link.ue], coupling.measured[link.ue]
    others = min(1.0, max(0.0, coupling.load[link.cell] - own) / max(1e-9, 1 - own))
    busy = measured + (1 - measured) * others
    scratch.cqi_share[:] = 0.0
    scratch.cqi_share[rank(data.cqi_sinr, link.signal_mw / data.noise_mw)] = 1 - busy
    for j in range(link.states):
        scratch.cqi_share[scratch.cqi[j]] += busy * scratch.if_any[j]


@part
def _send_blocks(data: DataRegion, link: Link, scratch: Scratch) -> BlockMeans:
    """Sends a block at each CQI that is not too rare, and returns the means over them."""
    reached, modulation = 1 - scratch.cqi_share[0], -1
    cost = packets = lost = total = 0.0
    scratch.transmissions[:], scratch.sent[:], scratch.broken[:], scratch.attempts[:] = 0.0, 0.0, 0.0, 0.0
    for q in range(1, 16):
        if scratch.cqi_share[q] < _RARE:
            continue
        share = scratch.cqi_share[q] / reached
        _receive_first(data, link, q, data.modulation[q] != modulation, scratch)
        modulation = data.modulation[q]
        scratch.transmissions[q], never = _send_block(data, link, q, share, scratch)
        cost += share * scratch.transmissions[q]
        packets += share * data.packet_share[q]
        lost += share * never
        total += share
    return BlockMeans(cost, packets, lost, total)


@part
def _receive_first(data: DataRegion, link: Link, q: int, is_new: bool, scratch: Scratch) -> None:
    """Fills in whether the first transmission of a block at CQI `q` fails, whose modulation may be a new one."""
    modulation = data.modulation[q]
    for j in range(link.states):
        if is_new:
            entry = rank(data.information_sinr[modulation], scratch.sinr[j])
            scratch.information[j] = data.information[modulation, entry]
        error = data.block_error[q, 0, int(scratch.information[j] * GRID + 0.5)]
        scratch.failure[j] = scratch.if_new[j] * link.grant_received * error


@part
def _send_block(data: DataRegion, link: Link, q: int, share: float, scratch: Scratch) -> tuple[float, float]:
    """Sends a block at CQI `q`, which has a share of all, until it is decoded or has been sent TRANSMISSIONS times.

    Returns:
        Its mean number of transmissions, and the probability that it is never decoded.
    """
    error, information, following = data.block_error[q], scratch.information, scratch.following
    # Probabilities that this transmission fails, after all those before it.
    first = second = third = fourth = 0.0
    for j in range(link.states):
        first += scratch.failure[j]
        scratch.sent[j] += share * scratch.if_new[j]
        scratch.broken[j] += share * scratch.failure[j]
        if share * scratch.failure[j] < _RARE:
            continue
        for n in range(link.states):
            of_two = information[j] + information[n]
            resent = scratch.failure[j] * following[j, n]
            failed = resent * link.grant_received * error[1, int(of_two * (GRID / 2) + 0.5)]
            second += failed
            scratch.sent[n] += share * resent
            scratch.broken[n] += share * failed
            if share * failed < _RARE:
                continue
            for m in range(link.states):
                of_three = of_two + information[m]
                resent = failed * following[n, m]
                again = resent * link.grant_received * error[2, int(of_three * (GRID / 3) + 0.5)]
                third += again
                # The last one meets what the third one has met.
                scratch.sent[m] += share * (resent + again)
                scratch.broken[m] += share * again
                of_four = of_three + information[m]
                fourth += again * link.grant_received * error[3, int(of_four * (GRID / 4) + 0.5)]
    scratch.attempts[0] += share
    scratch.attempts[1] += share * first
    scratch.attempts[2] += share * second
    scratch.attempts[3] += share * third
    return 1 + first + second + third, fourth


@part
def _set_pace(data: DataRegion, link: Link, means: BlockMeans, pace: Pace, scratch: Scratch) -> None:
    """Fills in the pace of a UE that is reached at some CQI."""
    u = link.ue
    pace.alone[u] = _ttis_alone(data, scratch)
    pace.packed[u] = means.transmissions / means.packets
    pace.reached[u], pace.late[u] = 1, 0
    pace.grant_received[u] = link.grant_received * max(0.0, 1 - means.lost / means.total)


@part
def _count_transmissions(
    coupling: Coupling, link: Link, blocks: float, packets_per_s: float, scratch: Scratch, transmissions: Transmissions
) -> None:
    """Adds how often the cell sends for a UE, whose packets take so many blocks each.

    With a strong interferer, it is what the states say beyond what the interferer's load alone would make of all.
    """
    sent, broken, cell, every = transmissions.sent, transmissions.broken, link.cell, len(coupling.load)
    for j in range(link.states):
        sent_per_s = blocks * packets_per_s * scratch.sent[j]
        broken_per_s = blocks * packets_per_s * scratch.broken[j]
        for k in range(link.interferers):
            other = scratch.strongest[k]
            beyond = ((j >> k) & 1) - coupling.load[other]
            sent[cell, other] += beyond * sent_per_s
            broken[cell, other] += beyond * broken_per_s
        sent[cell, every] += sent_per_s
        broken[cell, every] += broken_per_s


@part
def _measured(packets_per_s: float, blocks: float, attempts: Floats, total: float) -> float:
    """Returns the probability that a UE measures while its cell sends for it.

    Packets come evenly, and the blocks of each are sent again after HARQ round trips; queues shift them by about one.

    Args:
        packets_per_s: Of the UE.
        blocks: Blocks of a packet.
        attempts: See Scratch.
        total: See BlockMeans.
    """
    busy = max(0.0, blocks - _MEASURED_BEFORE) / blocks
    if packets_per_s <= 0:
        return busy
    apart = 1 / (packets_per_s * TTI_S)
    after = apart - _MEASURED_BEFORE
    while after < (TRANSMISSIONS - 0.5) * _ROUND_TRIP:
        if after >= -0.5 * _ROUND_TRIP:
            busy += blocks * attempts[int(after / _ROUND_TRIP + 0.5)] / total / _ROUND_TRIP
        after += apart
    return min(1.0, busy)


@part
def _ttis_alone(data: DataRegion, scratch: Scratch) -> float:
    """Returns the TTIs that a packet alone takes, when each of its blocks has a CQI drawn anew.

    A packet of which something is left after a block goes on in the next one: TTIs by what is left, from 0 upwards.
    """
    cqi_share, transmissions, ttis_left = scratch.cqi_share, scratch.transmissions, scratch.ttis_left
    reached, in_one_block, fits = 1 - cqi_share[0], 0.0, True
    for q in range(1, 16):
        in_one_block += cqi_share[q] / reached * transmissions[q]
        fits &= transmissions[q] == 0.0 or data.packet_share[q] >= 1
    if fits:
        return in_one_block
    ttis_left[0] = 0.0
    for units in range(1, _UNITS + 1):
        expected, staying = 0.0, 0.0
        for q in range(1, 16):
            if transmissions[q] == 0.0:
                continue
            share = cqi_share[q] / reached
            # What is left is rounded to units, and nothing is left of less than half of one.
            left = round(units - data.packet_share[q] * _UNITS)
            if left >= units:
                staying += share
                expected += share * transmissions[q]
            else:
                expected += share * (transmissions[q] + (ttis_left[left] if left > 0 else 0.0))
        ttis_left[units] = expected / (1 - staying) if staying < 1 else expected * _UNITS
    return ttis_left[_UNITS]
