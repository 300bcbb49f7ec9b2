"""A full disk, a directory that may not be written, no memory: a message, and the data that were there are kept."""

from __future__ import annotations

import ctypes
import errno
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from small_world import small_dataset, small_scenario, small_trace

from cf_augment.dataset import write_dataset
from py_agent.cli import main

STAGES = {
    "collect": ["--backend", "engine", "--policies", "static", "--workers", "1"],
    "train": ["--data", "logged", "--sac.gradient-steps", "4"],
    "evaluate": ["--backend", "engine", "--policies", "static", "--workers", "1"],
}
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with traces and, for train, logged data."""
    folder, scenario = tmp_path / "run", small_scenario()
    scenario.write_json(folder / "scenario.json")
    small_trace(scenario, 1).write(folder / "traces" / "train-000.parquet")
    small_trace(scenario, 2).write(folder / "traces" / "test-000.parquet")
    return folder


def mlb(stage: str, run: Path, before: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    # -B: a limit to the size of files would leave compiled modules cut short to those that come after.
    command = [sys.executable, "-B", "-m", "py_agent.cli", stage, *STAGES[stage], "--run", str(run), "--resume"]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, preexec_fn=before)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def full_disk() -> None:
    """A limit to the size of files makes write(2) fail as a full disk does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_one_message_and_the_stage_goes_on_later(stage: str, run: Path) -> None:
    if stage == "train":
        write_dataset(run / "logged.h5", small_scenario(), small_dataset(small_scenario(), [1, 2]).episodes)
    before = contents(run)
    done = mlb(stage, run, full_disk)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "File too large" in done.stderr
    assert "cure: free some space" in done.stderr
    after = contents(run)
    assert {path: after[path] for path in before} == before
    assert not [path for path in after if path.name.startswith(".")]
    done = mlb(stage, run)
    assert done.returncode == 0, done.stderr


def no_privilege() -> None:
    """Even root may not write then where the mode says no."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["collect", "train"])
def test_a_run_that_may_not_be_written_is_one_message(stage: str, run: Path) -> None:
    if stage == "train":
        write_dataset(run / "logged.h5", small_scenario(), small_dataset(small_scenario(), [1, 2]).episodes)
    before = contents(run)
    run.chmod(0o555)
    try:
        done = mlb(stage, run, no_privilege)
    finally:
        run.chmod(0o755)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "Permission denied" in done.stderr
    assert contents(run) == before


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "error: no memory is left\n  cure: "),
        (
            OSError(errno.ENOSPC, "No space left on device", "train.log"),
            "error: [Errno 28] No space left on device: 'train.log'\n",
        ),
    ],
)
def test_what_no_stage_foresees_is_a_message_as_well(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("py_agent.cli._run", fail)
    monkeypatch.setattr("py_agent.cli.ending.signal.signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["mlb", "collect"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith(said)
