"""Runs a command, and ends it with all that it started when the process that asked for it is gone.

usage: leash.py PID COMMAND [ARGUMENT ...], as the leader of a process group. PID is who asks.
"""

import contextlib
import os
import resource
import signal
import subprocess
import sys

_SLICE_S = 0.5


def main(owner: int, command: list[str]) -> int:
    """Returns the command's exit code; ends by its signal if it did."""
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except OSError as error:
        print(f"error: cannot start {command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    while os.getppid() == owner:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = child.wait(_SLICE_S)
            if code < 0:
                _end_by_signal(-code)
            return code
    os.killpg(0, signal.SIGKILL)
    return 1


def _end_by_signal(number: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
