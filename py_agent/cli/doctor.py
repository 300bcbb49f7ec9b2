"""`mlb doctor` and `mlb build`: what a stage needs, whether it is there, and the ns-3 program."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from rich.console import Group
from rich.table import Table
from rich.text import Text

from py_agent.cli.command import Command, Result
from sumo_mobility.base.errors import DependencyError, MlbError
from sumo_mobility.base.system import NS3, Ns3

_NAMESPACES = {"protobuf": "google.protobuf"}
"""The module to import of distributions whose top-level package is shared with others."""
_DISK_NEEDED_BYTES = 1 << 30
_START_TIMEOUT_S = 60


@dataclass(frozen=True)
class Check:
    """A requirement of a stage."""

    name: str
    needed_by: str
    found: str
    """Version or path, empty if it was not found."""
    cure: str

    @property
    def ok(self) -> bool:
        """Whether the requirement is met."""
        return bool(self.found)


@dataclass(kw_only=True)
class Doctor(Command):
    """Check what a stage needs: load every library, start every program, compare every version."""

    def execute(self) -> Result:
        """Runs all checks; not ok if the quickstart could not run."""
        checks = [_python(), *map(_package, _needed_versions()), *_programs(), _disk()]
        table = Table("", "needed for", "what", "found, or the cure")
        for check in checks:
            mark = Text("ok", "green") if check.ok else Text("fails", "bold red")
            table.add_row(mark, check.needed_by, check.name, check.found or check.cure)
        bad = [check for check in checks if not check.ok]
        verdict = "The quickstart can run." if not bad else f"{len(bad)} missing or failing: the quickstart cannot run."
        data = [
            {"name": c.name, "needed_by": c.needed_by, "ok": c.ok, "found": c.found, "cure": "" if c.ok else c.cure}
            for c in checks
        ]
        return Result(data, Group(table, Text(verdict)), ok=not bad)


@dataclass(kw_only=True)
class Build(Command):
    """Build the ns-3 program; does nothing if it is up to date."""

    ns3: Ns3 = NS3
    """3.44 comes from PyPI with assertions on; 3.37 is Debian 12's libns3-dev."""

    def execute(self) -> Result:
        """Builds."""
        from ns3_scenarios.build import build

        path = build(self.ns3)
        return Result({"program": str(path)}, Text(f"ns-3 program: {path}"))


def _probe(name: str, needed_by: str, find: Callable[[], str], cure: str) -> Check:
    try:
        return Check(name, needed_by, find(), cure)
    except (MlbError, ImportError, OSError, subprocess.SubprocessError) as error:
        own_cure = getattr(error, "cure", "")
        return Check(name, needed_by, "", own_cure or f"{cure}  ({error})")


def _python() -> Check:
    found = sys.version.split()[0] if sys.version_info >= (3, 11) else ""
    return Check("Python >= 3.11", "all stages", found, "PYTHON=python3.11 ./scripts/setup")


def _package(name: str) -> Check:
    """Checks that a declared distribution is there, in a declared version, and can be imported."""

    def find() -> str:
        found, needed = version(name), _needed_versions()[name]
        if not needed.contains(found, prereleases=True):
            raise DependencyError(f"{name} {found}", f".venv/bin/pip install '{name}{needed}'  (found {found})")
        for module in _modules()[name]:
            importlib.import_module(module)
        return found

    return _probe(name, "all stages", find, "./scripts/setup")


@cache
def _modules() -> dict[str, list[str]]:
    """The modules that each declared distribution brings, private ones left out."""
    modules: dict[str, list[str]] = {name: [] for name in _needed_versions()}
    for module, distributions in packages_distributions().items():
        for name in map(canonicalize_name, distributions):
            if name in modules and not module.startswith("_"):
                modules[name].append(_NAMESPACES.get(name, module))
    return modules


@cache
def _needed_versions() -> dict[str, SpecifierSet]:
    """The versions that this project declares, by distribution."""
    declared = [Requirement(line) for line in requires("mlb-testbed") or []]
    return {canonicalize_name(item.name): item.specifier for item in declared if item.marker is None}


def _programs() -> list[Check]:
    """Starts every program that the stages call."""
    from ns3_scenarios.build import PROGRAMS, program
    from sumo_mobility.sumo import PROGRAMS as SUMO_PROGRAMS
    from sumo_mobility.sumo import run_sumo, sumo_version

    def start_of_sumo(name: str) -> str:
        run_sumo(name, ["--version"], _START_TIMEOUT_S)
        return sumo_version()

    def start(name: str) -> str:
        path = program(name=name)
        done = subprocess.run([path, "--help"], capture_output=True, text=True, timeout=_START_TIMEOUT_S, check=False)
        if done.returncode != 0:
            reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
            raise DependencyError(f"{path} does not start", f"mlb build  ({reason})")
        return str(path)

    return [
        *(
            _probe(f"SUMO: {name}", "mobility", partial(start_of_sumo, name), "./scripts/setup")
            for name in SUMO_PROGRAMS
        ),
        *(_probe(f"ns-3: {name}", "collect, evaluate", partial(start, name), "mlb build") for name in PROGRAMS),
    ]


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    found = f"{free / 2**30:.0f} GiB free" if free > _DISK_NEEDED_BYTES else ""
    return Check("1 GiB of disk for runs", "all stages", found, "free some space")
