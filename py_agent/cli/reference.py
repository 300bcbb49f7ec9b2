"""`mlb dataset make`: the dataset that is shipped as a command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Group
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text
from tyro.conf import Positional

from py_agent.cli.command import Command, Result

_DIFFERENT = (
    "They are not the data that others have. The checksums are of ns-3 3.44, SUMO 1.28 and this version of the "
    "project; 'mlb doctor' shows what is here."
)


@dataclass(kw_only=True)
class DatasetMake(Command):
    """Make the reference dataset in ns-3, and compare it with the checksums of the repository.

    The protocol of the reference system: 50 UEs, three sites, 100 steps of 1 s, on open ground (OUT/line3) and on the
    streets of Helsinki (OUT/helsinki3), each with logged.h5 of the contexts to learn from, test.h5 of those to be
    judged in, and all that makes it a run. If it is interrupted, the same command goes on."""

    name: Positional[Literal["reference"]]
    """The dataset."""
    out: Path
    """The directory to make it in."""
    quick: bool = False
    """One episode a context, 10 in all, in minutes; else 10 traces a context and two policies on each, 200 episodes, in
    hours. The quick ones are among them."""
    workers: int = 2
    """Processes; the data do not depend on it."""

    def execute(self) -> Result:
        """Makes what is missing, and compares all; the exit code is 1 if an episode has another checksum."""
        from py_agent.jobs import LocalExecutor
        from py_agent.reference import checksums, make_reference, shipped_checksums

        shipped = shipped_checksums()
        table = Table(Column("dataset", overflow="fold"), "episodes", "with a checksum", "equal")
        made: dict[str, str] = {}
        known, different = 0, list[str]()
        for half, paths in make_reference(self.out, self.quick, LocalExecutor(self.workers)).items():
            for path in paths:
                found = checksums(half, path)
                made |= found
                compared = [name for name in found if name in shipped]
                wrong = [name for name in compared if found[name] != shipped[name]]
                known, different = known + len(compared), different + wrong
                counts = len(found), len(compared), len(compared) - len(wrong)
                table.add_row(escape(str(path)), *map(str, counts))
        if different:
            said = [f"Another checksum than in the repository: {', '.join(different)}.", _DIFFERENT]
        else:
            said = [f"{known} of {len(made)} episodes have a checksum in the repository, and all of these are equal."]
        data = {"directory": str(self.out), "compared": known, "different": different, "sha256": made}
        return Result(data, Group(table, Text("\n".join(said))), ok=not different)
