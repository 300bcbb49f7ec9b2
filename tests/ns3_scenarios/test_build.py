"""The build helper: idempotent, and clear about what is missing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import three_cells

from ns3_scenarios import build
from sumo_mobility.base.errors import DependencyError
from sumo_mobility.base.system import missing_for_build


@pytest.fixture
def empty_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lets the helper work in a directory of its own, on a copy of the sources."""
    shutil.copytree(build._SOURCES, tmp_path / "src")
    monkeypatch.setattr(build, "_SOURCES", tmp_path / "src")
    monkeypatch.setattr(build, "_BUILD", tmp_path / "build")
    return tmp_path


@pytest.mark.parametrize(("ns3", "cure"), [("3.44", "run 'mlb build'"), ("3.37", "run 'mlb build --ns3 3.37'")])
def test_a_missing_program_is_an_error_with_its_cure(empty_build: Path, ns3: str, cure: str) -> None:
    with pytest.raises(DependencyError, match="has not been built") as error:
        build.program(ns3)
    assert error.value.cure == cure
    assert not (empty_build / "build").exists()


def test_a_build_without_a_compiler_names_the_packages(empty_build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(empty_build))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(DependencyError, match=r"lacks g\+\+, .*protobuf-compiler") as error:
        build.build()
    assert error.value.cure.startswith("apt-get install g++ ")


def test_the_fingerprint_follows_the_sources(empty_build: Path) -> None:
    before = build._fingerprint("3.44")
    assert before == build._fingerprint("3.44") != build._fingerprint("3.37")
    with (empty_build / "src/main.cc").open("a") as file:
        file.write("// changed\n")
    assert build._fingerprint("3.44") != before


@pytest.mark.ns3
class TestBuild:
    def test_it_is_done_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        path = build.build()
        assert path == build.program()
        monkeypatch.setattr(subprocess, "Popen", None)
        assert build.build() == path

    def test_a_failure_ends_in_the_last_lines_of_its_log(self, empty_build: Path) -> None:
        (empty_build / "src/CMakeLists.txt").write_text('message(FATAL_ERROR "no such luck")\n')
        with pytest.raises(DependencyError, match=r"(?s)last lines of .*mlb-lte-3\.44\.log:.*no such luck"):
            build.build()
        assert not list((empty_build / "build").glob("mlb-lte*-3.44"))

    def test_the_other_ns3_agrees(self) -> None:
        """ns-3 3.37 of Debian and 3.44 see the same radio, and the same handovers."""
        if missing_for_build("3.37"):
            pytest.skip("Debian's libns3-dev is not installed")
        build.build("3.37")
        for one, other in zip(three_cells.played("3.37"), three_cells.played("3.44"), strict=True):
            assert one.ue_rsrp_dbm == pytest.approx(other.ue_rsrp_dbm, abs=1e-6)
            assert one.events["time_s"] == pytest.approx(other.events["time_s"], abs=2e-3)
            assert one.events["target_cell"].tolist() == other.events["target_cell"].tolist()
            assert one.prb_utilization == pytest.approx(other.prb_utilization, abs=0.02)
            assert np.array_equal(one.ue_serving_cell, other.ue_serving_cell)
