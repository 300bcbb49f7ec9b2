"""Fields: how likely each place of a map is as a start or a destination."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
import pydantic

from sumo_mobility.base.arrays import Floats

Coordinate = Annotated[float, pydantic.Field(ge=-1e7, le=1e7)]
"""A coordinate in m, within the limits of the ns-3 program."""
Point = tuple[Coordinate, Coordinate]
"""x (east) and y (north) in trace coordinates, m."""


class Field(Protocol):
    """A density over places; hashable, so that it is computed once for all UEs that share it."""

    def log_density(self, position_m: Floats) -> Floats:
        """Logarithm of the density at all places of the map (N, 2), (N,); a constant added to all changes nothing."""


@dataclass(frozen=True)
class Even:
    """All places alike."""

    def log_density(self, position_m: Floats) -> Floats:
        """0."""
        return np.zeros(len(position_m))


@dataclass(frozen=True)
class Bell:
    """A crowd: falls with exp(-(distance / radius_m)^2)."""

    center_m: Point
    radius_m: float

    def log_density(self, position_m: Floats) -> Floats:
        """The bell, to any distance: the place nearest to the centre is never out of reach."""
        return -((position_m - self.center_m) ** 2).sum(axis=1) / self.radius_m**2


@dataclass(frozen=True)
class Around:
    """Everywhere but near a centre: 1 - exp(-(distance / radius_m)^2)."""

    center_m: Point
    radius_m: float

    def log_density(self, position_m: Floats) -> Floats:
        """Returns the logarithm of 1 less a Gaussian bell at each position."""
        square = ((position_m - self.center_m) ** 2).sum(axis=1)
        return np.log(-np.expm1(-np.maximum(square, 1.0) / self.radius_m**2))


@dataclass(frozen=True)
class Slope:
    """Rises along a heading, from one end of the map to the other, by e in each `depth` of the way."""

    heading_deg: float
    depth: float = 0.1

    def log_density(self, position_m: Floats) -> Floats:
        """Linear."""
        along = position_m @ direction(self.heading_deg)
        return (along - along.max()) / max(np.ptp(along), 1e-9) / self.depth


@dataclass(frozen=True)
class Band:
    """A strip along a straight axis: falls with exp(-(distance from the axis / width_m)^2)."""

    through_m: Point
    heading_deg: float
    width_m: float

    def log_density(self, position_m: Floats) -> Floats:
        """The strip."""
        across = (position_m - self.through_m) @ direction(self.heading_deg + 90)
        return -((across / self.width_m) ** 2)


@dataclass(frozen=True)
class Square:
    """Even within `reach_m` of a centre in x and in y, nothing beyond."""

    center_m: Point
    reach_m: float

    def log_density(self, position_m: Floats) -> Floats:
        """0 inside."""
        inside = np.abs(position_m - self.center_m).max(axis=1) <= self.reach_m
        return np.where(inside, 0.0, -np.inf)


@dataclass(frozen=True)
class Ahead:
    """Some `length_m` away from a place, towards a heading or anywhere if that is None."""

    here_m: Point
    heading_deg: float | None
    length_m: float

    def log_density(self, position_m: Floats) -> Floats:
        """A ring, with a von Mises distribution of the direction (kappa 4: mean cosine 0.86)."""
        way = position_m - self.here_m
        distance = np.hypot(way[:, 0], way[:, 1])
        ring = -((2 * (distance - self.length_m) / self.length_m) ** 2)
        if self.heading_deg is None:
            return np.asarray(ring)
        return np.asarray(ring + 4 * (way @ direction(self.heading_deg)) / np.maximum(distance, 1.0))


@dataclass(frozen=True)
class Product:
    """Two fields at once."""

    first: Field
    second: Field

    def log_density(self, position_m: Floats) -> Floats:
        """Returns the sum of the fields' log densities at each position."""
        return self.first.log_density(position_m) + self.second.log_density(position_m)


def direction(heading_deg: float) -> Floats:
    """Unit vector (2,) of a heading, clockwise from north."""
    heading = np.radians(heading_deg)
    return np.array([np.sin(heading), np.cos(heading)])
