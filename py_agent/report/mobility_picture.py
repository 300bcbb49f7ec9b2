"""Pictures of a trace: its map, density, speeds and population, and an animation."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm, Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from py_agent.report.gif import save_frames
from py_agent.report.scene import PALETTE, ScaleBar, shortened
from sumo_mobility.base.arrays import Floats, Ints
from sumo_mobility.base.files import replacing
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import STANDING_MPS, MobilityTrace

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

_INK, _STREET, _MUTED, _UE = "#1c2330", "#c3c8d1", "#5b6472", "#2878c8"
_STYLE: dict[RcKeyType, object] = {
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _STREET,
    "axes.labelcolor": _MUTED,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,
}
_SPEEDS = "viridis"
_FASTEST_MPS = 15.0
"""The greatest speed of the colours; faster UEs have the last one."""
_TAIL = 4
"""Steps of the line behind each UE."""
_WIDTH_IN, _GAP_IN, _TALLEST_IN = 6.4, 0.15, 5.5
"""Sizes of a picture, which is narrow enough for a phone."""


def write_picture(path: Path, trace: MobilityTrace, street_map: StreetMap, sites_m: list[tuple[float, float]]) -> None:
    """Draws tracks, density, speeds, and how the population spreads over the sites in time.

    Args:
        path: Where the PNG goes.
        trace: The trace.
        street_map: Its map.
        sites_m: Sites in trace coordinates, if any; a UE counts as of the nearest one.

    Raises:
        StorageError: `path` cannot be written; what was there before is whole.
    """
    west, south, east, north = street_map.bounds_m
    aspect = (north - south) / (east - west)
    across, down = (1, 2) if aspect < 0.6 else (2, 1)  # wide maps one above the other, else side by side
    room_in = (_WIDTH_IN - (across + 1) * _GAP_IN) / across
    map_in = min(room_in, _TALLEST_IN / aspect)
    tall_in, below_in = map_in * aspect, 0.45
    charts_in = 0.8 + 1.75 + 0.35  # credit and labels, chart, title
    height_in = 0.62 + down * (tall_in + 0.25 + below_in) + charts_in
    with mpl.rc_context(_STYLE), replacing(path) as temporary:
        figure = Figure(figsize=(_WIDTH_IN, height_in), dpi=150)
        FigureCanvasAgg(figure)

        def axes_at(left_in: float, bottom_in: float, wide_in: float, high_in: float) -> Axes:
            shares = left_in / _WIDTH_IN, bottom_in / height_in, wide_in / _WIDTH_IN, high_in / height_in
            return figure.add_axes(shares)

        left = _GAP_IN / _WIDTH_IN
        figure.text(
            left,
            1 - 0.12 / height_in,
            f"{_heading(trace)}: {_parameters_text(trace)}",
            weight="bold",
            size=11,
            va="top",
        )
        figure.text(left, 1 - 0.36 / height_in, _parameters(trace), size=8.5, color=_MUTED, va="top")
        figure.text(left, 0.1 / height_in, _credit(trace, street_map), size=8, color=_MUTED)
        upper_in = height_in - 0.62 - 0.25 - tall_in
        tracks = axes_at(_GAP_IN + (room_in - map_in) / 2, upper_in, map_in, tall_in)
        last_in = _GAP_IN + (across - 1) * (room_in + _GAP_IN)
        lower_in = upper_in - (down - 1) * (tall_in + 0.25 + below_in)
        density = axes_at(last_in + (room_in - map_in) / 2, lower_in, map_in, tall_in)
        legend = axes_at(last_in + 0.1 * room_in, lower_in - 0.14, 0.4 * room_in, 0.09)
        half_in = (_WIDTH_IN - 2 * _GAP_IN) / 2
        speeds = axes_at(0.62, 0.8, half_in - 0.62 if sites_m else _WIDTH_IN - 0.62 - 2 * _GAP_IN, 1.75)
        _draw_streets(tracks, street_map)
        _draw_tracks(tracks, trace)
        _draw_streets(density, street_map)
        _draw_density(figure, density, legend, trace, street_map)
        for axes in (tracks, density):
            _draw_sites(axes, sites_m)
        _draw_key(tracks, has_streets=bool(street_map.streets), has_sites=bool(sites_m))
        _draw_speeds(speeds, trace)
        if sites_m:
            _draw_population(axes_at(_GAP_IN + half_in + 0.62, 0.8, half_in - 0.72, 1.75), trace, sites_m)
        figure.savefig(temporary, format="png")


def write_animation(
    path: Path, trace: MobilityTrace, street_map: StreetMap, sites_m: list[tuple[float, float]], frames: int = 120
) -> None:
    """Draws the UEs on their streets as a GIF, coloured by speed.

    Args:
        path: Where the GIF goes.
        trace: The trace.
        street_map: Its map.
        sites_m: Sites in trace coordinates, if any.
        frames: How many at most; of longer traces it takes that many, evenly.

    Raises:
        StorageError: `path` cannot be written; what was there before is whole.
    """
    west, south, east, north = street_map.bounds_m
    width_in = min(5.4, 6.4 * (east - west) / (north - south))
    map_in = width_in * (north - south) / (east - west)
    height_in = map_in + 1.02
    with mpl.rc_context(_STYLE), replacing(path) as temporary:
        figure = Figure(figsize=(width_in, height_in), dpi=100)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes((0.02, 0.28 / height_in, 0.96, map_in / height_in))
        _draw_streets(axes, street_map)
        _draw_sites(axes, sites_m)
        figure.text(0.02, 1 - 0.08 / height_in, _heading(trace), weight="bold", size=10, va="top")
        figure.text(0.02, 1 - 0.28 / height_in, _parameters_text(trace), size=8.5, va="top")
        figure.text(0.02, 0.07 / height_in, _credit(trace, street_map), size=7.5, color=_MUTED)
        clock = figure.text(0.98, 1 - 0.08 / height_in, "", size=10, ha="right", va="top", animated=True)
        colors = Normalize(0, _FASTEST_MPS)
        bar_axes = figure.add_axes((0.56, 1 - 0.4 / height_in, 0.34, 0.08 / height_in))
        bar = figure.colorbar(ScalarMappable(colors, _SPEEDS), cax=bar_axes, orientation="horizontal", extend="max")
        bar.set_ticks([kmh / 3.6 for kmh in (0, 18, 36, 54)], labels=["0", "18", "36", "54 km/h"])
        bar.outline.set_visible(False)
        bar_axes.tick_params(labelsize=8, length=2, pad=1)
        tails = LineCollection([], cmap=_SPEEDS, norm=colors, linewidths=2, alpha=0.6, zorder=3, animated=True)
        axes.add_collection(tails)
        nowhere = np.zeros(trace.ues)
        ues = axes.scatter(
            nowhere, nowhere, c=nowhere, cmap=_SPEEDS, norm=colors, s=18, linewidths=0.4, edgecolors=_INK, zorder=4,
            animated=True,
        )  # fmt: skip
        canvas.draw()
        background = canvas.copy_from_bbox(figure.bbox)
        drawn = []
        for step in np.unique(np.linspace(0, len(trace.time_s) - 1, frames).astype(int)):
            canvas.restore_region(background)
            behind = trace.position_m[max(step - _TAIL, 0) : step + 1]
            tails.set_segments(list(behind.swapaxes(0, 1)))
            tails.set_array(trace.speed_mps[step])
            ues.set_offsets(trace.position_m[step])
            ues.set_array(trace.speed_mps[step])
            clock.set_text(f"t = {trace.time_s[step]:g} s")
            for artist in (tails, ues):
                axes.draw_artist(artist)
            figure.draw_artist(clock)
            drawn.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
        speeds = [to_hex(color) for color in mpl.colormaps[_SPEEDS](np.linspace(0, 1, 24))]
        kept = [_INK, _STREET, _MUTED, *PALETTE[: len(sites_m)], *speeds]
        save_frames(temporary, drawn, kept, 120, _credit(trace, street_map))


def _heading(trace: MobilityTrace) -> str:
    return f"{shortened(trace.metadata.map_name)}, {trace.metadata.context}"


def _parameters_text(trace: MobilityTrace) -> str:
    made = f", seed {trace.metadata.seed}" if trace.metadata.settings else ""
    return f"{trace.ues} UEs, {trace.duration_s:g} s{made}"


def _parameters(trace: MobilityTrace) -> str:
    parameters = trace.metadata.context_parameters.items()
    return ", ".join(f"{name} {_text(value)}" for name, value in parameters if value is not None and name != "places_m")


def _text(value: object) -> str:
    if isinstance(value, list):
        return "/".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _credit(trace: MobilityTrace, street_map: StreetMap) -> str:
    if street_map.streets:
        return f"Map data {street_map.attribution}, {street_map.licence}"
    return "No map: open ground" if "map" in trace.metadata.settings else f"No map; from {trace.metadata.source}"


def _color(index: int) -> str:
    return PALETTE[index % len(PALETTE)]


def _draw_streets(axes: Axes, street_map: StreetMap) -> None:
    west, south, east, north = street_map.bounds_m
    axes.add_collection(LineCollection(street_map.streets, colors=_STREET, linewidths=0.8, zorder=1))
    bar = ScaleBar.fit(street_map.bounds_m)
    x_m, y_m = west + 0.03 * (east - west), south + 0.03 * (north - south)
    axes.plot([x_m, x_m + bar.length_m], [y_m, y_m], color=_INK, linewidth=2, solid_capstyle="butt", zorder=7)
    axes.annotate(bar.label, (x_m, y_m), (0, 2), textcoords="offset points", size=8, zorder=7)
    axes.set(xlim=(west, east), ylim=(south, north), xticks=[], yticks=[], aspect="equal")
    axes.spines[["left", "bottom"]].set_visible(False)


def _draw_tracks(axes: Axes, trace: MobilityTrace) -> None:
    ways = list(trace.position_m.swapaxes(0, 1))
    axes.add_collection(LineCollection(ways, colors=_UE, linewidths=0.9, alpha=0.35, zorder=2))
    axes.plot(*trace.position_m[0].T, "o", color="white", markeredgecolor=_UE, markersize=3.2, linestyle="", zorder=3)
    axes.plot(*trace.position_m[-1].T, "o", color=_UE, markersize=3.2, linestyle="", zorder=4)
    axes.set_title("tracks", size=9.5, color=_MUTED, loc="left")


def _draw_sites(axes: Axes, sites_m: list[tuple[float, float]]) -> None:
    for index, (x, y) in enumerate(sites_m):
        axes.plot(x, y, "^", color=_color(index), markersize=9, markeredgecolor=_INK, zorder=6)
        axes.annotate(
            str(index), (x, y), (0, 6), textcoords="offset points", ha="center", va="bottom", size=8, zorder=6,
            bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.85},
        )  # fmt: skip


def _draw_key(axes: Axes, has_streets: bool, has_sites: bool) -> None:
    """Says below the tracks what their signs are."""
    signs = [
        Line2D([], [], marker="o", color=_UE, markerfacecolor="white", markersize=4, linestyle="", label="start"),
        Line2D([], [], marker="o", color=_UE, markersize=4, linestyle="", label="end"),
        Line2D([], [], color=_UE, alpha=0.6, label="way"),
    ]
    if has_streets:
        signs.append(Line2D([], [], color=_STREET, linewidth=1.5, label="street"))
    if has_sites:
        signs.append(Line2D([], [], marker="^", color=_MUTED, markersize=6, linestyle="", label="site"))
    axes.legend(
        handles=signs, loc="upper left", bbox_to_anchor=(-0.02, 0.0), ncols=len(signs), frameon=False, fontsize=8,
        handlelength=0.9, handletextpad=0.3, columnspacing=0.7, borderaxespad=0.2,
    )  # fmt: skip


def _draw_density(figure: Figure, axes: Axes, legend: Axes, trace: MobilityTrace, street_map: StreetMap) -> None:
    west, south, east, north = street_map.bounds_m
    spacing_m = max((east - west), (north - south)) / 40
    counts, x_m, y_m = np.histogram2d(
        trace.position_m[..., 0].ravel(),
        trace.position_m[..., 1].ravel(),
        bins=[np.arange(west, east + spacing_m, spacing_m), np.arange(south, north + spacing_m, spacing_m)],
    )
    mean = counts.T / len(trace.time_s) / (spacing_m / 100) ** 2
    shown = np.ma.masked_equal(mean, 0)
    mesh = axes.pcolormesh(x_m, y_m, shown, cmap="YlOrRd", norm=LogNorm(), alpha=0.85, zorder=2, linewidth=0)
    bar = figure.colorbar(mesh, cax=legend, orientation="horizontal", format="%g")
    bar.outline.set_visible(False)
    bar.set_ticks(_ticks(float(shown.min()), float(shown.max())))
    bar.minorticks_off()
    legend.tick_params(labelsize=8, length=2, pad=1)
    legend.text(1.06, 0.5, "UEs per hectare", size=8, color=_MUTED, va="center", transform=legend.transAxes)
    axes.set_title("mean density", size=9.5, color=_MUTED, loc="left")


def _ticks(low: float, high: float) -> list[float]:
    """Two to four round numbers within the range, evenly on a logarithmic scale."""
    steps = [m * 10.0**e for e in range(-4, 6) for m in (1, 2, 5)]
    within = [step for step in steps if low <= step <= high] or [low]
    return within[:: max(1, math.ceil(len(within) / 4))]


def _draw_speeds(axes: Axes, trace: MobilityTrace) -> None:
    speed = trace.speed_mps.ravel()
    standing = float((speed < STANDING_MPS).mean())
    moving = speed[speed >= STANDING_MPS]
    axes.hist(moving * 3.6, bins=30, color=_UE, weights=np.full(len(moving), 100 / len(speed)))
    mean = f", the others go {moving.mean() * 3.6:.0f} km/h" if len(moving) else ""
    axes.set_title(f"{100 * standing:.0f} % stand{mean}", size=9.5, color=_MUTED, loc="left")
    axes.set(xlabel="km/h", ylabel="% of the time")
    axes.set_xlim(left=0)


def _draw_population(axes: Axes, trace: MobilityTrace, sites_m: list[tuple[float, float]]) -> None:
    counts = nearest_site_counts(trace, sites_m)
    for index in range(counts.shape[1]):
        dash = ("-", (0, (4, 2)), (0, (1, 1)))[index // len(PALETTE) % 3]
        axes.plot(trace.time_s, counts[:, index], color=_color(index), linewidth=1.6, linestyle=dash, label=str(index))
    ratio = counts.max(axis=1) / counts.mean(axis=1)
    axes.set_title(f"UEs by nearest site: max/mean {ratio.mean():.1f}", size=9.5, color=_MUTED, loc="left")
    axes.set(xlabel="time (s)", ylabel="UEs", xlim=(0, trace.duration_s))
    axes.set_ylim(0, 1.3 * counts.max() + 1)
    axes.legend(
        title="site", ncols=8, loc="upper left", frameon=False, fontsize=8, title_fontsize=8, handlelength=0.8,
        handletextpad=0.25, columnspacing=0.6, borderaxespad=0.1, alignment="left",
    )  # fmt: skip


def nearest_site_counts(trace: MobilityTrace, sites_m: list[tuple[float, float]]) -> Ints:
    """Counts the UEs to which each site is the nearest, (T, S)."""
    away_m: Floats = np.linalg.norm(trace.position_m[:, :, None] - np.array(sites_m), axis=-1)
    nearest = away_m.argmin(axis=-1)
    return (nearest[..., None] == np.arange(len(sites_m))).sum(axis=1)
