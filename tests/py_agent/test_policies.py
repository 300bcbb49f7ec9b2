"""Rules against values worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import made_network
import numpy as np
import pytest

from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import cio_from_action
from py_agent.env import open_backend
from py_agent.policies import POLICIES, policy_factory
from py_agent.policies.rules import IntegralRule, Random, Static
from sumo_mobility.base.errors import ConfigError

SCENARIO = made_network.scenario()
OBSERVATION = np.zeros(1, np.float32)


@pytest.fixture(scope="module")
def kpis() -> StepKpis:
    return open_backend(SCENARIO, "engine").reset(made_network.trace(), 0)


def loaded(kpis: StepKpis, *load: float) -> StepKpis:
    return replace(kpis, prb_utilization=np.array(load))


RULES = ["static", "integral", "son-step", "onos-mlb", "rebuha", "cmf-map"]
DRAWING = ["random", "noise", "epsilon:epsilon=0.5"]


def test_no_policy_is_left_out() -> None:
    """Of those that are registered, but for the planner, which has tests of its own."""
    assert {name.partition(":")[0] for name in (*RULES, *DRAWING)} == set(POLICIES) - {"planner"}


@pytest.mark.parametrize("name", [*RULES, *DRAWING])
def test_actions_are_float32_in_range_and_of_the_seed(name: str, kpis: StepKpis) -> None:
    policy = policy_factory(name)(SCENARIO)

    def actions(seed: int) -> np.ndarray:
        policy.reset(seed)
        return np.stack([policy.act(OBSERVATION, loaded(kpis, 1.0, 0.0), np.array([6.0, -6.0])) for _ in range(50)])

    first = actions(1)
    assert first.dtype == np.float32
    assert first.shape == (50, 2)
    assert np.abs(first).max() <= 1
    assert np.array_equal(actions(1), first)
    assert np.array_equal(actions(2), first) == (name in RULES)


def test_static_is_zero(kpis: StepKpis) -> None:
    assert not Static(SCENARIO).act(OBSERVATION, kpis, np.array([3.0, 3.0])).any()


def test_random_fills_the_range(kpis: StepKpis) -> None:
    policy = Random(SCENARIO)
    draws = np.stack([policy.act(OBSERVATION, kpis, np.zeros(2)) for _ in range(2000)])
    assert np.percentile(draws, [0, 25, 50, 75, 100]) == pytest.approx([-1, -0.5, 0, 0.5, 1], abs=0.06)


def test_the_integral_rule_by_hand(kpis: StepKpis) -> None:
    """8 dB x (0.7 - 0.2) = 4 dB more from the loaded cell 0 to cell 1, as much less back; of 6 dB."""
    rule = IntegralRule(SCENARIO)
    act = rule.act(OBSERVATION, loaded(kpis, 0.7, 0.2), np.array([0.0, 0.0]))
    assert act == pytest.approx([4 / 6, -4 / 6])
    act = rule.act(OBSERVATION, loaded(kpis, 0.7, 0.2), np.array([4.0, -4.0]))
    assert act == pytest.approx([1, -1])
    act = rule.act(OBSERVATION, loaded(kpis, 0.2, 0.3), np.array([6.0, -6.0]))
    assert act == pytest.approx([5.2 / 6, -5.2 / 6])
    act = IntegralRule(SCENARIO, gain_db=2.0).act(OBSERVATION, loaded(kpis, 0.7, 0.2), np.zeros(2))
    assert act == pytest.approx([1 / 6, -1 / 6])


def test_the_rule_with_leak_and_proportional_part_by_hand(kpis: StepKpis) -> None:
    """From 0: integral 4 x 0.5 = 2, then 0.5 x 2 - 4 x 0.25 = 0; the CIO adds 3 x 0.5 = 1.5, then 3 x -0.25 = -0.75."""
    scenario = made_network.scenario(rule={"gain_db": 4, "leak": 0.5, "proportional_db": 3})
    rule = IntegralRule(scenario)
    assert rule.act(OBSERVATION, loaded(kpis, 0.7, 0.2), np.zeros(2)) == pytest.approx([3.5 / 6, -3.5 / 6])
    assert rule.act(OBSERVATION, loaded(kpis, 0.2, 0.45), np.full(2, 9.0)) == pytest.approx([-0.75 / 6, 0.75 / 6])
    other = IntegralRule(scenario, proportional_db=0.0)
    assert other.act(OBSERVATION, loaded(kpis, 0.7, 0.2), np.zeros(2)) == pytest.approx([2 / 6, -2 / 6])
    with pytest.raises(ConfigError, match=r"^policy integral: leak: must be less than or equal to 1, got 1\.5"):
        policy_factory("integral:leak=1.5")(scenario)


def test_the_rule_discounts_what_late_reports_do_not_show(kpis: StepKpis) -> None:
    """An interval late, 8 dB x (0.5 - 0.05 x what the CIO has grown by since the interval that is reported)."""
    scenario = made_network.scenario(reports={"delay_intervals": 1})
    rule, plain = IntegralRule(scenario, discount_per_db=0.05), IntegralRule(scenario)
    seen, reported = [], loaded(kpis, 0.6, 0.1)
    for cio_db in np.array([[0.0, 0.0], [2.0, -2.0], [2.0, -2.0]]):
        acts = [policy.act(OBSERVATION, reported, cio_db) for policy in (rule, plain)]
        seen.append([act[0] * 6 for act in acts])
    assert seen == [pytest.approx([4, 4]), pytest.approx([2 + 8 * (0.5 - 0.05 * 2), 6]), pytest.approx([6, 6])]
    rule.reset(0)
    assert rule.act(OBSERVATION, reported, np.array([3.0, -3.0]))[0] * 6 == pytest.approx(6)
    on_time = IntegralRule(made_network.scenario(), discount_per_db=0.05)
    for _ in range(2):
        assert on_time.act(OBSERVATION, loaded(kpis, 0.3, 0.1), np.array([2.0, -2.0]))[0] * 6 == pytest.approx(3.6)


def test_on_the_standards_grid_the_integral_rule_loses_no_small_correction(kpis: StepKpis) -> None:
    """0.32 dB a step, of which each is less than half a step of the grid: the CIO follows their sum, both ways."""
    scenario = made_network.scenario(handover={"grid": "standard"})
    rule, cio_db, seen = IntegralRule(scenario), np.zeros(2), []
    for load in [(0.54, 0.5)] * 10 + [(0.5, 0.54)] * 10:
        cio_db = cio_from_action(scenario, rule.act(OBSERVATION, loaded(kpis, *load), cio_db))
        seen.append(cio_db)
    wanted_db = np.concatenate([0.32 * np.arange(1, 11), 0.32 * np.arange(9, -1, -1)])
    assert np.array_equal(seen, np.stack([np.rint(wanted_db), -np.rint(wanted_db)], axis=1))


def test_the_integral_rule_moves_ues_to_the_emptier_cell_and_back() -> None:
    """Two UEs at the border: they leave the cell that is loaded, and return once the other carries more."""
    scenario = made_network.scenario(steps=6)
    backend, rule = open_backend(scenario, "engine"), IntegralRule(scenario, gain_db=40.0)
    kpis, cio_db, served_by = backend.reset(made_network.trace(steps=6), 0), np.zeros(2), []
    for _ in range(4):
        load = kpis.prb_utilization
        action = rule.act(OBSERVATION, kpis, cio_db)
        assert (action * 6 - cio_db)[0] * (load[0] - load[1]) >= 0
        cio_db = 6.0 * action
        kpis = backend.step(cio_db)
        served_by.append(kpis.ue_serving_cell[[0, 1]].tolist())
    assert served_by[0] == [1, 1]
    assert [0, 0] in served_by[1:]


def test_parameters_by_name(kpis: StepKpis) -> None:
    rule = policy_factory("integral:gain_db=2")(SCENARIO)
    assert rule.act(OBSERVATION, loaded(kpis, 0.7, 0.2), np.zeros(2)) == pytest.approx(
        IntegralRule(SCENARIO, gain_db=2.0).act(OBSERVATION, loaded(kpis, 0.7, 0.2), np.zeros(2))
    )
    for text, message in (
        ("integrale", "unknown policy 'integrale' .did you mean 'integral'"),
        ("integral:gain=2", "unknown parameter 'gain' .did you mean 'gain_db'"),
        ("integral:gain_db=much", "gain_db must be a valid number.*, got 'much'"),
        ("integral:gain_db", "gain_db must be a valid number"),
        ("integral:gain_db=nan", "gain_db must be a finite number"),
        ("static:gain_db=2", "unknown parameter 'gain_db' .it has none"),
        ("planner:samples=1.5", "samples must be a valid integer.*, got '1.5'"),
    ):
        with pytest.raises(ConfigError, match=message):
            policy_factory(text)
