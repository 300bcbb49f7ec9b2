"""Traces of other programs and for other programs: SUMO's floating car data, and ns-2's movement patterns."""

from __future__ import annotations

import gzip
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pandas as pd

from sumo_mobility.base.errors import DataError
from sumo_mobility.base.files import replacing
from sumo_mobility.simulate import FILLED_LIMIT, hold
from sumo_mobility.trace import MobilityTrace, TraceMetadata

_COLUMNS = ("timestep_time", "vehicle_id", "vehicle_x", "vehicle_y", "vehicle_speed", "vehicle_angle")
_ATTRIBUTES = ("id", "x", "y", "speed", "angle")
_CURE = "write it with 'sumo --fcd-output FILE' (.xml, .xml.gz, .csv or .parquet), attributes x, y, speed, angle"


def write_ns2(trace: MobilityTrace, path: Path) -> None:
    """Writes the movements that ns-3's Ns2MobilityHelper and others read; UE u is node_(u).

    At each knot a node sets out for the next one, at the speed that takes it there in time, so that positions are right
    at the knots and on the lines between. SUMO's own traceExporter sets out for where the node should be already.
    Heights are not in it: 1.5 m, say, are for the reader to add.

    Raises:
        StorageError: `path` cannot be written; what was there before is whole.
    """
    move = np.diff(trace.position_m, axis=0)
    speed = np.hypot(move[..., 0], move[..., 1]) / trace.step_s
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(f"# {trace.metadata.map_name}: {trace.metadata.attribution}, {trace.metadata.licence}\n")
        for ue, (x, y) in enumerate(trace.position_m[0]):
            file.write(f"$node_({ue}) set X_ {x:.6f}\n$node_({ue}) set Y_ {y:.6f}\n$node_({ue}) set Z_ 0.0\n")
        for step, ue in np.argwhere(speed > 0):
            x, y = trace.position_m[step + 1, ue]
            at = f"{trace.time_s[step]:.9g}"
            file.write(f'$ns_ at {at} "$node_({ue}) setdest {x:.6f} {y:.6f} {speed[step, ue]:.9f}"\n')


def read_fcd(path: Path, begin_s: float | None = None, end_s: float | None = None) -> MobilityTrace:
    """Reads floating car data that SUMO wrote elsewhere, with `--fcd-output`.

    UEs are the vehicles, and the persons, that are there from `begin_s` to `end_s`, in the order of their names; who
    comes later or leaves earlier is not in the trace. Up to 0.5 % of the rows may be missing, as where SUMO has moved a
    vehicle from a jam; the UE stands there in the meantime.

    Args:
        path: .xml, .xml.gz, .csv or .parquet.
        begin_s: SUMO time at which the trace begins; that of the first row if not given.
        end_s: SUMO time of its last row; that of the last row if not given.

    Raises:
        DataError: the file is missing, damaged or of another kind; its rows do not come in equal steps; or nobody is
            there all the time (says when most are).
    """
    rows = _read_rows(path)
    first_s, last_s = float(rows["time_s"].min()), float(rows["time_s"].max())
    begin_s, end_s = first_s if begin_s is None else begin_s, last_s if end_s is None else end_s
    if not first_s <= begin_s < end_s <= last_s:
        raise DataError(f"{path}: holds {first_s:g} to {last_s:g} s, not {begin_s:g} to {end_s:g} s")
    rows = rows[(rows["time_s"] >= begin_s - 1e-6) & (rows["time_s"] <= end_s + 1e-6)]
    times = np.unique(rows["time_s"].to_numpy(np.float64))
    steps = np.diff(times)
    if len(times) < 2 or not np.allclose(steps, steps[0], rtol=0, atol=1e-6):
        raise DataError(
            f"{path}: its rows do not come in equal steps of time", "write it anew without --fcd-output.period"
        )
    counts = rows.groupby("id", sort=True)["time_s"].nunique()
    staying = counts.index[counts >= (1 - FILLED_LIMIT) * len(times)]
    if not len(staying):
        raise DataError(
            f"{path}: of {len(counts)} vehicles none is there from {begin_s:g} to {end_s:g} s",
            f"name a shorter time within it; {_busiest(rows)}",
        )
    rows = rows[rows["id"].isin(staying)]
    grid = np.full((len(times), len(staying), 4), np.nan)
    row = np.rint((rows["time_s"].to_numpy() - times[0]) / steps[0]).astype(np.int64)
    grid[row, staying.get_indexer(pd.Index(rows["id"]))] = rows[["x", "y", "speed", "angle"]].to_numpy(np.float64)
    grid, filled = hold(grid)
    corner, far = grid[..., :2].min(axis=(0, 1)), grid[..., :2].max(axis=(0, 1))
    metadata = TraceMetadata(
        source="sumo fcd",
        map_name=path.name.split(".")[0],
        licence="unknown",
        attribution="unknown",
        seed=0,
        context="imported",
        bounds_m=(float(corner[0]), float(corner[1]), float(far[0]), float(far[1])),
        rows_filled=filled,
        provenance={"file": path.name, "begin_s": begin_s, "end_s": end_s},
    )
    return MobilityTrace(
        time_s=np.arange(len(times), dtype=np.float64) * float(steps[0]),
        position_m=grid[..., :2],
        speed_mps=grid[..., 2],
        heading_deg=grid[..., 3],
        metadata=metadata,
    )


