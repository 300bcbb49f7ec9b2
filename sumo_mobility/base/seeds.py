"""Random streams that are independent for each named component and all follow from one seed."""

from __future__ import annotations

import zlib

import numpy as np

from sumo_mobility.base.documents import shown
from sumo_mobility.base.errors import ConfigError

LARGEST_SEED = 2**63 - 1
"""Files hold seeds as 64-bit integers."""


def stream(seed: int, *component: str | int) -> np.random.Generator:
    """Returns the generator of one component; changing one component leaves the others as they were.

    Args:
        seed: The run's seed, >= 0.
        component: A path of names and indices, for example ("demand", 3).

    Raises:
        ConfigError: the seed is negative, or too large to be stored.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise ConfigError(f"seed: {shown(seed)}, must be from 0 to {LARGEST_SEED}")
    words = [part if isinstance(part, int) else zlib.crc32(part.encode()) for part in component]
    return np.random.default_rng(np.random.SeedSequence([seed, *words]))


def derive(seed: int, *component: str | int) -> int:
    """Returns a 31-bit seed of one component, for programs that take an integer."""
    return int(stream(seed, *component).integers(1, 2**31 - 1))
