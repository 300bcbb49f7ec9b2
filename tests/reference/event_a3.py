"""Event A3 as TS 36.331 words it: slow, literal, written from the clauses (quoted from memory of release 15).

5.5.3.2  F_n = (1 - a) F_(n-1) + a M_n, a = 1/2^(k/4), here k = 4; F_0 is the first measurement.
5.5.4.4  Entering: Mn + Ofn + Ocn - Hys > Mp + Ofp + Ocp + Off; on one carrier Ofn = Ofp = 0, and Ocp = 0.
5.5.4.1  A cell triggers if "the entry condition is fulfilled for all measurements after layer 3 filtering taken during
         timeToTrigger".
5.5.2.5  Whoever modifies a measurement object "resets the associated information (e.g. timeToTrigger)". All cell
         individual offsets of a carrier are one object. 5.5.2.7 says the same of the reporting configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

PERIOD_MS = 200


class Case(NamedTuple):
    """What one UE measures until its first report, cell 0 serving.

    Attributes:
        time_to_trigger_ms, hysteresis_db, a3_offset_db: as in ReportConfigEUTRA.
        rsrp_dbm: L1 measurements of each cell at 0, 200, 400, ... ms; the first only begins the filter.
        ocn_db: the offset of each cell but the first, set just after each measurement but the last; 0 dB before.
    """

    time_to_trigger_ms: int
    hysteresis_db: float
    a3_offset_db: float
    rsrp_dbm: Sequence[Sequence[float]]
    ocn_db: Sequence[Sequence[float]]


def first_report(case: Case) -> tuple[int, int] | None:
    """When the UE first reports a neighbour, in ms, and which, or None if it never does.

    Of several that trigger at once it is the one with the greatest Mn + Ocn, and of those the first.
    """
    filtered = [list(case.rsrp_dbm[0])]
    for measured in case.rsrp_dbm[1:]:
        filtered.append([0.5 * old + 0.5 * new for old, new in zip(filtered[-1], measured, strict=True)])

    def entry(instant: int, cell: int) -> bool:
        ocn = case.ocn_db[instant - 1][cell - 1]
        return filtered[instant][cell] + ocn - case.hysteresis_db > filtered[instant][0] + case.a3_offset_db

    def modified(instant: int) -> bool:
        """Whether the measurement object is modified just after a measurement."""
        before = case.ocn_db[instant - 1] if instant > 0 else [0.0] * len(case.ocn_db[0])
        return instant < len(case.ocn_db) and list(case.ocn_db[instant]) != list(before)

    instants = range(1, len(case.rsrp_dbm))
    end_ms = instants[-1] * PERIOD_MS
    triggered: list[tuple[int, int]] = []
    for cell in range(1, len(case.rsrp_dbm[0])):
        for begin in instants:
            due_ms = begin * PERIOD_MS + case.time_to_trigger_ms
            during = [i for i in instants if begin * PERIOD_MS <= i * PERIOD_MS <= due_ms]
            undisturbed = not any(modified(i) for i in instants if begin * PERIOD_MS <= i * PERIOD_MS < due_ms)
            if due_ms <= end_ms and undisturbed and all(entry(i, cell) for i in during):
                triggered.append((due_ms, cell))
    if not triggered:
        return None
    when_ms = min(triggered)[0]
    last = when_ms // PERIOD_MS
    candidates = sorted(cell for due_ms, cell in triggered if due_ms == when_ms)
    return when_ms, max(candidates, key=lambda cell: filtered[last][cell] + case.ocn_db[last - 1][cell - 1])
