"""The fields of TS 36.331 that configure event A3, written out as the ASN.1 has them; quoted from memory.

Literal lists and a literal search, so that nothing here follows from the product's own way to make them.
"""

from __future__ import annotations

from collections.abc import Iterable

Q_OFFSET_RANGE = """
    dB-24 dB-22 dB-20 dB-18 dB-16 dB-14 dB-12 dB-10 dB-8 dB-6 dB-5 dB-4 dB-3 dB-2 dB-1 dB0
    dB1 dB2 dB3 dB4 dB5 dB6 dB8 dB10 dB12 dB14 dB16 dB18 dB20 dB22 dB24
"""
"""Q-OffsetRange, 6.3.4: ENUMERATED."""
TIME_TO_TRIGGER = """
    ms0 ms40 ms64 ms80 ms100 ms128 ms160 ms256 ms320 ms480 ms512 ms640 ms1024 ms1280 ms2560 ms5120
"""
"""TimeToTrigger, 6.3.5: ENUMERATED."""
HYSTERESIS = (0, 30)
"""Hysteresis, 6.3.5: INTEGER, the actual value is the field value times 0.5 dB."""
A3_OFFSET = (-30, 30)
"""a3-Offset in ReportConfigEUTRA, 6.3.5: INTEGER, the actual value is the field value times 0.5 dB."""


def enumerated(names: str, unit: str) -> list[float]:
    """Returns the values of an ENUMERATED whose names are a unit and a number."""
    return [float(name.removeprefix(unit)) for name in names.split()]


def half_steps(limits: tuple[int, int]) -> list[float]:
    """Returns the values of an INTEGER field in steps of 0.5 dB."""
    low, high = limits
    return [0.5 * field for field in range(low, high + 1)]


def nearest(value: float, grid: Iterable[float]) -> float:
    """Returns the nearest value of a grid; of two as near, the one of smaller magnitude."""
    best: float | None = None
    for candidate in grid:
        if best is None or (abs(value - candidate), abs(candidate)) < (abs(value - best), abs(best)):
            best = candidate
    assert best is not None
    return best
