"""Scenarios, traces and episodes with values that no field shares, for the tests of this folder."""

from __future__ import annotations

from typing import Any

import numpy as np

from cf_augment.dataset import Episode, EpisodeMetadata, Provenance
from ns3_scenarios.kpis import EVENT_DTYPE, EventKind, StepKpis
from ns3_scenarios.scenario import Preset, Scenario
from sumo_mobility.base.seeds import stream
from sumo_mobility.trace import MobilityTrace, TraceMetadata


def preset(ues: int = 4, steps: int = 5, **fields: Any) -> Preset:
    """One without a map; `fields` are added."""
    return Preset.parse(
        {
            "id": "made-up-v0",
            "description": "three cells",
            "mobility": {
                "ues": ues, "duration_s": max(steps, 2),
                "train_contexts": [{"name": "uniform"}], "test_contexts": [{"name": "uniform"}],
            },
            "sites": {},
            "episode": {"steps": steps},
            **fields,
        },
        "test",
    )  # fmt: skip


def scenario(ues: int = 4, steps: int = 5) -> Scenario:
    """Three cells in a triangle, six ordered neighbour pairs."""
    return Scenario.place(preset(ues, steps), [(0.0, 0.0), (700.0, 0.0), (350.0, 600.0)])


def trace(seed: int, ues: int = 4, steps: int = 5, context: str = "uniform") -> MobilityTrace:
    """UEs that go straight."""
    rng = stream(seed, "made-trace")
    heading = rng.uniform(0, 360, ues)
    speed = rng.uniform(5, 15, ues)
    velocity = speed[:, None] * np.column_stack([np.sin(np.radians(heading)), np.cos(np.radians(heading))])
    time_s = np.arange(steps + 1, dtype=np.float64)
    return MobilityTrace(
        time_s=time_s,
        position_m=rng.uniform(0, 700, (ues, 2)) + time_s[:, None, None] * velocity,
        speed_mps=np.tile(speed, (steps + 1, 1)),
        heading_deg=np.tile(heading, (steps + 1, 1)),
        metadata=TraceMetadata.made_up((0, 0, 700, 700), seed, context),
    )


def kpis(place: Scenario, moves: MobilityTrace, row: int, rng: np.random.Generator) -> StepKpis:
    """Random but possible KPIs of one interval, with 0 to 3 events."""
    cells, ues = len(place.cells), moves.ues
    serving = rng.integers(-1, cells, ues)
    events = np.zeros(int(rng.integers(0, 4)), dtype=EVENT_DTYPE)
    events["time_s"] = np.sort(rng.uniform(row - 1, row, len(events)))
    events["ue"], events["kind"] = rng.integers(0, ues, len(events)), rng.integers(0, len(EventKind), len(events))
    return StepKpis(
        time_s=np.float64(row),
        prb_utilization=rng.uniform(0, 1, cells),
        offered_bps=rng.uniform(0, 1e6, cells),
        served_bps=rng.uniform(0, 1e6, cells),
        connected_ues=np.array([(serving == cell).sum() for cell in range(cells)], dtype=np.float64),
        ue_position_m=moves.position_m[row],
        ue_serving_cell=serving,
        ue_rsrp_dbm=rng.uniform(-130, -60, (ues, cells)),
        ue_sinr_db=rng.uniform(-5, 30, ues),
        ue_throughput_bps=rng.uniform(0, 3e5, ues),
        events=events,
        handovers=np.float64(rng.integers(0, 4)),
    )


def episode(
    place: Scenario,
    seed: int,
    steps: int = 5,
    kind: str = "logged",
    trace_seed: int | None = None,
    reach: float = 1.0,
) -> Episode:
    """An episode whose every array is random; actions reach from -`reach` to `reach`, some have no log-density."""
    rng = stream(seed, "made-episode")
    origin = seed if trace_seed is None else trace_seed
    moves = trace(origin, place.mobility.ues, steps)
    metadata = EpisodeMetadata(
        scenario_id=place.id, trace_name=f"trace-{origin}", policy="random", seed=seed, backend="engine",
        versions={"engine": "1"},
        provenance=Provenance(kind=kind, source=() if kind == "logged" else ("trace-0",), action_source="random"),
    )  # fmt: skip
    rows = [kpis(place, moves, row, rng) for row in range(steps + 1)]
    actions = rng.uniform(-reach, reach, (steps, len(place.neighbor_pairs)))
    log_probs = np.where(rng.uniform(size=steps) < 0.3, np.nan, rng.normal(-3, 2, steps))
    return Episode.from_kpis(place, moves, rows, actions, metadata, behavior_log_probs=log_probs)
