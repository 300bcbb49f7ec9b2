"""Computes which share of the UEs a CIO would move, or how much load. The loops are compiled, because every step of
every environment needs them."""

from __future__ import annotations

import numpy as np

from ns3_scenarios.kernels import inlined, kernel
from sumo_mobility.base.arrays import Floats, Ints, Singles


@kernel(nogil=True)
def find_moving(
    rsrp_dbm: Floats, serving: Ints, first: Ints, neighbors: Ints, threshold_db: float, edges_db: Floats,
    shares: Singles,
) -> None:  # fmt: skip
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
    ues = np.float32(serving.shape[1])
    for b in range(len(serving)):
        shares[b] = 0
        for u in range(serving.shape[1]):
            cell = serving[b, u]
            if cell < 0:
                continue
            own_db = rsrp_dbm[b, u, cell] + threshold_db
            for pair in range(first[cell], first[cell + 1]):
                level = _level(own_db - rsrp_dbm[b, u, neighbors[pair]], edges_db)
                if level < len(edges_db):
                    shares[b, level, pair] += 1
        # Who would move at a CIO would move at a greater one as well.
        for level in range(1, len(edges_db)):
            for pair in range(len(neighbors)):
                shares[b, level, pair] += shares[b, level - 1, pair]
        for level in range(len(edges_db)):
            for pair in range(len(neighbors)):
                shares[b, level, pair] /= ues


@kernel(nogil=True)
def add_load(
    rsrp_dbm: Floats, need: Floats, serving: Ints, first: Ints, neighbors: Ints, a3_offset_db: float,
    hysteresis_db: float, edges_db: Floats, load: Floats, leaving: Floats, entering: Floats,
) -> None:  # fmt: skip
    """Adds up the load of the UEs of each cell, and that of those who would move at each CIO and for each pair.

    Args:
        rsrp_dbm: (B, U, C).
        need: (B, U, C) load of each cell that the UE would be there.
        serving: (B, U) serving cells, -1 for none.
        first: (C + 1,) pairs first[c] to first[c + 1] - 1 are those that cell c serves.
        neighbors: (E,) neighbour of each pair.
        a3_offset_db: By how much the neighbour must be better, CIO included,
        hysteresis_db: and by how much more.
        edges_db: (L,) the CIO, rising.
        load: (B, C) zeros, filled in.
        leaving: (B, L, E) zeros, filled in: the load that would leave the serving cell.
        entering: (B, L, E) zeros, filled in: the load that would enter the neighbour.
    """
    for b in range(len(serving)):
        for u in range(serving.shape[1]):
            cell = serving[b, u]
            if cell < 0:
                continue
            load[b, cell] += need[b, u, cell]
            own_db = rsrp_dbm[b, u, cell]
            for pair in range(first[cell], first[cell + 1]):
                neighbor = neighbors[pair]
                level = _level(own_db - rsrp_dbm[b, u, neighbor] + a3_offset_db + hysteresis_db, edges_db)
                if level < len(edges_db):
                    leaving[b, level, pair] += need[b, u, cell]
                    entering[b, level, pair] += need[b, u, neighbor]
        # Who would move at a CIO would move at a greater one as well.
        for level in range(1, len(edges_db)):
            for pair in range(len(neighbors)):
                leaving[b, level, pair] += leaving[b, level - 1, pair]
                entering[b, level, pair] += entering[b, level - 1, pair]


@inlined
def _level(need_db: float, edges_db: Floats) -> int:
    """Returns the index of the least CIO at which a UE would move, or L if it would at none."""
    level = len(edges_db)
    while level > 0 and need_db < edges_db[level - 1]:
        level -= 1
    return level
