"""Inputs of the networks: tensors of a trace on the road graph, and of any state of its UEs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cf_augment.model.matching import Ways, match
from cf_augment.model.roads import Indices, RoadGraph
from sumo_mobility.base.arrays import Bools, Floats
from sumo_mobility.trace import MobilityTrace

SPEED_SCALE_MPS = 10.0
MOTION_SIZE = 9
OPTION_SIZE = 6


@dataclass(frozen=True)
class Tracks:
    """Tensors of a trace for training; T-1 steps, U UEs, E choices of at most K roads.

    Attributes:
        ways: The UEs' ways on the road graph.
        place: (T-1, U, 2) position at the start of each step, scaled to the map.
        direction: (T-1, U, 2) unit vector along the road.
        speed: (T-1, U) driven in the step before, over SPEED_SCALE_MPS.
        motion: (T-1, U, MOTION_SIZE) what a driver reacts to.
        acceleration: (T-1, U) m/s^2 in the step.
        spot: (T-1, U) index of the spot of the road graph nearest to the place.
        choice_ue, choice_row, choice_stage: (E,) whose, when (T-1 if not seen), and at which stage of the route.
        choice_taken: (E,) index into the options.
        choice_place: (E, 2) of the junction, scaled to the map.
        options: (E, K, OPTION_SIZE).
        option_mask: (E, K) True where there is an option.
    """

    ways: Ways
    place: Tensor
    direction: Tensor
    speed: Tensor
    motion: Tensor
    acceleration: Tensor
    spot: Tensor
    choice_ue: Indices
    choice_row: Indices
    choice_stage: Indices
    choice_taken: Tensor
    choice_place: Tensor
    options: Tensor
    option_mask: Tensor


def tracks(graph: RoadGraph, trace: MobilityTrace, dtype: torch.dtype = torch.float32) -> Tracks:
    """Matches a trace to the roads and derives all features."""
    ways = match(graph, trace)
    steps, ues = ways.distance_m.shape
    driven = ways.distance_m / trace.step_s
    before = np.concatenate([start_speed(trace)[None], driven[:-1]])
    following = np.zeros((steps, ues), dtype=np.int64)
    choices = []
    for ue, route in enumerate(ways.route):
        onward = [*route[1:], straight_on(graph, route[-1])]
        following[:, ue] = np.array(onward)[ways.stage[:-1, ue]]
        for stage, road in enumerate(route):
            options = graph.successors[road].tolist()
            if len(options) > 1:
                # The last choice is not seen: straight on is assumed, and no window of training holds it.
                row = int(np.searchsorted(ways.stage[:, ue], stage)) if stage + 1 < len(route) else steps
                choices.append((ue, row, stage, road, options.index(onward[stage])))
    motion, place, direction = motion_features(graph, ways.road[:-1], ways.offset_m[:-1], before, following)
    table = np.array(choices, dtype=np.int64).reshape(-1, 5)
    options, mask, junction = option_features(graph, table[:, 3])

    def tensor(values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, dtype=dtype)

    return Tracks(
        ways=ways,
        place=tensor(place),
        direction=tensor(direction),
        speed=tensor(before / SPEED_SCALE_MPS),
        motion=tensor(motion),
        acceleration=tensor((driven - before) / trace.step_s),
        spot=torch.as_tensor(graph.spot(ways.road[:-1], ways.offset_m[:-1])),
        choice_ue=table[:, 0],
        choice_row=table[:, 1],
        choice_stage=table[:, 2],
        choice_taken=torch.as_tensor(table[:, 4]),
        choice_place=tensor(junction),
        options=tensor(options),
        option_mask=torch.as_tensor(mask),
    )


def start_speed(trace: MobilityTrace) -> Floats:
    """(U,) speed before the first step."""
    return np.maximum(trace.speed_mps[0], 0.0)


def scaled(graph: RoadGraph, position_m: Floats) -> Floats:
    """Positions (..., 2) with the map's centre at 0 and its longer half side at 1."""
    west, south, east, north = graph.bounds_m
    return (position_m - np.array([west + east, south + north]) / 2) / (max(east - west, north - south) / 2)


def straight_on(graph: RoadGraph, road: int) -> int:
    """The follower that bends least; the road itself at a dead end."""
    ways = graph.successors[road]
    if not len(ways):
        return road
    heading = graph.place(np.array(road), graph.length_m[road])[1]
    return int(ways[(graph.ahead[ways] @ heading).argmax()])


def motion_features(
    graph: RoadGraph, road: Indices, offset_m: Floats, speed_mps: Floats, following: Indices
) -> tuple[Floats, Floats, Floats]:
    """Returns what a driver reacts to (..., MOTION_SIZE), the scaled place (..., 2) and the direction (..., 2).

    Speed, whether standing, distance to the road's end, what the curvature of this road and of the next
    allows, the next one's turn, number of lanes, time to the end at this speed.
    """
    position, direction = graph.place(road, offset_m)
    left_m = graph.length_m[road] - offset_m
    cap = np.minimum(graph.speed_cap_mps, 2 * SPEED_SCALE_MPS) / SPEED_SCALE_MPS
    columns = [
        speed_mps / SPEED_SCALE_MPS,
        (speed_mps < 0.1).astype(np.float64),
        np.minimum(left_m / 50, 4.0),
        np.minimum(left_m, 10.0) / 10,
        cap[road],
        cap[following],
        np.abs(graph.turn_rad[following]),
        graph.lanes[road] / 3,
        np.minimum(left_m / np.maximum(speed_mps, 1.0), 10.0) / 5,
    ]
    return np.stack(columns, axis=-1), scaled(graph, position), direction


def option_features(graph: RoadGraph, road: Indices) -> tuple[Floats, Bools, Floats]:
    """Options at the ends of roads (E,): features (E, K, OPTION_SIZE), mask (E, K), scaled junction (E, 2).

    Direction ahead (2), cosine of the bend, left or right bend, whether it turns back, number of lanes.
    """
    most = max((len(ways) for ways in graph.successors), default=1)
    features, mask = np.zeros((len(road), most, OPTION_SIZE)), np.zeros((len(road), most), dtype=bool)
    position, heading = graph.place(road, graph.length_m[road])
    for row, current in enumerate(road.tolist()):
        ways = graph.successors[current]
        ahead = graph.ahead[ways]
        cosine = ahead @ heading[row]
        sine = heading[row, 0] * ahead[:, 1] - heading[row, 1] * ahead[:, 0]
        features[row, : len(ways)] = np.column_stack([ahead, cosine, sine, cosine < -0.7, graph.lanes[ways] / 3])
        mask[row, : len(ways)] = True
    return features, mask, scaled(graph, position)
