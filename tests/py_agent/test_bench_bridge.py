"""The measurement of the bridge: it runs the wire as ns-3 does, and measures each step."""

from __future__ import annotations

import made_network
import numpy as np
import pytest

from ns3_scenarios.bridge.backend import kpis_from_observation
from py_agent.bench.bridge import bridge_overhead, made_up_state


@pytest.mark.slow
def test_every_step_is_measured() -> None:
    spent_ms = bridge_overhead(made_network.scenario(), steps=20)
    assert spent_ms.shape == (20,)
    assert (spent_ms > 0).all()


def test_the_peers_state_has_the_fields_and_shapes_of_ns3() -> None:
    scenario = made_network.scenario()
    space, values = made_up_state(scenario)
    assert {name: box.shape for name, box in space.items()} == {name: np.shape(values[name]) for name in values}
    assert kpis_from_observation(scenario, values).handovers == len(values["events"])
