"""Temporary directories that go with their owner, even one that was killed."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Self

from sumo_mobility.base.errors import StorageError

_NAME = re.compile("mlb-scratch-[0-9a-f]{16}")
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
"""Flags that open nothing but a directory: where others may write too, a name may stand for anything."""


class ScratchDirectory:
    """A temporary directory: removed by close(), when this object is dropped, and when Python ends.

    The owner holds a lock on it. One whose lock is free was left by an owner that was killed, and the next one to be
    made anywhere on this machine by the same user removes it.

    Raises:
        StorageError: there is no place for temporary files, or it is not writable.
    """

    def __init__(self) -> None:
        try:
            sweep()
            self.path, lock = _locked_directory()
        except OSError as error:
            cure = "free some space or set TMPDIR"
            raise StorageError(f"cannot make a temporary directory: {error.strerror}", cure) from None
        self._remove = weakref.finalize(self, _remove, self.path, lock, os.getpid())

    def close(self) -> None:
        """Removes the directory; may be called twice."""
        self._remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def sweep() -> None:
    """Removes the directories whose owners were killed: of our making, this user's, and held by nobody."""
    with suppress(OSError):  # the place cannot be listed
        for path in Path(tempfile.gettempdir()).iterdir():
            if _NAME.fullmatch(path.name):
                with suppress(OSError):  # no directory, another user's, held, or gone already
                    _remove_unheld(path)


def _remove_unheld(path: Path) -> None:
    lock = os.open(path, _OPEN)
    try:
        status = os.fstat(lock)
        if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == stat.S_IRWXU:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)


def _locked_directory() -> tuple[Path, int]:
    while True:
        path = Path(tempfile.gettempdir(), f"mlb-scratch-{secrets.token_hex(8)}")
        path.mkdir(stat.S_IRWXU)
        with suppress(FileNotFoundError):  # swept between its making and its locking
            lock = os.open(path, _OPEN)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)


def _remove(path: Path, lock: int, owner: int) -> None:
    if os.getpid() == owner:  # a forked copy of the owner must not remove what is not its own
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)
