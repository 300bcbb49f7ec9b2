"""Radio link failure: when a UE has lost its cell (TS 36.331 5.3.11).

N310 consecutive out-of-sync indications start T310, N311 consecutive in-sync indications stop it, and its expiry is the
failure. Profile `ns3` has ns-3's indications, of periods that follow each other, on the grid of L1 measurements.
Profile `3gpp` assesses the quality in each radio frame: the mean SINR over the last 200 ms for Qout, and over the last
100 ms for Qin (TS 36.213 4.2.1, TS 36.133 7.6), all of them in the serving cell.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

import numpy as np

from cf_augment.physics.constants import (
    FRAME_S,
    IN_SYNC_INDICATIONS,
    L1_PERIOD_S,
    Q_IN_DB,
    Q_IN_FRAMES,
    Q_OUT_DB,
    Q_OUT_FRAMES,
)
from cf_augment.physics.profiles import PROFILES
from cf_augment.physics.radio.vector_math import compiled
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats, Ints, Singles

STOPPED = -1
"""The value of a T310 that does not run."""
_HALF, _Q_OUT_DB, _Q_IN_DB = np.float32(0.5), np.float32(Q_OUT_DB), np.float32(Q_IN_DB)
_SUM_OUT, _SUM_IN = Q_OUT_FRAMES * 10 ** (Q_OUT_DB / 10), Q_IN_FRAMES * 10 ** (Q_IN_DB / 10)
"""Sums of the SINR over the evaluation periods at the thresholds."""
_PIECES = 2
"""Slots before this one that hold all of the last Q_OUT_FRAMES - 1 frames: they last for L1_PERIOD_S at least."""


class LinkState(NamedTuple):
    """State of the UEs' radio links; kernels see one environment, without B.

    Attributes:
        out_of_sync: (B, U) consecutive out-of-sync indications before T310 starts.
        in_sync: (B, U) consecutive in-sync indications while T310 runs.
        t310: (B, U) periods since T310 started, whether or not it has expired by now; STOPPED where it does not run.
        heard: (B, U) frames in which the UE has heard its serving cell.
        past_db: (B, _PIECES, 2, U) SINR at the beginning and the end of the last slots.
    """

    out_of_sync: Ints
    in_sync: Ints
    t310: Ints
    heard: Ints
    past_db: Singles

    @classmethod
    def connected(cls, environments: int, ues: int) -> Self:
        """UEs that have just connected."""
        none = np.zeros((environments, ues), np.int64)
        past_db = np.zeros((environments, _PIECES, 2, ues), np.float32)
        return cls(none, none.copy(), np.full_like(none, STOPPED), none.copy(), past_db)


class LinkRules(NamedTuple):
    """The constants of the automaton; its periods are L1 measurements, or frames where `by_frames`.

    S slots, of which each but the first contains one L1 measurement, or ends with it.
    """

    by_frames: bool
    n310: int
    n311: int
    t310: int
    """Whole periods in which T310 runs."""
    frames: Ints
    """(S,) frames whose middle is in a slot."""
    frames_before: Ints
    """(S,) how many of them end before the slot's measurement."""
    first: Floats
    """(S,) where in the slot the first one's middle is, as a share of its length."""
    step: Floats
    """(S,) and from each to the next."""


def link_rules(scenario: Scenario, slots_s: Floats) -> LinkRules:
    """Returns the constants for a control interval of slots (S, 2), from when to when each lasts."""
    link, by_frames = scenario.radio_link, PROFILES[scenario.profile].assesses_frames
    t310_s = link.t310_ms / 1000
    frames, before, first, step = [], [], [], []
    for index, (begin_s, end_s) in enumerate(slots_s):
        middles_s = FRAME_S * (np.arange(round(end_s / FRAME_S) + 1) + 0.5)
        middles_s = middles_s[(middles_s >= begin_s) & (middles_s < end_s)]
        length_s = end_s - begin_s if len(middles_s) else 1.0
        frames.append(len(middles_s))
        before.append(np.count_nonzero(np.rint(middles_s / FRAME_S + 0.5) < np.rint(index * L1_PERIOD_S / FRAME_S)))
        first.append((middles_s[0] - begin_s) / length_s if len(middles_s) else 0.0)
        step.append(FRAME_S / length_s)
    return LinkRules(
        by_frames=by_frames,
        n310=link.n310,
        n311=link.n311 if by_frames else math.ceil(link.n311 / IN_SYNC_INDICATIONS),
        t310=round(t310_s / FRAME_S) if by_frames else math.floor(t310_s / L1_PERIOD_S + 1e-9),
        frames=np.array(frames),
        frames_before=np.array(before),
        first=np.array(first),
        step=np.array(step),
    )


@compiled
def link_state_of(state: Any, b: int) -> Any:
    """Returns one environment of a LinkState."""
    return LinkState(state.out_of_sync[b], state.in_sync[b], state.t310[b], state.heard[b], state.past_db[b])


@compiled
def connect(link: Any, u: int) -> None:
    """A UE has gone to another cell: T310 stops (TS 36.331 5.3.5.4), and all is counted from nothing."""
    link.out_of_sync[u], link.in_sync[u], link.t310[u], link.heard[u] = 0, 0, STOPPED, 0


