"""Rules of the literature against statements of them that share no code with them, and in the engine."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import made_network
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_world import small_scenario, small_trace

from cf_augment.augment import roll_out
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import action_size, cio_from_action, load_std
from ns3_scenarios.scenario import Scenario
from py_agent.env import open_backend
from py_agent.policies import Policy, policy_factory
from sumo_mobility.base.arrays import Singles
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.trace import MobilityTrace

SCENARIO = small_scenario()  # three cells, each a neighbour of each
PAIRS = SCENARIO.neighbor_pairs
KPIS = open_backend(SCENARIO, "engine").reset(small_trace(SCENARIO, 0), 0)
ACTIVE = [
    "son-step:overload=0.1,margin=0.02",
    "onos-mlb:overload=40,target=40,period_steps=1",
    "rebuha",
    "cmf-map:threshold=0",
]
"""Each with thresholds at which it acts on most loads."""
drawn = settings(deadline=None, max_examples=40)
Loads = dict[int, float]
Offsets = dict[tuple[int, int], float]

shares = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 0.75, 0.8, 1.0]))
histories = st.lists(st.tuples(shares, shares, shares), min_size=1, max_size=12)
crowds = st.lists(st.tuples(*[st.integers(0, 40)] * 3).filter(any), min_size=1, max_size=12)


def reported(load: Sequence[float] = (0, 0, 0), ues: Sequence[int] = (4, 4, 4)) -> StepKpis:
    return replace(KPIS, prb_utilization=np.array(load, dtype=float), connected_ues=np.array(ues, dtype=float))


def with_handover(**handover: object) -> Scenario:
    return Scenario.parse(SCENARIO.model_dump() | {"handover": handover}, "test")


def offsets(policy: Policy, kpis: StepKpis, scenario: Scenario = SCENARIO) -> Offsets:
    """The CIO of each pair that the next action stands for."""
    action = policy.act(np.zeros(1, np.float32), kpis, np.zeros(len(PAIRS)))
    return dict(zip(PAIRS, cio_from_action(scenario, action).tolist(), strict=True))


def clipped(value: float, limit: float = 6.0) -> float:
    return max(-limit, min(limit, value))


def son_step(history: list[Loads], overload: float, margin: float, step: float, balance: float) -> list[Offsets]:
    """The rule as its docstring has it, an unordered pair of cells at a time."""
    now: Offsets = defaultdict(float)
    seen = []
    for load in history:
        for i, j in ((0, 1), (0, 2), (1, 2)):
            if load[i] > overload and load[i] - load[j] > margin:
                now[i, j], now[j, i] = now[i, j] + step, now[j, i] - step
            elif load[j] > overload and load[j] - load[i] > margin:
                now[j, i], now[i, j] = now[j, i] + step, now[i, j] - step
            elif abs(load[i] - load[j]) < balance:
                for pair in ((i, j), (j, i)):
                    now[pair] = math.copysign(max(0.0, abs(now[pair]) - step / 2), now[pair])
            now[i, j], now[j, i] = clipped(now[i, j]), clipped(now[j, i])
        seen.append(dict(now))
    return seen


@drawn
@given(histories, shares, shares, st.sampled_from([0.25, 1.0, 4.0]), shares)
def test_son_step_is_its_statement(
    history: list[tuple[float, ...]], overload: float, margin: float, step_db: float, balance: float
) -> None:
    text = f"son-step:overload={overload},margin={margin},step_db={step_db},balance={balance}"
    policy = policy_factory(text)(SCENARIO)
    wanted = son_step([dict(enumerate(load)) for load in history], overload, margin, step_db, balance)
    for load, one in zip(history, wanted, strict=True):
        assert offsets(policy, reported(load)) == pytest.approx(one, abs=1e-5)


def test_son_step_by_hand() -> None:
    """Cell 0 is above 0.7 and more than 0.1 above cell 1; cell 2 is as full. Then all are even: half a step back."""
    policy = policy_factory("son-step")(SCENARIO)
    steps = [offsets(policy, reported(load)) for load in ((0.75, 0.6, 0.75), (0.75, 0.6, 0.69), (0.6, 0.6, 0.6))]
    assert [step[0, 1] for step in steps] == pytest.approx([1, 2, 1.5])
    assert [step[1, 0] for step in steps] == pytest.approx([-1, -2, -1.5])
    assert [step[0, 2] for step in steps] == pytest.approx([0, 0, 0])
    assert [step[2, 1] for step in steps] == pytest.approx([1, 1, 0.5])
    policy.reset(0)
    assert offsets(policy, reported((0.75, 0.6, 0.75)))[0, 1] == pytest.approx(1)
    idle = policy_factory("son-step")(SCENARIO)
    assert not any(offsets(idle, reported((0.69, 0.1, 0.4))).values())


def onos_mlb(history: list[tuple[int, ...]], overload: float, target: float, delta: int, period: int) -> list[Offsets]:
    """The xApp's step with exact shares, on the values of Q-OffsetRange that are within 12 dB."""
    values = [-12, -10, -8, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 8, 10, 12]
    at = dict.fromkeys(PAIRS, 9)
    seen = []
    for count, ues in enumerate(history, 1):
        if count % period == 0:
            load = [math.ceil(Fraction(100 * n, sum(ues))) for n in ues]
            for i, j in PAIRS:
                if load[i] < target and load[i] < overload:
                    at[i, j] = max(0, at[i, j] - delta)
                elif load[i] > overload and load[j] < target:
                    at[i, j] = min(18, at[i, j] + delta)
        seen.append({pair: values[index] for pair, index in at.items()})
    return seen


