"""Progress with the time left, on stderr: a bar on a terminal, a plain line every ten seconds anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from threading import Event, Thread

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_EVERY_S = 10.0
"""Time between two lines where there is no terminal."""
_SPEED_OVER_S = 120.0
"""The time left is foreseen from the work of the last two minutes."""


class Task:
    """A task whose progress is shown as a bar, or as lines where there is no terminal."""

    def __init__(self, progress: Progress, title: str, total: float) -> None:
        self._progress = progress
        self._id = progress.add_task(title, total=total)

    def advance(self, amount: float = 1) -> None:
        """Moves the bar forward by so many units of work; any thread may call it."""
        self._progress.advance(self._id, amount)

    def line(self) -> str:
        """Title, percent, and times as one plain line."""
        (task,) = self._progress.tasks
        left = task.time_remaining
        foreseen = "" if left is None else f", {timedelta(seconds=int(left))} left"
        return f"{task.description}: {task.percentage:.0f} % in {timedelta(seconds=int(task.elapsed or 0))}{foreseen}"


@contextmanager
def progress(title: str, total: float) -> Iterator[Task]:
    """Shows how far the block is while it runs.

    The time left is honest only if every unit of work takes about as long as any other: count simulated seconds or
    gradient steps, not files.

    Args:
        title: What is being done.
        total: The units of work that make it complete; shown as 100 %.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    on_terminal = console.is_terminal
    with Progress(*columns, console=console, disable=not on_terminal, speed_estimate_period=_SPEED_OVER_S) as bar:
        task = Task(bar, title, total)
        with nullcontext() if on_terminal else _lines(task.line):
            yield task


@contextmanager
def waiting(title: str) -> Iterator[None]:
    """Shows that the block waits for something whose end cannot be foreseen."""
    console, started = Console(stderr=True), time.monotonic()

    def line() -> str:
        return f"{title}: {timedelta(seconds=int(time.monotonic() - started))}"

    with console.status(title) if console.is_terminal else _lines(line):
        yield


@contextmanager
def _lines(line: Callable[[], str]) -> Iterator[None]:
    """Prints a line every ten seconds while the block runs, whatever the block waits for."""
    over = Event()

    def write() -> None:
        while not over.wait(LINE_EVERY_S):
            print(line(), file=sys.stderr, flush=True)

    writer = Thread(target=write, name="progress", daemon=True)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()


def note(text: str) -> None:
    """Says on stderr what the user should know of what was given, though it is no error."""
    print(f"note: {text}", file=sys.stderr)
