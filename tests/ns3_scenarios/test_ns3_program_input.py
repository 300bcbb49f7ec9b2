"""Bad input ends the ns-3 program with exit code 2 and one line that names the field and the cure."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import programs
import pytest
import three_cells

from ns3_scenarios import build
from ns3_scenarios.build import program

pytestmark = pytest.mark.ns3

HEADER = "ue_id,time_s,x_m,y_m"


def refusal(folder: Path, fields: dict[str, Any] | None = None, waypoints: str | None = None) -> str:
    """What the program says about a scenario with other fields, or about another waypoint file."""
    scenario = three_cells.scenario(steps=2, ues=2)
    (folder / "scenario.json").write_text(programs.with_fields(scenario, fields or {}))
    three_cells.trace(scenario).write_waypoints(folder / "waypoints.csv")
    if waypoints is not None:
        (folder / "waypoints.csv").write_text(waypoints)
    return run(f"--scenario={folder}/scenario.json", f"--waypoints={folder}/waypoints.csv", "--endpoint=ipc:///none")


def run(*arguments: str) -> str:
    """The one line of a program that ends with exit code 2."""
    done = subprocess.run(
        [program(), *arguments], capture_output=True, text=True, errors="replace", timeout=30, check=False
    )
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(r"error: .*; cure: .*\n", done.stderr), done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("radio.technology", "nr", 'radio.technology: "nr" is not one of lte;'),
        ("radio.dl_bandwidth_rb", 30, "radio.dl_bandwidth_rb: 30 is not 25, 50 or 100"),
        ("radio.dl_earfcn", 4949.5, "radio.dl_earfcn: not an integer but 4949.5"),
        ("radio.dl_earfcn", 4990, "radio.dl_earfcn: 4990 is in no band"),
        ("radio.path_loss.exponent", "steep", 'radio.path_loss.exponent: not a number but "steep"'),
        ("radio.path_loss.model", "itu", 'radio.path_loss.model: "itu" is not one of log-distance okumura-hata'),
        ("radio.path_loss", {"model": "uma"}, "radio.path_loss.condition: missing"),
        ("traffic.packet_bytes", 9000, "traffic.packet_bytes: 9000 is not within 20 to 1472"),
        ("episode.steps", 2.5, "episode.steps: not an integer but 2.5"),
        ("episode.warmup_s", 1, "episode.warmup_s: 1 is not within 1.2 to 3600"),
        ("handover.hysteresis_db", None, "handover.hysteresis_db: missing"),
        ("cells.1.tx_power_dbm", 1e3, "cells.1.tx_power_dbm: 1000 is not within -30 to 80"),
        ("neighbor_pairs.0", [0, 3], "neighbor_pairs.0.1: 3 is not within 0 to 2"),
        ("neighbor_pairs.1", [0, 1], "neighbor_pairs.1: pairs must be sorted and without repetition"),
        ("mobility.ues", 321, "mobility.ues: 321 is not within 1 to 320"),
        ("radio.ue_height_m", [[[]]], "radio.ue_height_m: not a number but an array"),
        ("neighbor_pairs.0", [1, 1], "neighbor_pairs.0: a cell cannot be its own neighbour"),
        ("cells", {}, "cells: not an array"),
    ],
)
def test_a_bad_field_is_named(tmp_path: Path, field: str, value: Any, message: str) -> None:
    assert message in refusal(tmp_path, {field: value})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["0,0,1,1", "0,2,1,1"], "waypoints ue_id 1: missing"),
        (["0,0,1,1", "0,2,1,1", "1,0,1,1", "1,1.5,1,1"], "waypoints ue_id 1: ends at 1.5 s, but the episode lasts 2 s"),
        (["0,0,1,1", "0,2,nan,1"], "waypoints line 3: '0,2,nan,1' is not four finite numbers"),
        (["0,0,1"], "waypoints line 2: '0,0,1' is not four finite numbers"),
        (["0,0,1,1", "0,2,1,1", "0,1,1,1"], "waypoints line 4: time_s must start at 0 and rise"),
        (["0,1,1,1"], "waypoints line 2: time_s must start at 0"),
        (["0,0,1,1", "0,1,1,10001"], "waypoints line 3: the UE jumps by 10000 m, faster than 1000 m/s"),
        (["7,0,1,1"], "waypoints line 2: ue_id 7, but mobility.ues is 2"),
    ],
)
def test_a_bad_waypoint_is_named(tmp_path: Path, rows: list[str], message: str) -> None:
    assert message in refusal(tmp_path, waypoints="\n".join([HEADER, *rows, ""]))


def test_foreign_files_are_named(tmp_path: Path) -> None:
    assert "line 1" in refusal(tmp_path, waypoints="1 2 3\n")
    (tmp_path / "scenario.json").write_text('{"id": ')
    assert "is not a JSON object" in run(f"--scenario={tmp_path}/scenario.json")
    assert "cannot read '/nowhere.json'" in run("--scenario=/nowhere.json")


def test_an_endpoint_that_is_none_is_named(tmp_path: Path) -> None:
    refusal_of_files = refusal(tmp_path, waypoints=HEADER)
    assert "missing" in refusal_of_files
    three_cells.trace(three_cells.scenario(steps=2, ues=2)).write_waypoints(tmp_path / "waypoints.csv")
    files = [f"--scenario={tmp_path}/scenario.json", f"--waypoints={tmp_path}/waypoints.csv"]
    for endpoint in (
        "nothing",
        "tcp://*:5555",
        "tcp://0.0.0.0:5555",
        "tcp://example.org:5555",
        "tcp://127.0.0.1",
        "ipc://",
    ):
        assert f"--endpoint: '{endpoint}' is not on this machine" in run(*files, f"--endpoint={endpoint}")
    for option in ("--timeout-s=0", "--timeout-s=1e9", "--connect-timeout-s=-1"):
        assert f"{option.split('=')[0]}: not within 0 to 1e6 s" in run(*files, "--endpoint=ipc:///none", option)
    for option in ("--live-step-s=0.01", "--live-step-s=61", "--live-step-s=-1", "--live-step-s=nan"):
        assert "--live-step-s: not within 0.1 to 60 s" in run(*files, "--endpoint=ipc:///none", option)


@pytest.mark.parametrize("option", ["--seed=abc", "--seed=-1", "--seed=1.5", "--timeout-s=", "--branch-workers=two"])
def test_an_option_that_is_no_number_is_named(option: str) -> None:
    name, value = option.split("=")
    assert f"{name}: '{value}' is not a number that fits" in run(option)


def test_two_cells_on_one_spot_are_named(tmp_path: Path) -> None:
    one, other = (
        {f"cells.2.{axis}_m": position for axis, position in zip("xy", site, strict=True)}
        for site in three_cells.SITES_M[:2]
    )
    assert "cells.2: stands on the spot of another cell" in refusal(tmp_path, one)
    assert "cells.2: stands on the spot of another cell" in refusal(tmp_path, other)


SEEDS = Path(build.__file__).parent / "src" / "fuzz" / "seeds"


def test_what_fuzzing_kept_is_read_or_refused(tmp_path: Path) -> None:
    """libFuzzer's seeds; src/fuzz/fuzz.sh looks for more. What is read meets a path or an endpoint that is refused."""
    for seed in sorted((SEEDS / "scenario").iterdir()):
        said = run(f"--scenario={seed}", "--waypoints=/none", "--endpoint=ipc:///none")
        assert len(said) < 300, seed
    refusal(tmp_path, waypoints="")
    for seed in sorted((SEEDS / "waypoints").iterdir()):
        said = run(f"--scenario={tmp_path}/scenario.json", f"--waypoints={seed}", "--endpoint=none")
        assert len(said) < 300, seed
