"""The pictures of the audit report that no other report has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter

from py_agent.report.charts import INK, STYLE, canvas, svg
from py_agent.report.scene import PALETTE, shortened
from sumo_mobility.base.arrays import Floats

_POINTS = 500
"""The greatest number of points of a colour; more would make the page slow."""


def guess_scatter(name: str, points: Mapping[str, tuple[Floats, Floats]], inks: Mapping[str, str]) -> str:
    """Draws guessed loads over true ones, with the line of identity.

    Args:
        name: What the chart shows.
        points: True and guessed loads, (N,) each in [0, 1], of each guess; the last one is drawn on top.
        inks: Colour of each guess.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure, axes = canvas(3.2, 3.0)
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.9)
        for guess, (truth, load) in points.items():
            shown = _some(len(truth))
            axes.plot(truth[shown], load[shown], ".", color=inks[guess], markersize=4)
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="true load", ylabel="guessed load")
        axes.set_box_aspect(1)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        return svg(figure, name)


def plane_chart(
    name: str, points: Mapping[str, Floats], inks: Mapping[str, str], explained: Floats, named: bool = False
) -> str:
    """Draws states in the plane of their first two principal components.

    Args:
        name: What the chart shows.
        points: (N, 2) of each kind of states; the last one is drawn on top.
        inks: Colour of each kind.
        explained: Share of the variance along each axis, (2,).
        named: Whether the chart says which kind is whose, where no legend stands beside it.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure, axes = canvas(4.2, 3.2)
        for kind, place in points.items():
            shown = _some(len(place))
            axes.plot(*place[shown].T, ".", color=inks[kind], markersize=4, alpha=0.7, label=kind)
        first, second = (
            f"component {index + 1} ({share:.0%} of the variance)" for index, share in enumerate(explained)
        )
        axes.set(xlabel=first, ylabel=second)
        if named:
            axes.legend(frameon=False, fontsize=8)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(5))
        return svg(figure, name)


def importance_chart(name: str, importance: Floats, factors: Sequence[str]) -> str:
    """Draws how much each component of the context matters for each factor, as squares of that area.

    Args:
        name: What the chart shows.
        importance: (C, K).
        factors: Names of the K factors.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        components = len(importance)
        figure, axes = canvas(3.6, 0.7 + 0.26 * len(factors))
        component, factor = np.indices(importance.shape)
        size = importance / max(float(importance.max()), 1e-12)
        axes.scatter(component.ravel(), factor.ravel(), s=160 * size.ravel(), marker="s", color=PALETTE[0])
        axes.set_axisbelow(True)
        axes.set_yticks(range(len(factors)), [shortened(factor) for factor in factors], parse_math=False)
        axes.set(
            xlim=(-0.6, components - 0.4), ylim=(len(factors) - 0.4, -0.6), xticks=range(components),
            xlabel="component of the context",
        )  # fmt: skip
        return svg(figure, name)


def _some(count: int) -> np.ndarray:
    """Indices of at most _POINTS samples, evenly; the same each time."""
    return np.unique(np.linspace(0, count - 1, min(count, _POINTS)).astype(int))
