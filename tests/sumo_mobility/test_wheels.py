"""Packages by pip, from an index on the loopback: what is said is what comes, and PyTorch comes without CUDA."""

from __future__ import annotations

import re
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest

from sumo_mobility.base import wheels
from sumo_mobility.base.errors import DependencyError

_BYTES = 1_500_000

pytestmark = pytest.mark.slow


class Index:
    """Two package indexes in a folder, served on the loopback."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self.url = f"http://127.0.0.1:{port}"

    def add(self, index: str, name: str, version: str, payload: bytes = b"") -> None:
        """Puts a wheel with one module into an index."""
        page = self._folder / index / name
        page.mkdir(parents=True, exist_ok=True)
        wheel = page / f"{name}-{version}-py3-none-any.whl"
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"{name}/__init__.py", f"version = {version!r}\n")
            archive.writestr(f"{name}/payload.bin", payload)
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        links = "".join(f'<a href="{path.name.replace("+", "%2B")}">{path.name}</a>' for path in page.glob("*.whl"))
        (page / "index.html").write_text(f"<html><body>{links}</body></html>")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    folder = tmp_path / "indexes"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made = Index(folder, server.server_port)
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"{made.url}/pypi")
    monkeypatch.setattr(wheels, "TORCH_CPU_INDEX", f"{made.url}/cpu")
    yield made
    server.shutdown()


@pytest.mark.parametrize(("cached", "besides"), [(False, ""), (True, r", and up to 0\.0 GB in pip's cache")])
def test_what_really_came_is_said(
    index: Index, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, cached: bool,
    besides: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(wheels, "_is_cached", lambda: cached)
    index.add("pypi", "heavy", "1.0", payload=b"x" * _BYTES)
    wheels.install(["--target", str(tmp_path / "there"), "heavy"], "heavy things", 1.5)
    said = capsys.readouterr().err
    assert re.search(rf"heavy things: 2 MB to download, 0\.0 GB of disk{besides}\n", said)
    assert re.search(r"heavy things: done; 1 packages, 2 MB of them from the network", said)
    assert (tmp_path / "there/heavy/payload.bin").stat().st_size == _BYTES


@pytest.mark.parametrize("cpu_index", [True, False])
@pytest.mark.parametrize("gpu", [True, False])
def test_pytorch_comes_without_cuda_where_there_is_no_gpu(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: bool, cpu_index: bool
) -> None:
    index.add("pypi", "torch", "2.13.0")
    if cpu_index:
        index.add("cpu", "torch", "2.13.0+cpu")
    monkeypatch.setattr(wheels, "_has_gpu", lambda: gpu)
    monkeypatch.setattr(wheels.platform, "machine", lambda: "x86_64")
    options, brings_cuda = wheels._pytorch()
    assert brings_cuda == (gpu or not cpu_index)
    wheels.install([*options, "--target", str(tmp_path / "there"), "torch==2.13.0"], "torch", 0)
    version = "2.13.0" if brings_cuda else "2.13.0+cpu"
    assert (tmp_path / "there/torch/__init__.py").read_text() == f"version = {version!r}\n"


@pytest.mark.parametrize(
    ("cuda", "said"), [(False, "667 MB to download, 2.4 GB"), (True, "3175 MB to download, 6.4 GB")]
)
def test_the_disk_of_pytorch_is_that_of_its_build(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cuda: bool, said: str
) -> None:
    """Set-up with the one left a .venv of 2.40 GB, with the other one of 6.41 GB (du)."""
    monkeypatch.setattr(wheels, "_pytorch", lambda: ([], cuda))
    monkeypatch.setattr(wheels, "_lacks", lambda requirements: True)
    monkeypatch.setattr(wheels.shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    with pytest.raises(DependencyError):
        wheels.install_project()
    assert f"Python packages: {said} of disk" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("torch", "192 MB to download, 0.8 GB"), ("h5py", "475 MB to download, 1.6 GB"),
        ("ruff", "113 MB to download, 0.4 GB"), ("nothing", "0 MB to download, 0.0 GB"),
    ],
)  # fmt: skip
def test_what_is_installed_is_not_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str, said: str
) -> None:
    def found(name: str) -> str:
        if name == missing == "h5py":
            raise PackageNotFoundError
        return "1.0" if name == missing else pinned.get(name, "1.0")

    pinned = dict(re.findall(r'"([\w.-]+)==([\w.]+)"', Path("pyproject.toml").read_text()))
    assert {"torch", "ruff"} < set(pinned)
    monkeypatch.setattr(wheels, "version", found)
    monkeypatch.setattr(wheels, "_pytorch", lambda: ([], False))
    monkeypatch.setattr(wheels.shutil, "disk_usage", lambda path: SimpleNamespace(free=-1))
    with pytest.raises(DependencyError):
        wheels.install_project("[test]")
    assert f"Python packages: {said} of disk" in capsys.readouterr().err


def test_a_failure_ends_in_the_last_lines_of_pip(index: Index, tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match=r"(?s)pip failed:.*nosuchthing.*\n.*cure: check the network"):
        wheels.install(["--target", str(tmp_path / "there"), "nosuchthing"], "nothing", 0)


def test_a_disk_that_is_too_small_is_said_before_the_download(index: Index, tmp_path: Path) -> None:
    index.add("pypi", "heavy", "1.0", payload=b"x" * _BYTES)
    with pytest.raises(DependencyError, match=r"GB of disk needed, .* free"):
        wheels.install(["--target", str(tmp_path / "there"), "heavy"], "heavy", 1e12)
    assert not (tmp_path / "there").exists()
