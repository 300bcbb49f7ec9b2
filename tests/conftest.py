"""Fixtures that all tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

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

_FUZZ = Path(__file__).parent / "fuzz"
_NOT_FAST = ("sumo", "ns3", "slow")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option that chooses a part of the tests."""
    parser.addoption(
        "--tier",
        choices=("fast", "fuzz"),
        help="fast: only the tests that need neither SUMO nor ns-3, nor other processes, nor more than about a second, "
        "and 20 examples of a property; fuzz: only the readers of files and messages, each with 2,000 damaged inputs. "
        "All tests otherwise.",
    )


@pytest.hookimpl(tryfirst=True)  # before pytest-timeout reads its option
def pytest_configure(config: pytest.Config) -> None:
    """Sets the number of examples; 2,000 inputs take a reader as long as they take it."""
    if config.option.tier:
        settings.load_profile(config.option.tier)
    if config.option.tier == "fuzz":
        config.option.timeout = 0


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves out the files that are not of the tier; None leaves the question to pytest."""
    if not config.option.tier or collection_path.is_dir():
        return None
    return True if (_FUZZ in collection_path.parents) != (config.option.tier == "fuzz") else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Chooses the tests of the tier; what may take longest begins first, so that no process waits for the last file."""
    if config.option.tier == "fast":
        slow = {item: any(map(item.get_closest_marker, _NOT_FAST)) for item in items}
        config.hook.pytest_deselected(items=[item for item in items if slow[item]])
        items[:] = [item for item in items if not slow[item]]

    def longest_s(item: pytest.Item) -> float:
        limits = [mark.args[0] for mark in item.iter_markers("timeout")]
        return max(limits, default=600 if item.get_closest_marker("slow") else 0)

    file_s: dict[object, float] = {}
    for item in items:
        file_s[item.path] = max(file_s.get(item.path, 0), longest_s(item))
    items.sort(key=lambda item: -file_s[item.path])
