"""Coupling of cells in time: two cells whose blocks broke each other send both again, a HARQ round trip later, in the
same TTI. New blocks therefore meet less interference than the loads of the others say, and retransmissions more."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cf_augment.physics.radio.vector_math import compiled
from sumo_mobility.base.arrays import Floats


class Coupling(NamedTuple):
    """State of the coupling between cells and UEs from slot to slot; kernels see one environment."""

    load: Floats
    """(C,) probability that a cell sends in a TTI."""
    own: Floats
    """(U,) part of its cell's load that is for the UE."""
    measured: Floats
    """(U,) probability that the cell sends for the UE when that measures what it reports for a block."""
    again: Floats
    """(C, C) probability that what a cell sends is sent again, if another one sent in the same TTI."""
    fresh: Floats
    """(C,) probability that a cell sends something new in a TTI in which it sends nothing again."""
    met_first: Floats
    """(C, C) probability that another cell sends when a cell sends something new."""
    met: Floats
    """(C, C) probability that another cell sends when a cell sends anything."""


@compiled
def new_coupling(cells: int, ues: int) -> Any:
    """Returns the Coupling of cells of which nothing is known."""
    pairs = (cells, cells)
    return Coupling(
        np.full(cells, -1.0), np.zeros(ues), np.zeros(ues), np.zeros(pairs), np.zeros(cells), np.zeros(pairs),
        np.zeros(pairs),
    )  # fmt: skip


@compiled
def _ratio(part: float, whole: float) -> float:
    """A probability; 0 of nothing."""
    return min(1.0, max(0.0, part / whole)) if whole > 1e-9 else 0.0


@compiled
def couple(coupling: Any, sent: Any, broken: Any) -> None:
    """Finds out, from the loads, which cells send in the same TTIs: a Markov chain over HARQ round trips.

    Args:
        coupling: The Coupling, of which `load` is given and the pairs are filled in.
        sent: (C, C + 1) how often a cell sends while another one does, and in all.
        broken: (C, C + 1) how often of those it sends again.
    """
    load, again, fresh = coupling.load, coupling.again, coupling.fresh
    cells = len(load)
    alone = np.zeros((cells, cells))
    for c in range(cells):
        again[c, c] = _ratio(broken[c, cells], sent[c, cells])
        resent = load[c] * again[c, c]
        fresh[c] = _ratio(load[c] - resent, 1 - resent)
        for other in range(cells):
            if other != c:
                again[c, other] = _ratio(broken[c, other], sent[c, other])
                alone[c, other] = _ratio(broken[c, cells] - broken[c, other], sent[c, cells] - sent[c, other])
    for a in range(cells):
        for b in range(cells):
            if a == b:
                continue
            # What follows a TTI in which both sent, or one.
            a_both, a_one = again[a, b] + (1 - again[a, b]) * fresh[a], alone[a, b] + (1 - alone[a, b]) * fresh[a]
            b_both, b_one = again[b, a] + (1 - again[b, a]) * fresh[b], alone[b, a] + (1 - alone[b, a]) * fresh[b]
            none = fresh[a] * fresh[b]
            both = (load[a] * a_one * fresh[b] + load[b] * fresh[a] * b_one + (1 - load[a] - load[b]) * none) / max(
                1e-9, 1 - a_both * b_both + a_one * fresh[b] + fresh[a] * b_one - none
            )
            both = min(load[a], load[b], max(0.0, load[a] + load[b] - 1, both))
            coupling.met[a, b] = both / load[a] if load[a] > 1e-9 else load[b]
            # What meets a new block: nothing that the cell sends again.
            none_again = both * (1 - again[a, b]) + (load[a] - both) * (1 - alone[a, b]) + 1 - load[a]
            met_first = (
                both * (1 - again[a, b]) * b_both
                + (load[a] - both) * (1 - alone[a, b]) * fresh[b]
                + (load[b] - both) * b_one
                + (1 - load[a] - load[b] + both) * fresh[b]
            )
            coupling.met_first[a, b] = _ratio(met_first, none_again) if none_again > 1e-9 else load[b]


@compiled
def follow(coupling: Any, cell: int, strongest: Any, following: Any) -> None:
    """Fills in the probability (J, J) that the strongest interferers go from one state to another until the next
    sending: who was broken by the cell is sent again at the same time."""
    following[0, 0] = 1.0
    for k in range(len(strongest)):
        fresh, half = coupling.fresh[strongest[k]], 1 << k
        on = fresh + coupling.again[strongest[k], cell] * (1 - fresh)
        for j in range(half):
            for n in range(half):
                one = following[j, n]
                following[j, n], following[j, n + half] = one * (1 - fresh), one * fresh
                following[j + half, n], following[j + half, n + half] = one * (1 - on), one * on
