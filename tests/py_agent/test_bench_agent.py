"""The benchmark of agents: its scale and intervals against their definitions, and a small one from end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from mktestdocs import grab_code_blocks

from ns3_scenarios.rule import Rule
from ns3_scenarios.scenario import Scenario
from py_agent.algorithms.recipes import PHYSICS, SLOW
from py_agent.bench import agent
from py_agent.bench.agent import Method, Network, Setting, figures, judged_rules
from py_agent.benchmark import workshop as workshop_module
from py_agent.benchmark.scores import score, score_interval
from py_agent.benchmark.workshop import Effort, Workshop
from py_agent.jobs import LOCAL
from sumo_mobility.base.errors import ConfigError, StorageError

SMALL = Effort(seeds=2, test_traces=2, gradient_steps=3, replays=1, mixed_traces=1)


def test_the_rule_has_0_the_planner_1_and_half_way_is_a_half() -> None:
    rng = np.random.default_rng(0)
    rule, planner = rng.uniform(0.2, 0.3, (2, 30)), rng.uniform(0.1, 0.2, (2, 30))
    for share in (0.0, 0.5, 1.0, -0.5):
        load_std = ((1 - share) * rule + share * planner)[:, None].repeat(3, axis=1)
        assert score(load_std, rule, planner) == pytest.approx([share, share])


@pytest.mark.slow
def test_the_interval_holds_the_true_score_about_as_often_as_it_says() -> None:
    """Of 60 experiments with 5 seeds and 50 traces, whose seeds and traces differ."""
    rng, held = np.random.default_rng(1), 0
    for _ in range(60):
        trace = rng.normal(0, 0.02, (2, 1, 50))
        rule, planner = (base + trace[:, 0] + rng.normal(0, 0.004, (2, 50)) for base in (0.25, 0.20))
        seed = rng.normal(0, 0.01, (2, 5, 1))
        low, high = score_interval(0.21 + trace + seed + rng.normal(0, 0.004, (2, 5, 50)), rule, planner)
        held += low <= 0.8 <= high
    assert 45 <= held <= 60


@pytest.mark.slow
def test_a_training_that_changes_nothing_is_the_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A correction of the rule that is not trained scores 0; plain SAC after three steps is far from that."""
    monkeypatch.setattr(
        agent,
        "METHODS",
        {
            "SAC": Method(False, {"sac": {"hidden": 8}}),
            "SAC + CF": Method(True, {"sac": {"residual": True, "learning_rate": 1e-9}}),
        },
    )
    presets = ("line3-right-loiter-left-v0", "line3-right-none-left-v0")
    setting = Setting("from one trace", 1, 0, (0.9, 0.9), (1.0, 1.0))
    network = Network("line3", presets, (setting,))
    workshop = Workshop(tmp_path, 0, SMALL, LOCAL)
    rules = judged_rules(workshop, network)
    found = {figure.metric: figure for figure in figures(workshop, network, setting, rules)}
    ours = next(figure for name, figure in found.items() if "S of SAC + CF [" in name)
    assert ours.value == pytest.approx(0, abs=0.3)
    assert not ours.ok
    plain = next(figure for name, figure in found.items() if "S of SAC [" in name)
    assert plain.target is None
    assert plain.value < -1
    assert found["line3, from one trace: P(SAC + CF > SAC)"].value == 1
    assert found["line3, from one trace: handovers, over the rule's"].value == pytest.approx(1, abs=0.1)
    assert found["line3, from one trace: p5_throughput_bps less the rule's, upper end of the interval"].unit == "kbit/s"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    again = {figure.metric: figure for figure in figures(workshop, network, setting, judged_rules(workshop, network))}
    assert again == found
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_choices_of_the_traces_have_none_in_common_and_share_the_seeds(tmp_path: Path) -> None:
    workshop, scenario = Workshop(tmp_path, 0, SMALL, LOCAL), agent.scenario_of("line3-right-none-left-v0")
    made = [workshop.logged(scenario, "from 2 traces", 2, 0, choice) for choice in range(2)]
    assert [len(each.traces) for each in made] == [2, 2]
    assert not made[0].traces.keys() & made[1].traces.keys()
    assert made[0].path != made[1].path
    assert [workshop.training("SAC", each, None, {}, choices=2).seeds for each in made] == [1, 1]
    assert workshop.logged(scenario, "from 2 traces", 2, 0) == made[0]


