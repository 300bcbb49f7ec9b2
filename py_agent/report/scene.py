"""Parts that the pictures of a scenario share: the cells' colours, the streets as one path, the best-server map."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from cf_augment.physics.radio.rsrp import Radio
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats

PALETTE = ("#2878c8", "#f0a000", "#7800f0", "#a0c878", "#c80000", "#00c8f0", "#785050", "#c8a0a0")
"""Any two differ by 27 (CIE76) or more, with normal, deutan, protan and tritan vision (Machado et al. 2009)."""
PALETTE_DARK = ("#498bdf", "#ffa620", "#9146ff", "#b4ed8d", "#ee4a3c", "#3cdcff", "#9e6e79", "#e2c0b8")
"""Colours of the cells on a dark page, with which all have a contrast of 3.8 or more."""
UNSERVED = "#8a8f98"

Bounds = tuple[float, float, float, float]
"""West, south, east, north in metres."""


def cell_colors(scenario: Scenario) -> list[str]:
    """Returns one colour a cell; beyond eight cells, the one whose nearest user is farthest away."""
    sites = np.array([(cell.x_m, cell.y_m) for cell in scenario.cells])
    chosen: list[int] = list(range(min(len(sites), len(PALETTE))))
    for cell in range(len(chosen), len(sites)):
        distance_m = np.hypot(*(sites[:cell] - sites[cell]).T)
        nearest_m = [distance_m[np.equal(chosen, color)].min() for color in range(len(PALETTE))]
        chosen.append(int(np.argmax(nearest_m)))
    return [PALETTE[color] for color in chosen]


def cell_marks_m(scenario: Scenario, bounds_m: Bounds) -> Floats:
    """Returns the mark of each cell, (C, 2): its site, moved a little to where its sector looks, so that all are seen.

    Args:
        scenario: The scenario.
        bounds_m: Bounds of the map; the step is a share of its height.
    """
    marks_m = np.array([(cell.x_m, cell.y_m) for cell in scenario.cells])
    if scenario.radio.antenna.pattern == "sector":
        azimuth_rad = np.radians([cell.azimuth_deg for cell in scenario.cells])
        marks_m += 0.045 * (bounds_m[3] - bounds_m[1]) * np.column_stack([np.sin(azimuth_rad), np.cos(azimuth_rad)])
    return marks_m


class LineStyle(NamedTuple):
    """The style of a line of a chart; `css` has its dashes for the page's legend."""

    color: str
    dashes: str
    css: str


def line_styles(names: Sequence[str]) -> dict[str, LineStyle]:
    """A colour each; beyond eight, the same ones dashed and dotted."""
    kinds = (("-", "solid"), ("--", "dashed"), (":", "dotted"))
    return {
        name: LineStyle(PALETTE[index % len(PALETTE)], *kinds[index // len(PALETTE) % len(kinds)])
        for index, name in enumerate(names)
    }


def ink(color: str) -> str:
    """The CSS variable of a colour of PALETTE, so that it follows light and dark; other colours as they are."""
    return f"var(--c{PALETTE.index(color)})" if color in PALETTE else color


def shortened(name: str) -> str:
    """Cuts a policy's name to what fits beside a picture."""
    return name if len(name) <= 20 else name[:19] + "…"


def best_server(scenario: Scenario, bounds_m: Bounds, columns: int = 420) -> NDArray[np.uint8]:
    """Returns the strongest cell with all CIO at 0 dB, as (rows, columns) from the north-west corner."""
    west, south, east, north = bounds_m
    rows = max(1, round(columns * (north - south) / (east - west)))
    x, y = np.meshgrid(
        west + (np.arange(columns) + 0.5) * (east - west) / columns,
        north - (np.arange(rows) + 0.5) * (north - south) / rows,
    )
    radio = Radio(scenario, torch.device("cpu"))
    position_m = torch.from_numpy(np.column_stack([x.ravel(), y.ravel()]))
    strongest = radio.rsrp_dbm(radio.local(position_m)).argmax(dim=0)
    return strongest.reshape(rows, columns).numpy().astype(np.uint8)


def best_server_png(scenario: Scenario, bounds_m: Bounds) -> str:
    """Returns best_server as a data: URI of a PNG in the cells' colours."""
    image = Image.fromarray(best_server(scenario, bounds_m)).convert("P")
    image.putpalette([int(color[i : i + 2], 16) for color in cell_colors(scenario) for i in (1, 3, 5)])
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


@dataclass(frozen=True)
class ScaleBar:
    """A round length that fills about a fifth of the map's width."""

    length_m: float
    share: float

    @classmethod
    def fit(cls, bounds_m: Bounds) -> ScaleBar:
        """Chooses 1, 2 or 5 times a power of ten."""
        width_m = bounds_m[2] - bounds_m[0]
        decade = 10.0 ** np.floor(np.log10(width_m / 4))
        length_m = max(step * decade for step in (1, 2, 5) if step * decade <= width_m / 4)
        return cls(float(length_m), float(length_m / width_m))

    @property
    def label(self) -> str:
        """The label, for example "500 m" or "2 km"."""
        return f"{self.length_m / 1000:g} km" if self.length_m >= 1000 else f"{self.length_m:g} m"


def street_path(streets: Sequence[Floats], bounds_m: Bounds) -> str:
    """Returns all streets as one SVG path, in metres from the north-west corner, y down."""
    west, _, _, north = bounds_m
    parts = []
    for street in streets:
        points = np.round(np.column_stack([street[:, 0] - west, north - street[:, 1]])).astype(np.int64)
        parts.append("M" + "L".join(f"{x} {y}" for x, y in points.tolist()))
    return "".join(parts)
