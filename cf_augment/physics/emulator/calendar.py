"""Whom to look at in a TTI; a look too many does no harm."""

from __future__ import annotations

from cf_augment.physics.emulator.state import HORIZON, WORD, State
from ns3_scenarios.kernels import inlined


@inlined
def count_bits(bits: int) -> int:
    """Counts the ones of a bit map."""
    count = 0
    while bits:
        bits &= bits - 1
        count += 1
    return count


@inlined
def look_at(state: State, ue: int, tti: int) -> None:
    """Has a UE looked at in a TTI to come, up to HORIZON ahead."""
    state.calendar[tti % HORIZON, ue // WORD] |= 1 << ue % WORD


@inlined
def lowest(bits: int) -> int:
    """Returns the place of the lowest one of a bit map."""
    return count_bits((bits & -bits) - 1)


@inlined
def take(state: State, word: int, tti: int) -> int:
    """Takes a word of the bit map of a TTI off the calendar, so that a UE can enter HORIZON ahead."""
    bits = state.calendar[tti % HORIZON, word]
    state.calendar[tti % HORIZON, word] = 0
    return bits
