"""Requirements on the operating system, and the Debian packages that meet them.

Standard library only, since set-up asks before any Python package is there:
`python3 -m sumo_mobility.base.system [--yes | --no-system] [--test]`.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from sumo_mobility.base.line import Line

SUMO_LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXrender.so.1": "libxrender1",
    "libatomic.so.1": "libatomic1",
}
"""Libraries that SUMO's wheel is linked to and does not bring, though nothing here opens a window."""
HEADERS = {
    "google/protobuf/message.h": "libprotobuf-dev",
    "nlohmann/json.hpp": "nlohmann-json3-dev",
    "zmq.h": "libzmq3-dev",
}
"""Headers that the ns-3 program includes, and the packages that have them."""
HEADERS_OF_DEBIANS_NS3 = {
    "gsl/gsl_math.h": "libgsl-dev",
    "libxml2/libxml/parser.h": "libxml2-dev",
    "ns3/lte-helper.h": "libns3-dev",
    "sqlite3.h": "libsqlite3-dev",
}
"""Headers that it includes in addition when it is built against Debian's ns-3."""
HEADERS_THAT_HELP = {"jemalloc/jemalloc.h": "libjemalloc-dev"}
"""The program is faster with them, and is built without them."""

Ns3 = Literal["3.44", "3.37"]
"""The versions of ns-3 that the program is built for."""
NS3: Ns3 = "3.44"
"""The default, which pip installs."""
DEBIANS_NS3: Ns3 = "3.37"
"""The version of libns3-dev in Debian 12."""
_APT_TIMEOUT_S = 3600
_TAIL_LINES = 12


def missing_for_python() -> list[str]:
    """Packages that this Python lacks to make a virtual environment."""
    has_them = all(map(importlib.util.find_spec, ("ensurepip", "venv")))
    return [] if has_them else [f"python{sys.version_info.major}.{sys.version_info.minor}-venv"]


def missing_for_sumo() -> list[str]:
    """Packages whose libraries SUMO needs and the loader does not find."""
    return sorted(package for library, package in SUMO_LIBRARIES.items() if not _loads(library))


def missing_for_build(ns3: str = NS3) -> list[str]:
    """Packages that a build of the ns-3 program lacks; what pip can fetch is not among them.

    Args:
        ns3: Version of ns-3.
    """
    missing = set(_missing_headers(HEADERS | (HEADERS_OF_DEBIANS_NS3 if ns3 == DEBIANS_NS3 else {})))
    if ns3 == DEBIANS_NS3 and not Path("/usr/libexec/ns3").is_dir():
        missing.add("ns3")  # named by the CMake files of libns3-dev, though nothing here runs it
    if not shutil.which("protoc"):
        missing.add("protobuf-compiler")
    return sorted(missing)


def missing_that_help() -> list[str]:
    """Packages that make the ns-3 program faster."""
    return _missing_headers(HEADERS_THAT_HELP) if _compiler() else sorted(HEADERS_THAT_HELP.values())


def offers_debians_ns3() -> bool:
    """Returns whether this system has, or would install, the ns-3 that the second build is for."""
    if not shutil.which("apt-cache"):
        return False
    policy = _output(["apt-cache", "policy", "libns3-dev"])
    return re.search(rf"^ +(Installed|Candidate): {re.escape(DEBIANS_NS3)}\b", policy, re.MULTILINE) is not None


