"""The base of all contracts: frozen pydantic models that refuse unknown fields and say where they fail."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Self, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails, PydanticSerializationError, to_json

from sumo_mobility.base.documents import printable, read_json, read_yaml, shown
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.base.files import write_text

_MOST_ERRORS = 5


class Contract(BaseModel):
    """A frozen record with units in its field names; unknown fields and NaN are refused.

    What is read is taken strictly: neither `yes` nor "5" is a number, and 5.0 is no integer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, data: Any, where: str, folder: Path | None = None) -> Self:
        """Validates `data`; a ConfigError names `where`, the field path and the nearest known key.

        Args:
            data: Plain values, as of YAML or JSON; models stand for their fields.
            where: What errors name.
            folder: What the names of files in it are relative to; None: the working directory.
        """
        try:
            # As JSON, for there a strict model takes a list for a tuple and text for a path.
            text = to_json(data)
            return cls.model_validate_json(text, strict=True, context={"folder": folder})
        except ValidationError as error:
            raise ConfigError(f"{where}: {described(error, cls)}") from None
        except PydanticSerializationError:
            raise ConfigError(f"{where}: holds text that is no Unicode", "write it anew") from None

    @classmethod
    def read_yaml(cls, path: Path) -> Self:
        """Reads one YAML file, in which the names of files are relative to its folder."""
        return cls.parse(read_yaml(path), str(path), path.parent.resolve())

    @classmethod
    def read_json(cls, path: Path) -> Self:
        """Reads one JSON file."""
        return cls.parse(read_json(path), str(path))

    def write_json(self, path: Path) -> None:
        """Writes the record as indented JSON, atomically."""
        write_text(path, self.model_dump_json(indent=2) + "\n")


def nearest(name: str, known: list[str]) -> str:
    """Returns a hint such as " (did you mean 'x'?)", or the list of what is known."""
    match = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" (did you mean '{match[0]}'?)" if match else f" (known: {', '.join(known)})"


def from_folder(name: str, info: ValidationInfo) -> str:
    """Returns the name of a file as it is found from anywhere: relative to the file that names it.

    Raises:
        ValueError: it is no name.
    """
    if not name.isprintable() or not 0 < len(name) <= _LONGEST_PATH:
        raise ValueError(f"no name of a file, which has 1 to {_LONGEST_PATH} printable characters")
    folder = (info.context or {}).get("folder")
    return str(folder / name) if folder else name


_LONGEST_PATH = 4000
FileName = Annotated[str, AfterValidator(from_folder)]
"""The name of a file; what is read from YAML has it relative to the YAML's folder."""


def described(error: ValidationError, model: type[BaseModel]) -> str:
    """Says what is wrong in one line; what is wrong within a value stands for what that makes wrong with it."""
    found = [(_resolve(model, detail["loc"]), detail) for detail in error.errors(include_url=False)]
    paths = [path for (_, path), _ in found]
    lines = [
        _sentence(detail, owner, path)
        for (owner, path), detail in found
        if not any(len(other) > len(path) and other[: len(path)] == path for other in paths)
    ]
    more = [f"and {len(lines) - _MOST_ERRORS} more"] if len(lines) > _MOST_ERRORS else []
    return "; ".join([*lines[:_MOST_ERRORS], *more])


def _sentence(detail: ErrorDetails, owner: type[BaseModel], path: list[str]) -> str:
    value, kind, context = detail["input"], detail["type"], detail.get("ctx", {})
    got = f", got {shown(value)}"
    match kind:
        case "extra_forbidden":
            what = f"unknown key{nearest(path[-1], list(owner.model_fields))}"
        case "missing":
            what = "is missing"
        case "model_type" | "model_attributes_type" | "dict_type":
            what = f"must be a mapping of keys{got}"
        case "tuple_type" | "list_type":
            what = f"must be a list{got}"
        case "too_short" | "too_long":
            bound = f"{context['min_length']} at least" if kind == "too_short" else f"{context['max_length']} at most"
            what = f"has {context['actual_length']} elements, but must have {bound}"
        case "union_tag_not_found":
            what = f"needs the key {context['discriminator']}"
        case "union_tag_invalid":
            name = context["discriminator"].strip("'()")  # or the function that finds it
            what = f"{name} = {shown(context['tag'])} is not one of {context['expected_tags']}"
        case "value_error":
            what = str(context["error"]) + ("" if isinstance(value, dict | list) else got)
        case _:
            what = detail["msg"].replace("Input should be", "must be", 1) + got
    return f"{'.'.join(path)}: {what}" if path else what


def _resolve(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[type[BaseModel], list[str]]:
    """Follows a location of pydantic's to the model that holds its last part, as far as it can be named.

    Returns:
        That model, and the path as people write it: pydantic puts the members of unions into it.
    """
    path: list[str] = []
    owner: type[BaseModel] = model
    here: Any = model
    tagged = False  # whether a tag comes next: a union that is to grow may have one member
    for part in location:
        members = members_of(here)
        if len(members) > 1 or tagged:
            here = next((member for member in members if part in _tags(member)), None)
            tagged = False
            continue
        (here,) = members
        if part == "[key]":
            continue
        path.append(printable(str(part)))
        if isinstance(here, type) and issubclass(here, BaseModel):
            owner = here
            field = here.model_fields.get(str(part))
            here = field.annotation if field else None
            for mark in field.metadata if field else ():
                if isinstance(mark, Choice):
                    here = Annotated[here, mark]
            tagged = field is not None and any(isinstance(item, Discriminator) for item in field.metadata)
        elif get_origin(here) in (tuple, list, dict):
            here = get_args(here)[-2 if get_args(here)[-1] is Ellipsis else -1]
        else:
            here = None
    return owner, path


class Choice:
    """A mark in annotations that stands for a union of models, whose members are told apart by a tag."""

    def members(self) -> list[type[BaseModel]]:
        """Returns the models."""
        raise NotImplementedError


def members_of(annotation: Any) -> list[Any]:
    """Returns the members of a union type other than None, or the type itself if it is no union."""
    while get_origin(annotation) is Annotated:
        annotation, *marks = get_args(annotation)
        for mark in marks:
            if isinstance(mark, Choice):
                return list(mark.members())
    if get_origin(annotation) in (Union, UnionType):
        return [only for member in get_args(annotation) if member is not NoneType for only in members_of(member)]
    return [annotation]


def _tags(member: Any) -> Iterator[object]:
    """All literals by which a member of a union may be told."""
    if isinstance(member, type) and issubclass(member, BaseModel):
        for field in member.model_fields.values():
            yield from get_args(field.annotation)
