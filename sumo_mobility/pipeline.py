"""The whole chain: a map, demand, simulation, trace; and traces made again with one cause changed."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import lru_cache

import numpy as np

from sumo_mobility import demand
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.base.progress import progress
from sumo_mobility.base.scratch import ScratchDirectory
from sumo_mobility.contexts import Context, MobilityConfig
from sumo_mobility.maps import MapSource, find_map
from sumo_mobility.net import RoadNetwork, build_net, read_network
from sumo_mobility.open_ground import OpenGround, is_open
from sumo_mobility.simulate import simulate
from sumo_mobility.streets import Floats, StreetMap
from sumo_mobility.sumo import sumo_version
from sumo_mobility.trace import MobilityTrace, TraceMetadata
from sumo_mobility.walk import walk

CARS_PER_STREET_M = 0.02
"""Cars on each metre of street that can be a destination, half of them parked, beyond which the streets stand still."""


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
    total_s = config.settle_s + config.duration_s
    with progress(f"mobility, {context.name}, seed {seed} (s)", total_s) as bar:
        done_s = 0.0

        def advance(time_s: float) -> None:
            nonlocal done_s
            bar.advance(time_s - done_s)
            done_s = time_s

        trace = _make_trace(config, context, seed, drivers, advance)
        advance(total_s)
        return trace


def make_traces(config: MobilityConfig, jobs: Sequence[tuple[Context, int]], workers: int = 2) -> list[MobilityTrace]:
    """Makes one trace for each (context, seed), several SUMO processes at a time.

    Args:
        config: As in `make_trace`.
        jobs: Contexts and seeds.
        workers: Number of processes at a time; the traces do not depend on it.

    Raises:
        As `make_trace`; what has not begun is then left.
    """
    bounds_m = load_map(config.map).bounds_m
    for context, _ in jobs:
        context.plan(0, 0.0, bounds_m)
    with progress("mobility (traces)", len(jobs)) as bar, ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(_make_trace, config, context, seed) for context, seed in jobs]
        try:
            for future in as_completed(futures):
                future.result()
                bar.advance()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return [future.result() for future in futures]


@lru_cache(maxsize=4)
def _network(source: MapSource) -> RoadNetwork:
    return read_network(source, build_net(source))


def _make_trace(
    config: MobilityConfig,
    context: Context,
    seed: int,
    drivers: int | None = None,
    on_step: Callable[[float], None] | None = None,
) -> MobilityTrace:
    drivers = seed if drivers is None else drivers
    if is_open(config.map):
        ground = OpenGround.find(config.map)
        streets, source, versions = ground.streets, "walk", {"numpy": importlib.metadata.version("numpy")}
        grid, filled = _observed(walk(ground, config, context, seed, drivers))[int(config.settle_s) :], 0
    else:
        network = _network(find_map(config.map))
        streets, source = network.streets, "sumo"
        versions = {
            "sumo": sumo_version(),
            "osmium": importlib.metadata.version("osmium"),
            "map_sha256": network.source.sha256,
        }
        grid, filled = _drive(network, config, context, seed, drivers, on_step)
    return MobilityTrace(
        time_s=np.arange(len(grid), dtype=np.float64),
        position_m=grid[..., :2],
        speed_mps=grid[..., 2],
        heading_deg=grid[..., 3],
        metadata=TraceMetadata(
            source=source,
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
            rows_filled=filled,
            versions=versions,
        ),
    )


def _drive(
    network: RoadNetwork,
    config: MobilityConfig,
    context: Context,
    seed: int,
    drivers: int,
    on_step: Callable[[float], None] | None,
) -> tuple[Floats, int]:
    plans = demand.itineraries(demand.street_places(network), config, context, seed, drivers)
    cars, street_m = sum(not plan.walks for plan in plans), float(network.length_m.sum())
    if cars > (most := int(CARS_PER_STREET_M * street_m)):
        raise ConfigError(
            f"mobility.ues: {cars} cars, but {network.source.name} has {street_m / 1000:.1f} km of streets, which hold "
            f"{most} before they jam",
            "lower mobility.ues, raise mobility.pedestrian_share, or take a larger map",
        )
    with ScratchDirectory() as scratch:
        trips, routes = scratch.path / "trips.xml", scratch.path / "routes.xml"
        demand.write_trips(trips, network, plans)
        demand.route(trips, routes, network, drivers)
        return simulate(routes, network, config, drivers, on_step)


def _observed(position_m: Floats) -> Floats:
    """Adds speeds and headings to positions (T, U, 2) of a walk, (T, U, 4); they are those of the step before."""
    way = np.diff(position_m, axis=0, prepend=position_m[:1])
    way_m = np.hypot(way[..., 0], way[..., 1])
    heading = np.degrees(np.arctan2(way[..., 0], way[..., 1])) % 360
    last = np.maximum.accumulate(np.where(way_m > 0, np.arange(len(way))[:, None], 0), axis=0)
    heading = np.take_along_axis(heading, last, axis=0)  # who stands looks where he went
    return np.concatenate([position_m, way_m[..., None], heading[..., None]], axis=-1)
