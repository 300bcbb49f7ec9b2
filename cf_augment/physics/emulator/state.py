"""The data of the emulator: constants of a scenario, and the state of its network.

U UEs, C cells. A UE has two bearers, 2 u and 2 u + 1, of which it uses one; after a handover the other one lives on in
the source cell until that releases it. Times are TTIs since the start of the simulation, unless their name says ns.
Records, not an array for each field: numba compiles them in a tenth of the time; but small ones, with what every TTI
looks at apart from the rest, for the processor's cache holds little of a network.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cf_augment.physics.radio.phy import MAX_RBGS, PHY
from sumo_mobility.base.arrays import Floats, Ints

Records = NDArray[np.void]

NEVER = 2**60
"""A TTI that does not come."""
NO_CELL = -1
PROCESSES = 8
"""HARQ processes of a bearer, TS 36.213 7: ns-3's HARQ_PROC_NUM."""
RING = 16
"""TTIs for which something can be under way; more than any delay between eNB and UE, and from the source to the eNB."""
WINDOW = 512
"""PDUs that RLC can put in order, TS 36.322 7.2."""
HORIZON = 128
"""TTIs that the calendar reaches ahead; RLC's reordering timer at least."""
WORD = 32
"""UEs in a word of the calendar."""
HISTORY = 3
"""Failed receptions of a block that a UE combines with the next one: ns-3 LteHarqPhy."""

STARTS_INSIDE, ENDS_INSIDE = 1, 2
"""Edges of a PDU: whether it starts or ends inside an SDU."""

_INT, _FLOAT, _BOOL = "i8", "f8", "?"

UE = np.dtype(
    [
        ("serving", _INT),
        ("bearer", _INT),
        # The serving cell that the last evaluation of event A3 saw.
        ("event_cell", _INT),
        # Where the UE goes at the end of this TTI: another cell, or its own if the radio link has failed.
        ("target", _INT),
        # Consecutive measurements below Qout, and above Qin while T310 runs, and when it expires.
        ("out_of_sync", _INT),
        ("in_sync", _INT),
        ("t310_end", _INT),
        ("handover_end", _INT),
        # The cell that a handover or a radio link failure has taken it from.
        ("left", _INT),
        # Packets that wait in the target cell for the end of the handover.
        ("forwarded", _INT),
        ("cqi_last", _INT),
        ("cqi_request_end", _INT),
        # The gain period for which channel_sinr and channel_miss hold, those of the control region.
        ("channel_stamp", _INT),
        ("channel_sinr", _FLOAT),
        ("channel_miss", _FLOAT),
        # Of the data region, when the UE heard it last before the end of the interval.
        ("data_sinr", _FLOAT),
        ("interval_ns", _INT),
        # When the next packet is sent, NEVER before the first is drawn.
        ("send_ns", _INT),
        # The end of the on time; before the first packet, when the source starts.
        ("off_ns", _INT),
        # What the last on time left over of an interval.
        ("elapsed_ns", _INT),
        # ns-3's random streams of the source.
        ("random", _INT, (2, 6)),
        # Packets that reach the eNB, by TTI.
        ("underway", _INT, (RING,)),
        # Of a full buffer: the next packet to be sent, and the next one after all that were delivered.
        ("sent", _INT),
        ("expected", _INT),
        # Packets that have reached the eNB.
        ("arrived", _INT),
        # Packets delivered in this interval.
        ("delivered", _INT),
    ]
)

BEARERS = np.dtype(
    [
        ("cell", _INT),
        ("rnti", _INT),
        ("packets", _INT),
        # What is left of the first packet of the queue, and its number; SDUs of a bearer are counted from 0.
        ("head_bytes", _INT),
        ("head_sdu", _INT),
        # Number of SDU 0 among the packets of the UE.
        ("base", _INT),
        ("report_due", _INT),
        # Reported, by the TTI at which the scheduler learns of it; -1 none.
        ("cqi_underway", _INT, (RING,)),
        # From when on the scheduler learns nothing more of what became of its blocks: the UE hands over.
        ("feedback_end", _INT),
        ("next_sn", _INT),
        # State variables of TS 36.322 7.1, without modulus.
        ("vr_ur", _INT),
        ("vr_ux", _INT),
        ("vr_uh", _INT),
        ("reorder_due", _INT),
        ("next_in_order", _INT),
        # Whether the receiver holds the beginning of an SDU.
        ("holds_part", _BOOL),
    ],
    align=True,
)

CANDIDATE = np.dtype(
    [
        # What the scheduler believes to be queued.
        ("reported_bytes", _INT),
        ("cqi", _INT),
        # Bytes a second that proportional fair scheduling has granted.
        ("mean_rate", _FLOAT),
        # TTI of the last retransmission.
        ("resent", _INT),
        # The HARQ process used last, and when each can be used again.
        ("process", _INT),
        ("free", _INT, (PROCESSES,)),
    ]
)

