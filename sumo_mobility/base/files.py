"""Files and directories that are either whole or absent: written aside, synced, then renamed."""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sumo_mobility.base.errors import DataError, StorageError

_HERE, _RENAME_EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux: names are relative to the working directory, and change places."""


def cache_folder() -> Path:
    """The user's cache, shared by checkouts and installations: nets by their content, maps by what was asked for."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlb-testbed"


def require_file(path: Path, cure: str) -> None:
    """Refuses what is no ordinary file before anything waits for it.

    Raises:
        DataError: there is none, or it is a directory, a pipe or a device; `cure` says what to give instead.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        what = "no such file" if missing else f"cannot be read ({getattr(error, 'strerror', None) or error})"
        raise DataError(f"{path}: {what}", cure) from None
    if not stat.S_ISREG(mode):
        what = "a directory" if stat.S_ISDIR(mode) else "a pipe or a device, which cannot be read twice"
        raise DataError(f"{path}: is {what}", cure)


@contextmanager
def replacing(path: Path, directory: bool = False) -> Iterator[Path]:
    """Yields a temporary path beside `path` and renames it over `path` if the block succeeds.

    What is new has the mode that the umask says. What a writer of `path` left that was killed is removed.

    Args:
        path: What is made, or replaced if it is there; of a directory that is replaced nothing stays.
        directory: It is a directory instead of a file, and so is the temporary path, at first empty. Since no directory
            can be renamed over another, the two change places; where the system or the file system cannot do that, the
            old one is renamed first, and for an instant there is none.

    Raises:
        StorageError: the directory is not writable, the disk is full; `path` is then as it was before.
    """
    temporary: Path | None = None
    lock = -1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        temporary, lock = _locked(path, directory)
        yield temporary
        for part in [temporary, *temporary.rglob("*")]:
            _sync(part)
        _rename(temporary, path)
        temporary = None
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}", "free some space or choose another directory"
        ) from error
    finally:
        if temporary is not None:
            _remove(temporary)
        if lock >= 0:
            os.close(lock)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}{path.suffix}")


def _sync(path: Path) -> None:
    if path.is_file():
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def _rename(temporary: Path, path: Path) -> None:
    if not (temporary.is_dir() and path.is_dir()):
        temporary.replace(path)
        return
    if _exchange(temporary, path):
        _remove(temporary)
        return
    old = path.rename(_beside(path))
    try:
        temporary.rename(path)
    except OSError:
        old.rename(path)
        raise
    _remove(old)


def _exchange(one: Path, other: Path) -> bool:
    """Has two paths change places at once, and returns whether it could."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)  # Linux alone has it
    return rename is not None and not rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _RENAME_EXCHANGE)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    """Removes the temporary files and directories of `path` that nobody writes."""
    name = re.compile(re.escape(f".{path.name}.") + "[0-9a-f]{16}" + re.escape(path.suffix))
    with suppress(OSError):  # the directory cannot be listed
        for left in path.parent.iterdir():
            if name.fullmatch(left.name):
                with suppress(OSError):  # held, another user's, or gone already
                    _remove_unheld(left)


def _remove_unheld(path: Path) -> None:
    mode = os.O_RDONLY | os.O_DIRECTORY if path.is_dir() else os.O_RDWR
    file = os.open(path, mode | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(path)
    finally:
        os.close(file)


def _locked(path: Path, directory: bool) -> tuple[Path, int]:
    while True:
        temporary = _beside(path)
        if directory:
            temporary.mkdir()
            file = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY)
        else:
            file = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        with suppress(OSError):  # not every file system has locks; there nobody sweeps either
            fcntl.flock(file, fcntl.LOCK_EX)
        if temporary.exists():
            return temporary, file
        os.close(file)  # swept between its making and its locking


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """Returns the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
