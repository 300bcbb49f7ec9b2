"""ns-3 and the engine see the same dB: RSRP of moving UEs under every model of the radio."""

from __future__ import annotations

from typing import Any

import made_network
import numpy as np
import pytest

from py_agent.env import open_backend

pytestmark = pytest.mark.ns3

HIGH = {"dl_earfcn": 100}
LOW = {"dl_earfcn": 3625}
"""942.5 MHz, where Hata's own formulas hold."""


def difference_db(radio: dict[str, Any]) -> float:
    """Greatest difference of RSRP after the reset and each step, with UEs at up to 10 m/s."""
    scenario, trace = made_network.scenario(steps=2, radio=radio), made_network.trace(steps=2)
    rsrp_dbm = []
    for name in ("ns3", "engine"):
        backend = open_backend(scenario, name)
        try:
            kpis = [backend.reset(trace, 1), *(backend.step(np.zeros(2)) for _ in range(2))]
        finally:
            backend.close()
        rsrp_dbm.append([one.ue_rsrp_dbm for one in kpis])
    return float(np.abs(np.subtract(*rsrp_dbm)).max())


@pytest.mark.parametrize(
    "radio",
    [
        HIGH | {"path_loss": {"model": "log-distance", "exponent": 2.9, "reference_loss_db": 31}},
        LOW | {"path_loss": {"model": "okumura-hata", "environment": "urban", "city_size": "small"}},
        LOW | {"path_loss": {"model": "okumura-hata", "environment": "suburban", "city_size": "large"}},
        LOW | {"path_loss": {"model": "okumura-hata", "environment": "open", "city_size": "small"}},
        HIGH | {"path_loss": {"model": "okumura-hata", "city_size": "small"}},
        HIGH | {"path_loss": {"model": "okumura-hata", "city_size": "large"}},
        HIGH | {"path_loss": {"model": "cost231-hata"}},
        HIGH | {"path_loss": {"model": "uma", "condition": "los"}},
        HIGH | {"path_loss": {"model": "uma", "condition": "nlos"}, "ue_height_m": 12.5},
        HIGH | {"path_loss": {"model": "umi", "condition": "los"}, "cell_height_m": 10},
        LOW | {"path_loss": {"model": "umi", "condition": "nlos"}, "cell_height_m": 10},
    ],
    ids=lambda radio: "-".join(str(value) for value in radio["path_loss"].values()),
)
def test_path_loss_is_that_of_ns3(radio: dict[str, Any]) -> None:
    assert difference_db(radio) < 1e-4
