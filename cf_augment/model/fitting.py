"""Learning the networks from a handful of traces.

Loss per UE-step: negative log likelihood of the places at the begin of the window, of the accelerations and of
the roads taken; Kullback-Leibler terms of both posteriors (an evidence lower bound, but with weights below 1: latents
are to be told apart rather than to be short); InfoNCE on the context; and a penalty on what the local
latents of a crowd share. The UEs of a window are split at random into two halves, and each half is decoded with the
context that was encoded from the *other*: what is particular to one UE cannot pass through the context. In most
windows the UEs are drawn anew, so that they gather somewhere else; turning the map is no option, since its streets do
not turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from cf_augment.model.inputs import Tracks, scaled
from cf_augment.model.neural_networks import Networks, Posterior, moments
from cf_augment.model.roads import RoadGraph
from sumo_mobility.base.seeds import derive, stream

WINDOW_S = (12.0, 30.0)
_WINDOWS, _HALF, _GATHERED = 6, 30, 0.75
_GATHERING_WIDTH, _OTHERS_SHARE = (0.08, 0.3), (0.01, 0.15)
_LEARNING_RATE, _GRADIENT_NORM = 6e-3, 1.0
_CONTRAST, _SHARED, _CONTEXT_DIVERGENCE, _LOCAL_DIVERGENCE, _WARM_UP = 0.2, 0.05, 0.1, 0.2, 0.6


@dataclass(frozen=True)
class Batch:
    """Windows 2B (two halves of each of B), T steps, n UEs; E choices."""

    place: Tensor
    direction: Tensor
    speed: Tensor
    motion: Tensor
    acceleration: Tensor
    spot: Tensor
    source: Tensor
    """(B,) number of the context that each window is of."""
    choice_window: Tensor
    choice_slot: Tensor
    choice_place: Tensor
    options: Tensor
    option_mask: Tensor
    choice_taken: Tensor


def train(
    networks: Networks,
    data: list[Tracks],
    graph: RoadGraph,
    step_s: float,
    seed: int,
    steps: int,
    on_step: Callable[[], None],
) -> None:
    """Fits in place with Adam and a cosine schedule; the same arguments give the same weights.

    Args:
        networks: To be fitted.
        data: At least one trace.
        graph: The roads of their map.
        step_s: Time between the traces' rows.
        seed: Of windows, halves and draws.
        steps: Number of gradient steps.
        on_step: Called after each.
    """
    random = stream(seed, "model", "batches")
    noise = torch.Generator().manual_seed(derive(seed, "model", "noise"))
    optimizer = torch.optim.Adam(networks.parameters(), lr=_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    spots = spot_tensors(graph, torch.float32)
    networks.train()
    for step in range(steps):
        # Posteriors that must look like the prior before they are of use never become so.
        warm = min(1.0, step / (_WARM_UP * steps))
        loss = loss_of(networks, draw_batch(data, step_s, random), spots, warm, noise)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(networks.parameters(), _GRADIENT_NORM)
        optimizer.step()
        schedule.step()
        on_step()
    networks.eval()


def draw_batch(data: list[Tracks], step_s: float, random: np.random.Generator) -> Batch:
    """Draws windows of one random length from as many different traces as there are."""
    ues = min(trace_tracks.speed.shape[1] for trace_tracks in data)
    longest = min(trace_tracks.speed.shape[0] for trace_tracks in data)
    half = max(1, min(_HALF, ues // 2))
    lowest, highest = (min(longest, round(limit / step_s)) for limit in WINDOW_S)
    length = int(random.integers(lowest, highest + 1))
    source = np.concatenate([random.permutation(len(data)) for _ in range(-(-_WINDOWS // len(data)))])[:_WINDOWS]
    parts: dict[str, list[Tensor]] = {
        name: [] for name in ("place", "direction", "speed", "motion", "acceleration", "spot")
    }
    choices: dict[str, list[Tensor]] = {
        name: [] for name in ("window", "slot", "choice_place", "options", "option_mask", "choice_taken")
    }
    chosen = []
    for number, index in enumerate(source.tolist()):
        trace_tracks = data[index]
        start = int(random.integers(0, trace_tracks.speed.shape[0] - length + 1))
        order = random.permutation(trace_tracks.speed.shape[1])[: 2 * half]
        halves = [order[:half], order[-half:]]
        if random.random() < _GATHERED:
            halves = _gathered(halves, trace_tracks.place[start + length - 1].numpy(), random)
            source[number] = len(data) + number
        chosen += [(trace_tracks, start, group) for group in halves]
    for window, (trace_tracks, start, group) in enumerate(chosen):
        for name, values in parts.items():
            values.append(getattr(trace_tracks, name)[start : start + length, group])
        during = np.flatnonzero((trace_tracks.choice_row >= start) & (trace_tracks.choice_row < start + length))
        slot, found = np.nonzero(group[:, None] == trace_tracks.choice_ue[None, during])
        choices["window"].append(torch.full((len(slot),), window))
        choices["slot"].append(torch.as_tensor(slot))
        for name in ("choice_place", "options", "option_mask", "choice_taken"):
            choices[name].append(getattr(trace_tracks, name)[torch.as_tensor(during[found])])
    return Batch(
        **{name: torch.stack(values) for name, values in parts.items()},
        source=torch.as_tensor(source),
        choice_window=torch.cat(choices["window"]),
        choice_slot=torch.cat(choices["slot"]),
        **{name: torch.cat(choices[name]) for name in ("choice_place", "options", "option_mask", "choice_taken")},
    )


def _gathered(halves: list[np.ndarray], end: np.ndarray, random: np.random.Generator) -> list[np.ndarray]:
    """Draws from each half again, those that end up (U, 2) near one place of the map most often.

    True UEs in other proportions are another context at no cost: people who go to another place.
    """
    weight = gathering_weight(end - random.uniform(end.min(axis=0), end.max(axis=0)), random)
    return [random.choice(half, size=len(half), p=weight[half] / weight[half].sum()) for half in halves]


def gathering_weight(away: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Weights (U,) of UEs by how far from a place they end up, (U, 2) on the scale of the map."""
    square = (away**2).sum(axis=1)
    width = random.uniform(*_GATHERING_WIDTH)
    return np.exp(-(square - square.min()) / (2 * width**2)) + random.uniform(*_OTHERS_SHARE)


