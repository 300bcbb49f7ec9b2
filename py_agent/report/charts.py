"""Static charts as inline SVG that takes its inks from the page, so that they follow light and dark."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ns3_scenarios.kpis import Floats
from py_agent.report.scene import shortened

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


def interval_chart(name: str, labels: list[str], mean: Floats, low: Floats, high: Floats, best: int) -> str:
    """Draws one metric of all policies as points with intervals.

    Args:
        name: What the chart shows, with its unit.
        labels: The policies, from the top.
        mean: (P,) points.
        low: (P,) lower ends.
        high: (P,) upper ends.
        best: Index of the policy to stress.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure, axes = canvas(3.6, 0.55 + 0.24 * len(labels))
        for row in range(len(labels)):
            color = ACCENT if row == best else INK
            axes.plot([low[row], high[row]], [row, row], color=color, linewidth=1.6, solid_capstyle="butt")
            axes.plot(mean[row], row, "o", color=color, markersize=5)
        axes.set_yticks(range(len(labels)), [shortened(label) for label in labels], parse_math=False)
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
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
    return text.replace("<svg ", '<svg role="img" ', 1)
