"""Runs SUMO on routed UEs and turns its floating car data into a MobilityTrace."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sumo_mobility.base.errors import SimulatorError
from sumo_mobility.base.seeds import derive
from sumo_mobility.contexts import Context, MobilityConfig
from sumo_mobility.net import RoadNetwork
from sumo_mobility.sumo import run_sumo, sumo_version
from sumo_mobility.trace import MobilityTrace, TraceMetadata

FILLED_LIMIT = 0.005
"""Share of rows that may be held over gaps; beyond it the streets are jammed and the trace is refused."""


def simulate(
    routes: Path,
    network: RoadNetwork,
    config: MobilityConfig,
    context: Context,
    seed: int,
    on_step: Callable[[float], None] | None = None,
) -> MobilityTrace:
    """Runs SUMO in steps of 1 s; the trace begins after `config.settle_s`.

    Args:
        routes: The routed UEs; SUMO's output is written beside it.
        network: The streets.
        config: How many UEs, how long.
        context: What the UEs are up to, for the metadata.
        seed: Of the trace.
        on_step: Called with the simulated time in s now and then.

    Raises:
        SimulatorError: SUMO failed, or took so many UEs off jammed streets that the trace would be a fiction.
    """
    output = routes.with_name("fcd.parquet")
    run_sumo(
        "sumo",
        ["--net-file", str(network.file), "--route-files", str(routes), "--step-length", "1",
         "--end", f"{config.settle_s + config.duration_s + 1:.0f}", "--seed", str(derive(seed, "sumo")),
         "--fcd-output", str(output), "--fcd-output.attributes", "x,y,speed,angle",
         "--device.fcd.begin", f"{config.settle_s:.0f}", "--step-log.period", "20", "--no-warnings"],
        timeout_s=60 + 2 * (config.settle_s + config.duration_s),
        on_step=on_step,
    )  # fmt: skip
    try:
        frame = pd.read_parquet(output, engine="pyarrow")
    except Exception as error:  # pyarrow raises many kinds for damaged files
        raise SimulatorError(f"sumo wrote no readable positions ({error})") from None
    row = (frame["timestep_time"] - config.settle_s).round().to_numpy(np.int64)
    grid = np.full((int(config.duration_s) + 1, config.ues, 4), np.nan)
    values = frame[["vehicle_x", "vehicle_y", "vehicle_speed", "vehicle_angle"]].to_numpy(np.float64)
    grid[row, frame["vehicle_id"].astype(np.int64)] = values
    grid, filled = fill_gaps(grid)
    metadata = TraceMetadata(
        source="sumo",
        map_name=network.source.name,
        licence=network.source.licence,
        attribution=network.source.attribution,
        seed=seed,
        context=context.name,
        context_parameters=context.model_dump(exclude={"name"}),
        bounds_m=network.streets.bounds_m,
        projection=network.streets.projection,
        net_offset_m=network.streets.net_offset_m,
        rows_filled=filled,
        versions={
            "sumo": sumo_version(),
            "osmium": importlib.metadata.version("osmium"),
            "map_sha256": network.source.sha256,
        },
    )
    return MobilityTrace(
        time_s=np.arange(len(grid), dtype=np.float64),
        position_m=grid[..., :2] - network.shift_m,
        speed_mps=grid[..., 2],
        heading_deg=grid[..., 3],
        metadata=metadata,
    )


def fill_gaps(grid: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Completes a grid (T, U, 4: x, y, speed, heading) that is NaN where SUMO had taken the UE off the road.

    A UE stands where it was last seen, or first seen if the gap is at the beginning.

    Returns:
        The full grid, and how many of its T x U rows were filled.

    Raises:
        SimulatorError: more than FILLED_LIMIT of the rows are missing, or a UE was never seen.
    """
    missing = np.isnan(grid[..., 0])
    ues = grid.shape[1]
    if missing.mean() > FILLED_LIMIT:
        raise SimulatorError(
            f"sumo took UEs off jammed streets in {missing.sum()} of {missing.size} rows, more than {FILLED_LIMIT:.1%}",
            f"lower mobility.ues (now {ues}) or take a larger map",
        )
    if missing.all(axis=0).any():
        raise SimulatorError(f"sumo never had UE {int(missing.all(axis=0).argmax())} of {ues} on the streets")
    return hold(grid)


def hold(grid: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Completes a grid (T, U, 4) as `fill_gaps` does, however much is missing; each UE must have been seen once."""
    missing = np.isnan(grid[..., 0])
    rows = np.arange(len(grid))[:, None]
    last_seen = np.maximum.accumulate(np.where(missing, -1, rows), axis=0)
    source = np.where(last_seen < 0, (~missing).argmax(axis=0), last_seen)
    full = np.take_along_axis(grid, source[..., None], axis=0)
    full[missing, 2] = 0.0
    return full, int(missing.sum())
