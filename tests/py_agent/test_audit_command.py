"""`mlb audit`: the truth on open ground, which needs no SUMO, figures over draws, page, JSON and bad input."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_crowds as made
import numpy as np
import pytest
import yaml
from test_report import Page

import py_agent.audit
from cf_augment.audit import MEASURES, Auditor, Findings
from cf_augment.model import CausalMobilityModel
from py_agent.audit import AuditStudy, gather, study
from py_agent.cli.commands import parse
from py_agent.report.audit_page import figure_text, write_audit_page
from py_agent.rundir import RunDirectory
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.pipeline import make_trace_like
from sumo_mobility.trace import MobilityTrace

PLACES = ((0.2, 0.3), (0.7, 0.6), (0.5, 0.9), (0.9, 0.2))
PRESET = {
    "id": "walk-v0",
    "description": "Twelve UEs on open ground, six seconds.",
    "mobility": {
        "map": "open:1000x1000",
        "ues": 12,
        "duration_s": 6,
        "settle_s": 60,
        "train_contexts": [
            {"name": "uniform"},
            *({"name": "event", "x_share": x, "y_share": y} for x, y in PLACES[:2]),
        ],
        "test_contexts": [{"name": "event", "x_share": x, "y_share": y} for x, y in PLACES[2:]],
    },
    "sites": {"inter_site_distance_m": 500},
    "episode": {"steps": 6, "warmup_s": 2},
}


@pytest.fixture(scope="module")
def made_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    (folder / "walk.yaml").write_text(yaml.safe_dump(PRESET))
    command = ["mobility", "make", "--run", str(folder / "run"), "--preset", str(folder / "walk.yaml")]
    parse([*command, "--train-traces", "3", "--test-traces", "2"]).execute()
    return folder / "run"


@pytest.fixture
def run(made_run: Path, tmp_path: Path) -> RunDirectory:
    return RunDirectory(shutil.copytree(made_run, tmp_path / "run"))


@pytest.fixture
def true_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits nothing: the causal model needs streets."""
    monkeypatch.setattr(py_agent.audit, "fit", lambda material: made.TrueModel())


def audited(run: RunDirectory, *options: str) -> dict[str, Any]:
    command = ["audit", "--run", str(run.path), "--draws", "2", "--questions", "4", "--actions", "4", *options]
    return parse(command).execute().data


class TestGather:
    def test_the_truth_is_the_trace_made_again_under_the_context(self, run: RunDirectory, tmp_path: Path) -> None:
        material = gather(run, tmp_path / "truth", None, None, 4, 0)
        assert (list(material.train), len(material.held_out)) == (["train-000", "train-001", "train-002"], 2)
        assert set(material.truth) == set(material.redriven) == set(material.questions)
        assert material.unknown == ()
        for question, truth in material.truth.items():
            logged, target = material.train[question.factual], material.held_out[question.target]
            assert truth.metadata.seed == logged.metadata.seed
            assert truth.metadata.context_parameters == target.metadata.context_parameters
            assert material.contexts[question.target]["x_share"] == target.metadata.context_parameters["x_share"]
            assert not np.array_equal(truth.position_m, logged.position_m)
            assert not np.array_equal(truth.position_m, material.redriven[question].position_m)

    def test_what_was_answered_is_kept_but_not_for_another_trace(self, run: RunDirectory, tmp_path: Path) -> None:
        folder = tmp_path / "truth"
        first = gather(run, folder, None, None, 4, 0)
        times = {path: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}
        assert len(times) == 8
        gather(run, folder, None, None, 4, 0)
        assert {path: path.stat().st_mtime_ns for path in folder.glob("*.parquet")} == times
        train = run.trace_path("train", 1)
        make_trace_like(train, drivers=5).write(train)  # another trace by the same name
        again = gather(run, folder, None, None, 4, 0)
        for question in first.questions:
            same = np.array_equal(first.truth[question].position_m, again.truth[question].position_m)
            assert same == (question.factual != "train-001")

    def test_the_first_training_traces(self, run: RunDirectory, tmp_path: Path) -> None:
        material = gather(run, tmp_path, None, 2, 9, 0)
        assert list(material.train) == ["train-000", "train-001"]
        assert len(material.questions) == 4

    @pytest.mark.slow
    def test_the_traces_of_a_dataset_are_as_good_as_those_of_the_run(self, run: RunDirectory, tmp_path: Path) -> None:
        parse(["collect", "--run", str(run.path), "--policies", "static", "random", "--backend", "engine"]).execute()
        of_run = gather(run, tmp_path / "run-truth", None, None, 4, 0)
        for path in run.trace_paths("train"):
            path.unlink()
        of_data = gather(run, tmp_path / "truth", run.logged, None, 4, 0)
        assert of_data.unknown == ()
        assert of_data.questions == of_run.questions
        for question, truth in of_run.truth.items():
            np.testing.assert_array_equal(of_data.truth[question].position_m, truth.position_m)
        times = {path: path.stat().st_mtime_ns for path in (tmp_path / "truth").glob("*-as-*.parquet")}
        gather(run, tmp_path / "truth", run.logged, None, 4, 0)
        assert {path: path.stat().st_mtime_ns for path in times} == times

    def test_imported_traces_have_no_truth(self, run: RunDirectory, tmp_path: Path) -> None:
        path = run.trace_path("test", 0)
        trace = run.trace(path)
        known = trace.metadata.model_dump() | {"context": "imported", "context_parameters": {}, "settings": {}}
        replace(trace, metadata=type(trace.metadata).parse(known, "test")).write(path)
        material = gather(run, tmp_path, None, None, 6, 0)
        assert {question.target for question in material.questions} == {"test-000", "test-001"}
        assert {question.target for question in material.truth} == {"test-001"}
        (reason,) = material.unknown
        assert "test-000.parquet: does not say how it was made" in reason
        assert "test-000" not in material.contexts


