"""Counts of mobility robustness optimisation: ping-pongs, unnecessary handovers, and failures by their cause.

All are pure functions of the events of an episode, EVENT_DTYPE in order of time, from any back end. The definitions are
those of TR 36.839 5.2 and TS 36.300 22.4.2, quoted from memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from ns3_scenarios.kpis import HANDOVER_FAILURES, EventKind
from sumo_mobility.base.arrays import Bools

CONNECTION_FAILURES = (
    EventKind.RADIO_LINK_FAILURE,
    *(kind for kind in HANDOVER_FAILURES if kind is not EventKind.HANDOVER_FAILED_NO_PREAMBLE),
)
"""The events with which a UE loses its connection; who is refused a preamble stays where it is."""
_NANO = 9
"""Decimals of a time that are exact in all back ends."""


class FailureCause(StrEnum):
    """Why a UE lost its connection, by TS 36.300 22.4.2; a recent handover is one within Tstore_UE_cntxt before it."""

    TOO_LATE = "too late"
    """No recent handover, and the UE connects again in another cell."""
    TOO_EARLY = "too early"
    """The connection is lost during or after a recent handover, and the UE connects again in its source cell."""
    WRONG_CELL = "wrong cell"
    """The connection is lost during or after a recent handover, and the UE connects again in a third cell."""
    COVERAGE = "coverage"
    """None of the three: the UE connects again in the cell in which it failed, so that no handover was at fault."""
    UNKNOWN = "unknown"
    """The events do not say where the UE connects again: it has not yet, or was recorded without that event."""


class ConnectionFailure(NamedTuple):
    """A connection that a UE has lost.

    Attributes:
        time_s: When, in trace time.
        ue: Index of the UE.
        cell: Where: the cell whose link failed, or the target of the handover that failed; the source, if its command
            never reached the UE.
        cause: Why.
    """

    time_s: float
    ue: int
    cell: int
    cause: FailureCause


class _Handover(NamedTuple):
    start_s: float
    source: int
    target: int


class _Loss(NamedTuple):
    time_s: float
    cell: int
    recent: _Handover | None


def ping_pongs(events: np.ndarray, minimum_stay_s: float) -> int:
    """Counts the handovers that take a UE back to where it came from before the minimum time of stay (TR 36.839 5.2).

    A UE goes from cell A to B and back to A, and its time of stay in B, from the completion of the one handover to
    that of the other, is less than the minimum. Both are handovers: a stay that begins or ends with a failure and a
    new connection does not count.

    Args:
        events: EVENT_DTYPE in order of time.
        minimum_stay_s: The minimum time of stay, handover.ping_pong_window_s of a scenario.
    """
    before, after = _short_stays(events, minimum_stay_s)
    return int((before["source_cell"] == after["target_cell"]).sum())


def unnecessary_handovers(events: np.ndarray, minimum_stay_s: float) -> int:
    """Counts the handovers whose stay in the target ends before its minimum with another handover (TR 36.839 5.2).

    These are the ping-pongs, and the short stays on the way to a third cell, to which the UE could have gone at once.

    Args:
        events: EVENT_DTYPE in order of time.
        minimum_stay_s: The minimum time of stay, handover.ping_pong_window_s of a scenario.
    """
    return len(_short_stays(events, minimum_stay_s)[0])


def connection_failures(events: np.ndarray, context_store_s: float) -> list[ConnectionFailure]:
    """Finds the connections that UEs have lost, and why (TS 36.300 22.4.2), by UE and in order of time.

    Counted from the start of a handover, as timeConnFailure of a UE's report is (TS 36.331 6.2.2), a failure is recent
    in less than Tstore_UE_cntxt. Failures of a UE that has not connected again in between are one; where the link
    failed, if it did, tells of it more than what the network has seen of a handover.

    Args:
        events: EVENT_DTYPE in order of time.
        context_store_s: Tstore_UE_cntxt, handover.ue_context_store_s of a scenario.
    """
    rows = events[np.argsort(events["ue"], kind="stable")].tolist()
    return [
        failure for ue, own in groupby(rows, key=lambda row: row[1]) for failure in _of_ue(ue, own, context_store_s)
    ]


def _short_stays(events: np.ndarray, minimum_stay_s: float) -> tuple[np.ndarray, np.ndarray]:
    """The completed handovers between which a UE stayed in a cell for less than the minimum: those in, those out."""
    ends = [EventKind.HANDOVER_OK, *CONNECTION_FAILURES, EventKind.CONNECTION_REESTABLISHED]
    ended = events[np.isin(events["kind"], ends)]
    ended = ended[np.argsort(ended["ue"], kind="stable")]
    before, after = ended[:-1], ended[1:]
    done: Bools = ended["kind"] == EventKind.HANDOVER_OK
    stays = done[:-1] & done[1:] & (before["ue"] == after["ue"]) & (before["target_cell"] == after["source_cell"])
    # Rounded, for a stay that lasts the minimum exactly is not less.
    short = stays & (np.round(after["time_s"] - before["time_s"], _NANO) < minimum_stay_s)
    return before[short], after[short]


def _of_ue(ue: int, rows: Iterator[Any], context_store_s: float) -> Iterator[ConnectionFailure]:
    """The failures of one UE, whose events come in order of time."""
    begun: _Handover | None = None
    arrival: _Handover | None = None
    loss: _Loss | None = None

    def recent(handover: _Handover | None, cell: int, time_s: float) -> _Handover | None:
        if handover is None or handover.target != cell:
            return None
        return handover if round(time_s - handover.start_s, _NANO) < context_store_s else None

    for time_s, _, source, target, kind in rows:
        if kind == EventKind.RADIO_LINK_FAILURE:
            first_s = loss.time_s if loss else time_s
            loss = _Loss(first_s, source, recent(begun, source, time_s) or recent(arrival, source, time_s))
        elif kind == EventKind.HANDOVER_FAILED_NO_COMMAND:  # for the UE there was no handover
            loss = loss or _Loss(time_s, source, recent(arrival, source, time_s))
        elif kind in CONNECTION_FAILURES:
            loss = loss or _Loss(time_s, target, _Handover(time_s, source, target))
        elif kind == EventKind.CONNECTION_REESTABLISHED:
            if loss:
                yield ConnectionFailure(loss.time_s, ue, loss.cell, _cause(loss, target))
            begun = arrival = loss = None
        elif kind in (EventKind.HANDOVER_START, EventKind.HANDOVER_OK):
            if loss:  # it is connected, who knows how
                yield ConnectionFailure(loss.time_s, ue, loss.cell, FailureCause.UNKNOWN)
                begun = arrival = loss = None
            if kind == EventKind.HANDOVER_START:
                begun = _Handover(time_s, source, target)
            else:
                same = begun is not None and begun.target == target
                begun, arrival = None, begun if same else _Handover(time_s, source, target)
    if loss:
        yield ConnectionFailure(loss.time_s, ue, loss.cell, FailureCause.UNKNOWN)


def _cause(loss: _Loss, cell: int) -> FailureCause:
    """Returns the cause of a lost connection whose UE connects again in `cell`."""
    if cell == loss.cell:
        return FailureCause.COVERAGE
    if loss.recent is None:
        return FailureCause.TOO_LATE
    return FailureCause.TOO_EARLY if cell == loss.recent.source else FailureCause.WRONG_CELL
