"""The whole chain: a map, demand, simulation, trace; and traces made again with one cause changed."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import numpy as np

from sumo_mobility import demand
from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.base.files import sha256
from sumo_mobility.base.progress import progress
from sumo_mobility.base.scratch import ScratchDirectory
from sumo_mobility.contexts import CONTEXTS, Context
from sumo_mobility.maps import MapSource, find_map
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.net import RoadNetwork, build_net, read_network
from sumo_mobility.open_ground import OpenGround, is_open
from sumo_mobility.simulate import simulate
from sumo_mobility.streets import StreetMap
from sumo_mobility.sumo import sumo_version
from sumo_mobility.trace import MobilityTrace, TraceMetadata, observed
from sumo_mobility.walk import walk

LIVE_SOURCE = "sumo-live"
"""Source of the traces that LiveTraffic has driven."""
CARS_PER_STREET_M = 0.02
"""Cars on each metre of street (of edges that can be a destination, lanes not counted) that a map holds.

In Helsinki's centre, at 0.022, UEs of the uniform context still move at 2 m/s on average after 15 minutes, and SUMO
takes 0.002 % of them off the streets; at 0.031 they move at 1 m/s and it takes 0.2 %. A crowd jams its quarter sooner.
"""


def load_map(name: str) -> StreetMap:
    """Returns the streets of a map; converts it if it is new.

    Args:
        name: As `MobilityConfig.map`.

    Raises:
        ConfigError: no such map.
        DataError: the file is missing, damaged, foreign, or has no streets for cars.
        StorageError: the cache of nets cannot be written.
        SimulatorError: netconvert died.
    """
    return OpenGround.find(name).streets if is_open(name) else _network(find_map(name)).streets


def road_network(name: str) -> RoadNetwork:
    """Returns the streets of a map as SUMO has them; see `load_map`.

    Raises:
        ConfigError: the map is open ground, or as `load_map`.
        DataError, StorageError, SimulatorError: as `load_map`.
    """
    if is_open(name):
        raise ConfigError(f"mobility.map: SUMO has no streets on '{name}'", "take a map with streets")
    return _network(find_map(name))


def make_trace(config: MobilityConfig, context: Context, seed: int, drivers: int | None = None) -> MobilityTrace:
    """Makes one trace; the same arguments give the same trace.

    Args:
        config: Map, number of UEs and times.
        context: What the UEs are up to.
        seed: Of every random choice, >= 0.
        drivers: Seed of departures, routes and driving in its stead: other drivers with the same itineraries.

    Raises:
        ConfigError: no such map, the context does not fit it, or its streets do not hold so many UEs.
        DataError, StorageError: as `load_map`.
        SimulatorError: a SUMO program failed, or the streets jammed.
    """
    with progress(f"trace, {context.name}, seed {seed}", config.begin_s(seed) + config.duration_s) as bar:
        return _make_trace(config, context, seed, drivers, bar.advance)


def make_traces(
    config: MobilityConfig,
    jobs: Sequence[tuple[Context, int]],
    workers: int = 2,
    keep: Callable[[int, MobilityTrace], None] = lambda index, trace: None,
) -> list[MobilityTrace]:
    """Makes one trace for each (context, seed), several SUMO processes at a time.

    Args:
        config: As in `make_trace`.
        jobs: Contexts and seeds.
        workers: Number of processes at a time; the traces do not depend on it.
        keep: Called in this thread with the index and the trace of each job as soon as it is done, so that what is
            interrupted later is not lost.

    Raises:
        As `make_trace`; what has not begun is then left.
    """
    if workers < 1:
        raise ConfigError(f"workers: {workers}, must be at least 1")
    bounds_m = load_map(config.map).bounds_m
    for context, _ in jobs:
        context.plan(0, 0.0, bounds_m)
    total_s = sum(config.begin_s(seed) + config.duration_s for _, seed in jobs)
    with progress("traces", total_s) as bar, ThreadPoolExecutor(workers) as pool:
        futures = {
            pool.submit(_make_trace, config, context, seed, None, bar.advance): index
            for index, (context, seed) in enumerate(jobs)
        }
        try:
            for future in as_completed(futures):
                keep(futures[future], future.result())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return [future.result() for future in futures]


def make_trace_like(path: Path, context: Context | None = None, drivers: int | None = None) -> MobilityTrace:
    """Makes a trace again with one cause changed: the truth that counterfactuals are held against.

    Held are the map, the UEs, the times and all seeds, so that a UE whose plan is the same in both contexts has the
    same itinerary, and the same driver. What is changed, and in which trace, is in the new one's provenance. With
    nothing changed, it is the same trace, byte for byte.

    Args:
        path: The trace.
        context: In its place.
        drivers: Another seed of departures, routes and driving, with the same itineraries.

    Raises:
        DataError: the trace is damaged, was not made by `make_trace`, or by another version of what made it.
        ConfigError, StorageError, SimulatorError: as `make_trace`.
    """
    before = MobilityTrace.read(path).metadata
    config, old_context, old_drivers = _cause(path, before)
    context = old_context if context is None else context
    drivers = old_drivers if drivers is None else drivers
    trace = _make_trace(config, context, before.seed, drivers)
    if trace.metadata.versions != before.versions:
        raise DataError(
            f"{path}: was made with {before.versions}, but here are {trace.metadata.versions}",
            "install the same versions, or make the trace anew with 'mlb mobility make'",
        )
    changed = {
        "context": f"{_described(old_context)} -> {_described(context)}" if context != old_context else "",
        "drivers": f"{old_drivers} -> {drivers}" if drivers != old_drivers else "",
    }
    provenance = dict(before.provenance)
    if any(changed.values()):
        held = "map, UEs, times, seed" + "".join(f", {cause}" for cause, change in changed.items() if not change)
        provenance = trace.metadata.provenance | {"like_sha256": sha256(path), "held": held}
        provenance |= {f"do({cause})": change for cause, change in changed.items() if change}
    return replace(trace, metadata=trace.metadata.model_copy(update={"provenance": provenance}))


def changed_context(path: Path, changes: Mapping[str, object]) -> Context:
    """Returns the context of a trace with some of its parameters changed.

    Args:
        path: The trace.
        changes: Parameters by name; another `name` begins with that context's defaults.

    Raises:
        ConfigError: unknown name or parameter, or a value out of range.
        DataError: as `make_trace_like`.
    """
    _, context, _ = _cause(path, MobilityTrace.read(path).metadata)
    kept = context.model_dump() if changes.get("name", context.name) == context.name else {}
    return _Do.parse({"context": {**kept, **changes}}, "do").context


def phase_s(path: Path) -> float:
    """Returns the phase of a trace: how much later it begins than one whose phase is 0.

    Raises:
        DataError: as `make_trace_like`.
    """
    metadata = MobilityTrace.read(path).metadata
    config, _, _ = _cause(path, metadata)
    return config.begin_s(metadata.seed) - config.settle_s


class _Do(Contract):
    context: Annotated[Context, CONTEXTS]


def _cause(path: Path, metadata: TraceMetadata) -> tuple[MobilityConfig, Context, int]:
    """The arguments that made a trace."""
    if metadata.source == LIVE_SOURCE:
        raise DataError(
            f"{path}: was driven live, and what it was told is not known", "take a trace of 'mlb mobility make'"
        )
    context = {"name": metadata.context, **metadata.context_parameters}
    settings = dict(metadata.settings)
    drivers = settings.pop("drivers", None)
    if not isinstance(drivers, int):
        raise DataError(f"{path}: does not say how it was made", "make the trace anew with 'mlb mobility make'")
    try:
        config = MobilityConfig.parse({**settings, "train_contexts": [context], "test_contexts": [context]}, str(path))
    except ConfigError as error:
        raise DataError(error.message, "make the trace anew with 'mlb mobility make'") from None
    return config, config.train_contexts[0], drivers


def _described(context: Context) -> str:
    return context.model_dump_json(exclude_defaults=True)


@lru_cache(maxsize=4)
def _network(source: MapSource) -> RoadNetwork:
    return read_network(source, build_net(source))


def _make_trace(
    config: MobilityConfig,
    context: Context,
    seed: int,
    drivers: int | None = None,
    advance: Callable[[float], None] = lambda simulated_s: None,
) -> MobilityTrace:
    drivers = seed if drivers is None else drivers
    begin_s, done_s = config.begin_s(seed), 0.0

    def reach(time_s: float) -> None:
        nonlocal done_s
        advance(time_s - done_s)
        done_s = time_s

    if is_open(config.map):
        ground = OpenGround.find(config.map)
        streets, source, versions = ground.streets, "walk", {"numpy": importlib.metadata.version("numpy")}
        walked = observed(walk(ground, config, context, seed, drivers))
        grid, filled = walked[begin_s : begin_s + int(config.duration_s) + 1], 0
    else:
        network = road_network(config.map)
        streets, source, versions = network.streets, "sumo", sumo_versions(network)
        with ScratchDirectory() as scratch:
            routes, _ = routed(network, config, context, seed, drivers, scratch.path)
            grid, filled = simulate(routes, network, config, begin_s, drivers, reach)
    reach(begin_s + config.duration_s)
    metadata = described(streets, config, context, seed, drivers)
    return MobilityTrace(
        time_s=np.arange(len(grid), dtype=np.float64),
        position_m=grid[..., :2],
        speed_mps=grid[..., 2],
        heading_deg=grid[..., 3],
        metadata=metadata.model_copy(update={"source": source, "versions": versions, "rows_filled": filled}),
    )


def sumo_versions(network: RoadNetwork) -> dict[str, str]:
    """Returns the versions of the programs on which a trace on these streets depends."""
    return {
        "sumo": sumo_version(),
        "osmium": importlib.metadata.version("osmium"),
        "map_sha256": network.source.sha256,
    }


def described(streets: StreetMap, config: MobilityConfig, context: Context, seed: int, drivers: int) -> TraceMetadata:
    """Metadata of a trace with these causes; its source, versions and filled rows are left to be said."""
    return TraceMetadata(
        source="",
        map_name=streets.name,
        licence=streets.licence,
        attribution=streets.attribution,
        seed=seed,
        context=context.name,
        context_parameters=context.model_dump(mode="json", exclude={"name"}),
        settings=config.model_dump(mode="json", exclude={"train_contexts", "test_contexts"}) | {"drivers": drivers},
        bounds_m=streets.bounds_m,
        projection=streets.projection,
        net_offset_m=streets.net_offset_m,
        provenance={"driving_side": "left"} if streets.driving_side == "left" else {},
    )


def routed(
    network: RoadNetwork, config: MobilityConfig, context: Context, seed: int, drivers: int, folder: Path
) -> tuple[Path, list[demand.Itinerary]]:
    """Draws the UEs' itineraries and finds their ways; returns SUMO's routes, a file in `folder`, and the itineraries.

    Raises:
        ConfigError: the context does not fit the map, or its streets do not hold so many cars.
        SimulatorError: duarouter failed.
    """
    plans = demand.itineraries(demand.street_places(network), config, context, seed, drivers)
    cars, street_m = sum(not plan.walks for plan in plans), float(network.length_m.sum())
    if cars > (most := int(CARS_PER_STREET_M * street_m)):
        raise ConfigError(
            f"mobility.ues: {cars} cars, but {network.source.name} has {street_m / 1000:.1f} km of streets, which hold "
            f"{most} before they jam",
            "lower mobility.ues, raise mobility.pedestrian_share, or take a larger map",
        )
    trips, routes = folder / "trips.xml", folder / "routes.xml"
    demand.write_trips(trips, network, plans)
    demand.route(trips, routes, network, drivers)
    return routes, plans
