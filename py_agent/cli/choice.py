"""Options that take a name of a registry: what there is, plug-ins too."""

from __future__ import annotations

from typing import Annotated, Any

from tyro.constructors import PrimitiveConstructorSpec

from sumo_mobility.base.registry import Registry


def choice_of(registry: Registry[Any]) -> Any:
    """Returns the type of an option that takes a name of a registry; an unknown name is told with the nearest."""
    spec: PrimitiveConstructorSpec[str] = PrimitiveConstructorSpec(
        nargs=1,
        metavar=f"{{{','.join(registry)}}}",
        instance_from_str=lambda words: registry.known(words[0]),
        is_instance=lambda value: isinstance(value, str),
        str_from_instance=lambda name: [name],
    )
    return Annotated[str, spec]