@pytest.fixture(scope="module")
def found() -> AuditStudy:
    """A model that is right in the first draw, and deaf in the second."""
    return study(
        Auditor(made.material(), 6, 0), (3, 4), lambda seed: made.TrueModel() if seed == 3 else made.DeafModel()
    )


def test_figures_are_means_over_the_draws_with_intervals(found: AuditStudy) -> None:
    assert [figure.metric for figure in found.figures] == [measure.title for measure in MEASURES.values()]
    by_title = {figure.metric: figure for figure in found.figures}
    swap = by_title["swap accuracy"]
    assert (swap.by_seed, swap.value, swap.target, swap.ok) == ((1, 0), 0.5, 0.85, False)
    for figure in found.figures:
        low, high = next(m.bounds for m in MEASURES.values() if m.title == figure.metric)
        assert figure.value == pytest.approx(np.mean(figure.by_seed))
        if not math.isnan(figure.low):
            assert low <= figure.low <= figure.value <= figure.high <= high
    load = by_title["error of the cells' loads"]
    assert load.by_seed[0] == pytest.approx(0, abs=1e-6)
    assert load.by_seed[1] == pytest.approx(load.beside["logged trace, as is"])


def test_the_errors_of_the_questions_add_up_to_the_figure(found: AuditStudy) -> None:
    load = next(figure for figure in found.figures if figure.metric == "error of the cells' loads")
    assert len(found.errors) == 10
    assert np.mean([one["load"]["model"] for one in found.errors.values()]) == pytest.approx(load.value)


def by_metric(page: Page) -> dict[str, list[str]]:
    """The rows of the tables of figures; a unit stands in brackets behind the figure's name."""
    return {
        measure.title: row[1:] for measure in MEASURES.values() for row in page.rows if row[0].startswith(measure.title)
    }


def test_the_page_says_what_was_found(found: AuditStudy, tmp_path: Path) -> None:
    write_audit_page(tmp_path / "audit.html", found, "A <model>", "mlb audit --run 'a b'")
    page = Page(tmp_path / "audit.html")
    assert page.texts["h1"] == ["A <model>"]
    assert not [tag for tag, _ in page.tags if tag == "script"]
    rows = by_metric(page)
    for figure in found.figures:
        assert rows[figure.metric][0].startswith(figure_text(figure.value)), figure.metric
    assert rows["swap accuracy"][1:4] == ["≥ 0.85", "≥ 0.95", "no"]
    assert rows["positions off the road"][3] == "yes"
    assert rows["DCI completeness"][3] == "–"
    question, errors = next(iter(found.errors.items()))
    assert [question.factual, question.target, figure_text(errors["load"]["model"])] in [row[:3] for row in page.rows]
    assert sum(tag == "svg" for tag, _ in page.tags) == 3 + 6
    assert all(attrs.get("role") == "img" for tag, attrs in page.tags if tag == "svg")
    text = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert "#010101" not in text
    assert "nan" not in "".join(cell for row in page.rows for cell in row)


def test_the_page_of_traces_of_unknown_contexts(tmp_path: Path) -> None:
    whole = replace(made.material(), contexts={}, truth={}, redriven={}, unknown=("a.parquet: was driven live",))
    blind = study(Auditor(whole, 4, 0), (0,), lambda seed: made.TrueModel())
    write_audit_page(tmp_path / "audit.html", blind, "Blind", "mlb audit")
    page = Page(tmp_path / "audit.html")
    rows = by_metric(page)
    assert rows["ranking of constant actions"][0] == "–"
    assert rows["ranking of constant actions"][3] == "not measured"
    assert rows["swap accuracy"][3] == "yes"
    text = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert "a.parquet: was driven live" in text
    assert "0 of 20 traces are known" in text
    assert sum(tag == "svg" for tag, _ in page.tags) == 2 + 2


