"""A page of measured figures: Markdown, made of the files that `mlb bench` and `mlb fidelity` write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import ConfigDict

from sumo_mobility.base.contract import Contract

_HEAD = """# Measured

What the project promises, and what was measured. Each table names the command that measures it again; one of
`mlb bench` exits with 1 if a target is missed. `mlb bench page` made this page of the commands' results in
`docs/results`.
"""


class MeasuredFigure(Contract):
    """A figure as it is in a file of results; what the page does not show is not looked at."""

    model_config = ConfigDict(extra="ignore")

    metric: str
    value: float | None
    """None where there is none, for example a ratio of nothing."""
    unit: str
    target: float | None
    goal: float | None
    more_is_better: bool
    ok: bool
    model: str = ""
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    ceiling: float | None = None


class MeasuredResults(Contract):
    """The results of one command; what the page does not show is not looked at."""

    model_config = ConfigDict(extra="ignore")

    title: str
    command: str
    machine: str
    versions: dict[str, str]
    figures: tuple[MeasuredFigure, ...]


def measured_page(results: Sequence[MeasuredResults]) -> str:
    """Returns the page in Markdown, a table for each result in their order."""
    return "\n".join([_HEAD, *("\n".join(_section(result)) for result in results)])


def _section(result: MeasuredResults) -> Iterator[str]:
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    yield f"## `{result.command}`\n"
    yield f"{result.title.rstrip('.')}. On {result.machine}; {versions}.\n"
    wanted = [column for column in _COLUMNS if any(_COLUMNS[column](figure) for figure in result.figures)]
    yield f"| {' | '.join(wanted)} |"
    yield f"|{'---|' * len(wanted)}"
    for figure in result.figures:
        yield f"| {' | '.join(_COLUMNS[column](figure).replace('|', chr(92) + '|') for column in wanted)} |"
    yield ""


def _measured(figure: MeasuredFigure) -> str:
    has_interval = figure.low is not None and figure.high is not None and figure.low < figure.high
    interval = f" ({_number(figure.low)} to {_number(figure.high)})" if has_interval else ""
    return f"{_number(figure.value)}{interval}{f' {figure.unit}' if figure.unit else ''}"


def _limit(figure: MeasuredFigure, limit: float | None) -> str:
    return "" if limit is None else f"{'≥' if figure.more_is_better else '≤'} {_number(limit)}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    digits = 5 if 99 < value < 100 else 3  # of nearly all, what is missing counts
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"
    return text.replace("-", "−", 1) if text.startswith("-") else text


_COLUMNS = {
    "figure": lambda figure: figure.metric,
    "model": lambda figure: figure.model,
    "measured": _measured,
    "target": lambda figure: _limit(figure, figure.target),
    "goal": lambda figure: _limit(figure, figure.goal),
    "reached": lambda figure: "" if figure.target is None else "yes" if figure.ok else "**no**",
    "textbook fluid model": lambda figure: _number(figure.baseline),
    "ns-3, other seed": lambda figure: _number(figure.ceiling),
}
"""Headings and what stands under them; a column without a single entry is left out."""
