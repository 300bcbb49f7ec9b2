"""`mlb mobility plot`, `export` and `import`, on open ground where no SUMO is needed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from py_agent.cli.commands import parse
from sumo_mobility.base.errors import ConfigError, StorageError
from sumo_mobility.trace import MobilityTrace

PRESET = "line3-right-loiter-left-v0"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "line3"
    counts = ["--train-traces", "1", "--test-traces", "1"]
    parse(["mobility", "--preset", PRESET, "--run", str(run), *counts]).execute()
    return run


def test_all_traces_of_a_run_are_drawn(made: Path) -> None:
    data = parse(["mobility", "plot", "--preset", PRESET, "--run", str(made)]).execute().data
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
    with pytest.raises(ConfigError, match="its map is not known"):
        parse(["mobility", "plot", str(out)]).execute()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export"], "which file"),
        (["export", "a.parquet", "--out", "b.gz"], "needs --out"),
        (["import", "a.xml"], "needs --out"),
        (["make", "a.parquet"], "does not take the file"),
    ],
)
def test_what_is_missing_is_named(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(["mobility", *arguments]).execute()