BLOCK = np.dtype(
    [
        # The PDU in it, -1 none.
        ("sn", _INT),
        ("cqi", _INT),
        ("bytes", _INT),
        # Bit map.
        ("rbgs", _INT),
        # How often it was sent again.
        ("sendings", _INT),
        # What the UE keeps: how often it failed, mutual information, code bits, and bits of the first.
        ("failures", _INT),
        ("failed_mi", _FLOAT, (HISTORY,)),
        ("failed_bits", _INT, (HISTORY,)),
        ("failed_size", _INT),
    ]
)

PDU = np.dtype(
    [
        # Its first SDU, and how many SDUs or parts of them it has.
        ("first_sdu", _INT),
        ("count", "i4"),
        ("edges", "i2"),
        ("received", _BOOL),
    ],
    align=True,
)

CELL = np.dtype(
    [
        # Packets sent to and delivered to UEs of the cell in this interval, and PRBs granted.
        ("arrived", _INT),
        ("delivered", _INT),
        ("prbs", _INT),
        ("members", _INT),
        ("next_rnti", _INT),
        ("last_served_rnti", _INT),
        # Bit map of the RBGs on which the cell sent data in the TTI before this one.
        ("sent", _INT),
    ]
)

CONFIG = np.dtype(
    [
        *((name, PHY[name]) for name in PHY.names or ()),
        # Size of an RLC SDU.
        ("packet_bytes", _INT),
        ("buffer_bytes", _INT),
        # Bytes a second on one RBG by CQI, as proportional fair scheduling sees them.
        ("rbg_rate", _FLOAT, (16,)),
        ("round_robin", _BOOL),
        ("a3_offset_db", _FLOAT),
        # Measurements below Qout that start T310, how long it runs, and measurements above Qin that stop it.
        ("n310", _INT),
        ("t310_ttis", _INT),
        ("in_sync", _INT),
        ("traffic", _INT),
        ("mean_on_ns", _FLOAT),
        ("mean_off_ns", _FLOAT),
        ("window_packets", _INT),
    ],
    align=True,
)


Config = Any
"""A record of CONFIG."""


class Slots(NamedTuple):
    """Blocks of cells by TTI, each as its bearer times PROCESSES plus its process."""

    filled: Ints
    """(RING, C) how many there are."""
    block: Ints
    """(RING, C, MAX_RBGS)."""


class Received(NamedTuple):
    """What the UEs receive in an interval."""

    power_mw: Floats
    """(T, U, C) power of one resource element."""
    power_step: int
    """TTIs from one T to the next."""
    l1_dbm: Floats
    """(K, U, C) L1 measurements."""


class Parameters(NamedTuple):
    """The handover parameters of an interval."""

    offset_db: Floats
    """(C, C) by serving cell and neighbour; minus infinity where the cells are no neighbours."""
    hysteresis_db: Floats
    """(C,)."""
    time_to_trigger: Ints
    """(C,) in TTIs."""


class State(NamedTuple):
    """State of the network."""

    ues: Records
    """(U,) of UE."""
    bearers: Records
    """(2 U,) of BEARERS."""
    candidates: Records
    """(2 U,) of CANDIDATE."""
    blocks: Records
    """(2 U, PROCESSES) of BLOCK, as last sent."""
    pdus: Records
    """(2 U, WINDOW) of PDU."""
    cells: Records
    """(C,) of CELL."""
    members: Ints
    """(C, 2 U) bearers of a cell by RNTI."""
    sent: Slots
    """Blocks by the TTI that they are sent in."""
    failed: Slots
    """Blocks to be sent again, by the TTI at which the scheduler learns of it."""
    calendar: Ints
    """(HORIZON, U / WORD) bit maps of the UEs to look at in a TTI."""
    l3_dbm: Floats
    """(U, C)."""
    due: Ints
    """(U, C) when the time to trigger of a neighbour ends."""


def initial_state(ues: int, cells: int) -> State:
    """Returns a network in which no UE has a cell."""

    def no_blocks() -> Slots:
        return Slots(np.zeros((RING, cells), np.int64), np.zeros((RING, cells, MAX_RBGS), np.int64))

    state = State(
        ues=np.zeros(ues, UE),
        bearers=np.zeros(2 * ues, BEARERS),
        candidates=np.zeros(2 * ues, CANDIDATE),
        blocks=np.zeros((2 * ues, PROCESSES), BLOCK),
        pdus=np.zeros((2 * ues, WINDOW), PDU),
        cells=np.zeros(cells, CELL),
        members=np.zeros((cells, 2 * ues), dtype=np.int64),
        sent=no_blocks(),
        failed=no_blocks(),
        calendar=np.zeros((HORIZON, -(-ues // WORD)), dtype=np.int64),
        l3_dbm=np.zeros((ues, cells)),
        due=np.full((ues, cells), NEVER),
    )
    state.ues["serving"] = state.ues["event_cell"] = state.ues["target"] = state.bearers["cell"] = NO_CELL
    state.ues["bearer"] = 2 * np.arange(ues)
    state.ues["handover_end"] = state.ues["t310_end"] = state.ues["send_ns"] = NEVER
    state.ues["channel_stamp"] = state.candidates["resent"] = -1
    state.bearers["report_due"] = state.bearers["reorder_due"] = NEVER
    for ue in range(ues):
        state.calendar[:, ue // WORD] |= 1 << ue % WORD
    return state
