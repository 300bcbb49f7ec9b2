"""Global mobility contexts: where the UEs want to go, as named, parameterised fields over the map."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sumo_mobility.base.contract import Contract


class Uniform(Contract):
    """Destinations are spread evenly over the streets."""

    name: Literal["uniform"] = "uniform"


class Event(Contract):
    """Many UEs head for one place (a stadium, a concert) and stay around it."""

    name: Literal["event"] = "event"
    x_share: float = Field(0.5, ge=0, le=1)
    """Place of the event, as a share of the map's width from the west."""
    y_share: float = Field(0.5, ge=0, le=1)
    """The same from the south."""
    radius_m: float = Field(150.0, gt=0)
    attraction: float = Field(0.6, ge=0, le=1)
    """Share of the destinations that are drawn at the event."""


class Tide(Contract):
    """UEs start on one side of the map and drive to the other, as commuters do."""

    name: Literal["tide"] = "tide"
    heading_deg: float = Field(0.0, ge=0, lt=360)
    """Direction of the flow, clockwise from north."""
    strength: float = Field(0.7, ge=0, le=1)
    """Share of the destinations that follow the tide."""


Context = Annotated[Uniform | Event | Tide, Field(discriminator="name")]


class MobilityConfig(Contract):
    """One map, how many UEs are on it, and what they are up to."""

    map: Literal["helsinki-centre"] = "helsinki-centre"
    ues: int = Field(60, ge=1, le=1000)
    """Constant number of UEs; none appears or vanishes."""
    duration_s: float = Field(60.0, ge=2)
    settle_s: float = Field(120.0, ge=60)
    """SUMO time before the trace begins, in which the UEs enter the streets and spread."""
    train_contexts: tuple[Context, ...] = Field(min_length=1)
    """Contexts of the traces that data is collected on, taken in turn."""
    test_contexts: tuple[Context, ...] = Field(min_length=1)
    """Contexts of the traces that policies are judged on, taken in turn."""
