"""The benchmark: its scale by hand, files of results that are refused, methods that fail, and a small study whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.scenario import Preset, Scenario
from py_agent.algorithms.base import trained_policy
from py_agent.benchmark.methods import (
    COUNTERFACTUAL,
    METHODS,
    BestRule,
    Cell,
    Made,
    Method,
    Offline,
    Online,
    Planner,
    Rule,
)
from py_agent.benchmark.results import IDENTITY, VERSION, Results, ResultsRecord, check_unique
from py_agent.benchmark.scores import Scores
from py_agent.benchmark.study import ENGINE, Study
from py_agent.benchmark.suites import SUITES, Data, Suite
from py_agent.benchmark.workshop import Effort, Workshop
from py_agent.jobs import Executor, Job
from py_agent.metrics import METRICS
from py_agent.policies import policy_factory
from py_agent.report.benchmark_page import write_benchmark_page
from py_agent.report.benchmark_replay import write_benchmark_replay
from sumo_mobility.base.arrays import Floats, Singles
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.base.registry import Registry

CONTEXTS, TRACES = ("west", "east"), 6


def record(**changes: Any) -> ResultsRecord:
    given: dict[str, Any] = {
        "version": VERSION, "suite": "made", "title": "Made by hand", "command": "mlb benchmark run made", "seed": 0,
        "quick": False, "effort": {"seeds": 2, "gradient_steps": 40}, "main_data": "2 traces", "metric": "load_std",
        "higher_is_better": False, "floor": "rule", "ceiling": "planner", "published": {"west": {"SAC+0": 8.2}},
        "coverage": None, "machine": "1 core", "versions": {"python": "3"},
    }  # fmt: skip
    return ResultsRecord.model_validate({**given, **changes})


def rows(
    method: str, load_std: Floats, data: str = "", backend: str = ENGINE, group: str = "rules", error: str = ""
) -> pd.DataFrame:
    """Returns the rows of a method whose metric is load_std (contexts, seeds, traces)."""
    return pd.DataFrame(
        {
            "suite": "made", "scenario": CONTEXTS[context], "data": data, "method": method, "group": group,
            "train_traces": 2 * (data != ""), "test_traces": 0, "cpu_s": 3.0, "tried": 4, "at_edge": "",
            "config_sha256": "0", "gradient_steps": 0, "seed": seed, "backend": backend,
            "error": error, "trace": f"test-{trace:03d}",
            "reward": -value, **dict.fromkeys(METRICS, 1.0), "load_std": value,
        }
        for (context, seed, trace), value in np.ndenumerate(load_std)
    )  # fmt: skip


def made() -> Results:
    random = np.random.default_rng(0)
    rule = random.uniform(0.2, 0.3, (2, 1, TRACES))
    planner = random.uniform(0.05, 0.15, (2, 1, TRACES))
    half = (rule + planner).repeat(2, axis=1) / 2
    half[:, 1] += 0.01
    parts = [
        rows("static", rule + 0.1), rows("rule", rule), rows("planner", planner, group="planners"),
        rows("learner", half, "2 traces", group="ours"),
    ]  # fmt: skip
    return Results(record(), pd.concat(parts, ignore_index=True))


def test_scores_are_those_of_the_definition() -> None:
    scores = Scores(made())
    learner = scores.entries["learner", "2 traces"]
    rule, planner = (scores.values(name, "", "load_std")[:, 0].mean(1) for name in ("rule", "planner"))
    by_hand = (0.5 + (0.5 - 0.01 / (rule - planner))) / 2
    value, of_contexts = scores.score(learner)
    assert of_contexts == pytest.approx(by_hand)
    assert value.value == pytest.approx(by_hand.mean())
    assert value.low < value.value < value.high
    assert scores.runs(learner)[:, 0] == pytest.approx([0.5, 0.5])
    for name, expected in (("rule", 0.0), ("planner", 1.0)):
        assert scores.score(scores.entries[name, ""])[1] == pytest.approx([expected] * 2)
    static = rule + 0.1
    learnt = (rule + planner) / 2 + 0.005
    assert scores.improvement_percent(learner) == pytest.approx(100 * (static - learnt) / static)
    runs = np.sort(scores.runs(learner).ravel())
    assert scores.robust_score(learner).value == pytest.approx(runs[1:3].mean())


def test_wins_are_counted_trace_by_trace_and_lower_is_better() -> None:
    scores = Scores(made())
    learner, rule, planner = (scores.entries[key] for key in (("learner", "2 traces"), ("rule", ""), ("planner", "")))
    ours = scores.values("learner", "2 traces", "load_std")
    for other in (rule, planner):
        theirs = scores.values(other.method, "", "load_std")
        by_hand = np.mean([ours[c, s, t] < theirs[c, 0, t] for c in range(2) for s in range(2) for t in range(TRACES)])
        assert scores.wins(learner, other).value == pytest.approx(by_hand)
    assert scores.wins(rule, rule).value == 0.5


def test_another_back_end_is_compared_on_the_traces_that_it_played() -> None:
    results = made()
    there = {("static", ""): 0.3, ("rule", ""): 0.1, ("planner", ""): 0.2, ("learner", "2 traces"): 0.15}
    of_ns3 = [rows(name, np.full((2, 1, 2), value), data, "ns3") for (name, data), value in there.items()]
    both = Results(record(), pd.concat([results.rows, *of_ns3], ignore_index=True))
    # Of six pairs, the rule is before planner and learner there, and learner before planner.
    assert Scores(both).same_order(Scores(both, "ns3")) == (3, 6)


def test_a_learning_curve_is_of_the_traces_that_all_its_policies_played() -> None:
    results = made()
    rule, planner = (Scores(results).values(name, "", "load_std")[:, :, :2] for name in ("rule", "planner"))
    early = (0.75 * rule + 0.25 * planner).repeat(2, axis=1)
    stage = rows("learner", early, "2 traces").assign(gradient_steps=10)
    with_stage = Scores(Results(record(), pd.concat([results.rows, stage], ignore_index=True)))
    curve = with_stage.curve(with_stage.entries["learner", "2 traces"])
    room = (rule - planner).mean(2)[:, 0]
    assert curve == pytest.approx({10: 0.25, 40: float((0.5 - 0.005 / room).mean())})
    assert with_stage.curve(with_stage.entries["rule", ""]) == {}


def test_what_makes_the_scale_must_be_there() -> None:
    results = made()
    without = Results(results.record, results.rows[results.rows["method"] != "planner"])
    with pytest.raises(DataError, match=r"suite made: no results of 'planner'\n.*run it without --methods"):
        Scores(without).scale  # noqa: B018


def test_where_the_ceiling_is_not_better_there_is_no_scale(tmp_path: Path) -> None:
    results = made()
    swapped = results.rows["method"].replace({"rule": "planner", "planner": "rule"})
    in_west = results.rows["scenario"] == "west"
    scores = Scores(Results(results.record, results.rows.assign(method=swapped.where(in_west, results.rows["method"]))))
    of_contexts = scores.score(scores.entries["planner", ""])[1]
    assert np.isnan(of_contexts[0])
    assert of_contexts[1] == 1
    write_benchmark_page(tmp_path / "page.md", [scores.results])
    assert "* west: planner is not better than rule, so there is no S" in (tmp_path / "page.md").read_text("utf-8")


def test_the_same_results_are_the_same_bytes_and_come_back(tmp_path: Path) -> None:
    results = made()
    results.write(tmp_path / "a.parquet")
    results.write(tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    again = Results.read(tmp_path / "a.parquet")
    assert again.record == results.record
    pd.testing.assert_frame_equal(again.rows, results.rows)


def test_files_that_are_no_results_are_refused(tmp_path: Path) -> None:
    results, path = made(), tmp_path / "results.parquet"
    Results(record(version=VERSION + 1), results.rows).write(path)
    with pytest.raises(DataError, match=rf"results of version {VERSION + 1}, this program reads {VERSION}"):
        Results.read(path)
    results.rows.to_parquet(path)
    with pytest.raises(DataError, match="no results of the benchmark"):
        Results.read(path)
    results.write(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="no results of the benchmark"):
        Results.read(path)
    with pytest.raises(DataError, match="no results of the benchmark"):
        Results.read(tmp_path / "none.parquet")
    table = pa.Table.from_pandas(results.rows.drop(columns="trace"), preserve_index=False)
    metadata = {b"mlb-benchmark": results.record.model_dump_json().encode()}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    with pytest.raises(DataError, match="has no column 'trace'"):
        Results.read(path)


def test_two_results_of_one_identity_are_refused(tmp_path: Path) -> None:
    results, path = made(), tmp_path / "results.parquet"
    Results(results.record, pd.concat([results.rows, results.rows[:1]])).write(path)
    with pytest.raises(
        DataError, match="a result that is there already: suite made, scenario west, data , method static"
    ):
        Results.read(path)
    with pytest.raises(DataError, match=r"second\.parquet: has a result that is there already"):
        check_unique([results, results], [Path("first.parquet"), Path("second.parquet")])


def test_the_page_shows_what_failed_and_what_was_published(tmp_path: Path) -> None:
    results = made()
    failed = rows("broken", np.full((1, 1, 1), np.nan), "2 traces", error="it diverged").assign(trace="")
    edge = results.rows["method"] == "rule"
    edged = results.rows.assign(at_edge=np.where(edge, "gain_db", ""))
    page = tmp_path / "page.md"
    write_benchmark_page(page, [Results(results.record, pd.concat([edged, failed], ignore_index=True))])
    text = page.read_text(encoding="utf-8")
    assert "* **broken** failed in west 2 traces: it diverged" in text
    assert "* rule, west: the best gain_db lies at the end of what was tried" in text
    assert "| *SAC+0* | 8.2 |  |" in text
    assert "| rule | rules | 0.00 (0.00 to 0.00) |  |" in text
    pictures = sorted(tmp_path.glob("page/*.svg"))
    assert [picture.name for picture in pictures] == ["made-profiles.svg", "made-scores.svg"]
    assert all(f"(page/{picture.name})" in text for picture in pictures)


def test_suites_name_methods_of_their_track_and_published_contexts() -> None:
    for suite in SUITES.values():
        for name in (suite.floor, suite.ceiling):
            assert suite.track in METHODS[name].tracks
            assert not METHODS[name].learns
        assert suite.main in [data.name for data in suite.data]
        homes = suite.homes()
        assert all(len(home.mobility.test_contexts) == 1 for home in homes)
        assert len({home.id for home in homes}) == len(homes)
        assert set(suite.published) <= {home.id for home in homes}
        assert any(method.group == "ours" and suite.track in method.tracks for method in METHODS.values())


class Here(Executor):
    """Runs jobs one after another in this process."""

    def run(self, jobs: Sequence[Job], title: str) -> None:
        for job in jobs:
            job.run(lambda work: None)


class Nan:
    """A policy that goes wrong."""

    def __init__(self, scenario: Scenario) -> None:
        self._pairs = len(scenario.neighbor_pairs)

    def reset(self, seed: int) -> None: ...

    def act(self, observation: Singles, kpis: StepKpis, cio_db: Floats) -> Singles:
        return np.full(self._pairs, np.nan, np.float32)


@dataclass(frozen=True)
class Broken(Method):
    """A method that raises and says nothing, whose policy returns NaN, or whose policy has no file."""

    kind: str = "raises"

    def make(self, cell: Cell) -> Generator[Sequence[Job], None, Made]:
        yield []
        if self.kind == "raises":
            raise ZeroDivisionError
        lost = partial(trained_policy, checkpoint=Path("missing.pt"))
        return Made([lost if self.kind == "no file" else Nan])


def small_suite() -> Suite:
    mobility = Preset.load("line3-right-none-left-v0").model_dump(exclude_unset=True)["mobility"]
    return Suite(
        name="small", title="Small", track="reference", presets=("line3-right-none-left-v0",),
        data=(Data("2 traces", 2),), main="2 traces", metric="load_std", floor="integral, tuned", ceiling="planner",
        effort=Effort(seeds=1, test_traces=9, gradient_steps=9), changes={
            "mobility": mobility | {"duration_s": 10}, "episode": {"steps": 10},
        },
        quick=Effort(
            seeds=2, test_traces=2, gradient_steps=3, replays=1, mixed_traces=0, generated_traces=0, candidates=2,
            environment_steps=20,
        ),
    )  # fmt: skip


@pytest.mark.slow
def test_a_small_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that fails costs its own rows; what is there is not made again; tuning is paid for and counted."""
    small = {"sac": {"hidden": 4, "batch_size": 4}}
    acting = {"hidden": 4, "environments": 2, "steps_per_update": 10, "batch_size": 10, "epochs": 1}
    methods: Registry[Method] = Registry("method")
    for method in (
        Rule("static", "rules", policy="static"),
        Rule("integral, tuned", "rules", policy="integral", tuned=True),
        Planner("planner", "planners", search={"samples": 4, "rounds": 1, "sweeps": 1, "levels": 3}),
        Offline("SAC", "offline RL", training=small, space={"gamma": (0.0, 0.9)}),
        Offline("SAC + CF", "ours", training=small, counterfactual="all"),
        BestRule("best tuned rule", "rules"),
        Online("online PPO", "online RL", algorithm="online-ppo", training=acting),
        Broken("raises", "controls"),
        Broken("nan", "controls", kind="nan"),
        Broken("no file", "controls", kind="no file"),
        Rule("elsewhere", "rules", ("slow",), policy="static"),
    ):
        methods.register(method)
    monkeypatch.setattr("py_agent.benchmark.study.METHODS", methods)
    monkeypatch.setattr("py_agent.benchmark.workshop._TUNE_TRACES", 2)
    monkeypatch.setattr("py_agent.benchmark.methods.tunable_policies", lambda: ["integral", "rebuha"])
    suite = small_suite()
    study = Study(suite, (), True, 0, 0, tmp_path, Here())
    results = study.run()
    found = results.rows
    assert not found.duplicated(IDENTITY).any()
    failed = found[found["error"] != ""].set_index("method")["error"]
    assert failed["raises"] == "ZeroDivisionError"
    assert "missing.pt" in failed["no file"]
    assert "nan" in failed["nan"].lower()
    assert set(failed.index) == {"raises", "nan", "no file"}
    early = found[found["gradient_steps"] > 0]
    assert {*early["method"]} == {"SAC", "SAC + CF"}
    assert {*early["gradient_steps"]} == {1, 2}
    whole = found[(found["error"] == "") & (found["gradient_steps"] == 0)]
    assert whole.groupby("method").size().to_dict() == {
        "static": 2, "integral, tuned": 2, "planner": 2, "SAC": 4, "SAC + CF": 4, "best tuned rule": 2, "online PPO": 4
    }  # fmt: skip
    tried = whole.groupby("method")["tried"].max()
    assert tried["integral, tuned"] > 10
    assert tried["best tuned rule"] > tried["integral, tuned"]
    assert tried["SAC"] == 2
    assert tried[["static", "planner", "SAC + CF"]].max() == 0
    assert (whole.groupby("method")["cpu_s"].max() > 0).to_dict() == {
        "static": False, "integral, tuned": False, "planner": False, "SAC": True, "SAC + CF": True,
        "best tuned rule": False, "online PPO": True,
    }  # fmt: skip
    scores = Scores(results)
    planner = scores.score(scores.entries["planner", ""])[0].value
    better = scores.values("planner", "", "load_std").mean() < scores.values("integral, tuned", "", "load_std").mean()
    assert planner == pytest.approx(1) if better else np.isnan(planner)
    assert [*scores.curve(scores.entries["SAC", "2 traces"])] == [1, 2, 3]
    write_benchmark_page(tmp_path / "page.md", [results])
    assert (tmp_path / "page" / "small-learning.svg").is_file()
    seen = results.record.coverage
    assert seen is not None
    # Two traces of ten steps each; of the logged ones there are counterfactual episodes, one each.
    assert {kind: len(points) for kind, points in seen.points.items()} == {
        "counterfactual": 20, "logged": 20, "test": 20
    }  # fmt: skip
    assert 0 < seen.explained[1] <= seen.explained[0] <= 1
    write_benchmark_replay(tmp_path / "replay.gif", study, results)
    with Image.open(tmp_path / "replay.gif") as gif:
        assert getattr(gif, "n_frames", 0) == 11
    with pytest.raises(DataError, match="no policy of 'SAC' 9 traces"):
        study.policy("SAC", "9 traces")

    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    again = Study(suite, (), True, 0, 0, tmp_path, Here()).run()
    pd.testing.assert_frame_equal(again.rows, found)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert {path for path in after if after[path] != before.get(path)} == {
        path for path in after if path.suffix == ".failed"
    }

    with pytest.raises(ConfigError, match="method 'elsewhere': is not tried in suite small"):
        Study(suite, ("elsewhere",), True, 0, 0, tmp_path, Here()).run()
    with pytest.raises(ConfigError, match=r"unknown method 'SAK'"):
        Study(suite, ("SAK",), True, 0, 0, tmp_path, Here()).run()
    few = Study(suite, ("SAC",), True, 0, 0, tmp_path, Here()).run()
    assert set(few.rows["method"]) == {"static", "integral, tuned", "planner", "SAC"}

    [test, *_] = tmp_path.rglob("test-000.parquet")
    for path in (test, test.with_suffix(".json")):
        shutil.copy(path, path.with_name(f"train-000{path.suffix}"))
    with pytest.raises(DataError, match=r"train-000\.parquet: is the same trace as .*test-000\.parquet"):
        Study(suite, ("SAC",), True, 0, 0, tmp_path, Here()).run()


