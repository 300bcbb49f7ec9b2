"""Tuning finds the rule that earns most, by what an environment says that each rule earns."""

from __future__ import annotations

import io
import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from small_world import small_scenario, small_trace

from cf_augment.dataset import EpisodeMetadata, Provenance
from ns3_scenarios.rule import Rule
from ns3_scenarios.scenario import Scenario
from py_agent.backends import open_backend
from py_agent.cli.commands import parse
from py_agent.env import MlbEnv
from py_agent.policies import POLICIES, Policy, Search, policy_factory
from py_agent.policies.load_rules import OnosMlb, SonStep
from py_agent.policies.rules import IntegralRule
from py_agent.rollout import run_episode
from py_agent.tune import at_edge, best_of, policy_text, tune
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.base.registry import Lazy
from sumo_mobility.trace import MobilityTrace

METADATA = EpisodeMetadata(
    scenario_id="small-v0", trace_name="trace", policy="integral", seed=0, backend="engine",
    provenance=Provenance(action_source="integral"),
)  # fmt: skip
SCENARIO = small_scenario().model_copy(update={"handover_cost": 0.1})
TRACES = [small_trace(SCENARIO, seed) for seed in range(3)]
RULES = ["son-step", "onos-mlb", "rebuha", "cmf-map"]


def played(scenario: Scenario, traces: list[MobilityTrace], policy: Policy) -> tuple[float, float]:
    """The mean reward, and the handovers, of episodes in an environment."""
    episodes = [
        run_episode(MlbEnv(scenario, open_backend(scenario, "engine"), [trace]), policy, METADATA) for trace in traces
    ]
    return (
        float(np.mean([episode.rewards.mean() for episode in episodes])),
        float(sum(episode.kpis.handovers[1:].sum() for episode in episodes)),
    )


def test_the_best_is_first_and_every_figure_is_that_of_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = {"gain_db": (2.0, 8.0, 24.0), "proportional_db": (0.0, 8.0), "leak": (1.0, 0.8), "discount_per_db": (0.0,)}
    monkeypatch.setattr(IntegralRule, "SEARCH", Search(levels, Rule().model_dump(), ("discount_per_db",)))
    tried = tune(SCENARIO, TRACES)
    assert list(tried) == [*Rule.model_fields, "reward", "load_std", "handovers"]
    assert tried.reward.is_monotonic_decreasing
    assert tried.reward[0] > tried.reward.iloc[-1]
    assert not tried[list(levels)].duplicated().any()
    best = {name: float(tried[name][0]) for name in levels}
    for name, values in levels.items():  # no change of one gain makes the best one better
        others = {other: value for other, value in best.items() if other != name}
        same = tried[(tried[list(others)] == pd.Series(others)).all(axis=1)]
        assert set(same[name]) == set(values)
    for row in (tried.iloc[0], tried.iloc[-1]):
        rule = Rule(**{name: float(row[name]) for name in levels})
        earned, handovers = played(SCENARIO, TRACES, IntegralRule(SCENARIO, **rule.model_dump()))
        assert row.reward == pytest.approx(earned, abs=1e-6)
        assert row.handovers == pytest.approx(handovers / (12 * 3 * 6 / 60))


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_a_tuned_rule_is_better_than_the_plain_one_where_it_was_tuned(name: str) -> None:
    """Its text makes the policy that earned what the table says, and no candidate is there twice."""
    tried = tune(SCENARIO, TRACES, name)
    best = best_of(tried, name)
    assert not tried[list(best)].duplicated().any()
    policy = policy_factory(policy_text(name, best))(SCENARIO)
    assert tried.reward[0] == pytest.approx(played(SCENARIO, TRACES, policy)[0], abs=1e-6)
    assert tried.reward[0] > played(SCENARIO, TRACES, policy_factory(name)(SCENARIO))[0]


@pytest.mark.parametrize("name", ["integral", *RULES])
def test_what_a_rule_declares_fits_it(name: str) -> None:
    """Every level is a value that it takes, and they are in an order."""
    search: Search = POLICIES[name].load().SEARCH
    for parameter, values in search.levels.items():
        assert len(set(values)) == len(values)
        assert list(values) in (sorted(values), sorted(values, reverse=True))
        for value in values:
            policy_factory(policy_text(name, {parameter: value}))(SCENARIO)
    assert {*search.start, *search.late} <= set(search.levels)


def test_the_search_begins_where_it_is_told_and_integers_stay_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = {"overload": (100.0,), "target": (0.0, 40.0), "delta_steps": (1, 3)}
    monkeypatch.setattr(OnosMlb, "SEARCH", Search(levels, {"overload": 35.0, "target": 35.0}))
    records = tune(SCENARIO, TRACES, "onos-mlb").to_dict("records")
    seen = {(row["overload"], row["target"], row["delta_steps"]) for row in records}
    assert {(35.0, 35.0, 3), (100.0, 35.0, 3)} <= seen  # what it begins with, and the first that it tries
    assert all(type(row["delta_steps"]) is int for row in records)
    assert policy_text("onos-mlb", records[0] | {"overload": 40.0}).startswith("onos-mlb:overload=40,target=")


