"""MobilityTrace: what is written is what is read, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from full_disk import largest_file
from hypothesis import given, settings
from hypothesis import strategies as st

from sumo_mobility.base.errors import DataError, StorageError
from sumo_mobility.base.files import sha256
from sumo_mobility.trace import MobilityTrace, TraceMetadata

METADATA = TraceMetadata(
    source="test",
    map_name="nowhere",
    licence="CC0-1.0",
    attribution="nobody",
    seed=3,
    context="event",
    context_parameters={"x_share": 0.25, "place_m": [1.0, 2.0]},
    bounds_m=(0, 0, 1000, 1000),
)


def random_trace(seed: int, steps: int, ues: int, step_s: float = 1.0) -> MobilityTrace:
    random = np.random.default_rng(seed)
    return MobilityTrace(
        time_s=np.arange(steps) * step_s,
        position_m=random.uniform(0, 60 * step_s, (steps, ues, 2)),
        speed_mps=random.uniform(0, 20, (steps, ues)),
        heading_deg=random.uniform(0, 360, (steps, ues)),
        metadata=METADATA,
    )


@settings(max_examples=10)
@given(st.integers(0, 2**32), st.integers(2, 12), st.integers(1, 7), st.sampled_from([0.1, 0.5, 1.0, 3.0]))
def test_reading_returns_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: int, ues: int, step_s: float
) -> None:
    trace = random_trace(seed, steps, ues, step_s)
    folder = tmp_path_factory.mktemp("trace")
    trace.write(folder / "a.parquet")
    trace.write(folder / "b.parquet")
    read = MobilityTrace.read(folder / "a.parquet")
    for name in ("time_s", "position_m", "speed_mps", "heading_deg"):
        np.testing.assert_array_equal(getattr(read, name), getattr(trace, name))
    assert read.metadata == trace.metadata
    assert (folder / "a.parquet").read_bytes() == (folder / "b.parquet").read_bytes()
    assert (folder / "a.json").read_bytes() == (folder / "b.json").read_bytes()


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.floats(-5, 20), st.integers(2, 12))
def test_positions_between_knots_are_numpys_interpolation(seed: int, time_s: float, steps: int) -> None:
    trace = random_trace(seed, steps, 3)
    expected = [[np.interp(time_s, trace.time_s, trace.position_m[:, ue, axis]) for axis in (0, 1)] for ue in range(3)]
    np.testing.assert_allclose(trace.position_at(time_s), expected, atol=1e-9)
    np.testing.assert_allclose(trace.position_at(np.array([time_s, 0.0]))[0], expected, atol=1e-9)


def test_waypoints_hold_each_knot_once(tmp_path: Path) -> None:
    trace = random_trace(1, 5, 3)
    trace.write_waypoints(tmp_path / "w.csv")
    table = pd.read_csv(tmp_path / "w.csv")
    assert list(table.columns) == ["ue_id", "time_s", "x_m", "y_m"]
    assert len(table) == 15
    of_ue = table[table["ue_id"] == 2]
    np.testing.assert_allclose(of_ue[["x_m", "y_m"]], trace.position_m[:, 2], atol=1e-6)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f.drop(index=7), r"UE 1 is missing or doubled at time_s = 2"),
        (lambda f: pd.concat([f, f.iloc[[7]]]), r"missing or doubled"),
        (lambda f: f[f["ue_id"] != 1], r"ue_id must be 0\.\.1 without holes"),
        (lambda f: f.assign(y_m=f["y_m"].where(f.index != 7)), r"position_m\[2, 1, 1\] is not finite"),
        (lambda f: f.assign(speed_mps=np.inf), r"speed_mps\[0, 0\] is not finite"),
        (lambda f: f.drop(columns="x_m"), r"column x_m is missing"),
        (lambda f: f.assign(x_m="here"), r"column x_m holds .*: not all are numbers"),
        (lambda f: f.assign(time_s="soon"), r"column time_s holds .*: not all are numbers"),
        (lambda f: f.assign(time_s=[[0.0]] * len(f)), r"column time_s holds list.*: not all are numbers"),
        (lambda f: f.assign(ue_id=f["ue_id"] > 0), r"column ue_id holds bool"),
        (lambda f: f.assign(time_s=f["time_s"].where(f.index != 7)), r"time_s is not finite|missing or doubled"),
        (lambda f: f.assign(x_m=f["x_m"] + 1e8), r"position_m.* is beyond 2e\+07 m"),
        (lambda f: f.assign(speed_mps=-1e4), r"speed_mps.* is beyond 1000 m/s"),
        (lambda f: f[:0], r"at least 2 steps|ue_id must be"),
        (lambda f: f[f["time_s"] != 1], r"equal steps"),
        (lambda f: f[f["time_s"] == 0], r"at least 2 steps"),
    ],
)
def test_a_table_that_is_no_full_grid_is_refused(
    tmp_path: Path, spoil: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    path = tmp_path / "trace.parquet"
    random_trace(1, 4, 3).write(path)
    spoil(random_trace(1, 4, 3).to_frame()).to_parquet(path)
    sidecar = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(sidecar | {"parquet_sha256": sha256(path)}))
    with pytest.raises(DataError, match=message) as error:
        MobilityTrace.read(path)
    assert str(path) in str(error.value)


def test_a_damaged_changed_or_lone_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    with pytest.raises(DataError, match=r"trace\.parquet: no such file"):
        MobilityTrace.read(path)
    random_trace(1, 4, 3).write(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")
    with pytest.raises(DataError, match="sha256 differs"):
        MobilityTrace.read(path)
    path.write_bytes(whole[: len(whole) // 2])
    sidecar_path = path.with_suffix(".json")
    sidecar = json.loads(sidecar_path.read_text()) | {"parquet_sha256": sha256(path)}
    sidecar_path.write_text(json.dumps(sidecar))
    with pytest.raises(DataError, match="not a readable Parquet file"):
        MobilityTrace.read(path)
    sidecar_path.write_text("{")
    with pytest.raises(DataError, match="not readable as JSON"):
        MobilityTrace.read(path)
    sidecar_path.unlink()
    with pytest.raises(DataError, match=r"trace\.json: no such file"):
        MobilityTrace.read(path)


def test_a_directory_that_cannot_be_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot write .*trace\..*\n.*free some space"):
        random_trace(1, 4, 3).write(tmp_path / "file" / "trace.parquet")


@pytest.mark.parametrize("size", [0, 300, 3000])
def test_a_full_disk_leaves_the_old_trace_whole(tmp_path: Path, size: int) -> None:
    path = tmp_path / "trace.parquet"
    old, new = random_trace(1, 4, 3), random_trace(2, 50, 30)
    old.write(path)
    with largest_file(size), pytest.raises(StorageError, match=r"cannot write .*trace\.parquet"):
        new.write(path)
    np.testing.assert_array_equal(MobilityTrace.read(path).position_m, old.position_m)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["trace.json", "trace.parquet"]
