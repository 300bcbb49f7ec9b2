"""Runs SUMO on routed UEs and turns its floating car data into a MobilityTrace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import SimulatorError
from sumo_mobility.base.seeds import derive
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.net import RoadNetwork
from sumo_mobility.sumo import run_sumo

FILLED_LIMIT = 0.005
"""Share of rows that may be held over gaps; beyond it the streets are jammed and the trace is refused."""

_STUCK_S = 600
"""A car that has waited for so long is taken off the road.

SUMO's default of 300 s does so in jams that would dissolve: of 300 cars in Helsinki's centre, 30 min, a crowd, with
three seeds 0.18 %, 0.005 % and 0.14 % of the rows; here 0.0004 %, 0 and 0.
"""


def traffic_options(routes: Path, network: RoadNetwork, drivers: int) -> list[str]:
    """Options of `sumo` that decide how the UEs move, in steps of 1 s.

    Args:
        routes: The routed UEs.
        network: The streets.
        drivers: Seed of SUMO's own random choices.
    """
    return [
        "--net-file", str(network.file), "--route-files", str(routes), "--step-length", "1",
        "--seed", str(derive(drivers, "sumo")), "--pedestrian.model", "nonInteracting",
        "--time-to-teleport", str(_STUCK_S), "--no-warnings",
    ]  # fmt: skip


def simulate(
    routes: Path,
    network: RoadNetwork,
    config: MobilityConfig,
    begin_s: int,
    drivers: int,
    on_step: Callable[[float], None] | None = None,
) -> tuple[Floats, int]:
    """Runs SUMO in steps of 1 s.

    Args:
        routes: The routed UEs; SUMO's output is written beside it.
        network: The streets.
        config: How many UEs, how long.
        begin_s: When the trace begins.
        drivers: Seed of SUMO's own random choices.
        on_step: Called with the simulated time in s now and then.

    Returns:
        (T, U, 4): x and y in trace coordinates, speed in m/s, heading in degrees; and how many rows were filled.

    Raises:
        SimulatorError: SUMO failed, or took so many UEs off jammed streets that the trace would be a fiction.
    """
    output = routes.with_name("fcd.parquet")
    run_sumo(
        "sumo",
        [*traffic_options(routes, network, drivers), "--end", f"{begin_s + config.duration_s + 1:.0f}",
         "--fcd-output", str(output), "--fcd-output.attributes", "x,y,speed,angle",
         "--device.fcd.begin", f"{begin_s}", "--step-log.period", "20"],
        timeout_s=60 + 2 * (begin_s + config.duration_s),
        on_step=on_step,
    )  # fmt: skip
    try:
        frame = pd.read_parquet(output, engine="pyarrow")
    except Exception as error:  # pyarrow raises many kinds for damaged files
        raise SimulatorError(f"sumo wrote no readable positions ({error})") from None
    grid = np.full((int(config.duration_s) + 1, config.ues, 4), np.nan)
    for kind in ("vehicle", "person"):
        if f"{kind}_id" in frame:
            rows = frame[frame[f"{kind}_id"].notna() & (frame[f"{kind}_id"] != "")]
            time = (rows["timestep_time"] - begin_s).round().to_numpy(np.int64)
            columns = [f"{kind}_{name}" for name in ("x", "y", "speed", "angle")]
            grid[time, rows[f"{kind}_id"].astype(np.int64)] = rows[columns].to_numpy(np.float64)
    grid, filled = fill_gaps(grid)
    grid[..., :2] -= network.shift_m
    return grid, filled


def fill_gaps(grid: Floats) -> tuple[Floats, int]:
    """Completes a grid (T, U, 4: x, y, speed, heading) that is NaN where SUMO had taken the UE off the road.

    A UE stands where it was last seen, or first seen if the gap is at the beginning.

    Returns:
        The full grid, and how many of its T x U rows were filled.

    Raises:
        SimulatorError: more than FILLED_LIMIT of the rows are missing, or a UE was never seen.
    """
    missing = np.isnan(grid[..., 0])
    ues = grid.shape[1]
    check_filled(int(missing.sum()), missing.size, ues)
    if missing.all(axis=0).any():
        raise SimulatorError(f"sumo never had UE {int(missing.all(axis=0).argmax())} of {ues} on the streets")
    return hold(grid)


def check_filled(missing: int, rows: int, ues: int) -> None:
    """Raises SimulatorError if more than FILLED_LIMIT of the rows of a grid are missing."""
    if missing > FILLED_LIMIT * rows:
        raise SimulatorError(
            f"sumo took UEs off jammed streets in {missing} of {rows} rows, more than {FILLED_LIMIT:.1%}",
            f"lower mobility.ues (now {ues}), raise mobility.pedestrian_share, take a larger map or a wider crowd",
        )


def hold(grid: Floats) -> tuple[Floats, int]:
    """Completes a grid (T, U, 4) as `fill_gaps` does, however much is missing; each UE must have been seen once."""
    missing = np.isnan(grid[..., 0])
    rows = np.arange(len(grid))[:, None]
    last_seen = np.maximum.accumulate(np.where(missing, -1, rows), axis=0)
    source = np.where(last_seen < 0, (~missing).argmax(axis=0), last_seen)
    full = np.take_along_axis(grid, source[..., None], axis=0)
    full[missing, 2] = 0.0
    return full, int(missing.sum())
