"""Results of benches in files, and the page that is made of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from py_agent.bench import kills
from py_agent.cli.bench import BenchAnticipation, BenchPage
from py_agent.cli.commands import parse
from py_agent.measurement import Measurement
from py_agent.report.measured_page import MeasuredResults, measured_page
from sumo_mobility.base.errors import ConfigError

DOCS = Path(__file__).parents[2] / "docs"
FIGURES = (
    Measurement("kept", 12345.6, "1/s", 20_000, 50_000, more_is_better=True),
    Measurement("a | b", -0.01234, "dB", 0.1),
    Measurement("nearly all", 99.99699, "%", 99.9, 100, more_is_better=True),
    Measurement("no ratio", math.nan, "", None),
)


def results(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> dict[str, object]:
    """What a bench prints as JSON, which would measure for hours."""

    def measure(**options: object) -> Iterator[Measurement]:
        yield from FIGURES

    monkeypatch.setattr(kills, "measure", measure)
    data = parse(["bench", "kills", *arguments]).execute().data
    found: dict[str, object] = json.loads(json.dumps(data, allow_nan=False))
    return found


@pytest.mark.parametrize("arguments", [[], ["--quick"], ["--seed", "3", "--quick"]])
def test_the_recorded_command_has_the_same_options(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    command = str(results(monkeypatch, arguments)["command"])
    assert command.startswith("mlb bench kills")
    assert parse(command.split()[1:]) == parse(["bench", "kills", *arguments])


def test_the_recorded_command_does_not_say_where_things_are_kept() -> None:
    bench = parse(["bench", "anticipation", "--directory", "/elsewhere", "--quick"])
    assert isinstance(bench, BenchAnticipation)
    assert bench._command() == "mlb bench anticipation --quick"


def test_a_page_has_every_figure_with_its_target(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "kills.json"
    path.write_text(json.dumps(results(monkeypatch, ["--quick"])), encoding="utf-8")
    page = measured_page([MeasuredResults.read_json(path)])
    assert "## `mlb bench kills --quick`" in page
    assert "| kept | 12,346 1/s | ≥ 20,000 | ≥ 50,000 | **no** |" in page
    assert "| a \\| b | −0.0123 dB | ≤ 0.1 |  | yes |" in page
    assert "| nearly all | 99.997 % | ≥ 99.9 | ≥ 100 | yes |" in page
    assert "| no ratio |  |  |  |  |" in page


def test_a_damaged_file_is_named_and_the_page_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    good, bad, page = (tmp_path / name for name in ("good.json", "bad.json", "page.md"))
    data = results(monkeypatch, [])
    good.write_text(json.dumps(data), encoding="utf-8")
    bad.write_text(json.dumps(data | {"figures": [{"metric": "kept"}]}), encoding="utf-8")
    page.write_text("as it was", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad\.json: .*value.*missing"):
        BenchPage(files=(good, bad), out=page).execute()
    assert page.read_text(encoding="utf-8") == "as it was"


def test_the_manual_shows_the_results_that_are_kept() -> None:
    files = sorted((DOCS / "results").glob("*.json"))
    assert files
    page = measured_page([MeasuredResults.read_json(path) for path in files])
    assert (DOCS / "measured.md").read_text(encoding="utf-8") == page
