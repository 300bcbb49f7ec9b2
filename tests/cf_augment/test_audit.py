"""The audit of models whose worth is known: one that is right, and one that does not listen."""

from __future__ import annotations

from dataclasses import replace

import made_crowds as made
import made_streets
import numpy as np
import pytest
from small_world import small_scenario

from cf_augment.audit import MEASURES, Auditor, Material, Question, questions
from cf_augment.audit.coverage import Plane, distance_left
from cf_augment.audit.findings import Findings
from cf_augment.audit.study import AS_LOGGED, MODEL, OF_CONTEXT, REDRIVEN
from cf_augment.audit.truth import Played, distances_m, load_error, ranking, share_error
from cf_augment.audit.windows import WINDOW_S, windows
from cf_augment.model import CausalMobilityModel
from sumo_mobility.base.errors import DataError
from sumo_mobility.base.seeds import stream
from sumo_mobility.trace import MobilityTrace


@pytest.fixture(scope="module")
def auditor() -> Auditor:
    return Auditor(made.material(), actions=12, seed=0)


@pytest.fixture(scope="module")
def right(auditor: Auditor) -> Findings:
    return auditor.judge(made.TrueModel(), 0)


@pytest.fixture(scope="module")
def deaf(auditor: Auditor) -> Findings:
    return auditor.judge(made.DeafModel(), 0)


def test_a_model_that_is_right_reaches_all_goals(right: Findings) -> None:
    for name, measure in MEASURES.items():
        goal = measure.reach if name == "auc" else measure.goal  # so few UEs let a discriminator guess by chance
        if goal is not None:
            value = right.value[name]
            assert value >= goal if measure.more_is_better else value <= goal, (name, value)
    assert right.reason == {}
    assert right.factors == ("x_share", "y_share")
    for name in ("load", "share", "reversibility", "composition"):
        assert right.value[name] == pytest.approx(0, abs=1e-6), name
    assert right.value["speed"] == pytest.approx(1)
    assert right.value["informativeness"] > 0.95


def test_a_model_that_does_not_listen_is_found_out(deaf: Findings) -> None:
    assert deaf.value["swap"] == 0
    assert deaf.value["leak"] > 0.95
    assert deaf.value["informativeness"] < 0.2
    assert deaf.value["dci"] < 0.7
    assert deaf.value["load"] == pytest.approx(deaf.beside["load"][AS_LOGGED])
    assert deaf.value["ranking"] == pytest.approx(deaf.beside["ranking"][AS_LOGGED])
    assert deaf.value["load"] > MEASURES["load"].reach
    assert deaf.value["coverage"] == 1
    assert deaf.value["identity"] == 0, "a model that does nothing does nothing to that too"


class Forgetful(made.TrueModel):
    """Loses one UE of twelve when nothing is done."""

    def generate(self, abduction: made.Latents, *do: np.ndarray | None, **named: np.ndarray | None) -> MobilityTrace:
        trace = super().generate(abduction, *do, **named)
        position_m = trace.position_m.copy()
        position_m[3:, 4] += 30.0, 40.0
        return replace(trace, position_m=position_m)


def test_one_lost_ue_is_seen(auditor: Auditor) -> None:
    found = auditor.judge(Forgetful(), 0)
    assert found.value["identity"] == pytest.approx(50)
    assert list(found.beside["identity"].values()) == pytest.approx([100 / 12])
    assert found.value["composition"] == pytest.approx(100)


def test_every_figure_lies_within_its_bounds(right: Findings, deaf: Findings) -> None:
    for found in (right, deaf):
        assert list(found.value) == list(MEASURES)
        for name, value in found.value.items():
            low, high = MEASURES[name].bounds
            assert low <= value <= high, (name, value)


def test_other_guesses_are_judged_like_the_model(auditor: Auditor, right: Findings) -> None:
    guesses = auditor.guesses(right)
    assert list(guesses) == [MODEL, AS_LOGGED, OF_CONTEXT, REDRIVEN]
    by_hand = np.mean([load_error(auditor.truth[q], auditor.played[q.target]) for q in auditor.material.questions])
    assert right.beside["load"][OF_CONTEXT] == pytest.approx(by_hand)
    assert right.beside["load"][REDRIVEN] > 0


def test_it_says_how_far_it_is(auditor: Auditor) -> None:
    steps: list[int] = []
    auditor.judge(made.TrueModel(), 0, lambda: steps.append(1))
    assert len(steps) == auditor.work == 20 + 10


def test_without_known_contexts_it_says_what_it_cannot_measure() -> None:
    whole = made.material()
    reason = "old.parquet: was driven live"
    blind = Auditor(replace(whole, contexts={}, truth={}, redriven={}, unknown=(reason,)), actions=4, seed=0)
    found = blind.judge(made.TrueModel(), 0)
    unmeasured = {name for name, value in found.value.items() if np.isnan(value)}
    assert unmeasured == set(found.reason)
    assert unmeasured == {"dci", "completeness", "informativeness", "mig", "leak", "load", "share", "ranking"}
    assert found.reason["load"] == reason
    assert "0 of 20 traces are known" in found.reason["dci"]
    assert found.value["swap"] == 1


def test_one_factor_cannot_be_disentangled() -> None:
    whole = made.material()
    contexts = {name: {"name": "event", "x_share": one["x_share"]} for name, one in whole.contexts.items()}
    found = Auditor(replace(whole, contexts=contexts), actions=4, seed=0).judge(made.TrueModel(), 0)
    assert np.isnan(found.value["dci"])
    assert "one factor" in found.reason["dci"]
    assert found.value["completeness"] > 0.8


