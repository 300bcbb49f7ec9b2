"""How many UEs a CIO would move, counted in a compiled loop: it is asked for in every step of every environment."""

from __future__ import annotations

from typing import Any

from numba import njit


@njit(cache=True, nogil=True)
def count_moving(
    rsrp_dbm: Any, serving: Any, first: Any, neighbors: Any, threshold_db: float, edges_db: Any, counts: Any
) -> None:
    """Adds up the UEs that would move at each CIO and for each pair.

    Args:
        rsrp_dbm: (B, U, C).
        serving: (B, U) serving cells, -1 for none.
        first: (C + 1,) pairs first[c] to first[c + 1] - 1 are those that cell c serves.
        neighbors: (E,) neighbour of each pair.
        threshold_db: By how much the neighbour must be better, CIO included.
        edges_db: (L,) the CIO.
        counts: (B, L, E), added to.
    """
    for b in range(len(serving)):
        for u in range(serving.shape[1]):
            cell = serving[b, u]
            if cell < 0:
                continue
            for pair in range(first[cell], first[cell + 1]):
                need_db = rsrp_dbm[b, u, cell] - rsrp_dbm[b, u, neighbors[pair]] + threshold_db
                for level in range(len(edges_db)):
                    if need_db < edges_db[level]:
                        counts[b, level, pair] += 1
