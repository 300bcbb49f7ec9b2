"""docs/compliance.md says of each clause what a test or a constant shows, and all that it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
FEWEST_ROWS = 60
STATUSES = ("follows", "abstracted", "not modelled")
CPP_TESTS = "ns3_scenarios/src/test/"


class Row(NamedTuple):
    """A row of the tables, as its five cells say it."""

    clause: str
    says: str
    status: str
    here: str
    where: str


def rows(page: str) -> list[Row]:
    """Returns the rows of all tables, without their heads."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    return [Row(*row) for row in cells if row[0] != "clause" and set(row[0]) != {"-"}]


@cache
def names_of(path: Path) -> frozenset[str]:
    """Names that a Python module defines, those in classes with the class before them; of other files their words."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return frozenset(re.findall(r"\w+", text))
    found: set[str] = set()

    def gather(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                gather(node.body, f"{prefix}{node.name}::")
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            names = [name for target in targets if target for name in ast.walk(target)]
            found.update(prefix + name.id for name in names if isinstance(name, ast.Name))

    gather(ast.parse(text).body, "")
    return frozenset(found)


def faults(row: Row) -> list[str]:
    """Returns what is wrong with a row."""
    wrong = [] if row.status in STATUSES else [f"'{row.status}' is none of {', '.join(STATUSES)}"]
    if not row.clause or not row.says:
        wrong.append("no clause, or nothing that it says")
    places = re.findall(r"`([^`:]+)::([^`]+)`", row.where)
    if not places or re.sub(r"`[^`:]+::[^`]+`", "", row.where).strip(" ,"):
        wrong.append(f"where: '{row.where}' is no list of `path::name`")
    for path, name in places:
        if not (ROOT / path).is_file():
            wrong.append(f"{path} does not exist")
        elif name not in names_of(ROOT / path):
            wrong.append(f"{path} has no {name}")
    tested = any(path.startswith(CPP_TESTS) or re.search(r"(^|::)test_\w+$", name) for path, name in places)
    if row.status == "follows" and not tested:
        wrong.append("what follows names a test")
    return wrong


def test_every_row_names_what_exists() -> None:
    table = rows((ROOT / "docs" / "compliance.md").read_text(encoding="utf-8"))
    wrong = {f"{row.clause}: {row.says}": faults(row) for row in table}
    assert not {name: found for name, found in wrong.items() if found}
    assert len(wrong) == len(table) >= FEWEST_ROWS


GOOD = "| 36.331 5.5.4.4 | Event A3 | follows | | `tests/test_compliance.py::test_every_row_names_what_exists` |"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("follows", "Follows", "'Follows' is none of follows, abstracted, not modelled"),
        ("test_every_row", "test_no_row", "tests/test_compliance.py has no test_no_row_names_what_exists"),
        ("tests/", "test/", "test/test_compliance.py does not exist"),
        ("test_every_row_names_what_exists", "FEWEST_ROWS", "what follows names a test"),
        ("`tests/test_compliance.py::test_every_row_names_what_exists`", "", "where: '' is no list of"),
        ("exists` |", "exists` and more |", "is no list of `path::name`"),
        ("| 36.331 5.5.4.4", "|", "no clause"),
    ],
)
def test_a_row_that_is_not_true_is_found(old: str, new: str, message: str) -> None:
    assert faults(rows(GOOD)[0]) == []
    assert message in "; ".join(faults(rows(GOOD.replace(old, new, 1))[0]))
