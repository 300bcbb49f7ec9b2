"""The C++ classes' own tests, in ns3_scenarios/src/test, on both ns-3s."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ns3_scenarios import build
from sumo_mobility.base.system import missing_for_build


@pytest.mark.ns3
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("ns3", ["3.44", "3.37"])
def test_all_suites_pass(ns3: build.Ns3) -> None:
    if missing_for_build(ns3):
        pytest.skip(f"a build for ns-3 {ns3} lacks {', '.join(missing_for_build(ns3))}")
    ctest = [str(Path(build._tool("cmake")).with_name("ctest")), "--output-on-failure"]
    done = subprocess.run(ctest, cwd=build.build_tests(ns3), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout
    assert "100% tests passed" in done.stdout
