"""Installs Python packages with pip: says the megabytes before it downloads, and how far it is.

Standard library only, since it installs the rest: `.venv/bin/python -m sumo_mobility.base.wheels ARGUMENT...` takes
the arguments of `pip install`.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sumo_mobility.base import children
from sumo_mobility.base.errors import DependencyError
from sumo_mobility.base.line import Line

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""Where PyTorch's builds without CUDA come from: PyPI's for Linux on x86-64 bring gigabytes of it."""

_UNPACKED_PER_DOWNLOADED = 3.4
"""Disk that packages take once unpacked, over the size of their files; of 60 packages, by `du` after set-up."""
_STALLED_S = 900
_ANSWER_S = 20
_LOOK_EACH_S = 0.5
_TAIL_LINES = 15


def install(arguments: Sequence[str], title: str) -> None:
    """Runs `pip install`; PyTorch comes as a CPU build where there is no NVIDIA GPU and that build can be reached.

    Args:
        arguments: As for `pip install`.
        title: What is installed, for the line of progress.

    Raises:
        DependencyError: pip failed or stalled, a server cannot be reached, or the disk is too small.
    """
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    pip += ["--extra-index-url", TORCH_CPU_INDEX] if _wants_cpu_build() and _size(f"{TORCH_CPU_INDEX}/torch/") else []
    with tempfile.TemporaryDirectory(prefix="mlb-pip-") as name:
        folder, line = Path(name), Line(title)
        plan = folder / "plan.json"
        resolve = [*pip, "--dry-run", "--report", str(plan), *arguments]
        _run(resolve, line, lambda folder: f"pip resolves, {_bytes_in(folder) / 1e6:.0f} MB", folder)
        found = [_Package.of(entry) for entry in json.loads(plan.read_text(encoding="utf-8"))["install"]]
        packages = [package for package in found if not package.is_local_folder]
        megabytes = _announce(packages, title)
        before, most = _installed(), 0.0

        def state(folder: Path) -> str:
            nonlocal most
            unpacked = _installed() - before
            if unpacked > 0:
                return f"{unpacked} of {len(found)} packages unpacked"
            most = max(most, min(_bytes_in(folder) / 1e6, megabytes))  # it goes when it has been unpacked
            return f"{most:.0f} of {megabytes:.0f} MB downloaded"

        # What was resolved is not resolved again; Python compiles what it imports when it imports it.
        pins = [f"{package.name}=={package.version}" for package in packages]
        _run([*pip, "--no-deps", "--no-compile", *pins, *arguments], line, state, folder)
        line.end("done")


@dataclass(frozen=True)
class _Package:
    """One package of pip's plan."""

    name: str
    version: str
    url: str
    is_local_folder: bool

    @classmethod
    def of(cls, found: dict[str, Any]) -> _Package:
        """Reads an entry of pip's installation report."""
        source, metadata = found["download_info"], found["metadata"]
        return cls(metadata["name"], metadata["version"], source["url"], "dir_info" in source)

    @property
    def is_remote(self) -> bool:
        return not self.url.startswith("file:")

    @property
    def bytes(self) -> int:
        """Size of its file, 0 if nobody says."""
        if self.is_remote:
            return _size(self.url)
        path = Path(unquote(urlsplit(self.url).path))
        return path.stat().st_size if path.is_file() else 0


def _announce(packages: Sequence[_Package], title: str) -> float:
    """Says what will be downloaded and how much disk it takes; returns the megabytes to download.

    Raises:
        DependencyError: the disk is too small.
    """
    with ThreadPoolExecutor(16) as pool:
        sizes = list(pool.map(lambda package: package.bytes, packages))
    downloaded = sum(size for package, size in zip(packages, sizes, strict=True) if package.is_remote)
    disk = sum(sizes) * _UNPACKED_PER_DOWNLOADED + (downloaded if _is_cached() else 0)
    by_size = sorted(((size, package.name) for package, size in zip(packages, sizes, strict=True)), reverse=True)
    largest = ", ".join(f"{name} {size / 1e6:.0f} MB" for size, name in by_size[:3])
    _say(
        f"{title}: {len(packages)} packages ({largest}), {downloaded / 1e6:.0f} MB to download, "
        f"{disk / 1e9:.1f} GB of disk"
    )
    if _wants_cpu_build() and any(package.name.startswith("nvidia-") for package in packages):
        _say(
            f"{title}: PyTorch comes with CUDA, though no NVIDIA GPU is here: {TORCH_CPU_INDEX} cannot be reached, or "
            "has no build for this Python"
        )
    free = shutil.disk_usage(sys.prefix).free
    if free < disk:
        raise DependencyError(f"{title}: {disk / 1e9:.1f} GB of disk needed, {free / 1e9:.1f} free", "free some space")
    return downloaded / 1e6


def _is_cached() -> bool:
    """Whether pip keeps what it downloads: its cache is on, and in a folder of the user's own."""
    command = [sys.executable, "-m", "pip", "cache", "dir"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout.strip()
    owned = next((folder for folder in (Path(found), *Path(found).parents) if folder.is_dir()), Path("/"))
    return bool(found) and owned.stat().st_uid == os.geteuid()


def _wants_cpu_build() -> bool:
    """Whether PyPI's PyTorch would bring CUDA for nothing."""
    has_gpu = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    return sys.platform == "linux" and platform.machine() == "x86_64" and not has_gpu


def _size(url: str) -> int:
    """Bytes that a server has under an address; 0 if it does not say, 1 if it has something of unknown size."""
    if urlsplit(url).scheme not in ("http", "https"):
        return 0
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_ANSWER_S) as answer:
            return int(answer.headers.get("Content-Length") or 1)
    except (OSError, ValueError):
        return 0


def _run(command: Sequence[str], line: Line, state: Callable[[Path], str], folder: Path) -> None:
    """Runs pip with its temporary files in `folder`; ends it if nothing there or in its log moves for a long time."""
    log = folder / "log.txt"
    with log.open("wb") as file:
        environment = {**os.environ, "TMPDIR": str(folder)}
        process = children.start(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment)
    try:
        said, moved = "", time.monotonic()
        while process.poll() is None:
            time.sleep(_LOOK_EACH_S)
            now = state(folder)
            line.update(now)
            if now != said:
                said, moved = now, time.monotonic()
            elif time.monotonic() - moved > _STALLED_S:
                raise DependencyError(f"pip has not moved for {_STALLED_S} s: {said}", "check the network; try again")
    finally:
        children.end(process)
    if process.returncode != 0:
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
        said = "\n".join(f"    {text}" for text in tail)
        raise DependencyError(f"pip failed:\n{said}", "check the network, and try again: nothing is lost")


def _bytes_in(folder: Path) -> int:
    """What pip has put into its temporary folder; files come and go while one looks."""
    total = 0
    for path in folder.glob("pip-*/*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total


def _installed() -> int:
    return sum(1 for _ in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        install(sys.argv[1:], "Python packages")
    except DependencyError as error:
        _say(f"error: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _say("interrupted; run it again to go on")
        sys.exit(130)