@drawn
@given(crowds, st.sampled_from([20, 33, 34, 50, 100]), st.sampled_from([0, 20, 33, 34, 50]), st.integers(1, 7))
def test_onos_mlb_is_its_statement(history: list[tuple[int, ...]], overload: int, target: int, delta: int) -> None:
    scenario = with_handover(cio_range_db=12)
    for period in (1, 3):
        text = f"onos-mlb:overload={overload},target={target},delta_steps={delta},period_steps={period}"
        policy = policy_factory(text)(scenario)
        for ues, one in zip(history, onos_mlb(history, overload, target, delta, period), strict=True):
            assert offsets(policy, reported(ues=ues), scenario) == pytest.approx(one, abs=1e-5)


def test_onos_mlb_by_hand() -> None:
    """Six of ten UEs are in cell 0, three in 1, one in 2: 0 gives to both others, and they keep what they have."""
    policy = policy_factory("onos-mlb:overload=50,target=40,period_steps=2")(SCENARIO)
    seen = [offsets(policy, reported(ues=(6, 3, 1))) for _ in range(7)]
    assert [step[0, 1] for step in seen] == pytest.approx([0, 3, 3, 6, 6, 6, 6])
    assert [step[1, 0] for step in seen] == [step[2, 1] for step in seen] == pytest.approx([0, -3, -3, -6, -6, -6, -6])
    wide = policy_factory("onos-mlb:overload=50,target=40,period_steps=1")(with_handover(cio_range_db=24))
    rising = [offsets(wide, reported(ues=(6, 3, 1)), with_handover(cio_range_db=24))[0, 2] for _ in range(6)]
    assert rising == pytest.approx([3, 6, 12, 18, 24, 24])  # three values at a time, which are 2 dB apart beyond 6 dB
    equal = policy_factory("onos-mlb:overload=60,target=30,period_steps=1")(SCENARIO)
    assert not offsets(equal, reported(ues=(6, 3, 1)))[0, 1]  # 60 % is not above 60 %
    assert not any(offsets(equal, reported(ues=(0, 0, 0)))[pair] > 0 for pair in PAIRS)


@drawn
@given(crowds)
def test_onos_mlb_as_it_is_shipped_does_nothing(history: list[tuple[int, ...]]) -> None:
    policy = policy_factory("onos-mlb")(SCENARIO)
    assert not any(any(offsets(policy, reported(ues=ues)).values()) for ues in history * 10)


@drawn
@given(histories, st.sampled_from([0.0, 3.0, 6.0, 40.0]))
def test_rebuha_makes_the_best_penalised_rsrp_win(history: list[tuple[float, ...]], weight_db: float) -> None:
    """RSRP_j + CIO_ij > RSRP_i exactly where RSRP_j - w l_j > RSRP_i - w l_i, as far as the CIO is within its range."""
    policy = policy_factory(f"rebuha:weight_db={weight_db}")(SCENARIO)
    for load in history:
        for (i, j), cio_db in offsets(policy, reported(load)).items():
            gap_db = weight_db * load[j] - weight_db * load[i]  # by how much RSRP_j must exceed RSRP_i
            assert -cio_db == pytest.approx(clipped(gap_db), abs=1e-5)


def test_rebuha_by_hand_and_as_what_it_is_of_the_integral_rule() -> None:
    policy = policy_factory("rebuha")(SCENARIO)
    same = policy_factory("integral:gain_db=0,proportional_db=6,discount_per_db=0")(SCENARIO)
    for load in ((0.9, 0.4, 0.4), (0.2, 0.7, 0.1), (0.5, 0.5, 0.5)):
        found = offsets(policy, reported(load))
        assert found[0, 1] == pytest.approx(6 * (load[0] - load[1]))
        assert found == pytest.approx(offsets(same, reported(load)))
    assert not any(offsets(policy, reported((0.5, 0.5, 0.5))).values())


