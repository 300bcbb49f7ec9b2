"""`handover.grid: standard` on all back ends: off the grid is refused, and what an action sets is on it."""

from __future__ import annotations

import made_network
import numpy as np
import pytest
from reference.signalled_values import Q_OFFSET_RANGE, enumerated

from py_agent.env import MlbEnv, open_backend
from sumo_mobility.base.errors import ConfigError

BACKENDS = ["engine", "emulator", "fluid", pytest.param("ns3", marks=pytest.mark.ns3)]


@pytest.mark.parametrize("name", BACKENDS)
def test_every_back_end_sees_what_a_network_can_signal(name: str) -> None:
    """The same action in a continuous scenario sets a CIO off the grid, which this one refuses and then goes on."""
    standard = made_network.scenario(handover={"grid": "standard"})
    backend = open_backend(standard, name)
    env = MlbEnv(standard, backend, [made_network.trace()], seed=1)
    try:
        env.reset()
        with pytest.raises(ConfigError, match=r"pair 1 is -4\.5 dB, no value of Q-OffsetRange \(TS 36\.331 6\.3\.4\)"):
            backend.step(np.array([3.0, -4.5]))
        with pytest.raises(ConfigError, match=r"pair 0 is 0\.5 dB.*\n.*send 0 dB, or set handover\.grid: continuous"):
            backend.branch(np.array([[[0.5, 0.0]]]))
        for _ in range(made_network.STEPS):
            observation, _, _, _, info = env.step(np.array([0.46, -0.75], np.float32))
            assert info["cio_db"].tolist() == [3.0, -4.0]
            assert set(info["cio_db"]) <= set(enumerated(Q_OFFSET_RANGE, "dB"))
            assert observation[-2:] == pytest.approx([3 / 6, -4 / 6])
    finally:
        env.close()
