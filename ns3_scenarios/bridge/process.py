"""Owner of a child process: its life is bound to ours, and what it said last is in every error about it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from ns3_scenarios.bridge import leash as leash_program
from sumo_mobility.base.children import start
from sumo_mobility.base.errors import DependencyError, SimulatorError

_SLICE_S = 0.005
_STDERR_LINES = 12
_STDERR_BYTES = 8192


class ChildProcess:
    """A running program. It is killed, with all that it started, by close(), when this is dropped, and at Python's end.

    Args:
        command: Program and arguments.
        directory: Where it runs; here if None.
        leashed: Whether it may start others that are to end as well when we are killed.

    Raises:
        DependencyError: there is no such directory, or the system refuses another process. A program that cannot be
            started has ended with exit code 127.
    """

    def __init__(self, command: list[str], directory: Path | None = None, leashed: bool = False) -> None:
        self.name = Path(command[0]).name
        self._stderr: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": self._stderr}
        try:
            # Both lead a session of their own, so that what they start can be killed with them.
            if leashed:
                command = [sys.executable, "-I", "-S", leash_program.__file__, str(os.getpid()), *command]
                self._popen = subprocess.Popen(command, cwd=directory, start_new_session=True, **options)
            else:
                self._popen = start(command, cwd=directory, **options)
        except OSError as error:
            self._stderr.close()
            where = f" in {directory}" if directory else ""
            raise DependencyError(
                f"cannot start {self.name}{where}: {error.strerror}", "'mlb doctor' says more"
            ) from None
        self._end = weakref.finalize(self, _end, self._popen, self._stderr, os.getpid())

    @property
    def pid(self) -> int:
        """The process id of the simulator."""
        return self._popen.pid

    def check(self) -> None:
        """Raises SimulatorError if the process has ended."""
        code = self._code()
        if code is not None:
            raise self.error(f"{self.name} ended {_ending(code)}")

    def error(self, what: str, cure: str = "") -> SimulatorError:
        """Returns an error that ends with the last lines that the process wrote to stderr."""
        lines = self.last_lines()
        tail = "; its last lines of stderr:\n" + "\n".join(f"    {line}" for line in lines) if lines else ""
        return SimulatorError(what + tail, cure)

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
        deadline = time.monotonic() + timeout_s
        while (code := self._code()) is None and time.monotonic() < deadline:
            time.sleep(_SLICE_S)
        return code

    def close(self) -> None:
        """Kills the process, and all that it started; may be called twice."""
        self._end()

    def _code(self) -> int | None:
        """The exit code of the simulator, or None while it runs. It stays a zombie, so that its id is not reused."""
        if self._popen.returncode is None:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return None
            return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        return self._popen.returncode


def _end(popen: subprocess.Popen[bytes], stderr: BinaryIO, owner: int) -> None:
    if os.getpid() != owner:
        return  # a forked copy of the owner must not end what is not its own
    with suppress(ProcessLookupError):
        os.killpg(popen.pid, signal.SIGKILL)
    popen.wait()
    stderr.close()


def _ending(code: int) -> str:
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by signal {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
