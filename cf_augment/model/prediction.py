"""Prediction: UEs driven along the road graph with given latents and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cf_augment.model.fitting import spot_tensors
from cf_augment.model.inputs import motion_features, option_features, start_speed, straight_on
from cf_augment.model.matching import Ways
from cf_augment.model.neural_networks import Networks
from cf_augment.model.roads import Indices, RoadGraph
from sumo_mobility.base.arrays import Bools, Floats
from sumo_mobility.base.seeds import stream
from sumo_mobility.trace import MobilityTrace

RoadNoise = dict[tuple[int, int, int], Floats]
"""Gumbel noise of the options at the end of a road, by (UE, road, how many times it was there)."""

LOWEST_MPS2, HIGHEST_MPS2 = -4.5, 2.6
"""SUMO's defaults for the Krauss model."""
_COMFORT_MPS2, _CREEP_MPS = 3.0, 0.5
_SAME_M = 1e-4


@dataclass(frozen=True)
class Abduction:
    """The causes that are abducted from a trace.

    Attributes:
        trace: the factual trace.
        ways: The trace on the road graph.
        context: (C,) global context.
        local: (U, L) local latents.
        residual: (T-1, U) noise of the accelerations, standard normal if the model is right.
        start_noise: (U, P) Gumbel noise of the places where each UE could have begun.
        road_noise: noise of the choices of road.
        seed: of what the trace does not reveal.
    """

    trace: MobilityTrace
    ways: Ways
    context: Floats
    local: Floats
    residual: Floats
    start_noise: Floats
    road_noise: RoadNoise
    seed: int


class _Drivers:
    """The state of all UEs during a roll-out."""

    def __init__(self, graph: RoadGraph, networks: Networks, abduction: Abduction, context: Floats, local: Floats):
        self.graph, self.networks, self.abduction = graph, networks, abduction
        self.context, self.local = torch.as_tensor(context)[None], torch.as_tensor(local)
        self.ues = len(local)
        self.road: Indices = abduction.ways.road[0].copy()
        self.offset_m: Floats = abduction.ways.offset_m[0].copy()
        self.speed_mps = start_speed(abduction.trace)
        self._begin()
        self.memory: Tensor | None = None
        self.visits: list[dict[int, int]] = [{} for _ in range(self.ues)]
        self.following = np.array([self.choose(ue, int(self.road[ue])) for ue in range(self.ues)])

    def _begin(self) -> None:
        """Puts the UEs that would have begun elsewhere there."""
        graph = self.graph
        with torch.no_grad():
            moments, even = spot_tensors(graph, torch.float64)
            crowd = self.networks.crowd_places(moments, even, self.context)
            log_probability = self.networks.start(crowd, even, self.local).numpy()
        spot = (log_probability + self.abduction.start_noise).argmax(axis=1)
        moved = spot != graph.spot(self.road, self.offset_m)
        self.road[moved], self.offset_m[moved] = graph.spot_road[spot[moved]], graph.spot_offset_m[spot[moved]]
        self.speed_mps[moved] = np.minimum(self.speed_mps, graph.speed_cap_mps[self.road])[moved]

    def choose(self, ue: int, road: int) -> int:
        """The road that a UE takes at the end of the one it enters."""
        visit = self.visits[ue].get(road, 0) + 1
        self.visits[ue][road] = visit
        options = self.graph.successors[road]
        if len(options) < 2:
            return straight_on(self.graph, road)
        known = self.abduction.road_noise.get((ue, road, visit))
        noise = known if known is not None else _fresh(self.abduction.seed, ue, road, visit, len(options))
        features, mask, junction = option_features(self.graph, np.array([road]))
        place, rows = torch.as_tensor(junction), torch.as_tensor(features)
        with torch.no_grad():
            scores = self.networks.choice(place, rows, self.context, self.local[ue : ue + 1])[0].numpy()[mask[0]]
        return int(options[(scores + noise).argmax()])

    def accelerate(self, residual: Floats) -> Floats:
        """(U,) m/s^2 that the model predicts, with this noise."""
        motion, place, direction = motion_features(self.graph, self.road, self.offset_m, self.speed_mps, self.following)
        with torch.no_grad():
            flow = self.networks.flow(torch.as_tensor(place), self.context)
            along = (flow * torch.as_tensor(direction)).sum(dim=-1)
            mean, sigma, self.memory = self.networks.drive(
                torch.as_tensor(motion)[:, None],
                along[:, None],
                self.context.expand(self.ues, -1),
                self.local,
                self.memory,
            )
        return mean[:, 0].numpy() + sigma[:, 0].numpy() * residual

    def limit(self, speed_mps: Floats, step_s: float, fastest_mps: float) -> Floats:
        """Keeps speeds (U,) within what engine, brakes and the curvature of this road and the next allow."""
        cap = self.graph.speed_cap_mps
        left_m = self.graph.length_m[self.road] - self.offset_m
        approach = np.sqrt(cap[self.following] ** 2 + 2 * _COMFORT_MPS2 * np.maximum(left_m, 0))
        highest = np.minimum(np.minimum(cap[self.road], approach), fastest_mps)
        highest = np.minimum(highest, self.speed_mps + HIGHEST_MPS2 * step_s)
        lowest = np.maximum(self.speed_mps + LOWEST_MPS2 * step_s, 0.0)
        return np.where(speed_mps < _CREEP_MPS, lowest, np.clip(speed_mps, lowest, np.maximum(highest, lowest)))

    def move(self, distance_m: Floats) -> None:
        """Drives along the roads, choosing at each junction."""
        self.offset_m = self.offset_m + distance_m
        for ue in np.flatnonzero(self.offset_m > self.graph.length_m[self.road] + 1e-9).tolist():
            while self.offset_m[ue] > (length := self.graph.length_m[self.road[ue]]) + 1e-9:
                following = int(self.following[ue])
                if following == self.road[ue]:
                    self.offset_m[ue] = length
                    break
                self._enter(ue, following, self.offset_m[ue] - length)

    def meet(self, ue: int, road: int) -> None:
        """Of a UE at the very end of a road, which is the begin of the next: puts it on `road` if it leads there."""
        while self.road[ue] != road and self.graph.length_m[self.road[ue]] - self.offset_m[ue] < _SAME_M:
            if self.following[ue] == self.road[ue]:
                break
            self._enter(ue, int(self.following[ue]), 0.0)

    def _enter(self, ue: int, road: int, offset_m: float) -> None:
        self.road[ue], self.offset_m[ue] = road, offset_m
        self.following[ue] = self.choose(ue, road)


