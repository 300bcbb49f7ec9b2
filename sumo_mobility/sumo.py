"""Runs SUMO's programs from the eclipse-sumo wheel: none is imported, no environment variable is needed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import IO

from sumo_mobility.base.children import start
from sumo_mobility.base.errors import DependencyError, SimulatorError
from sumo_mobility.base.system import missing_for_sumo

PROGRAMS = ("netconvert", "duarouter", "sumo")
"""The programs of SUMO that are run here."""

_CURE = "install SUMO's wheel: pip install 'eclipse-sumo==1.28.0'"
REINSTALL = "restore SUMO's wheel: pip install --force-reinstall --no-deps 'eclipse-sumo==1.28.0'"
"""The cure for a damaged file in it."""
_NOT_LOADED = 127
"""Exit code of a program whose libraries are not there."""
_STEP = re.compile(rb"Step #(\d+\.\d+)")


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


class SumoProcess:
    """A running program of SUMO's; it ends with close(), when this is dropped, and with this process.

    Args:
        program: "netconvert", "duarouter" or "sumo".
        arguments: Its command line.

    Raises:
        DependencyError: SUMO is not installed.
    """

    def __init__(self, program: str, arguments: list[str]) -> None:
        home = sumo_home()
        proj = str(home / "data" / "proj")
        environment = os.environ | {"SUMO_HOME": str(home), "PROJ_LIB": proj, "PROJ_DATA": proj}
        self._program = program
        self._stdout = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        self._child = start(
            [str(home / "bin" / program), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._stdout,
            stderr=self._stderr,
        )
        self._end = weakref.finalize(self, _end, self._child, (self._stdout, self._stderr), os.getpid())

    @property
    def pid(self) -> int:
        """The process id of SUMO."""
        return self._child.pid

    def wait(self, timeout_s: float) -> int | None:
        """Waits for its end; returns its exit code, negative if a signal killed it, or None if it goes on."""
        try:
            return self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def last_output(self, size: int) -> bytes:
        """The last bytes that it wrote to stdout."""
        return _last(self._stdout.fileno(), size)

    def error(self, what: str, cure: str = "") -> SimulatorError:
        """Returns an error, "program what", with the last lines of stderr."""
        return SimulatorError(f"{self._program} {what}\n{_tail(self._stderr.fileno())}", cure)

    def ending_error(self, code: int, cure: str = "") -> SimulatorError | DependencyError:
        """Returns the error of a program that ended with this code and should not have."""
        if code == _NOT_LOADED and (packages := missing_for_sumo()):
            lacks = _tail(self._stderr.fileno())
            return DependencyError(f"{self._program} cannot start\n{lacks}", f"apt-get install {' '.join(packages)}")
        if code < 0:
            return self.error(f"was killed by {signal.Signals(-code).name}", cure)
        return self.error(f"failed with exit code {code}" if code else "ended", cure)

    def close(self) -> None:
        """Kills it if it still runs; may be called twice."""
        self._end()


def run_sumo(
    program: str, arguments: list[str], timeout_s: float = 600, on_step: Callable[[float], None] | None = None
) -> None:
    """Runs one of SUMO's programs to its end; it dies with this process.

    Args:
        program: As in `SumoProcess`.
        arguments: Its command line.
        timeout_s: After this time it is killed.
        on_step: Called with the simulated time in s now and then (`sumo` only).

    Raises:
        SimulatorError: exit code other than 0, death or time-out, with the last lines of stderr.
        DependencyError: SUMO is not installed.
    """
    deadline = time.monotonic() + timeout_s
    process = SumoProcess(program, arguments)
    try:
        while (code := process.wait(0.1)) is None:
            if time.monotonic() > deadline:
                raise process.error(f"did not end within {timeout_s:g} s")
            steps = _STEP.findall(process.last_output(400)) if on_step else []
            if on_step and steps:
                on_step(float(steps[-1]))
        if code != 0:
            raise process.ending_error(code)
    finally:
        process.close()


def _end(child: subprocess.Popen[bytes], files: tuple[IO[bytes], ...], owner: int) -> None:
    if os.getpid() != owner:
        return  # a forked copy of the owner must not end what is not its own
    child.kill()
    child.wait()
    for file in files:
        file.close()


def _last(file: int, size: int) -> bytes:
    return os.pread(file, size, max(0, os.fstat(file).st_size - size))


def _tail(file: int, lines: int = 8) -> str:
    text = _last(file, 4000).decode(errors="replace").strip().splitlines()[-lines:]
    return "\n".join(f"  | {line}" for line in text) or "  | (nothing on stderr)"
