"""The causal generative model of mobility: abduction, action, prediction (Pearl 2009, chapter 7).

    global context c -> local latent l_u of each UE -> its roads and accelerations -> positions

The cells' offsets have no arrow into any of it: mobility is exogenous to the network. The engine does the rest.

A UE begins at the spot of the map with the highest log probability + Gumbel noise, then drives along the road graph.
Its acceleration is mean + sigma x residual, given its history, the road, c and
l_u; at each junction it takes the road with the highest score + Gumbel noise. All are invertible, so that the noise
of a logged trace can be recovered (Gumbel noise up to a draw from its posterior: Oberst and Sontag 2019) and kept
while c or l_u are changed. Under another context a UE begins elsewhere only if a place became likelier than its own.

What it leaves out: UEs do not see one another, so queues, right of way and traffic lights live in the residuals,
which then stop a UE at the logged time and not at the light; no destinations, a crowd follows a flow that is
linear in the place; no lane changes, except that a UE keeps its logged lane while on its logged road; nothing
that no trace contains. The latents are not identifiable in general (Locatello 2019); what they mean is measured.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from pydantic import Field

from cf_augment.model.fitting import spot_tensors, train
from cf_augment.model.inputs import Tracks, tracks
from cf_augment.model.neural_networks import Networks
from cf_augment.model.prediction import Abduction, RoadNoise, roll_out
from cf_augment.model.roads import RoadGraph
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.contract import Contract
from sumo_mobility.base.documents import parse_json, printable
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.base.files import replacing
from sumo_mobility.base.progress import progress
from sumo_mobility.base.seeds import derive, stream
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import MobilityTrace


class ModelConfig(Contract):
    """The size of a model, and what it was made for."""

    map_name: str
    roads: int
    step_s: float
    fastest_mps: float
    """Highest speed in the training traces."""
    context_dim: int = Field(6, ge=1, le=64)
    local_dim: int = Field(4, ge=1, le=64)
    hidden: int = Field(48, ge=4, le=512)
    seed: int
    steps: int


@dataclass(frozen=True)
class CausalMobilityModel:
    """A fitted model of one map.

    Attributes:
        config: its sizes and origin.
        graph: the map's roads.
        networks: in double precision, so that recovered noise reproduces a trace.
    """

    config: ModelConfig
    graph: RoadGraph
    networks: Networks

    @classmethod
    def fit(cls, traces: Sequence[MobilityTrace], street_map: StreetMap, seed: int, steps: int = 400) -> Self:
        """Learns from traces of one map; the same arguments give the same model.

        Args:
            traces: At least one, all with the same time step; 6-9 of 60 UEs x 40 s are meant.
            street_map: Their map.
            seed: Of initial weights, windows and draws.
            steps: Gradient steps; 400 take about a minute on one core.

        Raises:
            DataError: no traces, or traces with different time steps.
        """
        if not traces:
            raise DataError("model: no traces to learn from", "run 'mlb mobility make' first")
        step_s = traces[0].step_s
        if any(abs(trace.step_s - step_s) > 1e-9 for trace in traces):
            raise DataError(f"model: the traces have time steps {sorted({trace.step_s for trace in traces})} s")
        graph = RoadGraph.build(street_map)
        with progress("causal model", len(traces) * _STEPS_A_TRACE + steps) as bar:
            data = []
            for trace in traces:
                data.append(tracks(graph, trace))
                bar.advance(_STEPS_A_TRACE)
            driven = np.concatenate([trace_tracks.ways.distance_m.ravel() for trace_tracks in data])
            config = ModelConfig(
                map_name=street_map.name,
                roads=len(graph),
                step_s=step_s,
                # A map-matching slip looks like a sprint; one step in 500 may be one.
                fastest_mps=float(np.quantile(driven, 0.998)) / step_s,
                seed=seed,
                steps=steps,
            )
            networks = _networks(config)
            train(networks, data, graph, step_s, seed, steps, bar.advance)
        return cls(config, graph, networks.double())

    def abduct(self, trace: MobilityTrace, seed: int = 0) -> Abduction:
        """Recovers context, local latents and noise of a trace of this map.

        Args:
            trace: Any number of UEs and rows, with the model's time step.
            seed: Of the draw from the posterior of the route noise.

        Raises:
            DataError: another time step.
        """
        if abs(trace.step_s - self.config.step_s) > 1e-9:
            raise DataError(f"model: made for steps of {self.config.step_s} s, the trace has {trace.step_s} s")
        data = tracks(self.graph, trace, torch.float64)
        with torch.no_grad():
            summary = self.networks.encode(data.place[None], data.direction[None], data.speed[None])
            context = self.networks.context(summary).mean
            local = self.networks.local(summary, context).mean[0]
            along = (self.networks.flow(data.place, context[:, None]) * data.direction).sum(dim=-1)
            each = context.expand(trace.ues, -1)
            mean, sigma, _ = self.networks.drive(data.motion.transpose(0, 1), along.T, each, local)
            residual = ((data.acceleration.T - mean) / sigma).T
            scores = self.networks.choice(
                data.choice_place, data.options, context.expand(len(data.choice_ue), -1), local[data.choice_ue]
            )
            moments, even = spot_tensors(self.graph, torch.float64)
            places = self.networks.start(self.networks.crowd_places(moments, even, context), even, local)
        start_noise = np.stack(
            [
                _gumbel(score, int(spot), stream(seed, "start-noise", ue))
                for ue, (score, spot) in enumerate(zip(places.numpy(), data.spot[0], strict=True))
            ]
        )
        return Abduction(
            trace=trace,
            ways=data.ways,
            context=context[0].numpy(),
            local=local.numpy(),
            residual=residual.numpy(),
            start_noise=start_noise,
            road_noise=_road_noise(data, scores.numpy(), seed),
            seed=seed,
        )

    def context_of(self, trace: MobilityTrace) -> Floats:
        """(C,) the mean of q(c | trace)."""
        return self.abduct(trace).context

    def generate(
        self,
        abduction: Abduction,
        do_context: Floats | None = None,
        do_local: Floats | None = None,
    ) -> MobilityTrace:
        """Draws the trace under an intervention, with everything else as it was; do(nothing) returns the trace.

        Args:
            abduction: Of the factual trace.
            do_context: (C,) replaces the context: another trace's, or `c + w (c' - c)` for any w.
            do_local: (U, L) replaces the local latents.

        Returns:
            A trace of the same length on the roads, within the limits of speed and acceleration.

        Raises:
            ConfigError: a latent has the wrong shape or is not finite.
        """
        context = abduction.context if do_context is None else np.asarray(do_context, dtype=np.float64)
        local = abduction.local if do_local is None else np.asarray(do_local, dtype=np.float64)
        for name, given, wanted in (("do_context", context, abduction.context), ("do_local", local, abduction.local)):
            if given.shape != wanted.shape or not np.isfinite(given).all():
                raise ConfigError(f"{name}: shape {given.shape}, must be finite of shape {wanted.shape}")
        return roll_out(self.graph, self.networks, abduction, context, local, self.config.fastest_mps)

    def save(self, path: Path) -> None:
        """Writes weights and configuration, atomically; the same model gives the same bytes."""
        buffer = io.BytesIO()
        torch.save({"config": self.config.model_dump_json(), "networks": self.networks.state_dict()}, buffer)
        with replacing(path) as temporary:
            temporary.write_bytes(buffer.getbuffer())

    @classmethod
    def load(cls, path: Path, street_map: StreetMap) -> Self:
        """Reads a model of this map.

        Raises:
            DataError: missing, damaged, foreign, or made for another map.
        """
        if not path.is_file():
            raise DataError(f"{path}: no such file", _CURE)
        try:
            stored = torch.load(path, weights_only=True, map_location="cpu")
            config = ModelConfig.parse(parse_json(stored["config"], "config"), "config")
            networks = _networks(config).double()
            networks.load_state_dict(stored["networks"])
        except Exception as error:  # torch raises many kinds for damaged files
            raise DataError(f"{path}: not a causal mobility model ({printable(str(error), 200)})", _CURE) from None
        graph = RoadGraph.build(street_map)
        if (street_map.name, len(graph)) != (config.map_name, config.roads):
            raise DataError(
                f"{path}: made for map {printable(config.map_name)} with {config.roads} roads, "
                f"not for {street_map.name} with {len(graph)}",
                _CURE,
            )
        return cls(config, graph, networks.eval())


_CURE = "fit it anew with 'mlb augment'"
_STEPS_A_TRACE = 15
"""Matching a trace to the roads takes about as long as so many gradient steps."""


def _networks(config: ModelConfig) -> Networks:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(config.seed, "model", "weights"))
        return Networks(config.context_dim, config.local_dim, config.hidden)


def _road_noise(data: Tracks, scores: Floats, seed: int) -> RoadNoise:
    noise: RoadNoise = {}
    for index, (ue, stage) in enumerate(zip(data.choice_ue.tolist(), data.choice_stage.tolist(), strict=True)):
        score = scores[index][data.option_mask[index].numpy()]
        route = data.ways.route[ue]
        visit = route[: stage + 1].count(route[stage])
        random = stream(seed, "road-noise", ue, stage)
        noise[ue, route[stage], visit] = _gumbel(score, int(data.choice_taken[index]), random)
    return noise


def _gumbel(score: Floats, taken: int, random: np.random.Generator) -> Floats:
    """Gumbel noise of each option, given that score + noise was highest at `taken` (top-down: Maddison 2014)."""
    highest = np.logaddexp.reduce(score) + random.gumbel()
    value = -np.logaddexp(-highest, -(score + random.gumbel(size=len(score))))
    value[taken] = highest
    return value - score
