"""CQI from the control region, in which every cell transmits in each TTI: SINR, grants, and the pace of UEs."""

from __future__ import annotations

import numpy as np

from cf_augment.physics.closed_form.load import Pace, Queues
from cf_augment.physics.closed_form.slot import Slot
from cf_augment.physics.radio.phy import rank
from cf_augment.physics.radio.rsrp import Reception
from cf_augment.physics.radio.vector_math import compiled, log10, part
from sumo_mobility.base.arrays import Ints, Singles

_ZERO, _HALF, _ONE, _TEN = np.float32(0), np.float32(0.5), np.float32(1), np.float32(10)
_LEAST_DB = np.float32(1e-6)


@compiled
def sinr_of_serving_db(
    reception: Reception, received_mw: Singles, point: int, serving: Ints, sinr_db: Singles
) -> None:  # fmt: skip
    """Fills in the SINR of all UEs at a point in time.

    Args:
        reception: The constants.
        received_mw: (C, P, U) powers at P points in time.
        point: Index of the point.
        serving: (U,) serving cells.
        sinr_db: (U,), filled in.
    """
    ues, cell = len(serving), serving.astype(np.int32)
    others_mw = np.full(ues, reception.noise_mw)
    for c in range(len(received_mw)):
        power_mw, this = received_mw[c, point], np.int32(c)
        for u in range(ues):
            other_mw = power_mw[u]
            others_mw[u] += other_mw if cell[u] != this else _ZERO
    for u in range(ues):
        sinr_db[u] = received_mw[serving[u], point, u]
    for u in range(ues):
        sinr_db[u] = _TEN * (log10(sinr_db[u]) - log10(others_mw[u]))


@compiled
def sinr_of_ue_db(reception: Reception, received_mw: Singles, point: int, u: int, serving: int) -> np.float32:
    """Returns the SINR of one UE at a point in time, from powers (C, P, U)."""
    others_mw = reception.noise_mw
    for c in range(len(received_mw)):
        if c != serving:
            others_mw += received_mw[c, point, u]
    return _TEN * (log10(received_mw[serving, point, u]) - log10(others_mw))


@compiled
def pace_in_control_region(reception: Reception, queues: Queues, slot: Slot, pace: Pace) -> None:
    """Fills in the pace of a slot, but for `grant_received`: the mean over all CQIs that the SINR passes."""
    begin_db, end_db = slot.begin_db, slot.end_db
    high_db, per_db = np.empty_like(begin_db), np.empty_like(begin_db)
    for u in range(len(begin_db)):
        low_db = begin_db[u] if begin_db[u] < end_db[u] else end_db[u]
        high_db[u] = begin_db[u] if begin_db[u] > end_db[u] else end_db[u]
        per_db[u] = _ONE / (high_db[u] - low_db + _LEAST_DB)
        pace.alone[u], pace.packed[u] = _ZERO, _ZERO
    for cqi in range(len(queues.ttis_alone) - 1, 0, -1):
        threshold_db = reception.cqi_threshold_db[cqi - 1]
        alone = np.float32(queues.ttis_alone[cqi] - queues.ttis_alone[cqi - 1])
        packed = np.float32(queues.ttis_packed[cqi] - queues.ttis_packed[cqi - 1])
        for u in range(len(begin_db)):
            share = (high_db[u] - threshold_db) * per_db[u]
            share = share if share > _ZERO else _ZERO
            share = share if share < _ONE else _ONE
            pace.alone[u] += alone * share
            pace.packed[u] += packed * share
            pace.reached[u] = share
    for u in range(len(begin_db)):
        reached = pace.reached[u]
        pace.late[u] = _ONE - reached if begin_db[u] < end_db[u] and reached > _ZERO else _ZERO
        pace.packed[u] /= reached if reached > _ZERO else _ONE


@part
def hear_grants(reception: Reception, slot: Slot, pace: Pace) -> None:
    """Fills in the probability that UEs decode grants, at the SINR in the middle of a slot."""
    steps_db = reception.control_step_db
    for u in range(len(slot.begin_db)):
        middle_db = _HALF * (slot.begin_db[u] + slot.end_db[u])
        pace.grant_received[u] = _ONE
        if middle_db < steps_db[-1]:
            pace.grant_received[u] = reception.grant_received[rank(steps_db, middle_db)]
