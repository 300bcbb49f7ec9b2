"""The replay as a GIF: policies side by side, or one, for a README or a slide."""

from __future__ import annotations

from dataclasses import dataclass
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
from py_agent.report.scene import PALETTE, UNSERVED, ScaleBar, best_server, cell_colors, cell_marks_m, shortened
from sumo_mobility.base.files import replacing

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

Box = tuple[float, float, float, float]
_DPI, _COLORS = 100, 128
_INK, _STREET, _MUTED = "#1c2330", "#c3c8d1", "#5b6472"
_STYLE: dict[RcKeyType, object] = {
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _STREET,
    "text.parse_math": False,
}


def write_gif(path: Path, data: ReportData, frame_ms: int = 250, width_px: int = 900) -> None:
    """Writes the typical episode of the replayed policies, a frame a control step.

    Args:
        path: Where the GIF goes.
        data: The evaluation.
        frame_ms: Time that each frame stands; the last one stands eight times as long.
        width_px: Width of the picture.

    Raises:
        StorageError: `path` cannot be written; what was there before is whole.
    """
    with replacing(path) as temporary:
        with mpl.rc_context(_STYLE):
            frames = _frames(data, width_px)
        save_frames(temporary, frames, [*cell_colors(data.scenario), UNSERVED, _INK], frame_ms, data.attribution)


def save_frames(path: Path, frames: list[np.ndarray], kept: list[str], frame_ms: int, attribution: str) -> None:
    """Saves frames as a GIF that runs for ever; the last one stands eight times as long.

    Args:
        path: Where it goes.
        frames: (H, W, 3) uint8 each.
        kept: Colours that the palette must hold as they are, however few pixels have them.
        frame_ms: Time that each frame stands.
        attribution: Whose the map is; the file's comment.
    """
    images = _indexed(frames, kept)
    durations = [frame_ms] * (len(images) - 1) + [8 * frame_ms]
    images[0].save(
        path, format="GIF", save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=False,
        transparency=_COLORS, disposal=1, comment=attribution.encode(),
    )  # fmt: skip


