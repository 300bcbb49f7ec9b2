"""A first preset of one's own: it loads as what it was copied from, and so does each setting in its comments."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ns3_scenarios.grids import TIMES_TO_TRIGGER_MS
from ns3_scenarios.own_preset import own_preset, preset_id
from ns3_scenarios.scenario import Preset, preset_ids


@pytest.mark.parametrize("name", preset_ids())
def test_it_loads_as_its_example_with_and_without_its_comments(name: str, tmp_path: Path) -> None:
    example, file = Preset.load(name), tmp_path / "my.yaml"
    text = own_preset(example, "my-town", "my.yaml")
    file.write_text(text)
    assert Preset.load(str(file)) == example.model_copy(update={"id": "my-town"})
    settings = re.findall(r"^ *#(\w+):", text, re.MULTILINE)
    assert {"a3_offset_db", "scheduler"} <= set(settings)
    file.write_text(re.sub(r"^( *)#(?=\w)", r"\1", text, flags=re.MULTILINE))
    assert Preset.load(str(file)) == example.model_copy(update={"id": "my-town"})
    assert "places_m: " not in text  # they follow from the sites


def test_units_and_choices_stand_beside_the_settings() -> None:
    text = own_preset(Preset.load("helsinki-event-v0"), "my-town", "my.yaml")
    for line in (
        "  #tx_power_dbm: 40.0  # dBm; from 0 to 60",
        "  #scheduler: pf  # pf or rr",
        "  #cio_range_db: 6.0  # dB; above 0 to 24",
        "#reward: load-std  # load-std, p5-throughput, jain, blocked or util",
        "  ues: 60  # from 1 to 1000",
        "  #t310_ms: 1000  # ms; one of (0, 50, 100, 200, 500, 1000, 2000)",
        f"  #time_to_trigger_ms: 256  # ms; one of {TIMES_TO_TRIGGER_MS}",
        "  #ping_pong_window_s: 1.0  # s; above 0 to 3600",
    ):
        assert line in text.splitlines()
    assert "open:WIDTHxHEIGHT" in text
    assert "event (x_share, y_share, radius_m" in text


@pytest.mark.parametrize(
    ("stem", "expected"),
    [("town", "town"), ("My Town_2", "my-town-2"), ("Жуковский", "mine"), ("-a-", "a"), ("x" * 300, "x" * 60)],
)
def test_an_id_is_made_of_the_files_name(stem: str, expected: str) -> None:
    assert preset_id(stem) == expected
