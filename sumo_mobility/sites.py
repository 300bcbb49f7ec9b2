"""The rules that place base stations:
a hexagonal grid kept near the streets, by k-means, as listed, or as in a file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Discriminator, Field, Tag
from scipy.cluster.vq import kmeans2

from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.contract import Contract, FileName
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.base.seeds import stream
from sumo_mobility.features import MapFeatures
from sumo_mobility.fields import Point
from sumo_mobility.site_files import Site, read_sites
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import MobilityTrace

_PIECE_M = 10.0
"""Length of street for each point of k-means."""
_EVERY_S = 10.0
"""Time between the points of k-means that a UE of a trace gives."""
MOST_SITES = 1000
"""The greatest number of sites, because each UE measures every cell."""


class _Sites(Contract):
    sectors: Literal[1, 3] = 1
    """Cells of a site."""
    first_azimuth_deg: float = Field(0.0, ge=0, lt=360)
    """Azimuth of the first sector, clockwise from north; 0 makes all sectors of a hexagonal grid look between their
    neighbour sites."""

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that hold the sites, or what they follow from."""
        return ()

    def azimuths_deg(self) -> list[float]:
        """Returns the azimuths of a site's cells, at equal angles."""
        return [(self.first_azimuth_deg + 360 * sector / self.sectors) % 360 for sector in range(self.sectors)]


class HexagonalGrid(_Sites):
    """Sites on a hexagonal grid, centred on the map; those off the map or too far from any street are dropped."""

    by: Literal["hexagonal"] = "hexagonal"
    inter_site_distance_m: float = Field(700.0, ge=100, le=5000)
    street_reach: float = Field(0.6, gt=0, le=2)
    """A site is kept if a street lies within this share of the inter-site distance."""
    snap_m: float = Field(0.0, ge=0, le=500)
    """Greatest distance that a site may move to the nearest mast, or else to the nearest building; 0 moves none."""

    def place(self, street_map: StreetMap) -> list[tuple[float, float]]:
        """Returns the sites in trace coordinates, from south to north, west to east in each row."""
        west, south, east, north = street_map.bounds_m
        spacing_m, row_m = self.inter_site_distance_m, self.inter_site_distance_m * math.sqrt(3) / 2
        columns = math.ceil((east - west) / spacing_m) + 1
        rows = math.ceil((north - south) / row_m)
        x_m, y_m = (west + east) / 2, (south + north) / 2
        lattice = (
            self._near_streets(street_map, (x_m, y_m))
            if street_map.streets
            else [(row, column) for row in range(-rows, rows + 1) for column in range(-columns, columns + 1)]
        )
        sites = [
            (round(x_m + (column + (row % 2) / 2) * spacing_m, 2), round(y_m + row * row_m, 2))
            for row, column in lattice
        ]
        sites = [(x, y) for x, y in sites if west <= x <= east and south <= y <= north]
        near = street_map.distance_m(np.array(sites).reshape(-1, 2)) <= self.street_reach * spacing_m
        kept = [site for site, keep in zip(sites, near, strict=True) if keep]
        if len(kept) > MOST_SITES:
            raise ConfigError(
                f"sites.inter_site_distance_m: {spacing_m:g} m make {len(kept)} sites on {street_map.name}, which are "
                f"more than {MOST_SITES}",
                "raise it, or take a smaller map",
            )
        return _snapped(kept, street_map.features, self.snap_m) if self.snap_m else kept

    def _near_streets(self, street_map: StreetMap, centre_m: tuple[float, float]) -> list[tuple[int, int]]:
        """Rows and columns of the grid that can be near enough to a street, in order; the map may be mostly empty."""
        spacing_m, row_m = self.inter_site_distance_m, self.inter_site_distance_m * math.sqrt(3) / 2
        piece_m = spacing_m / 4
        points = np.unique(np.round((street_map.points(piece_m) - centre_m) / piece_m), axis=0) * piece_m
        reach_m = self.street_reach * spacing_m + 2 * piece_m  # half a piece along the street, and the rounding
        row = np.round(points[:, 1] / row_m).astype(np.int64)
        found: set[tuple[int, int]] = set()
        for up in range(-math.ceil(reach_m / row_m) - 1, math.ceil(reach_m / row_m) + 2):
            first = np.floor((points[:, 0] - reach_m) / spacing_m - ((row + up) % 2) / 2).astype(np.int64)
            for right in range(math.ceil(2 * reach_m / spacing_m) + 2):
                found.update(zip((row + up).tolist(), (first + right).tolist(), strict=True))
        return sorted(found)