def roll_out(
    graph: RoadGraph,
    networks: Networks,
    abduction: Abduction,
    context: Floats,
    local: Floats,
    fastest_mps: float,
) -> MobilityTrace:
    """See `CausalMobilityModel.generate`."""
    factual, ways = abduction.trace, abduction.ways
    step_s, steps = factual.step_s, len(factual.time_s)
    drivers = _Drivers(graph, networks, abduction, context, local)
    # A UE is on its factual way as long as it has driven as far, by the same roads.
    factual_way = np.ones(drivers.ues, dtype=bool)
    road, offset = np.empty((steps, drivers.ues), np.int64), np.empty((steps, drivers.ues))
    speed, same = np.empty((steps, drivers.ues)), np.empty((steps, drivers.ues), dtype=bool)
    for row in range(steps):
        for ue in np.flatnonzero(factual_way & (drivers.road != ways.road[row])).tolist():
            drivers.meet(ue, int(ways.road[row, ue]))
        factual_way &= drivers.road == ways.road[row]
        factual_way &= np.abs(drivers.offset_m - ways.offset_m[row]) < _SAME_M
        road[row], offset[row], speed[row] = drivers.road, drivers.offset_m, drivers.speed_mps
        same[row] = factual_way
        if row == steps - 1:
            break
        free = drivers.speed_mps + drivers.accelerate(abduction.residual[row]) * step_s
        # What did happen needs no limit; and rounding must not add up.
        happened = ways.distance_m[row] / step_s
        keeps = factual_way & (np.abs(free - happened) * step_s < _SAME_M)
        drivers.speed_mps = np.where(keeps, happened, drivers.limit(free, step_s, fastest_mps))
        drivers.move(drivers.speed_mps * step_s)
    return _as_trace(graph, abduction, road, offset, speed, same)


def _as_trace(
    graph: RoadGraph,
    abduction: Abduction,
    road: Indices,
    offset_m: Floats,
    speed_mps: Floats,
    same: Bools,
) -> MobilityTrace:
    factual = abduction.trace
    place, direction = graph.place(road, offset_m)
    # Lane and parking bay are kept only where they exist.
    position = place + np.where(same[..., None], abduction.ways.beside_m, 0.0)
    heading = np.degrees(np.arctan2(direction[..., 0], direction[..., 1])) % 360
    return MobilityTrace(
        time_s=factual.time_s,
        position_m=position,
        speed_mps=np.where(same, factual.speed_mps, speed_mps),
        heading_deg=np.where(same, factual.heading_deg, heading),
        metadata=factual.metadata.model_copy(
            update={
                "source": "causal-model",
                "context_parameters": {},
                "rows_filled": 0,
                "provenance": {
                    "factual_context": factual.metadata.context,
                    "factual_seed": factual.metadata.seed,
                },
            }
        ),
    )


def _fresh(seed: int, ue: int, road: int, visit: int, options: int) -> Floats:
    return stream(seed, "fresh-road-noise", ue, road, visit).gumbel(size=options)
