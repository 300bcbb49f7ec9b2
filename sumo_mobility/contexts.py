"""Global mobility contexts: where the UEs of a map want to go and when, as named, parameterised plans.

A context draws a share of the UEs, its *members*, and gives them their own starts and destinations; all others move
evenly over the map, in the same way in every context of the same seed. Any map takes any context: what a context
draws are places, be they streets or open ground.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from sumo_mobility import fields
from sumo_mobility.base.contract import Contract, from_folder
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.fields import Point
from sumo_mobility.maps import check_map_name, names_file
from sumo_mobility.open_ground import OpenGround, is_open

Bounds = tuple[float, float, float, float]
"""West, south, east, north in m."""
Share = Annotated[float, Field(ge=0, le=1)]
Duration = Annotated[float, Field(ge=1, le=86400)]

EVERYWHERE = fields.Even()


@dataclass(frozen=True)
class Plan:
    """What one UE is up to.

    Attributes:
        start: Where it is at first.
        goal: From the number of the journey (from 0), the place where it begins, and a random number from 0 to 1 of
            the UE's own, to the field of its destination.
        sets_out_s: When it sets out, in s of the trace, or up to a minute later; None: when the simulation begins.
        within_s: How much later it sets out at most.
        stay_s: Shortest and longest time at a destination.
    """

    start: fields.Field = EVERYWHERE
    goal: Callable[[int, Point, float], fields.Field] = lambda journey, here_m, chance: EVERYWHERE
    sets_out_s: float | None = None
    within_s: float = 60.0
    stay_s: tuple[float, float] = (5.0, 20.0)


def _always(field: fields.Field) -> Callable[[int, Point, float], fields.Field]:
    return lambda journey, here_m, chance: field


class Uniform(Contract):
    """Destinations are spread evenly over the map."""

    name: Literal["uniform"] = "uniform"

    def plan(self, ue: int, rank: float, bounds_m: Bounds) -> Plan:
        """Returns what a UE is up to.

        Args:
            ue: Its number.
            rank: A random number from 0 to 1 of its own: a context that draws half of the UEs draws those below 0.5.
            bounds_m: Of the map.
        """
        return Plan()


class _Located(Contract):
    x_share: Share = 0.5
    """Place, as a share of the map's width from the west."""
    y_share: Share = 0.5
    """The same from the south."""

    def place_m(self, bounds_m: Bounds) -> Point:
        """The place in trace coordinates."""
        west, south, east, north = bounds_m
        return west + self.x_share * (east - west), south + self.y_share * (north - south)


class Event(_Located):
    """A place (a stadium, a concert) that many UEs head for and cruise around; or that they leave at its end."""

    name: Literal["event"] = "event"
    radius_m: float = Field(150.0, gt=0, le=100_000)
    """Scale of the crowd: its density falls with exp(-(distance / radius_m)^2)."""
    attraction: Share = 0.6
    """Share of the UEs that the event draws."""
    direction: Literal["in", "out"] = "in"
    """Whether they come from anywhere, or begin at the place and go anywhere."""
    at_s: float | None = Field(None, ge=-3600, le=86400)
    """When they set out, in s of the trace, or up to a minute later; they are parked until then. None: as soon as the
    simulation begins, if they come in; with the trace, if they leave."""
    stay_s: tuple[Duration, Duration] = (5.0, 20.0)
    """Shortest and longest time that those who came stay parked at a time; they cruise around the place between. A
    crowd of more than some 100 cars in one quarter jams it, unless it stays long."""

    @model_validator(mode="after")
    def _stay_is_a_range(self) -> Self:
        if self.stay_s[0] > self.stay_s[1]:
            raise ValueError(f"stay_s: the shortest, {self.stay_s[0]:g} s, is longer than the longest")
        return self

    def plan(self, ue: int, rank: float, bounds_m: Bounds) -> Plan:
        """As `Uniform.plan`."""
        if rank >= self.attraction:
            return Plan()
        crowd = fields.Bell(self.place_m(bounds_m), self.radius_m)
        if self.direction == "in":
            return Plan(goal=_always(crowd), sets_out_s=self.at_s, stay_s=self.stay_s)
        return Plan(start=crowd, sets_out_s=self.at_s or 0.0)