class KMeansSites(_Sites):
    """Sites in the middle of equal parts of the UEs, by k-means: near to them, and with loads as even as can be."""

    by: Literal["k-means"]
    count: int = Field(ge=2, le=200)
    traces: tuple[FileName, ...] = Field((), max_length=1000)
    """Files (.parquet) of traces, whose UEs are meant. None: UEs that move evenly over the streets."""
    seed: int = Field(0, ge=0, lt=2**63)

    @property
    def files(self) -> tuple[str, ...]:
        """The traces."""
        return self.traces

    def place(self, street_map: StreetMap) -> list[tuple[float, float]]:
        """Returns the sites from south to north.

        Raises:
            ConfigError: the map has too few streets, or the UEs stand on too few spots.
            DataError: a trace cannot be read, or is one of another map.
        """
        points, what = street_map.points(_PIECE_M), f"{street_map.name} has {{}} pieces of street of {_PIECE_M:g} m"
        if self.traces:
            points = np.concatenate([_seen(Path(path), street_map) for path in self.traces])
            what = "the UEs of sites.traces are seen on {} spots"
        if (found := len(np.unique(points, axis=0))) < self.count:
            raise ConfigError(
                f"sites.count: {self.count} sites, but {what.format(found)}", "list the sites, or take a grid"
            )
        centres, _ = kmeans2(points, self.count, minit="++", iter=100, rng=stream(self.seed, "sites"))
        ordered = sorted((round(float(y), 2), round(float(x), 2)) for x, y in centres)
        return [(x, y) for y, x in ordered]


class FileSites(_Sites):
    """Sites of a file: a CSV with the columns x_m and y_m (trace coordinates), or lon and lat; or GeoJSON's points.

    With a column or property `azimuth`, each row is one cell, and `sectors` and `first_azimuth_deg` say nothing.
    `tilt`, `height` and `power_dbm` replace the radio's. OpenCelliD's lists are read too.
    """

    by: Literal["file"]
    path: FileName

    @property
    def files(self) -> tuple[str, ...]:
        """The list of sites."""
        return (self.path,)

    def place(self, street_map: StreetMap) -> list[Site]:
        """Returns the sites on the map in the order of the file; what was left out is said on stderr.

        Raises:
            DataError: the file is missing, damaged, of another kind, or has no site on the map, or too many.
        """
        sites = read_sites(Path(self.path), street_map)
        if len(sites) > MOST_SITES:
            raise DataError(
                f"{self.path}: {len(sites)} sites on {street_map.name} are more than {MOST_SITES}",
                "keep the rows of one operator, or take a smaller map",
            )
        return sites


class ListedSites(_Sites):
    """Sites at given positions."""

    by: Literal["listed"]
    positions_m: tuple[Point, ...] = Field(min_length=1, max_length=MOST_SITES)
    """x (east) and y (north) of each, in trace coordinates."""

    def place(self, street_map: StreetMap) -> list[tuple[float, float]]:
        """Returns the positions.

        Raises:
            ConfigError: one is off the map.
        """
        for index, place_m in enumerate(self.positions_m):
            if not _is_on(street_map, place_m):
                raise ConfigError(
                    f"sites.positions_m.{index}: {_off(place_m, street_map)}",
                    "give metres east and north of the map's south-west corner",
                )
        return list(self.positions_m)


def _seen(path: Path, street_map: StreetMap) -> Floats:
    """(N, 2) where the UEs of a trace are, every _EVERY_S."""
    trace = MobilityTrace.read(path)
    if trace.metadata.map_name != street_map.name:
        raise DataError(
            f"sites.traces: {path} is a trace on {trace.metadata.map_name}, not on {street_map.name}",
            "name traces of the preset's map",
        )
    return trace.position_m[:: max(1, round(_EVERY_S / trace.step_s))].reshape(-1, 2)


def _is_on(street_map: StreetMap, place_m: tuple[float, float]) -> bool:
    west, south, east, north = street_map.bounds_m
    return west <= place_m[0] <= east and south <= place_m[1] <= north


def _off(place_m: tuple[float, float], street_map: StreetMap) -> str:
    west, south, east, north = street_map.bounds_m
    return (
        f"({place_m[0]:g}, {place_m[1]:g}) m is off {street_map.name}, which reaches from ({west:g}, {south:g}) to "
        f"({east:g}, {north:g}) m"
    )


def _snapped(sites_m: list[tuple[float, float]], features: MapFeatures, reach_m: float) -> list[tuple[float, float]]:
    """Moves each site to the nearest mast in reach, or else building, that no site before it has taken."""
    moved: list[tuple[float, float]] = []
    for site in sites_m:
        for places in (features.masts_m, features.centres_m):
            away_m = np.hypot(*(places - site).T)
            near = [
                (round(float(x), 2), round(float(y), 2))
                for x, y in places[np.argsort(away_m, kind="stable")[: np.count_nonzero(away_m <= reach_m)]]
            ]
            free = [place for place in near if place not in moved]
            if free:
                site = free[0]
                break
        moved.append(site)
    return moved


def by(sites: object) -> object:
    """Tells by which rule sites are chosen; errors name this function."""
    return sites.get("by", "hexagonal") if isinstance(sites, dict) else getattr(sites, "by", "hexagonal")


SiteRule = Annotated[
    Annotated[HexagonalGrid, Tag("hexagonal")]
    | Annotated[KMeansSites, Tag("k-means")]
    | Annotated[FileSites, Tag("file")]
    | Annotated[ListedSites, Tag("listed")],
    Discriminator(by),
]
"""The rule by which sites are chosen, a union by `by`; a hexagonal grid is the default."""
