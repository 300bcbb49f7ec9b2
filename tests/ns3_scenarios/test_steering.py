"""Hysteresis and time to trigger in the action: the mapping by hand, what is refused, and the form on its own."""

from __future__ import annotations

from typing import Any

import made_network
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ns3_scenarios import mdp
from ns3_scenarios.control import Control
from ns3_scenarios.grids import TIMES_TO_TRIGGER_MS
from sumo_mobility.base.errors import ConfigError

BOTH = {
    "steer": ["hysteresis", "time-to-trigger"],
    "hysteresis_range_db": [1, 4],
    "time_to_trigger_range_ms": [80, 640],
}
SCENARIO = made_network.scenario(handover=BOTH)


def test_the_control_of_an_action_by_hand() -> None:
    """0 is the scenario's own (2 dB, 256 ms), 1 dB below it and 2 dB above; 4 values of the standard each way."""
    assert mdp.action_size(SCENARIO) == 6
    action = np.array([[0.5, -1, -1, 0.25, 0, 1], [0, 0, 1, 0, -1, -0.5], [0, 0, 0, 0, 0.25, 0.1]])
    control = mdp.control_from_action(SCENARIO, action)
    assert control.cio_db == pytest.approx(np.array([[3, -6], [0, 0], [0, 0]]))
    assert control.hysteresis_db == pytest.approx(np.array([[1, 2.5], [4, 2], [2, 2]]))
    assert control.time_to_trigger_ms.tolist() == [[256, 640], [80, 128], [320, 256]]
    assert control.encoded(SCENARIO)[0] == pytest.approx([3, -6, 1, 2.5, 256, 640])
    assert np.array_equal(mdp.cio_from_action(SCENARIO, action), control.cio_db)
    assert mdp.action_from_cio(SCENARIO, np.array([3.0, -6.0])) == pytest.approx([0.5, -1, 0, 0, 0, 0])


@given(st.lists(st.floats(-1.5, 1.5), min_size=6, max_size=6))
def test_every_control_of_an_action_is_accepted(action: list[float]) -> None:
    control = mdp.control_from_action(SCENARIO, np.array(action))
    assert np.array_equal(Control.checked(SCENARIO, control).encoded(SCENARIO), control.encoded(SCENARIO))
    assert set(control.time_to_trigger_ms) <= set(TIMES_TO_TRIGGER_MS)


@pytest.mark.parametrize(
    ("control", "message"),
    [
        (([0, 0], [2, 2, 2], [256] * 3), r"hysteresis of cell: shape \(3,\), but \(2,\) is needed"),
        (
            ([0, 0], [2, 4.5], [256, 256]),
            r"hysteresis of cell 1 is 4\.50 dB, not within 1 to 4 dB\n.*hysteresis_range_db",
        ),
        (([0, 0], [2, 2], [40, 256]), r"time to trigger of cell 0 is 40\.00 ms, not within 80 to 640 ms\n"),
        (([0, 0], [np.nan, 2], [80, 256]), "hysteresis of cell 0 is not finite"),
        (([0, 7], [2, 2], [80, 256]), r"CIO of pair 1 is 7\.00 dB"),
    ],
)
def test_a_control_out_of_range_is_refused(control: tuple[list[float], ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Control.checked(SCENARIO, Control(*map(np.array, control)))


def test_offsets_alone_leave_the_rest_as_the_scenario_has_it() -> None:
    control = Control.checked(SCENARIO, np.array([[3.0, 0.0]]))
    assert control.hysteresis_db.tolist() == [[2, 2]]
    assert control.time_to_trigger_ms.tolist() == [[256, 256]]
    assert [one.cio_db.tolist() for one in control] == [[3, 0]]


def test_what_is_not_steered_is_not_to_be_changed() -> None:
    scenario = made_network.scenario()
    for control in (Control.of(scenario, [0, 0], hysteresis_db=3), Control.of(scenario, [0, 0], time_to_trigger_ms=40)):
        with pytest.raises(ConfigError, match=r"cell 0 is .*\n.*name it in handover\.steer"):
            Control.checked(scenario, control)
    assert Control.checked(scenario, Control.of(scenario, [0, 0], 2, 256)).encoded(scenario).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("handover", "message"),
    [
        ({"steer": ["hysteresis"], "hysteresis_range_db": [3, 6]}, r"range_db = 3 to 6 must hold hysteresis_db = 2"),
        ({"steer": ["time-to-trigger"], "time_to_trigger_ms": 0}, r"range_ms = 40 to 1280 must hold .* = 0"),
        ({"steer": ["time-to-trigger"], "time_to_trigger_range_ms": [50, 640]}, r"range_ms\.0: .*TS 36\.331"),
        ({"steer": ["time-to-trigger", "hysteresis"]}, "hysteresis before time-to-trigger"),
        ({"steer": ["hysteresis", "hysteresis"]}, "each name once"),
    ],
)
def test_steering_that_cannot_be_is_refused(handover: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made_network.scenario(handover=handover)
