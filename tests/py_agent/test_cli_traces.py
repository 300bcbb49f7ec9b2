"""`mlb mobility intervene`, `plot`, `export` and `import`, on open ground where no SUMO is needed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from py_agent.cli.commands import parse
from py_agent.rundir import RunDirectory
from sumo_mobility.base.errors import ConfigError, DataError, StorageError
from sumo_mobility.trace import MobilityTrace

PRESET = "line3-right-loiter-left-v0"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "line3"
    counts = ["--train-traces", "1", "--test-traces", "1"]
    parse(["mobility", "make", "--preset", PRESET, "--run", str(run), *counts]).execute()
    return run


@pytest.mark.slow
def test_all_traces_of_a_run_are_drawn(made: Path) -> None:
    data = parse(["mobility", "plot", "--run", str(made)]).execute().data
    assert [row["sites"] for row in data] == [3, 3]  # the run's, not those of any preset
    assert [Path(row["trace"]).stem for row in data] == ["train-000", "test-000"]
    for row in data:
        with Image.open(row["picture"]) as picture, Image.open(row["animation"]) as animation:
            assert picture.format == "PNG"
            assert animation.n_frames == 101
    json.dumps(data)
    with pytest.raises(ConfigError, match="--out for 2 traces"):
        parse(["mobility", "plot", "--run", str(made), "--out", str(made / "one.png")]).execute()


def test_what_is_exported_is_the_trace(made: Path, tmp_path: Path) -> None:
    file = made / "traces" / "test-000.parquet"
    for out in (tmp_path / "ues.csv", tmp_path / "ues.tcl"):
        assert parse(["mobility", "export", str(file), "--out", str(out)]).execute().data["ues"] == 50
    trace = MobilityTrace.read(file)
    waypoints = pd.read_csv(tmp_path / "ues.csv")
    last = waypoints[waypoints["ue_id"] == 49][["x_m", "y_m"]].to_numpy()
    assert last == pytest.approx(trace.position_m[:, 49], abs=1e-5)
    assert (tmp_path / "ues.tcl").read_text().count("set X_") == 50


@pytest.mark.slow
def test_what_is_imported_is_what_sumo_wrote(tmp_path: Path) -> None:
    rows = [(t, f"car{k}", 10.0 * t, 5.0 * k, 10.0, 90.0) for t in range(31) for k in range(3)]
    names = ("timestep_time", "vehicle_id", "vehicle_x", "vehicle_y", "vehicle_speed", "vehicle_angle")
    pd.DataFrame(rows, columns=names).to_csv(tmp_path / "fcd.csv", sep=";", index=False)
    out = tmp_path / "cars.parquet"
    command = ["mobility", "import", str(tmp_path / "fcd.csv"), "--out", str(out), "--begin-s", "10"]
    assert parse(command).execute().data == {"file": str(out), "ues": 3, "duration_s": 20.0, "rows_filled": 0}
    assert MobilityTrace.read(out).position_m[:, 2, 0] == pytest.approx(100 + 10.0 * np.arange(21))
    with pytest.raises(StorageError, match="exists"):
        parse(command).execute()
    (drawn,) = parse(["mobility", "plot", str(out)]).execute().data
    assert drawn["sites"] == 0
    (drawn,) = parse(["mobility", "plot", str(out), "--map", "open:500x500"]).execute().data
    with pytest.raises(DataError, match="is not on open:100x100"):
        parse(["mobility", "plot", str(out), "--map", "open:100x100"]).execute()
    with pytest.raises(ConfigError, match=r"is not on 'open:.*', the map of 'line3"):
        parse(["mobility", "plot", str(out), "--preset", PRESET]).execute()


def test_cars_that_come_and_go_and_jumps_are_told(tmp_path: Path) -> None:
    rows = [(t, f"car{t // 10}", 300.0 * (t // 10), 5.0, 0.0, 90.0) for t in range(30) if t != 15]
    rows += [(t, "jumper", 778.0 * (t > 20), 0.0, 0.0, 90.0) for t in range(30)]
    names = ("timestep_time", "vehicle_id", "vehicle_x", "vehicle_y", "vehicle_speed", "vehicle_angle")
    pd.DataFrame(rows, columns=names).to_csv(tmp_path / "fcd.csv", sep=";", index=False)
    command = ["mobility", "import", str(tmp_path / "fcd.csv"), "--out", str(tmp_path / "cars.parquet"), "--pack"]
    data = parse([*command, "--coordinates", "metres"]).execute().data
    assert {name: data[name] for name in ("ues", "vehicles", "held_s", "jumps")} == {
        "ues": 2, "vehicles": 4, "held_s": 1.0, "jumps": 1,
    }  # fmt: skip
    assert data["warning"].startswith("position_m of UE 1 jumps by 778 m at time_s = 20")


def test_movements_of_ns2_come_back(made: Path, tmp_path: Path) -> None:
    file, movements, out = made / "traces" / "test-000.parquet", tmp_path / "a.tcl", tmp_path / "a.parquet"
    parse(["mobility", "export", str(file), "--out", str(movements)]).execute()
    command = ["mobility", "import", str(movements), "--out", str(out), "--map", "open:1500x500"]
    assert parse(command).execute().data["ues"] == 50
    np.testing.assert_allclose(MobilityTrace.read(out).position_m, MobilityTrace.read(file).position_m, atol=1e-5)


def test_a_change_that_changes_nothing_is_told(made: Path, tmp_path: Path) -> None:
    command = ["mobility", "intervene", str(made / "traces" / "test-000.parquet"), "--do"]
    for index, (change, same) in enumerate([("drivers=0", False), ("context.name=sites", True)]):
        done = parse([*command, change, "--out", str(tmp_path / f"{index}.parquet")]).execute()
        assert done.data["same_as_before"] is same
        console = Console(width=200)
        with console.capture() as told:
            console.print(done.view)
        assert ("had no effect on where the UEs are" in told.get()) is same


@pytest.mark.parametrize(
    "arguments", [["export"], ["export", "a.parquet"], ["import", "a.xml"], ["intervene", "a.parquet"]]
)
def test_what_is_missing_is_named(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(["mobility", *arguments])
    assert end.value.code == 2
    assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["export", "a.parquet", "--out", "b.gz"], ["import", "a.xml", "--out", "b.csv"]])
def test_an_output_of_another_kind_is_refused(arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"--out b\.\w+ is no \.\w+.* file\n  cure: --out b\."):
        parse(["mobility", *arguments]).execute()


def test_a_run_keeps_the_options_that_make_its_traces(made: Path) -> None:
    """They are what a run that was begun with an earlier version is compared with when it is resumed."""
    assert RunDirectory(made).records()[0].config == {
        "preset": PRESET, "train_traces": 1, "test_traces": 1, "map": "", "bbox": "", "place": "",
        "driving_side": "auto", "seed": 0,
    }  # fmt: skip