@compiled
def monitor(rules: Any, state: Any, slot: int, begin_db: Any, end_db: Any) -> None:
    """Watches the radio links in a slot of an interval, in which the SINR (U,) goes evenly from one to the other.

    UEs whose links had failed before the measurement in the slot are lost: they search a cell.
    """
    if rules.by_frames:
        _assess_frames(rules, state, slot, begin_db, end_db)
    elif slot > 0:
        _assess_measurement(rules, state, begin_db, end_db)


@compiled
def _assess_measurement(rules: Any, state: Any, begin_db: Any, end_db: Any) -> None:
    """The SINR in the middle of the slot stands for all that the UE has heard since the measurement before."""
    link = state.radio_link
    for u in range(len(begin_db)):
        sinr_db = _HALF * (begin_db[u] + end_db[u])
        if link.t310[u] == STOPPED:
            link.out_of_sync[u] = link.out_of_sync[u] + 1 if sinr_db < _Q_OUT_DB else 0
            if link.out_of_sync[u] == rules.n310:
                link.t310[u], link.in_sync[u] = 0, 0
        else:
            link.t310[u] += 1
            link.in_sync[u] = link.in_sync[u] + 1 if sinr_db >= _Q_IN_DB else 0
            if link.in_sync[u] == rules.n311:
                link.t310[u], link.out_of_sync[u] = STOPPED, 0
        state.lost[u] = link.t310[u] > rules.t310


@compiled
def _add_frames(rules: Any, slot: int, begin_db: Any, end_db: Any, sums: Any, count: int) -> int:
    """Goes on with the sums of the SINR over 0, 1, ... frames by those of a slot; returns how many frames it are."""
    change = 0.1 * (np.float64(end_db) - np.float64(begin_db))
    power = 10.0 ** (0.1 * np.float64(begin_db) + change * rules.first[slot])
    ratio = 10.0 ** (change * rules.step[slot])
    for _ in range(rules.frames[slot]):
        sums[count + 1] = sums[count] + power
        power *= ratio
        count += 1
    return count


@compiled
def _assess_frames(rules: Any, state: Any, slot: int, begin_db: Any, end_db: Any) -> None:
    """An indication in each frame: in-sync if the last 100 ms were better than Qin, else out-of-sync if the last 200 ms
    were worse than Qout, else none, which counts for nothing (TS 36.331 5.3.11.2, note 2)."""
    link, frames = state.radio_link, rules.frames[slot]
    past_db, lowest_db = link.past_db, np.minimum(begin_db, end_db)
    for piece in range(_PIECES):
        for u in range(len(begin_db)):
            low_db = min(past_db[piece, 0, u], past_db[piece, 1, u])
            lowest_db[u] = min(lowest_db[u], low_db)
    sums = np.zeros(1 + (_PIECES + 1) * (Q_OUT_FRAMES + 1))
    for u in range(len(begin_db)):
        # Most links are far from all this.
        if lowest_db[u] >= _Q_OUT_DB and link.out_of_sync[u] == 0 and link.t310[u] == STOPPED:
            continue
        if link.t310[u] >= rules.t310:
            # A UE whose link has failed hands over no more.
            state.due[u] = False
            state.lost[u] |= slot > 0
            link.t310[u] += frames
            continue
        known = 0
        for piece in range(_PIECES):
            known = _add_frames(rules, slot - _PIECES + piece, past_db[piece, 0, u], past_db[piece, 1, u], sums, known)
        oldest = known - link.heard[u]
        _add_frames(rules, slot, begin_db[u], end_db[u], sums, known)
        for frame in range(frames):
            end = known + frame + 1
            is_in = end - Q_IN_FRAMES >= max(oldest, 0) and sums[end] - sums[end - Q_IN_FRAMES] > _SUM_IN
            is_out = end - Q_OUT_FRAMES >= max(oldest, 0) and sums[end] - sums[end - Q_OUT_FRAMES] < _SUM_OUT
            if link.t310[u] == STOPPED:
                if is_in:
                    link.out_of_sync[u] = 0
                elif is_out:
                    link.out_of_sync[u] += 1
                    if link.out_of_sync[u] == rules.n310:
                        link.t310[u], link.in_sync[u] = 0, 0
            else:
                link.t310[u] += 1
                if is_in:
                    link.in_sync[u] += 1
                    if link.in_sync[u] == rules.n311:
                        link.t310[u], link.out_of_sync[u] = STOPPED, 0
                elif is_out:
                    link.in_sync[u] = 0
            if link.t310[u] >= rules.t310:
                state.due[u], state.lost[u] = False, frame < rules.frames_before[slot]
                link.t310[u] += frames - 1 - frame
                break
    for u in range(len(begin_db)):
        link.heard[u] += frames
        past_db[0, 0, u], past_db[0, 1, u] = past_db[1, 0, u], past_db[1, 1, u]
        past_db[1, 0, u], past_db[1, 1, u] = begin_db[u], end_db[u]
