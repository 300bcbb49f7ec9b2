"""A picture of a scenario's cells: streets, buildings, best server and neighbours as one picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from ns3_scenarios.scenario import Scenario
from py_agent.report.scene import ScaleBar, best_server, cell_colors
from sumo_mobility.base.files import replacing
from sumo_mobility.streets import StreetMap

_INK, _STREET, _BUILDING, _MUTED = "#1c2330", "#c3c8d1", "#e6e3dd", "#5b6472"
_ARROW = 0.045
"""Length of a sector's arrow, as a share of the map's greater side."""


def write_site_plan(path: Path, scenario: Scenario, street_map: StreetMap) -> None:
    """Draws the cells of a scenario on its map.

    Args:
        path: Where the PNG goes.
        scenario: The scenario.
        street_map: Its map; buildings lie below, masts are crosses.

    Raises:
        StorageError: `path` cannot be written; what was there before is whole.
    """
    west, south, east, north = street_map.bounds_m
    features = street_map.features
    width_in = min(7.5, 8.5 * (east - west) / (north - south))
    map_in = width_in * (north - south) / (east - west)
    height_in = map_in + 0.75
    side_m, colors = max(east - west, north - south), cell_colors(scenario)
    with mpl.rc_context({"font.size": 9, "text.color": _INK, "axes.edgecolor": _STREET}), replacing(path) as temporary:
        figure = Figure(figsize=(width_in, height_in), dpi=120)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0.02, 0.28 / height_in, 0.96, map_in / height_in))
        axes.imshow(
            best_server(scenario, street_map.bounds_m), cmap=ListedColormap(colors), vmin=-0.5,
            vmax=len(colors) - 0.5, extent=(west, east, south, north), alpha=0.22, interpolation="nearest", zorder=1,
        )  # fmt: skip
        axes.add_collection(PolyCollection(features.outlines_m, facecolors=_BUILDING, alpha=0.8, zorder=0))
        axes.add_collection(LineCollection(street_map.streets, colors=_STREET, linewidths=0.8, zorder=2))
        places = np.array([(cell.x_m, cell.y_m) for cell in scenario.cells])
        edges = {tuple(sorted((tuple(places[i]), tuple(places[j])))) for i, j in scenario.neighbor_pairs}
        lines = LineCollection(sorted(edges), colors=_MUTED, linewidths=0.7, linestyles=(0, (4, 3)), zorder=3)
        axes.add_collection(lines)
        if len(features.masts_m):
            axes.plot(*features.masts_m.T, "x", color=_INK, markersize=6, linestyle="", zorder=4)
        for index, (cell, color) in enumerate(zip(scenario.cells, colors, strict=True)):
            azimuth = np.radians(cell.azimuth_deg)
            away = _ARROW * side_m * np.array([np.sin(azimuth), np.cos(azimuth)])
            if scenario.radio.antenna.pattern == "sector":
                arrow = {"arrowstyle": "-|>", "color": color, "lw": 2.0, "shrinkA": 0, "shrinkB": 0}
                axes.annotate("", places[index] + away, places[index], arrowprops=arrow, zorder=5)
            else:
                axes.plot(cell.x_m, cell.y_m, "^", color=color, markersize=11, markeredgecolor=_INK, zorder=5)
                away = np.array([0.0, 0.018 * side_m])
            box = {"boxstyle": "round,pad=0.12", "fc": "white", "ec": "none", "alpha": 0.85}
            x_m, y_m = (places[index] + 1.25 * away).tolist()
            axes.text(x_m, y_m, str(index), size=8, ha="center", va="center", bbox=box, zorder=6)
        bar = ScaleBar.fit(street_map.bounds_m)
        x_m, y_m = west + 0.03 * (east - west), south + 0.03 * (north - south)
        axes.plot([x_m, x_m + bar.length_m], [y_m, y_m], color=_INK, linewidth=2, solid_capstyle="butt", zorder=7)
        axes.text(x_m, y_m + 0.012 * (north - south), bar.label, size=7.5, zorder=7)
        axes.set(xlim=(west, east), ylim=(south, north), xticks=[], yticks=[], aspect="equal")
        sites, cells, pairs = len({tuple(place) for place in places}), len(places), len(scenario.neighbor_pairs)
        heading = f"{scenario.id}: {sites} sites, {cells} cells, {pairs} ordered neighbour pairs"
        figure.text(0.02, 1 - 0.08 / height_in, heading, weight="bold", size=9, va="top")
        legend = "colour: strongest cell at 0 dB of CIO; dashes: neighbours"
        legend += "; cross: mast in OpenStreetMap" if len(features.masts_m) else ""
        figure.text(0.02, 1 - 0.27 / height_in, legend, size=7, color=_MUTED, va="top")
        credit = f"Map data {street_map.attribution}, {street_map.licence}"
        figure.text(0.02, 0.07 / height_in, credit, size=6.5, color=_MUTED)
        figure.savefig(temporary, format="png")
