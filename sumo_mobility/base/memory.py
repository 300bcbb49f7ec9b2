"""Memory that is asked for again and again, and how much that is."""

from __future__ import annotations

import ctypes
import re
import resource
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
_THRESHOLD_BYTES = 1 << 30


@cache
def keep_freed_memory() -> None:
    """Keeps what this process frees for what it asks for next, instead of giving it back to the system at once.

    Each step of a training asks for the same arrays. glibc gives them back at the end of a step, so that the next one
    faults them in again, page by page. Other C libraries have no such thresholds, and nothing is changed there.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        for threshold in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            mallopt(threshold, _THRESHOLD_BYTES)


def peak_memory_bytes() -> int:
    """Returns the most memory that this process has held since its program began, shared pages included.

    Where the system does not tell it apart, what the process that started it held counts as well.
    """
    with suppress(OSError):
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
