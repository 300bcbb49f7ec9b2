"""Builds the ns-3 program against either ns-3: 3.44 from its Python wheel (no root needed) or Debian's 3.37.

Everything goes to the repository's build/: the programs, the wheel unpacked as an SDK, the logs. A build is
done again only if the C++ sources, the wire's .proto or a version changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sumo_mobility.base import children
from sumo_mobility.base.errors import DependencyError, StorageError
from sumo_mobility.base.files import write_text
from sumo_mobility.base.progress import progress
from sumo_mobility.base.system import NS3, Ns3, missing_for_build
from sumo_mobility.base.wheels import install

PROGRAMS = ("mlb-lte", "mlb-lte-tables")
NS3_WHEEL = f"ns3=={NS3}.post0"
_NS3_WHEEL_MB = 69

_SOURCES = Path(__file__).parent / "src"
_PROTO = Path(__file__).parent / "bridge" / "ns3gym.proto"
_KPIS = Path(__file__).parent / "kpis.json"
_BUILD = Path(__file__).parents[1] / "build"
_SDK = _BUILD / f"ns3-sdk-{NS3}"
_LOG_LINES = 15
_COMPILE_TIMEOUT_S = 1800


def build(ns3: Ns3 = NS3) -> Path:
    """Builds the ns-3 program unless it is up to date.

    Args:
        ns3: Version of ns-3: 3.44 is fetched by pip, 3.37 is Debian's libns3-dev.

    Returns:
        Path of the program mlb-lte; mlb-lte-tables lies beside it.

    Raises:
        DependencyError: a compiler or library is missing, or the build failed; the last lines of the log say why.
        StorageError: build/ is not writable.
    """
    with _locked():
        if _is_current(ns3):
            return _path("mlb-lte", ns3)
        log = _BUILD / f"mlb-lte-{ns3}.log"
        with log.open("w", encoding="utf-8") as file:
            # --fresh forgets what an earlier configuration found, and all objects with it.
            folder = _configure(ns3, file, "--fresh")
            _ninja(folder, "all", file, f"building for ns-3 {ns3}")
        for name in PROGRAMS:
            temporary = _path(f".{name}", ns3)
            shutil.copy2(folder / name, temporary)
            temporary.replace(_path(name, ns3))
        write_text(_stamp(ns3), _fingerprint(ns3))
        return _path("mlb-lte", ns3)


def build_tests(ns3: Ns3 = NS3) -> Path:
    """Builds the tests of the C++ classes.

    Returns:
        The folder to run `ctest` in.

    Raises:
        DependencyError: a compiler or library is missing, or the build failed; the last lines of the log say why.
        StorageError: build/ is not writable.
    """
    with _locked(), (_BUILD / f"mlb-lte-test-{ns3}.log").open("w", encoding="utf-8") as file:
        # Where the program is up to date its objects are, too, and the tests are linked to them.
        folder = _configure(ns3, file, *(() if _is_current(ns3) else ("--fresh",)))
        _ninja(folder, "mlb-lte-test", file, f"building the tests for ns-3 {ns3}")
        return folder


def program(ns3: str = NS3, name: str = "mlb-lte") -> Path:
    """Returns the path of a built program.

    Raises:
        DependencyError: it has not been built, or its sources have changed since.
    """
    path = _path(name, ns3)
    cure = "run 'mlb build'" if ns3 == NS3 else f"run 'mlb build --ns3 {ns3}'"
    if not path.is_file():
        raise DependencyError(f"the program for ns-3 {ns3} has not been built: {path} is missing", cure)
    if not _is_current(ns3):
        raise DependencyError(f"{path} is older than its sources", cure)
    return path


def _configure(ns3: Ns3, log: IO[str], *options: str) -> Path:
    """Runs CMake; returns its folder."""
    missing = missing_for_build(ns3)
    if missing:
        raise DependencyError(
            f"the build for ns-3 {ns3} lacks {', '.join(missing)}", f"apt-get install {' '.join(missing)}"
        )
    cmake, folder = _tool("cmake"), _BUILD / f"cmake-{ns3}"
    command = [cmake, "-S", str(_SOURCES), "-B", str(folder), "-G", "Ninja"]
    command.append(f"-DCMAKE_MAKE_PROGRAM={_tool('ninja')}")
    if ns3 == NS3:
        command.append(f"-Dns3_DIR={_sdk() / 'ns3/lib64/cmake/ns3'}")
    _run([*command, *options], log, "configuring")
    return folder


def _ninja(folder: Path, target: str, log: IO[str], title: str) -> None:
    _run([_tool("ninja"), "-C", str(folder), target], log, title)


def _path(name: str, ns3: str) -> Path:
    return _BUILD / f"{name}-{ns3}"


def _stamp(ns3: str) -> Path:
    return _BUILD / f"mlb-lte-{ns3}.stamp"


def _is_current(ns3: str) -> bool:
    built = all(_path(name, ns3).is_file() for name in PROGRAMS)
    return built and _stamp(ns3).is_file() and _stamp(ns3).read_text(encoding="utf-8") == _fingerprint(ns3)


def _fingerprint(ns3: str) -> str:
    """Hash of all that a build depends on and that may change under it."""
    digest = hashlib.sha256(f"{ns3} {NS3_WHEEL} {_SDK}".encode())
    for path in sorted([*_SOURCES.iterdir(), _PROTO, _KPIS]):
        if path.suffix in (".cc", ".h", ".in", ".txt", ".proto", ".json"):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@contextmanager
def _locked() -> Iterator[None]:
    """Makes builds wait for each other."""
    try:
        _BUILD.mkdir(exist_ok=True)
        lock = (_BUILD / ".lock").open("w")
    except OSError as error:
        raise StorageError(f"cannot write {_BUILD}: {error.strerror}", "make the directory writable") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sdk() -> Path:
    """The ns-3 wheel, unpacked beside the user's environment rather than in it, wholly or not at all."""
    if not (_SDK / "ns3/lib64/cmake/ns3").is_dir():
        with tempfile.TemporaryDirectory(prefix=f".{_SDK.name}.", dir=_BUILD) as temporary:
            install(
                ["--only-binary=:all:", "--target", f"{temporary}/sdk", "--no-deps", NS3_WHEEL],
                "ns-3 3.44",
                _NS3_WHEEL_MB,
            )
            Path(temporary, "sdk").replace(_SDK)
    return _SDK


