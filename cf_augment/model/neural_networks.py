"""The networks: set encoder, local encoder, driver and route choice."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cf_augment.model.inputs import MOTION_SIZE, OPTION_SIZE

LEAST_SIGMA = 0.3
"""m/s^2; standing UEs would otherwise draw it to 0, and the likelihood to infinity."""
_ENCODED = 7
_SUMMARY = 11
_STEEPNESS = 10.0
"""A crowd is narrow on the scale of the map."""


@dataclass(frozen=True)
class Posterior:
    """A diagonal normal distribution.

    Attributes:
        mean: (..., D).
        log_sigma: (..., D).
    """

    mean: Tensor
    log_sigma: Tensor

    def draw(self, noise: Tensor) -> Tensor:
        """Mean + sigma x noise."""
        return self.mean + self.log_sigma.exp() * noise

    def divergence(self) -> Tensor:
        """KL from the standard normal, (...)."""
        square = self.mean**2 + (2 * self.log_sigma).exp()
        return 0.5 * (square - 1 - 2 * self.log_sigma).sum(dim=-1)


class Networks(nn.Module):
    """All learned functions. B windows, U UEs, T steps, C context and L local dimensions.

    Args:
        context_dim: C.
        local_dim: L.
        hidden: Width of the GRUs and layers.
    """

    def __init__(self, context_dim: int, local_dim: int, hidden: int) -> None:
        super().__init__()
        self.history = nn.GRU(_ENCODED, hidden, batch_first=True)
        width = hidden + _SUMMARY
        self.attention = nn.Linear(width, 1)
        self.to_context = nn.Linear(2 * width, 2 * context_dim)
        to_local = nn.Linear(hidden, 2 * local_dim)
        self.to_local = nn.Sequential(nn.Linear(width + context_dim, hidden), nn.SiLU(), to_local)
        # Posteriors that begin as wide as the prior drown what little the data say.
        nn.init.constant_(self.to_context.bias[context_dim:], -1.5)
        nn.init.constant_(to_local.bias[local_dim:], -1.5)
        self.crowd = nn.Linear(context_dim, 5)
        self.member = nn.Linear(local_dim, 1)
        self.field = nn.Linear(context_dim, 6)
        self.own_way = nn.Linear(local_dim, 3)
        self.bend = nn.Sequential(nn.Linear(OPTION_SIZE - 2, 16), nn.SiLU(), nn.Linear(16, 1))
        self.driver = nn.GRU(MOTION_SIZE + 1 + context_dim + local_dim, hidden, batch_first=True)
        self.to_acceleration = nn.Linear(hidden, 2)

    def encode(self, place: Tensor, direction: Tensor, speed: Tensor) -> Tensor:
        """Summaries h_u (B, U, H) of windows: place and direction (B, T, U, 2), speed (B, T, U)."""
        velocity = direction * speed[..., None]
        inputs = torch.cat([place, direction, velocity, speed[..., None]], dim=-1)
        batch, steps, ues, size = inputs.shape
        last = self.history(inputs.transpose(1, 2).reshape(batch * ues, steps, size))[1][0].reshape(batch, ues, -1)
        # The moments of which the linear flow and the crowd are made, so that few traces suffice to find them.
        products = (velocity[..., :, None] * place[..., None, :]).flatten(-2)
        return torch.cat([last, torch.cat([velocity, products, moments(place)], dim=-1).mean(dim=1)], dim=-1)

    def context(self, summary: Tensor) -> Posterior:
        """q(c | window) (B, C); the order of the UEs does not matter."""
        weight = self.attention(summary).softmax(dim=-2)
        pooled = torch.cat([(weight * summary).sum(dim=-2), summary.mean(dim=-2)], dim=-1)
        return _posterior(self.to_context(pooled))

    def local(self, summary: Tensor, context: Tensor) -> Posterior:
        """q(l_u | h_u, c) (B, U, L); context (B, C)."""
        shared = context[:, None].expand(-1, summary.shape[1], -1)
        return _posterior(self.to_local(torch.cat([summary, shared], dim=-1)))

    def crowd_places(self, spot_moments: Tensor, log_even: Tensor, context: Tensor) -> Tensor:
        """Log probability (B, P) of the spots where the crowd is when the window begins.

        An exponential family in the moments of the place, with parameters linear in the context: a crowd around
        any place, or along any side, of any width.

        Args:
            spot_moments: (P, 5) of all spots.
            log_even: (P,) log probability of each spot if all metres of lane are alike.
            context: (B, C).
        """
        return (_STEEPNESS * self.crowd(context) @ spot_moments.T + log_even).log_softmax(dim=-1)

    def start(self, crowd: Tensor, even: Tensor, local: Tensor) -> Tensor:
        """Log probability (..., S) of spots with these in the crowd and evenly (..., S): local (..., L).

        A mixture: the local latent says how far the UE belongs to the crowd.
        """
        belongs = self.member(local)
        log_sigmoid = nn.functional.logsigmoid
        return torch.logaddexp(log_sigmoid(belongs) + crowd, log_sigmoid(-belongs) + even)

    def flow(self, place: Tensor, context: Tensor) -> Tensor:
        """Returns where the crowd is drawn (..., 2): linear in the place (..., 2) and in the context (..., C).

        A place of attraction m is k (m - x), a tide is a constant; both, and all between them, are of this
        form, so that contexts can be interpolated and extrapolated.
        """
        weights = self.field(context)
        matrix = weights[..., 2:].reshape(*weights.shape[:-1], 2, 2)
        return weights[..., :2] + (matrix @ place[..., None])[..., 0]

    def choice(self, place: Tensor, options: Tensor, context: Tensor, local: Tensor) -> Tensor:
        """Scores (..., K) of the roads that a UE can take: place (..., 2), options (..., K, OPTION_SIZE)."""
        own = self.own_way(local)
        follows = nn.functional.softplus(own[..., :1] + 0.54)
        drawn = follows * self.flow(place, context) + own[..., 1:]
        return (options[..., :2] * drawn[..., None, :]).sum(dim=-1) + self.bend(options[..., 2:])[..., 0]

    def drive(
        self, motion: Tensor, along: Tensor, context: Tensor, local: Tensor, memory: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and sigma of the acceleration in m/s^2, (N, T), and the GRU's memory.

        Args:
            motion: (N, T, MOTION_SIZE).
            along: (N, T) component of the flow along the road.
            context: (N, C).
            local: (N, L).
            memory: (1, N, H), zeros if not given.
        """
        steps = motion.shape[1]
        constant = torch.cat([context, local], dim=-1)[:, None].expand(-1, steps, -1)
        hidden, memory = self.driver(torch.cat([motion, along.tanh()[..., None], constant], dim=-1), memory)
        mean, spread = self.to_acceleration(hidden).unbind(dim=-1)
        return 3 * mean, LEAST_SIGMA + nn.functional.softplus(spread), memory


def moments(place: Tensor) -> Tensor:
    """x, y, x^2, x y, y^2 of scaled places (..., 2); (..., 5)."""
    x, y = place.unbind(dim=-1)
    return torch.stack([x, y, x**2, x * y, y**2], dim=-1)


def _posterior(values: Tensor) -> Posterior:
    mean, log_sigma = values.chunk(2, dim=-1)
    return Posterior(mean, log_sigma.clamp(-5, 2))
