"""Event A3, handovers and radio link failures, as the ns-3 program has them (a3-event.cc, lte-ue-rrc.cc)."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from cf_augment.physics.constants import (
    CQI_REQUEST_TTIS,
    HANDOVER_TTIS,
    L3_COEFFICIENT,
    Q_IN_DB,
    Q_OUT_DB,
    RAR_WINDOW_TTIS,
    TTI_NS,
)
from cf_augment.physics.emulator.channel import miss_rate
from cf_augment.physics.emulator.rlc import enqueue
from cf_augment.physics.emulator.state import NEVER, NO_CELL, PROCESSES, Config, Parameters, State
from cf_augment.physics.emulator.traffic import refill
from ns3_scenarios.kernels import inlined
from sumo_mobility.base.arrays import Floats


@inlined
def join(state: State, bearer: int, cell: int) -> None:
    """Gives a bearer to a cell: a new RNTI, empty queues, no CQI yet."""
    leave(state, bearer)
    joined, entity, candidate = state.cells[cell], state.bearers[bearer], state.candidates[bearer]
    state.members[cell, joined.members] = bearer
    joined.members += 1
    joined.next_rnti += 1
    entity.cell = cell
    entity.rnti = joined.next_rnti
    entity.packets = entity.head_bytes = entity.head_sdu = 0
    entity.report_due = entity.reorder_due = entity.feedback_end = NEVER
    entity.cqi_underway[:] = -1
    candidate.reported_bytes = candidate.process = 0
    candidate.free[:] = 0
    candidate.cqi = 1  # ns-3 tries with the lowest until it knows better
    candidate.mean_rate = 1.0
    for process in range(PROCESSES):
        state.blocks[bearer, process].failures = 0
    entity.next_sn = entity.next_in_order = entity.vr_ur = entity.vr_ux = entity.vr_uh = 0
    entity.holds_part = False


@inlined
def leave(state: State, bearer: int) -> None:
    """Takes a bearer from its cell, if it has one."""
    cell = state.bearers[bearer].cell
    if cell == NO_CELL:
        return
    state.bearers[bearer].cell = NO_CELL
    state.bearers[bearer].report_due = NEVER
    count = 0
    for index in range(state.cells[cell].members):
        if state.members[cell, index] != bearer:
            state.members[cell, count] = state.members[cell, index]
            count += 1
    state.cells[cell].members = count


@inlined
def attach(state: State, ue: int, cell: int, tti: int) -> None:
    """Connects a UE anew."""
    me = state.ues[ue]
    join(state, me.bearer, cell)
    me.serving = cell
    me.channel_stamp = -1
    me.cqi_request_end = tti + CQI_REQUEST_TTIS


@inlined
def measure(config: Config, state: State, ue: int, l1_dbm: Floats, parameters: Parameters, tti: int) -> None:
    """Evaluates event A3 (TS 36.331 5.5.4.4) after one L1 measurement (C,).

    A neighbour is due when the entering condition held at all measurements during the time to trigger (5.5.4.1).
    """
    me, l3_dbm, due = state.ues[ue], state.l3_dbm[ue], state.due[ue]
    connected = me.serving != NO_CELL and me.handover_end == NEVER
    event_cell = me.serving if connected else NO_CELL
    if event_cell != me.event_cell:
        me.event_cell = event_cell
        due[:] = NEVER
    for cell in range(len(l1_dbm)):
        l3_dbm[cell] = (1 - L3_COEFFICIENT) * l3_dbm[cell] + L3_COEFFICIENT * l1_dbm[cell]
    if not connected:
        return
    own_dbm = l3_dbm[me.serving] + config.a3_offset_db
    for cell in range(len(l1_dbm)):
        margin_db = l3_dbm[cell] + parameters.offset_db[me.serving, cell] - own_dbm
        if not margin_db > parameters.hysteresis_db[me.serving]:
            due[cell] = NEVER
        elif due[cell] == NEVER:
            due[cell] = tti + parameters.time_to_trigger[me.serving]


@inlined
def due_target(state: State, ue: int, offset_db: Floats, tti: int) -> int:
    """Returns the best neighbour whose time to trigger is over, or NO_CELL."""
    me, due = state.ues[ue], state.due[ue]
    if me.serving == NO_CELL or me.handover_end != NEVER or me.event_cell != me.serving:
        return NO_CELL
    target, target_dbm = NO_CELL, -np.inf
    for cell in range(len(due)):
        if due[cell] <= tti:
            biased_dbm = state.l3_dbm[ue, cell] + offset_db[me.serving, cell]
            if biased_dbm > target_dbm:
                target, target_dbm = cell, biased_dbm
    return target


@inlined
def start_handover(config: Config, state: State, ue: int, target: int, sinr: float, rng: Generator, tti: int) -> None:
    """Sends a UE to another cell; the source keeps its bearer, and its queue, until the handover ends.

    The UE may miss the answer to its preamble in the target cell, where its SINR is `sinr`, and sends another one.
    """
    me = state.ues[ue]
    # Where T310 does not run, ns-3 counts on in the target (LteUeRrc::DoRecvRrcConnectionReconfiguration).
    if me.t310_end != NEVER:
        forget_sync(state, ue)
    me.left = me.serving
    # What the UE has not sent yet it forgets, and it measures the target from the next TTI on.
    state.bearers[me.bearer].feedback_end = tti + 2
    me.cqi_last = tti - 1
    me.bearer ^= 1
    join(state, me.bearer, target)
    me.serving = target
    me.channel_stamp = -1
    me.handover_end = tti + HANDOVER_TTIS
    miss = miss_rate(config, sinr)
    while miss > 0 and rng.random() < miss:
        me.handover_end += RAR_WINDOW_TTIS


@inlined
def end_handover(config: Config, state: State, ue: int, tti: int) -> None:
    """The target cell has the UE's confirmation, and what came for it in the meantime goes into its queue."""
    me = state.ues[ue]
    leave(state, me.bearer ^ 1)
    enqueue(config, state, me.bearer, me.forwarded)
    me.handover_end = NEVER
    me.forwarded = 0
    me.cqi_request_end = tti + CQI_REQUEST_TTIS
    refill(config, state, ue, tti * TTI_NS)


@inlined
def monitor(config: Config, state: State, ue: int, sinr: float, tti: int) -> None:
    """Counts measurements out of sync until T310 starts, and those in sync until it stops (TS 36.331 5.3.11)."""
    me = state.ues[ue]
    sinr_db = 10 * math.log10(sinr)
    if me.t310_end == NEVER:
        me.out_of_sync = me.out_of_sync + 1 if sinr_db < Q_OUT_DB else 0
        if me.out_of_sync == config.n310:
            me.t310_end = tti + config.t310_ttis
    else:
        me.in_sync = me.in_sync + 1 if sinr_db >= Q_IN_DB else 0
        if me.in_sync == config.in_sync:
            forget_sync(state, ue)


@inlined
def forget_sync(state: State, ue: int) -> None:
    """Stops T310, and counts from nothing."""
    me = state.ues[ue]
    me.out_of_sync = me.in_sync = 0
    me.t310_end = NEVER


@inlined
def lose(state: State, ue: int) -> None:
    """The radio link has failed: the UE leaves its cell, and looks for one until its next measurement."""
    me = state.ues[ue]
    leave(state, me.bearer)
    me.left = me.serving
    me.serving = NO_CELL
    forget_sync(state, ue)
