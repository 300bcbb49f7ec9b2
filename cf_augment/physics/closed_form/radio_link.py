"""Radio link failure: when a UE has lost its cell (TS 36.331 5.3.11).

N310 consecutive out-of-sync indications start T310, N311 consecutive in-sync indications stop it, and its expiry is the
failure. Profile `ns3` has ns-3's indications, of periods that follow each other, on the grid of L1 measurements.
Profile `3gpp` assesses the quality in each radio frame: the mean SINR over the last 200 ms for Qout, and over the last
100 ms for Qin (TS 36.213 4.2.1, TS 36.133 7.6), all of them in the serving cell.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cf_augment.physics.closed_form.state import PAST_SLOTS, STOPPED, HandoverState, LinkState
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
from cf_augment.physics.radio.vector_math import compiled, part
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats, Ints, Singles

_HALF, _Q_OUT_DB, _Q_IN_DB = np.float32(0.5), np.float32(Q_OUT_DB), np.float32(Q_IN_DB)
_SUM_OUT, _SUM_IN = Q_OUT_FRAMES * 10 ** (Q_OUT_DB / 10), Q_IN_FRAMES * 10 ** (Q_IN_DB / 10)
"""Sums of the SINR over the evaluation periods at the thresholds."""


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
def connect(rules: LinkRules, link: LinkState, u: int) -> None:
    """A UE has gone to another cell: T310 stops (TS 36.331 5.3.5.4), and all is counted from nothing.

    Where T310 does not run, ns-3 counts on (LteUeRrc::DoRecvRrcConnectionReconfiguration): a UE that is out of sync in
    one cell after the other loses its link as if it had stayed in one.
    """
    if not rules.by_frames and link.t310[u] == STOPPED:
        return
    link.out_of_sync[u], link.in_sync[u], link.t310[u], link.heard[u] = 0, 0, STOPPED, 0


@compiled
def monitor(rules: LinkRules, state: HandoverState, slot: int, begin_db: Singles, end_db: Singles) -> None:
    """Watches the radio links in a slot of an interval, in which the SINR (U,) goes evenly from one to the other.

    UEs whose links had failed before the measurement in the slot are lost: they search a cell.
    """
    if rules.by_frames:
        _assess_frames(rules, state, slot, begin_db, end_db)
    elif slot > 0:
        _assess_measurement(rules, state, begin_db, end_db)


@compiled
def _assess_measurement(rules: LinkRules, state: HandoverState, begin_db: Singles, end_db: Singles) -> None:
    """Counts an indication of ns-3 for each UE, by the SINR in the middle of the slot, which stands for all that the UE
    has heard since the measurement before."""
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
def _assess_frames(rules: LinkRules, state: HandoverState, slot: int, begin_db: Singles, end_db: Singles) -> None:
    """Counts the indications of the frames of a slot for each UE, and remembers the SINR of the slot.

    A UE whose link has failed hands over no more.
    """
    link, frames = state.radio_link, rules.frames[slot]
    past_db, lowest_db = link.past_db, np.minimum(begin_db, end_db)
    for piece in range(PAST_SLOTS):
        for u in range(len(begin_db)):
            low_db = min(past_db[piece, 0, u], past_db[piece, 1, u])
            lowest_db[u] = min(lowest_db[u], low_db)
    sums = np.zeros(1 + (PAST_SLOTS + 1) * (Q_OUT_FRAMES + 1))
    for u in range(len(begin_db)):
        # Most links are far from all this.
        if lowest_db[u] >= _Q_OUT_DB and link.out_of_sync[u] == 0 and link.t310[u] == STOPPED:
            continue
        if link.t310[u] >= rules.t310:
            state.due[u] = False
            state.lost[u] |= slot > 0
            link.t310[u] += frames
        else:
            failed = _assess_ue(rules, link, slot, u, begin_db[u], end_db[u], sums)
            if failed < frames:
                state.due[u], state.lost[u] = False, failed < rules.frames_before[slot]
                link.t310[u] += frames - 1 - failed
    for u in range(len(begin_db)):
        link.heard[u] += frames
        past_db[0, 0, u], past_db[0, 1, u] = past_db[1, 0, u], past_db[1, 1, u]
        past_db[1, 0, u], past_db[1, 1, u] = begin_db[u], end_db[u]


@part
def _assess_ue(
    rules: LinkRules, link: LinkState, slot: int, u: int, begin_db: np.float32, end_db: np.float32, sums: Floats
) -> int:
    """Counts the indications of one UE in a slot: in-sync if the last 100 ms were better than Qin, else out-of-sync if
    the last 200 ms were worse than Qout, else none, which counts for nothing (TS 36.331 5.3.11.2, note 2).

    Args:
        rules: The constants.
        link: Of which the UE's counters change.
        slot: The slot.
        u: The UE.
        begin_db: Its SINR at the beginning of the slot.
        end_db: That at the end.
        sums: Scratch, for sums of the SINR over 0, 1, ... frames of the last slots; the first is 0.

    Returns:
        The frame of the slot in which the link fails, or the number of frames if it does not.
    """
    known, past_db = 0, link.past_db
    for piece in range(PAST_SLOTS):
        known = _add_frames(rules, slot - PAST_SLOTS + piece, past_db[piece, 0, u], past_db[piece, 1, u], sums, known)
    oldest = known - link.heard[u]
    _add_frames(rules, slot, begin_db, end_db, sums, known)
    for frame in range(rules.frames[slot]):
        end = known + frame + 1
        is_in = end - Q_IN_FRAMES >= max(oldest, 0) and sums[end] - sums[end - Q_IN_FRAMES] > _SUM_IN
        is_out = end - Q_OUT_FRAMES >= max(oldest, 0) and sums[end] - sums[end - Q_OUT_FRAMES] < _SUM_OUT
        _indicate(rules, link, u, is_in, is_out)
        if link.t310[u] >= rules.t310:
            return frame
    return rules.frames[slot]


@part
def _add_frames(
    rules: LinkRules, slot: int, begin_db: np.float32, end_db: np.float32, sums: Floats, count: int
) -> int:  # fmt: skip
    """Goes on with the sums of the SINR over 0, 1, ..., `count` frames by those of a slot; returns how many frames
    there are then."""
    change = 0.1 * (np.float64(end_db) - np.float64(begin_db))
    power = 10.0 ** (0.1 * np.float64(begin_db) + change * rules.first[slot])
    ratio = 10.0 ** (change * rules.step[slot])
    for _ in range(rules.frames[slot]):
        sums[count + 1] = sums[count] + power
        power *= ratio
        count += 1
    return count


@part
def _indicate(rules: LinkRules, link: LinkState, u: int, is_in: bool, is_out: bool) -> None:
    """Counts the indication of one frame, and starts or stops T310 by N310 and N311."""
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
