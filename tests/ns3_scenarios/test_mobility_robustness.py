"""Ping-pongs, unnecessary handovers and causes of failures against the clauses' text, read off whole histories."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reference import mobility_robustness as reference
from reference.mobility_robustness import Stay

from ns3_scenarios.kpis import EVENT_DTYPE, EventKind
from ns3_scenarios.mobility_robustness import (
    ConnectionFailure,
    FailureCause,
    connection_failures,
    ping_pongs,
    unnecessary_handovers,
)

START, OK, LOST, AGAIN = (
    EventKind.HANDOVER_START, EventKind.HANDOVER_OK, EventKind.RADIO_LINK_FAILURE, EventKind.CONNECTION_REESTABLISHED
)  # fmt: skip
NO_ANSWER, LEAVING, UNHEARD = (
    EventKind.HANDOVER_FAILED_MAX_RACH, EventKind.HANDOVER_FAILED_LEAVING, EventKind.HANDOVER_FAILED_NO_COMMAND
)  # fmt: skip
CELLS, STEP_MS, MOVE_MS = 3, 100, 4
Row = tuple[int, int, int, int, int]


def events_of(rows: list[Row]) -> np.ndarray:
    """Events of (time in ms, UE, source, target, kind)."""
    return np.array([(ms / 1000, *rest) for ms, *rest in sorted(rows, key=lambda row: row[0])], dtype=EVENT_DTYPE)


@st.composite
def histories(draw: Callable[[st.SearchStrategy[int]], int]) -> tuple[list[Stay], list[Row]]:
    """A UE's stays, and what a network logs of them: at times a command is lost, or a confirmation."""
    stays: list[Stay] = []
    rows: list[Row] = []
    cell, now_ms, initialised_ms, entered = draw(st.integers(0, CELLS - 1)), 0, 0, "connection"
    for _ in range(draw(st.integers(0, 12))):
        begin_ms, now_ms = now_ms, now_ms + STEP_MS * draw(st.integers(1, 60))
        other = (cell + draw(st.integers(1, CELLS - 1))) % CELLS
        what = draw(st.integers(0, 8))
        if what <= 2:  # a handover
            now_ms += MOVE_MS
            stays.append(Stay(cell, begin_ms, now_ms, entered, "handover", initialised_ms))
            rows += [(now_ms - MOVE_MS, 0, cell, other, START), (now_ms, 0, cell, other, OK)]
            cell, entered, initialised_ms = other, "handover", now_ms - MOVE_MS
            continue
        if what == 3:  # it is refused, and stays
            rows.append((now_ms - 1, 0, cell, other, EventKind.HANDOVER_FAILED_NO_PREAMBLE))
        if what == 4:  # a handover that gets no answer
            rows += [(now_ms - 50, 0, cell, other, START), (now_ms, 0, cell, other, NO_ANSWER)]
            stays.append(Stay(cell, begin_ms, now_ms, entered, "failed handover", initialised_ms, other))
            lost_by = cell
        elif what == 5:  # it is in the target, which has not heard so, and loses the link there
            rows += [(now_ms - 50, 0, cell, other, START), (now_ms, 0, other, -1, LOST)]
            stays.append(Stay(cell, begin_ms, now_ms - 50, entered, "unconfirmed handover", initialised_ms))
            stays.append(Stay(other, now_ms - 50, now_ms, "handover", "link failure", now_ms - 50))
            lost_by = other
        elif what == 6:  # a command that the UE never hears: for the UE the link of its cell has failed
            rows += [(now_ms - 50, 0, cell, other, START), (now_ms, 0, cell, other, UNHEARD)]
            if draw(st.integers(0, 1)):  # and it says so itself, later
                rows.append((now_ms + 20, 0, cell, -1, LOST))
            stays.append(Stay(cell, begin_ms, now_ms, entered, "link failure", initialised_ms))
            lost_by = cell
        else:  # the link fails, perhaps with a command underway that the UE has not heard
            stays.append(Stay(cell, begin_ms, now_ms, entered, "link failure", initialised_ms))
            if what == 7:
                rows.append((now_ms - 60, 0, cell, other, START))
                if draw(st.integers(0, 1)):
                    rows.append((now_ms - 10, 0, cell, other, LEAVING))
            rows.append((now_ms, 0, cell, -1, LOST))
            lost_by = cell
        now_ms += STEP_MS
        cell, entered, initialised_ms = draw(st.integers(0, CELLS - 1)), "connection", 0
        rows.append((now_ms, 0, lost_by, cell, AGAIN))
    if rows and rows[-1][-1] == AGAIN and draw(st.integers(0, 1)):
        rows.pop()  # the record ends before the UE is connected
    else:
        stays.append(Stay(cell, now_ms, now_ms + STEP_MS, entered, "nothing", initialised_ms))
    return stays, rows


@given(st.lists(histories(), max_size=3), st.integers(1, 60))
def test_everything_is_as_the_text_has_it(found: list[tuple[list[Stay], list[Row]]], steps: int) -> None:
    window_ms = STEP_MS * steps
    events = events_of([(ms, ue, *rest) for ue, (_, rows) in enumerate(found) for ms, _, *rest in rows])
    histories_ = [stays for stays, _ in found]
    assert ping_pongs(events, window_ms / 1000) == sum(reference.ping_pongs(one, window_ms) for one in histories_)
    unnecessary = sum(reference.unnecessary_handovers(one, window_ms) for one in histories_)
    assert unnecessary_handovers(events, window_ms / 1000) == unnecessary
    told = [(ue, cell, str(cause)) for _, ue, cell, cause in connection_failures(events, window_ms / 1000)]
    assert told == [(ue, *rest) for ue, one in enumerate(histories_) for _, *rest in reference.causes(one, window_ms)]


