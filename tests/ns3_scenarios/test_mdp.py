"""Actions, observations and rewards against values worked out by hand, and batched against single."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ns3_scenarios import mdp
from ns3_scenarios.control import Control
from ns3_scenarios.kpis import EVENT_DTYPE, StepKpis
from ns3_scenarios.neighbors import NeighborsListed
from ns3_scenarios.scenario import Preset, Scenario
from ns3_scenarios.traffic import Traffic
from sumo_mobility.base.errors import ConfigError


@pytest.fixture
def scenario() -> Scenario:
    preset = Preset.load("helsinki-event-v0")
    mobility = preset.mobility.model_copy(update={"ues": 3})
    changes = {"mobility": mobility, "traffic": Traffic(offered_bps=200e3), "observation": "cell-kpi"}
    return Scenario.place(preset.model_copy(update=changes | {"handover_cost": 0.0}), [(0, 0), (700, 0)])


@pytest.fixture
def kpis() -> StepKpis:
    """UEs 0 and 1 in cell 0 with margins 0 and 5 dB to cell 1; UE 2 in cell 1 with margin 10 dB to cell 0."""
    return StepKpis(
        time_s=np.array(1.0),
        prb_utilization=np.array([0.6, 0.2]),
        offered_bps=np.array([400e3, 200e3]),
        served_bps=np.array([300e3, 150e3]),
        connected_ues=np.array([2.0, 1.0]),
        ue_position_m=np.zeros((3, 2)),
        ue_serving_cell=np.array([0, 0, 1]),
        ue_rsrp_dbm=np.array([[-80.0, -80.0], [-80.0, -85.0], [-90.0, -80.0]]),
        ue_sinr_db=np.zeros(3),
        ue_throughput_bps=np.array([100e3, 200e3, 150e3]),
        events=np.empty(0, EVENT_DTYPE),
        handovers=np.array(0.0),
    )


def test_rewards_by_hand(scenario: Scenario, kpis: StepKpis) -> None:
    assert mdp.load_std(kpis) == pytest.approx(0.2)
    assert mdp.jain(kpis) == pytest.approx(0.8**2 / (2 * (0.36 + 0.04)))
    assert mdp.p5_throughput_bps(kpis) == pytest.approx(105e3)  # linear between the two lowest
    assert mdp.reward(scenario, kpis) == pytest.approx(-0.2)


def test_weighted_rewards_and_the_cost_of_handovers_by_hand(scenario: Scenario, kpis: StepKpis) -> None:
    """With 1000 byte packets and 1 s a packet is 8 kbit/s: 193 of 200 kbit/s are enough, 191 are not."""
    traffic = scenario.traffic.model_copy(update={"packet_bytes": 1000})
    scenario = scenario.model_copy(
        update={"traffic": traffic, "reward": {"load-std": 2.0, "blocked": 1.0}, "handover_cost": 0.3}
    )
    served = replace(kpis, ue_throughput_bps=np.array([191e3, 193e3, 200e3]), handovers=np.array(2.0))
    assert mdp.blocked(scenario, served) == pytest.approx(1 / 3)
    assert mdp.reward(scenario, served) == pytest.approx(-2 * 0.2 - 1 / 3 - 0.3 * 2 / 3)


def test_util_by_a_loop_over_the_ues(scenario: Scenario, kpis: StepKpis) -> None:
    """Unequal rates, a UE without a connection, and one that gets a packet more than it is offered on average."""
    traffic = Traffic(offered_bps=200e3, ue_weights=(1.0, 2.0, 3.0))
    offered_bps = [100e3, 200e3, 300e3]
    scenario = scenario.model_copy(update={"traffic": traffic, "reward": "util", "handover_cost": 0.5})
    served = replace(
        kpis, ue_throughput_bps=np.array([108e3, 0.0, 150e3]), ue_serving_cell=np.array([0, -1, 1]),
        handovers=np.array(2.0),
    )  # fmt: skip
    total = 0.0
    for got_bps, wanted_bps in zip(served.ue_throughput_bps.tolist(), offered_bps, strict=True):
        total += math.log(min(1.0, max(0.05, got_bps / wanted_bps)))
    assert total == pytest.approx(0 + math.log(0.05) + math.log(0.5))
    assert mdp.reward(scenario, served) == pytest.approx(total / 3 - 0.5 * 2 / 3)


@given(st.lists(st.floats(0, 1e9), min_size=3, max_size=3), st.integers(0, 2), st.floats(0, 1e9))
def test_util_is_finite_bounded_and_never_falls_as_a_ue_gets_more(
    throughput_bps: list[float], ue: int, more_bps: float
) -> None:
    preset = Preset.load("helsinki-event-v0")
    network = Scenario.place(
        preset.model_copy(update={"mobility": preset.mobility.model_copy(update={"ues": 3})}), [(0, 0), (700, 0)]
    )
    better = list(throughput_bps)
    better[ue] += more_bps
    before, after = (
        mdp.REWARDS["util"].of(network, SimpleNamespace(ue_throughput_bps=np.array(values)))  # type: ignore[arg-type]
        for values in (throughput_bps, better)
    )
    assert math.log(0.05) - 1e-12 <= before <= after <= 0


@pytest.mark.parametrize("reward", [{}, {"jain": 0.0}, {"jain": float("nan")}])
def test_a_reward_of_nothing_is_refused(scenario: Scenario, reward: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="reward"):
        Scenario.parse(scenario.model_dump() | {"reward": reward}, "test")


def test_jain_of_an_idle_network_is_one(kpis: StepKpis) -> None:
    assert mdp.jain(replace(kpis, prb_utilization=np.zeros(2))) == 1.0


def test_cell_kpi_by_hand(scenario: Scenario, kpis: StepKpis) -> None:
    """Threshold 2 dB (hysteresis): UE 0 needs 2 dB of CIO to move, UE 1 7 dB, UE 2 12 dB."""
    seen = mdp.observe(scenario, kpis, np.array([6.0, -3.0]))
    assert seen.shape == (mdp.observation_size(scenario),)
    load, share, served = seen[0:2], seen[2:4], seen[4:6]
    assert load == pytest.approx([0.6, 0.2])
    assert share == pytest.approx([2 / 3, 1 / 3])
    assert served == pytest.approx([1.0, 0.5])
    moving = seen[6:16].reshape(5, 2)  # at -6, -3, 0, 3, 6 dB; pairs (0, 1), (1, 0)
    assert moving[:, 0] == pytest.approx([0, 0, 0, 1 / 3, 1 / 3])
    assert moving[:, 1] == pytest.approx([0, 0, 0, 0, 0])
    assert seen[16:] == pytest.approx([1.0, -0.5])


def with_form(form: str, pairs: list[tuple[int, int]], cells: int) -> Scenario:
    preset = Preset.load("helsinki-event-v0")
    handover = preset.handover.model_copy(update={"action": form, "neighbors": NeighborsListed(by="list", pairs=pairs)})
    sites_m = [(700.0 * cell, 0.0) for cell in range(cells)]
    return Scenario.place(preset.model_copy(update={"handover": handover}), sites_m)


TRIANGLE = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
ONE_WAY = [(0, 1), (1, 2), (2, 0)]
TWO_PARTS = [(0, 1), (1, 0), (2, 3), (3, 2)]


@pytest.mark.parametrize(
    ("form", "pairs", "action", "cio_db"),
    [
        ("pair", TRIANGLE, [1, 0.5, -0.5, -1, 0, 2], [6, 3, -3, -6, 0, 6]),
        # offsets 3, -3 and 1.5 dB: o[n] - o[s]
        ("cell", TRIANGLE, [1, -1, 0.5], [-6, -1.5, 6, 4.5, 1.5, -4.5]),
        ("cell", ONE_WAY, [1, -1, 0.5], [-6, 4.5, 1.5]),
        # edges 0-1, 0-2, 1-2
        ("edge", TRIANGLE, [1, -0.5, 0.25], [6, -3, -6, 1.5, 3, -1.5]),
        ("edge", ONE_WAY, [1, -0.5, 0.25], [6, 1.5, 3]),
    ],
)
def test_forms_of_the_action_by_hand(
    form: str, pairs: list[tuple[int, int]], action: list[float], cio_db: list[float]
) -> None:
    scenario = with_form(form, pairs, 3)
    assert mdp.action_size(scenario) == len(action)
    assert mdp.cio_from_action(scenario, np.array(action)) == pytest.approx(cio_db)
    batch = np.stack([action, np.zeros(len(action))])[:, None]
    assert mdp.cio_from_action(scenario, batch)[:, 0] == pytest.approx(np.stack([cio_db, np.zeros(len(cio_db))]))


@pytest.mark.parametrize("form", ["pair", "cell", "edge"])
@pytest.mark.parametrize(("pairs", "cells"), [(TRIANGLE, 3), (ONE_WAY, 3), (TWO_PARTS, 4)])
@given(st.data())
def test_the_cio_of_an_action_fits_and_leads_back_to_it(
    form: str, pairs: list[tuple[int, int]], cells: int, data: st.DataObject
) -> None:
    """Offsets of cells are defined but for a constant, so that what returns is an action of the same CIO."""
    scenario = with_form(form, pairs, cells)
    size = mdp.action_size(scenario)
    action = np.array(data.draw(st.lists(st.floats(-1, 1), min_size=size, max_size=size)))
    cio_db = mdp.cio_from_action(scenario, action)
    assert np.array_equal(Control.checked(scenario, cio_db).cio_db, cio_db)
    back = mdp.action_from_cio(scenario, cio_db)
    assert np.abs(back).max() <= 1
    assert mdp.cio_from_action(scenario, back) == pytest.approx(cio_db, abs=1e-9)
    if form != "cell":
        assert back == pytest.approx(action, abs=1e-9)
    if form == "edge":
        of = dict(zip(scenario.neighbor_pairs, cio_db, strict=True))
        assert all(of[j, i] == -of[i, j] for i, j in of if (j, i) in of)


def test_the_nearest_action_to_a_cio_that_no_action_has() -> None:
    """Two cells that both push: least squares makes the best of it, which is nothing; else the antisymmetric part."""
    for form in ("cell", "edge"):
        scenario = with_form(form, [(0, 1), (1, 0)], 2)
        assert mdp.action_from_cio(scenario, np.array([4.0, 4.0])) == pytest.approx(0, abs=1e-12)
        nearest = mdp.action_from_cio(scenario, np.array([[4.0, 0.0], [6.0, 6.0]]))
        assert mdp.cio_from_action(scenario, nearest) == pytest.approx(np.array([[2.0, -2.0], [0, 0]]), abs=1e-12)


@pytest.mark.parametrize("observation", ["cell-kpi", "rsrp-matrix"])
def test_a_batch_is_observed_as_its_members(scenario: Scenario, kpis: StepKpis, observation: str) -> None:
    scenario = scenario.model_copy(update={"observation": observation})
    other = replace(kpis, prb_utilization=np.array([0.1, 0.9]), ue_serving_cell=np.array([1, 0, 1]))
    names = [name for name in StepKpis.__dataclass_fields__ if name != "events"]
    both = StepKpis(
        **{name: np.stack([getattr(kpis, name), getattr(other, name)]) for name in names}, events=kpis.events
    )
    cio_db = np.array([[1.0, 2.0], [-1.0, 3.0]])
    seen = mdp.observe(scenario, both, cio_db)
    assert seen.shape == (2, mdp.observation_size(scenario))
    assert np.array_equal(seen[0], mdp.observe(scenario, kpis, cio_db[0]))
    assert np.array_equal(seen[1], mdp.observe(scenario, other, cio_db[1]))
    for name in mdp.REWARDS:
        one = scenario.model_copy(update={"reward": name})
        assert mdp.reward(one, both) == pytest.approx(np.array([mdp.reward(one, kpis), mdp.reward(one, other)]))


@pytest.mark.parametrize(
    ("cio_db", "message"),
    [
        ([1.0], r"1.* values, but the scenario has 2 neighbour pairs"),
        ([1.0, float("nan")], "CIO of pair 1 is not finite"),
        ([-7.0, 0.0], r"CIO of pair 0 is -7\.00 dB, not within -6 to 6 dB\n.*handover\.cio_range_db"),
    ],
)
def test_bad_action_is_refused(scenario: Scenario, cio_db: list[float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Control.checked(scenario, np.array(cio_db))
