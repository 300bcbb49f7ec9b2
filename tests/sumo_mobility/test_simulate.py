"""Gaps that SUMO leaves in a trace; no SUMO."""

from __future__ import annotations

import numpy as np
import pytest

from sumo_mobility.base.errors import SimulatorError
from sumo_mobility.simulate import fill_gaps


def test_gaps_are_held_and_counted() -> None:
    grid = np.arange(200 * 3 * 4, dtype=float).reshape(200, 3, 4)
    grid[0, 1] = grid[198:, 0] = np.nan
    full, filled = fill_gaps(grid)
    assert filled == 3
    np.testing.assert_array_equal(full[199, 0], [*grid[197, 0, :2], 0.0, grid[197, 0, 3]])
    np.testing.assert_array_equal(full[0, 1], [*grid[1, 1, :2], 0.0, grid[1, 1, 3]])
    np.testing.assert_array_equal(full[:, 2], grid[:, 2])


def test_jams_and_lost_ues_are_refused() -> None:
    grid = np.zeros((2, 1000, 4))
    grid[:, 3] = np.nan
    with pytest.raises(SimulatorError, match="never had UE 3 of 1000"):
        fill_gaps(grid)
    grid[0, 100:120] = np.nan
    with pytest.raises(SimulatorError, match=r"jammed streets in 22 of 2000 rows(.|\n)*lower mobility\.ues"):
        fill_gaps(grid)
