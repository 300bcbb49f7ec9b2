"""The main job through the command line: real streets, real SUMO, real ns-3, at the smallest size of use."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

from cf_augment.dataset import read_dataset
from cf_augment.exports.d3rlpy import to_d3rlpy

pytestmark = [pytest.mark.sumo, pytest.mark.ns3, pytest.mark.slow, pytest.mark.timeout(2400)]

PRESET = {
    "id": "tiny-v0",
    "description": "Twelve cars in Helsinki, five seconds.",
    "mobility": {
        "ues": 12,
        "duration_s": 5,
        "train_contexts": [{"name": "uniform"}, {"name": "tide", "heading_deg": 0}],
        "test_contexts": [{"name": "event"}],
    },
    "sites": {"inter_site_distance_m": 700},
    "episode": {"steps": 5, "warmup_s": 2},
}


def mlb(*arguments: object, code: int = 0) -> str:
    """Runs `mlb` in a process of its own; returns stdout, or stderr if it is meant to fail."""
    command = [sys.executable, "-m", "py_agent.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stderr if code else done.stdout


def quickstart(folder: Path, *more: object) -> dict[str, Any]:
    preset = folder / "tiny.yaml"
    preset.write_text(yaml.safe_dump(PRESET))
    data = json.loads(
        mlb("quickstart", "--run", folder / "run", "--preset", preset, "--train-traces", 2, "--test-traces", 2,
            "--engine-traces", 3, "--json", *more)
    )  # fmt: skip
    assert isinstance(data, dict)
    return data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("job")


@pytest.fixture(scope="module")
def result(folder: Path) -> dict[str, Any]:
    """What the whole job prints."""
    return quickstart(folder)


def test_every_policy_is_judged_on_every_trace(result: dict[str, Any], folder: Path) -> None:
    policies = [row["policy"] for row in result["summary"]]
    assert policies == ["static", "integral", "planner", "sac", "sac-cf"]
    assert {row["traces"] for row in result["summary"]} == {2}
    judged = pd.read_parquet(folder / "run" / "evaluation.parquet")
    assert len(judged) == 10
    assert judged["load_std"].between(0, 0.5).all()
    in_engine = pd.read_parquet(folder / "run" / "scenarios" / "tiny-v0" / "evaluation.parquet")
    assert in_engine.groupby("policy").size().to_dict() == dict.fromkeys(policies, 3)


def test_report_is_one_file_that_names_the_policies_and_credits_the_map(result: dict[str, Any], folder: Path) -> None:
    page = Path(result["report"]).read_text(encoding="utf-8")
    assert page.count("</html>") == 1
    for text in ("sac-cf", "planner", "OpenStreetMap contributors", "tiny-v0"):
        assert text in page
    assert Path(result["replay"]).read_bytes()[:6] == b"GIF89a"


def test_logged_dataset_is_read_by_h5py_pandas_and_d3rlpy(result: dict[str, Any], folder: Path) -> None:
    import d3rlpy  # slow to load, and every tier reads this file

    path = folder / "run" / "logged.h5"
    with h5py.File(path) as file:
        assert file["observations"].shape[0] == file["actions"].shape[0] == 2 * 3 * 5
        assert np.abs(file["actions"][()]).max() <= 1
        assert not file["terminals"][()].any()
        assert file["timeouts"][()].sum() == 6
    dataset = read_dataset(path)
    assert {episode.metadata.policy for episode in dataset.episodes} == {"static", "random", "integral"}
    buffer = to_d3rlpy(dataset)
    assert buffer.transition_count == 30
    policy = d3rlpy.algos.BCConfig(batch_size=8).create()
    policy.fit(
        buffer, n_steps=2, n_steps_per_epoch=2, show_progress=False, logger_adapter=d3rlpy.logging.NoopAdapterFactory()
    )
    assert policy.predict(dataset.observations[:1]).shape == (1, dataset.actions.shape[1])


def test_augmented_rows_say_where_they_come_from(result: dict[str, Any], folder: Path) -> None:
    dataset = read_dataset(folder / "run" / "augmented.h5")
    kinds = {episode.metadata.provenance.kind for episode in dataset.episodes}
    assert kinds == {"replay", "mixed", "generated"}
    logged = {"train-000", "train-001"}
    assert all(set(episode.metadata.provenance.source) <= logged for episode in dataset.episodes)
    others = [e.metadata.provenance for e in dataset.episodes if e.metadata.provenance.kind != "replay"]
    assert all(provenance.intervention for provenance in others)


def test_a_second_run_resumes_at_no_cost_and_changes_nothing(result: dict[str, Any], folder: Path) -> None:
    kept = [path for path in sorted((folder / "run").rglob("*")) if path.suffix in (".h5", ".parquet", ".pt")]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in kept if "evaluation" not in path.name}
    again = quickstart(folder, "--resume")
    assert again["summary"] == result["summary"]
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before


def test_the_same_seed_gives_the_same_bytes(result: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    preset = folder / "tiny.yaml"
    run = tmp_path / "run"
    mlb("mobility", "make", "--run", run, "--preset", preset, "--train-traces", 2, "--test-traces", 2, "--workers", 1)
    mlb("collect", "--run", run, "--workers", 1)
    for name in ("traces/train-000.parquet", "traces/train-000.json", "traces/test-001.parquet", "logged.h5"):
        assert (run / name).read_bytes() == (folder / "run" / name).read_bytes(), name


def test_an_existing_run_is_not_overwritten(result: dict[str, Any], folder: Path) -> None:
    before = (folder / "run" / "logged.h5").read_bytes()
    said = mlb("collect", "--run", folder / "run", code=2)
    assert "stage 'collect' of this run exists" in said
    assert "cure: add --resume" in said
    said = mlb("collect", "--run", folder / "run", "--resume", "--seed", 5, code=2)
    assert "began with seed = 0, not 5" in said
    assert (folder / "run" / "logged.h5").read_bytes() == before


def test_an_interrupted_collect_goes_on_where_it_stopped(result: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    preset = folder / "tiny.yaml"
    mlb("mobility", "make", "--run", run, "--preset", preset, "--train-traces", 2, "--test-traces", 2)
    command = [sys.executable, "-m", "py_agent.cli", "collect", "--run", str(run), "--workers", "1"]
    # A shell that starts the tests in the background has them, and so the child, ignore SIGINT.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, previous)
    episodes = run / "episodes" / "collect" / "ns3"
    deadline = time.monotonic() + 240
    while not list(episodes.glob("[!.]*.h5")) and time.monotonic() < deadline:
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130, said
    assert "--resume" in said
    assert not (run / "logged.h5").exists()
    kept = {path: path.stat().st_mtime_ns for path in episodes.glob("[!.]*.h5")}
    assert 1 <= len(kept) < 6
    mlb("collect", "--run", run, "--resume")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert (run / "logged.h5").read_bytes() == (folder / "run" / "logged.h5").read_bytes()


def test_a_run_is_trained_again_and_judged_again_and_elsewhere(
    result: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder / "run", run)
    mlb("train", "--run", run, "--name", "small", "--data", "logged", "--sac.hidden", 8, "--sac.gradient-steps", 5)
    rows = json.loads(mlb("evaluate", "--run", run, "--resume", "--json"))
    assert [row for row in rows if row["policy"] not in ("random", "small")] == result["summary"]
    assert rows[-1]["policy"] == "small"
    denser = tmp_path / "denser.yaml"
    denser.write_text(yaml.safe_dump(PRESET | {"id": "denser-v0", "sites": {"inter_site_distance_m": 500}}))
    elsewhere = ["--scenario", denser, "--test-traces", 1, "--policies", "static", "sac", "--backend", "engine"]
    rows = json.loads(mlb("evaluate", "--run", run, *elsewhere, "--json"))
    assert [(row["policy"], row["traces"]) for row in rows] == [("static", 1), ("sac", 1)]
    there = run / "scenarios" / "denser-v0"
    cells = [len(json.loads((one / "scenario.json").read_text())["cells"]) for one in (run, there)]
    assert cells[0] != cells[1]
    assert Path(json.loads(mlb("report", "--run", there, "--json"))["report"]).is_file()


def test_a_missing_ns3_program_says_how_to_build_it(result: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    """The program is missing in a checkout that has not been built; a copy of the sources is such a checkout."""
    root = Path(__file__).parents[2]
    for package in ("sumo_mobility", "cf_augment", "py_agent"):
        (tmp_path / package).symlink_to(root / package)
    shutil.copytree(root / "ns3_scenarios", tmp_path / "ns3_scenarios")
    run = tmp_path / "run"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    make = [
        "mobility",
        "make",
        "--run",
        str(run),
        "--preset",
        str(folder / "tiny.yaml"),
        "--train-traces",
        "1",
        "--test-traces",
        "1",
    ]
    for arguments, code in ((make, 0), (["collect", "--run", str(run)], 1)):
        done = subprocess.run(
            [sys.executable, "-m", "py_agent.cli", *arguments],
            env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
    assert "has not been built" in done.stderr
    assert "cure: run 'mlb build'" in done.stderr
    assert (run / "traces" / "train-000.parquet").is_file()
    assert not (run / "logged.h5").exists()
    doctor = subprocess.run(
        [sys.executable, "-m", "py_agent.cli", "doctor", "--json"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert doctor.returncode == 1
    assert [(check["name"], check["cure"]) for check in json.loads(doctor.stdout) if not check["ok"]] == [
        (f"ns-3: {name}", "run 'mlb build'") for name in ("mlb-lte", "mlb-lte-tables")
    ]


def test_the_doctor_finds_all_that_the_quickstart_needs() -> None:
    assert all(check["ok"] for check in json.loads(mlb("doctor", "--json")))
