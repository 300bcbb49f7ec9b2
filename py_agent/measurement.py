"""Measured figures with their targets, and what they were measured with."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from py_agent.rundir import versions


@dataclass(frozen=True)
class Measurement:
    """A measured figure with the target that it must reach, and a more ambitious goal."""

    metric: str
    value: float
    unit: str
    target: float | None
    """None where the figure only explains others."""
    goal: float | None = None
    more_is_better: bool = False

    @property
    def ok(self) -> bool:
        """Whether the figure reaches its target."""
        if self.target is None:
            return True
        return self.value >= self.target if self.more_is_better else self.value <= self.target


def record(title: str, command: str, figures: Sequence[Measurement]) -> dict[str, Any]:
    """Returns figures with what is needed to judge and repeat them, for a JSON file.

    Args:
        title: What was measured.
        command: The command line that measures it again.
        figures: The figures.

    Returns:
        `title`, `command`, `machine`, `versions`, and `figures`, each with all its attributes and `ok`.
    """
    return {
        "title": title,
        "command": command,
        "machine": machine(),
        "versions": versions(),
        "figures": [without_nan({**asdict(figure), "ok": figure.ok}) for figure in figures],
    }


def without_nan(value: Any) -> Any:
    """Returns dicts, lists and numbers with None in place of what JSON has no number for."""
    if isinstance(value, dict):
        return {name: without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def machine() -> str:
    """Returns the number of cores that may be used, and the processor's name where Linux tells it."""
    cores = len(os.sched_getaffinity(0))
    try:
        name = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        name = None
    return f"{cores} core{'s' if cores > 1 else ''}{f' of {name[1].strip()}' if name else ''}"