@pytest.mark.usefixtures("true_model")
def test_the_command_writes_page_and_json_and_never_fails_for_a_figure(run: RunDirectory) -> None:
    data = audited(run)
    out = run.path / "audit"
    assert json.loads((out / "audit.json").read_text()) == data
    assert data["seeds"] == [0, 1]
    assert len(data["questions"]) == 4
    assert data["questions"][0]["load"].keys() >= {"model", "truth, other drivers"}
    assert not all(figure["ok"] for figure in data["figures"])
    assert data["command"] == f"mlb audit --run {run.path} --draws 2 --questions 4 --actions 4"
    assert parse(data["command"].split()[1:]).questions == 4
    assert Page(out / "audit.html").texts["h1"] == ["The causal model of walk-v0"]
    assert audited(run)["figures"] == data["figures"]
    other = audited(run, "--seed", "5", "--out", str(run.path / "other"))
    assert other["seeds"] == [5, 6]
    assert (run.path / "other/audit.html").is_file()


@pytest.mark.parametrize(("option", "value"), [("draws", 0), ("questions", 0), ("actions", 1), ("train-traces", 0)])
def test_options_out_of_range(run: RunDirectory, option: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"--{option} {value}: must be"):
        audited(run, f"--{option}", str(value))


@pytest.mark.usefixtures("true_model")
class TestBadInput:
    def test_nothing_held_out(self, run: RunDirectory) -> None:
        for path in (run.path / "traces").glob("test-*"):
            path.unlink()
        with pytest.raises(DataError, match="has no test traces"):
            audited(run)

    def test_no_run(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="mlb mobility make"):
            audited(RunDirectory(tmp_path))

    def test_two_maps(self, run: RunDirectory) -> None:
        path = run.trace_path("train", 0)
        trace = run.trace(path)
        replace(trace, metadata=trace.metadata.model_copy(update={"map_name": "elsewhere"})).write(path)
        with pytest.raises(DataError, match="is of map"):
            audited(run)
        assert not (run.path / "audit/audit.html").exists()

    def test_another_number_of_ues(self, run: RunDirectory) -> None:
        path = run.trace_path("test", 0)
        trace = run.trace(path)
        fewer = {name: getattr(trace, name)[:, :5] for name in ("position_m", "speed_mps", "heading_deg")}
        replace(trace, **fewer).write(path)
        with pytest.raises(DataError, match="5"):
            audited(run)

    def test_a_model_of_another_version(self, run: RunDirectory, tmp_path: Path) -> None:
        (tmp_path / "model").write_text('{"version": 1}')
        with pytest.raises(DataError, match="not a causal mobility model"):
            audited(run, "--model", str(tmp_path / "model"))
        with pytest.raises(DataError, match="no such file"):
            audited(run, "--model", str(tmp_path / "none"))

    def test_no_dataset(self, run: RunDirectory, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"none\.h5"):
            audited(run, "--data", str(tmp_path / "none.h5"))

    def test_a_damaged_trace(self, run: RunDirectory) -> None:
        run.trace_path("train", 0).write_bytes(b"nothing")
        with pytest.raises(DataError, match="train-000"):
            audited(run)


def test_a_model_of_before_is_judged(run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CausalMobilityModel, "load", lambda path, street_map: made.TrueModel())
    data = audited(run, "--model", str(tmp_path / "model"))
    assert data["seeds"] == [0, 1]
    assert f"--model {tmp_path / 'model'}" in data["command"]


@pytest.mark.sumo
@pytest.mark.slow
def test_sumo_answers_for_streets(tmp_path: Path) -> None:
    preset = {**PRESET, "id": "drive-v0", "mobility": {**PRESET["mobility"], "map": "helsinki-centre"}}
    (tmp_path / "drive.yaml").write_text(yaml.safe_dump(preset))
    command = ["mobility", "make", "--run", str(tmp_path / "run"), "--preset", str(tmp_path / "drive.yaml")]
    parse([*command, "--train-traces", "2", "--test-traces", "1"]).execute()
    material = gather(RunDirectory(tmp_path / "run"), tmp_path / "truth", None, None, 2, 0)
    assert len(material.truth) == 2
    assert material.street_map.streets
    found: Findings = Auditor(material, 4, 0).judge(made.TrueModel(), 0)
    assert found.value["load"] > 0
    assert found.value["off-road"] > 10, "it moves UEs off the streets"
    assert MobilityTrace.read(next((tmp_path / "truth").glob("*.parquet"))).metadata.source == "sumo"
