"""Traces out of floating car data that SUMO wrote elsewhere, with `--fcd-output`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from sumo_mobility.base.arrays import Floats, Ints
from sumo_mobility.base.errors import DataError
from sumo_mobility.fcd_rows import FcdRows, read_rows
from sumo_mobility.placing import Coordinates, in_metres
from sumo_mobility.simulate import FILLED_LIMIT, hold
from sumo_mobility.trace import FASTEST_MPS, MOST_ROWS, MobilityTrace, Stay, TraceMetadata, observed

_TICKS = 1_000_000
"""A second; times are compared so."""


def read_fcd(
    path: Path,
    begin_s: float | None = None,
    end_s: float | None = None,
    pack: bool = False,
    coordinates: Coordinates = "auto",
) -> MobilityTrace:
    """Reads floating car data.

    UEs are the vehicles, then the persons, riding or walking, each in the order of their ids; containers are none. Who
    they were is in the trace's metadata (`stays`). Speeds and headings that the file lacks are those of the step
    before.

    Not packed, a UE is who is there from `begin_s` to `end_s`; who comes later or leaves earlier is not in the trace.
    Up to 0.5 % of the rows may be missing, as where SUMO has moved a vehicle from a jam; the UE stands there in the
    meantime. Packed, everybody is in the trace: a UE is a slot, which passes to the next vehicle when one leaves, to
    the one that appears nearest; there are about as many as there are vehicles at the busiest time. Between two
    vehicles a slot stands where the last one left (`MobilityTrace.held`), and is where the next one appears in a step,
    or in some if it is far.

    Args:
        path: .xml, .csv or .parquet, the first two also packed (.gz).
        begin_s: SUMO time at which the trace begins; that of the first row if not given.
        end_s: SUMO time of its last row; that of the last row if not given.
        pack: Whether UEs are slots.
        coordinates: What x and y are. Degrees (`--fcd-output.geo`) are projected, see `in_metres`.

    Raises:
        DataError: the file is missing, damaged or of another kind; one vehicle is there twice at a time; its rows do
            not come in equal steps; or, not packed, nobody is there all the time (says when most are).
    """
    window_s = (-math.inf if begin_s is None else begin_s), (math.inf if end_s is None else end_s)
    rows = read_rows(path, *window_s)
    begin_s, end_s = rows.begin_s if begin_s is None else begin_s, rows.end_s if end_s is None else end_s
    if not rows.begin_s - 1 / _TICKS <= begin_s < end_s <= rows.end_s + 1 / _TICKS:
        raise DataError(
            f"{path}: holds {rows.begin_s:g} to {rows.end_s:g} s, not {begin_s:g} to {end_s:g} s",
            "name a time within it: --begin-s, --end-s",
        )
    step, step_s, steps = _grid_of_times(path, rows)
    values, place = in_metres(path, rows, coordinates)
    ues = _packed(rows, values[:, :2], step, step_s) if pack else _staying(path, rows, step, steps, begin_s, end_s)
    if steps * ues.count > MOST_ROWS:
        raise DataError(
            f"{path}: would be {steps} steps of {ues.count} UEs, more than {MOST_ROWS} rows",
            "name a shorter time: --begin-s, --end-s",
        )
    kept = ues.slot >= 0
    grid = np.full((steps, ues.count, 4), np.nan)
    grid[step[kept], ues.slot[kept]] = values[kept]
    absent = np.isnan(grid[..., 2:]).any(axis=(0, 1), where=~np.isnan(grid[..., :1]))
    grid, filled = hold(grid)
    stays = _stays(rows, step, step_s, ues.slot)
    _pass(grid[..., :2], step_s, stays)
    if absent.any():
        grid[..., 2:] = np.where(absent, _derived(grid[..., :2], step_s, stays), grid[..., 2:])
    provenance: dict[str, str | float | int] = {"file": path.name, "begin_s": begin_s, "end_s": end_s}
    provenance |= {"coordinates": place.coordinates, "packed": int(pack), "left_out": len(set(rows.index[~kept]))}
    metadata = TraceMetadata.imported(
        path,
        "sumo fcd",
        grid[..., :2],
        projection=place.projection,
        net_offset_m=place.net_offset_m,
        rows_filled=filled,
        stays=stays,
        provenance=provenance | {"containers_left_out": rows.containers},
    )
    try:
        return MobilityTrace(
            time_s=np.arange(steps, dtype=np.float64) * step_s,
            position_m=grid[..., :2],
            speed_mps=grid[..., 2],
            heading_deg=grid[..., 3],
            metadata=metadata,
        ).flagged()
    except DataError as error:
        raise DataError(f"{path}: {error.message}", "leave the rows out: --begin-s, --end-s") from None


@dataclass(frozen=True)
class _Ues:
    """The UE of each row, (R,), -1 for none, and the number of UEs."""

    slot: Ints
    count: int


def _grid_of_times(path: Path, rows: FcdRows) -> tuple[Ints, float, int]:
    """Returns the step of each row, (R,), the time between steps, and how many there are."""
    tick = np.rint(rows.time_s * _TICKS).astype(np.int64)
    known = np.unique(tick)
    if len(known) < 2:
        raise DataError(f"{path}: holds one point of time", "a trace needs two at least: a later --end-s")
    apart = int(np.diff(known).min())
    if ((known - known[0]) % apart).any():
        odd = known[int(((known - known[0]) % apart != 0).argmax())] / _TICKS
        raise DataError(
            f"{path}: its rows do not come in equal steps of time ({apart / _TICKS:g} s, but for {odd:g} s)",
            "write it anew with one --step-length or --device.fcd.period",
        )
    return (tick - known[0]) // apart, apart / _TICKS, int((known[-1] - known[0]) // apart) + 1


def _staying(path: Path, rows: FcdRows, step: Ints, steps: int, begin_s: float, end_s: float) -> _Ues:
    """A UE is who is there all the time."""
    holes = np.bincount(step, minlength=steps) == 0
    if holes.sum() > FILLED_LIMIT * steps:
        raise DataError(
            f"{path}: {holes.sum()} of {steps} steps hold nobody, the first at "
            f"{begin_s + holes.argmax() * (end_s - begin_s) / (steps - 1):g} s",
            "name a time without such: --begin-s, --end-s; write it anew without --fcd-output.skip-empty; or --pack",
        )
    counts = np.bincount(rows.index, minlength=len(rows.who))
    staying = counts >= (1 - FILLED_LIMIT) * steps
    if not staying.any():
        there = np.bincount(step)
        busiest_s = rows.time_s[int((step == there.argmax()).argmax())]
        raise DataError(
            f"{path}: of {len(counts)} vehicles none is there from {begin_s:g} to {end_s:g} s",
            f"--pack hands the slot of one that leaves to the next; or name a shorter time within it: most, "
            f"{there.max()}, are there at {busiest_s:g} s",
        )
    return _Ues(np.where(staying, staying.cumsum() - 1, -1)[rows.index], int(staying.sum()))


def _packed(rows: FcdRows, place_m: Floats, step: Ints, step_s: float) -> _Ues:
    """A UE is a slot; who comes takes its own of before, or the free one that is nearest to where it appears.

    None is taken that could not be there in time.
    """
    begins = np.concatenate([[True], (np.diff(rows.index) != 0) | (np.diff(step) != 1)])
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(step)) - 1
    stay_slot = np.empty(len(first), dtype=np.int64)
    busy_to, left_at, left_by = np.empty(len(first), dtype=np.int64), np.empty((len(first), 2)), np.empty(len(first))
    count = 0
    for stay in np.lexsort((rows.index[first], step[first])):
        row = first[stay]
        free = np.flatnonzero(busy_to[:count] < step[row])
        if len(free):
            away_m = np.hypot(*(left_at[free] - place_m[row]).T)
            away_m[away_m > FASTEST_MPS * step_s * (step[row] - busy_to[free])] = np.inf
            away_m[(left_by[free] == rows.index[row]) & np.isfinite(away_m)] = -1.0
            slot = int(free[away_m.argmin()]) if np.isfinite(away_m.min()) else count
        else:
            slot = count
        count = max(count, slot + 1)
        stay_slot[stay] = slot
        busy_to[slot], left_at[slot] = step[last[stay]], place_m[last[stay]]
        left_by[slot] = rows.index[row]
    return _Ues(stay_slot[begins.cumsum() - 1], count)


def _pass(position_m: Floats, step_s: float, stays: tuple[Stay, ...]) -> None:
    """Has slots leave for their next vehicle in time."""
    for before, stay in pairwise(stays):
        end, begin = round(before.end_s / step_s), round(stay.begin_s / step_s)
        if before.ue == stay.ue and before.who != stay.who:
            way = position_m[begin, stay.ue] - position_m[end, stay.ue]
            steps = min(math.ceil(np.hypot(*way) / (FASTEST_MPS * step_s)), begin - end)
            for back in range(1, steps):
                position_m[begin - back, stay.ue] = position_m[begin, stay.ue] - way * back / steps


def _derived(position_m: Floats, step_s: float, stays: tuple[Stay, ...]) -> Floats:
    """Speeds and headings, (T, U, 2); of who has just come, those of the step after."""
    seen = observed(position_m, step_s)[..., 2:]
    for stay in stays:
        begin, end = round(stay.begin_s / step_s), round(stay.end_s / step_s)
        seen[begin, stay.ue] = seen[begin + 1, stay.ue] if begin < end else 0.0
    return seen


def _stays(rows: FcdRows, step: Ints, step_s: float, slot: Ints) -> tuple[Stay, ...]:
    """Returns the uninterrupted stays of vehicles and persons."""
    table = pd.DataFrame({"slot": slot, "step": step, "who": rows.index})[slot >= 0].sort_values(["slot", "step"])
    begins = (table["slot"].diff() != 0) | (table["step"].diff() != 1) | (table["who"].diff() != 0)
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(table)) - 1
    ue, who, at_s = table["slot"].to_numpy(), table["who"].to_numpy(), table["step"].to_numpy() * step_s
    return tuple(
        Stay(ue=int(ue[a]), who=rows.who[who[a]], begin_s=float(at_s[a]), end_s=float(at_s[b]))
        for a, b in zip(first, last, strict=True)
    )
