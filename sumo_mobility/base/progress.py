"""A progress bar with the time left, on stderr, silent when that is not a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Task:
    """One running bar."""

    def __init__(self, progress: Progress, task_id: int) -> None:
        self._progress = progress
        self._task_id = task_id

    def advance(self, amount: float = 1) -> None:
        """Moves the bar forward."""
        self._progress.advance(self._task_id, amount)  # type: ignore[arg-type]


@contextmanager
def progress(description: str, total: float) -> Iterator[Task]:
    """Shows a bar while the block runs.

    Args:
        description: What is being done.
        total: The number of units that make it complete.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield Task(bar, bar.add_task(description, total=total))


@contextmanager
def waiting(description: str) -> Iterator[None]:
    """Shows that the block waits for something whose end cannot be foreseen."""
    console = Console(stderr=True)
    with console.status(description) if console.is_terminal else nullcontext():
        yield
