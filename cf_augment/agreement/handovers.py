"""Handovers that two episodes have in common."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from ns3_scenarios.kpis import EventKind
from sumo_mobility.base.arrays import Floats

_Start = tuple[float, int, int]
"""Time in s, source and target of a handover started."""


@dataclass(frozen=True)
class HandoverMatch:
    """The handovers started in two episodes, UE by UE in the order of time.

    Attributes:
        truth: How many the first episode has.
        guess: How many the second has.
        moving_ues: UEs with a handover in either.
        equal_ues: Those of them whose sequences of (source, target) are the same in both.
        delay_s: (M,) start in the second episode - start in the first, of each handover of the longest common
            subsequence of each UE.
    """

    truth: int
    guess: int
    moving_ues: int
    equal_ues: int
    delay_s: Floats


def match_handovers(truth: np.ndarray, guess: np.ndarray) -> HandoverMatch:
    """Pairs the handovers of two episodes.

    Args:
        truth: Events (EVENT_DTYPE) of the first episode.
        guess: Events of the second, at the same times.
    """
    in_truth, in_guess = _starts(truth), _starts(guess)
    ues = in_truth.keys() | in_guess.keys()
    delays = [delay for ue in sorted(ues) for delay in _common_delays(in_truth[ue], in_guess[ue])]
    same = [[start[1:] for start in in_truth[ue]] == [start[1:] for start in in_guess[ue]] for ue in ues]
    return HandoverMatch(
        truth=sum(map(len, in_truth.values())),
        guess=sum(map(len, in_guess.values())),
        moving_ues=len(ues),
        equal_ues=sum(same),
        delay_s=np.array(delays, dtype=np.float64),
    )


def _starts(events: np.ndarray) -> defaultdict[int, list[_Start]]:
    """Handovers started, by UE."""
    started = events[events["kind"] == EventKind.HANDOVER_START]
    sequences: defaultdict[int, list[_Start]] = defaultdict(list)
    for event in started[np.argsort(started["time_s"], kind="stable")]:
        start = (float(event["time_s"]), int(event["source_cell"]), int(event["target_cell"]))
        sequences[int(event["ue"])].append(start)
    return sequences


def _common_delays(truth: list[_Start], guess: list[_Start]) -> list[float]:
    """Delays along the longest common subsequence of (source, target)."""
    length = np.zeros((len(truth) + 1, len(guess) + 1), dtype=int)
    for i, first in enumerate(truth):
        for j, second in enumerate(guess):
            same = first[1:] == second[1:]
            length[i + 1, j + 1] = length[i, j] + 1 if same else max(length[i, j + 1], length[i + 1, j])
    delays, i, j = [], len(truth), len(guess)
    while i and j:
        if truth[i - 1][1:] == guess[j - 1][1:]:
            i, j = i - 1, j - 1
            delays.append(guess[j][0] - truth[i][0])
        elif length[i - 1, j] >= length[i, j - 1]:
            i -= 1
        else:
            j -= 1
    return delays[::-1]
