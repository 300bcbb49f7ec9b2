"""A first preset of one's own: what an example sets, and beside it all else that can be set, as comments."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ns3_scenarios.scenario import Preset
from sumo_mobility.base.contract import Choice, members_of
from sumo_mobility.base.documents import yaml_text
from sumo_mobility.base.registry import Registry

_UNITS = {
    "m": "m", "s": "s", "ms": "ms", "deg": "degrees", "db": "dB", "dbm": "dBm", "dbi": "dBi", "bps": "bit/s",
    "bytes": "bytes", "rb": "resource blocks", "share": "a share",
}  # fmt: skip
"""Units by the last word of a field's name."""
_BOUNDS = {"ge": "from {}", "gt": "above {}", "le": "to {}", "lt": "below {}"}


def preset_id(stem: str) -> str:
    """Returns an id made of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", stem.lower())[:60].strip("-") or "mine"


def own_preset(example: Preset, new_id: str, file: str) -> str:
    """Returns the text of a YAML file that loads as `example` does, but for its id.

    Settings that the example leaves at their defaults stand there as comments; without the `#` they are settings.

    Args:
        example: Where to begin.
        new_id: The id.
        file: The name that the file will have, for the commands in it.
    """
    given = example.model_dump(mode="json", exclude_unset=True) | {"id": new_id}
    lines = [
        f"# A preset of your own, begun as a copy of {example.id}. A line that begins with '#' and a name is a setting",
        "# at its default: remove the '#' to change it. Names of files are relative to this file.",
        "#",
        f"#   mlb scenario validate {file}             checks it, with all that it names",
        f"#   mlb scenario sites {file}                draws its cells",
        f"#   mlb mobility make --preset {file} --run runs/{new_id}",
    ]
    explained: set[str] = set()
    for name, field in Preset.model_fields.items():
        value = getattr(example, name)
        if isinstance(value, BaseModel):
            of_choice = _alternatives(field.annotation)
            lines += ["", f"{name}:", *_prose(of_choice)]
            for inner, inner_field in type(value).model_fields.items():
                lines += _setting(inner, inner_field, given.get(name, {}), "  ", explained)
        else:
            lines += ["", *_setting(name, field, given, "", explained)]
    return re.sub(r"\n\n(#\w)", r"\n\1", "\n".join(lines)) + "\n"


def _setting(name: str, field: FieldInfo, given: dict[str, Any], indent: str, explained: set[str]) -> Iterator[str]:
    """Yields the lines of one setting with its unit and its other possible values, unless these have been told."""
    value, mark = (given[name], "") if name in given else (field.get_default(), "#")
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    first, *rest = yaml_text({name: list(value) if isinstance(value, tuple) else value}).splitlines()
    if first.startswith("{"):
        first = first[1:-1]
    alternatives = _alternatives(field.annotation)
    if alternatives not in explained:
        yield from (indent + line.strip() for line in _prose(alternatives))
        explained.add(alternatives)
    about = "; ".join(filter(None, (_unit(name), _choices(field))))
    yield f"{indent}{mark}{first}" + (f"  # {about}" if about else "")
    yield from (f"{indent}{mark}{line}" for line in rest)


def _prose(text: str) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent="  # ", subsequent_indent="  # ") if text else []


def _unit(name: str) -> str:
    return _UNITS.get(name.rpartition("_")[2], "")


def _choices(field: FieldInfo) -> str:
    """Returns the values that a field may have, as far as one line can say it."""
    if field.description:
        return field.description
    names = [name for mark in field.metadata if isinstance(mark, Registry) for name in mark]
    literals = (
        names
        or _names(field.annotation)
        or [value for member in members_of(field.annotation) for value in _literals(member)]
    )
    if len(literals) > 1:
        return f"{', '.join(map(str, literals[:-1]))} or {literals[-1]}"
    if field.annotation is bool:
        return "true or false"
    bounds = {kind: getattr(rule, kind) for rule in field.metadata for kind in _BOUNDS if hasattr(rule, kind)}
    if isinstance(next(iter(bounds.values()), None), int | float):
        return " ".join(_BOUNDS[kind].format(f"{value:g}") for kind, value in bounds.items())
    return ""


def _names(annotation: Any) -> list[str]:
    """The names that a field may have because they are registered."""
    if get_origin(annotation) is Annotated:
        return [
            name
            for mark in get_args(annotation)
            if isinstance(mark, Registry) and not isinstance(mark, Choice)
            for name in mark
        ]
    return _names(get_args(annotation)[0]) if get_args(annotation) else []


def _literals(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _alternatives(annotation: Any) -> str:
    """The models that a field may hold, or a list's elements, with their fields; nothing if there is but one."""
    if get_origin(annotation) is tuple:
        annotation = get_args(annotation)[0]
    models = [member for member in members_of(annotation) if isinstance(member, type) and issubclass(member, BaseModel)]
    parts = []
    for model in models:
        fields = {name: _literals(field.annotation) for name, field in model.model_fields.items()}
        tag = next((name for name, values in fields.items() if values and isinstance(values[0], str)), "")
        head = f"{tag}: {' or '.join(fields.pop(tag))}" if tag else ""
        parts.append(f"{head} ({', '.join(fields)})" if head and fields else head or ", ".join(fields))
    return "; ".join(parts) if parts and get_origin(annotation) is not None else ""
