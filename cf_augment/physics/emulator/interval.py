"""The emulator's clock: one control interval, TTI by TTI."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from cf_augment.physics.constants import GAIN_PERIOD_TTIS, L1_PERIOD_TTIS
from cf_augment.physics.emulator.bler import decodes
from cf_augment.physics.emulator.calendar import lowest, take
from cf_augment.physics.emulator.channel import Air, control_sinr, hear_data, hears_grant, report_cqi
from cf_augment.physics.emulator.handover import (
    attach,
    due_target,
    end_handover,
    lose,
    measure,
    monitor,
    start_handover,
)
from cf_augment.physics.emulator.rlc import end_reordering, enqueue, receive, report, report_later
from cf_augment.physics.emulator.scheduler import acknowledge, fail, schedule
from cf_augment.physics.emulator.state import (
    NEVER,
    NO_CELL,
    PROCESSES,
    RING,
    WORD,
    Config,
    Parameters,
    Received,
    State,
)
from cf_augment.physics.emulator.traffic import send_packets
from ns3_scenarios.kernels import inlined, kernel
from ns3_scenarios.kpis import EventKind
from sumo_mobility.base.arrays import Floats, Ints

RADIO_LINK_FAILURE = int(EventKind.RADIO_LINK_FAILURE)
HANDOVER_START = int(EventKind.HANDOVER_START)
HANDOVER_OK = int(EventKind.HANDOVER_OK)
CONNECTION_REESTABLISHED = int(EventKind.CONNECTION_REESTABLISHED)


@inlined
def _log(events: Ints, count: int, tti: int, ue: int, source: int, target: int, kind: int) -> int:
    row = events[count]
    row[0], row[1], row[2], row[3], row[4] = tti, ue, source, target, kind
    return count + 1


@inlined
def _move(config: Config, state: State, air: Air, rng: Generator, events: Ints, count: int, tti: int) -> int:
    """Starts and ends the handovers that are due just after a TTI, and finds cells for UEs that have none."""
    for ue in range(len(state.ues)):
        me = state.ues[ue]
        if me.handover_end == tti:
            end_handover(config, state, ue, tti)
            count = _log(events, count, tti, ue, me.left, me.serving, HANDOVER_OK)
        if me.target == NO_CELL:
            continue
        source, target, me.target = me.serving, me.target, NO_CELL
        if source == NO_CELL:
            attach(state, ue, target, tti)
            count = _log(events, count, tti, ue, me.left, target, CONNECTION_REESTABLISHED)
        elif target == source:
            lose(state, ue)
            count = _log(events, count, tti, ue, source, NO_CELL, RADIO_LINK_FAILURE)
        else:
            sinr = control_sinr(config, air, ue, target, tti)
            start_handover(config, state, ue, target, sinr, rng, tti)
            count = _log(events, count, tti, ue, source, target, HANDOVER_START)
    return count


@inlined
def _next_move(state: State, tti: int) -> int:
    """Returns the next TTI, from this one on, after which _move has something to do."""
    following = NEVER
    for me in state.ues:
        following = min(following, me.handover_end if me.target == NO_CELL else tti)
    return following


@inlined
def _measure_all(config: Config, state: State, air: Air, l1_dbm: Floats, parameters: Parameters, tti: int) -> None:
    """Takes an L1 measurement (U, C): event A3 of those that are connected, and cells for those that are not."""
    for ue in range(len(state.ues)):
        measure(config, state, ue, l1_dbm[ue], parameters, tti)
        if state.ues[ue].serving == NO_CELL:
            state.ues[ue].target = state.l3_dbm[ue].argmax()
        elif state.ues[ue].handover_end == NEVER:
            monitor(config, state, ue, control_sinr(config, air, ue, state.ues[ue].serving, tti), tti)


@inlined
def _trigger_all(state: State, offset_db: Floats, tti: int) -> int:
    """Lets UEs whose T310 is over leave their cell, and UEs whose time to trigger is over hand over.

    Returns:
        When the next of these times will be over.
    """
    following = NEVER
    for ue in range(len(state.ues)):
        me = state.ues[ue]
        if me.t310_end <= tti:
            me.t310_end, me.target = NEVER, me.serving
        following = min(following, me.t310_end)
        for due in state.due[ue]:
            if tti < due < following:
                following = due
        target = due_target(state, ue, offset_db, tti)
        if target != NO_CELL and state.ues[ue].target == NO_CELL:
            state.ues[ue].target = target
    return following


@inlined
def _receive_all(config: Config, state: State, air: Air, rng: Generator, tti: int) -> None:
    """Decodes the blocks of a TTI at its end."""
    slot = tti % RING
    for cell in range(len(state.cells)):
        sent = 0
        for index in range(state.sent.filled[slot, cell]):
            bearer, process = divmod(state.sent.block[slot, cell, index], PROCESSES)
            if state.blocks[bearer, process].sn >= 0:
                sent |= state.blocks[bearer, process].rbgs
        state.cells[cell].sent = sent
    for cell in range(len(state.cells)):
        for index in range(state.sent.filled[slot, cell]):
            bearer, process = divmod(state.sent.block[slot, cell, index], PROCESSES)
            ue, sn = bearer // 2, state.blocks[bearer, process].sn
            if state.ues[ue].bearer != bearer or state.bearers[bearer].cell != cell or sn < 0:
                continue
            if not hears_grant(config, state, air, rng, ue, tti):
                continue
            if decodes(config, state, air, rng, cell, bearer, process, tti):
                acknowledge(state, bearer, process, tti)
                receive(config, state, bearer, sn, tti + 1)
            else:
                fail(state, cell, bearer, process, tti)
        state.sent.filled[slot, cell] = 0


@inlined
def _report_all(config: Config, state: State, air: Air, tti: int) -> None:
    """CQI reports of the UEs that hear the control region of a TTI.

    All do when it has synchronisation signals, else only those that are addressed, unless the CQI is that of the data
    region, for which the ns-3 program runs without its shortcut (lte-spectrum-channel.cc).
    """
    if config.pdsch or tti % GAIN_PERIOD_TTIS == 0:
        for ue in range(len(state.ues)):
            report_cqi(config, state, air, ue, tti)
        return
    slot = tti % RING
    for cell in range(len(state.cells)):
        for index in range(state.sent.filled[slot, cell]):
            bearer = state.sent.block[slot, cell, index] // PROCESSES
            if state.ues[bearer // 2].bearer == bearer:
                report_cqi(config, state, air, bearer // 2, tti)


@inlined
def _hear_all(config: Config, state: State, air: Air, tti: int) -> None:
    """Sets the SINR of the data region of the UEs that are connected."""
    for ue in range(len(state.ues)):
        if state.ues[ue].serving != NO_CELL:
            state.ues[ue].data_sinr = hear_data(config, state, air, ue, tti)[1]


@inlined
def _fill_queues(config: Config, state: State, ue: int, tti: int) -> None:
    """Lets sources send and timers expire before the scheduler runs."""
    slot = tti % RING
    me = state.ues[ue]
    queue = state.bearers[me.bearer]
    if queue.reorder_due <= tti:
        end_reordering(config, state, me.bearer, tti)
    send_packets(config, state, ue, tti)
    packets = me.underway[slot]
    if packets > 0:
        me.underway[slot] = 0
        if me.serving == NO_CELL:
            me.arrived += packets
        elif me.handover_end != NEVER:
            me.forwarded += packets
        else:
            enqueue(config, state, me.bearer, packets)
    if queue.cqi_underway[slot] >= 0:
        state.candidates[me.bearer].cqi = queue.cqi_underway[slot]
        queue.cqi_underway[slot] = -1
    for bearer in range(2 * ue, 2 * ue + 2):
        if state.bearers[bearer].report_due <= tti:
            state.bearers[bearer].report_due = NEVER
            if state.bearers[bearer].packets > 0:
                report(config, state, bearer)
                report_later(state, bearer, tti)


@kernel(error_model="numpy")
def run(
    config: Config,
    state: State,
    received: Received,
    parameters: Parameters,
    rng: Generator,
    events: Ints,
    start: int,
    end: int,
) -> int:
    """Runs the TTIs after `start` up to `end`, and returns the number of `events` that it has filled in."""
    ues, cells = received.power_mw.shape[1:]
    air = Air(received.power_mw, start, received.power_step, np.empty((ues, cells)), np.full(ues, -1))
    count = 0
    fire = move = start
    for tti in range(start + 1, end + 1):
        if move < tti:
            count = _move(config, state, air, rng, events, count, tti - 1)
            move = _next_move(state, tti)
        _receive_all(config, state, air, rng, tti - 1)
        if tti % L1_PERIOD_TTIS == 0:
            l1_dbm = received.l1_dbm[(tti - start - 1) // L1_PERIOD_TTIS]
            _measure_all(config, state, air, l1_dbm, parameters, tti)
            fire = tti
        if fire <= tti:
            fire = _trigger_all(state, parameters.offset_db, tti)
            move = _next_move(state, tti)
        _report_all(config, state, air, tti)
        if config.pdsch and tti == end - 1:
            # TTI `end` will only have begun: the UEs will not have heard its control region.
            _hear_all(config, state, air, tti)
        for word in range(state.calendar.shape[1]):
            bits = take(state, word, tti)
            while bits:
                _fill_queues(config, state, word * WORD + lowest(bits), tti)
                bits &= bits - 1
        for cell in range(cells):
            schedule(config, state, cell, tti)
    return count
