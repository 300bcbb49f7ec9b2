"""`mlb scenario`: what it writes loads again, and what it calls valid is there."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ns3_scenarios.scenario import PRESETS, Preset
from py_agent.cli import main

OPEN = {"map": "open:2000x1500", "ues": 6, "duration_s": 5, "settle_s": 0}


def scenario(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mlb", "scenario", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def write_preset(path: Path, **parts: Any) -> Path:
    preset = yaml.safe_load((PRESETS / "helsinki-event-v0.yaml").read_text())
    preset |= {"id": "mine", "mobility": preset["mobility"] | OPEN, "episode": {"steps": 5}, **parts}
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(preset))
    return path


def test_what_is_shown_is_yaml_that_loads_as_the_preset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    long = write_preset(tmp_path / "long.yaml", description="Ein langer Satz über [bold]Höhe[/bold]: " * 20)
    for name in ("helsinki-sector-v0", "line3-right-none-left-v0", str(long)):
        assert scenario(monkeypatch, "show", name) == 0
        (tmp_path / "my.yaml").write_text(capsys.readouterr().out)
        assert Preset.load(str(tmp_path / "my.yaml")) == Preset.load(name)


def test_a_new_preset_is_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert scenario(monkeypatch, "new", "My Town.yaml", "--from", "helsinki-sector-v0", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"id": "my-town", "file": "My Town.yaml"}
    before = Path("My Town.yaml").read_bytes()
    assert Preset.load("My Town.yaml").sites.sectors == 3
    for name, said in (("My Town.yaml", "My Town.yaml: exists"), ("town.txt", "name it town.yaml")):
        assert scenario(monkeypatch, "new", name) == 2
        assert said in capsys.readouterr().err
    assert scenario(monkeypatch, "new", "town.yaml", "--from", "helsinki") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["My Town.yaml"]
    assert Path("My Town.yaml").read_bytes() == before


def test_files_are_found_from_the_folder_of_the_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preset = write_preset(tmp_path / "presets" / "a.yaml", sites={"by": "file", "path": "../sites.csv"})
    (tmp_path / "sites.csv").write_text("x_m,y_m\n500,500\n1000,500\n")
    (tmp_path / "elsewhere").mkdir()
    for folder, name in (("elsewhere", "../presets/a.yaml"), ("presets", "a.yaml"), (".", str(preset))):
        monkeypatch.chdir(tmp_path / folder)
        assert scenario(monkeypatch, "validate", name) == 0
        loaded = Preset.load(name)
        (file,) = loaded.sites.files
        assert file == f"{tmp_path}/presets/../sites.csv"
        # What a run keeps is found from anywhere.
        assert Preset.parse(json.loads(loaded.model_dump_json()), "run").sites.files == (file,)
    own_map = write_preset(tmp_path / "presets" / "b.yaml", mobility={**OPEN, "map": "my.osm", "settle_s": 60,
                           "train_contexts": [{"name": "uniform"}], "test_contexts": [{"name": "tide"}]})  # fmt: skip
    assert Preset.load(str(own_map)).mobility.map == str(tmp_path / "presets" / "my.osm")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"sites": {"by": "file", "path": "sites.csv"}}, r"presets/sites.csv: no such file"),
        ({"sites": {"by": "k-means", "count": 3, "traces": ["t.parquet"]}}, r"presets/t.parquet: no such file"),
        ({"sites": {"by": "file", "path": "a\0b.csv"}}, r"sites.path: no name of a file"),
        ({"handover": {"neighbors": {"by": "count", "count": 99}}}, r"99 neighbours of each cell"),
        ({"sites": {"by": "listed", "positions_m": [[1, 1], [9000, 1]]}}, r"is off open:2000x1500"),
    ],
)
def test_what_is_not_there_or_does_not_fit_is_not_valid(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    parts: dict[str, Any],
    message: str,
) -> None:
    preset = write_preset(tmp_path / "presets" / "a.yaml", **parts)
    assert scenario(monkeypatch, "validate", str(preset)) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert "valid" not in said.out


def test_a_map_that_is_not_there_is_not_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    contexts = {"train_contexts": [{"name": "uniform"}], "test_contexts": [{"name": "uniform"}]}
    preset = write_preset(tmp_path / "a.yaml", mobility={**OPEN, **contexts, "map": "my.osm", "settle_s": 60})
    assert scenario(monkeypatch, "validate", str(preset)) == 2
    assert f"{tmp_path}/my.osm: no such file" in capsys.readouterr().err
    # What is downloaded when it is first used is not asked for.
    preset = write_preset(tmp_path / "b.yaml", mobility={**OPEN, **contexts, "map": "place:Nowhere", "settle_s": 60})
    assert scenario(monkeypatch, "validate", str(preset)) == 0
    assert "downloaded when it is first used" in capsys.readouterr().out


def test_the_schema_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    assert scenario(monkeypatch, "schema") == 0
    assert set(json.loads(out.getvalue())["required"]) == {"id", "description", "mobility", "sites"}
