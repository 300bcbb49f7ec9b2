"""Progress without a terminal: plain lines on stderr, with percent and a time left that follows from the work."""

from __future__ import annotations

import re
import time
from threading import Event

import pytest

from sumo_mobility.base import progress as module
from sumo_mobility.base.progress import progress, waiting


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINE_EVERY_S", 0.05)


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Waits for a line; without one the test fails by its time limit."""
    said = ""
    while not said.endswith("\n"):
        Event().wait(0.01)
        printed = capsys.readouterr()
        assert printed.out == ""
        said += printed.err
    return said.splitlines()


def test_percent_and_time_left_are_of_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    now_s = [0.0]
    with progress("episodes", 400) as bar:
        bar._progress.get_time = lambda: now_s[0]  # type: ignore[method-assign]
        assert bar.line() == "episodes: 0 % in 0:00:00"
        for _ in range(10):
            now_s[0] += 6
            bar.advance(10)
        assert bar.line().startswith("episodes: 25 % in ")
        assert bar.line().endswith(", 0:03:00 left")
        (line, *_) = lines_of(capsys)
    assert re.fullmatch(r"episodes: 25 % in \d:\d\d:\d\d, 0:03:00 left", line)


def test_waiting_says_so_and_nothing_is_printed_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    with waiting("asking a server"):
        (line, *_) = lines_of(capsys)
    assert re.fullmatch(r"asking a server: 0:00:\d\d", line)
    capsys.readouterr()
    time.sleep(0.15)
    assert capsys.readouterr().err == ""
