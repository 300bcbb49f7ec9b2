"""Links that fail, where the UEs connect again, and why: the same on all back ends that know failures."""

from __future__ import annotations

from functools import cache

import made_network
import numpy as np
import pytest

from ns3_scenarios.kpis import EventKind, StepKpis
from ns3_scenarios.mobility_robustness import FailureCause, connection_failures, ping_pongs, unnecessary_handovers
from py_agent.env import open_backend
from sumo_mobility.base.arrays import Ints
from sumo_mobility.trace import MobilityTrace

BACKENDS = ["engine", "emulator", pytest.param("ns3", marks=pytest.mark.ns3)]
STEPS = 12
SCENARIO = made_network.scenario(STEPS, handover={"cio_range_db": 24.0})
PUSHED, HELD = (0, 1), (2, 3)
"""UEs that an offset sends to a cell that they hear at -9.5 dB, and that another one keeps in the cell they leave."""
STARTS_M = [(215.0, 0.0), (215.0, 40.0), (400.0, 0.0), (400.0, 30.0), (50.0, 0.0), (550.0, 0.0)]
VELOCITY_MPS = [(0.0, 0.0), (0.0, 0.0), (-25.0, 0.0), (-25.0, 2.0), (0.0, 0.0), (0.0, 0.0)]
CIO_DB = np.array([14.0, -24.0])


@cache
def played(name: str) -> list[StepKpis]:
    """KPIs of the reset and of each step."""
    trace = made_network.trace(STEPS)
    position_m = np.array(STARTS_M) + trace.time_s[:, None, None] * np.array(VELOCITY_MPS)
    moved = MobilityTrace(trace.time_s, position_m, trace.speed_mps, trace.heading_deg, trace.metadata)
    backend = open_backend(SCENARIO, name)
    try:
        return [backend.reset(moved, 1), *(backend.step(CIO_DB) for _ in range(STEPS))]
    finally:
        backend.close()


def of_kind(name: str, *kinds: EventKind) -> np.ndarray:
    events = np.concatenate([kpis.events for kpis in played(name)])
    return events[np.isin(events["kind"], kinds)]


def cells_at(name: str, time_s: float) -> Ints:
    """The serving cells at the end of the interval that holds a time."""
    return played(name)[int(np.ceil(time_s))].ue_serving_cell


@pytest.mark.parametrize("name", BACKENDS)
def test_who_lost_its_link_is_connected_again_and_the_event_says_where(name: str) -> None:
    told = of_kind(name, EventKind.RADIO_LINK_FAILURE, EventKind.CONNECTION_REESTABLISHED)
    assert set(told["ue"]) == {*PUSHED, *HELD}
    for ue in set(told["ue"].tolist()):
        own = told[told["ue"] == ue]
        lost, again = own[::2], own[1::2]
        assert set(lost["kind"]) == {EventKind.RADIO_LINK_FAILURE}
        assert set(again["kind"]) == {EventKind.CONNECTION_REESTABLISHED}
        assert (again["source_cell"] == lost["source_cell"][: len(again)]).all()
        assert (again["time_s"] - lost["time_s"][: len(again)] >= 0).all()
        assert (again["time_s"] - lost["time_s"][: len(again)] < 1).all()
        # The push follows at once, but not in the interval after which the UE is looked at first.
        first = again[0]
        gone = of_kind(name, EventKind.HANDOVER_START)
        gone = gone[(gone["ue"] == ue) & (gone["time_s"] > first["time_s"])]
        until_s = gone["time_s"][0] if len(gone) else np.inf
        if np.ceil(first["time_s"]) < until_s:
            assert cells_at(name, first["time_s"])[ue] == first["target_cell"]


@pytest.mark.parametrize("name", BACKENDS)
def test_causes_are_those_that_the_offsets_brought_about(name: str) -> None:
    events = np.concatenate([kpis.events for kpis in played(name)])
    failures = connection_failures(events, SCENARIO.handover.ue_context_store_s)
    first = {failure.ue: failure for failure in reversed(failures)}
    assert {ue: (first[ue].cell, first[ue].cause) for ue in sorted(first)} == {
        **dict.fromkeys(PUSHED, (1, FailureCause.TOO_EARLY)),
        **dict.fromkeys(HELD, (1, FailureCause.TOO_LATE)),
    }
    assert {failure.cause for failure in failures} <= {
        FailureCause.TOO_EARLY, FailureCause.TOO_LATE, FailureCause.UNKNOWN
    }  # fmt: skip
    assert ping_pongs(events, 1.0) == unnecessary_handovers(events, 1.0) == 0  # back by failures, not by handovers


def test_the_fluid_model_has_no_failures() -> None:
    assert set(of_kind("fluid", *EventKind)["kind"]) == {EventKind.HANDOVER_START, EventKind.HANDOVER_OK}
