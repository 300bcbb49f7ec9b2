"""`mlb dataset`: what a dataset holds, and exports of it; the dataset is never harmed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import made_episodes as made
import minari
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from cf_augment.dataset import write_dataset
from ns3_scenarios.mdp import REWARDS
from py_agent.cli.commands import parse
from sumo_mobility.base.errors import ConfigError, DataError


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    place = made.scenario()
    write_dataset(tmp_path / "d.h5", place, [made.episode(place, 1, 6), made.episode(place, 2, 9, kind="replay")])
    return tmp_path / "d.h5"


def test_info_counts_what_is_there(dataset: Path) -> None:
    data = parse(["dataset", "info", str(dataset)]).execute().data
    assert data["transitions"] == 15
    assert [(row["kind"], row["episodes"]) for row in data["episodes"]] == [("logged", 1), ("replay", 1)]


def test_info_shows_how_the_file_defines_observation_and_reward(tmp_path: Path) -> None:
    weights = {"load-std": 1.0, "blocked": 0.5}
    place = made.scenario().model_copy(update={"reward": weights, "handover_cost": 0.1, "observation": "rsrp-matrix"})
    write_dataset(tmp_path / "d.h5", place, [made.episode(place, 1, 3)])
    with h5py.File(tmp_path / "d.h5", "a") as file:
        assert file.attrs["reward_unit"] == b"1"
        file.attrs["reward_unit"] = np.bytes_(b"\x1b[2J")
        del file.attrs["observation"]  # an older file
    result = parse(["dataset", "info", str(tmp_path / "d.h5")]).execute()
    assert {name: result.data[name] for name in ("observation", "reward", "reward_unit")} == {
        "observation": "rsrp-matrix: (ue_rsrp_dbm + 90) / 20, UE by UE",
        "reward": f"load-std-blocked: {REWARDS['load-std'].formula} + 0.5 * ({REWARDS['blocked'].formula}) "
        "- 0.1 * handovers / UEs",
        "reward_unit": r"\x1b[2J",
    }
    console = Console(width=200, record=True)
    console.print(result.view)
    assert "observation: rsrp-matrix: (ue_rsrp_dbm + 90) / 20, UE by UE" in console.export_text()


def test_info_refuses_a_damaged_dataset(dataset: Path) -> None:
    dataset.write_bytes(dataset.read_bytes()[:1000])
    with pytest.raises(DataError, match="damaged or not an HDF5 file"):
        parse(["dataset", "info", str(dataset)]).execute()


def test_export_writes_all_transitions(dataset: Path, tmp_path: Path) -> None:
    for name, out in (("parquet", "new/d.parquet"), ("minari", "new/d-v0")):
        words = ["dataset", "export", str(dataset), "--format", name, "--out", str(tmp_path / out)]
        assert parse(words).execute().data["transitions"] == 15
    assert len(pd.read_parquet(tmp_path / "new/d.parquet")) == 15
    assert minari.MinariDataset(tmp_path / "new/d-v0/data").total_steps == 15


@pytest.mark.parametrize(
    ("name", "out", "message"),
    [
        ("parquet", "d.csv", r"d\.csv does not end in \.parquet[\s\S]*cure: --out d\.parquet"),
        ("minari", "d.h5", r"d\.h5 does not end in -v0[\s\S]*cure: --out d-v0"),
        ("d3rlpy", "../{}/d.h5", "is the dataset itself"),
    ],
)
def test_export_refuses_what_would_harm(dataset: Path, name: str, out: str, message: str) -> None:
    before = dataset.read_bytes()
    path = dataset.parent / out.format(dataset.parent.name)
    with pytest.raises(ConfigError, match=message):
        parse(["dataset", "export", str(dataset), "--format", name, "--out", str(path)]).execute()
    assert dataset.read_bytes() == before
    assert list(dataset.parent.iterdir()) == [dataset]


def test_an_unknown_format_is_told_with_the_nearest_and_all(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["dataset", "export", str(dataset), "--format", "parket", "--out", "d.parquet"])
    assert ended.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "unknown export 'parket' (did you mean 'parquet'?); there are parquet, csv, d3rlpy, minari" in said


def test_naming_the_exports_loads_no_library_that_they_need() -> None:
    """Every command names them, and most need none."""
    code = "import sys, py_agent.cli.commands; print({'pandas', 'pyarrow', 'h5py', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "set()\n"), done.stderr
