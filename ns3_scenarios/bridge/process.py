"""Owner of a child process: its life is bound to ours, and what it said last is in every error about it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path
from typing import BinaryIO

from sumo_mobility.base.errors import DependencyError, SimulatorError

_STDERR_LINES = 12
_STDERR_BYTES = 8192
_PR_SET_PDEATHSIG = 1


class ChildProcess:
    """A running program. It is killed by close(), when this object is dropped, and when Python ends.

    Args:
        command: Program and arguments.

    Raises:
        DependencyError: the program cannot be started.
    """

    def __init__(self, command: list[str]) -> None:
        self.name = Path(command[0]).name
        self._stderr: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        try:
            self._popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._stderr
            )
        except OSError as error:
            self._stderr.close()
            raise DependencyError(f"cannot start {command[0]}: {error.strerror}", "'mlb doctor' says more") from None
        self._end = weakref.finalize(self, _end, self._popen, self._stderr)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    def check(self) -> None:
        """Raises SimulatorError if the process has ended."""
        code = self._popen.poll()
        if code is not None:
            raise self.error(f"{self.name} ended {_ending(code)}")

    def error(self, what: str, cure: str = "") -> SimulatorError:
        """Returns an error that ends with the last lines that the process wrote to stderr."""
        lines = self.last_lines()
        said = "; its last lines of stderr:\n" + "\n".join(f"    {line}" for line in lines) if lines else ""
        return SimulatorError(what + said, cure)

    def last_lines(self) -> list[str]:
        """The last lines that the process wrote to stderr."""
        if self._stderr.closed:
            return []
        # The child shares the file's offset, so this reads without moving it.
        size = os.fstat(self._stderr.fileno()).st_size
        tail = os.pread(self._stderr.fileno(), _STDERR_BYTES, max(0, size - _STDERR_BYTES))
        return tail.decode(errors="replace").splitlines()[-_STDERR_LINES:]

    def wait(self, timeout_s: float) -> int | None:
        """Waits for the process to end by itself; returns its exit code, or None if it goes on."""
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """Kills the process if it still runs; may be called twice."""
        self._end()


def die_with_parent() -> None:
    """Binds the life of the calling process to its parent's, where the system can (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(popen: subprocess.Popen[bytes], stderr: BinaryIO) -> None:
    if popen.poll() is None:
        popen.kill()
    popen.wait()
    stderr.close()


def _ending(code: int) -> str:
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by signal {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
