"""YAML and JSON from outside: plain values or an error that names the place, in bounded time and memory."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, ClassVar

import yaml
from yaml.constructor import ConstructorError

from sumo_mobility.base.errors import DataError

_LARGEST_BYTES = {"YAML": 1 << 18, "JSON": 1 << 26}
"""People write YAML, and its reader is slow; a scenario's JSON has a line for each number of a neighbour pair."""
_MOST_NODES = 30_000
"""The greatest number of nodes of a YAML document, each alias counted as the nodes that it stands for."""
_DEEPEST = 40
_LONGEST_DIGITS = 20
"""The greatest number of digits of an integer, which is to fit into 64 bits."""
_TAG = "tag:yaml.org,2002:"


def read_yaml(path: Path) -> Any:
    """Reads a YAML file; see `parse_yaml`."""
    return parse_yaml(_read(path, "YAML"), str(path))


def read_json(path: Path) -> Any:
    """Reads a JSON file; see `parse_json`."""
    return parse_json(_read(path, "JSON"), str(path))


def parse_yaml(text: str | bytes, where: str) -> Any:
    """Returns the values of one YAML document: dictionaries with text as keys, lists, text, numbers, booleans, None.

    Numbers are those of YAML 1.2: 1e6 is one, and neither 1:30 nor a date is. Aliases are followed.

    Args:
        text: The document; bytes are UTF-8, or UTF-16 with a byte order mark.
        where: What errors name: the file, the option.

    Raises:
        DataError: it is not YAML, names a key twice, has a tag of another kind, is nested too deeply, or aliases make
            it too large; with line and column.
    """
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ": ".join(part for part in (error.context, error.problem) if part)
    except yaml.reader.ReaderError as error:
        cure = "save the file as text in UTF-8"
        raise DataError(f"{where}: character {error.position + 1} is no text ({error.reason})", cure) from None
    except (ValueError, OverflowError) as error:  # PyYAML does not check numbers in escapes and directives
        mark, what = loader.get_mark() if loader else None, str(error)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    raise DataError(f"{where}: {place}{printable(what, 200)}", "mend the YAML there")


def parse_json(text: str | bytes, where: str) -> Any:
    """Returns the values of one JSON document.

    Args:
        text: The document; bytes are UTF-8, UTF-16 or UTF-32.
        where: What errors name.

    Raises:
        DataError: it is not JSON, names a key twice, is nested too deeply, or has a number that is not finite or has
            more than 64 bits.
    """
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_int=_integer, parse_float=_finite, parse_constant=_finite
        )
    except RecursionError:
        raise DataError(f"{where}: is nested too deeply") from None
    except ValueError as error:  # also UnicodeDecodeError, JSONDecodeError
        raise DataError(f"{where}: not readable as JSON ({error})") from None


