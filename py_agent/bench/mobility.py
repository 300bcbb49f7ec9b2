"""Measures mobility: its cost, its soundness, and how much of it load balancing can act on, preset by preset."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from cf_augment.physics.radio.rsrp import Radio
from ns3_scenarios.scenario import Preset, Scenario, preset_ids
from py_agent.measurement import Measurement
from sumo_mobility.base.scratch import ScratchDirectory
from sumo_mobility.base.seeds import derive
from sumo_mobility.contexts import Context, Event, Sites
from sumo_mobility.live import LiveTraffic
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.pipeline import load_map, make_trace, make_traces
from sumo_mobility.sites import HexagonalGrid, ListedSites
from sumo_mobility.trace import MobilityTrace

_CROWD = Event(x_share=0.65, y_share=0.6, stay_s=(120.0, 600.0))
_LARGE_CROWD = _CROWD.model_copy(update={"radius_m": 500.0})
"""A crowd for 600 UEs, half of them in cars, which jam at 150 m."""
_NEAR_STREET_M = 5.0


@dataclass(frozen=True)
class CellDemand:
    """The spread of UEs over the cells that they receive best, with all CIOs at 0 dB.

    Attributes:
        max_over_mean: Most UEs of a cell over the mean of all cells, as a mean over time.
        jain: Jain's index of the UEs per cell, likewise: 1 if all cells have as many.
        changes_per_minute: How often the best cell of a UE changes from one second to the next.
    """

    max_over_mean: float
    jain: float
    changes_per_minute: float

    @classmethod
    def of(cls, scenario: Scenario, trace: MobilityTrace) -> CellDemand:
        """Counts them on one trace."""
        radio = Radio(scenario, torch.device("cpu"))
        best = radio.rsrp_dbm(radio.local(torch.from_numpy(trace.position_m))).argmax(dim=-2).numpy()
        ues = np.stack([(best == cell).sum(axis=1) for cell in range(len(scenario.cells))], axis=1)
        return cls(
            max_over_mean=float((ues.max(axis=1) / ues.mean(axis=1)).mean()),
            jain=float((ues.sum(axis=1) ** 2 / (ues.shape[1] * (ues**2).sum(axis=1))).mean()),
            changes_per_minute=float((np.diff(best, axis=0) != 0).mean() * 60 / trace.step_s),
        )


def measure(seed: int, quick: bool) -> Iterator[Measurement]:
    """Yields the figures, each as soon as it is known.

    Args:
        seed: Of all traces.
        quick: One trace a context instead of ten; smaller and shorter traces for cost and soundness.
    """
    limit = _long_line(seed, 1 if quick else 10)
    what = "line of 12 sites, all go right: best-cell changes, the limit of line3's walk"
    yield Measurement(what, limit, "per UE-min", None)
    yield from _presets(seed, 1 if quick else 10, limit)
    yield from _imbalance(seed, 1 if quick else 10)
    yield from _chain(seed, *((60, 120) if quick else (300, 1800)))
    yield from _live(seed, *((60, 120) if quick else (300, 1800)))
    ues, duration_s = (100, 120) if quick else (1000, 3600)
    config = _config("berlin-adlershof", ues, duration_s, pedestrian_share=0.5)
    spent_s, trace = _timed(config, _LARGE_CROWD, seed)
    what = f"Berlin-Adlershof, {ues} UEs, half of them on foot, {duration_s / 60:g} min"
    yield Measurement(f"{what}: wall time", spent_s, "s", 300)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    yield Measurement(f"{what}: memory", peak / 1024**2, "GB", 2)
    yield Measurement(f"{what}: rows filled", _filled(trace), "%", 0.1)


def _presets(seed: int, traces: int, limit_of_line3: float) -> Iterator[Measurement]:
    for name in preset_ids():
        preset = Preset.load(name)
        scenario = Scenario.place(preset, preset.sites.place(load_map(preset.mobility.map)))
        mobility = preset.mobility
        for split, contexts in (("train", mobility.train_contexts), ("test", mobility.test_contexts)):
            jobs = [(contexts[i % len(contexts)], derive(seed, split, i)) for i in range(traces * len(contexts))]
            demand = [CellDemand.of(scenario, trace) for trace in make_traces(mobility, jobs)]
            what = f"{name}, {split} contexts"
            yield Measurement(f"{what}: max/mean UEs a cell", _mean(demand, "max_over_mean"), "", None)
            yield Measurement(f"{what}: Jain over cells", _mean(demand, "jain"), "", None)
            changes = _mean(demand, "changes_per_minute")
            yield Measurement(f"{what}: best-cell changes", changes, "per UE-min", None)
            if name.startswith("line3-right-"):
                yield Measurement(f"{what}: of the walk's limit", 100 * changes / limit_of_line3, "%", None)


def _long_line(seed: int, traces: int) -> float:
    """Best-cell changes per UE per minute that line3 can have at most: all UEs go right, and the line does not end."""
    preset, sites = Preset.load("line3-right-right-left-v0"), 12
    places_m = tuple((250.0 + 500 * site, 250.0) for site in range(sites))
    context = Sites(behaviors=("right",) * (sites - 3) + ("none",) * 3, places_m=places_m)
    mobility = preset.mobility.model_copy(update={"map": f"open:{500 * sites}x500"})
    listed = ListedSites(by="listed", positions_m=places_m)
    preset = preset.model_copy(update={"mobility": mobility, "sites": listed})
    scenario = Scenario.place(preset, listed.place(load_map(mobility.map)))
    jobs = [(context, derive(seed, "line", i)) for i in range(traces)]
    demand = [CellDemand.of(scenario, trace) for trace in make_traces(mobility, jobs)]
    return _mean(demand, "changes_per_minute")


def _imbalance(seed: int, traces: int) -> Iterator[Measurement]:
    """The crowds of helsinki-event on a hexagonal grid of 500 m."""
    preset = Preset.load("helsinki-event-v0")
    preset = preset.model_copy(update={"sites": HexagonalGrid(inter_site_distance_m=500)})
    scenario = Scenario.place(preset, preset.sites.place(load_map(preset.mobility.map)))
    events = [context for context in preset.mobility.test_contexts if isinstance(context, Event)]
    jobs = [(event, derive(seed, "test", i)) for i in range(traces) for event in events]
    demand = [CellDemand.of(scenario, trace) for trace in make_traces(preset.mobility, jobs)]
    what = "events of helsinki-event, hexagonal 500 m"
    ratio = _mean(demand, "max_over_mean")
    yield Measurement(f"{what}: max/mean UEs a cell", ratio, "", 2.5, more_is_better=True)
    yield Measurement(f"{what}: Jain over cells", _mean(demand, "jain"), "", 0.6)


def _chain(seed: int, ues: int, duration_s: int) -> Iterator[Measurement]:
    config = _config("helsinki-centre", ues, duration_s)
    street_map = load_map(config.map)
    what = f"Helsinki, {ues} UEs, {duration_s / 60:g} min"
    spent_s, trace = _timed(config, _CROWD, seed)
    yield Measurement(f"{what}: wall time", spent_s, "s", 40)
    yield Measurement(f"{what}: rows filled", _filled(trace), "%", 0.1)
    away_m = street_map.distance_m(trace.position_m[:: max(1, duration_s // 200)])
    yield Measurement(f"{what}: UEs off the street", float((away_m > _NEAR_STREET_M).sum()), "positions", 0)
    yield Measurement(f"{what}: same seed twice", float(_differ(trace, make_trace(config, _CROWD, seed))), "differ", 0)


def _live(seed: int, ues: int, duration_s: int) -> Iterator[Measurement]:
    """SUMO stepped second by second, and left alone, against SUMO run at once."""
    config = _config("helsinki-centre", ues, duration_s, pedestrian_share=0.2)
    offline_s, offline = _timed(config, _CROWD, seed)
    started = time.monotonic()
    with LiveTraffic(config, _CROWD, seed) as traffic:
        for time_s in offline.time_s:
            traffic.position_at(float(time_s))
        live = traffic.trace()
    live_s = time.monotonic() - started
    live_rows, offline_rows = (trace.to_frame().to_numpy() for trace in (live, offline))
    what = f"Helsinki, {ues} UEs, a fifth of them on foot, {duration_s / 60:g} min, live against offline"
    yield Measurement(f"{what}: rows", float((live_rows != offline_rows).any(axis=1).sum()), "differ", 0)
    yield Measurement(f"{what}: wall time", live_s / offline_s, "times", None)


def _differ(first_trace: MobilityTrace, second_trace: MobilityTrace) -> bool:
    with ScratchDirectory() as scratch:
        first, second = scratch.path / "one.parquet", scratch.path / "other.parquet"
        first_trace.write(first)
        second_trace.write(second)
        return any(
            first.with_suffix(suffix).read_bytes() != second.with_suffix(suffix).read_bytes()
            for suffix in (".parquet", ".json")
        )


def _config(map_name: str, ues: int, duration_s: int, pedestrian_share: float = 0.0) -> MobilityConfig:
    return MobilityConfig(
        map=map_name, ues=ues, duration_s=duration_s, pedestrian_share=pedestrian_share,
        train_contexts=(_CROWD,), test_contexts=(_CROWD,),
    )  # fmt: skip


def _timed(config: MobilityConfig, context: Context, seed: int) -> tuple[float, MobilityTrace]:
    """Wall time of the chain, from a map whose net is known to a trace on the disk."""
    load_map(config.map)
    with ScratchDirectory() as scratch:
        started = time.monotonic()
        trace = make_trace(config, context, seed)
        trace.write(scratch.path / "trace.parquet")
        return time.monotonic() - started, trace


def _filled(trace: MobilityTrace) -> float:
    return 100 * trace.metadata.rows_filled / trace.speed_mps.size


def _mean(demand: list[CellDemand], name: str) -> float:
    return float(np.mean([getattr(figures, name) for figures in demand]))
