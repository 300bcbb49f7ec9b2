"""Memory that is asked for again and again."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
_THRESHOLD_BYTES = 1 << 30


def keep_freed_memory() -> None:
    """Keeps what this process frees for what it asks for next, instead of giving it back to the system at once.

    Each step of a training asks for the same arrays. glibc gives them back at the end of a step, so that the next one
    faults them in again, page by page. Other C libraries have no such thresholds, and nothing is changed there.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        for threshold in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            mallopt(threshold, _THRESHOLD_BYTES)
