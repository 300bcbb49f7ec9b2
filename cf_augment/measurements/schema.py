"""The tables of measurements that are read: their columns, units and ranges."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from sumo_mobility.base.contract import Contract

PERCENT = "_percent"
"""The end of the name of a column whose values are in percent; without it, the column is a share."""


class MeasuredRow(Contract):
    """A row of a table. Its fields are the columns; one that may be left out has the default None.

    A column is there in all rows or in none. The time stands in one of two columns: `time_s`, or `time` in ISO 8601.
    """

    cures: ClassVar[dict[str, str]] = {}
    """What is often wrong with a column whose values are out of its range, as a cure."""

    time_s: float | None = None
    """Time in s, from any origin that the tables share."""
    time: str | None = None
    """The same as date and time in ISO 8601; without an offset from UTC it is UTC."""


class CellRow(MeasuredRow):
    """The counters of a cell in one control interval, which ends at the row's time."""

    cures = {"prb_utilization": f"if it is in percent, name the column prb_utilization{PERCENT}"}

    cell: str
    """The cell: its name, or its index in the scenario."""
    prb_utilization: float = Field(ge=0, le=1)
    """Share of the downlink PRBs that were used; `prb_utilization_percent` has it in percent."""
    offered_bps: float | None = Field(None, ge=0, le=1e12)
    """Downlink traffic that arrived for the cell's UEs, in bit/s."""
    served_bps: float | None = Field(None, ge=0, le=1e12)
    """Downlink traffic that the cell delivered, in bit/s."""
    connected_ues: float | None = Field(None, ge=0, le=1e6)
    """Connected UEs at the end of the interval, or on average over it."""
    handovers: float | None = Field(None, ge=0, le=1e9)
    """Handovers out of the cell that were started."""


class OffsetRow(MeasuredRow):
    """The CIO of a neighbour pair in the interval that ends at the row's time, and until the pair's next row."""

    serving_cell: str
    """The cell whose UEs the offset holds for."""
    neighbor_cell: str
    """The cell to which it adds (Ocn of event A3, TS 36.331 5.5.4.4)."""
    cio_db: float = Field(ge=-24, le=24)
    """The cell individual offset in dB."""


class ReportRow(MeasuredRow):
    """The RSRP of one cell in a measurement report of a UE; the rows of a report share UE and time."""

    cures = {"rsrp_dbm": "give it in dBm; from an index of TS 36.133 9.1.4 (RSRP_00 to RSRP_97) subtract 141"}

    ue: str
    """The UE, by any name."""
    serving_cell: str
    """The cell that serves it."""
    cell: str
    """The cell that is measured."""
    rsrp_dbm: float = Field(ge=-200, le=0)
    """RSRP of that cell in dBm."""
    throughput_bps: float | None = Field(None, ge=0, le=1e12)
    """Downlink throughput of the UE in bit/s."""
    x_m: float | None = Field(None, ge=-2e7, le=2e7)
    """Position east of the map's south-west corner, in m; `lon` and `lat` say it otherwise."""
    y_m: float | None = Field(None, ge=-2e7, le=2e7)
    """Position north of it."""
    lon: float | None = Field(None, ge=-180, le=180)
    """Longitude in degrees (WGS 84)."""
    lat: float | None = Field(None, ge=-90, le=90)
    """Latitude in degrees (WGS 84)."""
