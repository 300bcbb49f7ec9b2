"""Parts that the pages share: templates that refuse what is undefined, and the colours for light and dark."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from py_agent.report.scene import PALETTE, PALETTE_DARK, ink


def pages() -> Environment:
    """The environment of the templates; `style.css` reads the palettes from it."""
    environment = Environment(
        loader=PackageLoader("py_agent.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.globals |= {"palette": PALETTE, "palette_dark": PALETTE_DARK, "zip": zip}
    environment.filters["ink"] = ink
    return environment
