"""The table of definitions against the types that use it, and ping-pongs against brute force."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ns3_scenarios.kpis import EVENT_DTYPE, HANDOVER_FAILURES, KPI_TABLE, EventKind, StepKpis, ping_pongs

UNIT_OF_SUFFIX = {"s": "s", "bps": "bit/s", "m": "m", "dbm": "dBm", "db": "dB"}


def test_the_table_defines_every_field_and_every_kind_of_event() -> None:
    assert {kpi.name for kpi in KPI_TABLE.step} | {"events"} == {field.name for field in fields(StepKpis)}
    assert {kind.name: kind.number for kind in KPI_TABLE.event_kinds} == {kind.name: kind.value for kind in EventKind}
    for kpi in KPI_TABLE.step:
        assert kpi.unit == UNIT_OF_SUFFIX.get(kpi.name.rsplit("_", 1)[-1], "1"), kpi.name
    assert len(HANDOVER_FAILURES) == 4


def brute_force_ping_pongs(events: np.ndarray, window_s: float) -> int:
    """Walks through time with what each UE did last."""
    last: dict[int, tuple[float, int, int]] = {}
    count = 0
    for time_s, ue, source, target, kind in events.tolist():
        if kind != EventKind.HANDOVER_OK:
            continue
        if ue in last:
            then_s, from_cell, to_cell = last[ue]
            count += time_s - then_s <= window_s and (source, target) == (to_cell, from_cell)
        last[ue] = time_s, source, target
    return count


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2), st.integers(0, 2), st.integers(0, 2), st.integers(0, 3))),
    st.integers(0, 10),
)
def test_ping_pongs_are_those_of_brute_force(rows: list[tuple[int, int, int, int, int]], window_s: int) -> None:
    events = np.array(sorted(rows, key=lambda row: row[0]), dtype=EVENT_DTYPE)
    assert ping_pongs(events, window_s) == brute_force_ping_pongs(events, window_s)


def test_ping_pongs_by_hand() -> None:
    done = EventKind.HANDOVER_OK
    events = np.array(
        [
            (0.0, 1, 0, 1, done),
            (1.0, 2, 1, 0, done),  # another UE
            (2.0, 1, 1, 0, EventKind.HANDOVER_START),
            (5.0, 1, 1, 0, done),  # back after 5 s: the first
            (6.0, 1, 0, 2, done),
            (7.0, 1, 2, 1, done),  # round the corner is not back
            (12.5, 1, 1, 2, done),  # back, but late
            (13.0, 1, 2, 1, done),  # the second
        ],
        dtype=EVENT_DTYPE,
    )
    assert ping_pongs(events, 5.0) == 2
