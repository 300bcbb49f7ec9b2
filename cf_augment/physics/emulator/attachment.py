"""The first connections of ns-3's UEs: when they send preambles, which of these collide, and the RNTIs that UEs get."""

from __future__ import annotations

from cf_augment.physics.constants import (
    ATTACHMENT_TTIS,
    FRAME_TTIS,
    NS3_MAC_STREAM,
    NS3_STREAMS_PER_DEVICE,
    PF_WINDOW_TTIS,
    RA_PREAMBLES,
    RAR_WINDOW_TTIS,
    SI_PERIOD_TTIS,
    SI_START_TTI,
)
from cf_augment.physics.emulator.handover import attach
from cf_augment.physics.emulator.state import State
from cf_augment.physics.emulator.traffic import random_state, uniform
from sumo_mobility.base.arrays import Ints


def connections(serving: Ints, network_streams: int, seed: int, end: int) -> list[tuple[int, int]]:
    """Plays the random access of UEs that attach one after the other (lte-network.cc).

    Args:
        serving: (U,) cell that each UE attaches to.
        network_streams: Random streams that ns-3 gives to the cells and the path loss.
        seed: RngRun of ns-3, whose preambles the UEs draw.
        end: TTI by which all are connected.

    Returns:
        (TTI, UE) in the order in which a cell gives RNTIs; the TTI is that of the preamble that got an answer.
    """
    first_stream = NS3_MAC_STREAM + network_streams
    random = [random_state(first_stream + NS3_STREAMS_PER_DEVICE * ue, seed) for ue in range(len(serving))]
    waiting: dict[int, list[int]] = {}
    for ue in range(len(serving)):
        waiting.setdefault(_first_preamble(ue, len(serving)), []).append(ue)
    connected = []
    while waiting:
        tti = min(waiting)
        senders: dict[tuple[int, int], list[int]] = {}
        for ue in waiting.pop(tti):
            # What is still colliding at the end gets an answer all the same.
            preamble = int(RA_PREAMBLES * uniform(random[ue])) if tti < end else ue
            senders.setdefault((serving[ue], preamble), []).append(ue)
        for _, ues in sorted(senders.items()):
            if len(ues) == 1:
                connected.append((tti, ues[0]))
                continue
            # Of the first preamble, sent on reading system information, ns-3 counts the window from a TTI earlier.
            is_first = (tti - SI_START_TTI) % SI_PERIOD_TTIS == 0
            waiting.setdefault(tti + RAR_WINDOW_TTIS - is_first, []).extend(ues)
    return connected


def _first_preamble(ue: int, ues: int) -> int:
    """TTI in which a UE that has read the MIB, sent in each frame, reads system information and sends a preamble."""
    heard_mib = -(-ATTACHMENT_TTIS * ue // (ues * FRAME_TTIS)) * FRAME_TTIS
    return SI_START_TTI + max(0, -(-(heard_mib - SI_START_TTI) // SI_PERIOD_TTIS)) * SI_PERIOD_TTIS


def attach_all(state: State, serving: Ints, network_streams: int, seed: int, now: int) -> None:
    """Connects all UEs as they are in ns-3 at TTI `now`: in the same order, and as long ago."""
    for tti, ue in connections(serving, network_streams, seed, now):
        me = state.ues[ue]
        attach(state, ue, serving[ue], now)
        state.candidates[me["bearer"]]["mean_rate"] = (1 - 1 / PF_WINDOW_TTIS) ** (now - tti)
        # CQI reports, in each other TTI, go on from the answer to the preamble.
        me["cqi_last"] = now - 1 + (now - tti) % 2