def main(arguments: Sequence[str]) -> int:
    """Finds what is missing and installs it with apt, if it may and can.

    Args:
        arguments: `--yes` installs without asking, `--no-system` only names what is missing; `--test` also looks for
            what the second build of the ns-3 program needs.

    Returns:
        0 if everything is there that the project cannot do without, else 1.
    """
    needed = _needed("--test" in arguments)
    optional = missing_that_help()
    if not needed and not optional:
        return 0
    if needed:
        print(f"Missing system packages: {' '.join(needed)}", file=sys.stderr)
    if optional:
        print(f"Missing, but not needed (the simulator is faster with it): {' '.join(optional)}", file=sys.stderr)
    packages = [*needed, *optional]
    reason = _why_not_install(arguments)
    if reason:
        print(reason, file=sys.stderr)
    else:
        _apt_install(packages)
    still = _needed("--test" in arguments)
    if still:
        names = " ".join([*still, *missing_that_help()])
        print(f"error: {' '.join(still)}: missing\n  cure: sudo apt-get install {names}", file=sys.stderr)
    return 1 if still else 0


def _needed(with_tests: bool) -> list[str]:
    builds = [NS3, *([DEBIANS_NS3] if with_tests and offers_debians_ns3() else [])]
    found = {*missing_for_python(), *missing_for_sumo()}.union(*map(missing_for_build, builds))
    return sorted(found)


def _why_not_install(arguments: Sequence[str]) -> str:
    """Why the packages are not to be installed here, or nothing."""
    if "--no-system" in arguments:
        return "--no-system: not installed."
    if not shutil.which("apt-get"):
        return "This system has no apt-get: install their counterparts."
    if os.geteuid() != 0 and not shutil.which("sudo"):
        return "Not root and no sudo: ask an administrator for them."
    if "--yes" not in arguments:
        if not sys.stdin.isatty():
            return "No terminal to ask on: add --yes to install them."
        if input("Install them with apt-get now? [y/N] ").strip().lower() not in ("y", "yes"):
            return "Not installed."
    return ""


def _apt_install(packages: Sequence[str]) -> None:
    """Installs packages with apt: says how much that is, shows its count, and its last lines if it fails."""
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    apt = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "apt-get", "-o", "DPkg::Lock::Timeout=600"]
    install = [*apt, "install", "--yes", "--no-install-recommends"]
    _apt([*apt, "update"], "apt-get update")
    foreseen = _output([*install, "--assume-no", *packages])
    for sentence in re.findall(r"^(?:Need to get|After this operation).*", foreseen, re.MULTILINE):
        print(sentence, file=sys.stderr)
    _apt([*install, "-o", "APT::Status-Fd=1", *packages], "apt-get install")


def _apt(command: Sequence[str], title: str) -> None:
    line, state, last_lines = Line(title), "starts", deque[str](maxlen=_TAIL_LINES)
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )

    def follow() -> None:
        nonlocal state
        for text in process.stdout or ():
            count = re.match(r"(?:dl|pm)status:[^:]*:([\d.]+):(.*)", text)
            if count:
                state = f"{float(count[1]):.0f} %, {count[2].strip()}"
            else:
                last_lines.append(text.rstrip())

    reader = threading.Thread(target=follow, daemon=True)
    reader.start()
    deadline = time.monotonic() + _APT_TIMEOUT_S
    try:
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
            line.update(state)
    finally:
        process.kill()
    reader.join(10)
    if process.wait() == 0:
        line.end("done")
    else:
        line.end(f"failed with exit code {process.returncode}; it said last:")
        print("\n".join(f"    {text}" for text in last_lines), file=sys.stderr)


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _compiler() -> str | None:
    return os.environ.get("CXX") or shutil.which("c++")


def _missing_headers(headers: dict[str, str]) -> list[str]:
    """Packages of the headers that the compiler does not find; without a compiler that, and all of them."""
    compiler = _compiler()
    if not compiler:
        return sorted({"g++", *headers.values()})
    probe = "".join(f"#if !__has_include(<{header}>)\nlacks {name}\n#endif\n" for header, name in headers.items())
    preprocess = [compiler, "-std=c++20", "-E", "-x", "c++", "-"]
    done = subprocess.run(preprocess, input=probe, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        return ["g++"]
    return sorted(set(re.findall(r"^lacks (\S+)$", done.stdout, re.MULTILINE)))


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
