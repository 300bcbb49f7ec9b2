"""Which states of the network training data reach: the loads of all cells and the share of the UEs in each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from cf_augment.audit.probes import scale_of
from sumo_mobility.base.arrays import Floats


class Plane(NamedTuple):
    """The plane of the first two principal components of some states.

    Attributes:
        mean: (F,).
        deviation: (F,).
        axes: Unit vectors of the standardised states, (2, F).
        explained: Share of the variance along each, (2,).
    """

    mean: Floats
    deviation: Floats
    axes: Floats
    explained: Floats

    @classmethod
    def of(cls, states: Floats) -> Plane:
        """Returns the plane of states (N, F), each quantity being standardised first; F >= 2."""
        mean, deviation = scale_of(states)
        _, size, axes = np.linalg.svd((states - mean) / deviation, full_matrices=False)
        axes = axes[:2] * np.where(axes[:2, :1] < 0, -1, 1)  # a sign is arbitrary: make it always the same
        return cls(mean, deviation, axes, size[:2] ** 2 / max(float((size**2).sum()), 1e-300))

    def project(self, states: Floats) -> Floats:
        """Returns where states (N, F) lie in the plane, (N, 2)."""
        return (states - self.mean) / self.deviation @ self.axes.T


def distance_left(held_out: Floats, known: Floats, added: Floats) -> float:
    """Returns how far held-out states are from the nearest training state once others are added, over how far before.

    Args:
        held_out: (N, F) states that nobody has seen.
        known: (M, F) training states, whose means and deviations give the scale.
        added: (K, F) further ones.

    Returns:
        The ratio of the mean distances: 1 where the added states bring nothing nearer; 0 where they cover all, or
        where there was nothing left to cover.
    """
    mean, deviation = scale_of(known)
    held_out, known, added = ((states - mean) / deviation for states in (held_out, known, added))
    before = cKDTree(known).query(held_out)[0].mean()
    after = cKDTree(np.concatenate([known, added])).query(held_out)[0].mean()
    return float(after / before) if before > 0 else 0.0
