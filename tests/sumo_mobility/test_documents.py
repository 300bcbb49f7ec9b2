"""YAML and JSON from outside: what is read, and that what is refused says where, soon."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sumo_mobility.base.documents import parse_json, parse_yaml, printable, read_json, read_yaml, shown, yaml_text
from sumo_mobility.base.errors import DataError

BOMB = "a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" + "".join(
    f"{name}: &{name} [{', '.join(9 * ['*' + before])}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e6", 1e6),
        ("-1.5E-3", -0.0015),
        ("[.5, 5., 1_000, +7, 010]", [0.5, 5.0, 1000, 7, 10]),
        ("[yes, off, ~, null, .inf]", [True, False, None, None, float("inf")]),
        # In YAML 1.1 these are 90, a date and 16; in YAML 1.2 text or, as here, no number that anybody means.
        ("[1:30, 2026-11-27, 0x10]", ["1:30", "2026-11-27", "0x10"]),
        ("{a: &x {b: 1}, c: *x}", {"a": {"b": 1}, "c": {"b": 1}}),
        ("{base: &x {a: 1, b: 2}, more: {<<: *x, b: 3}}", {"base": {"a": 1, "b": 2}, "more": {"a": 1, "b": 3}}),
        ("", None),
    ],
)
def test_yaml_is_read_as_meant(text: str, value: object) -> None:
    assert parse_yaml(text, "x") == value
    assert parse_yaml(text.encode("utf-16"), "x") == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, r"line \d+, column \d+: has more than \d+ values"),
        ("a: &x [*x]", "line 1, column 4: has more than"),
        ("[" * 3000, "line 1, column 41: .* more than 40 deep"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1: the key 'a' is given twice"),
        ("a: {b: 1, 'b': 2}", "line 1, column 11: the key 'b' is given twice"),
        ("ues: 5\n1: 2", "line 2, column 1: a key must be text: put it in quotes"),
        ("a: !!int abc", "line 1, column 4: 'abc' is no int"),
        ("a: !!float ''", "line 1, column 4: '' is no float"),
        ("a: !!bool perhaps", "line 1, column 4: 'perhaps' is no bool"),
        ("a: " + "9" * 5000, r"line 1, column 4: '9+\.\.\. is no int"),
        ("a: !!timestamp 2026-99-99", "line 1, column 4: .*timestamp"),
        ("a: !!python/object:os.system x", "line 1, column 4: .*os.system"),
        ("a: b: c", "line 1, column 5: mapping values are not allowed here"),
        ("a: [1, 2", r"line 1, column 9: .*expected ',' or ']'"),
        ("a: 1\n---\nb: 2", "line 2, column 1: expected a single document"),
        ('a: "\\UFFFFFFFF"', "line 1, column"),
        ("%YAML " + "9" * 5000 + ".1\n---\na: 1", "line 1, column 7"),
        ("a: \x00", "character 4 is no text"),
    ],
)
def test_damaged_yaml_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"^x: {message}") as refused:
        parse_yaml(text, "x")
    assert len(refused.value.message) < 300
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' is given twice"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "an integer of 5000 digits"),
        ("[NaN]", "'NaN' is not finite"),
        ("1e999", "'1e999' is not finite"),
        ('{"a": }', "line 1 column 7"),
        (b"\xff{}", "not readable as JSON"),
        ("", "not readable as JSON"),
    ],
)
def test_damaged_json_is_refused(text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_json(text, "x")


@pytest.mark.parametrize("read", [read_json, read_yaml])
def test_what_is_no_such_file_is_refused_at_once(tmp_path: Path, read: Any) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"")
    os.truncate(tmp_path / "large", 1 << 30)
    for name, message in (("absent", "No such file"), (".", "not a file"), ("fifo", "not a file"), ("large", "KiB")):
        with pytest.raises(DataError, match=message):
            read(tmp_path / name)
    with pytest.raises(DataError, match="null"):
        read(Path("a\0b"))


def test_values_in_messages_are_short_and_safe() -> None:
    endless: dict[str, Any] = {}
    endless["a"] = endless
    assert shown(endless) == "a mapping"
    assert shown([1] * 5000) == "a list of 5000"
    assert len(shown("x" * 10_000_000)) < 70
    assert shown(10**5000) == "a huge integer"
    assert shown("\x1b[31m\n") == r"'\x1b[31m\n'"
    assert printable("\x1b[31m\n") == r"\x1b[31m\n"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]))
    | st.sampled_from(["1e6", "yes", "1:30", "2026-11-27", "", "~", "0x1", "<<", "=", "- a", "a: b", "#", "1_0", ".5"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc-<1eyn", max_size=5), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(PLAIN)
def test_what_is_written_as_yaml_is_read_as_the_same(value: object) -> None:
    assert parse_yaml(yaml_text(value), "x") == value