TABLE = {0.0: 0, 0.45: 0, 0.46: 0.5, 0.54: 0.5, 0.55: 1, 0.63: 1, 0.64: 1.5, 0.72: 1.5, 0.73: 2, 0.81: 2, 0.82: 2.5,
         0.9: 2.5, 0.91: 3, 1.0: 3}  # fmt: skip
"""CIO in dB by load, from the table of the framework's repository on both sides of each of its bounds."""


def test_cmf_map_is_the_table_of_its_source() -> None:
    policy = policy_factory("cmf-map")(SCENARIO)
    for load, cio_db in TABLE.items():
        found = offsets(policy, reported((load, 0.0, 1.0)))
        assert found[0, 1] == -found[1, 0] == pytest.approx(cio_db)
        assert found[0, 2] == pytest.approx(cio_db - 3)


def test_cmf_map_with_other_bands_by_hand() -> None:
    """Above 0.2 two bands, to 0.6 and to 1, of 4 dB each."""
    policy = policy_factory("cmf-map:threshold=0.2,steps=2,step_db=4")(SCENARIO)
    for load, cio_db in ((0.2, 0), (0.21, 4), (0.59, 4), (0.61, 6), (1.0, 6)):
        assert offsets(policy, reported((load, 0.1, 0.1)))[0, 1] == pytest.approx(cio_db)


@drawn
@given(histories, st.sampled_from([0.1, 0.3, 0.9, 1.0]), st.sampled_from([1.0, 5.0]))
def test_a_proportional_rule_with_smoothing_is_the_integral_rule_with_leak(
    history: list[tuple[float, ...]], alpha: float, gain_db: float
) -> None:
    """CIO = k EMA(l_i - l_j) is an integral that keeps 1 - alpha and gains alpha k, until it is clipped."""
    text = f"integral:gain_db={alpha * gain_db},leak={1 - alpha},proportional_db=0,discount_per_db=0"
    policy = policy_factory(text)(SCENARIO)
    cio_db, mean = np.zeros(len(PAIRS)), dict.fromkeys(PAIRS, 0.0)
    for load in history:
        action = policy.act(np.zeros(1, np.float32), reported(load), cio_db)
        cio_db = cio_from_action(SCENARIO, action)
        mean = {(i, j): (1 - alpha) * old + alpha * (load[i] - load[j]) for (i, j), old in mean.items()}
        assert cio_db == pytest.approx([gain_db * mean[pair] for pair in PAIRS], abs=1e-5)


@drawn
@given(histories, crowds, st.sampled_from(["pair", "cell", "edge"]), st.sampled_from(["continuous", "standard"]))
@pytest.mark.parametrize("text", ACTIVE)
def test_actions_are_in_range_in_every_form(
    text: str, history: list[tuple[float, ...]], ues: list[tuple[int, ...]], form: str, grid: str
) -> None:
    scenario = with_handover(action=form, grid=grid)
    policy = policy_factory(text)(scenario)
    for load, crowd in zip(history, ues, strict=False):
        action = policy.act(np.zeros(1, np.float32), reported(load, crowd), np.zeros(len(PAIRS)))
        assert action.dtype == np.float32
        assert action.shape == (action_size(scenario),)
        assert np.abs(action).max() <= 1
        cio_db = dict(zip(PAIRS, cio_from_action(scenario, action).tolist(), strict=True))
        if form != "pair" or not text.startswith("onos-mlb"):  # which alone treats the two sides of a border apart
            assert all(cio_db[i, j] == pytest.approx(-cio_db[j, i], abs=1e-5) for i, j in PAIRS)


@pytest.mark.parametrize("form", ["cell", "edge"])
@pytest.mark.parametrize("text", ["rebuha", "cmf-map", "son-step:overload=0,margin=0"])
def test_differences_of_cells_are_the_same_cio_in_every_form(form: str, text: str) -> None:
    """Cell 0 is full, the two others are equally empty: each form has what the rule wants, as far as it can set it."""
    scenario = with_handover(action=form)
    for load in ((0.8, 0.3, 0.3), (0.3, 0.8, 0.8)):
        pair, other = (policy_factory(text)(one) for one in (SCENARIO, scenario))
        assert offsets(other, reported(load), scenario) == pytest.approx(offsets(pair, reported(load)), abs=1e-5)