class Tide(Contract):
    """Many UEs start on one side of the map and drive to the other."""

    name: Literal["tide"] = "tide"
    heading_deg: float = Field(0.0, ge=0, lt=360)
    """Direction of the flow, clockwise from north."""
    strength: Share = 0.7
    """Share of the UEs that follow the tide."""

    def plan(self, ue: int, rank: float, bounds_m: Bounds) -> Plan:
        """As `Uniform.plan`."""
        if rank >= self.strength:
            return Plan()
        return Plan(fields.Slope(self.heading_deg + 180), _always(fields.Slope(self.heading_deg)))


class Commute(_Located):
    """The tides of a day: from all over the map into a centre in the morning, the reverse in the evening."""

    name: Literal["morning", "evening"]
    radius_m: float = Field(200.0, gt=0, le=100_000)
    """Scale of the centre: the density of places of work falls with exp(-(distance / radius_m)^2); that of homes rises
    on twice that scale."""
    strength: Share = 0.7
    """Share of the UEs that follow the tide."""

    def plan(self, ue: int, rank: float, bounds_m: Bounds) -> Plan:
        """As `Uniform.plan`."""
        if rank >= self.strength:
            return Plan()
        place = self.place_m(bounds_m)
        work, home = fields.Bell(place, self.radius_m), fields.Around(place, 2 * self.radius_m)
        return Plan(home, _always(work)) if self.name == "morning" else Plan(work, _always(home))


class Corridor(_Located):
    """Many UEs drive along one straight axis, as on a boulevard or a motorway."""

    name: Literal["corridor"] = "corridor"
    heading_deg: float = Field(0.0, ge=0, lt=360)
    """Direction of the axis, clockwise from north; it leads through the place (x_share, y_share)."""
    both_ways: bool = True
    """Whether members drive to and fro, half of them each way at first; else they drive along the heading and cruise
    where the corridor ends."""
    width_m: float = Field(100.0, gt=0, le=100_000)
    """Scale of the corridor: its density falls with exp(-(distance from the axis / width_m)^2)."""
    strength: Share = 0.7
    """Share of the UEs that keep to the corridor."""

    def plan(self, ue: int, rank: float, bounds_m: Bounds) -> Plan:
        """As `Uniform.plan`."""
        if rank >= self.strength:
            return Plan()
        band = fields.Band(self.place_m(bounds_m), self.heading_deg, self.width_m)
        ends = [fields.Product(band, fields.Slope(self.heading_deg + turn)) for turn in (0, 180)]

        def goal(journey: int, here_m: Point, chance: float) -> fields.Field:
            return ends[(ue + journey) % 2 if self.both_ways else 0]

        return Plan(band, goal)


Behavior = Literal["right", "left", "loiter", "none"]
HEADING_DEG = {"right": 90.0, "left": 270.0}
_LEG_M = 400.0


class Sites(Contract):
    """UEs start near the sites, in equal numbers, and those of a site behave alike: the reference's contexts.

    All UEs are members. They set out when the trace begins. On streets, a UE drives from place to place some 400 m
    apart; on open ground it walks as in `sumo_mobility.open_ground`.
    """

    name: Literal["sites"] = "sites"
    behaviors: tuple[Behavior, ...] = Field(min_length=1, max_length=1000)
    """Of each site: to the right is east, to the left west; to loiter is to stay about; none has no UEs."""
    places_m: tuple[Point, ...] = Field((), max_length=1000)
    """Where the sites are, in trace coordinates; a preset whose sites are listed fills in those."""
    radius_m: float = Field(150.0, gt=0, le=100_000)
    """How far from its site a UE starts, and loiters, in x and in y."""
    strength: Share = 0.7
    """Probability that a UE keeps to its site's heading, in each second (on streets: each journey); else any."""

    @model_validator(mode="after")
    def _each_site_behaves(self) -> Self:
        if self.places_m and len(self.places_m) != len(self.behaviors):
            raise ValueError(f"behaviors: {len(self.behaviors)} behaviors for {len(self.places_m)} places_m")
        if set(self.behaviors) == {"none"}:
            raise ValueError("behaviors: all are 'none', so no site has UEs")
        return self

    def site_of(self, ue: int, bounds_m: Bounds) -> tuple[Point, Behavior]:
        """Where a UE belongs, and how it behaves.

        Raises:
            ConfigError: a site is off the map, or no place is known.
        """
        if not self.places_m:
            raise ConfigError("context sites: places_m is empty", "state the sites' positions, one for each behavior")
        west, south, east, north = bounds_m
        for index, (x, y) in enumerate(self.places_m):
            if not (west <= x <= east and south <= y <= north):
                raise ConfigError(
                    f"context sites: places_m.{index} = ({x:g}, {y:g}) m is off the map, which reaches from "
                    f"({west:g}, {south:g}) to ({east:g}, {north:g}) m",
                    "move the site onto the map",
                )
        active = [index for index, behavior in enumerate(self.behaviors) if behavior != "none"]
        site = active[ue % len(active)]
        return self.places_m[site], self.behaviors[site]

    def plan(self, ue: int, rank: float, bounds_m: Bounds) -> Plan:
        """As `Uniform.plan`; raises as `site_of`."""
        place, behavior = self.site_of(ue, bounds_m)
        near = fields.Square(place, self.radius_m)

        def goal(journey: int, here_m: Point, chance: float) -> fields.Field:
            if behavior == "loiter":
                return near
            return fields.Ahead(here_m, HEADING_DEG[behavior] if chance < self.strength else None, _LEG_M)

        return Plan(near, goal, sets_out_s=0.0, within_s=5.0, stay_s=(1.0, 6.0))