def yaml_text(data: Any) -> str:
    """Returns plain values as YAML that `parse_yaml` reads as the same; innermost lists and mappings in one line."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=math.inf, default_flow_style=None)


def shown(value: object, longest: int = 60) -> str:
    """Returns a value as a message can hold it: scalars cut off, lists and mappings by their kind."""
    match value:
        case dict():
            return "a mapping"
        case list() | tuple() | set():
            return f"a list of {len(value)}"
        case str() | bytes():
            text = repr(value[: longest + 1])
        case int() if abs(value) >= 10**longest:
            return "a huge integer"
        case _:
            text = repr(value)
    return text if len(text) <= longest + 2 else f"{text[:longest]}..."


def printable(text: str, longest: int = 60) -> str:
    """Returns text as a message can hold it: in one line, cut off, without what a terminal would obey."""
    cut = text if len(text) <= longest else f"{text[:longest]}..."
    return cut if cut.isprintable() else repr(cut)[1:-1]


def _read(path: Path, kind: str) -> bytes:
    limit = _LARGEST_BYTES[kind]
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: not a file", f"name a {kind} file")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: not a readable {kind} file ({reason})") from None
    if len(data) > limit:
        raise DataError(f"{path}: larger than {limit >> 10} KiB, which no {kind} file here is")
    return data


def _integer(text: str) -> int:
    if len(text.lstrip("+-")) > _LONGEST_DIGITS:
        raise ValueError(f"an integer of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {shown(text)} is not finite")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for key, value in pairs:
        if key in known:
            raise ValueError(f"the key {shown(key)} is given twice")
        known[key] = value
    return known


class _Loader(yaml.SafeLoader):
    """SafeLoader without dates, base-60 and octal numbers, that checks what it has read before it builds anything."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    yaml_constructors: ClassVar[dict[str | None, Any]] = {
        tag: yaml.SafeLoader.yaml_constructors[tag]
        for tag in (None, *(_TAG + kind for kind in ("null", "str", "seq", "map")))
    }
    _depth = 0
    _nodes = 0

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        """Refuses what is so long or nested so deeply that Python would not come to its end."""
        self._depth += 1
        self._count(self._depth, self.peek_event())
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def get_single_node(self) -> yaml.Node | None:
        """Returns the checked root."""
        root = super().get_single_node()
        if root:
            self._nodes = 0
            self._check(root, 1)
        return root

    def _count(self, depth: int, of: Any) -> None:
        self._nodes += 1
        if self._nodes > _MOST_NODES or depth > _DEEPEST:
            what = f"has more than {_MOST_NODES} values, or is more than {_DEEPEST} deep; aliases count in full"
            raise ConstructorError(None, None, what, of.start_mark)

    def _check(self, node: yaml.Node, depth: int) -> None:
        """Refuses what aliases make too large or endless, and keys that are no text or are named twice."""
        self._count(depth, node)
        if isinstance(node, yaml.SequenceNode):
            for part in node.value:
                self._check(part, depth + 1)
        elif isinstance(node, yaml.MappingNode):
            known = set()
            for key, value in node.value:
                if key.tag not in (_TAG + "str", _TAG + "merge"):
                    raise ConstructorError(None, None, "a key must be text: put it in quotes", key.start_mark)
                if key.value in known:
                    raise ConstructorError(None, None, f"the key {shown(key.value)} is given twice", key.start_mark)
                known.add(key.value)
                self._check(value, depth + 1)

    def construct_simple(self, node: yaml.ScalarNode) -> bool | int | float:
        """Builds a boolean, an integer or a float, all of which `!!` may promise in vain."""
        text = self.construct_scalar(node).replace("_", "").lower()
        try:
            match node.tag.removeprefix(_TAG):
                case "bool":
                    return self.bool_values[text]
                case "int":
                    return _integer(text)
                case _:
                    return float(re.sub(r"^([-+]?)\.(inf|nan)", r"\1\2", text))
        except (KeyError, ValueError):
            what = f"{shown(text)} is no {node.tag.removeprefix(_TAG)}"
            raise ConstructorError(None, None, what, node.start_mark) from None


class _Dumper(yaml.SafeDumper):
    """Puts text into quotes where `_Loader`, or another reader of YAML, would take it for something else."""

    def ignore_aliases(self, data: object) -> bool:
        """Writes everything out."""
        return True


def _teach() -> None:
    """Tells both which plain scalars are more than text: null and booleans as in YAML 1.1, numbers as in YAML 1.2."""
    stock = {tag: pattern for rules in yaml.SafeLoader.yaml_implicit_resolvers.values() for tag, pattern in rules}
    number = r"[-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    rules = (
        ("null", stock[_TAG + "null"], ["~", "n", "N", ""]),
        ("bool", stock[_TAG + "bool"], list("yYnNtTfFoO")),
        ("merge", stock[_TAG + "merge"], ["<"]),
        ("int", re.compile(r"[-+]?[0-9][0-9_]*\Z"), list("-+0123456789")),
        ("float", re.compile(rf"(?:{number})\Z"), list("-+.0123456789")),
    )
    for kind, pattern, first in rules:
        for worker in (_Loader, _Dumper):
            worker.add_implicit_resolver(_TAG + kind, pattern, first)
    for kind in ("bool", "int", "float"):
        _Loader.add_constructor(_TAG + kind, _Loader.construct_simple)


_teach()
