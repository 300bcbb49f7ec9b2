"""Hypotheses about the places that a context draws UEs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sumo_mobility.base.arrays import Floats, Singles

_SIDE_SHARE, _ROUND_SHARE = 0.35, 0.6
_RIDGE, _NEWTON_STEPS, _LEAST_STEP, _LEAST_GAIN = 1e-8, 60, 1e-6, 1e-12
_WIDTH, _DEPTH, _BEYOND = (0.08, 0.6), (0.05, 0.5), 1.1


def moments(place_m: Floats, bounds_m: tuple[float, float, float, float]) -> Floats:
    """Returns x, y, x^2, x y, y^2 (N, 5) of places (N, 2), with the map's centre at 0, its longer half side at 1."""
    west, south, east, north = bounds_m
    x, y = ((place_m - [(west + east) / 2, (south + north) / 2]) / (max(east - west, north - south) / 2)).T
    return np.stack([x, y, x * x, x * y, y * y], axis=-1)


@dataclass(frozen=True)
class Crowds:
    """M distributions of destinations over P places, an exponential family in the moments of the place.

    Its members are crowds around any place and of any width, strips, and slopes towards any side. The first is even.

    Attributes:
        parameters: (M, 5), coefficients of `moments`.
        density: (M, P).
        moments: (M, 5), means of `moments`, which say as much as the parameters.
    """

    parameters: Floats
    density: Singles
    moments: Floats

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
        of_places = moments(place_m, bounds_m)
        density = densities(np.array(parameters), of_places, weight)
        return cls(np.array(parameters), density, density @ of_places)


def densities(parameters: Floats, of_places: Floats, weight: Floats) -> Singles:
    """Returns the distributions (..., P) of parameters (..., 5) over places with moments (P, 5) and weights (P,)."""
    log_density = parameters @ of_places.T + np.log(weight)
    density = np.exp(log_density - log_density.max(axis=-1, keepdims=True))
    return (density / density.sum(axis=-1, keepdims=True)).astype(np.float32)


def central(of_crowd: Floats) -> Floats:
    """Returns mean x and y, and variance of x, covariance and variance of y, of a crowd's moments (5,)."""
    x, y, xx, xy, yy = of_crowd
    return np.array([x, y, xx - x * x, xy - x * y, yy - y * y])


def matched(center: Floats, of_places: Floats, weight: Floats) -> Floats:
    """Returns the distribution (P,) of the family that has some central moments, as of `central`.

    It is the one that says no more than these moments (of greatest entropy). Moments that none has, such as a mean
    beyond the map, get the one that comes near.

    Args:
        center: (5,).
        of_places: (P, 5) moments of the places.
        weight: (P,) of the places.
    """
    x, y, xx, xy, yy = center
    wanted = np.array([x, y, xx + x * x, xy + x * y, yy + y * y])
    parameters = np.zeros(5)

    def gain(of: Floats) -> float:
        scores = of_places @ of + np.log(weight)
        return float(of @ wanted - np.logaddexp.reduce(scores) - _RIDGE * of @ of / 2)

    for _ in range(_NEWTON_STEPS):
        density = _softmax(of_places @ parameters + np.log(weight))
        mean = density @ of_places
        apart = of_places - mean
        slope = wanted - mean - _RIDGE * parameters
        step = np.linalg.solve((apart.T * density) @ apart + _RIDGE * np.eye(5), slope)
        size, before = 1.0, gain(parameters)
        while size > _LEAST_STEP and gain(parameters + size * step) < before + 1e-4 * size * float(slope @ step):
            size /= 2
        if size <= _LEAST_STEP or float(slope @ step) < _LEAST_GAIN:
            break
        parameters = parameters + size * step
    return _softmax(of_places @ parameters + np.log(weight))


def _softmax(scores: Floats) -> Floats:
    return np.asarray(np.exp(scores - np.logaddexp.reduce(scores)))


def _between(limits: tuple[float, float], chance: Floats) -> Floats:
    """Returns values between limits, evenly on a scale of logarithms, given random numbers from 0 to 1."""
    low, high = limits
    return np.asarray(low * (high / low) ** chance)
