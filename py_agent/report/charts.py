"""Static charts as inline SVG that takes its inks from the page, so that they follow light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from py_agent.report.scene import PALETTE, LineStyle, ink, shortened
from sumo_mobility.base.arrays import Floats

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

INK, GRID, ACCENT = "#010101", "#020202", "#030303"
"""Stand-ins that `svg` turns into the page's CSS variables."""
STYLE: dict[RcKeyType, object] = {
    "svg.fonttype": "none",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}

_STOPS = [(0.0, "#2878c8ff"), (0.5, "#2878c800"), (0.5, "#f0a00000"), (1.0, "#f0a000ff")]
_DIVERGING = LinearSegmentedColormap.from_list("offsets", _STOPS)
_SEQUENTIAL = LinearSegmentedColormap.from_list("counts", ["#2878c800", "#2878c8c0"])
"""Clear where nothing is, so that they suit a light page and a dark one."""


def load_chart(name: str, time_s: Floats, load: Floats, colors: list[str]) -> str:
    """Draws the load of each cell over time.

    Args:
        name: What the chart shows, for readers that cannot see it.
        time_s: (T,) times.
        load: (T, C) PRB utilisation in [0, 1].
        colors: One a cell.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure, axes = canvas(3.6, 1.9)
        for cell, color in enumerate(colors):
            axes.step(time_s, load[:, cell], color=color, linewidth=1.5, where="pre")
        axes.set(xlim=(time_s[0], time_s[-1]), ylim=(0, 1.02), xlabel="time (s)")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0])
        return svg(figure, name)


def interval_chart(
    name: str, labels: list[str], points: Floats, mean: Floats, low: Floats, high: Floats, best: int, zero: bool = False
) -> str:
    """Draws one metric of all policies: a ring for each trace, the mean as a dot, its interval as a line.

    An interval that is much wider than the traces lie apart ends in an arrow, lest the rings shrink to one spot.

    Args:
        name: What the chart shows, with its unit.
        labels: The policies, from the top.
        points: (P, N) of each trace.
        mean: (P,) means.
        low: (P,) lower ends, NaN if there is none.
        high: (P,) upper ends, NaN if there is none.
        best: Index of the policy to stress, or -1.
        zero: Whether to draw a line at 0.
    """
    shown = np.append(points, 0) if zero else points
    least, greatest = float(np.nanmin(shown)), float(np.nanmax(shown))
    room = max(greatest - least, 1e-9 * max(abs(greatest), 1))
    left, right = least - room, greatest + room
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure, axes = canvas(3.6, 0.55 + 0.26 * len(labels))
        if zero:
            axes.axvline(0, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
        for row in range(len(labels)):
            color = ACCENT if row == best else INK
            if np.isfinite(low[row]) and low[row] < high[row]:
                ends = np.clip([low[row], high[row]], left, right)
                axes.plot(ends, [row, row], color=color, linewidth=1.6, solid_capstyle="butt")
                for end, beyond, arrow in ((left, low[row] < left, "<"), (right, high[row] > right, ">")):
                    if beyond:
                        axes.plot(end, row, arrow, color=color, markersize=5, clip_on=False)
            axes.plot(points[row], np.full(len(points[row]), row - 0.22), "o", color="none", markeredgecolor=color,
                      markersize=3.2, markeredgewidth=0.8)  # fmt: skip
            axes.plot(mean[row], row, "o", color=color, markersize=5.5)
        axes.set_yticks(range(len(labels)), [shortened(label) for label in labels], parse_math=False)
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        return svg(figure, name)


def trade_off_chart(name: str, styles: Mapping[str, LineStyle], gain: Floats, price: Floats, x: str) -> str:
    """Draws what each policy paid over what it gained: a dot for the means, a line for each interval.

    Intervals that are much wider than the means lie apart end at the edge.

    Args:
        name: What the chart shows, with its units.
        styles: How each policy is drawn, by its name.
        gain: (3, P) mean, lower and upper end; the ends are NaN if there are none.
        price: (3, P), as `gain`.
        x: Label of the gain.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure, axes = canvas(3.6, 2.6)
        for index, style in enumerate(styles.values()):
            (at, left, right), (cost, low, high) = gain[:, index], price[:, index]
            for along, across in (([left, right], [cost, cost]), ([at, at], [low, high])):
                axes.plot(along, across, color=style.color, linestyle=style.dashes, linewidth=1.1, alpha=0.6)
            axes.plot(at, cost, "o", color=style.color, markersize=6, zorder=3)
        for mean, bounds in ((gain[0], axes.set_xlim), (price[0], axes.set_ylim)):
            shown = np.append(mean[np.isfinite(mean)], 0)
            room = float(np.ptp(shown)) / 3 or 1.0
            bounds(float(shown.min()) - room, float(shown.max()) + room)
        axes.set_ylim(bottom=-0.05 * axes.get_ylim()[1])
        axes.set_xlabel(x)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        return svg(figure, name)


