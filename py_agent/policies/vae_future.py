"""The future `vae`: how UEs go on, learned without streets, destinations or contexts, to hold the causal model against.

A conditional variational autoencoder (Sohn, Lee and Yan 2015, "Learning structured output representation using deep
conditional generative models"): networks for the latents of a way given its condition (prior), given the way as well
(encoder), and for the way given condition and latents (decoder). All were chosen on development traces.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from ns3_scenarios.kpis import StepKpis
from py_agent.algorithms.checkpoint import CURE, load_tensors, save_tensors
from py_agent.policies.futures import LearnedFuture
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import DataError
from sumo_mobility.base.seeds import derive
from sumo_mobility.trace import MobilityTrace

_KNOT_S, _KNOTS = 5, 12
_AHEAD_S = _KNOT_S * _KNOTS
_LONGEST_APART_S = 60
_HIDDEN, _LATENT, _WAVES = 64, 8, 4
_STEPS, _BATCH, _RATE = 10_000, 512, 2e-3
_ONE_REPORT = 0.1
"""Share of the moments that are learned without the report before."""
_SPREAD = 0.25
"""Standard deviation of ways around the decoder's, over their own; it weighs the latents' divergence (beta)."""


class Onward(nn.Module):
    """The networks, with the scales of what goes in and comes out."""

    middle_m: Tensor
    half_m: Tensor
    speed_mps: Tensor
    scale_m: Tensor

    def __init__(self) -> None:
        super().__init__()
        condition, way = 2 + 4 * _WAVES + 4, 2 * _KNOTS
        for name, shape in {"middle_m": (2,), "half_m": (2,), "speed_mps": (), "scale_m": (_KNOTS, 1)}.items():
            self.register_buffer(name, torch.ones(shape))
        self.prior = _perceptron(condition, 2 * _LATENT)
        self.encoder = _perceptron(condition + way, 2 * _LATENT)
        self.decoder = _perceptron(condition + _LATENT, way)

    def condition(self, here_m: Tensor, before_m: Tensor, apart_s: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what is known of UEs (N, X), and where they would be straight on at each knot (N, T, 2), scaled.

        Args:
            here_m: (N, 2) where they are.
            before_m: (N, 2) where they were before.
            apart_s: (N, 1) how long before; 0 if that is not known.
        """
        place = (here_m - self.middle_m) / self.half_m
        phase = (place[:, None] * (np.pi * 2.0 ** torch.arange(_WAVES))[:, None]).flatten(1)
        known = (apart_s > 0).float()
        velocity_mps = known * (here_m - before_m) / apart_s.clamp_min(1e-3)
        since = (apart_s / _LONGEST_APART_S).clamp_max(1)
        known_of = torch.cat([place, phase.sin(), phase.cos(), velocity_mps / self.speed_mps, known, since], dim=1)
        return known_of, velocity_mps[:, None] * (_knots()[:, None] * _KNOT_S) / self.scale_m

    def divergence(self, condition: Tensor, straight: Tensor, way: Tensor, noise: Tensor) -> Tensor:
        """Returns the negative evidence lower bound but for constants, of scaled ways (N, T, 2), mean over N."""
        of_way, prior = _normal(self.encoder(torch.cat([condition, way.flatten(1)], dim=1))), self.latents(condition)
        missed = self.ways(condition, straight, of_way.mean + of_way.stddev * noise) - way
        bound = missed.square().sum(dim=(1, 2)) / (2 * _SPREAD**2) + kl_divergence(of_way, prior).sum(dim=1)
        return bound.mean()

    def latents(self, condition: Tensor) -> Normal:
        """Returns the distribution of the latents (N, L) where the way is not known."""
        return _normal(self.prior(condition))

    def ways(self, condition: Tensor, straight: Tensor, latents: Tensor) -> Tensor:
        """Returns scaled ways (..., T, 2) by latents (..., L)."""
        return straight + self.decoder(torch.cat([condition, latents], dim=-1)).unflatten(-1, (_KNOTS, 2))


def _perceptron(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, _HIDDEN), nn.SiLU(), nn.Linear(_HIDDEN, _HIDDEN), nn.SiLU(), nn.Linear(_HIDDEN, outputs)
    )  # fmt: skip


def _normal(moments: Tensor) -> Normal:
    mean, log_std = moments.chunk(2, dim=-1)
    return Normal(mean, log_std.clamp(-6, 3).exp(), validate_args=False)


def _knots() -> Tensor:
    """The knots of a way, counted from 1."""
    return torch.arange(1, _KNOTS + 1)


