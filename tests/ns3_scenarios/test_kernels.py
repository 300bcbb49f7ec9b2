"""Compiled loops are those of today's sources, and whoever waits for them is told so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import programs
import pytest

import cf_augment
import ns3_scenarios
import sumo_mobility
from ns3_scenarios.kernels import CodeFiles, sources_of

LOOP = """
import numpy as np
from ns3_scenarios.mdp.margins import find_moving
shares = np.empty((1, 1, 1), np.float32)
serving, first, neighbors = np.zeros((1, 1), np.int64), np.array([0, 1, 1]), np.array([1])
find_moving(np.zeros((1, 1, 2)), serving, first, neighbors, 0.5, np.ones(1), shares)
assert shares == 1
"""


@pytest.mark.slow
def test_compiling_is_announced_once(tmp_path: Path) -> None:
    environ = programs.python_path() | {"NUMBA_CACHE_DIR": str(tmp_path)}
    runs = [subprocess.run([sys.executable, "-c", LOOP], env=environ, capture_output=True, text=True) for _ in range(2)]
    assert [run.returncode for run in runs] == [0, 0]
    assert runs[0].stderr.count("note: compiling the network model for this machine") == 1
    assert runs[1].stderr == ""


BACKOFF = """
from cf_augment.physics.constants import TTI_S
from ns3_scenarios.kernels import kernel
@kernel
def wait_s(ttis):
    return ttis * TTI_S
"""


@pytest.mark.slow
def test_a_changed_constant_changes_what_was_compiled(tmp_path: Path) -> None:
    """The constant is of another file than the loop, and is part of its machine code."""
    for package in (sumo_mobility, ns3_scenarios, cf_augment):
        folder = Path(package.__path__[0])
        shutil.copytree(folder, tmp_path / folder.name, ignore=shutil.ignore_patterns("__pycache__", "src"))
    (tmp_path / "cf_augment" / "backoff.py").write_text(BACKOFF)
    environ = programs.python_path() | {"PYTHONPATH": str(tmp_path)}
    constants = tmp_path / "cf_augment" / "physics" / "constants.py"

    def waited() -> tuple[float, bool]:
        command = [sys.executable, "-c", "from cf_augment.backoff import wait_s; print(wait_s(10))"]
        run = subprocess.run(command, env=environ, capture_output=True, text=True, cwd=tmp_path)
        assert run.returncode == 0, run.stderr
        return float(run.stdout), "compiling" in run.stderr

    assert waited() == (0.01, True)
    assert waited() == (0.01, False)
    constants.write_text(constants.read_text().replace("TTI_S = 1e-3", "TTI_S = 2e-3"))
    assert waited() == (0.02, True)


def test_while_a_loop_is_compiled_nobody_finds_code_of_other_sources_or_types(tmp_path: Path) -> None:
    """Under the scheme of numba's own, an index and numbered files, the first one who looks finds the old code."""
    found = []

    def files(sources: str, loop: str = "loop-1.py311") -> CodeFiles:
        return CodeFiles(str(tmp_path), loop, sources)

    class Watched(CodeFiles):
        def _save_data(self, name: str, data: object) -> None:
            found.append(files("today").load("float64"))
            super()._save_data(name, data)

    files("yesterday").save("float64", "old code")
    files("yesterday", "loop-12.py311").save("float64", "code of another loop")
    new = Watched(str(tmp_path), "loop-1.py311", "today")
    new.save("float64", "new code")
    new.save("float32", "code for other types")
    assert found == [None, "new code"]
    assert files("today").load("float64") == "new code"
    assert files("today").load("float32") == "code for other types"
    assert files("yesterday").load("float64") is None  # nobody needs it any more
    assert files("yesterday", "loop-12.py311").load("float64") == "code of another loop"


def test_sources_are_what_is_imported_at_any_depth() -> None:
    physics = Path(cf_augment.__path__[0]) / "physics"
    found = sources_of(physics / "emulator" / "interval.py")
    assert {physics / "constants.py", physics / "radio" / "phy.py", physics / "emulator" / "channel.py"} < found
    assert physics / "closed_form" / "interval.py" not in found


def test_what_a_kernel_needs_for_its_types_alone_does_not_compile_it_again() -> None:
    """A new reward or a new field of the scenario leaves the emulator's machine code as it is."""
    root = Path(cf_augment.__path__[0]).parent
    found = sources_of(root / "cf_augment" / "physics" / "emulator" / "interval.py")
    others = {root / "ns3_scenarios" / name for name in ("kernels.py", "kpis.py")}
    assert {file for file in found if file.parts[-4:-1] != ("cf_augment", "physics", "emulator")} == others | {
        root / "cf_augment" / "physics" / name for name in ("constants.py", "tables.py", "radio/phy.py")
    }
