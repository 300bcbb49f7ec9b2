"""The true factors of contexts: what was asked of SUMO, as numbers that latents can be compared with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue

from sumo_mobility.base.arrays import Floats

FEWEST = 4
"""A factor counts if so many traces have it; of fewer, too little can be held out."""
_SAME = 1 - 1e-9


@dataclass(frozen=True)
class Factors:
    """The factors in which some contexts differ.

    Attributes:
        names: Their names, (K,).
        values: Their values in each of N contexts, (N, K); NaN where a context has no such parameter.
    """

    names: tuple[str, ...]
    values: Floats


def factors_of(contexts: Sequence[Mapping[str, JsonValue]], owner: Sequence[int]) -> Factors:
    """Returns the factors in which contexts differ.

    A number is a factor; an angle in degrees is two, its parts to the east and to the north; a choice is one for each
    of its values: 1 where it is chosen, else 0. Factors that do not vary are left out, and so is one that follows
    linearly from another one, since nothing can tell the two apart.

    Args:
        contexts: For each of N samples the name of its context and its parameters.
        owner: For each sample the trace that it is of, N.
    """
    rows = [dict(_leaves(context)) for context in contexts]
    names: list[str] = []
    columns: list[Floats] = []
    for parameter in dict.fromkeys(key for row in rows for key in row):
        for name, column in _columns(parameter, [row.get(parameter) for row in rows]):
            known = column[np.isfinite(column)]
            traces = len(np.unique(np.array(owner)[np.isfinite(column)]))
            varies = traces >= FEWEST and np.ptp(known) > 1e-9 * max(float(np.abs(known).max()), 1.0)
            if varies and not any(_follows(column, other) for other in columns):
                names.append(name)
                columns.append(column)
    return Factors(tuple(names), np.stack(columns, axis=1) if columns else np.empty((len(rows), 0)))


def _columns(parameter: str, values: Sequence[str | float | None]) -> Iterator[tuple[str, Floats]]:
    """Yields the factors of one parameter by name, (N,) each."""
    choices = dict.fromkeys(value for value in values if isinstance(value, str))
    for choice in choices:
        yield f"{parameter} = {choice}", np.array([math.nan if v is None else float(v == choice) for v in values])
    if choices:
        return
    numbers = np.array([math.nan if value is None else float(value) for value in values])
    if parameter.endswith("_deg"):
        yield f"{parameter} to the east", np.sin(np.radians(numbers))
        yield f"{parameter} to the north", np.cos(np.radians(numbers))
    else:
        yield parameter, numbers


def _leaves(context: Mapping[str, JsonValue]) -> Iterator[tuple[str, str | float]]:
    """Yields every number and choice with its name; what a list holds is numbered."""
    for name, value in context.items():
        if isinstance(value, list):
            yield from _leaves({f"{name}.{index}": item for index, item in enumerate(value)})
        elif isinstance(value, (str, int, float)):  # a bool is an int
            yield name, value


def _follows(column: Floats, other: Floats) -> bool:
    """Returns whether two factors that the same contexts have are one, but for scale and offset."""
    known = np.isfinite(column)
    if not np.array_equal(known, np.isfinite(other)):
        return False
    return bool(abs(np.corrcoef(column[known], other[known])[0, 1]) > _SAME)
