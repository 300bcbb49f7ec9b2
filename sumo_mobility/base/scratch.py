"""Temporary directories that go with their owner, even one that was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Self

from sumo_mobility.base.errors import StorageError

_PREFIX = "mlb-scratch-"


class ScratchDirectory:
    """A temporary directory: removed by close(), when this object is dropped, and when Python ends.

    The owner holds a lock on it. One whose lock is free was left by an owner that was killed, and the next one to be
    made anywhere on this machine removes it.

    Raises:
        StorageError: there is no place for temporary files, or it is not writable.
    """

    def __init__(self) -> None:
        try:
            _sweep()
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


def _locked_directory() -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with suppress(FileNotFoundError):  # swept between its making and its locking
            lock = os.open(path, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)


def _sweep() -> None:
    """Removes the directories that nobody holds."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another user's, or gone already
            lock = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


def _remove(path: Path, lock: int, owner: int) -> None:
    if os.getpid() == owner:  # a forked copy of the owner must not remove what is not its own
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)
