"""The emulator's clock: one control interval, TTI by TTI."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from numba import njit
from numpy.random import Generator

from cf_augment.physics.constants import (
    GAIN_PERIOD_TTIS,
    L1_PERIOD_TTIS,
    RLC_REPORT_TTIS,
)
from cf_augment.physics.emulator.channel import control_sinr, hear_data, hears_grant, report_cqi
from cf_augment.physics.emulator.errors import decodes
from cf_augment.physics.emulator.handover import (
    attach,
    due_target,
    end_handover,
    lose,
    measure,
    monitor,
    start_handover,
)
from cf_augment.physics.emulator.rlc import end_reordering, enqueue, receive, report
from cf_augment.physics.emulator.scheduler import acknowledge, fail, schedule
from cf_augment.physics.emulator.state import BEARER, NEVER, NO_CELL, RBGS, RING, SN, Config, Floats, Ints, State
from cf_augment.physics.emulator.traffic import send_packets
from ns3_scenarios.kpis import EventKind

Radio = tuple[Floats, float, Floats]
"""Powers (T, U, C) of one resource element in mW, the TTIs between them, and L1 measurements (K, U, C) in dBm."""
Control = tuple[Floats, Floats, Ints]
"""Offsets (C, C) by serving cell and neighbour in dB, hysteresis (C,) in dB and time to trigger (C,) in TTIs."""

RADIO_LINK_FAILURE = int(EventKind.RADIO_LINK_FAILURE)
HANDOVER_START = int(EventKind.HANDOVER_START)
HANDOVER_OK = int(EventKind.HANDOVER_OK)


@njit
def _log(events: Ints, count: int, tti: int, ue: int, source: int, target: int, kind: int) -> int:
    row = events[count]
    row[0], row[1], row[2], row[3], row[4] = tti, ue, source, target, kind
    return count + 1


@njit
def _move(
    config: Config,
    state: State,
    power_mw: Floats,
    place: float,
    rng: Generator,
    events: Ints,
    count: int,
    tti: int,
) -> int:
    """Starts and ends the handovers that are due just after a TTI, and finds cells for UEs that have none."""
    for ue in range(len(state.ues)):
        me = state.ues[ue]
        if me.handover_end == tti:
            end_handover(config, state, ue, tti)
            count = _log(events, count, tti, ue, me.handover_source, me.serving, HANDOVER_OK)
        if me.target == NO_CELL:
            continue
        source, target, me.target = me.serving, me.target, NO_CELL
        if source == NO_CELL:
            attach(state, ue, target, tti)
        elif target == source:
            lose(state, ue)
            count = _log(events, count, tti, ue, source, NO_CELL, RADIO_LINK_FAILURE)
        else:
            sinr = control_sinr(config, power_mw, place, ue, target)
            start_handover(config, state, ue, target, sinr, rng, tti)
            count = _log(events, count, tti, ue, source, target, HANDOVER_START)
    return count


@njit
def _measure_all(
    config: Config, state: State, power_mw: Floats, place: float, l1_dbm: Floats, control: Control, tti: int
) -> None:
    offset_db, hysteresis_db, time_to_trigger = control
    for ue in range(len(state.ues)):
        measure(config, state, ue, l1_dbm[ue], offset_db, hysteresis_db, time_to_trigger, tti)
        if state.ues[ue].serving == NO_CELL:
            state.ues[ue].target = state.l3_dbm[ue].argmax()
        elif monitor(state, ue, control_sinr(config, power_mw, place, ue, state.ues[ue].serving)):
            state.ues[ue].target = state.ues[ue].serving


@njit
def _trigger_all(state: State, offset_db: Floats, tti: int) -> int:
    """Lets the UEs whose time to trigger is over hand over; returns when the next one's will be."""
    following = NEVER
    for ue in range(len(state.ues)):
        for due in state.due[ue]:
            if tti < due < following:
                following = due
        target = due_target(state, ue, offset_db, tti)
        if target != NO_CELL and state.ues[ue].target == NO_CELL:
            state.ues[ue].target = target
    return following


