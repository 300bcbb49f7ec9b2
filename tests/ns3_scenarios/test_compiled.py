"""Whoever waits for loops to be compiled is told so, and nobody else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import programs

LOOP = """
import numpy as np
from ns3_scenarios.margins import find_moving
shares = np.empty((1, 1, 1), np.float32)
serving, first, neighbors = np.zeros((1, 1), np.int64), np.array([0, 1, 1]), np.array([1])
find_moving(np.zeros((1, 1, 2)), serving, first, neighbors, 0.5, np.ones(1), shares)
assert shares == 1
"""


def test_compiling_is_announced_once(tmp_path: Path) -> None:
    environ = programs.python_path() | {"NUMBA_CACHE_DIR": str(tmp_path)}
    runs = [subprocess.run([sys.executable, "-c", LOOP], env=environ, capture_output=True, text=True) for _ in range(2)]
    assert [run.returncode for run in runs] == [0, 0]
    assert runs[0].stderr.count("note: compiling the network model for this machine") == 1
    assert runs[1].stderr == ""