def lines_chart(
    name: str, lines: Mapping[str, tuple[Floats, Floats]], styles: Mapping[str, LineStyle], x: str, log: bool = False,
    share: bool = False, named: bool = False,
) -> str:  # fmt: skip
    """Draws lines over one axis.

    Args:
        name: What the chart shows.
        lines: x and y, (N,) each, of each line by its name.
        styles: How each line is drawn, by its name.
        x: Label of the x axis.
        log: Whether the y axis is logarithmic.
        share: Whether y goes from 0 to 100 %.
        named: Whether the chart says which line is whose, where no legend stands beside it.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure, axes = canvas(3.6, 2.1)
        for label, (along, value) in lines.items():
            color, dashes, _ = styles[label]
            axes.plot(along, value, linewidth=1.5, color=color, linestyle=dashes, label=shortened(label))
        axes.set(xlabel=x, yscale="log" if log else "linear")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.margins(x=0.02)
        if share:
            axes.set_ylim(0, 1.02)
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        if named:
            axes.legend(frameon=False, fontsize=8)
        return svg(figure, name)


def offsets_chart(name: str, time_s: Floats, value: Floats, labels: list[str], greatest: float, unit: str) -> str:
    """Draws what is steered over time, a row each, by colour; 0 is clear.

    Args:
        name: What the chart shows.
        time_s: (T+1,) ends of the intervals.
        value: (T, E) what held in each interval.
        labels: (E,) one a row.
        greatest: The colours go from minus this to this.
        unit: Of the values.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        rows = len(labels)
        figure, axes = canvas(3.6, float(np.clip(0.6 + 0.11 * rows, 1.5, 4.5)))
        image = axes.imshow(
            value.T, cmap=_DIVERGING, vmin=-greatest, vmax=greatest, aspect="auto", interpolation="nearest",
            extent=(time_s[0], time_s[-1], rows - 0.5, -0.5),
        )  # fmt: skip
        every = max(1, -(-rows // 24))
        axes.set_yticks(range(0, rows, every), labels[::every], fontsize=6.5)
        axes.set_xlabel("time (s)")
        axes.grid(visible=False)
        bar = figure.colorbar(image, ax=axes, aspect=25, pad=0.02)
        bar.set_label(unit, labelpad=1)
        bar.outline.set_edgecolor(GRID)
        return svg(figure, name)


def coverage_chart(name: str, share: Floats, labels: list[str], low: float, high: float, x: str) -> str:
    """Draws how often each of several quantities was where, a row each, by colour; what never was is clear.

    Args:
        name: What the chart shows.
        share: (R, B) shares of the time in B equal bins.
        labels: (R,) one a row.
        low: Lower end of the first bin.
        high: Upper end of the last bin.
        x: Label of the x axis, with its unit.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        rows = len(labels)
        figure, axes = canvas(3.6, float(np.clip(0.7 + 0.16 * rows, 2.1, 4.5)))
        # What is rare but was there must be seen beside what is there most of the time.
        greatest = max(float(share.max()), 1e-9)
        norm = PowerNorm(0.35, vmin=0, vmax=greatest)
        image = axes.imshow(
            share, cmap=_SEQUENTIAL, norm=norm, aspect="auto", interpolation="nearest",
            extent=(low, high, rows - 0.5, -0.5),
        )  # fmt: skip
        every = max(1, -(-rows // 24))
        axes.set_yticks(range(0, rows, every), labels[::every], fontsize=6.5)
        axes.set_xlabel(x)
        axes.grid(visible=False)
        ticks = [tick for tick in (0, 0.01, 0.1, 0.3, 1) if tick <= greatest]
        percent = PercentFormatter(1.0, decimals=0)
        bar = figure.colorbar(image, ax=axes, aspect=25, pad=0.02, ticks=ticks, format=percent)
        bar.outline.set_edgecolor(GRID)
        return svg(figure, name)


def matrix_chart(name: str, count: Floats, greatest: float) -> str:
    """Draws how many handovers went from each cell (row) to each other one (column).

    Args:
        name: What the chart shows.
        count: (C, C).
        greatest: What the darkest colour stands for.
    """
    cells = len(count)
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure, axes = canvas(2.7, 2.55)
        axes.imshow(count, cmap=_SEQUENTIAL, vmin=0, vmax=max(greatest, 1e-9), interpolation="nearest")
        if cells <= 12:
            size = 8 if cells <= 8 else 6
            for source, target in zip(*np.nonzero(count), strict=True):
                axes.text(target, source, f"{count[source, target]:.2g}", ha="center", va="center", fontsize=size)
        every = max(1, -(-cells // 12))
        axes.set(
            xticks=range(0, cells, every), yticks=range(0, cells, every), xlabel="to cell", ylabel="from cell"
        )  # fmt: skip
        axes.grid(visible=False)
        return svg(figure, name)


def canvas(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    """Returns an empty figure; draw and call `svg` within a context of STYLE."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def svg(figure: Figure, name: str) -> str:
    """Returns what was drawn as an inline SVG.

    Args:
        figure: The figure.
        name: What it shows, for readers that cannot see it.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Title": name})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    # The page has one namespace of ids and of styles for all charts: leave only what is referred to.
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="(?![mp][0-9a-f]{10}")[^"]*"', "", text)
    text = re.sub(r" font-family: [^;]*;", "", text)
    for stand_in, variable in ((INK, "--ink"), (GRID, "--grid"), (ACCENT, "--accent")):
        text = text.replace(stand_in, f"var({variable})")
    for color in PALETTE:
        text = text.replace(f": {color}", f": {ink(color)}")
    return text.replace("<svg ", '<svg role="img" ', 1)
