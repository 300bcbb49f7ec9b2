"""What `mlb mobility` does with traces that are there: draw them, write them for others, read those of others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.table import Column, Table

from py_agent.cli.command import Result
from sumo_mobility.base.errors import ConfigError, StorageError
from sumo_mobility.trace import MobilityTrace


def draw(files: list[Path], preset: str, out: Path | None) -> Result:
    """Draws each trace: a .png of tracks, density, speeds and population, and a .gif of the UEs on their streets.

    Args:
        files: The traces (.parquet).
        preset: Whose sites are drawn, if the trace was made on the preset's map.
        out: Where both go, less the suffix; beside the trace if not given.
    """
    from ns3_scenarios.scenario import Preset
    from py_agent.report.mobility_picture import write_animation, write_picture
    from sumo_mobility.pipeline import load_map

    if out is not None and len(files) > 1:
        raise ConfigError(f"mlb mobility plot: --out for {len(files)} traces", "name one trace, or leave --out away")
    chosen = Preset.load(preset)
    table, data = Table(Column("picture", overflow="fold"), Column("animation", overflow="fold")), []
    for file in files:
        trace = MobilityTrace.read(file)
        name = trace.metadata.settings.get("map")
        if not isinstance(name, str):
            raise ConfigError(f"{file}: its map is not known", "draw traces that 'mlb mobility' has made")
        street_map = load_map(name)
        sites_m = [(x, y) for x, y, *_ in chosen.sites.place(street_map)] if name == chosen.mobility.map else []
        stem = file.with_suffix("") if out is None else out.with_suffix("")
        picture, animation = stem.with_suffix(".png"), stem.with_suffix(".gif")
        write_picture(picture, trace, street_map, sites_m)
        write_animation(animation, trace, street_map)
        data.append({"trace": str(file), "picture": str(picture), "animation": str(animation)})
        table.add_row(str(picture), str(animation))
    return Result(data, table)


def write_for_others(file: Path, out: Path | None) -> Result:
    """Writes a trace as ns-2 movements (.tcl), which ns-3's Ns2MobilityHelper reads, or as waypoints (.csv)."""
    from sumo_mobility.exchange import write_ns2

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


def read_of_others(file: Path, out: Path | None, begin_s: float | None, end_s: float | None) -> Result:
    """Makes a trace of SUMO's floating car data."""
    from sumo_mobility.exchange import read_fcd

    if out is None or out.suffix != ".parquet":
        raise ConfigError("mlb mobility import: needs --out", "--out FILE.parquet")
    if out.exists():
        raise StorageError(f"{out}: exists", "choose another --out")
    trace = read_fcd(file, begin_s, end_s)
    trace.write(out)
    meta = trace.metadata
    return _told({"file": str(out), "ues": trace.ues, "duration_s": trace.duration_s, "rows_filled": meta.rows_filled})


def _told(data: dict[str, str | int | float]) -> Result:
    table = Table(*data)
    table.add_row(*_texts(data))
    return Result(data, table)


def _texts(data: dict[str, str | int | float]) -> Iterator[str]:
    for value in data.values():
        yield f"{value:g}" if isinstance(value, float) else str(value)