@njit
def _receive_all(config: Config, state: State, power_mw: Floats, place: float, rng: Generator, tti: int) -> None:
    """What the UEs make of the blocks that were sent in a TTI, at its end."""
    slot = tti % RING
    for sender in state.cells:
        sender.sent = 0
        for index in range(sender.block_count[slot]):
            if sender.blocks[slot, index, SN] >= 0:
                sender.sent |= sender.blocks[slot, index, RBGS]
    for cell in range(len(state.cells)):
        for index in range(state.cells[cell].block_count[slot]):
            block = state.cells[cell].blocks[slot, index]
            bearer = block[BEARER]
            ue = bearer // 2
            if state.ues[ue].bearer != bearer or state.bearers[bearer].cell != cell or block[SN] < 0:
                continue
            if not hears_grant(config, state, power_mw, place, rng, ue, tti):
                continue
            if decodes(config, state, power_mw, place, rng, cell, block):
                acknowledge(state, block, tti)
                receive(config, state, bearer, block[SN], tti + 1)
            else:
                fail(state, cell, block, tti)
        state.cells[cell].block_count[slot] = 0


@njit
def _report_all(config: Config, state: State, power_mw: Floats, place: float, tti: int) -> None:
    """CQI reports of the UEs that hear the control region of a TTI.

    All do when it has synchronisation signals, else only those that are addressed, unless the CQI is that of the data
    region, for which the ns-3 program runs without its shortcut (lte-spectrum-channel.cc).
    """
    if config.pdsch or tti % GAIN_PERIOD_TTIS == 0:
        for ue in range(len(state.ues)):
            report_cqi(config, state, power_mw, place, ue, tti)
        return
    slot = tti % RING
    for cell in range(len(state.cells)):
        for index in range(state.cells[cell].block_count[slot]):
            bearer = state.cells[cell].blocks[slot, index, BEARER]
            if state.ues[bearer // 2].bearer == bearer:
                report_cqi(config, state, power_mw, place, bearer // 2, tti)


@njit
def _fill_queues(config: Config, state: State, tti: int) -> None:
    """What sources send and timers do until the scheduler runs."""
    slot = tti % RING
    for ue in range(len(state.ues)):
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
            queue.cqi = queue.cqi_underway[slot]
            queue.cqi_underway[slot] = -1
    for bearer in range(len(state.bearers)):
        queue = state.bearers[bearer]
        if queue.report_due <= tti:
            queue.report_due = NEVER
            if queue.packets > 0:
                report(config, state, bearer)
                queue.report_due = tti + RLC_REPORT_TTIS


@njit
def _place(start: int, tti: int, power_step: float) -> float:
    return max(0, tti // GAIN_PERIOD_TTIS * GAIN_PERIOD_TTIS - start) / power_step


def _compiled(sources: str) -> Any:
    """Compiles the clock; numba keeps the code on disk by `sources`, a digest of all that it is made from."""

    @njit(cache=True)
    def run(
        config: Config,
        state: State,
        radio: Radio,
        control: Control,
        rng: Generator,
        events: Ints,
        start: int,
        end: int,
    ) -> int:
        sources  # noqa: B018 - a closure variable is part of the key of numba's cache
        power_mw, power_step, l1_dbm = radio
        cells = len(state.cells)
        count = 0
        fire = start
        for tti in range(start + 1, end + 1):
            place = _place(start, tti - 1, power_step)
            count = _move(config, state, power_mw, place, rng, events, count, tti - 1)
            _receive_all(config, state, power_mw, place, rng, tti - 1)
            place = _place(start, tti, power_step)
            if tti % L1_PERIOD_TTIS == 0:
                l1 = l1_dbm[(tti - start - 1) // L1_PERIOD_TTIS]
                _measure_all(config, state, power_mw, place, l1, control, tti)
                fire = tti
            if fire <= tti:
                fire = _trigger_all(state, control[0], tti)
            _report_all(config, state, power_mw, place, tti)
            _fill_queues(config, state, tti)
            for cell in range(cells):
                schedule(config, state, cell, tti)
        if config.pdsch:
            for ue in range(len(state.ues)):
                if state.ues[ue].serving != NO_CELL:
                    hear_data(config, state, power_mw, _place(start, end, power_step), ue)
        return count

    return run


def _digest() -> str:
    folder = Path(__file__).parent
    compiled = ("channel", "errors", "handover", "kernel", "rlc", "scheduler", "state", "traffic", "../constants")
    return hashlib.sha256(b"".join((folder / f"{name}.py").read_bytes() for name in compiled)).hexdigest()


run = _compiled(_digest())
