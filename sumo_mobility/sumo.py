"""Runs SUMO's programs from the eclipse-sumo wheel: none is imported, no environment variable is needed."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sumo_mobility.base.errors import DependencyError, SimulatorError

_CURE = "install SUMO's wheel: pip install 'eclipse-sumo==1.28.0'"
REINSTALL = "restore SUMO's wheel: pip install --force-reinstall --no-deps 'eclipse-sumo==1.28.0'"
"""The cure for a damaged file in it."""
_STEP = re.compile(rb"Step #(\d+\.\d+)")
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def sumo_home() -> Path:
    """Folder of SUMO's programs and data.

    Raises:
        DependencyError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("sumo")
    home = Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None
    if home is None or not (home / "bin").is_dir():
        raise DependencyError("SUMO is not installed", _CURE)
    return home


def sumo_version() -> str:
    """Version of the installed SUMO; DependencyError if there is none."""
    try:
        return importlib.metadata.version("eclipse-sumo")
    except importlib.metadata.PackageNotFoundError:
        raise DependencyError("SUMO is not installed", _CURE) from None


def run_sumo(
    program: str, arguments: list[str], timeout_s: float = 600, on_step: Callable[[float], None] | None = None
) -> None:
    """Runs one of SUMO's programs to its end; it dies with this process.

    Args:
        program: "netconvert", "duarouter" or "sumo".
        arguments: Its command line.
        timeout_s: After this time it is killed.
        on_step: Called with the simulated time in s now and then (`sumo` only).

    Raises:
        SimulatorError: exit code other than 0, death or time-out, with the last lines of stderr.
        DependencyError: SUMO is not installed.
    """
    home = sumo_home()
    proj = str(home / "data" / "proj")
    environment = os.environ | {"SUMO_HOME": str(home), "PROJ_LIB": proj, "PROJ_DATA": proj}
    deadline = time.monotonic() + timeout_s
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        command = [str(home / "bin" / program), *arguments]
        child = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, preexec_fn=_die_with_owner
        )
        try:
            while (code := _wait(child, 0.1)) is None:
                if time.monotonic() > deadline:
                    raise SimulatorError(f"{program} did not end within {timeout_s:g} s\n{_tail(stderr.fileno())}")
                steps = _STEP.findall(_last(stdout.fileno(), 400)) if on_step else []
                if on_step and steps:
                    on_step(float(steps[-1]))
        finally:
            child.kill()
            child.wait()
        if code != 0:
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"failed with exit code {code}"
            raise SimulatorError(f"{program} {how}\n{_tail(stderr.fileno())}")


def _wait(child: subprocess.Popen[bytes], timeout_s: float) -> int | None:
    try:
        return child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None


def _last(file: int, size: int) -> bytes:
    return os.pread(file, size, max(0, os.fstat(file).st_size - size))


def _tail(file: int, lines: int = 8) -> str:
    text = _last(file, 4000).decode(errors="replace").strip().splitlines()[-lines:]
    return "\n".join(f"  | {line}" for line in text) or "  | (nothing on stderr)"


def _die_with_owner() -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
