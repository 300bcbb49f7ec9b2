"""Radio link failure in ns-3 and in the back ends that mirror it."""

from __future__ import annotations

import numpy as np
import pytest
import three_cells

from cf_augment.physics import EmulatorBackend
from ns3_scenarios.backend import Backend
from ns3_scenarios.bridge.backend import Ns3Backend
from ns3_scenarios.kpis import EventKind
from ns3_scenarios.scenario import Scenario


def failures(scenario: Scenario, backend: Backend) -> list[tuple[int, float]]:
    """UEs whose links fail, and when, where offsets forbid all handovers."""
    try:
        kpis = [backend.reset(three_cells.trace(scenario), 1)]
        kpis += [backend.step(np.full(len(scenario.neighbor_pairs), -20.0)) for _ in range(scenario.episode.steps)]
    finally:
        backend.close()
    events = np.concatenate([one.events for one in kpis])
    events = events[events["kind"] == EventKind.RADIO_LINK_FAILURE]
    return sorted(zip(events["ue"].tolist(), events["time_s"].tolist(), strict=True))


@pytest.mark.ns3
@pytest.mark.parametrize("radio_link", [{}, {"n310": 2, "t310_ms": 500}, {"n310": 1, "n311": 10, "t310_ms": 0}])
def test_links_fail_in_the_emulator_as_in_ns3(radio_link: dict[str, int]) -> None:
    scenario = three_cells.scenario(steps=10, ues=16, handover={"cio_range_db": 20.0}, radio_link=radio_link)
    by_ns3, by_emulator = failures(scenario, Ns3Backend(scenario)), failures(scenario, EmulatorBackend(scenario))
    assert [ue for ue, _ in by_ns3] == [ue for ue, _ in by_emulator]
    assert len(by_ns3) > 5
    # ns-3's periods do not begin with the emulator's measurements.
    late_s = [ours - theirs for (_, ours), (_, theirs) in zip(by_emulator, by_ns3, strict=True)]
    assert np.abs(late_s).max() <= 0.2