@given(st.lists(st.tuples(*(st.integers(low, high) for low, high in ((0, 9), (0, 1), (-1, 2), (-1, 2), (0, 8))))))
@example([(0, 0, 0, 1, 1), (0, 0, 1, 0, 1)])
def test_any_events_are_counted(rows: list[Row]) -> None:
    """Also such as no network logs: every failure has one cause, and a ping-pong is unnecessary."""
    events = events_of([(1000 * row[0], *row[1:]) for row in rows])  # type: ignore[misc]
    failures = connection_failures(events, 5.0)
    links = int((events["kind"] == LOST).sum())
    assert len(failures) <= links + int((events["kind"] >= NO_ANSWER).sum())
    assert (len(failures) > 0) or not links
    assert ping_pongs(events, 1.0) <= unnecessary_handovers(events, 1.0) <= (events["kind"] == OK).sum()


@pytest.mark.parametrize(("stay_ms", "ping_pong"), [(999, 1), (1000, 0), (1001, 0)])
@pytest.mark.parametrize("first_ms", [4, 204, 1004, 7804])
def test_a_stay_of_the_minimum_is_long_enough(stay_ms: int, ping_pong: int, first_ms: int) -> None:
    events = events_of([(first_ms, 1, 0, 1, OK), (first_ms + stay_ms, 1, 1, 0, OK)])
    assert ping_pongs(events, 1.0) == unnecessary_handovers(events, 1.0) == ping_pong


def test_short_stays_by_hand() -> None:
    events = events_of(
        [
            (0, 1, 0, 1, OK),
            (300, 2, 1, 0, OK),  # another UE
            (600, 1, 1, 0, START),
            (700, 1, 1, 0, OK),  # back: a ping-pong
            (1200, 1, 0, 2, OK),  # a short stay again, but on the way
            (2300, 1, 2, 0, OK),  # back, but late
            (2400, 1, 0, -1, LOST),
            (2500, 1, 0, 0, AGAIN),
            (2600, 1, 0, 2, OK),  # back, but the stay began with a connection
            (2700, 1, 2, -1, LOST),
            (2750, 1, 2, 0, AGAIN),  # back, but not by a handover
            (2800, 1, 0, 2, OK),
        ]
    )
    assert ping_pongs(events, 1.0) == 1
    assert unnecessary_handovers(events, 1.0) == 2


@pytest.mark.parametrize(
    ("rows", "cell", "cause"),
    [
        ([(9000, 1, 0, -1, LOST), (9100, 1, 0, 1, AGAIN)], 0, FailureCause.TOO_LATE),
        ([(9000, 1, 0, -1, LOST), (9100, 1, 0, 0, AGAIN)], 0, FailureCause.COVERAGE),
        ([(9000, 1, 0, -1, LOST)], 0, FailureCause.UNKNOWN),
        ([(9000, 1, 0, -1, LOST), (9900, 1, 1, 2, START)], 0, FailureCause.UNKNOWN),  # as older records have it
        ([(4001, 1, 2, 0, START), (9000, 1, 0, -1, LOST), (9100, 1, 0, 2, AGAIN)], 0, FailureCause.TOO_EARLY),
        ([(4000, 1, 2, 0, OK), (9000, 1, 0, -1, LOST), (9100, 1, 0, 2, AGAIN)], 0, FailureCause.TOO_LATE),
        ([(5000, 1, 2, 0, OK), (9000, 1, 0, -1, LOST), (9100, 1, 0, 1, AGAIN)], 0, FailureCause.WRONG_CELL),
        ([(5000, 1, 2, 0, OK), (9000, 1, 0, -1, LOST), (9100, 1, 0, 0, AGAIN)], 0, FailureCause.COVERAGE),
        ([(8500, 1, 2, 0, START), (9000, 1, 2, 0, NO_ANSWER), (9100, 1, 2, 2, AGAIN)], 0, FailureCause.TOO_EARLY),
        ([(8500, 1, 2, 0, START), (9000, 1, 2, 0, NO_ANSWER), (9100, 1, 2, 1, AGAIN)], 0, FailureCause.WRONG_CELL),
        ([(8500, 1, 2, 0, START), (9000, 1, 2, 0, NO_ANSWER), (9100, 1, 2, 0, AGAIN)], 0, FailureCause.COVERAGE),
        ([(8500, 1, 0, 2, START), (9000, 1, 0, 2, UNHEARD), (9100, 1, 0, 2, AGAIN)], 0, FailureCause.TOO_LATE),
        ([(8500, 1, 0, 2, START), (9000, 1, 0, 2, UNHEARD), (9100, 1, 0, 1, AGAIN)], 0, FailureCause.TOO_LATE),
        ([(8500, 1, 0, 2, START), (9000, 1, 0, 2, UNHEARD), (9100, 1, 0, 0, AGAIN)], 0, FailureCause.COVERAGE),
        ([(5000, 1, 2, 0, OK), (9000, 1, 0, 2, UNHEARD), (9100, 1, 0, 2, AGAIN)], 0, FailureCause.TOO_EARLY),
        ([(5000, 1, 2, 0, OK), (9000, 1, 0, 2, UNHEARD), (9100, 1, 0, 1, AGAIN)], 0, FailureCause.WRONG_CELL),
    ],
)
def test_causes_by_hand(rows: list[Row], cell: int, cause: FailureCause) -> None:
    """Tstore_UE_cntxt is 5 s; a handover that began 5 s before the failure is not recent."""
    assert connection_failures(events_of(rows), 5.0) == [ConnectionFailure(9.0, 1, cell, cause)]
