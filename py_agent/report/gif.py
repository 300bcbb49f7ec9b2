"""The replay as a GIF: two policies side by side, for a README or a slide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import ListedColormap, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from PIL import Image

from ns3_scenarios import mdp
from py_agent.report.data import ReportData
from py_agent.report.replay import started
from py_agent.report.scene import UNSERVED, ScaleBar, best_server, cell_colors
from sumo_mobility.base.files import replacing

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

_DPI = 100
_INK, _STREET, _MUTED = "#1c2330", "#c3c8d1", "#5b6472"
_STYLE: dict[RcKeyType, object] = {
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _STREET,
    "text.parse_math": False,
}


def write_gif(path: Path, data: ReportData, frame_ms: int = 250, width_px: int = 900, colors: int = 64) -> None:
    """Writes the typical episode of the two replayed policies, a frame a control step.

    Args:
        path: Where the GIF goes.
        data: The evaluation.
        frame_ms: Time that each frame stands; the last one stands eight times as long.
        width_px: Width of the picture.
        colors: Size of the palette; fewer make a smaller file.

    Raises:
        StorageError: `path` cannot be written; what was there before is whole.
    """
    with mpl.rc_context(_STYLE):
        frames = _frames(data, width_px)
    middle = Image.fromarray(frames[len(frames) // 2])
    palette = middle.quantize(colors, method=Image.Quantize.MEDIANCUT)
    images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [frame_ms] * (len(images) - 1) + [8 * frame_ms]
    with replacing(path) as temporary:
        images[0].save(
            temporary, format="GIF", save_all=True, append_images=images[1:], duration=durations, loop=0,
            optimize=False, comment=data.attribution.encode("ascii", "replace"),
        )  # fmt: skip


def _frames(data: ReportData, width_px: int) -> list[np.ndarray]:
    """Draws what stands once, then only what moves."""
    west, south, east, north = data.street_map.bounds_m
    width_in = width_px / _DPI
    map_in = (width_in - 0.9) / 2 * (north - south) / (east - west)
    top_in, gap_in, bars_in, bottom_in = 0.75, 0.15, 0.95, 0.6
    height_in = top_in + map_in + gap_in + bars_in + bottom_in
    figure = Figure(figsize=(width_in, height_in), dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        2, 2, height_ratios=(map_in, bars_in), left=0.55 / width_in, right=1 - 0.15 / width_in,
        top=1 - top_in / height_in, bottom=bottom_in / height_in, wspace=0.2 / ((width_in - 0.9) / 2),
        hspace=gap_in / ((map_in + bars_in) / 2),
    )  # fmt: skip
    left = 0.15 / width_in
    figure.text(left, 1 - 0.12 / height_in, data.scenario.id, weight="bold", size=11, va="top")
    figure.text(left, 0.08 / height_in, data.attribution, size=7, color=_MUTED)
    figure.text(
        1 - left, 0.08 / height_in, "dot: UE in its serving cell's colour; ring: changed cell", size=7,
        color=_MUTED, ha="right",
    )  # fmt: skip
    clock = figure.text(1 - left, 1 - 0.12 / height_in, "", size=11, ha="right", va="top", animated=True)
    panels = [
        _Panel(data, policy, figure.add_subplot(grid[0, column]), figure.add_subplot(grid[1, column]), column)
        for column, policy in enumerate(data.replay)
    ]
    canvas.draw()
    background = canvas.copy_from_bbox(figure.bbox)
    frames = []
    for step, time_s in enumerate(data.episode(data.replay[0]).kpis.time_s):
        canvas.restore_region(background)
        clock.set_text(f"t = {time_s:g} s")
        figure.draw_artist(clock)
        for panel in panels:
            panel.draw(step)
        frames.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return frames


class _Panel:
    """The map and the load bars of one policy."""

    def __init__(self, data: ReportData, policy: str, street_map: Axes, bars: Axes, column: int) -> None:
        self._episode = data.episode(policy)
        self._kpis = self._episode.kpis
        self._axes = street_map, bars
        self._colors = to_rgba_array([*cell_colors(data.scenario), UNSERVED])  # index -1: not connected
        self._load_std = mdp.load_std(self._kpis)
        _draw_map(street_map, data)
        name = policy if len(policy) <= 34 else policy[:33] + "…"
        street_map.text(0, 1.02, name, weight="bold", size=10.5, transform=street_map.transAxes)
        self._figures = street_map.text(1, 1.02, "", size=9, ha="right", transform=street_map.transAxes, animated=True)
        ues = self._kpis.ue_position_m.shape[1]
        self._ues: PathCollection = street_map.scatter(
            np.zeros(ues), np.zeros(ues), s=20, linewidths=0.4, edgecolors=_INK, zorder=4, animated=True
        )
        self._rings: PathCollection = street_map.scatter(
            [], [], s=110, facecolors="none", linewidths=1.8, zorder=5, animated=True
        )
        cells = len(data.scenario.cells)
        bars.set(ylim=(0, 1), xlim=(-0.6, cells - 0.4))
        bars.set_xticks(range(cells), [f"cell {cell}" if cells <= 7 else str(cell) for cell in range(cells)])
        bars.set_yticks([0, 0.5, 1])
        bars.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        bars.tick_params(length=0, labelsize=8, colors=_MUTED, labelleft=column == 0)
        bars.grid(visible=True, axis="y", color="#e3e6eb", linewidth=0.7)
        bars.set_axisbelow(True)
        bars.spines[["top", "right", "left"]].set_visible(False)
        if column == 0:
            bars.set_ylabel("PRB load", size=8, color=_MUTED)
        self._bars = bars.bar(range(cells), np.zeros(cells), width=0.7, color=self._colors[:-1], animated=True)
        self._mean = bars.axhline(0, color=_INK, linewidth=1, linestyle=(0, (4, 3)), animated=True)

    def draw(self, step: int) -> None:
        """Draws one step onto the canvas."""
        serving = self._kpis.ue_serving_cell[step]
        moved = serving != self._kpis.ue_serving_cell[max(step - 1, 0)]
        load = self._kpis.prb_utilization[step]
        self._ues.set_offsets(self._kpis.ue_position_m[step])
        self._ues.set_facecolor(self._colors[serving])
        self._rings.set_offsets(self._kpis.ue_position_m[step][moved])
        self._rings.set_edgecolor(self._colors[serving[moved]])
        self._figures.set_text(f"load std {self._load_std[step]:.3f}   handovers {started(self._episode)[step]:.0f}")
        for bar, height in zip(self._bars, load, strict=True):
            bar.set_height(height)
        self._mean.set_ydata([load.mean(), load.mean()])
        street_map, bars = self._axes
        for artist in (self._ues, self._rings, self._figures):
            street_map.draw_artist(artist)
        for artist in (*self._bars, self._mean):
            bars.draw_artist(artist)


def _draw_map(axes: Axes, data: ReportData) -> None:
    west, south, east, north = data.street_map.bounds_m
    colors = cell_colors(data.scenario)
    axes.imshow(
        best_server(data.scenario, data.street_map.bounds_m), cmap=ListedColormap(colors), vmin=-0.5,
        vmax=len(colors) - 0.5, extent=(west, east, south, north), alpha=0.16, interpolation="nearest",
    )  # fmt: skip
    axes.add_collection(LineCollection(data.street_map.streets, colors=_STREET, linewidths=0.8, zorder=2))
    for cell, color in zip(data.scenario.cells, colors, strict=True):
        axes.plot(cell.x_m, cell.y_m, "^", color=color, markersize=11, markeredgecolor=_INK, zorder=3)
    for index, cell in enumerate(data.scenario.cells):
        axes.annotate(
            str(index), (cell.x_m, cell.y_m), (0, 8), textcoords="offset points", ha="center", va="bottom", size=9,
            weight="bold", zorder=3, bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85},
        )  # fmt: skip
    bar = ScaleBar.fit(data.street_map.bounds_m)
    x_m, y_m = west + 0.03 * (east - west), south + 0.04 * (north - south)
    axes.plot([x_m, x_m + bar.length_m], [y_m, y_m], color=_INK, linewidth=2, solid_capstyle="butt", zorder=6)
    axes.text(x_m, y_m + 0.012 * (north - south), bar.label, size=7.5, zorder=6)
    axes.set(xlim=(west, east), ylim=(south, north), xticks=[], yticks=[])