def loss_of(
    networks: Networks, batch: Batch, spots: tuple[Tensor, Tensor], warm: float, noise: torch.Generator
) -> Tensor:
    """The loss per UE-step, a scalar.

    Args:
        networks: The functions to be learned.
        batch: Windows.
        spots: As of `spot_tensors`.
        warm: How much of the divergences counts, from 0 to 1.
        noise: For the draws from the posteriors.
    """
    windows, steps, ues, _ = batch.place.shape
    summary = networks.encode(batch.place, batch.direction, batch.speed)
    q_context = networks.context(summary)
    drawn = q_context.draw(torch.randn(q_context.mean.shape, generator=noise))
    context = drawn.reshape(windows // 2, 2, -1).flip(1).reshape(windows, -1)
    q_local = networks.local(summary, context)
    local = q_local.draw(torch.randn(q_local.mean.shape, generator=noise))

    along = (networks.flow(batch.place, context[:, None, None]) * batch.direction).sum(dim=-1)
    each = context[:, None].expand(-1, ues, -1).reshape(windows * ues, -1)
    mean, sigma, _ = networks.drive(
        batch.motion.transpose(1, 2).flatten(0, 1), along.transpose(1, 2).flatten(0, 1), each, local.flatten(0, 1)
    )
    acceleration = batch.acceleration.transpose(1, 2).flatten(0, 1)
    motion_nll = -torch.distributions.Normal(mean, sigma).log_prob(acceleration).sum()
    scores = networks.choice(
        batch.choice_place,
        batch.options,
        context[batch.choice_window],
        local[batch.choice_window, batch.choice_slot],
    ).masked_fill(~batch.option_mask, -1e9)
    choice_nll = nn.functional.cross_entropy(scores, batch.choice_taken, reduction="sum")
    spot = batch.spot[:, 0]
    crowd = networks.crowd_places(*spots, context).gather(-1, spot)
    start_nll = -networks.start(crowd[..., None], spots[1][spot][..., None], local).sum()
    bound = (
        start_nll
        + motion_nll
        + choice_nll
        + warm * _LOCAL_DIVERGENCE * q_local.divergence().sum()
        + warm * _CONTEXT_DIVERGENCE * q_context.divergence().sum()
    )
    shared = (q_local.mean.mean(dim=1) ** 2).sum(dim=-1).mean()
    return bound / (windows * ues * steps) + _CONTRAST * _contrast(q_context, batch.source) + _SHARED * shared


def spot_tensors(graph: RoadGraph, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Returns the moments (P, 5) of all spots, and the log probability (P,) of each if all metres of lane are alike."""
    position, _ = graph.place(graph.spot_road, graph.spot_offset_m)
    place = torch.as_tensor(scaled(graph, position), dtype=dtype)
    return moments(place), torch.as_tensor(np.log(graph.spot_weight / graph.spot_weight.sum()), dtype=dtype)


def _contrast(q_context: Posterior, source: Tensor) -> Tensor:
    """InfoNCE (van den Oord 2018): two halves of one window against windows of other contexts."""
    size = q_context.mean.shape[0] // 2
    halves = q_context.mean.reshape(size, 2, -1)
    scores = -((halves[:, None, 0] - halves[None, :, 1]) ** 2).sum(dim=-1)
    alike = (source[:, None] == source[None]) & ~torch.eye(size, dtype=torch.bool)
    scores = scores.masked_fill(alike, -1e9)
    truth = torch.arange(size)
    return (nn.functional.cross_entropy(scores, truth) + nn.functional.cross_entropy(scores.T, truth)) / 2
