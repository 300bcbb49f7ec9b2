"""Demand: persistent UEs, each with an itinerary of roadside stops, as SUMO trips.

Each UE is one vehicle for the whole simulation. It is there from the beginning, parked beside a street, sets out
within DEPARTURE_S, drives from stop to stop, and its last stop never ends.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sumo_mobility.base.seeds import derive, stream
from sumo_mobility.contexts import Context
from sumo_mobility.net import SHORTEST_EDGE_M, RoadNetwork
from sumo_mobility.streets import Floats
from sumo_mobility.sumo import run_sumo

DEPARTURE_S = 60.0
"""All UEs set out within this time."""
STAY_S = (5.0, 20.0)
"""Shortest and longest time at a stop."""
_FASTEST_MPS = 20.0
_DETOUR = 1.4
"""Route costs vary up to this factor, as drivers do not all know the one shortest way."""


@dataclass(frozen=True)
class Stop:
    """A place beside the road.

    Attributes:
        edge: Index into the network's edges.
        end_m: Where the vehicle's front stands, from the beginning of its lane.
        stay_s: For how long.
    """

    edge: int
    end_m: float
    stay_s: float


def itineraries(network: RoadNetwork, context: Context, ues: int, seed: int, until_s: float) -> list[list[Stop]]:
    """Draws where each UE goes, with stops enough to last until `until_s` at any speed.

    A UE's draws depend on the seed and its own number only: with another context, or more UEs, those whose fields
    of starts and destinations are the same go the same ways.
    """
    everywhere = np.cumsum(network.length_m)
    bounds = network.streets.bounds_m
    starts = np.cumsum(network.length_m * context.start_weight(network.middle_m, bounds))
    goals = np.cumsum(network.length_m * context.goal_weight(network.middle_m, bounds))
    result = []
    for ue in range(ues):
        random = stream(seed, "demand", ue)
        member = random.random() < context.member_share
        fields = (starts, goals) if member else (everywhere, everywhere)
        stops = [_stop(network, fields[0], random, (0.0, DEPARTURE_S), previous=-1)]
        fastest_s = stops[0].stay_s
        while fastest_s < until_s:
            stop = _stop(network, fields[1], random, STAY_S, previous=stops[-1].edge)
            way = network.middle_m[stop.edge] - network.middle_m[stops[-1].edge]
            fastest_s += stop.stay_s + float(np.hypot(*way)) / _FASTEST_MPS
            stops.append(stop)
        stops[-1] = Stop(stops[-1].edge, stops[-1].end_m, 10 * until_s)
        result.append(stops)
    return result


def write_trips(path: Path, network: RoadNetwork, plans: list[list[Stop]]) -> None:
    """Writes the itineraries as SUMO trips `0`, `1`, ... in the order of the UEs."""
    root = ElementTree.Element("routes")
    for ue, stops in enumerate(plans):
        first, last = (network.edge_ids[stops[i].edge] for i in (0, -1))
        attributes = {"id": str(ue), "depart": "0", "departPos": "stop", "from": first, "to": last}
        trip = ElementTree.SubElement(root, "trip", attributes)
        for stop in stops:
            ElementTree.SubElement(
                trip, "stop", lane=network.lane_ids[stop.edge], endPos=f"{stop.end_m:.2f}", parking="true",
                duration=f"{stop.stay_s:.0f}",
            )  # fmt: skip
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def route(trips: Path, routes: Path, network: RoadNetwork, seed: int) -> None:
    """Finds each trip's way through all its stops (duarouter).

    Raises:
        SimulatorError: duarouter failed.
    """
    run_sumo(
        "duarouter",
        ["--net-file", str(network.file), "--route-files", str(trips), "--output-file", str(routes),
         "--weights.random-factor", str(_DETOUR), "--seed", str(derive(seed, "duarouter")), "--no-step-log"],
    )  # fmt: skip


def _stop(
    network: RoadNetwork, cumulated: Floats, random: np.random.Generator, stay_s: tuple[float, float], previous: int
) -> Stop:
    """Draws a stop with three random numbers, whatever the field; never on the edge where the UE is."""
    quantile, along, stay = random.random(3)
    edge = min(int(np.searchsorted(cumulated, quantile * cumulated[-1], side="right")), len(cumulated) - 1)
    if edge == previous:
        edge = (edge + 1) % len(cumulated)
    margin = SHORTEST_EDGE_M / 2
    end_m = margin + along * (network.length_m[edge] - 1 - margin)
    return Stop(edge, float(end_m), float(stay_s[0] + stay * (stay_s[1] - stay_s[0])))