def test_the_manual_has_the_hyperparameters_that_are_measured() -> None:
    page = (Path(__file__).parents[2] / "docs" / "mdp.md").read_text(encoding="utf-8")
    given = [yaml.safe_load(block) for block in grab_code_blocks(page, lang="yaml")]
    assert agent.METHODS[agent.OURS].training == PHYSICS
    assert PHYSICS in given
    slow = (Path(__file__).parents[2] / "docs" / "slow.md").read_text(encoding="utf-8")
    assert yaml.safe_load(slow.partition("slow.yaml <<'EOF'\n")[2].partition("EOF")[0]) == SLOW


@pytest.mark.slow
@pytest.mark.sumo
@pytest.mark.ns3
def test_policies_are_carried_to_other_numbers_of_cells_and_to_ns3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule is tuned to the other network, and ns-3 has static and rule in the engine's order."""
    monkeypatch.setattr(
        agent,
        "METHODS",
        {
            "SAC": Method(False, {"sac": {"hidden": 8}}),
            "SAC + CF": Method(True, {"sac": {"residual": True, "learning_rate": 1e-9}}),
        },
    )
    for name in ("_ELSEWHERE_TRACES", "_NS3_TRACES"):
        monkeypatch.setattr(agent, name, 1)
    monkeypatch.setattr(workshop_module, "_TUNE_TRACES", 1)
    monkeypatch.setattr(agent, "ELSEWHERE", {"7 cells": agent.ELSEWHERE["7 cells"]})
    setting = Setting("from 2 traces", 2, 0, (0.2, 0.2), (0.5, 0.5))
    network = Network("helsinki-event", ("helsinki-event-v0",), (setting,), setting)
    workshop = Workshop(tmp_path, 0, SMALL, LOCAL)
    (zero_shot,) = agent.elsewhere(workshop, network, setting)
    assert zero_shot.metric.startswith("helsinki-event, from 2 traces, zero-shot on 7 cells: S of SAC + CF [")
    assert Rule.read_json(tmp_path / "helsinki-event-7-cells" / "rule.json") != Rule()
    assert len(Scenario.read_json(tmp_path / "helsinki-event-7-cells-tuned" / "scenario.json").cells) == 7
    in_ns3 = {figure.metric: figure for figure in agent.in_ns3(workshop, network, setting)}
    pairs = in_ns3["helsinki-event, from 2 traces: pairs of policies in the same order in ns-3"]
    assert pairs.unit == "% of 10"
    for backend in ("engine", "ns3"):
        static, rule = (
            in_ns3[f"helsinki-event, from 2 traces: load std of {name} in {backend}"].value
            for name in ("static", "rule")
        )
        assert rule < static


def test_what_was_made_with_another_effort_or_preset_is_not_mixed_in(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, 0, SMALL, LOCAL)
    Workshop(tmp_path, 0, SMALL, LOCAL)
    for seed, effort in ((1, SMALL), (0, SMALL.model_copy(update={"gradient_steps": 4}))):
        with pytest.raises(StorageError, match=r"workshop\.json: .* made of something else\n.*another --directory"):
            Workshop(tmp_path, seed, effort, LOCAL)
    scenario = agent.scenario_of("line3-right-loiter-left-v0")
    assert workshop.traces(scenario, "test", 0) == {}
    with pytest.raises(StorageError, match=r"line3-right-loiter-left-v0/scenario\.json: "):
        workshop.traces(scenario.model_copy(update={"rule": Rule(gain_db=1)}), "test", 0)


def test_only_known_networks_are_measured(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown network 'line4' \(did you mean 'line3'\?\)"):
        next(agent.measure(0, True, tmp_path, ("line4",)))
