"""The commands of `mlb mobility` for single traces: change a cause, draw, write for others, read those of others."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.table import Column, Table
from tyro.conf import Positional, UseAppendAction

from py_agent.cli.command import Command, Result
from sumo_mobility.base.documents import parse_yaml, printable
from sumo_mobility.base.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from sumo_mobility.streets import StreetMap
    from sumo_mobility.trace import MobilityTrace


@dataclass(kw_only=True)
class _FileCommand(Command, ABC):
    """A command that makes one file of another."""

    file: Positional[Path]
    out: Path

    def _check_out(self, *suffixes: str) -> None:
        """Refuses an --out that has another suffix."""
        if self.out.suffix not in suffixes:
            name = type(self).__name__.lower()
            raise ConfigError(
                f"mlb mobility {name}: --out {self.out} is no {' or '.join(suffixes)} file",
                " or ".join(f"--out {self.out.stem}{suffix}" for suffix in suffixes),
            )

    def _check_new_trace(self) -> None:
        """Refuses an --out that is no trace, or that is there."""
        self._check_out(".parquet")
        if self.out.exists():
            raise StorageError(f"{self.out}: exists", "choose another --out")


@dataclass(kw_only=True)
class Intervene(_FileCommand):
    """Make a trace again with one cause changed: what would have been."""

    file: Positional[Path]
    """The trace (.parquet)."""
    do: UseAppendAction[tuple[str, ...]] = ()
    """Any number of times: context.PARAMETER=VALUE, for instance context.x_share=0.3 or context.name=uniform;
    context={name: event, x_share: 0.3}, in YAML; or drivers=SEED, other drivers on the same itineraries. Map, UEs,
    times, seeds and what is not named are held; none: the same trace."""
    out: Path
    """The file of the trace (.parquet). In the traces folder of a run it becomes one of the run."""

    def execute(self) -> Result:
        """Makes the trace, and says what was changed and whether it mattered."""
        import numpy as np

        from sumo_mobility.pipeline import changed_context, make_trace_like
        from sumo_mobility.trace import MobilityTrace

        self._check_new_trace()
        changes, drivers = changes_of(self.do)
        trace = make_trace_like(self.file, changed_context(self.file, changes) if changes else None, drivers)
        trace.write(self.out)
        same = np.array_equal(trace.position_m, MobilityTrace.read(self.file).position_m)
        data = {"trace": str(self.out), "provenance": trace.metadata.provenance, "same_as_before": same}
        table = Table("trace", str(self.out))
        for name, value in trace.metadata.provenance.items():
            table.add_row(name, str(value))
        if self.do and same:
            had = "had no effect on where the UEs are: the trace is the same"
            table.add_row("note", f"{' '.join(f'--do {change}' for change in self.do)} {had}")
        return Result(data, table)


def changes_of(assignments: tuple[str, ...]) -> tuple[dict[str, Any], int | None]:
    """Reads --do: parameters of the context, and the seed of the drivers."""
    changes: dict[str, Any] = {}
    drivers = None
    for assignment in assignments:
        key, _, text = assignment.partition("=")
        value = parse_yaml(text, f"--do {printable(key)}")
        if key == "drivers" and type(value) is int and value >= 0:  # True is an int
            drivers = value
        elif key == "context" and isinstance(value, dict):
            changes |= value
        elif key.startswith("context.") and value is not None:
            changes[key.removeprefix("context.")] = value
        else:
            raise ConfigError(
                f"--do {printable(assignment)}: is no change of a cause",
                "write context.PARAMETER=VALUE, context={name: ..., ...} or drivers=SEED",
            )
    return changes, drivers


@dataclass(kw_only=True)
class Plot(Command):
    """Draw traces: a .png of tracks, density, speeds and population, and a .gif of the UEs on their streets.

    Sites are those of the run that a trace is in.
    """

    files: Positional[tuple[Path, ...]] = ()
    """Traces (.parquet); all of the run if none is named."""
    run: Path = Path("runs/default")
    """The run directory whose traces are drawn."""
    preset: str = ""
    """Id or file of the preset whose sites are drawn on a trace outside of a run, if any are wanted."""
    map: str = ""
    """The map that an imported trace is on, if it does not say: a name, a file or open:WIDTHxHEIGHT; open ground if
    none is given."""
    out: Path | None = None
    """The files of the .png and the .gif of one trace, without suffix; beside the trace by default."""

    def execute(self) -> Result:
        """Draws each trace."""
        from py_agent.report.mobility_picture import write_animation, write_picture
        from py_agent.rundir import RunDirectory
        from sumo_mobility.trace import MobilityTrace

        map_name = found_map(self.map)
        files = self.files or RunDirectory(self.run).trace_paths("train", "test")
        if self.out is not None and len(files) > 1:
            message = f"mlb mobility plot: --out for {len(files)} traces"
            raise ConfigError(message, "name one trace, or leave --out away")
        table, data = Table(Column("picture", overflow="fold"), Column("animation", overflow="fold")), []
        for file in files:
            trace, street_map = _on_map(MobilityTrace.read(file), file, map_name)
            sites_m = _sites(file, trace, self.preset, street_map)
            stem = (self.out or file).with_suffix("")
            made = picture, animation = stem.with_suffix(".png"), stem.with_suffix(".gif")
            write_picture(picture, trace, street_map, sites_m)
            write_animation(animation, trace, street_map, sites_m)
            row = {"trace": str(file), "picture": str(picture), "animation": str(animation), "sites": len(sites_m)}
            data.append(row)
            table.add_row(*map(str, made))
        return Result(data, table)


def found_map(name: str) -> str:
    """Returns the name by which a map is found again, which is in full for a file; nothing if none is named."""
    from sumo_mobility.maps import find_map
    from sumo_mobility.open_ground import OpenGround, is_open

    return name and (OpenGround.find(name) if is_open(name) else find_map(name)).found_by


def _on_map(trace: MobilityTrace, file: Path, map_name: str) -> tuple[MobilityTrace, StreetMap]:
    """Returns a trace in the coordinates of its map, and that."""
    from sumo_mobility.pipeline import load_map
    from sumo_mobility.placing import ground_of, placed

    name = trace.metadata.settings.get("map")
    if map_name:
        trace, name = placed(trace, map_name, file), map_name
    return trace, load_map(name) if isinstance(name, str) else ground_of(trace)


def _sites(file: Path, trace: MobilityTrace, preset: str, street_map: StreetMap) -> list[tuple[float, float]]:
    from ns3_scenarios.scenario import Preset
    from py_agent.rundir import RunDirectory

    run = RunDirectory(file.resolve().parent.parent)
    if file.resolve().parent == run.path / "traces" and run.scenario_path.is_file():
        scenario = run.scenario()
        if scenario.mobility.map != trace.metadata.settings.get("map"):
            return []
        return list(dict.fromkeys((cell.x_m, cell.y_m) for cell in scenario.cells))
    if not preset:
        return []
    chosen = Preset.load(preset)
    if chosen.mobility.map != trace.metadata.settings.get("map"):
        raise ConfigError(f"{file}: is not on '{chosen.mobility.map}', the map of '{preset}'", "leave --preset away")
    return list(dict.fromkeys((x, y) for x, y, *_ in chosen.sites.place(street_map)))


@dataclass(kw_only=True)
class Export(_FileCommand):
    """Write a trace for other programs."""

    file: Positional[Path]
    """The trace (.parquet)."""
    out: Path
    """A .tcl file of ns-2 movements, which ns-3's Ns2MobilityHelper reads, or a .csv file of waypoints (ue_id, time_s,
    x_m, y_m)."""

    def execute(self) -> Result:
        """Writes the file."""
        from sumo_mobility.ns2 import write_ns2
        from sumo_mobility.trace import MobilityTrace

        self._check_out(".tcl", ".csv")
        trace = MobilityTrace.read(self.file)
        if self.out.suffix == ".tcl":
            write_ns2(trace, self.out)
        else:
            trace.write_waypoints(self.out)
        return _summary_result({"file": str(self.out), "ues": trace.ues, "duration_s": trace.duration_s})


@dataclass(kw_only=True)
class Import(_FileCommand):
    """Make a trace of floating car data that SUMO wrote elsewhere, or of ns-2 movements."""

    file: Positional[Path]
    """A file of `sumo --fcd-output` (.xml, .csv or .parquet; .gz too), or ns-2 movements (.tcl, .ns_movements)."""
    out: Path
    """The file of the trace (.parquet). In the traces folder of a run it becomes one of the run."""
    map: str = ""
    """The map that the trace is on, or the very net that SUMO drove on: a shipped one's name, an .osm (.gz, .bz2, .pbf)
    or .net.xml (.gz) file, or open:WIDTHxHEIGHT in m; open ground if none is given."""
    begin_s: float | None = None
    """SUMO time at which the trace begins, if not at the first row."""
    end_s: float | None = None
    """SUMO time at which it ends, if not at the last row."""
    pack: bool = False
    """Take in cars that come and go. A UE is then a slot, which passes to the next car when one leaves; in between it
    stands where the car left, and the trace says so."""
    coordinates: Literal["auto", "metres", "degrees"] = "auto"
    """The unit of x and y; degrees, of `--fcd-output.geo`, are projected."""

    def execute(self) -> Result:
        """Reads the file, writes the trace, and says what was filled in, left out or odd."""
        from sumo_mobility.fcd import read_fcd
        from sumo_mobility.ns2 import SUFFIXES, read_ns2
        from sumo_mobility.placing import placed

        self._check_new_trace()
        map_name = found_map(self.map)
        if self.file.name.removesuffix(".gz").endswith(SUFFIXES):
            if self.pack or self.coordinates == "degrees":
                message = f"{self.file}: ns-2 movements have metres, and nodes that stay"
                raise ConfigError(message, "leave --pack and such away")
            trace = read_ns2(self.file, self.begin_s, self.end_s)
        else:
            trace = read_fcd(self.file, self.begin_s, self.end_s, self.pack, self.coordinates)
        if map_name:
            trace = placed(trace, map_name, self.file)
        trace.write(self.out)
        meta = trace.metadata
        summary: dict[str, str | int | float] = {
            "file": str(self.out),
            "ues": trace.ues,
            "duration_s": trace.duration_s,
        }
        if self.pack:
            vehicles = len({stay.who for stay in meta.stays})
            summary |= {"vehicles": vehicles, "held_s": float(trace.held.sum() * trace.step_s)}
        else:
            summary["rows_filled"] = meta.rows_filled
        kept = ("left_out", "containers_left_out")
        summary |= {name: value for name, value in meta.provenance.items() if name in kept and value}
        if trace.warning:
            summary |= {"jumps": meta.jumps, "warning": trace.warning}
        return _summary_result(summary)


def _summary_result(data: dict[str, str | int | float]) -> Result:
    table = Table(*data)
    table.add_row(*_texts(data))
    return Result(data, table)


def _texts(data: dict[str, str | int | float]) -> Iterator[str]:
    for value in data.values():
        yield f"{value:g}" if isinstance(value, float) else str(value)