def _indexed(frames: list[np.ndarray], kept: list[str]) -> list[Image.Image]:
    """Gives all frames one palette and makes what stands still transparent: a fifth of the size, no loss."""
    exact = (to_rgba_array(kept)[:, :3] * 255).round().astype(np.uint8).ravel().tolist()
    sample = np.concatenate([frames[0], frames[len(frames) // 2], frames[-1]])
    others = Image.fromarray(sample).quantize(_COLORS - len(kept), method=Image.Quantize.MEDIANCUT).getpalette() or []
    table = (exact + others)[: 3 * _COLORS]
    table += exact[:3] * (_COLORS + 1 - len(table) // 3)
    palette = Image.new("P", (1, 1))
    palette.putpalette(table[:-3])
    images: list[Image.Image] = []
    before = None
    for frame in frames:
        index = np.asarray(Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE))
        changed = index if before is None else np.where(index == before, np.uint8(_COLORS), index)
        image = Image.frombytes("P", (index.shape[1], index.shape[0]), changed.tobytes())
        image.putpalette(table)
        images.append(image)
        before = index
    return images


def _frames(data: ReportData, width_px: int) -> list[np.ndarray]:
    """Draws what stands once, then only what moves."""
    west, south, east, north = data.street_map.bounds_m
    width_in = width_px / _DPI
    layouts, height_in = _layout(width_in, (north - south) / (east - west), len(data.replay))
    figure = Figure(figsize=(width_in, height_in), dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    left, right, top, bottom = 0.15 / width_in, 1 - 0.15 / width_in, 1 - 0.12 / height_in, 0.08 / height_in
    figure.text(left, top, data.scenario.id, weight="bold", size=11, va="top")
    trace, seed = data.typical
    difference = "difference in " if data.replay[1:] else ""
    what = f"played in {data.judged_in}; trace {trace}, seed {seed}: the median {difference}load std"
    figure.text(left, top - 0.22 / height_in, what, size=8, color=_MUTED, va="top")
    figure.text(left, bottom, data.attribution, size=7, color=_MUTED)
    legend = "triangle: site; dot: UE in its serving cell's colour; ring: changed cell; dashes: mean load"
    figure.text(right, bottom, legend, size=7, color=_MUTED, ha="right")
    clock = figure.text(right, top, "", size=11, ha="right", va="top", animated=True)
    panels = [_Panel(figure, data, policy, layout) for policy, layout in zip(data.replay, layouts, strict=True)]
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


@dataclass(frozen=True)
class _Layout:
    """The layout of a panel: (left, bottom, width, height) of its parts as shares of the figure."""

    map: Box
    bars: Box
    title_y: float


def _layout(width_in: float, aspect: float, panels: int) -> tuple[list[_Layout], float]:
    """Puts the bars below a wide map and beside a tall one; returns the panels and the figure's height in inches."""
    margin, ticks, gap, top, bottom = 0.15, 0.4, 0.3, 0.88, 0.55
    panel_in = (width_in - 2 * margin - (panels - 1) * gap) / panels
    tall = aspect > 1
    map_in = panel_in - ticks - (1.1 if tall else 0)
    bars_in = map_in * aspect if tall else 0.95
    height_in = top + map_in * aspect + bottom + (0 if tall else bars_in + 0.15)
    layouts = []
    for left in [margin + index * (panel_in + gap) for index in range(panels)]:
        map_left = left if tall else left + ticks
        bars_left, bars_width = (left + map_in + ticks + 0.05, 1.05) if tall else (map_left, map_in)
        boxes = (
            (map_left, height_in - top - map_in * aspect, map_in, map_in * aspect),
            (bars_left, bottom, bars_width, bars_in),
        )
        shares = [(x / width_in, y / height_in, w / width_in, h / height_in) for x, y, w, h in boxes]
        layouts.append(_Layout(shares[0], shares[1], 1 - (top - 0.1) / height_in))
    return layouts, height_in


class _Panel:
    """The map and the load bars of one policy."""

    def __init__(self, figure: Figure, data: ReportData, policy: str, layout: _Layout) -> None:
        episode = data.episode(policy)
        self._figure = figure
        self._kpis = episode.kpis
        self._started = started(episode)
        self._load_std = mdp.load_std(self._kpis)
        self._colors = to_rgba_array([*cell_colors(data.scenario), UNSERVED])  # index -1: not connected
        street_map, bars = self._axes = figure.add_axes(layout.map), figure.add_axes(layout.bars)
        _draw_map(street_map, data)
        label_size = 9 if len(data.scenario.cells) <= len(PALETTE) else 7
        self._labels = [
            street_map.annotate(
                str(index), (x, y), (0, 8), textcoords="offset points", ha="center", va="bottom", size=label_size,
                weight="bold", animated=True, bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none"},
            )
            for index, (x, y) in enumerate(cell_marks_m(data.scenario, data.street_map.bounds_m).tolist())
        ]  # fmt: skip
        figure.text(layout.map[0], layout.title_y, shortened(policy), weight="bold", size=10)
        right = layout.bars[0] + layout.bars[2]
        self._figures = figure.text(right, layout.title_y, "", size=8.5, ha="right", animated=True)
        ues = self._kpis.ue_position_m.shape[1]
        self._ues: PathCollection = street_map.scatter(
            np.zeros(ues), np.zeros(ues), s=20, linewidths=0.4, edgecolors=_INK, zorder=4, animated=True
        )
        self._rings: PathCollection = street_map.scatter(
            [], [], s=110, facecolors="none", linewidths=1.8, zorder=5, animated=True
        )
        cells = len(data.scenario.cells)
        room = max(1, int(layout.bars[2] * figure.get_figwidth() / 0.14))  # labels beside each other
        numbered = range(0, cells, -(-cells // room))
        bars.set(ylim=(0, 1), xlim=(-0.6, cells - 0.4), xticks=numbered, yticks=[0, 0.25, 0.5, 0.75, 1])
        bars.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        bars.tick_params(length=0, labelsize=8, colors=_MUTED)
        bars.set_xlabel("PRB load by cell", size=8, color=_MUTED, labelpad=2)
        bars.grid(visible=True, axis="y", color="#e3e6eb", linewidth=0.7)
        bars.set_axisbelow(True)
        bars.spines[["top", "right", "left"]].set_visible(False)
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
        self._figures.set_text(f"load std {self._load_std[step]:.3f}   handovers {self._started[step]:.0f}")
        for bar, height in zip(self._bars, load, strict=True):
            bar.set_height(height)
        self._mean.set_ydata([load.mean(), load.mean()])
        street_map, bars = self._axes
        self._figure.draw_artist(self._figures)
        for artist in (self._ues, *self._labels, self._rings):
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
    for (x, y), color in zip(cell_marks_m(data.scenario, data.street_map.bounds_m).tolist(), colors, strict=True):
        axes.plot(x, y, "^", color=color, markersize=11, markeredgecolor=_INK, zorder=3)
    bar = ScaleBar.fit(data.street_map.bounds_m)
    x_m, y_m = west + 0.03 * (east - west), south + 0.04 * (north - south)
    axes.plot([x_m, x_m + bar.length_m], [y_m, y_m], color=_INK, linewidth=2, solid_capstyle="butt", zorder=6)
    axes.text(x_m, y_m + 0.012 * (north - south), bar.label, size=7.5, zorder=6)
    axes.set(xlim=(west, east), ylim=(south, north), xticks=[], yticks=[])