Context = Annotated[Uniform | Event | Tide | Commute | Corridor | Sites, Field(discriminator="name")]


def _check_map(name: str, info: ValidationInfo) -> str:
    if is_open(name):
        OpenGround.parse(name)
        return name
    return from_folder(name, info) if names_file(check_map_name(name)) else name


class MobilityConfig(Contract):
    """One map, how many UEs are on it, and what they are up to."""

    map: Annotated[str, AfterValidator(_check_map)] = Field(
        "helsinki-centre",
        description="a shipped map, an .osm or .net.xml file, bbox:W,S,E,N, place:NAME or open:WIDTHxHEIGHT",
    )
    """A shipped map's name; the path of an .osm (.gz, .bz2, .pbf) or .net.xml (.gz) file, relative to the preset's;
    bbox: and W,S,E,N in degrees, or place: and a name, downloaded once; or open:WIDTHxHEIGHT in m, without streets.
    With #left or #right behind it, streets are driven on that side, else as they or their country show."""
    ues: int = Field(60, ge=1, le=1000)
    """Constant number of UEs; none appears or vanishes."""
    pedestrian_share: Share = 0.0
    """Share of the UEs that walk along the streets; the others drive."""
    duration_s: float = Field(60.0, ge=2, le=86400, multiple_of=1)
    settle_s: float = Field(120.0, ge=0, le=3600, multiple_of=1)
    """Simulated time before the trace begins: it says how far a crowd or a tide is. On streets 60 s at least, in which
    the UEs set out."""
    train_contexts: tuple[Context, ...] = Field(min_length=1, max_length=1000)
    """Contexts of the traces that data is collected on, taken in turn."""
    test_contexts: tuple[Context, ...] = Field(min_length=1, max_length=1000)
    """Contexts of the traces that policies are judged on, taken in turn."""

    @model_validator(mode="after")
    def _streets_settle(self) -> Self:
        if self.settle_s < 60 and not is_open(self.map):
            raise ValueError(f"settle_s must be 60 s at least on streets, got {self.settle_s:g}")
        return self

    def with_sites(self, places_m: tuple[Point, ...]) -> Self:
        """Returns the same with `places_m` in all contexts of site behaviors that name no places.

        Raises:
            ValueError: such a context has none, or not as many behaviors as there are sites.
        """

        def placed(split: str, index: int, context: Context) -> Context:
            if not isinstance(context, Sites) or context.places_m:
                return context
            if len(places_m) != len(context.behaviors):
                raise ValueError(
                    f"mobility.{split}.{index}: {len(context.behaviors)} behaviors for {len(places_m)} sites; "
                    "list as many (sites.by = listed) or state the context's places_m"
                )
            filled_in = context.model_copy(update={"places_m": places_m})
            filled_in.model_fields_set.discard("places_m")  # it follows from the sites
            return filled_in

        contexts = {
            split: tuple(placed(split, index, context) for index, context in enumerate(getattr(self, split)))
            for split in ("train_contexts", "test_contexts")
        }
        return self.model_copy(update=contexts)
