"""Measurement reports of UEs, as the KPIs of UEs in control intervals, and as their ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyproj

from cf_augment.measurements.intervals import Intervals
from cf_augment.measurements.tables import Table
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats, Ints
from sumo_mobility.base.errors import DataError
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import MobilityTrace, TraceMetadata, observed

_OF_REPORT = ("serving_cell", "throughput_bps", "x_m", "y_m", "lon", "lat")
"""Columns that say the same in all rows of a report."""


@dataclass(frozen=True)
class UeKpis:
    """KPIs of the UEs in K intervals; NaN, and -1 for cells, where nothing was reported.

    Attributes:
        serving_cell: (K, U), by the last report in the interval.
        rsrp_dbm: (K, U, C), by the last report in the interval.
        throughput_bps: (K, U), mean over the reports in the interval.
        position_m: (K, U, 2) in trace coordinates, by the last report in the interval.
        names: The UEs, in the order of the arrays; empty without reports.
        left_out: Reports that lie in no interval.
    """

    serving_cell: Ints
    rsrp_dbm: Floats
    throughput_bps: Floats
    position_m: Floats
    names: tuple[str, ...] = ()
    left_out: int = 0

    @classmethod
    def unknown(cls, scenario: Scenario, intervals: int) -> UeKpis:
        """Returns the KPIs of UEs that report nothing."""
        rows, cells = (intervals, scenario.mobility.ues), len(scenario.cells)
        rsrp_dbm, throughput_bps, position_m = (
            np.broadcast_to(np.nan, (*rows, *axes)) for axes in ((cells,), (), (2,))
        )
        return cls(np.broadcast_to(np.int64(-1), rows), rsrp_dbm, throughput_bps, position_m)

    @classmethod
    def of(
        cls, scenario: Scenario, street_map: StreetMap, table: Table, names: Sequence[str], intervals: Intervals
    ) -> UeKpis:
        """Returns the KPIs of the UEs of a table of reports.

        Args:
            scenario: The scenario.
            street_map: Its map, whose projection turns longitude and latitude into metres.
            table: The table.
            names: How it calls the cells, in the order of the scenario.
            intervals: The intervals of the table of cells.

        Raises:
            DataError: a cell is unknown; the UEs are not as many as the scenario's; a report measures a cell twice, has
                two serving cells, throughputs or positions, or a position off the map.
        """
        place, cells, rows = table.place, len(names), (len(intervals.end_s), scenario.mobility.ues)
        ues, ue = np.unique(table.columns["ue"].astype(str), return_inverse=True)
        if len(ues) != scenario.mobility.ues:
            raise DataError(
                f"{place.path}: {len(ues)} UEs report, but mobility.ues of {scenario.id} is {scenario.mobility.ues}",
                f"set mobility.ues: {len(ues)} in the preset, or leave the others' rows out",
            )
        serving, cell = (table.cells(column, names) for column in ("serving_cell", "cell"))
        _, number = np.unique(table.time_s, return_inverse=True)
        report = number * len(ues) + ue
        _, first, of_report = np.unique(report, return_index=True, return_inverse=True)
        once = ~pd.Series(report * cells + cell).duplicated().to_numpy()
        place.require(
            once, "cell", table.columns["cell"], "is measured twice in this report", "remove one of the two rows"
        )
        for name in [name for name in _OF_REPORT if name in table.columns]:
            values = table.columns[name]
            same = values == values[first[of_report]]
            place.require(same, name, values, "is not what the first row of this report says", "part the two reports")
        position_m = _positions(street_map, table)
        interval = intervals.holding(table.time_s)
        inside = np.zeros(len(interval), dtype=np.bool_)
        inside[first] = interval[first] >= 0
        heads = np.flatnonzero(inside)  # the first row of each report in an interval
        last_s = np.full(rows, -np.inf)
        np.maximum.at(last_s, (interval[heads], ue[heads]), table.time_s[heads])
        last = np.flatnonzero((interval >= 0) & (table.time_s == last_s[interval, ue]))
        kpis = cls(
            np.full(rows, -1), np.full((*rows, cells), np.nan), np.full(rows, np.nan), np.full((*rows, 2), np.nan),
            tuple(map(str, ues)), int((interval[first] < 0).sum()),
        )  # fmt: skip
        kpis.rsrp_dbm[interval[last], ue[last], cell[last]] = table.columns["rsrp_dbm"][last]
        kpis.serving_cell[interval[last], ue[last]] = serving[last]
        kpis.position_m[interval[last], ue[last]] = position_m[last]
        if "throughput_bps" in table.columns:
            total_bps, count = np.zeros(rows), np.zeros(rows)
            np.add.at(total_bps, (interval[heads], ue[heads]), table.columns["throughput_bps"][heads])
            np.add.at(count, (interval[heads], ue[heads]), 1)
            np.divide(total_bps, count, out=kpis.throughput_bps, where=count > 0)
        return kpis

    def trace(self, table: Table, street_map: StreetMap, rows: slice, interval_s: float) -> MobilityTrace | None:
        """Returns the ways of the UEs in a stretch of intervals, if they are known throughout.

        Between two intervals UEs go straight.

        Raises:
            DataError: a UE is too fast.
        """
        position_m = self.position_m[rows]
        if not np.isfinite(position_m).all():
            return None
        columns = observed(position_m, interval_s)
        metadata = TraceMetadata.imported(
            table.place.path, "measurement reports", position_m,
            projection=street_map.projection, net_offset_m=street_map.net_offset_m,
        )  # fmt: skip
        time_s = np.arange(len(position_m), dtype=np.float64) * interval_s
        try:
            return MobilityTrace(time_s, position_m.copy(), columns[..., 2], columns[..., 3], metadata).flagged()
        except DataError as error:
            raise DataError(f"{table.place.path}: {error.message}", "mend the positions") from None


def _positions(street_map: StreetMap, table: Table) -> Floats:
    """Positions in trace coordinates, (N, 2); NaN if the table has none."""
    place, columns = table.place, table.columns
    pairs = [pair for pair in (("x_m", "y_m"), ("lon", "lat")) if set(pair) & columns.keys()]
    if len(pairs) > 1 or (pairs and not set(pairs[0]) <= columns.keys()):
        there = sorted({name for pair in pairs for name in pair} & columns.keys())
        raise DataError(f"{place.path}: has the columns {' and '.join(there)}", "give x_m and y_m, or lon and lat")
    if not pairs:
        return np.full((len(table.time_s), 2), np.nan)
    x, y = (columns[name] for name in pairs[0])
    if pairs[0] == ("lon", "lat"):
        if not street_map.projection:
            raise DataError(
                f"{place.path}: has longitudes, but the map {street_map.name} is nowhere on Earth", "give x_m and y_m"
            )
        x, y = pyproj.Proj(street_map.projection)(x, y) + np.array(street_map.net_offset_m)[:, None]
    west, south, east, north = street_map.bounds_m
    margin_m = max(east - west, north - south)
    near = (x > west - margin_m) & (x < east + margin_m) & (y > south - margin_m) & (y < north + margin_m)
    if not near.all():
        row = int(np.argmin(near))
        what = f"({x[row]:.0f}, {y[row]:.0f}) m is far off the map {street_map.name}"
        cure = "take the map of its area, or check the order of longitude and latitude"
        raise place.error(row, " and ".join(pairs[0]), what, cure)
    return np.column_stack([x, y])
