"""What set-up finds missing on this system, what it says, and that it needs no package to say so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sumo_mobility.base import system

_REPOSITORY = Path(__file__).parents[2]


def test_libraries_are_found_by_loading_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "SUMO_LIBRARIES", {"libc.so.6": "libc6", "libnone.so.9": "libnone9"})
    assert system.missing_for_sumo() == ["libnone9"]


def test_headers_are_found_by_looking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "libnone-dev" not in system.missing_for_build()
    monkeypatch.setitem(system.HEADERS, "no/such/header.h", "libnone-dev")
    assert "libnone-dev" in system.missing_for_build()
    assert "libzmq3-dev" not in system.missing_for_build()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert {"g++", "libzmq3-dev", "protobuf-compiler"} <= set(system.missing_for_build())
    assert "libgsl-dev" not in system.missing_for_build()
    assert "libgsl-dev" in system.missing_for_build("3.37")


def test_what_is_missing_is_named_all_at_once_with_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(system.SUMO_LIBRARIES, "libnone.so.9", "libnone9")
    monkeypatch.setitem(system.HEADERS, "no/such/header.h", "libnone-dev")
    assert system.main(["--no-system"]) == 1
    said = capsys.readouterr().err
    assert "cure: sudo apt-get install" in said
    assert "libnone-dev" in said.splitlines()[-1]
    assert "libnone9" in said.splitlines()[-1]


def test_what_only_helps_stops_nobody(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(system, "_needed", lambda with_tests: [])
    monkeypatch.setitem(system.HEADERS_THAT_HELP, "no/such/header.h", "libnone-dev")
    assert system.main(["--no-system"]) == 0
    assert "not needed" in capsys.readouterr().err


def test_nobody_is_asked_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if system._why_not_install(["--yes"]):
        pytest.skip("this system would not install anything")
    monkeypatch.setitem(system.SUMO_LIBRARIES, "libnone.so.9", "libnone9")
    monkeypatch.setattr(sys, "stdin", Path("/dev/null").open())  # noqa: SIM115
    assert system.main([]) == 1
    assert "No terminal to ask on: add --yes" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["system", "wheels"])
def test_set_up_needs_the_standard_library_only(module: str) -> None:
    command = [sys.executable, "-S", "-c", f"import sumo_mobility.base.{module}"]
    done = subprocess.run(command, cwd=_REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", ["setup", "quickstart", "test"])
def test_scripts_have_a_help_of_their_own(script: str) -> None:
    done = subprocess.run([_REPOSITORY / "scripts" / script, "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert f"usage: scripts/{script}" in done.stdout


@pytest.mark.parametrize(
    ("python", "said"), [("python3.99", "python3.99: not found"), ("/bin/false", "/bin/false: does not start")]
)
def test_an_interpreter_that_is_not_there_is_named(python: str, said: str) -> None:
    done = subprocess.run(
        [_REPOSITORY / "scripts/setup"], env={"PATH": "/usr/bin:/bin", "PYTHON": python}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {said}")