class VaeFuture(LearnedFuture[Onward]):
    """UEs go on as a variational autoencoder of logged traces draws it, by where they are and were one report ago.

    A way has a knot each 5 s up to 60 s; between them it is straight, and beyond the last one it goes straight on. The
    velocity counts as unknown while there was one report.

    Args:
        scenario: The scenario.
        learned: The networks.
        count: How many futures to draw.
    """

    name = "vae"

    @classmethod
    def learn(cls, traces: Sequence[MobilityTrace], map_name: str) -> Onward:
        """See `LearnedFuture.learn`; the same traces give the same networks, in under a minute of one core.

        It learns from the moments of each second, with reports that are up to 60 s apart, drawn anew each time.

        Raises:
            DataError: no trace is long enough.
        """
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the order of sums stays fixed
        try:
            return _fit(*_moments(traces))
        finally:
            torch.set_num_threads(threads)

    @classmethod
    def save(cls, learned: Onward, path: Path) -> None:
        """See `LearnedFuture.save`."""
        save_tensors(learned.state_dict(), path)

    @classmethod
    def load(cls, path: Path, map_name: str) -> Onward:
        """See `LearnedFuture.load`."""
        onward = Onward()
        try:
            onward.load_state_dict(load_tensors(path))
        except RuntimeError:
            raise DataError(f"{path}: holds no networks of future=vae", CURE) from None
        return onward

    def reset(self, seed: int) -> None:
        """Forgets the reports."""
        self._reports: list[StepKpis] = []
        self._generator = torch.Generator().manual_seed(derive(seed, "vae"))

    @torch.no_grad()
    def positions_m(self, kpis: StepKpis, times_s: Floats) -> Floats:
        """See `Future.positions_m`."""
        if not self._reports or kpis.time_s > self._reports[-1].time_s:
            self._reports = [*self._reports[-1:], kpis]
        before, now = self._reports[0], self._reports[-1]
        here_m, before_m = (torch.from_numpy(report.ue_position_m).float() for report in (now, before))
        apart_s = torch.full((len(here_m), 1), float(now.time_s - before.time_s))
        condition, straight = self._learned.condition(here_m, before_m, apart_s)
        latents = self._learned.latents(condition)
        noise = torch.randn((self._count, *latents.mean.shape), generator=self._generator)
        drawn = latents.mean + latents.stddev * noise
        ways = self._learned.ways(condition.expand(self._count, -1, -1), straight, drawn)
        gone_m = np.pad((ways * self._learned.scale_m).double().numpy(), ((0, 0), (0, 0), (1, 0), (0, 0)))
        row = (times_s - kpis.time_s) / _KNOT_S
        lower = np.clip(row.astype(np.int64), 0, _KNOTS - 1)
        share = (row - lower)[:, None]
        ahead_m = gone_m[:, :, lower] * (1 - share) + gone_m[:, :, lower + 1] * share
        return np.asarray(now.ue_position_m + ahead_m.transpose(0, 2, 1, 3))


def _moments(traces: Sequence[MobilityTrace]) -> tuple[Tensor, Tensor, Tensor]:
    """Returns places (P, 2) a second apart, UE by UE, and of each moment its row there and its time in s.

    Raises:
        DataError: no trace is long enough.
    """
    places_m, rows, times_s, passed = [], [], [], 0
    for trace in traces:
        count = int(trace.duration_s + 1e-6) + 1
        if count > _AHEAD_S + _KNOT_S:
            places_m.append(trace.position_at(np.arange(float(count))).swapaxes(0, 1).reshape(-1, 2))
            time_s = np.arange(count - _AHEAD_S)
            rows.append((passed + count * np.arange(trace.ues)[:, None] + time_s).ravel())
            times_s.append(np.tile(time_s, trace.ues))
            passed += count * trace.ues
    if not rows:
        raise DataError(
            f"future=vae: no logged trace lasts the {_AHEAD_S + _KNOT_S} s that it learns from", "log longer traces"
        )
    place_m, row, time_s = np.concatenate(places_m), np.concatenate(rows), np.concatenate(times_s)
    return torch.from_numpy(place_m).float(), torch.from_numpy(row), torch.from_numpy(time_s)


def _fit(place_m: Tensor, row: Tensor, time_s: Tensor) -> Onward:
    """Returns networks that have learned the ways from `_moments`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(0, "vae", "weights"))
        onward = Onward()
    gone_m = place_m[row[:, None] + _KNOT_S * _knots()] - place_m[row, None]
    low_m, high_m = place_m.amin(dim=0), place_m.amax(dim=0)
    onward.middle_m, onward.half_m = (low_m + high_m) / 2, ((high_m - low_m) / 2).clamp_min(1)
    onward.scale_m = gone_m.square().mean(dim=(0, 2)).sqrt().clamp_min(1)[:, None]
    onward.speed_mps = onward.scale_m[0, 0] / _KNOT_S
    generator = torch.Generator().manual_seed(derive(0, "vae", "batches"))
    optimizer = torch.optim.Adam(onward.parameters())
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=_STEPS)
    for _ in range(_STEPS):
        batch = torch.randint(len(row), (_BATCH,), generator=generator)
        apart_s = torch.randint(1, _LONGEST_APART_S + 1, (_BATCH,), generator=generator)
        shown = torch.rand(_BATCH, generator=generator) >= _ONE_REPORT
        apart_s = torch.minimum(apart_s, time_s[batch]) * shown
        now = row[batch]
        known = onward.condition(place_m[now], place_m[now - apart_s], apart_s[:, None].float())
        noise = torch.randn((_BATCH, _LATENT), generator=generator)
        optimizer.zero_grad()
        onward.divergence(*known, gone_m[batch] / onward.scale_m, noise).backward()
        optimizer.step()
        rates.step()
    return onward
