"""Where base stations stand: a hexagonal grid kept near the streets, or positions as listed."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.streets import StreetMap


class _Sites(Contract):
    sectors: Literal[1, 3] = 1
    """Cells of a site."""
    first_azimuth_deg: float = Field(0.0, ge=0, lt=360)
    """Where the first sector looks, clockwise from north; 0 makes all sectors of a hexagonal grid look between their
    neighbour sites."""

    def azimuths_deg(self) -> list[float]:
        """Returns the azimuths of a site's cells, at equal angles."""
        return [(self.first_azimuth_deg + 360 * sector / self.sectors) % 360 for sector in range(self.sectors)]


class HexagonalGrid(_Sites):
    """Sites on a hexagonal grid, centred on the map; those off the map or too far from any street are dropped."""

    by: Literal["hexagonal"] = "hexagonal"
    inter_site_distance_m: float = Field(700.0, ge=100, le=5000)
    street_reach: float = Field(0.6, gt=0, le=2)
    """A site is kept if a street lies within this share of the inter-site distance."""

    def place(self, street_map: StreetMap) -> list[tuple[float, float]]:
        """Returns the sites in trace coordinates, from south to north, west to east in each row."""
        west, south, east, north = street_map.bounds_m
        spacing_m, row_m = self.inter_site_distance_m, self.inter_site_distance_m * math.sqrt(3) / 2
        columns = math.ceil((east - west) / spacing_m) + 1
        rows = math.ceil((north - south) / row_m)
        x_m, y_m = (west + east) / 2, (south + north) / 2
        sites = [
            (round(x_m + (column + (row % 2) / 2) * spacing_m, 2), round(y_m + row * row_m, 2))
            for row in range(-rows, rows + 1)
            for column in range(-columns, columns + 1)
        ]
        sites = [(x, y) for x, y in sites if west <= x <= east and south <= y <= north]
        near = street_map.distance_m(np.array(sites).reshape(-1, 2)) <= self.street_reach * spacing_m
        return [site for site, keep in zip(sites, near, strict=True) if keep]


class ListedSites(_Sites):
    """Sites at given positions."""

    by: Literal["listed"]
    positions_m: tuple[tuple[float, float], ...] = Field(min_length=1)
    """x (east) and y (north) of each, in trace coordinates."""

    def place(self, street_map: StreetMap) -> list[tuple[float, float]]:
        """Returns the positions.

        Raises:
            ConfigError: one is off the map.
        """
        west, south, east, north = street_map.bounds_m
        for index, (x, y) in enumerate(self.positions_m):
            if not (west <= x <= east and south <= y <= north):
                raise ConfigError(
                    f"sites.positions_m.{index}: ({x:g}, {y:g}) m is off {street_map.name}, which reaches from "
                    f"({west:g}, {south:g}) to ({east:g}, {north:g}) m",
                    "give metres east and north of the map's south-west corner",
                )
        return list(self.positions_m)


def _grid_unless_said(sites: object) -> object:
    return {"by": "hexagonal"} | sites if isinstance(sites, dict) else sites


SiteRule = Annotated[HexagonalGrid | ListedSites, Field(discriminator="by"), BeforeValidator(_grid_unless_said)]
"""How sites are chosen; a grid unless `by` says otherwise."""
