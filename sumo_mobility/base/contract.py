"""The base of all contracts: frozen pydantic models that refuse unknown fields and say where they fail."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.base.files import write_text


class Contract(BaseModel):
    """A frozen record with units in its field names; unknown fields and NaN are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, data: Any, where: str) -> Self:
        """Validates `data`; a ConfigError names `where`, the field path and the nearest known key."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            lines = [_describe(detail, cls) for detail in error.errors()]
            raise ConfigError(f"{where}: " + "; ".join(lines)) from None

    @classmethod
    def read_yaml(cls, path: Path) -> Self:
        """Reads one YAML file."""
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise DataError(f"{path}: not a readable YAML file ({error})") from None
        return cls.parse(data, str(path))

    @classmethod
    def read_json(cls, path: Path) -> Self:
        """Reads one JSON file."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise DataError(f"{path}: not a readable JSON file ({error})") from None
        return cls.parse(data, str(path))

    def write_json(self, path: Path) -> None:
        """Writes the record as indented JSON, atomically."""
        write_text(path, self.model_dump_json(indent=2) + "\n")


def nearest(name: str, known: list[str]) -> str:
    """Returns a hint such as " (did you mean 'x'?)", or the list of what is known."""
    match = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" (did you mean '{match[0]}'?)" if match else f" (known: {', '.join(known)})"


def _describe(detail: ErrorDetails, model: type[BaseModel]) -> str:
    owner, path = _resolve(model, detail["loc"])
    where = ".".join(path)
    if detail["type"] == "extra_forbidden":
        return f"{where}: unknown key{nearest(path[-1], list(owner.model_fields))}"
    return f"{where}: {detail['msg']}, got {detail['input']!r:.80}"


def _resolve(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[type[BaseModel], list[str]]:
    """Follows a location of pydantic's to the model that holds its last part, as far as it can be named.

    Returns:
        That model, and the path as people write it: pydantic puts the tags of discriminated unions into it.
    """
    path: list[str] = []
    members: dict[str, type[BaseModel]] = {}
    inner = model
    for part in map(str, location):
        if part in members:
            inner, members = members[part], {}
            continue
        path.append(part)
        model, members = inner, {}
        field = model.model_fields.get(part)
        if field is None:
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            inner = field.annotation
        elif isinstance(field.discriminator, str):
            members = {
                tag: member
                for member in get_args(field.annotation)
                for tag in get_args(member.model_fields[field.discriminator].annotation)
            }
    return model, path