def test_what_is_kept_is_of_the_recipe_that_made_it(tmp_path: Path) -> None:
    suite = small_suite()
    workshop, (scenario,) = Workshop(tmp_path, 0, suite.quick, Here()), suite.scenarios()
    logged = workshop.logged(scenario, "2 traces", 0, 0)
    recipes: list[dict[str, Any]] = [{"sac": {"gamma": 0.5}}, {"sac": {"gamma": 0.9}}, {"sac": {"gamma": 0.5}}]
    first, other, same = (workshop.training("SAC", logged, None, recipe).folder for recipe in recipes)
    assert first == same != other
    policies = (policy_factory(text) for text in ("rebuha:weight_db=4", "rebuha:weight_db=8", "rebuha:weight_db=4"))
    first, other, same = (workshop.judgement(scenario, "rule", policy).path for policy in policies)
    assert first == same != other


def test_controls_have_as_many_traces_as_ours_however_much_is_done() -> None:
    for effort in (suite.effort for suite in SUITES.values()):
        for given in (effort, effort.model_copy(update={"mixed_traces": 3, "generated_traces": 2})):
            total = given.mixed_traces + given.generated_traces
            made = {kind: counts(given) for kind, counts in COUNTERFACTUAL.items()}
            assert (made["mixing"].mixed_traces, made["mixing"].generated_traces) == (total, 0)
            assert (made["generation"].mixed_traces, made["generation"].generated_traces) == (0, total)
            assert made["replay"].mixed_traces + made["replay"].generated_traces == 0
            assert made["all"] == given
    named = {each.counterfactual for each in METHODS.values() if isinstance(each, Offline)}
    assert named - {None} <= COUNTERFACTUAL.keys()


def test_candidates_begin_with_the_methods_own_parameters_and_differ() -> None:
    method = Offline(
        "tuned", "offline RL", training={"sac": {"hidden": 8}}, space={"gamma": (0.0, 0.5), "tau": (0.1, 0.2)}
    )
    candidates = [dict(each["sac"]) for each in method._candidates(4)]
    assert candidates[0] == {"hidden": 8}
    assert len({json.dumps(each, sort_keys=True) for each in candidates}) == 4
    assert candidates == [dict(each["sac"]) for each in replace(method)._candidates(4)]
    assert len(method._candidates(99)) == 5
