"""Options that take names of a registry, whose help shows what there is, plug-ins too."""

from __future__ import annotations

from typing import Annotated, Any

from tyro.conf import arg
from tyro.constructors import PrimitiveConstructorSpec

from sumo_mobility.base.registry import Lazy, Registry


def choice_of(registry: Registry[Lazy[Any]], before: str, after: str = ".") -> Any:
    """Returns the type of an option that takes a name of a registry; an unknown name is told with the nearest.

    Args:
        registry: What there is to choose from.
        before: What the help says of the option before the names and titles.
        after: What it says after them.
    """
    spec: PrimitiveConstructorSpec[str] = PrimitiveConstructorSpec(
        nargs=1,
        metavar=f"{{{','.join(registry)}}}",
        instance_from_str=lambda words: registry.known(words[0]),
        is_instance=lambda value: isinstance(value, str),
        str_from_instance=lambda name: [name],
    )
    return Annotated[str, spec, arg(help=f"{before} {listed(registry)}{after}")]


def listed(registry: Registry[Lazy[Any]]) -> str:
    """Returns all names of a registry with their titles, for help texts."""
    entries = registry.values()
    return ", ".join(f"{entry.name} ({entry.title})" if entry.title != entry.name else entry.name for entry in entries)
