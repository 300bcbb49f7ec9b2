"""`mlb`: one command, one job."""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from py_agent.cli.ending import Ending

# Two processes of one thread beat one of two; set before numpy or torch is imported anywhere.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

_LACKS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOMEM}
"""Errors of the system when space, memory or permission is lacking."""


def main() -> None:
    """Runs one command; prints an error of the project's family as one message, without a traceback.

    The exit code is 0, 1 if the command found that something is not as it should be, that of the error, or 128 and the
    number of the signal that ended it: 130 for Ctrl-C, 143 for SIGTERM, 141 where nobody reads what it prints.
    """
    # Nothing is imported before somebody listens, nor what takes long before it is needed.
    from py_agent.cli.ending import Ending

    ending = Ending()
    try:
        try:
            if sys.argv[1:] == ["--version"]:
                _show_version()
            else:
                _run(ending)
        finally:
            sys.stdout.flush()
    except BaseException as error:
        from sumo_mobility.base.errors import MlbError, StorageError

        if ending.requested:
            ending.leave()
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            # As in `mlb --help | head`: whoever read has seen enough.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(128 + signal.SIGPIPE)
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _LACKS):
            # No code foresees all places where a disk can be full; whatever was being written is not half there.
            error = StorageError(str(error) or "no memory is left", "free some space, then go on with --resume")
        if not isinstance(error, MlbError):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    finally:
        ending.over()


@contextmanager
def _to_stderr() -> Iterator[None]:
    """Sends what a library or a process of ours prints in the block to stderr: with --json, stdout is the result's."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _nobody_reads() -> bool:
    """Returns whether standard output is a pipe that nobody reads any more."""
    poll = select.poll()
    poll.register(sys.stdout, select.POLLOUT)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _show_version() -> None:
    from importlib.metadata import version

    print(f"mlb {version('mlb-testbed')}")


def _run(ending: Ending) -> None:
    from py_agent.cli.command import show
    from py_agent.cli.commands import parse

    command = parse(sys.argv[1:])
    how = " with --resume" if hasattr(command, "resume") else ""
    ending.cure = f"; run the same command again{how} to go on"
    with _to_stderr() if command.json else nullcontext():
        result = command.execute()
    show(result, command.json)
    sys.exit(0 if result.ok else 1)
