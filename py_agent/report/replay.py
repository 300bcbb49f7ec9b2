"""The replay of two policies on one trace, as small numbers that the page's player unpacks."""

from __future__ import annotations

import base64
from typing import TypedDict

import numpy as np

from cf_augment.dataset import Episode
from ns3_scenarios import mdp
from py_agent.report.scene import Bounds
from sumo_mobility.base.arrays import Floats, Ints
from sumo_mobility.base.errors import DataError


class Side(TypedDict):
    """The data of one policy. Arrays are base64 of little-endian integers, in row-major order."""

    policy: str
    serving: str
    """(T, U) int16, -1 where not connected."""
    load: str
    """(T, C) uint16 in 1/10000."""
    load_std: str
    """(T,) uint16 in 1/10000."""
    handovers: str
    """(T,) uint16, started since time 0."""


class Replay(TypedDict):
    """Both policies; T rows, U UEs, C cells."""

    time_s: list[float]
    ues: int
    cells: int
    origin_m: list[float]
    unit_m: float
    position: str
    """(T, U, 2) uint16: east and south of the map's north-west corner, from origin_m in steps of unit_m."""
    sides: list[Side]


def pack(episodes: dict[str, Episode], bounds_m: Bounds) -> Replay:
    """Packs one episode a policy; positions are kept once, for CIO does not move UEs.

    Raises:
        DataError: the episodes differ in time or in where the UEs are, or that was not measured.
    """
    for episode in episodes.values():
        episode.require("a replay", "ue_position_m", "ue_serving_cell", "handovers")
    (first_name, first), *others = episodes.items()
    for name, other in others:
        same_shape = other.kpis.ue_position_m.shape == first.kpis.ue_position_m.shape
        if not same_shape or not np.allclose(other.kpis.ue_position_m, first.kpis.ue_position_m, atol=0.5):
            raise DataError(f"report: '{name}' and '{first_name}' were not run on the same trace")
    west, _, _, north = bounds_m
    position_m = (first.kpis.ue_position_m - (west, north)) * (1, -1)
    origin_m = position_m.min(axis=(0, 1))
    unit_m = max(float((position_m - origin_m).max()) / 65535, 0.01)
    return Replay(
        time_s=[round(float(time_s), 3) for time_s in first.kpis.time_s],
        ues=int(position_m.shape[1]),
        cells=int(first.kpis.prb_utilization.shape[1]),
        origin_m=[float(value) for value in origin_m],
        unit_m=unit_m,
        position=_base64((position_m - origin_m) / unit_m, "<u2"),
        sides=[_side(name, episode) for name, episode in episodes.items()],
    )


def _side(policy: str, episode: Episode) -> Side:
    kpis = episode.kpis
    return Side(
        policy=policy,
        serving=_base64(kpis.ue_serving_cell, "<i2"),
        load=_base64(kpis.prb_utilization * 1e4, "<u2"),
        load_std=_base64(mdp.load_std(kpis) * 1e4, "<u2"),
        handovers=_base64(started(episode), "<u2"),
    )


def started(episode: Episode) -> Floats:
    """Handovers started since time 0, (T,); those of the warm-up are not the policy's."""
    return np.cumsum(episode.kpis.handovers) - episode.kpis.handovers[0]


def _base64(values: Floats | Ints, kind: str) -> str:
    return base64.b64encode(np.round(values).astype(kind).tobytes()).decode()