def test_a_parameter_that_only_late_reports_use_is_searched_for_them_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = {"gain_db": (8.0,), "discount_per_db": (0.0, 0.1)}
    monkeypatch.setattr(IntegralRule, "SEARCH", Search(levels, Rule().model_dump(), ("discount_per_db",)))
    late = Scenario.parse(SCENARIO.model_dump() | {"reports": {"delay_intervals": 1}}, "test")
    assert len(tune(SCENARIO, TRACES)) == 1
    assert set(tune(late, TRACES).discount_per_db) == {0.0, 0.1}
    assert at_edge(late, "integral", Rule(discount_per_db=0.1).model_dump()) == ["gain_db", "discount_per_db"]
    assert at_edge(SCENARIO, "integral", Rule(discount_per_db=0.1).model_dump()) == ["gain_db"]


def test_only_an_end_that_could_go_on_is_an_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = {"overload": (0.0, 0.5, 0.9), "step_db": (4.0, 1.0, 0.5), "balance": (0.2, 0.5, 1.0)}
    monkeypatch.setattr(SonStep, "SEARCH", Search(levels))
    for values, edges in (
        ((0.5, 1.0, 0.5), []),
        ((0.0, 1.0, 1.0), []),  # no load is below 0, no difference above 1
        ((0.9, 4.0, 0.2), ["overload", "step_db", "balance"]),
        ((0.5, 0.5, 0.5), ["step_db"]),
        ((0.7, 1.0, 0.3), []),  # the defaults need not be among the levels
    ):
        assert at_edge(SCENARIO, "son-step", dict(zip(levels, values, strict=True))) == edges
    monkeypatch.setattr(OnosMlb, "SEARCH", Search({"delta_steps": (1, 2, 3), "target": (0.0, 40.0, 100.0)}))
    assert at_edge(SCENARIO, "onos-mlb", {"delta_steps": 3, "target": 100.0}) == ["delta_steps"]
    assert at_edge(SCENARIO, "onos-mlb", {"delta_steps": 1, "target": 40.0}) == []


class Stubborn(SonStep):
    """A policy of a plug-in that can be tuned: one class and one line."""

    SEARCH = Search({"step_db": (0.5, 2.0)})


def test_a_policy_of_a_plug_in_is_tuned_by_what_it_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(POLICIES._entries, "stubborn", Lazy("stubborn", f"{__name__}:Stubborn"))
    tried = tune(SCENARIO, TRACES, "stubborn")
    assert set(tried.step_db) == {0.5, 1.0, 2.0}


@pytest.mark.parametrize("name", ["static", "random", "planner", "noise"])
def test_what_has_nothing_to_tune_is_refused(name: str) -> None:
    others = "integral, son-step, onos-mlb, rebuha, cmf-map"
    with pytest.raises(ConfigError, match=rf"^policy '{name}' has nothing to tune\n.*tune one of {others}$"):
        tune(SCENARIO, TRACES, name)
    with pytest.raises(ConfigError, match="has nothing to tune"):  # before any trace is made
        parse(["tune", "line3-right-none-left-v0", "--policy", name]).execute()


def test_an_unknown_policy_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown policy 'son-stop' .did you mean 'son-step'"):
        tune(SCENARIO, TRACES, "son-stop")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "levels", "said"),
    [
        (
            "rebuha",
            {"weight_db": (2.0, 6.0)},
            [
                "weight dB .* reward .* load std .* handovers per UE-minute",
                r"2 candidates were tried\.",
                r"weight_db = \d is at an end of the values",
                r"The policy:\n\nrebuha:weight_db=\d\n",
            ],
        ),
        (
            "integral",
            {"gain_db": (0.0, 8.0), "leak": (1.0,), "proportional_db": (0.0, 8.0), "discount_per_db": (0.5,)},
            [
                "gain dB .* leak .* proportional dB .* discount per dB .* reward",
                r"[34] candidates were tried\.",
                r"The preset's line:\n\nrule: {gain_db: \d, leak: 1, proportional_db: \d, discount_per_db: 0}\n",
            ],
        ),
    ],
)  # fmt: skip
def test_the_command_says_what_was_tried_and_what_to_use(
    policy: str, levels: dict[str, tuple[float, ...]], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: type = POLICIES[policy].load()
    monkeypatch.setattr(made, "SEARCH", Search(levels, made.SEARCH.start, made.SEARCH.late))
    result = parse(["tune", "line3-right-none-left-v0", "--traces", "1", "--policy", policy]).execute()
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(result.view)
    shown = console.export_text()
    assert all(re.search(one, shown) for one in said)
    assert [set(row) for row in result.data] == [{*levels, "reward", "load_std", "handovers"}] * len(result.data)


def test_a_rule_needs_traces() -> None:
    with pytest.raises(ConfigError, match=r"^--traces 0: must be 1 at least"):
        parse(["tune", "line3-right-none-left-v0", "--traces", "0"]).execute()
