"""Errors, contracts and files: messages that name the field, and files that are whole or absent."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sumo_mobility.base import files
from sumo_mobility.base.contract import Contract, nearest
from sumo_mobility.base.errors import ConfigError, DataError, StorageError
from sumo_mobility.base.files import replacing, sha256, write_text
from sumo_mobility.base.seeds import derive, stream


class Inner(Contract):
    power_dbm: float = 0.0


class Outer(Contract):
    inner: Inner = Inner()
    count: int = 1


def test_unknown_key_is_refused_with_path_and_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"x\.yaml: inner\.powr_dbm: unknown key \(did you mean 'power_dbm'\?\)"):
        Outer.parse({"inner": {"powr_dbm": 3}}, "x.yaml")


def test_wrong_value_is_refused_with_path_and_value() -> None:
    with pytest.raises(ConfigError, match=r"x\.yaml: count: .*got 'many'"):
        Outer.parse({"count": "many"}, "x.yaml")


def test_nan_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"inner\.power_dbm"):
        Outer.parse({"inner": {"power_dbm": float("nan")}}, "x.yaml")


@pytest.mark.parametrize("text", ["{", "[1, 2", "\x00"])
def test_damaged_json_names_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"a\.json"):
        Outer.read_json(path)


def test_nearest_lists_what_is_known_when_nothing_is_near() -> None:
    assert nearest("zzzz", ["alpha", "beta"]) == " (known: alpha, beta)"


def test_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(IndexError), replacing(path) as temporary:
        [][temporary.write_text("half")]
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_directory_is_replaced_as_a_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    """Old and new change places, so that one of them is always there; elsewhere than on Linux one goes before."""
    if not at_once:
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    elif sys.platform == "linux":
        monkeypatch.setattr(Path, "rename", None)
    path = tmp_path / "a"
    with replacing(path, directory=True) as temporary:
        (temporary / "below").mkdir()
        (temporary / "below" / "old").touch()
    with pytest.raises(IndexError), replacing(path, directory=True) as temporary:
        [][(temporary / "half").write_text("half")]
    assert [*path.rglob("*")] == [path / "below", path / "below" / "old"]
    with replacing(path, directory=True) as temporary:
        (temporary / "new").touch()
        assert (path / "below" / "old").exists()
    assert [*tmp_path.rglob("*")] == [path, path / "new"]
    with pytest.raises(StorageError, match="Not a directory"), replacing(path / "new", directory=True):
        pass
    assert [*tmp_path.rglob("*")] == [path, path / "new"]


def test_directory_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*file/a\.txt.*\n.*cure: "):
        write_text(tmp_path / "file" / "a.txt", "text")


def test_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """A file size limit makes write(2) fail as a full disk does."""
    path = tmp_path / "a.txt"
    write_text(path, "old")
    code = (
        "import sys; from pathlib import Path; from sumo_mobility.base.files import write_text\n"
        "from sumo_mobility.base.errors import StorageError\n"
        "try: write_text(Path(sys.argv[1]), 'x' * 100_000)\n"
        "except StorageError as error: print(error); sys.exit(7)"
    )

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = subprocess.run(
        [sys.executable, "-B", "-c", code, str(path)], preexec_fn=limit, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 7, done.stderr
    assert "cannot write" in done.stdout
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600), (0o027, 0o640)])
def test_a_file_has_the_mode_that_the_umask_says(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "folder" / "a.txt", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "folder" / "a.txt").stat().st_mode) == mode
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == mode | (mode & 0o444) >> 2


@pytest.mark.parametrize("directory", [False, True])
def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path: Path, directory: bool) -> None:
    path, other = tmp_path / "a[1].txt", tmp_path / ".a[1].txt.notes"
    other.touch()
    code = (
        "import os, sys; from pathlib import Path; from sumo_mobility.base.files import replacing\n"
        f"with replacing(Path(sys.argv[1]), {directory}) as left:\n"
        "    left.is_dir() and (left / 'part').touch()\n"
        "    os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-B", "-c", code, str(path)], timeout=60).returncode == -9
    assert len(list(tmp_path.iterdir())) == 2
    with replacing(path) as first:  # one that is being written stays
        write_text(path, "second")
        first.write_text("first")
        assert {*tmp_path.iterdir()} == {path, other, first}
    assert {*tmp_path.iterdir()} == {path, other}
    assert path.read_text() == "first"


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "abc")  # FIPS 180-2, appendix B.1
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_streams_repeat_and_differ_by_component() -> None:
    first = stream(1, "demand", 0).random(8)
    assert np.array_equal(first, stream(1, "demand", 0).random(8))
    for other in (stream(2, "demand", 0), stream(1, "demand", 1), stream(1, "network", 0)):
        assert not np.array_equal(first, other.random(8))
    assert derive(1, "a") == derive(1, "a") != derive(1, "b")
