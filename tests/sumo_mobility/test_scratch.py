"""Temporary directories go with their owner, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
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
