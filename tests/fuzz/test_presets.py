"""Presets as hostile YAML, and `--do`: a preset, or an error of the family, soon."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from harness import hostile, survives, survives_file
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ns3_scenarios.scenario import PRESETS, Preset
from py_agent.cli.traces import changes_of
from sumo_mobility.base.documents import yaml_text
from sumo_mobility.base.errors import MlbError

SEEDS = [path.read_bytes() for path in sorted(PRESETS.glob("*.yaml"))]
TOKENS = (
    b"&a ", b"*a", b"<<: *a", b"!!int ", b"!!float ", b"!!bool ", b"!!binary ", b"!!set ", b"!!python/name:os.system ",
    b"- ", b"? ", b": ", b"|\n", b">\n", b"%YAML 9.9\n", b"---\n", b"...\n", b'"\\UFFFFFFFF"', b'"\\uD800"', b"\t",
    b"&a [*a]", b"yes", b"0o7", b"1:30", b".inf", b"-0.0", b"1e6", b"{name: event}", b"\xc2\x85", b"\xe2\x80\xa8",
)  # fmt: skip
BOMB = b"id: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + b"".join(
    b"%c: &%c [%s]\n" % (name, name, b", ".join(9 * [b"*%c" % (name - 1)])) for name in b"bcdefghi"
)
FIXTURES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def load(path: Path) -> None:
    """Reads a preset; what loads is shown, and loads again as the same."""
    preset = Preset.load(str(path))
    path.write_text(yaml_text(preset.model_dump(mode="json")), encoding="utf-8")
    assert Preset.load(str(path)) == preset
    assert re.fullmatch("[a-z0-9-]+", preset.id)


@FIXTURES
@given(hostile(SEEDS, TOKENS))
@example(BOMB)
@example(b"[" * 3000)
@example(b"id: !!int abc")
@example(b"id: 2026-99-99")
@example(b"id: " + b"9" * 5000)
@example(b'"\\UFFFFFFFF"')
@example(b"%YAML " + b"9" * 5000 + b".1\n---\n{}")
@example(b'id: "\\uD800"')
def test_damaged_presets(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    survives_file(load, tmp_path_factory.getbasetemp() / "damaged.yaml", content)


def values_of(data: Any) -> list[tuple[Any, ...]]:
    """The places of all values in it, as paths."""
    parts = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path for key, value in parts for path in [(key,), *((key, *more) for more in values_of(value))]]


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just("x" * 5000), st.just(10**19),
    st.sampled_from(["-1", "1e309", "open:0x0", "bbox:1,2,3", "bbox:nan,nan,nan,nan", "place:", "../x.osm", "\0.osm"]),
    st.lists(st.integers() | st.floats(), max_size=3), st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
    st.just([[[]]] * 200), st.just({f"k{index}": index for index in range(200)}),
)  # fmt: skip


@st.composite
def odd_presets(draw: st.DrawFn) -> dict[str, Any]:
    """Good presets in which a few values are others, or keys."""
    preset = draw(st.sampled_from([Preset.load(path.stem) for path in PRESETS.glob("*.yaml")]))
    data: dict[str, Any] = preset.model_dump(mode="json")
    for path in draw(st.lists(st.sampled_from(values_of(data)), min_size=1, max_size=3)):
        here: Any = data
        try:
            for key in path[:-1]:
                here = here[key]
            here[draw(st.text(max_size=8)) if draw(st.integers(0, 9)) == 0 else path[-1]] = draw(ODD)
        except (KeyError, TypeError, IndexError):
            pass  # an earlier change removed the place
    return data


@FIXTURES
@given(odd_presets())
def test_presets_with_odd_values(tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]) -> None:
    survives(lambda: Preset.parse(data, "preset"))
    try:
        text = yaml_text(data).encode("utf-8")
    except UnicodeEncodeError:
        return
    survives_file(load, tmp_path_factory.getbasetemp() / "odd.yaml", text)


@given(
    st.text(max_size=40) | hostile([b"{name: event, x_share: 0.3}"], TOKENS).map(lambda data: data.decode("latin-1"))
)
@example("[" * 3000)
@example("true")
def test_causes_that_are_changed(text: str) -> None:
    for key in ("context", "context.x_share", "drivers", ""):
        survives(lambda key=key: changes_of((f"{key}={text}",)))  # type: ignore[misc]
    with pytest.raises(MlbError):
        changes_of(("drivers=true",))
