"""ns-3's proportional fair and round robin schedulers (pf-ff-mac-scheduler.cc, rr-ff-mac-scheduler.cc)."""

from __future__ import annotations

from cf_augment.physics.constants import (
    HARQ_FEEDBACK_TTIS,
    HARQ_TIMEOUT_TTIS,
    MAC_TO_CHANNEL_TTIS,
    MAX_RETRANSMISSIONS,
    PF_WINDOW_TTIS,
    RLC_BYTES,
)
from cf_augment.physics.emulator.calendar import count_bits
from cf_augment.physics.emulator.rlc import build_pdu
from cf_augment.physics.emulator.state import PROCESSES, RING, Config, State
from ns3_scenarios.kernels import inlined


@inlined
def schedule(config: Config, state: State, cell: int, tti: int) -> None:
    """Decides what a cell sends MAC_TO_CHANNEL_TTIS later."""
    used = _send_again(config, state, cell, tti)
    if used == (1 << config.rbgs) - 1:
        # ns-3 returns here, before it updates the means of proportional fair scheduling.
        return
    if config.round_robin:
        _round_robin(config, state, cell, tti, used)
    else:
        _proportional_fair(config, state, cell, tti, used)


@inlined
def _send_again(config: Config, state: State, cell: int, tti: int) -> int:
    """Sends failed blocks again, on the RBGs they had; returns the bit map of RBGs used."""
    used = 0
    slot = tti % RING
    for index in range(state.failed.filled[slot, cell]):
        bearer, process = divmod(state.failed.block[slot, cell, index], PROCESSES)
        if state.bearers[bearer].cell != cell or tti >= state.bearers[bearer].feedback_end:
            continue
        block = state.blocks[bearer, process]
        if block.sendings == MAX_RETRANSMISSIONS:
            state.candidates[bearer].free[process] = tti
            continue
        block.sendings += 1
        state.candidates[bearer].resent = tti
        used |= block.rbgs
        _send(config, state, cell, bearer, process, tti)
    state.failed.filled[slot, cell] = 0
    return used


@inlined
def _send(config: Config, state: State, cell: int, bearer: int, process: int, tti: int) -> None:
    slot = (tti + MAC_TO_CHANNEL_TTIS) % RING
    state.sent.block[slot, cell, state.sent.filled[slot, cell]] = bearer * PROCESSES + process
    state.sent.filled[slot, cell] += 1
    state.candidates[bearer].free[process] = tti + HARQ_TIMEOUT_TTIS
    state.cells[cell].prbs += count_bits(state.blocks[bearer, process].rbgs) * config.rbg_size_rb


@inlined
def _can_send(state: State, bearer: int, tti: int) -> bool:
    """Returns whether a bearer has data, a channel and a HARQ process for a new block."""
    candidate = state.candidates[bearer]
    if candidate.reported_bytes == 0 or candidate.cqi == 0 or candidate.resent == tti:
        return False
    for later in range(1, PROCESSES + 1):  # noqa: SIM110 - numba has no generators of that kind
        if candidate.free[(candidate.process + later) % PROCESSES] <= tti:
            return True
    return False


@inlined
def _grant(config: Config, state: State, cell: int, bearer: int, rbgs: int, tti: int) -> int:
    """Sends a new block on the RBGs of a bit map; returns its size in bytes."""
    candidate = state.candidates[bearer]
    process = (candidate.process + 1) % PROCESSES
    while candidate.free[process] > tti:
        process = (process + 1) % PROCESSES
    candidate.process = process
    size = config.block_bytes[candidate.cqi, count_bits(rbgs)]
    candidate.reported_bytes = max(0, candidate.reported_bytes - (size - RLC_BYTES))
    block = state.blocks[bearer, process]
    block.cqi, block.bytes, block.rbgs, block.sendings = candidate.cqi, size, rbgs, 0
    block.sn = build_pdu(config, state, bearer, size, tti)
    _send(config, state, cell, bearer, process, tti)
    return size


@inlined
def _proportional_fair(config: Config, state: State, cell: int, tti: int, used: int) -> None:
    """All free RBGs go to one bearer, for a CQI is the same on all of them, whatever it has to send."""
    best, best_metric = -1, 0.0
    for index in range(state.cells[cell].members):
        bearer = state.members[cell, index]
        candidate = state.candidates[bearer]
        if _can_send(state, bearer, tti):
            metric = config.rbg_rate[candidate.cqi] / candidate.mean_rate
            if metric > best_metric:
                best, best_metric = bearer, metric
        candidate.mean_rate *= 1 - 1 / PF_WINDOW_TTIS
    if best >= 0:
        size = _grant(config, state, cell, best, ~used & ((1 << config.rbgs) - 1), tti)
        state.candidates[best].mean_rate += size * 1000 / PF_WINDOW_TTIS


@inlined
def _round_robin(config: Config, state: State, cell: int, tti: int, used: int) -> None:
    """Equal shares, counted in RBGs, for all who have something to send, by RNTI after the one served last."""
    members = state.members[cell, : state.cells[cell].members]
    active = 0
    for bearer in members:
        if _can_send(state, bearer, tti):
            active += 1
    if active == 0:
        return
    free = config.rbgs - count_bits(used)
    share = max(1, free // active)
    first = 0
    for index in range(len(members)):
        if state.bearers[members[index]].rnti == state.cells[cell].last_served_rnti:
            first = (index + 1) % len(members)
    state.cells[cell].last_served_rnti = state.bearers[members[first]].rnti
    rbg = 0
    for step in range(len(members)):
        bearer = members[(first + step) % len(members)]
        if not _can_send(state, bearer, tti):
            continue
        rbgs, left = 0, share
        while left > 0:
            if not (used >> rbg) & 1:
                rbgs |= 1 << rbg
                left -= 1
            rbg += 1
        _grant(config, state, cell, bearer, rbgs, tti)
        free -= share
        if free == 0:
            state.cells[cell].last_served_rnti = state.bearers[bearer].rnti
            return


@inlined
def acknowledge(state: State, bearer: int, process: int, tti: int) -> None:
    """A UE has received a block in a TTI: its process can be used again when the news reaches the scheduler."""
    state.candidates[bearer].free[process] = tti + HARQ_FEEDBACK_TTIS


@inlined
def fail(state: State, cell: int, bearer: int, process: int, tti: int) -> None:
    """A UE has not been able to decode a block in a TTI: it is sent again when the news reaches the scheduler."""
    slot = (tti + HARQ_FEEDBACK_TTIS) % RING
    state.failed.block[slot, cell, state.failed.filled[slot, cell]] = bearer * PROCESSES + process
    state.failed.filled[slot, cell] += 1
