"""Fixtures that all tests share."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# A shell starts what runs in the background with SIGINT ignored, and that is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Examples share the machine with whatever else runs on it: a time says nothing about the code.
settings.register_profile("no deadline", deadline=None)
settings.register_profile("fast", deadline=None, max_examples=20)
settings.register_profile("fuzz", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no deadline")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What may take longest begins first, so that no process waits for another's last file."""

    def longest_s(item: pytest.Item) -> float:
        limits = [mark.args[0] for mark in item.iter_markers("timeout")]
        return max(limits, default=600 if item.get_closest_marker("slow") else 0)

    file_s: dict[object, float] = {}
    for item in items:
        file_s[item.path] = max(file_s.get(item.path, 0), longest_s(item))
    items.sort(key=lambda item: -file_s[item.path])
