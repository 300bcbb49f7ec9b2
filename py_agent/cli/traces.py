"""What `mlb mobility` does with traces that are there: draw them, write them for others, read those of others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Column, Table

from py_agent.cli.command import Result
from sumo_mobility.base.errors import ConfigError, StorageError
from sumo_mobility.trace import MobilityTrace

if TYPE_CHECKING:
    from sumo_mobility.placing import Coordinates
    from sumo_mobility.streets import StreetMap


def draw(files: list[Path], preset: str, map_name: str, out: Path | None) -> Result:
    """Draws each trace: a .png of tracks, density, speeds and population, and a .gif of the UEs on their streets.

    Sites are those of the run that a trace is in; outside of runs, those of `preset`.

    Args:
        files: The traces (.parquet).
        preset: Whose sites are drawn on traces outside of runs, if they are on its map; none if empty.
        map_name: Where imported traces are, if they do not say; open ground if empty.
        out: Where both go, less the suffix; beside the trace if not given.
    """
    from py_agent.report.mobility_picture import write_animation, write_picture

    if out is not None and len(files) > 1:
        raise ConfigError(f"mlb mobility plot: --out for {len(files)} traces", "name one trace, or leave --out away")
    table, data = Table(Column("picture", overflow="fold"), Column("animation", overflow="fold")), []
    for file in files:
        trace, street_map = _on_map(MobilityTrace.read(file), file, map_name)
        sites_m = _sites(file, trace, preset, street_map)
        stem = file.with_suffix("") if out is None else out.with_suffix("")
        picture, animation = stem.with_suffix(".png"), stem.with_suffix(".gif")
        write_picture(picture, trace, street_map, sites_m)
        write_animation(animation, trace, street_map, sites_m)
        data.append({"trace": str(file), "picture": str(picture), "animation": str(animation), "sites": len(sites_m)})
        table.add_row(str(picture), str(animation))
    return Result(data, table)


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


def write_for_others(file: Path, out: Path | None) -> Result:
    """Writes a trace as ns-2 movements (.tcl), which ns-3's Ns2MobilityHelper reads, or as waypoints (.csv)."""
    from sumo_mobility.ns2 import write_ns2

    if out is None or out.suffix not in (".tcl", ".csv"):
        raise ConfigError(
            "mlb mobility export: needs --out", "--out FILE.tcl (ns-2) or FILE.csv (ue_id,time_s,x_m,y_m)"
        )
    trace = MobilityTrace.read(file)
    if out.suffix == ".tcl":
        write_ns2(trace, out)
    else:
        trace.write_waypoints(out)
    return _told({"file": str(out), "ues": trace.ues, "duration_s": trace.duration_s})


def read_of_others(
    file: Path,
    out: Path | None,
    begin_s: float | None,
    end_s: float | None,
    map_name: str,
    pack: bool,
    coordinates: Coordinates,
) -> Result:
    """Makes a trace of SUMO's floating car data, or of ns-2 movements."""
    from sumo_mobility.fcd import read_fcd
    from sumo_mobility.ns2 import SUFFIXES, read_ns2
    from sumo_mobility.placing import placed

    if out is None or out.suffix != ".parquet":
        raise ConfigError("mlb mobility import: needs --out", "--out FILE.parquet")
    if out.exists():
        raise StorageError(f"{out}: exists", "choose another --out")
    if file.name.removesuffix(".gz").endswith(SUFFIXES):
        if pack or coordinates == "degrees":
            raise ConfigError(f"{file}: ns-2 movements have metres, and nodes that stay", "leave --pack and such away")
        trace = read_ns2(file, begin_s, end_s)
    else:
        trace = read_fcd(file, begin_s, end_s, pack, coordinates)
    if map_name:
        trace = placed(trace, map_name, file)
    trace.write(out)
    meta = trace.metadata
    told: dict[str, str | int | float] = {"file": str(out), "ues": trace.ues, "duration_s": trace.duration_s}
    if pack:
        told |= {"vehicles": len({stay.who for stay in meta.stays}), "held_s": float(trace.held.sum() * trace.step_s)}
    else:
        told["rows_filled"] = meta.rows_filled
    kept = ("left_out", "containers_left_out")
    told |= {name: value for name, value in meta.provenance.items() if name in kept and value}
    if trace.warning:
        told |= {"jumps": meta.jumps, "warning": trace.warning}
    return _told(told)


def _told(data: dict[str, str | int | float]) -> Result:
    table = Table(*data)
    table.add_row(*_texts(data))
    return Result(data, table)


def _texts(data: dict[str, str | int | float]) -> Iterator[str]:
    for value in data.values():
        yield f"{value:g}" if isinstance(value, float) else str(value)
