"""Ends `mlb` on Ctrl-C or a signal: at once, with one line, and with nothing left running."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "the terminal was closed"}
_PATIENCE_S = 10
"""The greatest time for cleaning up."""
_SHOW_CURSOR = "\x1b[?25h"


class Ending:
    """Listens for signals that end the command, from the first import to the last thing that Python does.

    The first one raises KeyboardInterrupt, so that what is under way removes its temporary files; programs that were
    started are killed first, so that nobody waits for them. A second one ends at once, and so does one that comes
    during an import, where there is nothing to put away, and where libraries turn exceptions into others.

    Attributes:
        cure: How to go on later, for the message.
    """

    def __init__(self) -> None:
        self.cure = ""
        self._number = 0
        self._at_once = False
        for number in _WORDS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and the shell's & want it
                signal.signal(number, self._hear)

    @property
    def requested(self) -> bool:
        """Whether a signal has come; what is raised from then on is its consequence."""
        return bool(self._number)

    def over(self) -> None:
        """The command is done: nothing is left to be put away."""
        self._at_once = True

    def leave(self) -> NoReturn:
        """Says that the command was ended, and exits with 128 and the signal's number."""
        self._at_once = True
        self._say()
        sys.exit(128 + self._number)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        first, self._number = not self._number, self._number or number
        if not first or self._at_once or _importing(frame):
            self._say()
            os._exit(128 + self._number)
        sys.unraisablehook = lambda _: None
        threading.excepthook = lambda _: None
        signal.signal(signal.SIGALRM, self._hear)
        signal.alarm(_PATIENCE_S)
        if "sumo_mobility.base.children" in sys.modules:
            from sumo_mobility.base.children import end_all

            end_all()
        raise KeyboardInterrupt

    def _say(self) -> None:
        cure, self.cure = self.cure, ""
        line = _WORDS[signal.Signals(self._number)] + cure
        print((_SHOW_CURSOR if sys.stderr.isatty() else "") + line, file=sys.stderr, flush=True)


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
