"""The differentiable what-if: its gradient, its limit, and what following it is worth in the hard engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_cases import scenario
from test_what_if import first_kpis

from cf_augment.physics import Engine, SoftWhatIf, WhatIf
from ns3_scenarios.mdp import reward
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError, DataError

REWARDS = ["load-std", "p5-throughput", "jain"]


def network_of(reward_name: str, offered_bps: float) -> Scenario:
    network = scenario(ues=60, traffic={"offered_bps": offered_bps})
    return network.model_copy(update={"reward": reward_name})


def random_cio_db(network: Scenario, count: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).uniform(-6, 6, (count, len(network.neighbor_pairs)))


@pytest.mark.parametrize("offered_bps", [40e3, 400e3])
@pytest.mark.parametrize("name", REWARDS)
def test_its_gradient_is_that_of_finite_differences(name: str, offered_bps: float) -> None:
    network = network_of(name, offered_bps)
    soft, kpis = SoftWhatIf(Engine(network), temperature_db=2.0), first_kpis(network, seed=2)
    cio_db = torch.tensor(random_cio_db(network, 1), requires_grad=True)
    soft(kpis, cio_db).sum().backward()
    assert cio_db.grad is not None
    gradient, step = cio_db.grad[0], 1e-5
    shifts = step * torch.eye(len(gradient), dtype=torch.float64)
    with torch.no_grad():
        slopes = (soft(kpis, cio_db + shifts) - soft(kpis, cio_db - shifts)) / (2 * step)
    assert gradient.abs().max() > 1e-4
    assert gradient.numpy() == pytest.approx(slopes.numpy(), abs=1e-6, rel=1e-4)


@pytest.mark.parametrize("offered_bps", [40e3, 400e3])
@pytest.mark.parametrize("name", REWARDS)
def test_it_becomes_the_hard_what_if_as_the_temperature_falls(name: str, offered_bps: float) -> None:
    network = network_of(name, offered_bps)
    engine, kpis, cio_db = Engine(network), first_kpis(network, seed=4), random_cio_db(network, 8)
    hard = WhatIf(engine)(kpis, cio_db)
    error = []
    for temperature_db in (3.0, 0.3, 1e-4):
        soft = SoftWhatIf(engine, temperature_db)
        load = soft.utilization(kpis, torch.tensor(cio_db)).numpy()
        error.append(np.abs(load - hard.prb_utilization).max())
        assert np.isfinite(load).all()
    assert error[2] < 1e-6 < error[1] < error[0]
    assert soft(kpis, torch.tensor(cio_db)).numpy() == pytest.approx(reward(network, hard), abs=1e-6, rel=1e-6)


def test_on_the_standards_grid_it_is_the_nearest_cio_and_its_gradient_goes_straight_through() -> None:
    """Value and gradient are those of the snapped CIO in a continuous scenario."""
    free = network_of("load-std", 40e3)
    handover = free.handover.model_copy(update={"grid": "standard"})
    network = free.model_copy(update={"handover": handover})
    kpis, cio_db = first_kpis(free, seed=4), random_cio_db(free, 4)
    rewards, gradients = [], []
    for scenario_, values in ((network, cio_db), (free, np.rint(cio_db))):
        tensor = torch.tensor(values, requires_grad=True)
        value = SoftWhatIf(Engine(scenario_), temperature_db=1.0)(kpis, tensor)
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
    soft, optimizer = SoftWhatIf(engine, temperature_db=0.5), torch.optim.Adam([cio_db], lr=0.5)
    for _ in range(40):
        optimizer.zero_grad()
        (-soft(kpis, cio_db)).sum().backward()
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
    engine = Engine(network)
    batch = engine.reset(np.array([[[10.0, 0.0], [990.0, 0.0]]]))
    kpis = replace(batch, ue_rsrp_dbm=batch.ue_rsrp_dbm[0], ue_serving_cell=batch.ue_serving_cell[0])
    cio_db = torch.zeros((1, 2), requires_grad=True)
    SoftWhatIf(engine, 1.0)(kpis, cio_db).sum().backward()
    assert cio_db.grad is not None
    assert cio_db.grad.isfinite().all()


def test_bad_input_is_refused_by_name() -> None:
    network = network_of("jain", 40e3)
    engine, kpis = Engine(network), first_kpis(network, seed=1)
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="temperature_db is"):
            SoftWhatIf(engine, bad)
    soft = SoftWhatIf(engine)
    with pytest.raises(ConfigError, match=r"cio_db: shape \(1, 3\)"):
        soft(kpis, torch.zeros((1, 3)))
    cio_db = torch.tensor(random_cio_db(network, 2))
    cio_db[1, 2] = torch.nan
    with pytest.raises(ConfigError, match=r"value \[1, 2\] is not finite"):
        soft(kpis, cio_db)
    with pytest.raises(DataError, match="ue_rsrp_dbm"):
        soft(replace(kpis, ue_rsrp_dbm=kpis.ue_rsrp_dbm[:5]), torch.tensor(random_cio_db(network, 1)))
