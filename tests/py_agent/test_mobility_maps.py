"""`mlb mobility make` on maps that the command line names, the downloaded ones from a server on a loopback port."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import openstreetmap
import osmnx
import pytest
import yaml

from ns3_scenarios.scenario import PRESETS, Preset
from py_agent.cli import main
from py_agent.rundir import RunDirectory
from sumo_mobility.maps import find_map
from sumo_mobility.open_ground import OpenGround

SMALL = {"ues": 8, "duration_s": 20, "settle_s": 60}


def mobility(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    preset = yaml.safe_load((PRESETS / "helsinki-event-v0.yaml").read_text())
    preset |= {"mobility": {**preset["mobility"], **SMALL}, "episode": {"steps": 20}}
    preset["sites"] = {"inter_site_distance_m": 300}
    (folder / "preset.yaml").write_text(yaml.safe_dump(preset))
    given = ["--preset", str(folder / "preset.yaml"), "--train-traces", "1", "--test-traces", "1", "--workers", "1"]
    monkeypatch.setattr(sys, "argv", ["mlb", "mobility", "make", *given, "--run", str(folder / "run"), *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


@pytest.mark.sumo
def test_a_box_is_downloaded_for_a_run_that_can_be_resumed_without_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(osmnx.settings, "requests_kwargs", {"proxies": {"http": ""}})
    box = ("--bbox", "24.94,60.165,24.952,60.171")
    with openstreetmap.serve() as server:
        assert mobility(tmp_path, monkeypatch, *box, "--overpass-url", f"{server.url}/api") in (0, None)
        assert len(server.requests) == 1
    run = RunDirectory(tmp_path / "run")
    scenario = run.scenario()
    assert scenario.mobility.map == "bbox:24.94,60.165,24.952,60.171"
    assert scenario.id == "helsinki-event-on-bbox-24-94-60-165-24-952-60-171-v0"
    assert [trace.metadata.map_name for trace in run.traces("train")] == [scenario.mobility.map]
    run.trace_path("test", 0).with_suffix(".json").unlink()
    assert mobility(tmp_path, monkeypatch, *box, "--resume") in (0, None)
    assert len(run.traces("test")) == 1


def test_only_one_map_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mobility(tmp_path, monkeypatch, "--map", "berlin-adlershof", "--place", "Adlershof") == 2
    assert capsys.readouterr().err == "error: --map, --bbox and --place name 2 maps\n  cure: give one of them\n"
    assert mobility(tmp_path, monkeypatch, "--bbox", "-0.1,51.6,0.1,51.5") == 2
    assert "map 'bbox:-0.1,51.6,0.1,51.5': a box is W,S,E,N in degrees" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_preset_on_another_map_is_another_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preset = Preset.load("helsinki-event-v0")
    moved = preset.on_map(find_map("berlin-adlershof"))
    assert (moved.id, moved.mobility.map) == ("helsinki-event-on-berlin-adlershof-v0", "berlin-adlershof")
    assert moved.description == "helsinki-event-v0 on another map: Adlershof, Berlin, Germany."
    assert moved.model_copy(update={"id": preset.id, "description": preset.description}).model_dump() == {
        **preset.model_dump(),
        "mobility": {**preset.mobility.model_dump(), "map": "berlin-adlershof"},
    }
    ground = preset.on_map(OpenGround.find("open:1500x500"))
    assert (ground.id, ground.mobility.map) == ("helsinki-event-on-open-1500x500-v0", "open:1500x500")
    own = preset.model_copy(update={"id": "my-town"})
    assert own.on_map(find_map("berlin-adlershof")).id == "my-town-on-berlin-adlershof"
    far = own.on_map(OpenGround.find("open:1500x500")).model_copy(update={"id": "a-" * 50 + "town-v3"})
    assert re.fullmatch("(a-){50}town-on-berlin[a-z-]*-v3", far.on_map(find_map("berlin-adlershof")).id)
    (tmp_path / "Жуковский.osm").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    own = preset.on_map(find_map("Жуковский.osm"))
    assert own.mobility.map == str(tmp_path / "Жуковский.osm")
    assert own.id == "helsinki-event-on-e3b0c442-v0"


def test_open_ground_needs_no_sumo_and_takes_any_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sumo_mobility.sumo.sumo_home", lambda: pytest.fail("SUMO was looked for"))
    assert mobility(tmp_path, monkeypatch, "--map", "open:1200x800") in (0, None)
    run = RunDirectory(tmp_path / "run")
    (trace,) = run.traces("test")
    assert (trace.metadata.map_name, trace.metadata.context) == ("open:1200x800", "event")
    assert trace.position_m.max() <= 1200
    assert len(run.scenario().cells) > 4
