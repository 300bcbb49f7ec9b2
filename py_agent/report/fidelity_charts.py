"""The pictures of the fidelity report."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from scipy import stats

from py_agent.report.charts import INK, STYLE, canvas, svg
from py_agent.report.scene import PALETTE, shortened
from sumo_mobility.base.arrays import Floats

_POINTS = 700
"""The greatest number of points of a scatter plot; more would make the page slow."""
_SIDE_IN = 2.9


def colors(models: list[str]) -> dict[str, str]:
    """Returns a colour for each model."""
    return dict(zip(models, PALETTE, strict=False))


def bland_altman(name: str, truth: Floats, guess: Floats, color: str) -> str:
    """Draws differences over means, with their mean and limits of agreement at 1.96 standard deviations.

    Args:
        name: What the chart shows.
        truth: (N,) in dBm.
        guess: (N,) in dBm.
        color: Of the points.
    """
    difference = guess - truth
    centre, spread = float(difference.mean()), 1.96 * float(difference.std())
    shown = _sample(len(truth))
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure, axes = canvas(3.6, 2.2)
        axes.plot(((truth + guess) / 2)[shown], 1e3 * difference[shown], ".", color=color, markersize=2.5)
        for level, style in ((centre, "-"), (centre - spread, "--"), (centre + spread, "--")):
            axes.axhline(1e3 * level, color=INK, linewidth=0.9, linestyle=style)
        axes.set(xlabel="mean of both (dBm)", ylabel="model − ns-3 (mdB)")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        return svg(figure, name)


def load_scatter(name: str, truth: Floats, guess: Floats, color: str) -> str:
    """Draws the model's PRB utilisation over ns-3's with the line of identity; both (N,) in [0, 1]."""
    shown = _sample(len(truth))
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure, axes = _square()
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.9)
        axes.plot(truth[shown], guess[shown], ".", color=color, markersize=3)
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="ns-3", ylabel="model")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            axis.set_ticks([0, 0.25, 0.5, 0.75, 1.0])
        return svg(figure, name)


def rank_chart(name: str, truth: Floats, guesses: Mapping[str, Floats], inks: Mapping[str, str]) -> str:
    """Draws the rank that each model gives to each CIO sequence over its rank in ns-3; 1 is the best.

    Args:
        name: What the chart shows.
        truth: (K,) rewards in ns-3.
        guesses: (K,) rewards by model; the last one is drawn on top.
        inks: Colour by model.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure, axes = _square()
        axes.plot([1, len(truth)], [1, len(truth)], color=INK, linewidth=0.9)
        for model, guess in guesses.items():
            axes.plot(stats.rankdata(-truth), stats.rankdata(-guess), ".", color=inks[model], markersize=4)
        axes.set(xlabel="rank in ns-3", ylabel="rank in the model")
        return svg(figure, name)


def ecdf_chart(name: str, loads: Mapping[str, Floats], inks: Mapping[str, str]) -> str:
    """Draws the distribution of the PRB utilisation of each model and of ns-3, whose ink is the page's own."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure, axes = canvas(3.6, 2.0)
        for model, values in loads.items():
            ordered = np.sort(values)
            place = np.unique(np.linspace(0, len(ordered) - 1, 300).astype(int))
            share = (place + 1) / len(ordered)
            width = 1.2 if model in inks else 2.6
            axes.step(ordered[place], share, color=inks.get(model, INK), linewidth=width, where="post")
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="PRB utilisation", ylabel="share of samples")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        return svg(figure, name)


def handover_raster(name: str, starts: Mapping[str, tuple[Floats, Floats]], inks: Mapping[str, str]) -> str:
    """Draws when which UE hands over: ns-3 as rings, the models as points.

    Args:
        name: What the chart shows.
        starts: Times in s and UEs, by model; ns-3's is the one without ink.
        inks: Colour by model.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure, axes = canvas(3.6, 2.6)
        for model, (time_s, ue) in starts.items():
            if model in inks:
                axes.plot(time_s, ue, ".", color=inks[model], markersize=4)
            else:
                axes.plot(
                    time_s, ue, "o", markeredgecolor=INK, markerfacecolor="none", markersize=7, markeredgewidth=0.9
                )
        axes.set(xlabel="time (s)", ylabel="UE")
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        return svg(figure, name)


def policy_chart(
    name: str, policies: list[str], values: Mapping[str, Floats], half: Mapping[str, Floats], inks: Mapping[str, str]
) -> str:
    """Draws the value of each policy in ns-3 and in the models, best in ns-3 on top.

    Args:
        name: What the chart shows.
        policies: Their names.
        values: (P,) mean rewards by model; ns-3's come first.
        half: (P,) half widths of their intervals by model.
        inks: Colour by model.
    """
    order = np.argsort(-next(iter(values.values())), kind="stable")
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure, axes = canvas(3.6, 0.6 + 0.3 * len(policies))
        for index, model in enumerate(values):
            row = np.arange(len(order)) + 0.22 * (index - (len(values) - 1) / 2)
            ink = inks.get(model, INK)
            axes.errorbar(
                values[model][order], row, xerr=half[model][order], fmt="o", color=ink, markersize=3.5, linewidth=1.1
            )
        axes.set_yticks(range(len(order)), [shortened(policies[index]) for index in order], parse_math=False)
        axes.set_ylim(len(order) - 0.5, -0.5)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        return svg(figure, name)


def _square() -> tuple[Figure, Axes]:
    figure, axes = canvas(_SIDE_IN, _SIDE_IN)
    axes.set_box_aspect(1)
    return figure, axes


def _sample(count: int) -> np.ndarray:
    """Indices of at most _POINTS samples, evenly; the same each time."""
    return np.unique(np.linspace(0, count - 1, min(count, _POINTS)).astype(int))
