"""Global mobility contexts: where the UEs want to go, as named, parameterised fields over the map.

A context draws a share of the UEs, its *members*, and gives them their own fields of starts and destinations; all
others move evenly over the streets, in the same way in every context of the same seed.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field

from sumo_mobility.base.contract import Contract
from sumo_mobility.maps import check_map_name
from sumo_mobility.streets import Floats

Bounds = tuple[float, float, float, float]
"""West, south, east, north in m."""


class Uniform(Contract):
    """Destinations are spread evenly over the streets."""

    name: Literal["uniform"] = "uniform"

    @property
    def member_share(self) -> float:
        """Share of the UEs that the context draws."""
        return 0.0

    def start_weight(self, position_m: Floats, bounds_m: Bounds) -> Floats:
        """Density of the members' starts at positions (N, 2), unnormalised, (N,)."""
        return np.ones(len(position_m))

    def goal_weight(self, position_m: Floats, bounds_m: Bounds) -> Floats:
        """Density of the members' destinations, likewise."""
        return np.ones(len(position_m))


class Event(Contract):
    """Many UEs start anywhere, head for one place (a stadium, a concert), and cruise around it."""

    name: Literal["event"] = "event"
    x_share: float = Field(0.5, ge=0, le=1)
    """Place of the event, as a share of the map's width from the west."""
    y_share: float = Field(0.5, ge=0, le=1)
    """The same from the south."""
    radius_m: float = Field(150.0, gt=0)
    """Scale of the crowd: the density of destinations falls with exp(-(distance / radius_m)^2)."""
    attraction: float = Field(0.6, ge=0, le=1)
    """Share of the UEs that go to the event."""

    @property
    def member_share(self) -> float:
        """Share of the UEs that the context draws."""
        return self.attraction

    def place_m(self, bounds_m: Bounds) -> tuple[float, float]:
        """The place in trace coordinates."""
        west, south, east, north = bounds_m
        return west + self.x_share * (east - west), south + self.y_share * (north - south)

    def start_weight(self, position_m: Floats, bounds_m: Bounds) -> Floats:
        """Even."""
        return np.ones(len(position_m))

    def goal_weight(self, position_m: Floats, bounds_m: Bounds) -> Floats:
        """A bell around the place; relative to the nearest street, so that no map is out of reach."""
        square = ((position_m - np.array(self.place_m(bounds_m))) ** 2).sum(axis=1)
        return np.exp(-(square - square.min()) / self.radius_m**2)


class Tide(Contract):
    """Many UEs start on one side of the map and drive to the other, as commuters do."""

    name: Literal["tide"] = "tide"
    heading_deg: float = Field(0.0, ge=0, lt=360)
    """Direction of the flow, clockwise from north."""
    strength: float = Field(0.7, ge=0, le=1)
    """Share of the UEs that follow the tide."""

    @property
    def member_share(self) -> float:
        """Share of the UEs that the context draws."""
        return self.strength

    def start_weight(self, position_m: Floats, bounds_m: Bounds) -> Floats:
        """Falls along the heading."""
        return np.exp(-self._progress(position_m) / _TIDE_DEPTH)

    def goal_weight(self, position_m: Floats, bounds_m: Bounds) -> Floats:
        """Rises along the heading."""
        return np.exp((self._progress(position_m) - 1) / _TIDE_DEPTH)

    def _progress(self, position_m: Floats) -> Floats:
        """How far along the heading each position lies, from 0 (first street) to 1 (last)."""
        heading = np.radians(self.heading_deg)
        along = position_m @ np.array([np.sin(heading), np.cos(heading)])
        return (along - along.min()) / max(np.ptp(along), 1e-9)


_TIDE_DEPTH = 0.1
"""Scale of the strips where a tide starts and ends, as a share of the map's extent along the heading."""


Context = Annotated[Uniform | Event | Tide, Field(discriminator="name")]


class MobilityConfig(Contract):
    """One map, how many UEs are on it, and what they are up to."""

    map: Annotated[str, AfterValidator(check_map_name)] = "helsinki-centre"
    """A shipped map's name, or the path of an .osm, .osm.gz or .osm.pbf file."""
    ues: int = Field(60, ge=1, le=1000)
    """Constant number of UEs; none appears or vanishes."""
    duration_s: float = Field(60.0, ge=2, le=86400, multiple_of=1)
    settle_s: float = Field(120.0, ge=60, le=3600, multiple_of=1)
    """SUMO time before the trace begins. The UEs set out in its first 60 s: it says how far a crowd or a tide is."""
    train_contexts: tuple[Context, ...] = Field(min_length=1)
    """Contexts of the traces that data is collected on, taken in turn."""
    test_contexts: tuple[Context, ...] = Field(min_length=1)
    """Contexts of the traces that policies are judged on, taken in turn."""
