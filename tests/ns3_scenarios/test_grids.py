"""What a network can signal: the grids against the text of the standard, and actions that snap to them."""

from __future__ import annotations

from typing import Any

import made_network
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reference import signalled_values as standard

from ns3_scenarios import mdp
from ns3_scenarios.control import Control
from ns3_scenarios.grids import A3_OFFSET_GRID, CIO_GRID, HYSTERESIS_GRID, TIME_TO_TRIGGER_GRID, Grid
from ns3_scenarios.neighbors import NeighborsListed
from ns3_scenarios.scenario import Preset, Scenario
from sumo_mobility.base.errors import ConfigError

GRIDS = [
    (CIO_GRID, standard.enumerated(standard.Q_OFFSET_RANGE, "dB")),
    (TIME_TO_TRIGGER_GRID, standard.enumerated(standard.TIME_TO_TRIGGER, "ms")),
    (HYSTERESIS_GRID, standard.half_steps(standard.HYSTERESIS)),
    (A3_OFFSET_GRID, standard.half_steps(standard.A3_OFFSET)),
]
FORMS = {
    "pair": {},
    "cell": {"action": "cell"},
    "edge": {"action": "edge"},
    "all": {"steer": ["hysteresis", "time-to-trigger"], "hysteresis_range_db": [0, 15], "cio_range_db": 24},
}
PAIRS = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]


def standard_scenario(**handover: Any) -> Scenario:
    """Three cells, each the neighbour of the others."""
    preset = Preset.load("helsinki-event-v0")
    fields = {"grid": "standard", "neighbors": NeighborsListed(by="list", pairs=PAIRS)} | handover
    return Scenario.place(
        Preset.parse(preset.model_dump() | {"handover": fields}, "test"), [(0, 0), (700, 0), (300, 500)]
    )


SCENARIOS = {
    form: (standard_scenario(**handover), standard_scenario(**handover, grid="continuous"))
    for form, handover in FORMS.items()
}


@pytest.mark.parametrize(("grid", "values"), GRIDS, ids=[grid.field for grid, _ in GRIDS])
def test_the_grid_is_that_of_the_standard(grid: Grid, values: list[float]) -> None:
    assert list(grid.values) == values


@given(st.sampled_from(GRIDS), st.floats(-30, 30) | st.integers(-120, 120).map(lambda n: n / 4) | st.floats(-10, 9000))
@example(GRIDS[0], 2.5)
@example(GRIDS[0], -7.0)
@example(GRIDS[0], 0.5)
@example(GRIDS[0], np.nextafter(-0.5, -1))
def test_a_value_snaps_to_the_nearest_and_stays_there(grid: tuple[Grid, list[float]], value: float) -> None:
    snapped = grid[0].nearest(value)
    assert snapped == standard.nearest(value, grid[1])
    assert grid[0].nearest(snapped) == snapped
    assert grid[0].nearest(np.array([[value], [-value]]))[0, 0] == snapped


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_every_action_becomes_what_a_network_can_signal(form: str, data: st.DataObject) -> None:
    """The nearest values to what the same action is in a continuous scenario, accepted as they are."""
    scenario, continuous = SCENARIOS[form]
    size = mdp.action_size(scenario)
    action = np.array(data.draw(st.lists(st.floats(-1.2, 1.2), min_size=size, max_size=size)))
    exact = mdp.control_from_action(scenario, action)
    control = exact.encoded(scenario)
    free = mdp.control_from_action(continuous, action).encoded(continuous)
    parts = [(GRIDS[0][1], 6), (GRIDS[2][1], 3), (GRIDS[1][1], 3)]
    grids = [values for values, count in parts for _ in range(count)][: len(control)]
    assert control.tolist() == [standard.nearest(value, grid) for value, grid in zip(free, grids, strict=True)]
    assert np.array_equal(Control.checked(scenario, exact).encoded(scenario), control)
    assert np.abs(control[:6]).max() <= scenario.handover.cio_range_db
    if form != "cell":  # of cells, differences that have snapped may fit no offsets
        assert np.array_equal(mdp.cio_from_action(scenario, mdp.action_from_cio(scenario, control[:6])), control[:6])
    if form in ("cell", "edge"):
        of = dict(zip(PAIRS, control, strict=True))
        assert all(of[j, i] == -of[i, j] for i, j in of)


