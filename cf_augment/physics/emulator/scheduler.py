"""ns-3's proportional fair and round robin schedulers (pf-ff-mac-scheduler.cc, rr-ff-mac-scheduler.cc)."""

from __future__ import annotations

from numba import njit

from cf_augment.physics.constants import (
    HARQ_FEEDBACK_TTIS,
    HARQ_TIMEOUT_TTIS,
    MAC_TO_CHANNEL_TTIS,
    MAX_RETRANSMISSIONS,
    PF_WINDOW_TTIS,
    RLC_BYTES,
)
from cf_augment.physics.emulator.rlc import build_pdu
from cf_augment.physics.emulator.state import (
    BEARER,
    BYTES,
    CQI,
    PROCESS,
    PROCESSES,
    RBGS,
    RING,
    SENDINGS,
    SN,
    Config,
    Ints,
    State,
)


@njit
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


@njit
def _send_again(config: Config, state: State, cell: int, tti: int) -> int:
    """Sends failed blocks again, on the RBGs they had; returns the bit map of RBGs used."""
    used = 0
    slot = tti % RING
    for index in range(state.cells[cell].failed_count[slot]):
        bearer, process = state.cells[cell].failed[slot, index]
        queue = state.bearers[bearer]
        if queue.cell != cell:
            continue
        block = queue.harq_block[process]
        if block[SENDINGS] == MAX_RETRANSMISSIONS:
            queue.harq_free[process] = tti
            continue
        block[SENDINGS] += 1
        queue.resent = tti
        used |= block[RBGS]
        _send(config, state, cell, block, tti)
    state.cells[cell].failed_count[slot] = 0
    return used


@njit
def _send(config: Config, state: State, cell: int, block: Ints, tti: int) -> None:
    slot, sender = (tti + MAC_TO_CHANNEL_TTIS) % RING, state.cells[cell]
    sender.blocks[slot, sender.block_count[slot]] = block
    sender.block_count[slot] += 1
    state.bearers[block[BEARER]].harq_free[block[PROCESS]] = tti + HARQ_TIMEOUT_TTIS
    state.cells[cell].prbs += count_rbgs(block[RBGS]) * config.rbg_size_rb


@njit
def count_rbgs(bits: int) -> int:
    count = 0
    while bits:
        bits &= bits - 1
        count += 1
    return count


@njit
def _can_send(state: State, bearer: int, tti: int) -> bool:
    """Whether a bearer has data, a channel and a HARQ process for a new block."""
    queue = state.bearers[bearer]
    if queue.reported_bytes == 0 or queue.cqi == 0 or queue.resent == tti:
        return False
    for process in range(PROCESSES):  # noqa: SIM110 - numba has no generators of that kind
        if queue.harq_free[process] <= tti:
            return True
    return False


@njit
def _grant(config: Config, state: State, cell: int, bearer: int, rbgs: int, tti: int) -> int:
    """Sends a new block on the RBGs of a bit map; returns its size in bytes."""
    queue = state.bearers[bearer]
    process = (queue.harq_current + 1) % PROCESSES
    while queue.harq_free[process] > tti:
        process = (process + 1) % PROCESSES
    queue.harq_current = process
    size = config.block_bytes[queue.cqi, count_rbgs(rbgs)]
    queue.reported_bytes = max(0, queue.reported_bytes - (size - RLC_BYTES))
    block = queue.harq_block[process]
    block[BEARER], block[PROCESS], block[CQI] = bearer, process, queue.cqi
    block[BYTES], block[RBGS], block[SENDINGS] = size, rbgs, 0
    block[SN] = build_pdu(config, state, bearer, size, tti)
    _send(config, state, cell, block, tti)
    return size


@njit
def _proportional_fair(config: Config, state: State, cell: int, tti: int, used: int) -> None:
    """All free RBGs go to one bearer, for a CQI is the same on all of them, whatever it has to send."""
    members = state.members[cell, : state.cells[cell].members]
    best, best_metric = -1, 0.0
    for bearer in members:
        if _can_send(state, bearer, tti):
            queue = state.bearers[bearer]
            metric = config.rbg_rate[queue.cqi] / queue.mean_rate
            if metric > best_metric:
                best, best_metric = bearer, metric
    size = 0
    if best >= 0:
        size = _grant(config, state, cell, best, ~used & ((1 << config.rbgs) - 1), tti)
    for bearer in members:
        state.bearers[bearer].mean_rate *= 1 - 1 / PF_WINDOW_TTIS
    if best >= 0:
        state.bearers[best].mean_rate += size * 1000 / PF_WINDOW_TTIS


@njit
def _round_robin(config: Config, state: State, cell: int, tti: int, used: int) -> None:
    """Equal shares, counted in RBGs, for all who have something to send, by RNTI after the one served last."""
    members = state.members[cell, : state.cells[cell].members]
    active = 0
    for bearer in members:
        if _can_send(state, bearer, tti):
            active += 1
    if active == 0:
        return
    free = config.rbgs - count_rbgs(used)
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


@njit
def acknowledge(state: State, block: Ints, tti: int) -> None:
    """A UE has received a block in a TTI: its process can be used again when the news reaches the scheduler."""
    state.bearers[block[BEARER]].harq_free[block[PROCESS]] = tti + HARQ_FEEDBACK_TTIS


@njit
def fail(state: State, cell: int, block: Ints, tti: int) -> None:
    """A UE has not been able to decode a block in a TTI: it is sent again when the news reaches the scheduler."""
    slot = (tti + HARQ_FEEDBACK_TTIS) % RING
    index = state.cells[cell].failed_count[slot]
    state.cells[cell].failed[slot, index, 0] = block[BEARER]
    state.cells[cell].failed[slot, index, 1] = block[PROCESS]
    state.cells[cell].failed_count[slot] = index + 1
