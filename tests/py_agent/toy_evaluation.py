"""A paired evaluation in a toy network: UEs walk a street grid, RSRP is a formula, offsets follow the load."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cf_augment.dataset import Episode, EpisodeMetadata, Provenance
from ns3_scenarios.kpis import EVENT_DTYPE, StepKpis
from ns3_scenarios.scenario import Preset, Scenario
from py_agent.metrics import episode_metrics
from py_agent.report import ReportData
from py_agent.statistics import summarize
from sumo_mobility.base.seeds import stream
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import MobilityTrace, TraceMetadata

BOUNDS_M = (0.0, 0.0, 2000.0, 1500.0)
SITES_M = [(350.0, 350.0), (1000.0, 250.0), (1650.0, 400.0), (650.0, 1050.0), (1350.0, 1100.0)]
BLOCK_M = 100.0


def street_grid() -> list[np.ndarray]:
    """Streets every BLOCK_M, north-south and east-west."""
    west, south, east, north = BOUNDS_M
    across = [np.array([[west, y], [east, y]]) for y in np.arange(south, north + 1, BLOCK_M)]
    return across + [np.array([[x, south], [x, north]]) for x in np.arange(west, east + 1, BLOCK_M)]


def walk(ues: int, steps: int, seed: int) -> MobilityTrace:
    """UEs that walk from crossing to crossing at 10 m/s, drawn to the north-east."""
    random = stream(seed, "walk")
    cells = np.array([BOUNDS_M[2], BOUNDS_M[3]]) / BLOCK_M
    crossing = random.integers(1, cells.astype(int), size=(ues, 2))
    knots = [crossing]
    for _ in range(steps // 10 + 2):
        along = random.integers(0, 2, ues)
        sign = np.where(random.random(ues) < 0.7, 1, -1)
        move = np.stack([np.where(along == 0, sign, 0), np.where(along == 1, sign, 0)], axis=1)
        crossing = np.clip(crossing + move, 0, cells.astype(int))
        knots.append(crossing)
    time_s = np.arange(steps + 1, dtype=float)
    knot_s = np.arange(len(knots)) * 10.0
    position_m = np.array(
        [[np.interp(time_s, knot_s, [k[u][d] * BLOCK_M for k in knots]) for d in (0, 1)] for u in range(ues)]
    ).transpose(2, 0, 1)
    still = np.zeros((steps + 1, ues))
    metadata = TraceMetadata(
        source="toy", map_name="grid", licence="CC0", attribution="", seed=seed, context="drawn", bounds_m=BOUNDS_M
    )
    return MobilityTrace(time_s, position_m, still, still, metadata)


def play(scenario: Scenario, trace: MobilityTrace, policy: str, gain_db: float, seed: int) -> Episode:
    """One episode in which each cell's offset follows its load: `gain_db` 0 is static."""
    steps, cells, ues = scenario.episode.steps, len(scenario.cells), trace.ues
    serving = np.full(ues, -1)
    offset_db = np.zeros(cells)
    rows: list[StepKpis] = []
    random = stream(seed, "phases")
    for step in range(steps + 1):
        position_m = trace.position_m[step]
        distance_m = np.array([np.hypot(*(position_m - site).T) + 30 for site in SITES_M]).T
        rsrp_dbm = 40 - 15.3 - 37.6 * np.log10(distance_m) - 10 * np.log10(300)
        wanted = (rsrp_dbm + offset_db).argmax(axis=1)
        gain = np.take_along_axis(rsrp_dbm + offset_db, wanted[:, None], 1)[:, 0]
        kept = np.take_along_axis(rsrp_dbm + offset_db, np.maximum(serving, 0)[:, None], 1)[:, 0]
        moves = (serving < 0) | (gain > kept + 2)
        before, serving = serving, np.where(moves, wanted, serving)
        handed = np.flatnonzero(moves & (before >= 0))
        power = 10 ** (rsrp_dbm / 10)
        own = power[np.arange(ues), serving]
        sinr = own / (power.sum(axis=1) - own + 1e-12)
        need = scenario.traffic.offered_bps / (4.5e6 * np.log2(1 + sinr) * random.uniform(0.9, 1.1, ues))
        load = np.array([need[serving == cell].sum() for cell in range(cells)])
        served = scenario.traffic.offered_bps * np.minimum(1, 1 / np.maximum(load, 1e-9))[serving]
        events = np.array(
            [(step - 0.5, ue, before[ue], serving[ue], 1) for ue in handed], dtype=EVENT_DTYPE
        )  # fmt: skip
        counts = np.bincount(serving, minlength=cells).astype(float)
        load = np.minimum(load, 1)
        reported = np.where((np.arange(ues) == 0) & (step == 2), -1, serving)
        rows.append(
            StepKpis(
                time_s=np.float64(step), prb_utilization=load, offered_bps=counts * scenario.traffic.offered_bps,
                served_bps=np.bincount(serving, served, cells), connected_ues=counts, ue_position_m=position_m,
                ue_serving_cell=reported, ue_rsrp_dbm=rsrp_dbm,
                ue_sinr_db=10 * np.log10(sinr),
                ue_throughput_bps=served, events=events, handovers=np.float64(len(handed)),
            )
        )  # fmt: skip
        offset_db = np.clip(offset_db - gain_db * (load - load.mean()), -6, 6)
    metadata = EpisodeMetadata(
        scenario_id=scenario.id, trace_name=f"drawn-{trace.metadata.seed}", policy=policy, seed=seed,
        backend="engine", versions={"toy": "1"}, provenance=Provenance(action_source=policy),
    )  # fmt: skip
    return Episode.from_kpis(scenario, trace, rows, np.zeros((steps, len(scenario.neighbor_pairs))), metadata)


def evaluation(
    gains_db: dict[str, float], replay: tuple[str, ...], ues: int = 60, steps: int = 40, traces: int = 3
) -> ReportData:
    """A paired evaluation of one integral rule a gain."""
    preset = Preset.load("helsinki-event-v0")
    preset = preset.model_copy(
        update={
            "mobility": preset.mobility.model_copy(update={"ues": ues}),
            "traffic": preset.traffic.model_copy(update={"offered_bps": 200e3}),
            "episode": preset.episode.model_copy(update={"steps": steps}),
        }
    )
    scenario = Scenario.place(preset, SITES_M)
    walks = [walk(ues, steps, seed) for seed in range(traces)]
    episodes = {
        policy: [play(scenario, trace, policy, gain_db, seed) for seed, trace in enumerate(walks)]
        for policy, gain_db in gains_db.items()
    }
    frame = pd.DataFrame(
        [
            {
                "policy": policy,
                "trace": run.metadata.trace_name,
                "seed": run.metadata.seed,
                **episode_metrics(scenario, run),
            }
            for policy, runs in episodes.items()
            for run in runs
        ]
    )
    street_map = StreetMap("grid", street_grid(), BOUNDS_M, "", (0, 0), "ODbL-1.0", "© OpenStreetMap contributors")
    return ReportData(scenario, street_map, summarize(frame), episodes, replay)
