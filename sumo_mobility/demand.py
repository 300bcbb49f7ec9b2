"""Demand: persistent UEs, each with an itinerary of places to stay at; and their form as SUMO trips.

Each UE is one vehicle, or one person, for the whole simulation. It is there from the beginning, parked beside a
street, sets out, goes from stop to stop, and its last stop never ends.

Random streams: an itinerary depends on the seed, the context and the UE's number. What drivers are like (when they set
out exactly, how fast they like to go, which of many ways they take) depends on the seed of the drivers and the UE's
number. So one can be changed while the other is held.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sumo_mobility import fields
from sumo_mobility.base.arrays import Bools, Floats
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.base.seeds import derive, stream
from sumo_mobility.contexts import Bounds, Context
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.net import SHORTEST_EDGE_M, RoadNetwork
from sumo_mobility.sumo import run_sumo

_FASTEST_MPS, _FASTEST_WALKER_MPS = 25.0, 3.0
_DETOUR = 1.4
"""Route costs vary up to this factor, as drivers do not all know the one shortest way."""
_SPEED_FACTOR_STD, _SPEED_FACTORS = 0.1, (0.7, 1.3)
"""Standard deviation and limits of the desired speed over the speed limit, a truncated normal distribution about 1, as
in SUMO."""


@dataclass(frozen=True)
class Places:
    """Places from which destinations are drawn: N streets, or pieces of open ground.

    Attributes:
        position_m: (N, 2) centres of the places.
        size: (N,) probability weights of the places if all ground is alike.
        walkable: (N,) whether pedestrians may go there.
        bounds_m: Bounds of the map.
    """

    position_m: Floats
    size: Floats
    walkable: Bools
    bounds_m: Bounds


@dataclass(frozen=True)
class Stop:
    """A stay at a place.

    Attributes:
        place: Its index.
        along: Where in the place, from 0 to 1 (along a street; from west to east).
        across: The same from south to north, on open ground.
        stay_s: For how long.
    """

    place: int
    along: float
    across: float
    stay_s: float


@dataclass(frozen=True)
class Itinerary:
    """The itinerary of one UE.

    Attributes:
        walks: Whether the UE is a pedestrian.
        speed_factor: The UE's desired speed relative to that of others.
        stops: The stops of the UE; it begins at the first and stays at the last.
    """

    walks: bool
    speed_factor: float
    stops: tuple[Stop, ...]


def street_places(network: RoadNetwork) -> Places:
    """The streets of a net: each as likely as it is long."""
    return Places(network.middle_m, network.length_m, network.walkable, network.streets.bounds_m)


def pedestrians(config: MobilityConfig, seed: int) -> list[bool]:
    """Returns for each UE whether it walks; a UE that walks does so in all contexts."""
    return [bool(stream(seed, "kind", ue).random() < config.pedestrian_share) for ue in range(config.ues)]


def itineraries(places: Places, config: MobilityConfig, context: Context, seed: int, drivers: int) -> list[Itinerary]:
    """Draws where each UE goes, with stops enough to last to the end of the trace at any speed.

    A UE's draws depend on the seeds and its own number only: with another context, or more UEs, those whose plans are
    the same go the same ways.

    Raises:
        ConfigError: the context does not fit the map.
    """
    until_s = config.settle_s + config.phase_s + config.duration_s
    cumulated: dict[tuple[fields.Field, bool], Floats] = {}

    def draw(field: fields.Field, walks: bool, quantile: float, previous: int) -> int:
        if (field, walks) not in cumulated:
            cumulated[field, walks] = _cumulated(places, field, walks)
        sums = cumulated[field, walks]
        place = min(int(np.searchsorted(sums, quantile * sums[-1], side="right")), len(sums) - 1)
        if place == previous:  # never where the UE is: the next place, of those that are likely if there are others
            likely = np.flatnonzero(np.diff(sums, prepend=0.0))
            if len(likely) < 2:
                likely = np.flatnonzero(places.walkable | (not walks))
            place = int(likely[np.searchsorted(likely, place, side="right") % len(likely)])
        return place

    result = []
    for ue, walks in enumerate(pedestrians(config, seed)):
        random, driver = stream(seed, "demand", ue), stream(drivers, "driver", ue)
        plan = context.plan(ue, random.random(), places.bounds_m)
        begin_s = 0.0 if plan.sets_out_s is None else max(0.0, config.settle_s + plan.sets_out_s)
        quantile, along, across, _, _ = random.random(5).tolist()
        stops = [Stop(draw(plan.start, walks, quantile, -1), along, across, begin_s + driver.random() * plan.within_s)]
        fastest_s = begin_s
        while fastest_s < until_s:
            quantile, along, across, stay, chance = random.random(5).tolist()
            here = places.position_m[stops[-1].place]
            field = plan.goal(len(stops) - 1, (float(here[0]), float(here[1])), chance)
            place = draw(field, walks, quantile, stops[-1].place)
            stay_s = plan.stay_s[0] + stay * (plan.stay_s[1] - plan.stay_s[0])
            way_m = float(np.hypot(*(places.position_m[place] - here)))
            fastest_s += stay_s + way_m / (_FASTEST_WALKER_MPS if walks else _FASTEST_MPS)
            stops.append(Stop(place, along, across, stay_s))
        last = stops[-1]
        stops[-1] = Stop(last.place, last.along, last.across, 10 * until_s)
        factor = float(np.clip(driver.normal(1, _SPEED_FACTOR_STD), *_SPEED_FACTORS))
        result.append(Itinerary(walks, factor, tuple(stops)))
    return result


def write_trips(path: Path, network: RoadNetwork, plans: list[Itinerary]) -> None:
    """Writes the itineraries as SUMO trips and persons `0`, `1`, ... in the order of the UEs.

    Drivers have no `sigma`: SUMO draws that imperfection by lane, so that a change of one UE would change all. What
    makes them differ is their speed factor.
    """
    root = ElementTree.Element("routes")
    ElementTree.SubElement(root, "vType", id="car", sigma="0")
    for ue, plan in enumerate(plans):
        edges = [network.edge_ids[stop.place] for stop in plan.stops]
        ends = [f"{_end_m(network, stop):.2f}" for stop in plan.stops]
        attributes = {"id": str(ue), "depart": "0", "speedFactor": f"{plan.speed_factor:.4f}"}
        if plan.walks:
            traveller = ElementTree.SubElement(root, "person", attributes | {"departPos": ends[0]})
        else:
            ways = {"type": "car", "departPos": "stop", "from": edges[0], "to": edges[-1]}
            traveller = ElementTree.SubElement(root, "trip", attributes | ways)
        for index, stop in enumerate(plan.stops):
            if plan.walks and index:
                way = {"from": edges[index - 1], "to": edges[index], "arrivalPos": ends[index]}
                ElementTree.SubElement(traveller, "walk", way)
            where = {"lane": network.lane_ids[stop.place], "endPos": ends[index], "duration": f"{stop.stay_s:.0f}"}
            ElementTree.SubElement(traveller, "stop", where if plan.walks else where | {"parking": "true"})
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def route(trips: Path, routes: Path, network: RoadNetwork, drivers: int) -> None:
    """Finds each UE's way through all its stops (duarouter).

    Raises:
        SimulatorError: duarouter failed.
    """
    run_sumo(
        "duarouter",
        ["--net-file", str(network.file), "--route-files", str(trips), "--output-file", str(routes),
         "--weights.random-factor", str(_DETOUR), "--seed", str(derive(drivers, "duarouter")), "--no-step-log"],
    )  # fmt: skip


def _cumulated(places: Places, field: fields.Field, walks: bool) -> Floats:
    usable = places.walkable if walks else np.ones(len(places.size), dtype=bool)
    log_density = np.where(usable, field.log_density(places.position_m), -np.inf)
    highest = log_density.max()
    if highest == -np.inf:
        raise ConfigError(
            f"context: no {'way for pedestrians' if walks else 'street'} where it draws UEs to ({field})",
            "choose a place near streets, or a greater radius_m",
        )
    return np.asarray(np.cumsum(places.size * np.exp(log_density - highest)))


def _end_m(network: RoadNetwork, stop: Stop) -> float:
    """Returns the position of a vehicle's front at a stop, from the beginning of its lane."""
    margin = SHORTEST_EDGE_M / 2
    return margin + stop.along * (float(network.length_m[stop.place]) - 1 - margin)
