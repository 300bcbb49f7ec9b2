"""Installs Python packages with pip: says the megabytes before it downloads, and how far it is.

Standard library only, since it installs the rest: `.venv/bin/python -m sumo_mobility.base.wheels [EXTRAS]` installs
this project, for instance with the extras `[test]`.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

from sumo_mobility.base import children
from sumo_mobility.base.errors import DependencyError
from sumo_mobility.base.line import Line

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""The index of PyTorch's builds without CUDA; those of PyPI for Linux on x86-64 bring gigabytes of it."""

PACKAGES_MB, TEST_PACKAGES_MB = 475.0, 113.0
"""Files of what this project depends on, PyTorch left out, and of what its tests need besides."""
TORCH_CPU_MB, TORCH_CUDA_MB = 192.0, 2700.0
"""PyTorch without CUDA, and with all of it. These four are of November 2026; each set-up ends with what really came."""
TORCH_CPU_DISK_MB, TORCH_CUDA_DISK_MB = 760.0, 4790.0
"""The same once unpacked, by `du` after set-up."""
_UNPACKED_PER_DOWNLOADED = 3.4
"""Disk that other packages take once unpacked, over the size of their files: 60 packages, by `du` after set-up."""
_STALLED_S = 900
_ANSWER_S = 20
_LOOK_EACH_S = 0.5
_TAIL_LINES = 15


def install_project(extras: str = "") -> None:
    """Installs this project in place, with what it depends on.

    PyTorch comes as a CPU build where there is no NVIDIA GPU, if one can be reached. What is installed already is not
    counted: PyTorch, the packages of the project, and those of its tests, each of the three as a whole.

    Args:
        extras: "[test]" for what the tests need as well.

    Raises:
        DependencyError: pip failed or stalled, or the disk is too small.
    """
    title = "Python packages"
    index, brings_cuda = _pytorch()
    if brings_cuda and not _has_gpu():
        _say(f"{title}: {TORCH_CPU_INDEX} cannot be reached, or has no PyTorch for this Python: it comes with CUDA")
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    torch = [line for line in project["dependencies"] if line.startswith("torch==")]
    others = [line for line in project["dependencies"] if line not in torch]
    torch_mb = (TORCH_CUDA_MB if brings_cuda else TORCH_CPU_MB) * _lacks(torch)
    torch_disk_mb = (TORCH_CUDA_DISK_MB if brings_cuda else TORCH_CPU_DISK_MB) * _lacks(torch)
    others_mb = PACKAGES_MB * _lacks(others)
    others_mb += TEST_PACKAGES_MB * (bool(extras) and _lacks(project["optional-dependencies"]["test"]))
    _say(f"{title}: PyTorch has {torch_mb:.0f} MB, the others have up to {others_mb:.0f} MB")
    disk_mb = torch_disk_mb + others_mb * _UNPACKED_PER_DOWNLOADED
    install([*index, "-e", f".{extras}"], title, torch_mb + others_mb, disk_mb)


def install(arguments: Sequence[str], title: str, megabytes: float, disk_mb: float | None = None) -> None:
    """Runs `pip install`, shows how far it is, and says at its end what really came.

    Args:
        arguments: As for `pip install`.
        title: What is installed, for the line of progress.
        megabytes: The size of the packages' files.
        disk_mb: The disk that they take once unpacked; by default that of most packages of this size.

    Raises:
        DependencyError: pip failed or stalled, or the disk is too small.
    """
    disk = 1e6 * (megabytes * _UNPACKED_PER_DOWNLOADED if disk_mb is None else disk_mb)
    cache = 1e6 * megabytes * _is_cached()
    besides = f", and up to {cache / 1e9:.1f} GB in pip's cache" if cache else ""
    _say(f"{title}: {megabytes:.0f} MB to download, {disk / 1e9:.1f} GB of disk{besides}")
    free = shutil.disk_usage(sys.prefix).free
    if free < disk + cache:
        needed = (disk + cache) / 1e9
        raise DependencyError(f"{title}: {needed:.1f} GB of disk needed, {free / 1e9:.1f} free", "free some space")
    with tempfile.TemporaryDirectory(prefix="mlb-pip-") as name:
        folder, line = Path(name), Line(title)
        # Python compiles what it imports when it imports it.
        pip = [*_PIP, "install", "--no-compile", "--report", str(folder / "report.json"), *arguments]
        _run(pip, line, megabytes, folder)
        found = json.loads((folder / "report.json").read_text(encoding="utf-8"))["install"]
        urls = [entry["download_info"]["url"] for entry in found]
        with ThreadPoolExecutor(16) as pool:
            downloaded_mb = sum(pool.map(_size, urls)) / 1e6
        line.end(f"done; {len(found)} packages, {downloaded_mb:.0f} MB of them from the network")


_PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]


def _lacks(requirements: Sequence[str]) -> bool:
    """Returns whether one of the packages is not installed, or is in another version than the one that is pinned."""
    for requirement in requirements:
        name, pinned = re.split(r"[^\w.-]", f"{requirement} ")[0], requirement.partition("==")[2].split(" ")[0]
        try:
            found = version(name).partition("+")[0]  # +cpu is no part of what is asked for
        except PackageNotFoundError:
            return True
        if pinned and found != pinned:
            return True
    return False


def _pytorch() -> tuple[list[str], bool]:
    """Options that let pip find the right build of PyTorch, and whether the one that it finds brings CUDA."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return [], False
    if _has_gpu():
        return [], True
    index = ["--extra-index-url", TORCH_CPU_INDEX] if _size(f"{TORCH_CPU_INDEX}/torch/") else []
    offered = re.search(r"^Available versions:.*", _output([*_PIP, "index", "versions", *index, "torch"]), re.MULTILINE)
    return index, offered is None or "+cpu" not in offered[0]


def _has_gpu() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def _is_cached() -> bool:
    """Returns whether pip keeps its downloads: its cache is on, and in a folder that the user owns."""
    cache = Path(_output([*_PIP, "cache", "dir"]).strip() or "/")
    owned = next((folder for folder in (cache, *cache.parents) if folder.is_dir()), cache)
    return cache != Path("/") and owned.stat().st_uid == os.geteuid()


def _size(url: str) -> int:
    """Bytes that a server has under an address: 0 if there is none or it cannot be reached, 1 if it does not say."""
    if urlsplit(url).scheme not in ("http", "https"):
        return 0
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_ANSWER_S) as answer:
            return int(answer.headers.get("Content-Length") or 1)
    except (OSError, ValueError):
        return 0


def _run(command: Sequence[str], line: Line, megabytes: float, folder: Path) -> None:
    """Runs pip with its temporary files in `folder`; ends it if nothing there or among the packages moves any more."""
    log, before, most = folder / "log.txt", _installed(), 0.0
    with log.open("wb") as file:
        environment = {**os.environ, "TMPDIR": str(folder)}
        process = children.start(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment)
    try:
        seen, moved = (0.0, 0), time.monotonic()
        while process.poll() is None:
            time.sleep(_LOOK_EACH_S)
            most = max(most, _bytes_in(folder) / 1e6)  # it goes when it has been unpacked
            now = most, _installed() - before
            line.update(f"{now[1]} packages unpacked" if now[1] > 0 else f"{most:.0f} of {megabytes:.0f} MB downloaded")
            if now != seen:
                seen, moved = now, time.monotonic()
            elif time.monotonic() - moved > _STALLED_S:
                raise DependencyError(f"pip has not moved for {_STALLED_S} s", "check the network, and try again")
    finally:
        children.end(process)
    if process.returncode != 0:
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
        last_lines = "\n".join(f"    {text}" for text in tail)
        raise DependencyError(f"pip failed:\n{last_lines}", "check the network, and try again: nothing is lost")


def _bytes_in(folder: Path) -> int:
    """Returns the size of pip's temporary folder, whose files come and go meanwhile."""
    total = 0
    for path in folder.glob("pip-*/*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total


def _installed() -> int:
    return sum(1 for _ in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False).stdout


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Installs this project with the extras that are named; returns the exit code."""
    try:
        install_project(*arguments)
    except DependencyError as error:
        _say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        _say("interrupted; run it again to go on")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