def _tool(name: str) -> str:
    """cmake or ninja, which this package depends on, so that their versions are known."""
    path = shutil.which(name, path=sysconfig.get_path("scripts"))
    if path is None:
        raise DependencyError(f"{name} is not installed", f"pip install {name}")
    return path


def _run(command: list[str], log: IO[str], title: str) -> None:
    """Runs one step of the build, logs what it says, and shows ninja's own count as a bar."""
    environment = {**os.environ, "NINJA_STATUS": "[%f/%t] "}
    with progress(title, 100) as bar:
        process = children.start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
        too_long = threading.Timer(_COMPILE_TIMEOUT_S, children.end, [process])
        too_long.start()
        try:
            percent = 0
            for raw in process.stdout or ():
                line = raw.decode(errors="replace")
                log.write(line)
                log.flush()
                step = re.match(r"\[(\d+)/(\d+)\]", line)
                if step:
                    now = 100 * int(step[1]) // int(step[2])
                    bar.advance(now - percent)
                    percent = now
            code = process.wait()
        finally:
            too_long.cancel()
            children.end(process)
    if code != 0:
        why = f"took more than {_COMPILE_TIMEOUT_S} s" if code < 0 else "failed"
        tail = _tail(Path(log.name).read_text(encoding="utf-8"))
        raise DependencyError(f"the build {why}; the last lines of {log.name}:\n{tail}", "'mlb doctor' says more")


def _tail(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines()[-_LOG_LINES:])
