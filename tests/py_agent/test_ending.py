"""Ctrl-C and SIGTERM end `mlb` at any moment with one line, an exit code that says which, and nothing left running."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import made_network
import programs
import pytest

from ns3_scenarios.scenario import Preset
from sumo_mobility.base.documents import yaml_text

MLB = [sys.executable, "-m", "py_agent.cli"]
PROGRESS = r"(.* % in .*\n)*"
HOW = r"(; run the same command again with --resume to go on)?\n"
LINES = {signal.SIGINT: f"{PROGRESS}interrupted{HOW}", signal.SIGTERM: f"{PROGRESS}terminated{HOW}"}


@pytest.fixture
def marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The mark of this test's processes."""
    monkeypatch.setenv("MLB_TEST_MARK", str(tmp_path))
    return str(tmp_path)


def listens(pid: int) -> bool:
    """Whether a process handles SIGTERM: Python's own start is over."""
    caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    assert caught is not None
    return bool(int(caught[1], 16) & 1 << signal.SIGTERM - 1)


def ended_after(
    delay_s: float, number: signal.Signals, *arguments: str, seen: str = "", until: Callable[[], bool] = lambda: True
) -> tuple[int, str]:
    """Exit code and stderr of a command that is ended as a terminal (the whole group) or an init (it alone) does.

    The delay counts from when a process with `seen` in its command line is there and `until` holds, or from the start.
    """
    with subprocess.Popen(
        [*MLB, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while not listens(process.pid):
            time.sleep(0.005)
        while not until() or (
            seen
            and not any(seen in one for one in programs.processes_with("MLB_TEST_MARK", os.environ["MLB_TEST_MARK"]))
        ):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        time.sleep(delay_s)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        said = process.communicate(timeout=60)[1]
        return process.returncode, said


def world(folder: Path, steps: int) -> Path:
    """A run with traces."""
    made_network.scenario(steps).write_json(folder / "scenario.json")
    for name in ("train-000", "train-001"):
        made_network.trace(steps).write(folder / "traces" / f"{name}.parquet")
    return folder


@pytest.mark.parametrize("number", LINES)
@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.2, 0.4])
def test_the_first_moments_and_imports_end_with_one_line(marked: str, delay_s: float, number: signal.Signals) -> None:
    code, said = ended_after(delay_s, number, "collect", "--run", f"{marked}/none", "--resume")
    assert re.fullmatch(LINES[number], said)
    assert code == 128 + number


@pytest.mark.ns3
@pytest.mark.slow
@pytest.mark.parametrize("number", LINES)
def test_any_later_moment_ends_with_one_line_and_no_children(
    tmp_path: Path, marked: str, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    run = world(tmp_path / "run", steps=500)
    for seen, delay_s in [("--multiprocessing-fork", 0), ("mlb-lte", 0.5)]:
        code, said = ended_after(delay_s, number, "collect", "--run", str(run), "--resume", seen=seen)
        assert re.fullmatch(LINES[number], said)
        assert code == 128 + number
        assert programs.left_with("MLB_TEST_MARK", marked) == []
        assert list((tmp_path / "tmp").iterdir()) == []
    files = [path for path in (run / "episodes" / "collect").rglob("*") if path.is_file()]
    assert [path.name for path in files] == ["policies.json"]


@pytest.mark.sumo
def test_simulators_that_threads_wait_for_hold_nobody_up(tmp_path: Path, marked: str) -> None:
    """SUMO runs for minutes; the threads that wait for it are waited for in turn."""
    arguments = ["mobility", "make", "--run", str(tmp_path / "run"), "--train-traces", "20"]
    code, said = ended_after(0, signal.SIGINT, *arguments, seen="bin/sumo ")
    assert re.fullmatch(LINES[signal.SIGINT], said)
    assert code == 130
    assert programs.left_with("MLB_TEST_MARK", marked) == []


@pytest.mark.sumo
def test_traces_that_are_done_outlive_an_interruption(tmp_path: Path, marked: str) -> None:
    """They are what an undisturbed run makes, and the next one goes on from them."""
    preset = Preset.load("helsinki-event-v0")
    short = {"mobility": preset.mobility.model_copy(update={"ues": 5, "settle_s": 60.0, "duration_s": 1200.0})}
    file = tmp_path / "short.yaml"
    file.write_text(yaml_text(preset.model_copy(update=short).model_dump(mode="json")))
    make = (
        "mobility",
        "make",
        "--preset",
        str(file),
        "--train-traces",
        "8",
        "--test-traces",
        "1",
        "--workers",
        "1",
        "--run",
    )
    run, whole = tmp_path / "run", tmp_path / "whole"
    first = run / "traces" / "train-000.json"
    code, said = ended_after(0, signal.SIGINT, *make, str(run), until=first.is_file)
    assert re.fullmatch(LINES[signal.SIGINT], said)
    assert code == 130
    kept = {path: path.stat().st_mtime_ns for path in run.glob("traces/*.json")}
    assert first in kept
    assert len(kept) < 9
    for more in ((str(run), "--resume"), (str(whole),)):
        subprocess.run([*MLB, *make, *more], check=True, capture_output=True, timeout=300)
    assert kept.items() <= {path: path.stat().st_mtime_ns for path in run.glob("traces/*.json")}.items()
    contents = [{path.name: path.read_bytes() for path in one.glob("traces/*")} for one in (run, whole)]
    assert len(contents[0]) == 18
    assert contents[0] == contents[1]


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    """As nohup has it."""
    script = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from py_agent.cli.ending import Ending; Ending(); print(signal.getsignal(signal.SIGHUP).name)"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, timeout=60)
    assert done.stdout == "SIG_IGN\n"


def test_the_version_is_said_without_loading_what_takes_long() -> None:
    script = (
        "import sys; sys.argv = ['mlb', '--version']\n"
        "from py_agent.cli import main; main()\n"
        "print(*sorted({'numpy', 'torch', 'rich', 'tyro', 'pydantic'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, timeout=60)
    assert done.stdout == f"mlb {version('mlb-testbed')}\n\n"
    assert done.returncode == 0


def test_help_loads_no_torch_and_no_engine() -> None:
    script = (
        "import sys; from py_agent.cli.commands import parse\n"
        "print(*sorted({'torch', 'numba', 'matplotlib', 'pandas', 'numpy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, timeout=60)
    assert done.stdout == "\n"
