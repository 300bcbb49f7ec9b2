"""The values of event A3's parameters that a network can signal (TS 36.331), and the nearest value to any number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import BeforeValidator

from sumo_mobility.base.arrays import AnyFloats, Floats

TIMES_TO_TRIGGER_MS = (0, 40, 64, 80, 100, 128, 160, 256, 320, 480, 512, 640, 1024, 1280, 2560, 5120)
"""TimeToTrigger, TS 36.331 6.3.5."""


@dataclass(frozen=True)
class Grid:
    """The values of one field of the standard.

    Attributes:
        field: its name and clause.
        says: the values in words, with their unit.
        values: all of them, rising.
    """

    field: str
    says: str
    values: tuple[float, ...]

    def nearest(self, values: AnyFloats | float) -> Floats:
        """Returns the nearest value of the grid to each, float64; of two as near the one of smaller magnitude.

        What lies beyond the grid becomes its end, and NaN stays NaN.
        """
        wanted, grid = np.asarray(values, dtype=np.float64), np.array(self.values)
        above = np.searchsorted(grid, wanted).clip(1, len(grid) - 1)
        low, high = grid[above - 1], grid[above]
        # Ties go towards 0 on both sides, so that an offset and its negative stay negatives of each other.
        is_low = np.where(np.abs(low) < np.abs(high), wanted - low <= high - wanted, wanted - low < high - wanted)
        return np.where(np.isnan(wanted), wanted, np.where(is_low, low, high))


CIO_GRID = Grid(
    "Q-OffsetRange (TS 36.331 6.3.4)",
    "-24 to -6 dB and 6 to 24 dB in steps of 2 dB, -6 to 6 dB in steps of 1 dB",
    (*range(-24, -6, 2), *range(-6, 6), *range(6, 25, 2)),
)
"""The values of cellIndividualOffset."""
HYSTERESIS_GRID = Grid(
    "Hysteresis (TS 36.331 6.3.5)", "0 to 15 dB in steps of 0.5 dB", tuple(step / 2 for step in range(31))
)
A3_OFFSET_GRID = Grid(
    "a3-Offset (TS 36.331 6.3.5)", "-15 to 15 dB in steps of 0.5 dB", tuple(step / 2 for step in range(-30, 31))
)
TIME_TO_TRIGGER_GRID = Grid("TimeToTrigger (TS 36.331 6.3.5)", f"one of {TIMES_TO_TRIGGER_MS} ms", TIMES_TO_TRIGGER_MS)


def one_of(values: tuple[int, ...], clause: str, unit: str = "") -> BeforeValidator:
    """Refuses whatever is none of the integers that a network can signal; the error says them and the clause."""

    def check(value: object) -> object:
        if type(value) is not int or value not in values:
            raise ValueError(f"must be one of {values}{unit} ({clause})")
        return value

    return BeforeValidator(check)
