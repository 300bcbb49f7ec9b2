"""How many UEs a CIO would move, counted in a compiled loop: it is asked for in every step of every environment."""

from __future__ import annotations

from typing import Any

from numba import njit


@njit(cache=True, nogil=True)
def count_moving(
    rsrp_dbm: Any, serving: Any, first: Any, neighbors: Any, threshold_db: float, edges_db: Any, counts: Any
) -> None:
    """Counts the UEs that would move at each CIO and for each pair.

    Args:
        rsrp_dbm: (B, U, C).
        serving: (B, U) serving cells, -1 for none.
        first: (C + 1,) pairs first[c] to first[c + 1] - 1 are those that cell c serves.
        neighbors: (E,) neighbour of each pair.
        threshold_db: By how much the neighbour must be better, CIO included.
        edges_db: (L,) the CIO, rising.
        counts: (B, L, E), of zeros, filled in.
    """
    levels, greatest_db = len(edges_db), edges_db[-1]
    for b in range(len(serving)):
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
                    counts[b, level, pair] += 1
        for level in range(1, levels):
            for pair in range(len(neighbors)):
                counts[b, level, pair] += counts[b, level - 1, pair]
