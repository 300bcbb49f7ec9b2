"""Networks to measure and to test with: sites on a hexagonal grid, and UEs that cross them in straight lines."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from ns3_scenarios.scenario import Preset, Scenario
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.seeds import stream
from sumo_mobility.trace import MobilityTrace, TraceMetadata

INTER_SITE_DISTANCE_M = 500.0
FASTEST_MPS = 30.0


def hexagonal_scenario(
    sites: int, ues: int, steps: int, offered_bps: float = 500e3, rrc: Literal["ideal", "real"] = "ideal"
) -> Scenario:
    """The `sites` nearest to the centre of a grid, three cells each; sectors and adjacent sites are neighbours."""
    preset = {
        "id": f"bench-hex-{3 * sites}-v0",
        "description": f"{sites} sites of 3 sectors, {ues} UEs",
        "mobility": uniform_mobility(ues, steps),
        "sites": {"inter_site_distance_m": INTER_SITE_DISTANCE_M, "sectors": 3},
        "radio": {"antenna": {"pattern": "sector"}, "rrc": rrc},
        "handover": {"neighbors": {"by": "distance", "within_m": 1.1 * INTER_SITE_DISTANCE_M}},
        "traffic": {"offered_bps": offered_bps},
        "episode": {"steps": steps, "warmup_s": 2},
    }
    return Scenario.place(Preset.parse(preset, "bench"), hexagonal_sites_m(sites))


def uniform_mobility(ues: int, steps: int) -> dict[str, Any]:
    """Returns the mobility of a preset for episodes of some steps of a second, whose UEs are spread evenly."""
    uniform = [{"name": "uniform"}]
    return {"ues": ues, "duration_s": max(steps, 2), "train_contexts": uniform, "test_contexts": uniform}


def hexagonal_sites_m(sites: int) -> list[tuple[float, float]]:
    """The `sites` nearest to the centre of a hexagonal grid, in m from there."""
    row_m = INTER_SITE_DISTANCE_M * math.sqrt(3) / 2
    indices = range(-sites, sites + 1)
    grid = [(INTER_SITE_DISTANCE_M * (column + row / 2), row_m * row) for row in indices for column in indices]
    nearest = sorted(grid, key=lambda site: (round(math.hypot(*site), 3), math.atan2(site[1], site[0])))[:sites]
    return [(round(x, 2), round(y, 2)) for x, y in nearest]


def crossing_trace(scenario: Scenario, seed: int, fastest_mps: float = FASTEST_MPS) -> MobilityTrace:
    """Returns UEs that go straight on, each at its own speed, and are turned back at the edge of the network.

    Args:
        scenario: How many UEs, where the cells stand, and how long the trace is.
        seed: Of positions, headings and speeds.
        fastest_mps: Speeds are uniform from a third of this to all of it.
    """
    generator = stream(seed, "bench", "trace")
    ues = scenario.mobility.ues
    cells = np.array([(cell.x_m, cell.y_m) for cell in scenario.cells])
    margin_m = INTER_SITE_DISTANCE_M / 3
    corner, size = cells.min(axis=0) - margin_m, np.ptp(cells, axis=0) + 2 * margin_m
    heading_rad = generator.uniform(0, 2 * np.pi, ues)
    speed_mps = generator.uniform(fastest_mps / 3, fastest_mps, ues)
    time_s = np.arange(math.ceil(scenario.episode.duration_s) + 1, dtype=np.float64)
    metadata = TraceMetadata(
        source="straight lines",
        map_name="plane",
        licence="CC0-1.0",
        attribution="none needed",
        seed=seed,
        context="uniform",
        bounds_m=(*corner.tolist(), *(corner + size).tolist()),
    )
    return straight_trace(time_s, corner, size, generator.uniform(0, 2, (ues, 2)), heading_rad, speed_mps, metadata)


def straight_trace(
    time_s: Floats, corner_m: Floats, size_m: Floats, start: Floats, heading_rad: Floats, speed_mps: Floats,
    metadata: TraceMetadata,
) -> MobilityTrace:  # fmt: skip
    """Returns UEs that go straight on in a rectangle, and are turned back at its edges.

    Args:
        time_s: Times of the trace, (T,).
        corner_m: South-western corner of the rectangle, (2,).
        size_m: Its width and height, (2,).
        start: Where the UEs begin, as shares of the size, (U, 2); from 1 to 2 they have been turned back once.
        heading_rad: Their headings clockwise from north, (U,).
        speed_mps: Their speeds, (U,).
        metadata: What the trace says of itself.
    """
    direction = np.stack([np.sin(heading_rad), np.cos(heading_rad)], axis=-1)
    phase = (start + speed_mps[:, None] * time_s[:, None, None] * direction / size_m) % 2
    return MobilityTrace(
        time_s=time_s,
        position_m=corner_m + size_m * np.minimum(phase, 2 - phase),
        speed_mps=np.tile(speed_mps, (len(time_s), 1)),
        heading_deg=np.tile(np.degrees(heading_rad), (len(time_s), 1)),
        metadata=metadata,
    )


def random_cio_db(scenario: Scenario, seed: int) -> Floats:
    """CIO anew for each step and pair, uniform within the range; (steps, E)."""
    limit_db = scenario.handover.cio_range_db
    shape = (scenario.episode.steps, len(scenario.neighbor_pairs))
    return stream(seed, "bench", "cio").uniform(-limit_db, limit_db, shape)
