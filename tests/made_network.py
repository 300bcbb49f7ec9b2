"""A network small enough to be simulated in a test: two cells, six UEs, three control steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from ns3_scenarios.hexagon import uniform_mobility
from ns3_scenarios.scenario import Preset, Scenario
from sumo_mobility.trace import MobilityTrace, TraceMetadata

UES, STEPS = 6, 3
SITES_M = [(0.0, 0.0), (600.0, 0.0)]
BORDER_UES = (0, 1)
"""They drive along the border, served by cell 0, and hear cell 1 at about 2 dB less."""
STARTS_M = [(280.0, 0.0), (280.0, 40.0), (100.0, 50.0), (150.0, -80.0), (50.0, 0.0), (500.0, 30.0)]
VELOCITY_MPS = [(0.0, 5.0), (0.0, -5.0), (10.0, 0.0), (0.0, 8.0), (3.0, 4.0), (-10.0, 0.0)]


def scenario(steps: int = STEPS, **fields: Any) -> Scenario:
    """The network; `fields` of the preset may be replaced."""
    preset = {
        "id": "two-cells-v0",
        "description": "two cells",
        "mobility": uniform_mobility(UES, steps),
        "sites": {},
        "episode": {"steps": steps, "warmup_s": 2},
    }
    return Scenario.place(Preset.parse(preset | fields, "test"), SITES_M)


def trace(steps: int = STEPS, ues: int = UES, shift_m: float = 0.0) -> MobilityTrace:
    """UEs that go straight; all shifted north by `shift_m`."""
    time_s = np.arange(0.0, steps + 0.1, 0.5)
    velocity = np.array(VELOCITY_MPS[:ues])
    start = np.array(STARTS_M[:ues]) + np.array([0.0, shift_m])
    speed = np.hypot(*velocity.T)
    heading = np.degrees(np.arctan2(*velocity.T)) % 360
    return MobilityTrace(
        time_s=time_s,
        position_m=start + time_s[:, None, None] * velocity,
        speed_mps=np.tile(speed, (len(time_s), 1)),
        heading_deg=np.tile(heading, (len(time_s), 1)),
        metadata=TraceMetadata.made_up((-100, -400, 700, 400)),
    )
