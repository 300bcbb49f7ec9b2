"""Three cells and twelve UEs at motorway speed, simulated once for all tests that look at them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ns3_scenarios.bridge.backend import Ns3Backend
from ns3_scenarios.hexagon import straight_trace, uniform_mobility
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.scenario import Preset, Scenario
from sumo_mobility.base.arrays import Floats
from sumo_mobility.trace import MobilityTrace, TraceMetadata

Sites = list[tuple[float, float]]
SITES_M: Sites = [(0.0, 0.0), (700.0, 0.0), (350.0, 606.0)]
UES, STEPS, SPEED_MPS = 12, 14, 35.0


def scenario(
    steps: int = STEPS, ues: int = UES, sites_m: list[tuple[float, float]] = SITES_M, **parts: Any
) -> Scenario:
    """The network; `parts` replace parts of the preset."""
    preset = {
        "id": "three-cells-v0",
        "description": "three cells",
        "mobility": uniform_mobility(ues, steps),
        "sites": {},
        "handover": {"hysteresis_db": 1.0, "time_to_trigger_ms": 256},
        "episode": {"steps": steps, "warmup_s": 2},
    }
    return Scenario.place(Preset.parse(preset | parts, "test"), sites_m)


def trace(scenario: Scenario, seed: int = 0, speed_mps: float = SPEED_MPS) -> MobilityTrace:
    """UEs that cross the area in straight lines and turn back at its edge, with a knot each 0.7 s."""
    generator = np.random.default_rng(seed)
    ues = scenario.mobility.ues
    corner, size = np.array([-100.0, -150.0]), np.array([900.0, 850.0])
    heading_rad = generator.uniform(0, 2 * np.pi, ues)
    time_s = 0.7 * np.arange(np.ceil(scenario.episode.duration_s / 0.7) + 1)
    start, metadata = generator.uniform(0, 1, (ues, 2)), TraceMetadata.made_up((-100, -150, 800, 700), seed)
    return straight_trace(time_s, corner, size, start, heading_rad, np.full(ues, speed_mps), metadata)


def play(scenario: Scenario, trace: MobilityTrace, cio_db: Floats, ns3: str = "3.44", seed: int = 1) -> list[StepKpis]:
    """KPIs of the reset and of each step; row k of `cio_db` (steps, pairs) is the CIO of step k."""
    backend = Ns3Backend(scenario, ns3=ns3, timeout_s=200)
    try:
        return [backend.reset(trace, seed), *(backend.step(row) for row in cio_db)]
    finally:
        backend.close()


def random_cio_db(scenario: Scenario) -> Floats:
    """CIO within 6 dB that changes at each step."""
    return np.random.default_rng(5).uniform(-6, 6, (scenario.episode.steps, len(scenario.neighbor_pairs)))


@cache
def played(ns3: str = "3.44") -> list[StepKpis]:
    """The episode that most tests look at."""
    one = scenario()
    return play(one, trace(one), random_cio_db(one), ns3)
