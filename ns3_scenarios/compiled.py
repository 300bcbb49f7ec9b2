"""numba's njit, for all compiled loops of the project: it says what takes so long where code is compiled."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from numba import njit
from numba.core import event

from sumo_mobility.base.progress import LINE_EVERY_S, note

__all__ = ["njit"]

_FOLDERS = ("ns3_scenarios", "cf_augment")


class _Announcer(event.Listener):
    """Hears of what is compiled, but not of what is loaded from numba's cache."""

    def __init__(self) -> None:
        self._began = self._said = 0.0

    def on_start(self, event: Any) -> None:
        if not self._began and event.data["dispatcher"].py_func.__module__.startswith(_FOLDERS):
            note("compiling the network model for this machine; this takes a minute or two, and only once")
            self._began = self._said = time.monotonic()

    def on_end(self, event: Any) -> None:
        now = time.monotonic()
        if self._began and now - self._said >= LINE_EVERY_S:
            note(f"compiling: {timedelta(seconds=int(now - self._began))}")
            self._said = now


event.register("numba:compile", _Announcer())
