"""The KPIs that an observation or a reward depends on, found by watching it compute, so that plug-ins list none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ns3_scenarios.kpis import EVENT_DTYPE, KPI_AXES, StepKpis
from ns3_scenarios.mdp.observations import OBSERVATIONS
from ns3_scenarios.mdp.rewards import REWARDS
from ns3_scenarios.network import Network


def observation_needs(network: Network, name: str) -> frozenset[str]:
    """Returns the names of the KPIs that an observation reads in a network."""
    no_offsets_db = np.zeros(len(network.neighbor_pairs))
    return _read_by(network, lambda kpis: OBSERVATIONS[name].of(network, kpis, no_offsets_db))


def reward_needs(network: Network, name: str) -> frozenset[str]:
    """Returns the names of the KPIs that a reward reads in a network, without the cost of handovers."""
    return _read_by(network, lambda kpis: REWARDS[name].of(network, kpis))


class _Watched(StepKpis):
    """KPIs that remember which of their fields were read."""

    def __getattribute__(self, name: str) -> Any:
        if name in KPI_AXES:
            object.__getattribute__(self, "__dict__").setdefault("read", set()).add(name)
        return object.__getattribute__(self, name)


def _read_by(network: Network, compute: Callable[[StepKpis], object]) -> frozenset[str]:
    sizes = {"C": len(network.cells), "U": network.mobility.ues, "2": 2}
    values: dict[str, Any] = {name: np.ones([sizes[axis] for axis in axes]) for name, axes in KPI_AXES.items()}
    values["ue_serving_cell"] = np.zeros(network.mobility.ues, dtype=np.int64)
    values["ue_rsrp_dbm"] = values["ue_rsrp_dbm"] * -100.0
    kpis = _Watched(**values, events=np.empty(0, EVENT_DTYPE))
    compute(kpis)
    return frozenset(vars(kpis).get("read", ()))
