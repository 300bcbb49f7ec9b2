"""RLC in unacknowledged mode (TS 36.322) as in ns-3's LteRlcUm: queue, segmentation, reordering, reassembly."""

from __future__ import annotations

from typing import Any

from cf_augment.physics.constants import RLC_BYTES, RLC_REORDERING_TTIS, RLC_REPORT_TTIS, TTI_NS
from cf_augment.physics.emulator.calendar import look_at
from cf_augment.physics.emulator.state import (
    ENDS_INSIDE,
    NEVER,
    STARTS_INSIDE,
    WINDOW,
    Config,
    State,
)
from cf_augment.physics.emulator.traffic import fill
from ns3_scenarios.kernels import inlined


@inlined
def _queue_bytes(config: Config, queue: Any) -> int:
    return 0 if queue.packets == 0 else queue.head_bytes + (queue.packets - 1) * config.packet_bytes


@inlined
def report(config: Config, state: State, bearer: int) -> None:
    """Tells the scheduler what is queued, with a header for each SDU."""
    queue = state.bearers[bearer]
    state.candidates[bearer].reported_bytes = _queue_bytes(config, queue) + RLC_BYTES * queue.packets


@inlined
def enqueue(config: Config, state: State, bearer: int, packets: int) -> None:
    """Packets reach the queue; those that find it full are lost."""
    me, queue = state.ues[bearer // 2], state.bearers[bearer]
    for _ in range(packets):
        if _queue_bytes(config, queue) + config.packet_bytes <= config.buffer_bytes:
            if queue.packets == 0:
                queue.head_bytes = config.packet_bytes
                queue.base = me.arrived - queue.head_sdu
            queue.packets += 1
        me.arrived += 1
    report(config, state, bearer)
    queue.report_due = NEVER


@inlined
def build_pdu(config: Config, state: State, bearer: int, size: int, tti: int) -> int:
    """Fills a block of `size` bytes from the queue; returns the PDU's number, or -1 if there is nothing to send."""
    queue = state.bearers[bearer]
    if size <= RLC_BYTES or queue.packets == 0:
        return -1
    room, count = size - RLC_BYTES, 0
    first = queue.head_sdu
    edges = STARTS_INSIDE if queue.head_bytes < config.packet_bytes else 0
    while True:
        count += 1
        if queue.head_bytes > room:
            queue.head_bytes -= room
            edges |= ENDS_INSIDE
            break
        room -= queue.head_bytes
        queue.packets -= 1
        queue.head_sdu += 1
        queue.head_bytes = config.packet_bytes
        if room <= RLC_BYTES or queue.packets == 0:
            break
        # Length indicators take 12 bits, padded to whole bytes.
        room -= 2 if count % 2 == 1 else 1
    sn = queue.next_sn
    queue.next_sn += 1
    pdu = state.pdus[bearer, sn % WINDOW]
    pdu.first_sdu, pdu.count, pdu.edges, pdu.received = first, count, edges, False
    if queue.packets > 0:
        report_later(state, bearer, tti)
    return sn


@inlined
def report_later(state: State, bearer: int, tti: int) -> None:
    """Starts the timer of the next report."""
    state.bearers[bearer].report_due = tti + RLC_REPORT_TTIS
    look_at(state, bearer // 2, tti + RLC_REPORT_TTIS)


@inlined
def receive(config: Config, state: State, bearer: int, sn: int, tti: int) -> None:
    """A PDU has reached the UE just before a TTI (TS 36.322 5.1.2.2)."""
    entity = state.bearers[bearer]
    state.pdus[bearer, sn % WINDOW].received = True
    entity.vr_uh = max(entity.vr_uh, sn + 1)
    if sn == entity.vr_ur:
        _reassemble_from(config, state, bearer, sn, tti)
    if entity.vr_ux <= entity.vr_ur:
        entity.reorder_due = NEVER
    if entity.reorder_due == NEVER:
        _start_reordering(state, bearer, tti)


@inlined
def end_reordering(config: Config, state: State, bearer: int, tti: int) -> None:
    """The reordering timer has expired: what is missing is lost."""
    entity = state.bearers[bearer]
    for sn in range(entity.vr_ur, entity.vr_ux):
        if state.pdus[bearer, sn % WINDOW].received:
            _reassemble(config, state, bearer, sn, tti)
    _reassemble_from(config, state, bearer, entity.vr_ux, tti)
    _start_reordering(state, bearer, tti)


@inlined
def _start_reordering(state: State, bearer: int, tti: int) -> None:
    entity = state.bearers[bearer]
    entity.reorder_due = NEVER
    if entity.vr_uh > entity.vr_ur:
        entity.reorder_due = tti + RLC_REORDERING_TTIS
        entity.vr_ux = entity.vr_uh
        look_at(state, bearer // 2, entity.reorder_due)


@inlined
def _reassemble_from(config: Config, state: State, bearer: int, sn: int, tti: int) -> None:
    entity = state.bearers[bearer]
    while sn < entity.vr_uh and state.pdus[bearer, sn % WINDOW].received:
        _reassemble(config, state, bearer, sn, tti)
        sn += 1
    entity.vr_ur = sn


@inlined
def _reassemble(config: Config, state: State, bearer: int, sn: int, tti: int) -> None:
    """Delivers the SDUs that end in a PDU; a PDU missing before it costs the SDU that goes on in it."""
    ue, entity = bearer // 2, state.bearers[bearer]
    pdu = state.pdus[bearer, sn % WINDOW]
    first, count, edges = pdu.first_sdu, pdu.count, pdu.edges
    starts_inside, ends_inside = edges & STARTS_INSIDE != 0, edges & ENDS_INSIDE != 0
    holds_part = entity.holds_part and sn == entity.next_in_order
    entity.next_in_order = sn + 1
    complete = count
    if ends_inside:
        complete -= 1
    if starts_inside and not holds_part and complete > 0:
        complete -= 1
    entity.holds_part = ends_inside and (holds_part or not starts_inside or count > 1)
    if complete == 0:
        return
    me = state.ues[ue]
    state.ues[ue].delivered += complete
    if me.serving >= 0:
        state.cells[me.serving].delivered += complete
    me.expected = max(me.expected, entity.base + first + count - (1 if ends_inside else 0))
    fill(config, state, ue, tti * TTI_NS - 1)
