"""Small networks for the tests of the engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from cf_augment.physics.radio.rsrp import Radio
from ns3_scenarios.scenario import Preset, Scenario
from sumo_mobility.base.arrays import Floats
from sumo_mobility.trace import MobilityTrace, TraceMetadata

FIVE_SITES_M = [(0.0, 0.0), (700.0, 0.0), (350.0, 606.0), (1050.0, 606.0), (-350.0, 606.0)]


def scenario(sites_m: list[tuple[float, float]] = FIVE_SITES_M, ues: int = 60, **parts: Any) -> Scenario:
    """The shipped preset on given sites, with 25 packets a UE and second, and handovers that cost nothing.

    Parts such as handover={"hysteresis_db": 1} change its fields.
    """
    preset = Preset.load("helsinki-event-v0").model_dump()
    preset["mobility"]["ues"] = ues
    preset["traffic"] = {"offered_bps": 200e3, "packet_bytes": 1000}
    preset["handover_cost"] = 0.0
    for name, value in parts.items():
        preset[name] = {**preset[name], **value} if isinstance(value, dict) else value
    return Scenario.place(Preset.model_validate(preset), sites_m)


def walk_m(environments: int, ues: int, points: int, step_s: float, seed: int, speed_mps: float = 12.0) -> Floats:
    """Straight walks with a turn each second over the five sites, (environments, points, ues, 2)."""
    random = np.random.default_rng(seed)
    start = random.uniform((-400, -200), (1100, 800), (environments, 1, ues, 2))
    seconds = int(points * step_s) + 2
    heading = random.uniform(0, 2 * np.pi, (environments, 1, ues)) + random.normal(
        0, 0.4, (environments, seconds, ues)
    ).cumsum(axis=1)
    velocity = (
        speed_mps
        * random.uniform(0.4, 1.25, (environments, 1, ues, 1))
        * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    )
    knots = np.concatenate([start, start + velocity.cumsum(axis=1)], axis=1)
    row = np.arange(points) * step_s
    lower = np.floor(row + 1e-9).astype(int)
    share = (row - lower)[:, None, None]
    return knots[:, lower] * (1 - share) + knots[:, lower + 1] * share


def trace(position_m: Floats, step_s: float) -> MobilityTrace:
    """A MobilityTrace of (T, U, 2) positions."""
    metadata = TraceMetadata(
        source="test", map_name="none", licence="none", attribution="none", seed=0, context="walk",
        bounds_m=(-2000, -2000, 3000, 3000),
    )  # fmt: skip
    still = np.zeros(position_m.shape[:2])
    return MobilityTrace(step_s * np.arange(len(position_m)), position_m, still, still, metadata)


class GivenRadio(Radio):
    """A radio whose L1 measurements are given, (instants + 1, C, U); the first one holds during the warm-up."""

    def __init__(self, network: Scenario, l1_dbm: Floats) -> None:
        super().__init__(network, torch.device("cpu"))
        self._l1 = torch.tensor(l1_dbm)
        self._next = 1

    def rsrp_dbm(self, local_km: torch.Tensor) -> torch.Tensor:
        return self._l1[0].expand(*local_km.shape[:-2], -1, -1)

    def l1_rsrp_dbm(self, local_km: torch.Tensor) -> torch.Tensor:
        count = (local_km.shape[1] - 1) // 2
        self._next += count
        return self._l1[None, self._next - count : self._next]
