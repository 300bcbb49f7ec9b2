"""Shadowing as a map: made once from the scenario, read by ns-3 and by the engine, so that both see the same dB."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2

from ns3_scenarios.radio import LteRadio, Shadowing, Uma, Umi
from ns3_scenarios.scenario import Scenario
from ns3_scenarios.urban import obstruction_db, sees
from sumo_mobility.base.arrays import Floats, Singles
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.base.files import replacing
from sumo_mobility.base.seeds import stream
from sumo_mobility.pipeline import load_map

_LARGEST = 20_000_000
"""Values of a map, 80 MB."""
_REACH = 8
"""Decorrelation distances after which the periodic field may repeat itself: e^-8 of correlation is left."""


@dataclass(frozen=True, eq=False)
class ShadowingMap:
    """Loss in addition to the path loss, at the points of a grid; bilinear in between, clamped outside.

    Attributes:
        loss_db: (S, rows, columns) by site, from south to north and west to east.
        west_m: x of the first column.
        south_m: y of the first row.
        grid_m: Distance of the points.
    """

    loss_db: Singles
    west_m: float
    south_m: float
    grid_m: float

    def write(self, path: Path) -> None:
        """Writes the file that mlb-lte reads: a line of text, then loss_db as little-endian float32.

        Raises:
            StorageError: it cannot be written.
        """
        sites, rows, columns = self.loss_db.shape
        header = f"mlb-shadowing 1 {sites} {rows} {columns} {self.west_m!r} {self.south_m!r} {self.grid_m!r}\n"
        with replacing(path) as temporary:
            temporary.write_bytes(header.encode() + self.loss_db.astype("<f4").tobytes())


def sites_of(scenario: Scenario) -> list[int]:
    """Returns the site of each cell; sites are counted as they first occur."""
    known: dict[tuple[float, float], int] = {}
    return [known.setdefault((cell.x_m, cell.y_m), len(known)) for cell in scenario.cells]


def shadowing_map(scenario: Scenario) -> ShadowingMap | None:
    """Returns the map of a scenario; the same scenario gives the same bytes. None if it has no shadowing.

    Raises:
        ConfigError: the map would be too large, or has to show buildings of which nothing is known.
        DataError: the file with the buildings is damaged.
    """
    shadowing = scenario.radio.shadowing
    if shadowing is None:
        return None
    heights = {(cell.x_m, cell.y_m): cell.height_m for cell in reversed(scenario.cells)}
    sites = dict.fromkeys((cell.x_m, cell.y_m) for cell in scenario.cells)
    made = _make(shadowing, tuple(sites))
    if not shadowing.buildings:
        return made
    return _with_buildings(made, scenario.radio, tuple((*site, heights[site]) for site in sites), scenario.mobility.map)


@lru_cache(maxsize=4)
def _with_buildings(
    made: ShadowingMap, radio: LteRadio, sites_m: tuple[tuple[float, float, float], ...], map_name: str
) -> ShadowingMap:
    """Adds what buildings cost at the points from which a site (x, y, height) cannot be seen."""
    loss = radio.path_loss
    features = load_map(map_name).features
    if not features.outlines_m:
        raise ConfigError(
            f"radio.shadowing.buildings: the map '{map_name}' has no buildings", "take a map of OpenStreetMap's"
        )
    assert isinstance(loss, Uma | Umi)
    loss_db = made.loss_db.copy()
    for index, (x_m, y_m, height_m) in enumerate(sites_m):
        rows, columns = loss_db.shape[1:]
        point_m = np.stack(
            np.meshgrid(
                made.west_m + made.grid_m * np.arange(columns), made.south_m + made.grid_m * np.arange(rows)
            ),
            axis=-1,
        )  # fmt: skip
        flat_m = np.hypot(point_m[..., 0] - x_m, point_m[..., 1] - y_m)
        seen = sees(features, (x_m, y_m), height_m, point_m, radio.ue_height_m)
        loss_db[index] += np.where(seen, 0, obstruction_db(loss, radio, height_m, flat_m)).astype(np.float32)
    return ShadowingMap(loss_db, made.west_m, made.south_m, made.grid_m)


@lru_cache(maxsize=8)
def _make(shadowing: Shadowing, sites_m: tuple[tuple[float, float], ...]) -> ShadowingMap:
    """Gaussian fields with an exponential autocorrelation; what sites have in common is one more field."""
    (west, south), (east, north) = np.min(sites_m, axis=0), np.max(sites_m, axis=0)
    margin_m, grid_m = shadowing.margin_m, shadowing.grid_m
    columns = math.ceil((east - west + 2 * margin_m) / grid_m) + 1
    rows = math.ceil((north - south + 2 * margin_m) / grid_m) + 1
    if len(sites_m) * rows * columns > _LARGEST:
        raise ConfigError(
            f"radio.shadowing: {len(sites_m)} sites with {rows} x {columns} points are more than {_LARGEST}",
            f"raise radio.shadowing.grid_m = {grid_m:g} or lower radio.shadowing.margin_m = {margin_m:g}",
        )
    common = _field(shadowing, rows, columns, "common")
    own = [_field(shadowing, rows, columns, site) for site in range(len(sites_m))]
    share = shadowing.site_correlation
    loss_db = shadowing.std_db * (math.sqrt(share) * common + math.sqrt(1 - share) * np.stack(own))
    return ShadowingMap(loss_db.astype(np.float32), float(west - margin_m), float(south - margin_m), grid_m)


def _field(shadowing: Shadowing, rows: int, columns: int, component: str | int) -> Floats:
    """Returns a field of variance 1 by circulant embedding (Dietrich and Newsam, SIAM J. Sci. Comput. 18(4), 1997)."""
    reach = math.ceil(_REACH * shadowing.decorrelation_m / shadowing.grid_m)
    size = tuple(next_fast_len(points + reach, real=True) for points in (rows, columns))
    north, east = (np.minimum(np.arange(n), n - np.arange(n)) * shadowing.grid_m for n in size)
    correlation = np.exp(-np.hypot(north[:, None], east) / shadowing.decorrelation_m)
    # The embedding is not quite positive definite: what is cut off is spread over the rest by the last line.
    spectrum = rfft2(correlation).real.clip(min=0)
    white = stream(shadowing.seed, "shadowing", component).standard_normal(size)
    field = irfft2(rfft2(white) * np.sqrt(spectrum), s=size)
    variance = irfft2(spectrum.astype(complex), s=size)[0, 0]
    return np.asarray(field[:rows, :columns] / math.sqrt(variance))
