"""Parts that the pages share: templates that refuse what is undefined, and the colours for light and dark."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from py_agent.measurement import Measurement
from py_agent.report.scene import PALETTE, PALETTE_DARK, ink


def pages() -> Environment:
    """The environment of the templates; `colors.css` reads the palettes from it."""
    environment = Environment(
        loader=PackageLoader("py_agent.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.globals |= {"palette": PALETTE, "palette_dark": PALETTE_DARK, "zip": zip}
    environment.filters["ink"] = ink
    return environment


def standalone(svg: str) -> str:
    """Returns a chart that was made for a page as a picture of its own, which follows light and dark as the page does.

    Args:
        svg: What `py_agent.report.charts.svg` returned.
    """
    colors = pages().get_template("colors.css").render()
    own = "svg { background: var(--paper); font-family: system-ui, sans-serif; }"
    head, end, body = svg.partition(">")
    return f"{head}{end}<style>{colors}{own}</style>{body}"


def limit(measurement: Measurement, value: float | None) -> str:
    """A target as the report prints it, with its direction; nothing where there is none."""
    sign = "≥" if measurement.more_is_better else "≤"
    return "" if value is None else f"{sign} {value:.4g}".replace("-", "−")
