"""Temporary directories go with their owner, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sumo_mobility.base.errors import StorageError
from sumo_mobility.base.scratch import ScratchDirectory

OWNER = """
from sumo_mobility.base.scratch import ScratchDirectory
scratch = ScratchDirectory()
(scratch.path / "file").write_text("something")
print(scratch.path, flush=True)
{ending}
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def left_by_one_that_ends_with(ending: str) -> Path:
    argv = [sys.executable, "-c", OWNER.format(ending=ending)]
    return Path(subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip())


def test_it_is_its_owners_alone_and_gone_after_close() -> None:
    with ScratchDirectory() as one, ScratchDirectory() as other:
        assert one.path != other.path
        assert one.path.stat().st_mode & 0o777 == 0o700
        (one.path / "folder").mkdir()
    assert not one.path.exists()
    assert not other.path.exists()
    one.close()


@pytest.mark.parametrize("ending", ["", "raise KeyboardInterrupt", "del scratch; import os; os._exit(0)"])
def test_it_is_gone_when_its_owner_is(ending: str) -> None:
    assert not left_by_one_that_ends_with(ending).exists()


def test_the_next_owner_removes_what_a_killed_one_left(temporary: Path) -> None:
    path = left_by_one_that_ends_with("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert path.exists()
    with ScratchDirectory() as mine:
        assert {entry.name for entry in temporary.iterdir()} == {mine.path.name}


OWN = "mlb-scratch-0123456789abcdef"
"""A name that we could have given."""


def fifo(path: Path) -> None:
    os.mkfifo(path, 0o700)


def link(path: Path) -> None:
    target = path.with_name("target")
    target.mkdir(0o700)
    (target / "file").touch()
    path.symlink_to(target)


def of_another_user(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give a directory away")
    path.mkdir(0o700)
    os.chown(path, 1, 1)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("mlb-scratch-notes", Path.mkdir),
        ("mlb-scratch-notes", lambda path: path.mkdir(0o700)),
        ("mlb-scratch-notebook", lambda path: path.mkdir(0o700)),
        (f"{OWN}.bak", lambda path: path.mkdir(0o700)),
        (OWN, lambda path: path.mkdir(0o755)),
        (OWN, Path.touch),
        (OWN, fifo),
        ("mlb-scratch-x", fifo),
        (OWN, link),
        (OWN, of_another_user),
    ],
)
@pytest.mark.timeout(30)
def test_what_is_not_ours_stays_and_blocks_nothing(temporary: Path, name: str, make: Callable[[Path], object]) -> None:
    make(temporary / name)
    before = sorted(temporary.rglob("*"))
    ScratchDirectory().close()
    assert sorted(temporary.rglob("*")) == before


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_thousands_of_entries_are_no_trouble(temporary: Path) -> None:
    for index in range(2000):
        (temporary / f"mlb-scratch-{index:016x}").mkdir(0o700)
        os.mkfifo(temporary / f"mlb-scratch-f{index:015x}")
    with ScratchDirectory() as mine:
        assert sum(path.is_dir() for path in temporary.iterdir()) == 1
        assert mine.path.is_dir()


def test_a_place_that_cannot_be_listed_will_do(temporary: Path) -> None:
    temporary.chmod(0o300)
    try:
        with ScratchDirectory() as mine:
            assert mine.path.is_dir()
    finally:
        temporary.chmod(0o700)


def test_a_forked_copy_removes_nothing() -> None:
    with ScratchDirectory() as scratch:
        child = os.fork()
        if child == 0:
            scratch.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert scratch.path.exists()
        ScratchDirectory().close()
        assert scratch.path.exists()


def test_no_place_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(StorageError, match="cannot make a temporary directory: No such file"):
        ScratchDirectory()
