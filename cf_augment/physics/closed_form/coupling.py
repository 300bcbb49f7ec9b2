"""Coupling of cells in time: two cells whose blocks broke each other send both again, a HARQ round trip later, in the
same TTI. New blocks therefore meet less interference than the loads of the others say, and retransmissions more."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cf_augment.physics.radio.vector_math import compiled, part
from sumo_mobility.base.arrays import Floats, Ints


class Coupling(NamedTuple):
    """State of the coupling between cells and UEs from slot to slot; kernels see one environment."""

    load: Floats
    """(C,) probability that a cell sends in a TTI; -1 before anything is known."""
    own: Floats
    """(U,) part of its cell's load that is for the UE."""
    measured: Floats
    """(U,) probability that the cell sends for the UE when that measures what it reports for a block."""
    broken_with: Floats
    """(C, C) probability that what a cell sends is sent again, if another one sent in the same TTI; on the diagonal,
    whether another one did or not."""
    sends_new: Floats
    """(C,) probability that a cell sends a new block in a TTI in which it sends nothing again."""
    met_by_new: Floats
    """(C, C) probability that another cell sends when a cell sends a new block."""
    met_by_any: Floats
    """(C, C) probability that another cell sends when a cell sends anything."""


class Transmissions(NamedTuple):
    """How often each cell sends, and how often in vain: (C, C + 1), while another cell sends, and in all."""

    sent: Floats
    broken: Floats
    """Of those sent, the ones that are sent again."""


@compiled
def new_coupling(cells: int, ues: int) -> Coupling:
    """Returns the Coupling of cells of which nothing is known."""
    pairs = (cells, cells)
    return Coupling(
        np.full(cells, -1.0), np.zeros(ues), np.zeros(ues), np.zeros(pairs), np.zeros(cells), np.zeros(pairs),
        np.zeros(pairs),
    )  # fmt: skip


@compiled
def new_transmissions(cells: int) -> Transmissions:
    """Returns arrays to be filled in."""
    return Transmissions(np.empty((cells, cells + 1)), np.empty((cells, cells + 1)))


@part
def _ratio(of: float, whole: float) -> float:
    """Returns a part of a whole as a probability; 0 of nothing."""
    return min(1.0, max(0.0, of / whole)) if whole > 1e-9 else 0.0


@compiled
def couple(coupling: Coupling, transmissions: Transmissions) -> None:
    """Finds out, from the loads, which cells send in the same TTIs: a Markov chain over HARQ round trips.

    Args:
        coupling: Its `load` is given, and the pairs of cells are filled in.
        transmissions: What the cells have sent at the loads before.
    """
    sent, broken, load, cells = transmissions.sent, transmissions.broken, coupling.load, len(coupling.load)
    broken_without = np.zeros((cells, cells))
    for c in range(cells):
        coupling.broken_with[c, c] = _ratio(broken[c, cells], sent[c, cells])
        resent = load[c] * coupling.broken_with[c, c]
        coupling.sends_new[c] = _ratio(load[c] - resent, 1 - resent)
        for other in range(cells):
            if other != c:
                coupling.broken_with[c, other] = _ratio(broken[c, other], sent[c, other])
                broken_without[c, other] = _ratio(
                    broken[c, cells] - broken[c, other], sent[c, cells] - sent[c, other]
                )  # fmt: skip
    for a in range(cells):
        for b in range(cells):
            if a != b:
                _couple_pair(coupling, broken_without, a, b)


@part
def _couple_pair(coupling: Coupling, broken_without: Floats, a: int, b: int) -> None:
    """Fills in how often cell `b` sends when cell `a` does.

    Args:
        coupling: Its `load`, `broken_with` and `sends_new` are given.
        broken_without: (C, C) probability that what a cell sends is sent again, if another one did not send.
        a: A cell.
        b: Another cell.
    """
    load, broken_with, new_a, new_b = coupling.load, coupling.broken_with, coupling.sends_new[a], coupling.sends_new[b]
    # What each sends after a TTI in which both sent, or it alone.
    a_both = broken_with[a, b] + (1 - broken_with[a, b]) * new_a
    a_alone = broken_without[a, b] + (1 - broken_without[a, b]) * new_a
    b_both = broken_with[b, a] + (1 - broken_with[b, a]) * new_b
    b_alone = broken_without[b, a] + (1 - broken_without[b, a]) * new_b
    both_new = new_a * new_b
    both = (load[a] * a_alone * new_b + load[b] * new_a * b_alone + (1 - load[a] - load[b]) * both_new) / max(
        1e-9, 1 - a_both * b_both + a_alone * new_b + new_a * b_alone - both_new
    )
    both = min(load[a], load[b], max(0.0, load[a] + load[b] - 1, both))
    coupling.met_by_any[a, b] = both / load[a] if load[a] > 1e-9 else load[b]
    # What meets a new block: nothing that the cell sends again.
    not_resent = both * (1 - broken_with[a, b]) + (load[a] - both) * (1 - broken_without[a, b]) + 1 - load[a]
    met_by_new = (
        both * (1 - broken_with[a, b]) * b_both
        + (load[a] - both) * (1 - broken_without[a, b]) * new_b
        + (load[b] - both) * b_alone
        + (1 - load[a] - load[b] + both) * new_b
    )
    coupling.met_by_new[a, b] = _ratio(met_by_new, not_resent) if not_resent > 1e-9 else load[b]


@part
def follow(coupling: Coupling, cell: int, strongest: Ints, following: Floats) -> None:
    """Fills in the probability (J, J) that the strongest interferers go from one state to another until the next
    transmission of a block; those whose blocks the cell has broken send again at the same time as it."""
    following[0, 0] = 1.0
    for k in range(len(strongest)):
        new, half = coupling.sends_new[strongest[k]], 1 << k
        on = new + coupling.broken_with[strongest[k], cell] * (1 - new)
        for j in range(half):
            for n in range(half):
                before = following[j, n]
                following[j, n], following[j, n + half] = before * (1 - new), before * new
                following[j + half, n], following[j + half, n + half] = before * (1 - on), before * on