def _read_rows(path: Path) -> pd.DataFrame:
    """Returns time_s, id, x, y, speed and angle of all vehicles and persons."""
    if not path.is_file():
        raise DataError(f"{path}: no such file", _CURE)
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path, engine="pyarrow")
        elif path.suffix == ".csv":
            frame = pd.read_csv(path, sep=";")
        elif path.name.endswith((".xml", ".xml.gz")):
            return _checked(path, _rows_of_xml(path))
        else:
            raise DataError(f"{path}: not a kind of file that is read", _CURE)
    except DataError:
        raise
    except Exception as error:  # pandas and pyarrow raise many kinds for damaged files
        raise DataError(f"{path}: damaged ({str(error).splitlines()[0]})", _CURE) from None
    parts = []
    for kind in ("vehicle", "person"):
        columns = [column.replace("vehicle", kind) for column in _COLUMNS]
        if f"{kind}_id" in frame.columns and not set(columns) - set(frame.columns):
            part = frame[columns].dropna(subset=[f"{kind}_id"])
            parts.append(part.set_axis(["time_s", *_ATTRIBUTES], axis=1))
    if not parts:
        raise DataError(f"{path}: has no columns {', '.join(_COLUMNS)}", _CURE)
    return _checked(path, pd.concat(parts))


def _rows_of_xml(path: Path) -> pd.DataFrame:
    rows = []
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for _, element in ElementTree.iterparse(file, events=("end",)):
                if element.tag == "timestep":
                    time_s = element.attrib["time"]
                    rows += [(time_s, *(one.attrib[name] for name in _ATTRIBUTES)) for one in element]
                    element.clear()
    except (ElementTree.ParseError, OSError, EOFError) as error:
        raise DataError(f"{path}: damaged ({error})", _CURE) from None
    except KeyError as error:
        raise DataError(f"{path}: a vehicle lacks the attribute {error}", _CURE) from None
    return pd.DataFrame(rows, columns=["time_s", *_ATTRIBUTES])


def _checked(path: Path, rows: pd.DataFrame) -> pd.DataFrame:
    if rows.empty:
        raise DataError(f"{path}: holds no vehicle and no person", _CURE)
    names = ["time_s", "x", "y", "speed", "angle"]
    try:
        numbers = rows[names].astype(np.float64)
    except ValueError as error:
        raise DataError(f"{path}: not all values are numbers ({error})", _CURE) from None
    if not np.isfinite(numbers.to_numpy()).all():
        column = names[int(np.argwhere(~np.isfinite(numbers.to_numpy()))[0, 1])]
        raise DataError(f"{path}: a value of '{column}' is not finite", _CURE)
    return numbers.assign(id=rows["id"].astype(str))


def _busiest(rows: pd.DataFrame) -> str:
    """Says when most are there."""
    counts = rows.groupby("time_s")["id"].nunique()
    return f"most, {counts.max()}, are there at {counts.idxmax():g} s"
