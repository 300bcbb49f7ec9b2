"""The differentiable what-if: its gradient, its limit, and what following it is worth in the hard engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from engine_cases import scenario
from test_what_if import first_kpis

from cf_augment.physics import Engine, RadioStates, SoftWhatIf, WhatIf
from ns3_scenarios.mdp import reward
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError, DataError

REWARDS = ["load-std", "p5-throughput", "jain", "blocked", "util"]
PROFILES = ["ns3", "3gpp", "paper"]


def network_of(reward_name: str, offered_bps: float, profile: str = "ns3", **parts: Any) -> Scenario:
    parts = {"traffic": {"offered_bps": offered_bps}, "profile": profile, "reward": reward_name} | parts
    return scenario(ues=60, **parts)


def random_cio_db(network: Scenario, count: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).uniform(-6, 6, (count, len(network.neighbor_pairs)))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("offered_bps", [40e3, 400e3])
@pytest.mark.parametrize("name", REWARDS)
def test_its_gradient_is_that_of_finite_differences(name: str, offered_bps: float, profile: str) -> None:
    network = network_of(name, offered_bps, profile, handover_cost=0.3)
    soft, states = SoftWhatIf(network), RadioStates.of(first_kpis(network, seed=2))
    cio_db = torch.tensor(random_cio_db(network, 1), requires_grad=True)
    soft(states, cio_db, 2.0).sum().backward()
    assert cio_db.grad is not None
    gradient, step = cio_db.grad[0], 1e-5
    shifts = step * torch.eye(len(gradient), dtype=torch.float64)
    with torch.no_grad():
        slopes = (soft(states, cio_db + shifts, 2.0) - soft(states, cio_db - shifts, 2.0)) / (2 * step)
    assert gradient.abs().max() > 1e-4
    assert gradient.numpy() == pytest.approx(slopes.numpy(), abs=1e-6, rel=1e-4)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("offered_bps", [40e3, 400e3])
@pytest.mark.parametrize("name", REWARDS)
def test_it_becomes_the_hard_what_if_as_the_temperature_falls(name: str, offered_bps: float, profile: str) -> None:
    network = network_of(name, offered_bps, profile, handover_cost=0.3)
    kpis, cio_db = first_kpis(network, seed=4), random_cio_db(network, 8)
    hard = WhatIf(Engine(network))(kpis, cio_db)
    soft, states, load_error, moves_error = SoftWhatIf(network), RadioStates.of(kpis), [], []
    for temperature_db in (3.0, 0.3, 1e-4):
        near = soft.kpis(states, torch.tensor(cio_db), temperature_db)
        load_error.append(np.abs(near.prb_utilization.numpy() - hard.prb_utilization).max())
        moves_error.append(np.abs(near.handovers.numpy() - hard.handovers).max())
        assert near.prb_utilization.isfinite().all()
    assert load_error[2] < 1e-6 < load_error[1] < load_error[0]
    assert moves_error[2] < 1e-6 < moves_error[1] < moves_error[0]
    assert near.ue_throughput_bps.numpy() == pytest.approx(hard.ue_throughput_bps, rel=1e-5, abs=1)
    assert soft(states, torch.tensor(cio_db), 1e-4).numpy() == pytest.approx(reward(network, hard), abs=1e-5)


@pytest.mark.parametrize(("interval_s", "hops"), [(3, 7), (30, 74)])
def test_over_many_hops_it_becomes_the_hard_what_if_too(interval_s: int, hops: int) -> None:
    """UEs that go back and forth to the end of the interval are among them, over odd and even numbers of hops."""
    episode = {"steps": 1, "control_interval_s": interval_s}
    network = network_of("util", 100e3, handover_cost=0.3, episode=episode)
    kpis, cio_db = first_kpis(network, seed=4), random_cio_db(network, 20)
    what_if, soft = WhatIf(Engine(network)), SoftWhatIf(network)
    hard = what_if(kpis, cio_db)
    assert what_if.hops == hops <= hard.handovers.max()
    near = soft.kpis(RadioStates.of(kpis), torch.tensor(cio_db), 1e-4)
    assert near.handovers.numpy() == pytest.approx(hard.handovers, abs=1e-6)
    assert near.prb_utilization.numpy() == pytest.approx(hard.prb_utilization, abs=1e-6)
    assert near.ue_throughput_bps.numpy() == pytest.approx(hard.ue_throughput_bps, rel=1e-5, abs=1)


def test_many_states_at_once_are_the_same_as_one_by_one() -> None:
    network = network_of("load-std", 200e3, handover_cost=0.1)
    soft, cio_db = SoftWhatIf(network), torch.tensor(random_cio_db(network, 3))
    states = [RadioStates.of(first_kpis(network, seed)) for seed in range(3)]
    alone = torch.stack([soft(state, row) for state, row in zip(states, cio_db, strict=True)])
    batch = RadioStates(*(torch.stack(column) for column in zip(*states, strict=True)))
    assert soft(batch, cio_db).numpy() == pytest.approx(alone.numpy(), abs=1e-12)
    single = soft(batch, cio_db.float())
    assert single.dtype == torch.float32
    assert single.numpy() == pytest.approx(alone.numpy(), abs=1e-4)


def test_on_the_standards_grid_it_is_the_nearest_cio_and_its_gradient_goes_straight_through() -> None:
    """Value and gradient are those of the snapped CIO in a continuous scenario."""
    free = network_of("load-std", 40e3)
    handover = free.handover.model_copy(update={"grid": "standard"})
    network = free.model_copy(update={"handover": handover})
    kpis, cio_db = first_kpis(free, seed=4), random_cio_db(free, 4)
    rewards, gradients = [], []
    for scenario_, values in ((network, cio_db), (free, np.rint(cio_db))):
        tensor = torch.tensor(values, requires_grad=True)
        value = SoftWhatIf(scenario_)(RadioStates.of(kpis), tensor)
        value.sum().backward()
        assert tensor.grad is not None
        rewards.append(value.detach().numpy())
        gradients.append(tensor.grad.numpy())
    assert rewards[0] == pytest.approx(rewards[1], abs=1e-12)
    assert gradients[0] == pytest.approx(gradients[1], abs=1e-12)
    assert np.abs(gradients[0]).max() > 1e-4
    with pytest.raises(ConfigError, match=r"Q-OffsetRange \(TS 36\.331 6\.3\.4\)"):
        WhatIf(Engine(network))(kpis, cio_db)


@pytest.mark.slow
def test_following_the_gradient_relieves_a_crowded_cell() -> None:
    network = network_of("load-std", 10e3)
    engine = Engine(network)
    # Nearly all are in cell 0, 320 m away, and some 380 m from cell 1.
    position = np.random.default_rng(1).normal((320.0, 20.0), 25.0, (1, 60, 2))
    batch = engine.reset(position)
    names = (
        "time_s",
        "connected_ues",
        "ue_rsrp_dbm",
        "ue_serving_cell",
        "prb_utilization",
        "ue_position_m",
        "handovers",
    )
    kpis = replace(batch, **{name: getattr(batch, name)[0] for name in names})
    cio_db = torch.zeros((1, len(network.neighbor_pairs)), dtype=torch.float64, requires_grad=True)
    soft, optimizer = SoftWhatIf(network), torch.optim.Adam([cio_db], lr=0.5)
    for _ in range(40):
        optimizer.zero_grad()
        (-soft(RadioStates.of(kpis), cio_db, 0.5)).sum().backward()
        optimizer.step()
        with torch.no_grad():
            cio_db.clamp_(-6, 6)
    before, after = reward(
        network, WhatIf(engine)(kpis, np.concatenate([np.zeros_like(cio_db.detach()), cio_db.detach()]))
    )
    assert kpis.connected_ues[0] > 50
    assert after > 0.9 * before


def test_equal_loads_have_a_finite_gradient() -> None:
    network = scenario([(0, 0), (1000, 0)], ues=2)
    states = RadioStates.of(Engine(network).reset(np.array([[[10.0, 0.0], [990.0, 0.0]]])))
    cio_db = torch.zeros((1, 2), requires_grad=True)
    SoftWhatIf(network)(states, cio_db).sum().backward()
    assert cio_db.grad is not None
    assert cio_db.grad.isfinite().all()


def test_bad_input_is_refused_by_name() -> None:
    network = network_of("jain", 40e3)
    kpis, soft = first_kpis(network, seed=1), SoftWhatIf(network)
    states, cio_db = RadioStates.of(kpis), torch.tensor(random_cio_db(network, 2))
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="temperature_db is"):
            soft(states, cio_db, bad)
    with pytest.raises(ConfigError, match=r"cio_db: shape \(1, 3\)"):
        soft(states, torch.zeros((1, 3)))
    cio_db[1, 2] = torch.nan
    with pytest.raises(ConfigError, match=r"value \[1, 2\] is not finite"):
        soft(states, cio_db)
    with pytest.raises(DataError, match=r"rsrp_dbm \(5, 5\) and serving \(5,\) do not fit 60 UEs and 5 cells"):
        soft(RadioStates(states.rsrp_dbm[:5], states.serving[:5]), torch.zeros(len(network.neighbor_pairs)))
    broken = kpis.ue_rsrp_dbm.copy()
    broken[3, 1] = np.nan
    with pytest.raises(DataError, match=r"ue_rsrp_dbm\[3, 1\] is not finite"):
        RadioStates.of(replace(kpis, ue_rsrp_dbm=broken))
