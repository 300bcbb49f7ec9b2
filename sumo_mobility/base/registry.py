"""Registries: what there is of one kind (rewards, policies, back ends), by name, and the plug-ins that add to them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from sumo_mobility.base.contract import nearest
from sumo_mobility.base.documents import printable
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.base.progress import note

PLUGINS_VARIABLE = "MLB_PLUGINS"
"""Environment variable that names modules to import, separated by commas."""
PLUGINS_GROUP = "mlb_testbed.plugins"
"""Entry points of installed packages whose modules are imported."""


Entry = TypeVar("Entry")
Class = TypeVar("Class")


@dataclass(frozen=True)
class Lazy(Generic[Class]):
    """A class by a name, which is imported when it is first asked for, since some need libraries that load slowly.

    Attributes:
        name: Its name.
        path: Where it is, as "module:class".
        title: What it is, in a few words, for help texts and reports; the name if it is empty.
    """

    name: str
    path: str
    title: str = ""

    def __post_init__(self) -> None:
        if not self.title:
            object.__setattr__(self, "title", self.name)  # the dataclass is frozen

    def load(self) -> type[Class]:
        """Imports the class.

        Raises:
            ConfigError: there is no such module or class.
        """
        module, _, name = self.path.partition(":")
        try:
            found: type[Class] = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"{self.name}: {self.path} cannot be loaded ({error})", "register another path"
            ) from error
        return found


class Registry(Mapping[str, Entry]):
    """All entries of one kind by name, in the order of their registration.

    Whoever looks something up first imports the plug-ins: the modules that the environment variable MLB_PLUGINS names,
    and the entry points `mlb_testbed.plugins` of installed packages. A plug-in that cannot be imported is named on
    stderr, and left out.

    Args:
        kind: What the entries are, in the singular, for messages.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    __hash__ = object.__hash__  # a mark in annotations

    def register(self, entry: Entry) -> Entry:
        """Adds an entry, and returns it.

        Raises:
            ConfigError: another entry has that name.
        """
        name = self._name_of(entry)
        if name in self._entries:
            raise ConfigError(f"{self.kind} '{name}' is registered twice", "give one of them another name")
        self._entries[name] = entry
        return entry

    def _name_of(self, entry: Any) -> str:
        """The name by which presets, options and files refer to an entry."""
        return str(entry.name)

    def known(self, name: str) -> str:
        """Returns a name if there is such an entry; made for pydantic's AfterValidator.

        Raises:
            ValueError: there is none; names the nearest one.
        """
        if name not in self:
            raise ValueError(self._unknown(name))
        return name

    def __getitem__(self, name: str) -> Entry:
        """Returns an entry.

        Raises:
            ConfigError: there is none of that name; names the nearest one, and all.
        """
        _import_plugins()
        try:
            return self._entries[name]
        except KeyError:
            raise ConfigError(self._unknown(name)) from None

    def _unknown(self, name: str) -> str:
        hint, all_ = nearest(name, list(self._entries)), ", ".join(self._entries)
        # Where nothing is near, the hint has all names.
        return f"unknown {self.kind} '{printable(name)}'{hint}" + ("" if all_ in hint else f"; there are {all_}")

    def __contains__(self, name: object) -> bool:
        _import_plugins()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        _import_plugins()
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        _import_plugins()
        return len(self._entries)


@cache
def _import_plugins() -> None:
    """Imports every plug-in, once in a process."""
    named = [name.strip() for name in os.environ.get(PLUGINS_VARIABLE, "").split(",")]
    for name in [*filter(None, named), *(point.value for point in entry_points(group=PLUGINS_GROUP))]:
        try:
            importlib.import_module(name)
        except Exception as error:
            note(f"plug-in {name} is left out: {type(error).__name__}: {error}")
