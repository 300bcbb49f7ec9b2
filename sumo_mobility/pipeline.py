"""The whole chain: OpenStreetMap extract, SUMO net, demand, simulation, trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import lru_cache

from sumo_mobility import demand
from sumo_mobility.base.progress import progress
from sumo_mobility.base.scratch import ScratchDirectory
from sumo_mobility.contexts import Context, MobilityConfig
from sumo_mobility.maps import MapSource, find_map
from sumo_mobility.net import RoadNetwork, build_net, read_network
from sumo_mobility.simulate import simulate
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import MobilityTrace


def load_map(name: str) -> StreetMap:
    """Returns the streets of a shipped map, or of a user's OSM file by path; converts it if it is new.

    Raises:
        ConfigError: no shipped map of that name.
        DataError: the file is missing, damaged, foreign, or has no streets for cars.
        StorageError: the cache of nets cannot be written.
        SimulatorError: netconvert died.
    """
    return _network(find_map(name)).streets


def make_trace(config: MobilityConfig, context: Context, seed: int) -> MobilityTrace:
    """Makes one trace of real streets; the same arguments give the same trace.

    Args:
        config: Map, number of UEs and times.
        context: What the UEs are up to.
        seed: Of every random choice, >= 0.

    Raises:
        ConfigError, DataError, StorageError: as `load_map`.
        SimulatorError: a SUMO program failed, or the streets cannot hold so many UEs.
    """
    total_s = config.settle_s + config.duration_s
    with progress(f"mobility, {context.name}, seed {seed} (s)", total_s) as bar:
        done_s = 0.0

        def advance(time_s: float) -> None:
            nonlocal done_s
            bar.advance(time_s - done_s)
            done_s = time_s

        trace = _make_trace(config, context, seed, advance)
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
    _network(find_map(config.map))
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
    config: MobilityConfig, context: Context, seed: int, on_step: Callable[[float], None] | None = None
) -> MobilityTrace:
    network = _network(find_map(config.map))
    plans = demand.itineraries(network, context, config.ues, seed, config.settle_s + config.duration_s)
    with ScratchDirectory() as scratch:
        trips, routes = scratch.path / "trips.xml", scratch.path / "routes.xml"
        demand.write_trips(trips, network, plans)
        demand.route(trips, routes, network, seed)
        return simulate(routes, network, config, context, seed, on_step)
