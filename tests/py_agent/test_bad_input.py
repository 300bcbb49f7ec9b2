"""Bad input ends a command with exit code 2, an error that names it and its cure, and no half-written file."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import made_network
import numpy as np
import pandas as pd
import pytest
import yaml

from ns3_scenarios.bridge.backend import MAX_UES
from ns3_scenarios.scenario import PRESETS
from py_agent.cli import main
from py_agent.rundir import RunDirectory
from sumo_mobility.base.files import sha256

STEPS = made_network.STEPS


def refusal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """What a command that is refused says."""
    monkeypatch.setattr(sys, "argv", ["mlb", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr().err
    assert end.value.code == 2, said
    # On a slow machine lines of progress come first.
    assert re.fullmatch(r"([^\n]+ % in [^\n]+\n)*error: .+(\n  cure: .+)?\n", said), said
    return said


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("radio", {"dl_bandwidth_rb": 30}, "radio.dl_bandwidth_rb"),
        ("handover", {"hysteresis": 2}, "handover.hysteresis"),
        ("handover", {"time_to_trigger_ms": 250}, "handover.time_to_trigger_ms"),
        ("traffic", {"offered_bps": "fast"}, "traffic.offered_bps"),
        ("episode", {"steps": 30, "warmup_s": 1.5}, "episode.warmup_s"),
        ("episode", {"steps": 31}, "mobility.duration_s = 30.0 is shorter than the episode's"),
        ("observation", "everything", "observation"),
    ],
)
def test_a_preset_that_the_schema_refuses(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    value: object,
    message: str,
) -> None:
    preset = yaml.safe_load((PRESETS / "helsinki-event-v0.yaml").read_text())
    (tmp_path / "preset.yaml").write_text(yaml.safe_dump(preset | {part: value}))
    assert message in refusal(capsys, monkeypatch, "scenario", "validate", str(tmp_path / "preset.yaml"))
    before = files(tmp_path)
    refusal(
        capsys,
        monkeypatch,
        "mobility",
        "make",
        "--preset",
        str(tmp_path / "preset.yaml"),
        "--run",
        str(tmp_path / "run"),
    )
    assert files(tmp_path) == before


def test_sites_with_no_neighbour(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = yaml.safe_load((PRESETS / "helsinki-event-v0.yaml").read_text())
    preset["handover"] = {"neighbors": {"by": "distance", "within_m": 100}}
    (tmp_path / "preset.yaml").write_text(yaml.safe_dump(preset))
    arguments = ["--preset", str(tmp_path / "preset.yaml"), "--run", str(tmp_path / "run")]
    assert re.search(
        "cell 0 has no neighbour.*\n  cure: raise", refusal(capsys, monkeypatch, "mobility", "make", *arguments)
    )
    assert list(files(tmp_path)) == ["preset.yaml"]


def test_an_unwritable_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    said = refusal(capsys, monkeypatch, "mobility", "make", "--run", str(tmp_path / "file" / "run"))
    assert "file/run" in said
    assert "Not a directory" in said


def run_with_trace(folder: Path) -> RunDirectory:
    """A run whose one trace is whole."""
    run = RunDirectory(folder / "run")
    run.path.mkdir()
    run.scenario_path.write_text(made_network.scenario().model_dump_json())
    made_network.trace().write(run.trace_path("train", 0))
    return run


def ends_early(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["time_s"] < STEPS - 0.4]


def lacks_a_ue(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["ue_id"] != made_network.UES - 1]


def lacks_a_ue_for_a_moment(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[(frame["ue_id"] != 2) | (frame["time_s"] != 1.5)]


def jumps(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(x_m=frame["x_m"] + 10_000.0 * ((frame["ue_id"] == 3) & (frame["time_s"] == 1)))


def holds_nan(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(y_m=frame["y_m"].where((frame["ue_id"] != 1) | (frame["time_s"] != 2), np.nan))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (ends_early, r"trace: 2.5 s long, but an episode of two-cells-v0 has 3 s"),
        (lacks_a_ue, r"trace: 5 UEs, but mobility.ues of two-cells-v0 is 6"),
        (lacks_a_ue_for_a_moment, r"trace: UE 2 is missing or doubled at time_s = 1.5\n  cure: make the trace anew"),
        (jumps, r"trace: position_m of UE 3 jumps by \d+ m at time_s = 0.5, faster than 1000 m/s\n  cure: make"),
        (holds_nan, r"trace: position_m\[4, 1, 1\] is not finite\n  cure: make the trace anew"),
    ],
)
@pytest.mark.parametrize(
    "backend", [pytest.param("engine", marks=pytest.mark.slow), pytest.param("ns3", marks=pytest.mark.ns3)]
)
def test_a_trace_that_does_not_do(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[pd.DataFrame], pd.DataFrame],
    message: str,
    backend: str,
) -> None:
    run = run_with_trace(tmp_path)
    path = run.trace_path("train", 0)
    spoil(made_network.trace().to_frame()).to_parquet(path)
    sidecar = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(sidecar | {"parquet_sha256": sha256(path)}))
    arguments = ["--run", str(run.path), "--backend", backend, "--workers", "1"]
    assert re.search(message, refusal(capsys, monkeypatch, "collect", *arguments))
    assert not run.logged.exists()
    assert not list(run.path.rglob("*.h5"))


@pytest.mark.ns3
def test_more_ues_than_a_cell_can_carry(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_with_trace(tmp_path)
    scenario = json.loads(run.scenario_path.read_text())
    scenario["mobility"]["ues"] = MAX_UES + 1
    run.scenario_path.write_text(json.dumps(scenario))
    said = refusal(capsys, monkeypatch, "collect", "--run", str(run.path), "--workers", "1")
    assert re.search(r"mobility\.ues: 321, but a cell of ns-3 has SRS resources for 320 UEs\n  cure: lower", said)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("mobility make --workers 0", "workers: 0, must be at least 1"),
        ("mobility make --seed -1", "seed: -1, must be from 0 to"),
        (f"mobility make --seed {10**30}", "must be from 0 to"),
        ("mobility make --train-traces -1", "makes none"),
        ("mobility make --train-traces 0 --test-traces 0", "makes none"),
        ("train --seed -1", "options: seed: must be greater than or equal to 0, got -1"),
        ("evaluate --seeds 0", "--seeds 0 .*must be 1 at least"),
        ("evaluate --test-traces -1", "--test-traces -1: must be 1 at least"),
    ],
)
def test_numbers_out_of_range_are_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    preset = ["--preset", "line3-right-none-left-v0"] if arguments.startswith("mobility") else []
    monkeypatch.setattr(sys, "argv", ["mlb", *arguments.split(), *preset, "--run", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert re.match(f"error: .*{message}", capsys.readouterr().err.splitlines()[0])
    assert not (tmp_path / "run" / "mobility.json").exists()
