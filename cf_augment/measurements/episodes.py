"""Episodes of measurements: an episode a stretch of time without a gap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from cf_augment.dataset import Episode, EpisodeMetadata, Provenance
from cf_augment.measurements.intervals import Intervals
from cf_augment.measurements.reports import UeKpis
from cf_augment.measurements.schema import CellRow, OffsetRow, ReportRow
from cf_augment.measurements.tables import Table, read_table
from cf_augment.measurements.uses import require_formulas
from ns3_scenarios.kpis import EVENT_DTYPE, StepKpis
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats, Singles
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.streets import StreetMap

POLICY = "network"
"""The name of whatever set the offsets of a network that was measured; also that of its back end."""


@dataclass(frozen=True)
class Measurements:
    """The tables of a network that was measured, checked, of K control intervals.

    Attributes:
        scenario: What describes its cells, neighbour pairs and control interval.
        street_map: The map of the scenario.
        cells: The table of the cells' counters.
        reports: The table of the UEs' reports, if there is one.
        intervals: The control intervals.
        actions: (K, A) the action in force in each.
        ues: The KPIs of the UEs.
        unknown: What was not measured in all intervals, of all UEs and cells, and why it is not known: KPIs, "events"
            and "trace".
        unused: Columns that were not read, by the name of their file.
    """

    scenario: Scenario
    street_map: StreetMap
    cells: Table
    reports: Table | None
    intervals: Intervals
    actions: Singles
    ues: UeKpis
    unknown: dict[str, str]
    unused: dict[str, tuple[str, ...]]

    @classmethod
    def read(
        cls,
        scenario: Scenario,
        street_map: StreetMap,
        cells: Path,
        offsets: Path,
        reports: Path | None = None,
        cell_names: Sequence[str] = (),
    ) -> Measurements:
        """Reads the tables of a network.

        Args:
            scenario: What describes its cells, neighbour pairs and control interval.
            street_map: The map of the scenario.
            cells: The counters of the cells; see `CellRow`.
            offsets: The CIOs in force; see `OffsetRow`.
            reports: The measurement reports of the UEs; see `ReportRow`. None: there are none.
            cell_names: How the tables call the cells, in the order of the scenario; none: by their indices.

        Raises:
            ConfigError: there are more or fewer names than cells, or two equal ones.
            DataError: a table cannot be read or is refused, the tables do not fit each other or the scenario, or the
                scenario's observation or reward needs what was not measured.
        """
        names = list(cell_names) or [str(index) for index in range(len(scenario.cells))]
        if len(names) != len(scenario.cells) or len(set(names)) != len(names):
            raise ConfigError(
                f"{len(names)} names of cells, {len(set(names))} of them different, but {scenario.id} has "
                f"{len(scenario.cells)} cells",
                "name each once, in the order of 'mlb scenario sites'",
            )
        tables = {cells: read_table(cells, CellRow), offsets: read_table(offsets, OffsetRow)}
        reported = read_table(reports, ReportRow) if reports else None
        if reports and reported:
            tables[reports] = reported
        counted = tables[cells]
        for path, table in tables.items():
            if table.dated != counted.dated:
                raise DataError(
                    f"{path}: has times in the column {'time' if table.dated else 'time_s'}, unlike {cells}",
                    "give dates in all tables, or in none",
                )
        intervals = Intervals.of(scenario, counted, names)
        actions = intervals.in_force(scenario, tables[offsets], names)
        ues = UeKpis.unknown(scenario, len(intervals.end_s))
        if reported:
            ues = UeKpis.of(scenario, street_map, reported, names, intervals)
        unknown = _unknown(intervals, ues, counted, reported, names)
        require_formulas(scenario, unknown)
        unused = {str(path): table.unused for path, table in tables.items() if table.unused}
        return cls(scenario, street_map, counted, reported, intervals, actions, ues, unknown, unused)

    def episodes(self, steps: int | None = None) -> Iterator[Episode]:
        """Yields the episodes, while they are asked for: one for each stretch without a gap.

        Args:
            steps: Greatest number of steps of an episode; stretches are cut there, so that no step is lost. None: not.

        Raises:
            ConfigError: `steps` is not positive.
            DataError: a UE moves too fast.
        """
        if steps is not None and steps < 1:
            raise ConfigError(f"episodes of {steps} steps", "give 1 at least")
        for first, last in self.intervals.stretches:
            length = steps or last - first
            for begin in range(first, last, length):
                yield self._episode(begin, min(begin + length, last))

    def _episode(self, first: int, last: int) -> Episode:
        rows, interval_s = slice(first, last + 1), self.intervals.interval_s
        begin = self.cells.said(self.intervals.end_s[first])
        files = [self.cells.place.path, *([self.reports.place.path] if self.reports else [])]
        metadata = EpisodeMetadata(
            scenario_id=self.scenario.id,
            trace_name=f"{files[0].name.split('.')[0]}-{begin}",
            policy=POLICY,
            seed=0,
            backend=POLICY,
            versions={"mlb-testbed": version("mlb-testbed")},
            provenance=Provenance(kind="measured", source=tuple(path.name for path in files), action_source=POLICY),
        )
        trace = self.ues.trace(self.reports, self.street_map, rows, interval_s) if self.reports else None
        kpis = [self._kpis(row, (row - first) * interval_s) for row in range(first, last + 1)]
        actions = self.actions[rows]
        return Episode.from_kpis(self.scenario, trace, kpis, actions[1:], metadata, first_action=actions[0])

    def _kpis(self, row: int, time_s: float) -> StepKpis:
        nothing = np.full(len(self.scenario.cells), np.nan)
        counted = {name: values[row] for name, values in self.intervals.counters.items()}
        return StepKpis(
            time_s=np.asarray(time_s),
            prb_utilization=counted["prb_utilization"],
            offered_bps=counted.get("offered_bps", nothing),
            served_bps=counted.get("served_bps", nothing),
            connected_ues=counted.get("connected_ues", nothing),
            ue_position_m=self.ues.position_m[row],
            ue_serving_cell=self.ues.serving_cell[row],
            ue_rsrp_dbm=self.ues.rsrp_dbm[row],
            ue_sinr_db=np.full(self.scenario.mobility.ues, np.nan),
            ue_throughput_bps=self.ues.throughput_bps[row],
            events=np.empty(0, EVENT_DTYPE),
            handovers=np.asarray(counted.get("handovers", nothing).sum()),
        )


def _unknown(
    intervals: Intervals, ues: UeKpis, counted: Table, reported: Table | None, names: Sequence[str]
) -> dict[str, str]:
    """Returns what is not known of all intervals that are used, and why."""
    columns = ("offered_bps", "served_bps", "connected_ues", "handovers")
    unknown = {name: f"the cells table has no column {name}" for name in columns if name not in intervals.counters}
    unknown |= {"ue_sinr_db": "no table has it", "events": "no table has them"}
    used = np.concatenate([np.arange(first, last + 1) for first, last in intervals.stretches])
    of_ues: dict[str, tuple[str, Floats]] = {
        "ue_rsrp_dbm": ("rsrp_dbm", ues.rsrp_dbm),
        "ue_serving_cell": ("serving_cell", np.where(ues.serving_cell < 0, np.nan, 0.0)),
        "ue_throughput_bps": ("throughput_bps", ues.throughput_bps),
        "ue_position_m": ("x_m", ues.position_m[..., 0]),
        "trace": ("x_m", ues.position_m[..., 0]),
    }
    for name, (column, values) in of_ues.items():
        holes = np.isnan(values[used])
        if reported is None:
            unknown[name] = "there is no table of reports"
        elif not {column, "lon" if column == "x_m" else column} & reported.columns.keys():
            unknown[name] = f"the reports have no column {'x_m and y_m, or lon and lat' if column == 'x_m' else column}"
        elif holes.any():
            row, ue, *cell = (int(index) for index in np.argwhere(holes)[0])
            of_cell = f" of cell '{names[cell[0]]}'" if cell else ""
            when = counted.said(intervals.end_s[used[row]])
            unknown[name] = f"UE '{ues.names[ue]}' reports none{of_cell} in the interval that ends at {when}"
    return unknown
