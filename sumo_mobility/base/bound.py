"""Binds a process to its parent's life; run as a program, it becomes a command that is bound.

usage: bound.py PID COMMAND [ARGUMENT ...]. PID is the parent.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ends the calling process when its parent ends, where the system can (Linux), or now if that is gone already.

    Args:
        parent: Process id of who started it, as that one says: whoever asks after its death meets a stranger.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def main(parent: int, command: list[str]) -> int:
    """Returns only if the command cannot be started."""
    die_with_parent(parent)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"error: cannot start {command[0]}: {error.strerror}", file=sys.stderr)
        return 127


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
