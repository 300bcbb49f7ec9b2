"""Global mobility contexts: where the UEs of a map want to go and when, as named, parameterised plans.

A context draws a share of the UEs, its *members*, and gives them their own starts and destinations; all others move
evenly over the map, in the same way in every context of the same seed. Any map takes any context: what a context
draws are places, be they streets or open ground.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sumo_mobility import fields
from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.base.kinds import Kinds
from sumo_mobility.fields import Point

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
        sets_out_s: When it sets out, in s of a trace whose phase is 0, or up to a minute later; None: when the
            simulation begins.
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


@dataclass(frozen=True)
class Roaming:
    """How a UE walks over open ground if it has no destination: along a heading for ever, or about a place.

    Attributes:
        place_m: The place that the UE starts near, and stays about if it has no heading.
        heading_deg: The heading, clockwise from north; None: the UE goes back to the place when it has strayed.
        radius_m: How far from the place the UE starts and strays at most, in x and in y.
        strength: Probability that the UE follows its heading, in each second; else it goes anywhere.
    """

    place_m: Point
    heading_deg: float | None
    radius_m: float
    strength: float


class Context(Contract):
    """The base of all contexts, which tells each UE of a map what to do.

    A subclass has its parameters as fields, each with a default, and a field `name` whose default is its name:
    `name: Literal["my-context"] = "my-context"`. `CONTEXTS.register` makes it known to presets and commands.
    """

    if TYPE_CHECKING:  # each has its own, after its base's parameters
        name: str

    def plan(self, ue: int, rank: float, bounds_m: Bounds) -> Plan:
        """Returns what a UE is up to; here, to go from place to place all over the map.

        Args:
            ue: Number of the UE.
            rank: A random number from 0 to 1, the UE's own: a context that draws half of the UEs draws those below 0.5.
            bounds_m: Bounds of the map.

        Raises:
            ConfigError: the context does not fit the map.
        """
        return Plan()

    def roaming(self, ue: int, bounds_m: Bounds) -> Roaming | None:
        """Returns how a UE walks over open ground if not by its plan; None, which all UEs have alike: by its plan.

        Args:
            ue: Number of the UE.
            bounds_m: Bounds of the ground.

        Raises:
            ConfigError: the context does not fit the ground.
        """
        return None

    def later(self, by_s: float) -> Self:
        """Returns the context with all that sets in at a time of its own setting in some time later."""
        return self

    def at_sites(self, places_m: tuple[Point, ...]) -> Self:
        """Returns the context with what it leaves to the positions of the scenario's sites filled in.

        Args:
            places_m: Positions of the sites if the scenario lists them, else empty.

        Raises:
            ValueError: the context needs other sites.
        """
        return self


CONTEXTS: Kinds[Context] = Kinds("context", Context)
"""All contexts by name."""


class Uniform(Context):
    """Destinations are spread evenly over the map."""

    name: Literal["uniform"] = "uniform"


class _Located(Context):
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
    """When they set out, in s of a trace whose phase is 0 (`mobility.phase_s`), or up to a minute later; they are
    parked until then. None: as soon as the simulation begins, if they come in; with that trace, if they leave."""
    stay_s: tuple[Duration, Duration] = (5.0, 20.0)
    """Shortest and longest time that those who came stay parked at a time; they cruise around the place between. A
    crowd of more than some 100 cars in one quarter jams it, unless it stays long."""

    @model_validator(mode="after")
    def _stay_is_a_range(self) -> Self:
        if self.stay_s[0] > self.stay_s[1]:
            raise ValueError(f"stay_s: the shortest, {self.stay_s[0]:g} s, is longer than the longest")
        return self

    def plan(self, ue: int, rank: float, bounds_m: Bounds) -> Plan:
        if rank >= self.attraction:
            return Plan()
        crowd = fields.Bell(self.place_m(bounds_m), self.radius_m)
        if self.direction == "in":
            return Plan(goal=_always(crowd), sets_out_s=self.at_s, stay_s=self.stay_s)
        return Plan(start=crowd, sets_out_s=self.at_s or 0.0)

    def later(self, by_s: float) -> Self:
        """See `Context.later`; who comes in as soon as the simulation begins still does."""
        if self.at_s is None and self.direction == "in":
            return self
        return self.model_copy(update={"at_s": (self.at_s or 0.0) + by_s})


class Tide(Context):
    """Many UEs start on one side of the map and drive to the other."""

    name: Literal["tide"] = "tide"
    heading_deg: float = Field(0.0, ge=0, lt=360)
    """Direction of the flow, clockwise from north."""
    strength: Share = 0.7
    """Share of the UEs that follow the tide."""

    def plan(self, ue: int, rank: float, bounds_m: Bounds) -> Plan:
        if rank >= self.strength:
            return Plan()
        return Plan(fields.Slope(self.heading_deg + 180), _always(fields.Slope(self.heading_deg)))


class _Commute(_Located):
    name: str  # before the parameters, in both
    _inward: ClassVar[bool]
    radius_m: float = Field(200.0, gt=0, le=100_000)
    """Scale of the centre: the density of places of work falls with exp(-(distance / radius_m)^2); that of homes rises
    on twice that scale."""
    strength: Share = 0.7
    """Share of the UEs that follow the tide."""

    def plan(self, ue: int, rank: float, bounds_m: Bounds) -> Plan:
        if rank >= self.strength:
            return Plan()
        place = self.place_m(bounds_m)
        work, home = fields.Bell(place, self.radius_m), fields.Around(place, 2 * self.radius_m)
        return Plan(home, _always(work)) if self._inward else Plan(work, _always(home))


class Morning(_Commute):
    """The tide of the morning, from all over the map into a centre."""

    name: Literal["morning"] = "morning"
    _inward: ClassVar = True


class Evening(_Commute):
    """The tide of the evening, from a centre to all over the map."""

    name: Literal["evening"] = "evening"
    _inward: ClassVar = False


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
        if rank >= self.strength:
            return Plan()
        band = fields.Band(self.place_m(bounds_m), self.heading_deg, self.width_m)
        ends = [fields.Product(band, fields.Slope(self.heading_deg + turn)) for turn in (0, 180)]

        def goal(journey: int, here_m: Point, chance: float) -> fields.Field:
            return ends[(ue + journey) % 2 if self.both_ways else 0]

        return Plan(band, goal)


Behavior = Literal["right", "left", "loiter", "none"]
_HEADING_DEG = {"right": 90.0, "left": 270.0}
_LEG_M = 400.0


class Sites(Context):
    """UEs start near the sites, in equal numbers, and those of a site behave alike: the reference's contexts.

    All UEs are members. They set out when a trace of phase 0 begins. On streets, a UE drives from place to place some
    400 m apart; on open ground it walks as in `sumo_mobility.open_ground`.
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
        place, behavior = self.site_of(ue, bounds_m)
        near = fields.Square(place, self.radius_m)

        def goal(journey: int, here_m: Point, chance: float) -> fields.Field:
            if behavior == "loiter":
                return near
            return fields.Ahead(here_m, _HEADING_DEG[behavior] if chance < self.strength else None, _LEG_M)

        return Plan(near, goal, sets_out_s=0.0, within_s=5.0, stay_s=(1.0, 6.0))

    def roaming(self, ue: int, bounds_m: Bounds) -> Roaming:
        place, behavior = self.site_of(ue, bounds_m)
        return Roaming(place, _HEADING_DEG.get(behavior), self.radius_m, self.strength)

    def at_sites(self, places_m: tuple[Point, ...]) -> Self:
        if self.places_m:
            return self
        if len(places_m) != len(self.behaviors):
            raise ValueError(
                f"{len(self.behaviors)} behaviors for {len(places_m)} sites; list as many (sites.by = listed) or state "
                "the context's places_m"
            )
        filled_in = self.model_copy(update={"places_m": places_m})
        filled_in.model_fields_set.discard("places_m")  # it follows from the sites
        return filled_in


for _context in (Uniform, Event, Tide, Morning, Evening, Corridor, Sites):
    CONTEXTS.register(_context)
