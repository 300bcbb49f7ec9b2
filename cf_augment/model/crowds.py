"""Hypotheses about the places that a context draws UEs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sumo_mobility.base.arrays import Floats, Singles

_SIDE_SHARE, _ROUND_SHARE = 0.35, 0.6
_WIDTH, _DEPTH, _BEYOND = (0.08, 0.6), (0.05, 0.5), 1.1


def moments(place_m: Floats, bounds_m: tuple[float, float, float, float]) -> Floats:
    """Returns x, y, x^2, x y, y^2 (N, 5) of places (N, 2), with the map's centre at 0, its longer half side at 1."""
    west, south, east, north = bounds_m
    x, y = ((place_m - [(west + east) / 2, (south + north) / 2]) / (max(east - west, north - south) / 2)).T
    return np.stack([x, y, x * x, x * y, y * y], axis=-1)


def around(center_m: Floats, width: float, bounds_m: tuple[float, float, float, float]) -> Floats:
    """Returns the parameters (5,) of a round crowd at a place (2,), of some width with 1 for half the map."""
    [[x, y, *_]] = moments(np.asarray(center_m)[None], bounds_m)
    return np.array([2 * x, 2 * y, -1, 0, -1]) / width**2


@dataclass(frozen=True)
class Crowds:
    """M distributions of destinations over P places, an exponential family in the moments of the place.

    Its members are crowds around any place and of any width, strips, and slopes towards any side. The first is even.

    Attributes:
        parameters: (M, 5), coefficients of `moments`.
        density: (M, P).
    """

    parameters: Floats
    density: Singles

    @classmethod
    def drawn(
        cls, place_m: Floats, weight: Floats, bounds_m: tuple[float, float, float, float], count: int,
        random: np.random.Generator,
    ) -> Crowds:  # fmt: skip
        """Draws hypotheses, as an unknown context may be any of them.

        Args:
            place_m: (P, 2) places.
            weight: (P,) how likely each is where nothing draws anyone.
            bounds_m: Bounds of the map.
            count: M.
            random: The randomness.
        """
        west, south, east, north = bounds_m
        half = np.array([east - west, north - south]) / max(east - west, north - south)
        parameters = [np.zeros(5)]
        for _ in range(count - 1):
            if random.random() < _SIDE_SHARE:
                angle = random.uniform(0, 2 * np.pi)
                towards = np.array([np.sin(angle), np.cos(angle)])
                depth = _between(_DEPTH, random.random(1))[0]
                parameters.append(np.array([*towards / (2 * half @ np.abs(towards) * depth), 0, 0, 0]))
                continue
            center = random.uniform(-_BEYOND, _BEYOND, 2) * half
            width = _between(_WIDTH, random.random(2))
            if random.random() < _ROUND_SHARE:
                width[1] = width[0]
            angle = random.uniform(0, np.pi)
            axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            (xx, xy), (_, yy) = axes @ np.diag(width**-2) @ axes.T
            parameters.append(np.array([2 * (xx * center[0] + xy * center[1]), 2 * (xy * center[0] + yy * center[1]),
                                        -xx, -2 * xy, -yy]))  # fmt: skip
        return cls(np.array(parameters), densities(np.array(parameters), moments(place_m, bounds_m), weight))


def densities(parameters: Floats, of_places: Floats, weight: Floats) -> Singles:
    """Returns the distributions (..., P) of parameters (..., 5) over places with moments (P, 5) and weights (P,)."""
    log_density = parameters @ of_places.T + np.log(weight)
    density = np.exp(log_density - log_density.max(axis=-1, keepdims=True))
    return (density / density.sum(axis=-1, keepdims=True)).astype(np.float32)


def _between(limits: tuple[float, float], chance: Floats) -> Floats:
    """Returns values between limits, evenly on a scale of logarithms, given random numbers from 0 to 1."""
    low, high = limits
    return np.asarray(low * (high / low) ** chance)
