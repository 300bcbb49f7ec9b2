"""The greedy planner: what it predicts best is what it does, and doing it balances the load."""

from __future__ import annotations

import itertools

import made_network
import numpy as np
import pytest

from cf_augment.physics import Engine, EngineBackend, WhatIf
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import cio_from_action, reward
from ns3_scenarios.scenario import Preset, Scenario
from py_agent.policies.base import Policy
from py_agent.policies.planner import GreedyPlanner, Outlook
from py_agent.policies.rules import Static
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.trace import MobilityTrace, TraceMetadata

SITES_M = [(0.0, 0.0), (700.0, 0.0), (350.0, 606.0), (1050.0, 606.0)]
NOTHING = np.zeros(0, dtype=np.float32)


def network(ues: int = 40, steps: int = 6) -> Scenario:
    preset = Preset.load("helsinki-event-v0").model_dump()
    preset["mobility"]["ues"] = ues
    preset["episode"]["steps"] = steps
    preset["traffic"] = {"offered_bps": 100e3, "packet_bytes": 1000}
    return Scenario.place(Preset.model_validate(preset), SITES_M)


def crowd(ues: int = 40, steps: int = 6) -> MobilityTrace:
    """Two thirds of the UEs between cells 0 and 1, a little nearer to cell 0; the others anywhere; all on foot."""
    random = np.random.default_rng(3)
    start = random.uniform((-200, -200), (1250, 800), (ues, 2))
    start[: 2 * ues // 3] = random.normal((280, 60), 70, (2 * ues // 3, 2))
    position = start + np.arange(steps + 1)[:, None, None] * random.uniform(-1, 1, (ues, 2))
    metadata = TraceMetadata(
        source="test", map_name="none", licence="none", attribution="none", seed=0, context="crowd",
        bounds_m=(-500, -500, 1500, 1100),
    )  # fmt: skip
    still = np.zeros((steps + 1, ues))
    return MobilityTrace(np.arange(steps + 1.0), position, still, still, metadata)


def play(scenario: Scenario, policy: Policy) -> list[StepKpis]:
    backend = EngineBackend(scenario)
    policy.reset(1)
    cio_db = np.zeros(len(scenario.neighbor_pairs))
    kpis = [backend.reset(crowd(), seed=1)]
    for _ in range(scenario.episode.steps):
        cio_db = cio_from_action(scenario, policy.act(NOTHING, kpis[-1], cio_db))
        kpis.append(backend.step(cio_db))
    return kpis


def predicted(scenario: Scenario, kpis: StepKpis, cio_db: Floats) -> Floats:
    return reward(scenario, WhatIf(Engine(scenario))(kpis, cio_db))


@pytest.mark.parametrize("name", ["samples", "rounds", "sweeps", "levels"])
def test_a_search_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"planner: {name} is -1, must be at least"):
        GreedyPlanner(made_network.scenario(), **{name: -1})


def test_actions_are_in_range_and_depend_on_the_seed_alone() -> None:
    scenario = network()
    kpis = EngineBackend(scenario).reset(crowd(), seed=1)
    planner, no_cio = GreedyPlanner(scenario), np.zeros(len(scenario.neighbor_pairs))
    actions = []
    for seed in (5, 5, 6):
        planner.reset(seed)
        actions.append(planner.act(NOTHING, kpis, no_cio))
    assert actions[0].shape == no_cio.shape
    assert actions[0].dtype == np.float32
    assert np.abs(actions).max() <= 1
    assert np.array_equal(actions[0], actions[1])
    assert not np.array_equal(actions[0], actions[2])


def test_it_finds_the_best_offsets_of_two_cells() -> None:
    scenario = made_network.scenario()
    kpis = EngineBackend(scenario).reset(made_network.trace(), seed=1)
    grid = np.array(list(itertools.product(np.linspace(-6, 6, 49), repeat=2)))
    best = predicted(scenario, kpis, grid).max()
    found = GreedyPlanner(scenario).search([Outlook(kpis)], np.zeros(2))
    assert predicted(scenario, kpis, cio_from_action(scenario, found))[0] == pytest.approx(best, abs=1e-4)


def test_its_choice_is_never_predicted_worse_than_staying_or_than_no_offsets() -> None:
    scenario = network()
    kpis = EngineBackend(scenario).reset(crowd(), seed=1)
    in_force = np.random.default_rng(0).uniform(-1, 1, len(scenario.neighbor_pairs))
    found = GreedyPlanner(scenario, samples=20, rounds=1, sweeps=0).search([Outlook(kpis)], in_force)
    actions = np.stack([found, in_force, np.zeros_like(in_force)])
    values = predicted(scenario, kpis, cio_from_action(scenario, actions))
    assert values[0] >= values[1:].max() - 1e-3  # less the price of handovers, which breaks ties


def test_it_balances_a_crowd_better_than_no_offsets() -> None:
    scenario = network()
    still, planned = (play(scenario, policy) for policy in (Static(scenario), GreedyPlanner(scenario)))
    rewards = [np.mean([reward(scenario, kpis) for kpis in episode[2:]]) for episode in (still, planned)]
    assert rewards[1] > 0.75 * rewards[0]  # rewards are minus the standard deviation of the load
