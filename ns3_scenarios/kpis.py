"""StepKpis: what one control interval yields, from any back end, and the back-end protocol itself.

Every array may carry leading batch dimensions (...); a single environment has none. C cells, U UEs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.trace import MobilityTrace

Floats = NDArray[np.float64]


class EventKind(IntEnum):
    """What happened to a UE."""

    HANDOVER_START = 0
    HANDOVER_OK = 1
    HANDOVER_FAILED = 2
    RADIO_LINK_FAILURE = 3


EVENT_DTYPE = np.dtype([("time_s", "f8"), ("ue", "i4"), ("source_cell", "i4"), ("target_cell", "i4"), ("kind", "i4")])
"""One event; time_s in trace time, target_cell is -1 where there is none."""


@dataclass(frozen=True)
class StepKpis:
    """KPIs over one control interval, and the state of the UEs at its end.

    Attributes:
        time_s: (...) end of the interval in trace time; 0 after the warm-up.
        prb_utilization: (..., C) share of the downlink PRBs x TTIs that carried data, from the DCIs.
        offered_bps: (..., C) application bits that arrived for the UEs served by the cell, a second.
        served_bps: (..., C) application bits delivered by the cell, a second.
        connected_ues: (..., C) UEs served at the end of the interval.
        ue_position_m: (..., U, 2) at the end of the interval.
        ue_serving_cell: (..., U) index of the serving cell at the end, -1 if not connected.
        ue_rsrp_dbm: (..., U, C) last L1 measurement (TS 36.214 5.1.1; mean in dB over 200 ms), unquantised.
        ue_sinr_db: (..., U) wideband SINR of the control region, all cells transmitting.
        ue_throughput_bps: (..., U) application bits delivered to the UE, a second.
        events: structured EVENT_DTYPE array of this interval, in order of time; empty for batched KPIs.
        handovers: (...) handovers started in the interval.
    """

    time_s: Floats
    prb_utilization: Floats
    offered_bps: Floats
    served_bps: Floats
    connected_ues: Floats
    ue_position_m: Floats
    ue_serving_cell: NDArray[np.int64]
    ue_rsrp_dbm: Floats
    ue_sinr_db: Floats
    ue_throughput_bps: Floats
    events: np.ndarray
    handovers: Floats

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StepKpis) and all(
            np.array_equal(getattr(self, field.name), getattr(other, field.name)) for field in fields(self)
        )


class Backend(Protocol):
    """A network that can be controlled: the ns-3 program or the analytic engine."""

    scenario: Scenario

    def reset(self, trace: MobilityTrace, seed: int) -> StepKpis:
        """Starts an episode, runs the warm-up with all CIO at 0 dB, and returns the KPIs at trace time 0.

        `seed` feeds the network's own randomness (packet phases, random access), not the mobility.
        """
        ...

    def step(self, cio_db: Floats) -> StepKpis:
        """Sets the CIO of every neighbour pair, (E,) in dB, and runs one control interval."""
        ...

    def branch(self, cio_db: Floats) -> list[list[StepKpis]]:
        """Returns what the next steps would yield under other CIOs, without taking any of them.

        Args:
            cio_db: (K, H, E) in dB, the CIO of every neighbour pair at each of the next H steps, for K branches.

        Returns:
            The KPIs of the H steps of each branch, equal to those that step() would return.
        """
        ...

    def close(self) -> None:
        """Ends the episode and frees its processes; may be called twice."""
        ...


def checked_cio(scenario: Scenario, cio_db: Floats) -> Floats:
    """Returns the CIO as float64 (..., E).

    Raises:
        ConfigError: wrong length, not finite, or beyond handover.cio_range_db.
    """
    cio_db = np.asarray(cio_db, dtype=np.float64)
    pairs, limit_db = len(scenario.neighbor_pairs), scenario.handover.cio_range_db
    if cio_db.ndim == 0 or cio_db.shape[-1] != pairs:
        raise ConfigError(f"action: {cio_db.shape} values, but the scenario has {pairs} neighbour pairs")
    if not np.isfinite(cio_db).all():
        raise ConfigError(f"action: CIO of pair {int(np.argwhere(~np.isfinite(cio_db))[0][-1])} is not finite")
    if np.abs(cio_db).max() > limit_db + 1e-6:
        worst = int(np.abs(cio_db).reshape(-1, pairs).max(axis=0).argmax())
        raise ConfigError(
            f"action: |CIO| of pair {worst} is {np.abs(cio_db)[..., worst].max():.2f} dB, "
            f"more than handover.cio_range_db = {limit_db:g} dB"
        )
    return np.clip(cio_db, -limit_db, limit_db)


def checked_branches(scenario: Scenario, cio_db: Floats, steps_left: int) -> Floats:
    """Returns the CIO of branches as float64 (K, H, E).

    Raises:
        ConfigError: wrong shape, more steps than the episode has left, or what checked_cio refuses.
    """
    shape = np.shape(cio_db)
    if len(shape) != 3 or 0 in shape:
        raise ConfigError(f"branch: CIO of shape {shape}, but (branches, steps, neighbour pairs) is needed")
    if shape[1] > steps_left:
        raise ConfigError(f"branch: a horizon of {shape[1]} steps, but the episode has only {steps_left} left")
    return checked_cio(scenario, cio_db)


def check_trace(scenario: Scenario, trace: MobilityTrace) -> None:
    """Raises DataError if the trace has other UEs than the scenario, or is shorter than its episode."""
    if trace.ues != scenario.mobility.ues:
        raise DataError(f"trace: {trace.ues} UEs, but mobility.ues of {scenario.id} is {scenario.mobility.ues}")
    if trace.duration_s < scenario.episode.duration_s - 1e-6:
        raise DataError(
            f"trace: {trace.duration_s:g} s long, but an episode of {scenario.id} has {scenario.episode.duration_s:g} s"
        )
