"""Where the UEs of a trace are: one picture of its map, density, speeds and population, and an animation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ns3_scenarios.kpis import Floats
from py_agent.report.gif import save_frames
from py_agent.report.scene import PALETTE, ScaleBar
from sumo_mobility.base.files import replacing
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import MobilityTrace

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
"""Of the colours; faster UEs have the last one."""
_TAIL = 4
"""Steps of the line behind each UE."""
_STANDING_MPS = 0.5


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
    is_wide = east - west > 2 * (north - south)  # then one map above the other, else beside it
    map_in = 6.0 if is_wide else min(4.2, 4.6 * (east - west) / (north - south))
    tall_in = map_in * (north - south) / (east - west)
    across, down = (1, 2) if is_wide else (2, 1)
    width_in, height_in = across * (map_in + 0.15) + 4.25, max(down * (tall_in + 0.3), 3.9) + 0.9
    with mpl.rc_context(_STYLE), replacing(path) as temporary:
        figure = Figure(figsize=(width_in, height_in), dpi=120)
        FigureCanvasAgg(figure)

        def axes_at(left_in: float, bottom_in: float, wide_in: float, high_in: float) -> Axes:
            shares = left_in / width_in, bottom_in / height_in, wide_in / width_in, high_in / height_in
            return figure.add_axes(shares)

        figure.text(0.15 / width_in, 1 - 0.12 / height_in, _title(trace), weight="bold", size=11, va="top")
        figure.text(0.15 / width_in, 1 - 0.34 / height_in, _parameters(trace), size=8, color=_MUTED, va="top")
        figure.text(0.15 / width_in, 0.1 / height_in, _credit(trace), size=7, color=_MUTED)
        tracks = axes_at(0.15, 0.4 + (down - 1) * (tall_in + 0.3), map_in, tall_in)
        last_in = 0.15 + (across - 1) * (map_in + 0.15)
        density = axes_at(last_in, 0.4, map_in, tall_in)
        legend = axes_at(last_in + 0.55 * map_in, 0.27, 0.44 * map_in, 0.07)
        half_in = (height_in - 2.1) / 2
        population = axes_at(width_in - 3.45, 0.55, 3.3, half_in)
        speeds = axes_at(width_in - 3.45, 1.35 + half_in, 3.3, half_in)
        _draw_streets(tracks, street_map)
        _draw_tracks(tracks, trace)
        _draw_streets(density, street_map)
        _draw_density(figure, density, legend, trace, street_map)
        for index, (x, y) in enumerate(sites_m):
            for axes in (tracks, density):
                axes.plot(x, y, "^", color=_color(index), markersize=9, markeredgecolor=_INK, zorder=6)
        _draw_speeds(speeds, trace)
        if sites_m:
            _draw_population(population, trace, sites_m)
        else:
            population.set_axis_off()
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
    height_in = map_in + 0.75
    with mpl.rc_context(_STYLE), replacing(path) as temporary:
        figure = Figure(figsize=(width_in, height_in), dpi=100)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes((0.02, 0.28 / height_in, 0.96, map_in / height_in))
        _draw_streets(axes, street_map)
        heading, told = _title(trace).split(": ")
        figure.text(0.02, 1 - 0.08 / height_in, heading, weight="bold", size=9, va="top")
        figure.text(0.02, 1 - 0.25 / height_in, f"{told}; yellow: {_FASTEST_MPS * 3.6:g} km/h", size=7, va="top")
        figure.text(0.02, 0.07 / height_in, _credit(trace), size=6, color=_MUTED)
        clock = figure.text(0.98, 0.07 / height_in, "", size=9, ha="right", animated=True)
        colors = Normalize(0, _FASTEST_MPS)
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
        save_frames(temporary, drawn, [_INK, _STREET, _MUTED], 120, _credit(trace))


def _title(trace: MobilityTrace) -> str:
    meta = trace.metadata
    return f"{meta.map_name}, {meta.context}: {trace.ues} UEs, {trace.duration_s:g} s, seed {meta.seed}"


def _parameters(trace: MobilityTrace) -> str:
    told = trace.metadata.context_parameters.items()
    return ", ".join(f"{name} {_text(value)}" for name, value in told if value is not None and name != "places_m")


def _text(value: object) -> str:
    if isinstance(value, list):
        return "/".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _credit(trace: MobilityTrace) -> str:
    meta = trace.metadata
    return f"Map data {meta.attribution}, {meta.licence}" if meta.projection else "No map: open ground"


def _color(index: int) -> str:
    return PALETTE[index % len(PALETTE)]


def _draw_streets(axes: Axes, street_map: StreetMap) -> None:
    west, south, east, north = street_map.bounds_m
    axes.add_collection(LineCollection(street_map.streets, colors=_STREET, linewidths=0.8, zorder=1))
    bar = ScaleBar.fit(street_map.bounds_m)
    x_m, y_m = west + 0.03 * (east - west), south + 0.03 * (north - south)
    axes.plot([x_m, x_m + bar.length_m], [y_m, y_m], color=_INK, linewidth=2, solid_capstyle="butt", zorder=7)
    axes.text(x_m, y_m + 0.012 * (north - south), bar.label, size=7.5, zorder=7)
    axes.set(xlim=(west, east), ylim=(south, north), xticks=[], yticks=[], aspect="equal")
    axes.spines[["left", "bottom"]].set_visible(False)


def _draw_tracks(axes: Axes, trace: MobilityTrace) -> None:
    ways = list(trace.position_m.swapaxes(0, 1))
    axes.add_collection(LineCollection(ways, colors=_UE, linewidths=0.9, alpha=0.35, zorder=2))
    axes.plot(*trace.position_m[0].T, "o", color="white", markeredgecolor=_UE, markersize=3.2, linestyle="", zorder=3)
    axes.plot(*trace.position_m[-1].T, "o", color=_UE, markersize=3.2, linestyle="", zorder=4)
    axes.set_title("tracks; ring: start, dot: end", size=9, color=_MUTED, loc="left")


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
    bar.minorticks_off()
    legend.tick_params(labelsize=6.5, length=2, pad=1)
    axes.set_title("mean density, UEs a hectare", size=9, color=_MUTED, loc="left")


def _draw_speeds(axes: Axes, trace: MobilityTrace) -> None:
    speed = trace.speed_mps.ravel()
    standing = float((speed < _STANDING_MPS).mean())
    moving = speed[speed >= _STANDING_MPS]
    axes.hist(moving * 3.6, bins=30, color=_UE, weights=np.full(len(moving), 100 / len(speed)))
    mean = f"{moving.mean() * 3.6:.0f} km/h" if len(moving) else "-"
    axes.set_title(
        f"speeds; {100 * standing:.0f} % stand, the others' mean is {mean}", size=9, color=_MUTED, loc="left"
    )
    axes.set(xlabel="km/h", ylabel="% of the time")
    axes.set_xlim(left=0)


def _draw_population(axes: Axes, trace: MobilityTrace, sites_m: list[tuple[float, float]]) -> None:
    counts = nearest_site_counts(trace, sites_m)
    for index in range(counts.shape[1]):
        axes.plot(trace.time_s, counts[:, index], color=_color(index), linewidth=1.6)
    ratio = counts.max(axis=1) / counts.mean(axis=1)
    axes.set_title(f"UEs by nearest site; max/mean {ratio.mean():.1f} on average", size=9, color=_MUTED, loc="left")
    axes.set(xlabel="time (s)", ylabel="UEs", xlim=(0, trace.duration_s))
    axes.set_ylim(bottom=0)


def nearest_site_counts(trace: MobilityTrace, sites_m: list[tuple[float, float]]) -> NDArray[np.int64]:
    """Counts the UEs to which each site is the nearest, (T, S)."""
    away_m: Floats = np.linalg.norm(trace.position_m[:, :, None] - np.array(sites_m), axis=-1)
    nearest = away_m.argmin(axis=-1)
    return (nearest[..., None] == np.arange(len(sites_m))).sum(axis=1)
