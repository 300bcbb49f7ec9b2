"""Handover metrics read off a UE's stays, sentence by sentence; times are whole milliseconds.

TR 36.839 5.2, quoted from memory: "The time of stay in a cell A is the duration from when the UE successfully sends a
handover complete message to the cell A, to when the UE successfully sends a handover complete message to another cell
B." "A handover from cell B to cell A then handover back to cell B is defined as a ping-pong if the time of stay
connected in cell A is less than a minimum time of stay (MTS)", for which 1 s is recommended. A stay of less than the
MTS is a short stay: the handover into it was unnecessary.

TS 36.300 22.4.2.2, quoted from memory: "[Too Late Handover] there is no recent handover for the UE prior to the
connection failure, i.e., the UE reported timer is absent or larger than the configured threshold (e.g.
Tstore_UE_cntxt)" and the UE connects again in another cell. "[Too Early Handover] there is a recent handover for the UE
prior to the connection failure, i.e., the UE reported timer is smaller than the configured threshold, and the first
re-establishment attempt cell is the cell that served the UE at the last handover initialisation." "[Handover to Wrong
Cell] there is a recent handover ..., and the first re-establishment attempt cell is neither the cell that served the UE
at the last handover initialisation nor the cell that served the UE where the RLF happened or the cell that the handover
was initialised toward." The timer runs from the last handover initialisation (TS 36.331 6.2.2, timeConnFailure).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Stay:
    """What a UE lived through in one cell.

    Attributes:
        cell: The cell.
        begin_ms: When the UE was connected to it.
        end_ms: When it was connected to the next one, or lost the connection.
        entered: How it came.
        left: How it went; "unconfirmed handover" if no handover complete has reached the next cell, "failed handover"
            towards the cell `towards`, "nothing" where the record ends.
        initialised_ms: When the handover began by which it came.
    """

    cell: int
    begin_ms: int
    end_ms: int
    entered: Literal["handover", "connection"]
    left: Literal["handover", "unconfirmed handover", "link failure", "failed handover", "nothing"]
    initialised_ms: int = 0
    towards: int = -1


def is_short(stay: Stay, minimum_ms: int) -> bool:
    """Whether a stay between two handovers was less than the minimum."""
    return stay.entered == "handover" and stay.left == "handover" and stay.end_ms - stay.begin_ms < minimum_ms


def unnecessary_handovers(stays: list[Stay], minimum_ms: int) -> int:
    """Short stays of one UE."""
    return sum(is_short(stay, minimum_ms) for stay in stays)


def ping_pongs(stays: list[Stay], minimum_ms: int) -> int:
    """Short stays of one UE that ended where they began."""
    return sum(
        is_short(stays[k], minimum_ms) and stays[k - 1].cell == stays[k + 1].cell for k in range(1, len(stays) - 1)
    )


def causes(stays: list[Stay], threshold_ms: int) -> list[tuple[int, int, str]]:
    """Time in ms, cell and cause of each connection failure of one UE."""
    found = []
    for k, stay in enumerate(stays):
        if stay.left not in ("link failure", "failed handover"):
            continue
        if stay.left == "failed handover":
            failed_in, handover_from, is_recent = stay.towards, stay.cell, True
        else:
            is_recent = stay.entered == "handover" and stay.end_ms - stay.initialised_ms < threshold_ms
            failed_in, handover_from = stay.cell, stays[k - 1].cell if is_recent else -1
        if k + 1 == len(stays):
            cause = "unknown"
        elif stays[k + 1].cell == failed_in:
            cause = "coverage"
        elif not is_recent:
            cause = "too late"
        elif stays[k + 1].cell == handover_from:
            cause = "too early"
        else:
            cause = "wrong cell"
        found.append((stay.end_ms, failed_in, cause))
    return found