def test_the_control_of_an_action_by_hand() -> None:
    """CIOs of 0.6, -2.7, 8.4 and -15 dB, a tie at 7 and one at -0.5 dB; then hystereses from 2 dB, down to 0 or up."""
    scenario = standard_scenario(cio_range_db=24, steer=["hysteresis"])
    action = np.array([0.6, -2.7, 8.4, -15, 7, -0.5, 0, 0, 0]) / 24 + np.array([0, 0, 0, 0, 0, 0, 0, 0.2, -0.35])
    control = mdp.control_from_action(scenario, action)
    assert control.encoded(scenario).tolist() == [1, -3, 8, -14, 6, 0, 2, 3, 1.5]


@pytest.mark.parametrize(
    ("control", "message"),
    [
        (
            {"cio_db": {1: 2.5}},
            r"CIO of pair 1 is 2\.5 dB, no value of Q-OffsetRange \(TS 36\.331 6\.3\.4\)\n.*send 2 dB.*continuous",
        ),
        ({"cio_db": {5: -7.0}}, r"CIO of pair 5 is -7 dB.*\n.*send -6 dB"),
        (
            {"hysteresis_db": {2: 2.25}},
            r"hysteresis of cell 2 is 2\.25 dB, no value of Hysteresis \(TS 36\.331 6\.3\.5\)\n.*send 2 dB",
        ),
        (
            {"time_to_trigger_ms": {0: 300.0}},
            r"time to trigger of cell 0 is 300 ms, no value of TimeToTrigger .*6\.3\.5\)\n.*320 ms",
        ),
    ],
)
def test_a_control_off_the_grid_is_refused(control: dict[str, dict[int, float]], message: str) -> None:
    scenario = standard_scenario(**FORMS["all"])
    values = {"cio_db": [0.0] * 6, "hysteresis_db": [2.0] * 3, "time_to_trigger_ms": [256.0] * 3}
    given = {name: np.stack([np.array(row), np.array(row) + 1e-8]) for name, row in values.items()}
    good = Control.checked(scenario, Control(**given))
    assert [getattr(good, name).tolist() for name in values] == [[row, row] for row in values.values()]
    for name, changes in control.items():
        for component, value in changes.items():
            given[name][1, component] = value
    with pytest.raises(ConfigError, match=message):
        Control.checked(scenario, Control(**given))
    free = Control.checked(standard_scenario(**FORMS["all"], grid="continuous"), Control(**given))
    assert all(np.array_equal(getattr(free, name), array) for name, array in given.items())


@pytest.mark.parametrize(
    ("handover", "message"),
    [
        ({"a3_offset_db": 0.25}, r"a3_offset_db = 0\.25 with grid: standard must be a3-Offset \(TS 36\.331 6\.3\.5\)"),
        ({"hysteresis_db": 2.2}, r"hysteresis_db = 2\.2 .* Hysteresis \(TS 36\.331 6\.3\.5\), 0 to 15 dB in steps"),
        ({"cio_range_db": 7}, r"cio_range_db = 7 .* Q-OffsetRange \(TS 36\.331 6\.3\.4\)"),
        ({"hysteresis_range_db": [0, 5.9]}, r"hysteresis_range_db = 5\.9 .* Hysteresis \(TS 36\.331 6\.3\.5\)"),
        ({"time_to_trigger_ms": 250}, r"time_to_trigger_ms: .*TimeToTrigger, TS 36\.331 6\.3\.5"),
        ({"time_to_trigger_range_ms": [40, 1000]}, r"range_ms\.1: .*TimeToTrigger, TS 36\.331 6\.3\.5"),
        ({"grid": "lte"}, r"handover\.grid"),
    ],
)  # fmt: skip
def test_a_scenario_off_the_grid_is_refused(handover: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made_network.scenario(handover={"grid": "standard"} | handover)
    if not {"time_to_trigger_ms", "time_to_trigger_range_ms", "grid"} & set(handover):
        assert made_network.scenario(handover=handover).handover.grid == "continuous"