def test_on_the_standards_grid_small_steps_add_up() -> None:
    scenario = with_handover(grid="standard")
    policy = policy_factory("son-step:step_db=0.3")(scenario)
    seen = [offsets(policy, reported((0.9, 0.2, 0.2)), scenario)[0, 1] for _ in range(6)]
    assert seen == [0, 1, 1, 1, 1, 2]  # of 0.3, 0.6, 0.9, 1.2, 1.5, which is as near to 1 as to 2, and 1.8


def _mean_load_std(scenario: Scenario, traces: list[MobilityTrace], text: str) -> float:
    def source(policy: Policy, cio_db: np.ndarray) -> object:
        def act(step: int, kpis: StepKpis) -> Singles:
            action = policy.act(np.zeros(1, np.float32), kpis, cio_db)
            cio_db[:] = cio_from_action(scenario, action)
            return action

        return act

    pairs = len(scenario.neighbor_pairs)
    sources = [source(policy_factory(text)(scenario), np.zeros(pairs)) for _ in traces]
    played = roll_out(scenario, traces, sources, range(len(traces)))
    return float(np.mean([load_std(kpis) for steps, _ in played for kpis in steps[1:]]))


@pytest.mark.parametrize(
    "text", ["son-step", "onos-mlb:overload=60,target=40,period_steps=1", "rebuha", "cmf-map:step_db=1"]
)
@pytest.mark.parametrize("late", [0, 1])
@pytest.mark.parametrize("form", ["pair", "cell", "edge"])
def test_every_rule_moves_ues_out_of_the_loaded_cell(text: str, late: int, form: str) -> None:
    """Five of six UEs are in cell 0, two of them at its border: in the engine the loads get more even, not less."""
    scenario = made_network.scenario(
        steps=8, traffic={"offered_bps": 1.5e6}, handover={"action": form}, reports={"delay_intervals": late}
    )
    traces = [made_network.trace(steps=8)]
    assert _mean_load_std(scenario, traces, text) < 0.95 * _mean_load_std(scenario, traces, "static")


@pytest.mark.parametrize("text", ACTIVE)
def test_late_reports_are_acted_on_as_they_come(text: str) -> None:
    """Two intervals late, by a list that is kept by hand: the rule acts on what was reported, and on nothing else."""
    scenario = Scenario.parse(SCENARIO.model_dump() | {"reports": {"delay_intervals": 2}}, "test")
    trace, policy = small_trace(scenario, 3), policy_factory(text)(scenario)
    nothing, kept = np.zeros(1, np.float32), np.zeros(len(PAIRS))
    ((kpis, actions),) = roll_out(scenario, [trace], [lambda step, kpis: policy.act(nothing, kpis, kept)], [0])
    again = policy_factory(text)(SCENARIO)
    wanted = [again.act(nothing, kpis[max(0, step - 2)], kept) for step in range(scenario.episode.steps)]
    assert np.array_equal(actions, np.stack(wanted))
    assert np.abs(actions).max() > 0


def test_a_new_episode_begins_without_what_the_last_one_did() -> None:
    for text in ACTIVE:
        policy = policy_factory(text)(SCENARIO)
        first = [offsets(policy, reported((0.9, 0.2, 0.4), (9, 1, 2))) for _ in range(3)]
        policy.reset(5)
        assert [offsets(policy, reported((0.9, 0.2, 0.4), (9, 1, 2))) for _ in range(3)] == first
        assert any(first[0].values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("son-step:step_db=0", r"policy son-step: step_db is 0, must be 0\.001 to 48"),
        ("son-step:overload=70", "policy son-step: overload is 70, must be 0 to 1"),
        ("son-step:margin=-0.1", r"policy son-step: margin is -0\.1, must be 0 to 1"),
        ("son-step:balance=2", "policy son-step: balance is 2, must be 0 to 1"),
        ("onos-mlb:overload=101", "policy onos-mlb: overload is 101, must be 0 to 100"),
        ("onos-mlb:target=-1", "policy onos-mlb: target is -1, must be 0 to 100"),
        ("onos-mlb:delta_steps=0", "policy onos-mlb: delta_steps is 0, must be 1 to 30"),
        ("onos-mlb:period_steps=0", "policy onos-mlb: period_steps is 0, must be 1 to"),
        ("onos-mlb:delta_steps=1.5", "delta_steps must be a valid integer"),
        ("rebuha:weight_db=-1", "policy rebuha: weight_db is -1, must be 0 to 1000"),
        ("cmf-map:threshold=1", r"policy cmf-map: threshold is 1, must be 0 to 0\.99"),
        ("cmf-map:steps=0", "policy cmf-map: steps is 0, must be 1 to 1000"),
        ("cmf-map:step_db=nan", "step_db must be a finite number"),
    ],
)
def test_parameters_beyond_their_range_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        policy_factory(text)(SCENARIO)
