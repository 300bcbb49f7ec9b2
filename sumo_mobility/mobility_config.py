"""The mobility of a scenario: one map, how many UEs are on it, and what they are up to."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from sumo_mobility.base.contract import Contract, from_folder
from sumo_mobility.base.seeds import stream
from sumo_mobility.contexts import CONTEXTS, Context, Share
from sumo_mobility.fields import Point
from sumo_mobility.maps import check_map_name, names_file
from sumo_mobility.open_ground import OpenGround, is_open


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
    phase_s: float = Field(0.0, ge=0, le=3600, multiple_of=1, exclude_if=lambda phase_s: phase_s == 0)
    """The trace begins up to so much later, by whole seconds that its seed draws: when an event sets in cannot be read
    from the clock of the trace then, and no schedule of actions fits all traces of a context."""
    train_contexts: tuple[Annotated[Context, CONTEXTS], ...] = Field(min_length=1, max_length=1000)
    """Contexts of the traces that data is collected on, taken in turn."""
    test_contexts: tuple[Annotated[Context, CONTEXTS], ...] = Field(min_length=1, max_length=1000)
    """Contexts of the traces that policies are judged on, taken in turn."""

    @model_validator(mode="after")
    def _streets_settle(self) -> Self:
        if self.settle_s < 60 and not is_open(self.map):
            raise ValueError(f"settle_s must be 60 s at least on streets, got {self.settle_s:g}")
        return self

    def begin_s(self, seed: int) -> int:
        """Returns when the trace of a seed begins, in s of simulated time: after settle_s and its own phase."""
        return int(self.settle_s) + int(stream(seed, "phase").integers(int(self.phase_s) + 1))

    def with_sites(self, places_m: tuple[Point, ...]) -> Self:
        """Returns the same with what contexts leave to the positions of the sites filled in.

        Args:
            places_m: Positions of the sites if the scenario lists them, else empty.

        Raises:
            ValueError: a context needs other sites.
        """

        def placed(split: str, index: int, context: Context) -> Context:
            try:
                return context.at_sites(places_m)
            except ValueError as error:
                raise ValueError(f"mobility.{split}.{index}: {error}") from None

        contexts = {
            split: tuple(placed(split, index, context) for index, context in enumerate(getattr(self, split)))
            for split in ("train_contexts", "test_contexts")
        }
        return self.model_copy(update=contexts)
