"""Computes which share of the UEs a CIO would move. The loop is compiled, because every step of every environment
needs it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ns3_scenarios.kernels import kernel


@kernel(nogil=True)
def find_moving(
    rsrp_dbm: Any, serving: Any, first: Any, neighbors: Any, threshold_db: float, edges_db: Any, shares: Any
) -> None:
    """Finds which share of the UEs would move at each CIO and for each pair.

    Args:
        rsrp_dbm: (B, U, C).
        serving: (B, U) serving cells, -1 for none.
        first: (C + 1,) pairs first[c] to first[c + 1] - 1 are those that cell c serves.
        neighbors: (E,) neighbour of each pair.
        threshold_db: By how much the neighbour must be better, CIO included.
        edges_db: (L,) the CIO, rising.
        shares: (B, L, E) float32, filled in.
    """
    levels, greatest_db, ues = len(edges_db), edges_db[-1], np.float32(serving.shape[1])
    for b in range(len(serving)):
        shares[b] = 0
        for u in range(serving.shape[1]):
            cell = serving[b, u]
            if cell < 0:
                continue
            own_db = rsrp_dbm[b, u, cell] + threshold_db
            for pair in range(first[cell], first[cell + 1]):
                need_db = own_db - rsrp_dbm[b, u, neighbors[pair]]
                if need_db < greatest_db:
                    level = levels - 1
                    while level > 0 and need_db < edges_db[level - 1]:
                        level -= 1
                    shares[b, level, pair] += 1
        for level in range(1, levels):
            for pair in range(len(neighbors)):
                shares[b, level, pair] += shares[b, level - 1, pair]
        for level in range(levels):
            for pair in range(len(neighbors)):
                shares[b, level, pair] /= ues
