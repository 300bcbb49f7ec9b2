"""A line of progress for steps that run before any Python package is installed; standard library only."""

from __future__ import annotations

import sys
import time

_ON_A_TERMINAL_S = 0.5
_ELSEWHERE_S = 10.0


class Line:
    """A line on stderr about a step: rewritten in place on a terminal, elsewhere printed anew every 10 s.

    Args:
        title: What is being done.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._in_place = sys.stderr.isatty()
        self._period_s = _ON_A_TERMINAL_S if self._in_place else _ELSEWHERE_S
        self._began = self._shown = time.monotonic()

    def update(self, state: str) -> None:
        """Shows how far it is, if that was not shown a moment ago; may be called as often as one likes."""
        if time.monotonic() - self._shown >= self._period_s:
            self._show(state, "" if self._in_place else "\n")

    def end(self, state: str) -> None:
        """Shows how it ended."""
        self._show(state, "\n")

    def _show(self, state: str, end: str) -> None:
        self._shown = time.monotonic()
        start = "\r\x1b[K" if self._in_place else ""
        print(
            f"{start}{self._title}: {state} ({self._shown - self._began:.0f} s)", end=end, file=sys.stderr, flush=True
        )
