"""Open ground: a rectangle without streets, on which UEs move freely; no SUMO."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from sumo_mobility.base.errors import ConfigError
from sumo_mobility.streets import StreetMap

_PREFIX = "open:"
_FORM = re.compile(r"open:(\d{1,5})x(\d{1,5})")
_SHORTEST_M, _LONGEST_M = 100, 20_000


def is_open(name: str) -> bool:
    """Returns whether a map's name means open ground."""
    return name.startswith(_PREFIX)


@dataclass(frozen=True)
class OpenGround:
    """The rectangle; its south-west corner is the origin.

    Attributes:
        name: What it was parsed from.
        width_m: From west to east.
        height_m: From south to north.
    """

    name: str
    width_m: float
    height_m: float

    @classmethod
    def parse(cls, name: str) -> Self:
        """Reads open:WIDTHxHEIGHT; ValueError if it is not that."""
        match = _FORM.fullmatch(name)
        sides = [float(side) for side in match.groups()] if match else []
        if not sides or not all(_SHORTEST_M <= side <= _LONGEST_M for side in sides):
            raise ValueError(
                f"open ground is open:WIDTHxHEIGHT in whole metres from {_SHORTEST_M} to {_LONGEST_M}, "
                "such as open:1500x500"
            )
        return cls(name, *sides)

    @classmethod
    def find(cls, name: str) -> Self:
        """Returns the open ground of a name; raises ConfigError if it is no such name."""
        try:
            return cls.parse(name)
        except ValueError as error:
            raise ConfigError(f"map '{name}': {error}") from None

    @property
    def title(self) -> str:
        """The title of the map in pictures and reports."""
        return f"open ground of {self.width_m:g} x {self.height_m:g} m"

    @property
    def found_by(self) -> str:
        """The name by which `find_map` finds the map again."""
        return self.name

    @property
    def streets(self) -> StreetMap:
        """A map without streets, every place of which is a way."""
        return StreetMap(
            name=self.name,
            streets=(),
            bounds_m=(0.0, 0.0, self.width_m, self.height_m),
            projection="",
            net_offset_m=(0.0, 0.0),
            licence="CC0-1.0",
            attribution="none (open ground)",
        )
