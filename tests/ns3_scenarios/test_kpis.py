"""The table of definitions against the types that use it."""

from __future__ import annotations

from dataclasses import fields

from ns3_scenarios.kpis import HANDOVER_FAILURES, KPI_TABLE, EventKind, StepKpis

UNIT_OF_SUFFIX = {"s": "s", "bps": "bit/s", "m": "m", "dbm": "dBm", "db": "dB"}


def test_the_table_defines_every_field_and_every_kind_of_event() -> None:
    assert {kpi.name for kpi in KPI_TABLE.step} | {"events"} == {field.name for field in fields(StepKpis)}
    assert {kind.name: kind.number for kind in KPI_TABLE.event_kinds} == {kind.name: kind.value for kind in EventKind}
    for kpi in KPI_TABLE.step:
        assert kpi.unit == UNIT_OF_SUFFIX.get(kpi.name.rsplit("_", 1)[-1], "1"), kpi.name
    assert len(HANDOVER_FAILURES) == 5
