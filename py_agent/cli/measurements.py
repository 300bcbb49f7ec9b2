"""`mlb dataset import`: a network's own measurements become a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from py_agent.cli.command import Command, Result
from sumo_mobility.base.errors import ConfigError, StorageError


@dataclass(kw_only=True)
class DatasetImport(Command):
    """Make a dataset of the counters and reports of a network, or of a drive test.

    Tables are CSV or Parquet; docs/measurements.md has their columns, and an example. The preset describes the cells,
    their neighbours and the control interval, which is that of the tables.
    """

    preset: str
    """The network: id of a preset, or path of a .yaml file."""
    cells: Path
    """The counters of the cells: time_s or time, cell, prb_utilization (or prb_utilization_percent), and if they are
    known offered_bps, served_bps, connected_ues, handovers."""
    offsets: Path
    """The offsets in force: time_s or time, serving_cell, neighbor_cell, cio_db; each until the pair's next row."""
    reports: Path | None = None
    """Measurement reports, a row for each UE and measured cell: time_s or time, ue, serving_cell, cell, rsrp_dbm, and
    if they are known throughput_bps, and x_m and y_m or lon and lat."""
    cell_names: tuple[str, ...] = ()
    """How the tables call the cells, in the order of `mlb scenario sites`; by their indices, if none are named."""
    steps: int | None = None
    """Greatest number of steps of an episode. By default an episode ends only where the tables have a gap."""
    out: Path
    """The dataset to write (.h5). As logged.h5 of a run directory, it is what `mlb train --data logged` learns from."""

    def execute(self) -> Result:
        """Reads the tables, writes the dataset, and says what is missing for which use."""
        from cf_augment.dataset import read_dataset, write_dataset
        from cf_augment.measurements import Measurements, missing
        from ns3_scenarios.scenario import Preset, Scenario
        from sumo_mobility.pipeline import load_map

        if self.out.suffix != ".h5":
            raise ConfigError(f"mlb dataset import: --out {self.out} is no .h5 file", f"--out {self.out.stem}.h5")
        if self.out.exists():
            raise StorageError(f"{self.out}: exists", "choose another --out")
        preset = Preset.load(self.preset)
        street_map = load_map(preset.mobility.map)
        scenario = Scenario.place(preset, preset.sites.place(street_map))
        read = Measurements.read(scenario, street_map, self.cells, self.offsets, self.reports, self.cell_names)
        write_dataset(self.out, scenario, read.episodes(self.steps))
        dataset = read_dataset(self.out)
        lacking = missing(scenario, read.unknown)
        intervals = read.intervals
        uses = Table("use", "missing")
        for use, names in lacking.items():
            uses.add_row(use, ", ".join(names) or "nothing")
        data = {
            "path": str(self.out),
            "episodes": len(dataset.steps),
            "transitions": dataset.transitions,
            "intervals": len(intervals.end_s),
            "intervals_left_out": intervals.alone,
            "reports_left_out": read.ues.left_out,
            "unused_columns": read.unused,
            "missing": lacking,
            "unknown": read.unknown,
        }
        lines = [f"{self.out}: {dataset.transitions} transitions in {len(dataset.steps)} episodes"]
        lines += [f"left out: {intervals.alone} intervals between two gaps"] if intervals.alone else []
        lines += [f"left out: {read.ues.left_out} reports outside of all intervals"] if read.ues.left_out else []
        lines += [f"{path}: columns not read: {', '.join(names)}" for path, names in read.unused.items()]
        wanted = sorted({name for names in lacking.values() for name in names})
        lines += [f"{name} is not known: {read.unknown[name]}" for name in wanted]
        return Result(data, Group(uses, Text("\n".join(lines))))
