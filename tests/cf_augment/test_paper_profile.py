"""Profile `paper` against the reference system's rules, written down again for one UE at a time, and its figures."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from engine_cases import scenario, trace

from cf_augment.physics import EmulatorBackend, Engine, EngineBackend, WhatIf
from cf_augment.physics.closed_form.paper import HIGHEST_DBM, LOWEST_DBM
from cf_augment.physics.tables import lte_tables
from ns3_scenarios.kpis import EventKind
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError

SITES_M = [(250.0, 250.0), (750.0, 250.0), (1250.0, 250.0)]
UES, STEPS = 50, 8


@pytest.fixture(scope="module")
def line() -> Scenario:
    return scenario(
        SITES_M, UES, profile="paper",
        radio={"path_loss": {"model": "cost231-hata"}, "tx_power_dbm": 32, "dl_bandwidth_rb": 50},
        handover={"hysteresis_db": 3, "neighbors": {"by": "distance", "within_m": 2000}},
        traffic={"offered_bps": 1.024e6, "packet_bytes": 1024, "ue_weights": []},
        mobility={"ues": UES, "duration_s": float(STEPS)},
        episode={"steps": STEPS, "warmup_s": 2},
    )  # fmt: skip


def rsrp_dbm(network: Scenario, place_m: Floats, site_m: tuple[float, float]) -> float:
    """COST 231 eq. 4.4.3 by hand; the power of a resource element of 50 RB."""
    mhz, mast_m, ue_m = network.radio.carrier_hz / 1e6, network.radio.cell_height_m, network.radio.ue_height_m
    km = math.hypot(*(place_m - site_m), mast_m - ue_m) / 1000
    a = (1.1 * math.log10(mhz) - 0.7) * ue_m - (1.56 * math.log10(mhz) - 0.8)
    loss_db = 46.3 + 33.9 * math.log10(mhz) - 13.82 * math.log10(mast_m) - a
    loss_db += (44.9 - 6.55 * math.log10(mast_m)) * math.log10(km)
    return 32 - 10 * math.log10(12 * 50) - loss_db


def places_m(random: np.random.Generator) -> Floats:
    """Walks of up to 80 m a second, (STEPS + 1, UES, 2)."""
    start = random.uniform(0, (1500, 500), (1, UES, 2))
    return np.concatenate([start, start + random.uniform(-80, 80, (STEPS, UES, 2)).cumsum(axis=0)])


def test_an_episode_is_that_of_the_rules(line: Scenario) -> None:
    random = np.random.default_rng(3)
    position_m = places_m(random)
    cio_db = random.uniform(-6, 6, (STEPS, len(line.neighbor_pairs)))
    backend = EngineBackend(line)
    first = backend.reset(trace(position_m, 1.0), 0)
    serving = [int(np.argmax([rsrp_dbm(line, place, site) for site in SITES_M])) for place in position_m[0]]
    assert first.ue_serving_cell.tolist() == serving
    moved = 0
    for step in range(STEPS):
        kpis = backend.step(cio_db[step])
        cio = dict(zip(line.neighbor_pairs, cio_db[step], strict=True))
        load = np.zeros(3)
        for ue, place in enumerate(position_m[step]):
            level = [rsrp_dbm(line, place, site) for site in SITES_M]
            own = serving[ue]
            biased = {n: level[n] + cio[own, n] - cio[n, own] for n in range(3) if n != own}
            best = max(biased, key=lambda n: biased[n])
            if biased[best] > level[own] + 3:
                serving[ue], moved = best, moved + 1
            share = (level[serving[ue]] - LOWEST_DBM) / (HIGHEST_DBM - LOWEST_DBM)
            bits = lte_tables(50).tbs_bits[int(28 * min(max(share, 0), 1))][49]
            load[serving[ue]] += 1.024e6 / (bits * 1000)
        assert kpis.ue_serving_cell.tolist() == serving
        assert kpis.prb_utilization == pytest.approx(np.minimum(load, 1), abs=1e-4)
        assert kpis.served_bps == pytest.approx(kpis.offered_bps * np.minimum(1, 1 / load), rel=1e-3)
    assert moved > 20


@pytest.mark.parametrize("interval_s", [4.0, 3.4])
def test_a_long_interval_is_a_walk_through_its_seconds(line: Scenario, interval_s: float) -> None:
    """Each second of it, and what is left at its end, is one of those of the test above."""
    steps, seconds = 2, np.append(np.arange(0, interval_s, 1.0), interval_s)
    held = Scenario.parse(
        line.model_dump() | {"episode": {"steps": steps, "control_interval_s": interval_s, "warmup_s": 2}}, "test"
    )
    random = np.random.default_rng(4)
    walk = trace(places_m(random), 1.0)
    cio_db = random.uniform(-6, 6, (steps, len(line.neighbor_pairs)))
    backend = EngineBackend(held)
    serving, later = backend.reset(walk, 0).ue_serving_cell.tolist(), 0
    for step in range(steps):
        kpis = backend.step(cio_db[step])
        cio = dict(zip(line.neighbor_pairs, cio_db[step], strict=True))
        busy_s, got_bits, changes = np.zeros(3), np.zeros(UES), 0
        for begin_s, end_s in pairwise(seconds.tolist()):
            load, place_m = np.zeros(3), walk.position_at(step * interval_s + begin_s)
            for ue in range(UES):
                level = [rsrp_dbm(line, place_m[ue], site) for site in SITES_M]
                own = serving[ue]
                biased = {n: level[n] + cio[own, n] - cio[n, own] for n in range(3) if n != own}
                best = max(biased, key=lambda n: biased[n])
                if biased[best] > level[own] + 3:
                    serving[ue], changes = best, changes + 1
                share = (level[serving[ue]] - LOWEST_DBM) / (HIGHEST_DBM - LOWEST_DBM)
                load[serving[ue]] += 1.024e6 / (lte_tables(50).tbs_bits[int(28 * min(max(share, 0), 1))][49] * 1000)
            busy_s += np.minimum(load, 1) * (end_s - begin_s)
            got_bits += 1.024e6 * (end_s - begin_s) * np.minimum(1, 1 / load)[serving]
        assert kpis.ue_serving_cell.tolist() == serving
        assert kpis.handovers == changes == (kpis.events["kind"] == EventKind.HANDOVER_START).sum()
        assert kpis.prb_utilization == pytest.approx(busy_s / interval_s, abs=1e-4)
        assert kpis.ue_throughput_bps == pytest.approx(got_bits / interval_s, rel=1e-3)
        later += (kpis.events["time_s"] >= step * interval_s + 1).sum()
    assert later > 5


def test_the_what_if_is_exact(line: Scenario) -> None:
    """What the interval will bring follows from the RSRP at its beginning alone."""
    random = np.random.default_rng(5)
    position_m = places_m(random)
    backend, what_if = EngineBackend(line), WhatIf(Engine(line))
    kpis = backend.reset(trace(position_m, 1.0), 0)
    for cio_db in random.uniform(-6, 6, (STEPS, len(line.neighbor_pairs))):
        expected, kpis = what_if(kpis, cio_db), backend.step(cio_db)
        assert expected.ue_serving_cell[0].tolist() == kpis.ue_serving_cell.tolist()
        assert expected.prb_utilization[0] == pytest.approx(kpis.prb_utilization, abs=1e-6)
        assert expected.handovers[0] == kpis.handovers


def test_what_does_not_know_the_profile_refuses_it(line: Scenario) -> None:
    with pytest.raises(ConfigError, match="profile: the back end emulator has no 'paper', only 'ns3'"):
        EmulatorBackend(line)
