"""`mlb doctor` and `mlb build`: what a stage needs, whether it is there, and the ns-3 program."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import requires, version
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from rich.console import Group
from rich.table import Table
from rich.text import Text

from py_agent.cli.command import Command, Result
from sumo_mobility.base.errors import DependencyError, MlbError

_MODULES = {
    "numpy": "all stages", "pandas": "all stages", "pyarrow": "mobility", "pydantic": "all stages",
    "osmium": "mobility", "osmnx": "mobility", "sumolib": "mobility", "networkx": "mobility",
    "zmq": "collect, evaluate", "google.protobuf": "collect, evaluate", "gymnasium": "collect, evaluate",
    "h5py": "collect, augment, train", "torch": "augment, train, evaluate", "scipy": "evaluate", "matplotlib": "report",
    "PIL": "report", "jinja2": "report", "numba": "augment, train, evaluate",
}  # fmt: skip
_DISTRIBUTIONS = {"zmq": "pyzmq", "google.protobuf": "protobuf", "PIL": "pillow"}
_DISK_NEEDED_BYTES = 1 << 30


@dataclass(frozen=True)
class Check:
    """One thing that a stage needs."""

    name: str
    needed_by: str
    found: str
    """Version or path, empty if it was not found."""
    cure: str

    @property
    def ok(self) -> bool:
        """Whether it was found."""
        return bool(self.found)


@dataclass(kw_only=True)
class Doctor(Command):
    """Check that every program, library and version that a stage needs is there."""

    def execute(self) -> Result:
        """Runs all checks; not ok if the quickstart could not run."""
        checks = [_python(), *(_module(name, stage) for name, stage in _MODULES.items()), *_programs(), _disk()]
        table = Table("", "needed for", "what", "found, or the cure")
        for check in checks:
            mark = Text("ok", "green") if check.ok else Text("missing", "bold red")
            table.add_row(mark, check.needed_by, check.name, check.found or check.cure)
        bad = [check for check in checks if not check.ok]
        verdict = "The quickstart can run." if not bad else f"{len(bad)} missing: the quickstart cannot run."
        data = [
            {"name": c.name, "needed_by": c.needed_by, "ok": c.ok, "found": c.found, "cure": "" if c.ok else c.cure}
            for c in checks
        ]
        return Result(data, Group(table, Text(verdict)), ok=not bad)


@dataclass(kw_only=True)
class Build(Command):
    """Build the ns-3 program; does nothing if it is up to date."""

    ns3: Literal["3.44", "3.37"] = "3.44"
    """3.44 comes from PyPI with assertions on; 3.37 is Debian 12's libns3-dev."""
    list_missing: bool = False
    """Only print the Debian packages that the build lacks or would be faster with, in one line."""

    def execute(self) -> Result:
        """Builds, or lists what is missing."""
        from ns3_scenarios.build import build, missing_packages

        if self.list_missing:
            missing = missing_packages(self.ns3, recommended=True)
            return Result(missing, Text(" ".join(missing)))
        path = build(self.ns3)
        return Result({"program": str(path)}, Text(f"ns-3 program: {path}"))


def _probe(name: str, needed_by: str, find: Callable[[], str], cure: str) -> Check:
    try:
        return Check(name, needed_by, find(), cure)
    except (MlbError, ImportError, OSError) as error:
        return Check(name, needed_by, "", getattr(error, "cure", "") or cure)


def _python() -> Check:
    found = sys.version.split()[0] if sys.version_info >= (3, 11) else ""
    return Check("Python >= 3.11", "all stages", found, "PYTHON=python3.11 ./scripts/setup")


def _module(name: str, needed_by: str) -> Check:
    def find() -> str:
        importlib.import_module(name)
        distribution = _DISTRIBUTIONS.get(name, name)
        found, needed = version(distribution), _needed_versions().get(distribution, SpecifierSet())
        if not needed.contains(found, prereleases=True):
            raise DependencyError(
                f"{distribution} {found}", f".venv/bin/pip install '{distribution}{needed}'  (found {found})"
            )
        return found

    return _probe(name, needed_by, find, "./scripts/setup")


@cache
def _needed_versions() -> dict[str, SpecifierSet]:
    """The versions that this project declares, by distribution."""
    declared = [Requirement(line) for line in requires("mlb-testbed") or []]
    return {item.name: item.specifier for item in declared if item.marker is None}


def _programs() -> list[Check]:
    from ns3_scenarios.build import program
    from sumo_mobility.sumo import sumo_version

    return [
        _probe("SUMO", "mobility", sumo_version, "./scripts/setup"),
        _probe("ns-3 LTE program", "collect, evaluate", lambda: str(program()), "mlb build"),
    ]


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    found = f"{free / 2**30:.0f} GiB free" if free > _DISK_NEEDED_BYTES else ""
    return Check("1 GiB of disk", "all stages", found, "free some space")