@pytest.mark.slow
def test_the_causal_model_can_be_audited() -> None:
    crowds = made_streets.two_contexts(range(4))
    names = {name: {"name": name[:4]} for name in crowds}
    train, held_out = (
        {name: trace for name, trace in crowds.items() if (name[-1] == "3") == held} for held in (False, True)
    )
    asked = questions({n: names[n] for n in train}, {n: names[n] for n in held_out}, 2, 0)
    scenario = small_scenario()
    scenario = scenario.model_copy(update={"mobility": scenario.mobility.model_copy(update={"ues": 24})})
    material = Material(scenario, made_streets.street_map(), train, held_out, names, asked)
    model = CausalMobilityModel.fit(list(train.values()), material.street_map)
    found = Auditor(material, actions=4, seed=0).judge(model, 0)
    assert found.value["identity"] <= MEASURES["identity"].reach
    assert found.value["off-road"] <= MEASURES["off-road"].reach
    assert found.factors == ("name = west",)
    assert np.isfinite(found.value["leak"])
    assert "no counterfactual has a truth" in found.reason["load"]


class TestQuestions:
    def test_they_take_held_out_contexts_in_turn_and_ask_for_other_ones(self) -> None:
        train, held_out = {"a": 1, "b": 2, "c": 3}, {"x": 1, "y": 9}
        asked = questions(train, held_out, 4, seed=0)
        assert [question.target for question in asked] == ["x", "y", "x", "y"]
        assert len(set(asked)) == 4
        assert all(train[question.factual] != held_out[question.target] for question in asked)
        assert asked == questions(train, held_out, 4, seed=0)
        assert len({questions(train, held_out, 2, seed) for seed in range(20)}) > 1

    def test_there_are_no_more_than_pairs(self) -> None:
        assert set(questions({"a": 1, "b": 2}, {"x": 1, "y": 3}, 100, 0)) == {
            Question("b", "x"), Question("a", "y"), Question("b", "y")
        }  # fmt: skip

    def test_one_context_alone_is_an_error(self) -> None:
        with pytest.raises(DataError, match="all traces are of one context"):
            questions({"a": 1}, {"x": 1}, 3, 0)


def test_material_has_both_kinds_of_traces_and_one_map() -> None:
    whole = made.material()
    with pytest.raises(DataError, match="12 traces to learn from, 0 held out"):
        replace(whole, held_out={})
    first = whole.train["train-000"]
    moved = replace(first, metadata=first.metadata.model_copy(update={"map_name": "elsewhere"}))
    with pytest.raises(DataError, match=r"trace .* is of map .* and trace .* of map"):
        replace(whole, train={**whole.train, "train-000": moved})


class TestTruth:
    load = np.array([[0.5, 0.1], [0.3, 0.3]])

    def test_errors_by_hand(self) -> None:
        truth = Played(self.load, self.load, np.array([1.0, 2.0, 3.0]))
        guess = Played(self.load + np.array([[0.1, -0.1], [0, 0]]), self.load + 0.05, np.array([1.0, 3.0, 2.0]))
        assert load_error(truth, guess) == pytest.approx(100 * 0.05 / 0.3)
        assert share_error(truth, guess) == pytest.approx(5)
        assert ranking(truth, guess) == pytest.approx(1 / 3)  # two of three pairs agree

    def test_nothing_can_be_ranked_where_actions_do_not_matter(self) -> None:
        same = Played(self.load, self.load, np.ones(3))
        assert np.isnan(ranking(same, same))
        assert np.isnan(load_error(Played(0 * self.load, self.load, np.ones(3)), same))

    def test_distances(self) -> None:
        trace = made.crowd((0.5, 0.5), 0)
        other = replace(trace, position_m=trace.position_m + np.array([3.0, 4.0]))
        np.testing.assert_allclose(distances_m(trace, other), np.full((7, 12), 5.0))

    def test_a_trace_that_is_too_short_for_the_episode_is_refused(self) -> None:
        whole = made.material()
        with pytest.raises(DataError):
            Auditor(replace(whole, train={"train-000": made.crowd((0.5, 0.5), 0, steps=3)}), 4, 0)


class TestCoverage:
    def test_how_much_is_left(self) -> None:
        held_out, known = np.array([[0.0, 0], [2, 0]]), np.array([[0.0, 1], [2, 3]])
        assert distance_left(held_out, known, known) == 1
        assert distance_left(held_out, known, held_out) == 0
        assert distance_left(known, known, known) == 0
        # deviations of the known states are 1 in both components: distances 1 and sqrt(5) become 1 and 1
        assert distance_left(held_out, known, np.array([[2.0, 1]])) == pytest.approx(2 / (1 + 5**0.5))

    def test_the_plane_holds_what_lies_in_a_plane(self) -> None:
        random = stream(0, "plane")
        states = random.normal(size=(40, 2)) * [3, 1] @ random.normal(size=(2, 6)) + 5
        plane = Plane.of(states)
        assert plane.explained.sum() == pytest.approx(1)
        assert plane.explained[0] > plane.explained[1]
        placed = plane.project(states)
        np.testing.assert_allclose(plane.mean + plane.deviation * (placed @ plane.axes), states, atol=1e-9)
        np.testing.assert_allclose(placed.mean(axis=0), 0, atol=1e-9)
        assert abs(np.corrcoef(placed.T)[0, 1]) < 1e-9


def test_windows_follow_one_another() -> None:
    trace = made.crowd((0.5, 0.5), 0, steps=int(2.5 * WINDOW_S))
    first, second = windows(trace)
    assert first.duration_s == second.duration_s == WINDOW_S
    np.testing.assert_array_equal(first.position_m[-1], second.position_m[0])
    np.testing.assert_array_equal(second.position_m, trace.position_m[30:61])
    (short,) = windows(made.crowd((0.5, 0.5), 0, steps=6))
    assert short.duration_s == 6
