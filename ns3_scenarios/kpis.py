"""StepKpis: what one control interval yields, from any back end.

Every array may carry leading batch dimensions (...); a single environment has none. C cells, U UEs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import IntEnum
from pathlib import Path

import numpy as np

from sumo_mobility.base.arrays import Floats, Ints
from sumo_mobility.base.contract import Contract


class KpiField(Contract):
    """The definition of a KPI.

    Attributes:
        name: The name of the field of StepKpis.
        axes: The axes of the array, a letter each: C cells, U UEs, 2 coordinates.
        unit: The unit of its values.
        definition: What the KPI measures.
        derived: Whether it is computed from other KPIs, so that a simulator need not send it.
    """

    name: str
    axes: str
    unit: str
    definition: str
    derived: bool = False


class EventColumn(Contract):
    """The definition of a column of the events, with its NumPy type."""

    name: str
    dtype: str
    definition: str


class EventDefinition(Contract):
    """The definition of a kind of event."""

    name: str
    number: int
    definition: str


class KpiTable(Contract):
    """The definitions of all KPIs and events; the ns-3 program is built from the same file, kpis.json."""

    step: tuple[KpiField, ...]
    event: tuple[EventColumn, ...]
    event_kinds: tuple[EventDefinition, ...]


KPI_TABLE = KpiTable.read_json(Path(__file__).with_name("kpis.json"))
"""The definitions of all fields of StepKpis and of all EventKinds, with units."""

KPI_AXES = {field.name: field.axes for field in KPI_TABLE.step}
"""The fields of StepKpis besides the events, and their axes: C cells, U UEs."""

EVENT_DTYPE = np.dtype([(column.name, column.dtype) for column in KPI_TABLE.event])
"""The record of an event. `time_s` is in the time of the trace, and `target_cell` is -1 where there is none."""


class EventKind(IntEnum):
    """The kind of an event that happened to a UE; KPI_TABLE.event_kinds has the definitions."""

    HANDOVER_START = 0
    HANDOVER_OK = 1
    HANDOVER_FAILED_NO_PREAMBLE = 2
    RADIO_LINK_FAILURE = 3
    HANDOVER_FAILED_MAX_RACH = 4
    HANDOVER_FAILED_LEAVING = 5
    HANDOVER_FAILED_JOINING = 6
    CONNECTION_REESTABLISHED = 7
    HANDOVER_FAILED_NO_COMMAND = 8


HANDOVER_FAILURES = tuple(kind for kind in EventKind if kind.name.startswith("HANDOVER_FAILED"))
"""The causes of a failed handover."""


@dataclass(frozen=True)
class StepKpis:
    """KPIs over one control interval, and the state of the UEs at its end.

    Every field but `events` is defined, with its unit, by KPI_TABLE.step.

    Attributes:
        time_s, handovers: (...).
        prb_utilization, offered_bps, served_bps, connected_ues: (..., C).
        ue_serving_cell, ue_sinr_db, ue_throughput_bps: (..., U).
        ue_position_m: (..., U, 2).
        ue_rsrp_dbm: (..., U, C).
        events: structured EVENT_DTYPE array of this interval, in order of time; empty for batched KPIs.
    """

    time_s: Floats
    prb_utilization: Floats
    offered_bps: Floats
    served_bps: Floats
    connected_ues: Floats
    ue_position_m: Floats
    ue_serving_cell: Ints
    ue_rsrp_dbm: Floats
    ue_sinr_db: Floats
    ue_throughput_bps: Floats
    events: np.ndarray
    handovers: Floats

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StepKpis) and all(
            np.array_equal(getattr(self, field.name), getattr(other, field.name)) for field in fields(self)
        )

    def at(self, index: int) -> StepKpis:
        """Returns the KPIs at an index of the first batch dimension, with the events as they are."""
        return replace(self, **{name: getattr(self, name)[index] for name in KPI_AXES})
