"""A control interval of many environments in one compiled loop, one after the other, each in the cache."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cf_augment.physics.closed_form.coupling import new_coupling
from cf_augment.physics.closed_form.data_region import DataRegion, pace_in_data_region
from cf_augment.physics.closed_form.handover import NONE, Rules, complete, configure, measure, state_of, trigger
from cf_augment.physics.closed_form.load import Queues, new_pace, serve, service_of
from cf_augment.physics.closed_form.radio_link import LinkRules, monitor
from cf_augment.physics.radio.links import Links
from cf_augment.physics.radio.receive import receive_interval
from cf_augment.physics.radio.rsrp import Reception
from cf_augment.physics.radio.vector_math import compiled, log10
from sumo_mobility.base.arrays import Floats, Ints

_ZERO, _HALF, _ONE, _TEN = np.float32(0), np.float32(0.5), np.float32(1), np.float32(10)
_LEAST_DB = np.float32(1e-6)


class Constants(NamedTuple):
    """All that does not change from interval to interval; S slots, of which each but the first ends with an L1
    measurement, or soon after it."""

    links: Links
    reception: Reception
    rules: Rules
    radio_link: LinkRules
    queues: Queues
    data: DataRegion
    slot_s: Floats
    """(S,) how long each lasts."""
    times: Floats
    """(S + 2,) where each slot begins and the last one ends, earlier by the age of the CQI, and the interval's end,
    in steps of the positions."""
    at_once: bool
    """Whether the time to trigger expires at a measurement and not between two."""


class Moves(NamedTuple):
    """Handovers and failures at the beginning of the K slots 1, 2, ...

    Attributes:
        source: (B, K, U) the cell that serves the UE.
        target: (B, K, U) the cell to which a handover starts, -1 where none does.
        selected: (B, K, U) the cell that a UE selects whose radio link has failed, -1 where none has.
    """

    source: Ints
    target: Ints
    selected: Ints


class Seen(NamedTuple):
    """The UEs at the end of the interval.

    Attributes:
        rsrp_dbm: (B, U, C) the last L1 measurement.
        sinr_db: (B, U).
    """

    rsrp_dbm: Floats
    sinr_db: Floats


@compiled
def sinr_of_serving_db(reception: Any, received_mw: Any, point: int, serving: Any, sinr_db: Any) -> None:
    """Fills in the SINR (U,) of the control region, in which every cell transmits, from powers (C, P, U)."""
    ues, cell = len(serving), serving.astype(np.int32)
    others = np.full(ues, reception.noise_mw)
    for c in range(len(received_mw)):
        power, this = received_mw[c, point], np.int32(c)
        for u in range(ues):
            other = power[u]
            others[u] += other if cell[u] != this else _ZERO
    for u in range(ues):
        sinr_db[u] = received_mw[serving[u], point, u]
    for u in range(ues):
        sinr_db[u] = _TEN * (log10(sinr_db[u]) - log10(others[u]))


@compiled
def _sinr_db(reception: Any, received_mw: Any, point: int, u: int, serving: int) -> Any:
    """Returns the SINR of one UE at a point in time."""
    others = reception.noise_mw
    for c in range(len(received_mw)):
        if c != serving:
            others += received_mw[c, point, u]
    return _TEN * (log10(received_mw[serving, point, u]) - log10(others))


@compiled
def pace_in_control_region(constants: Any, begin_db: Any, end_db: Any, pace: Any) -> None:
    """Fills in the Pace of a slot in which the SINR (U,) goes evenly from one to the other."""
    reception, queues = constants.reception, constants.queues
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


@compiled
def hear_grants(reception: Any, begin_db: Any, end_db: Any, pace: Any) -> None:
    """Fills in how many grants UEs decode in the control region, in the middle of a slot."""
    steps_db = reception.control_step_db
    for u in range(len(begin_db)):
        middle_db = _HALF * (begin_db[u] + end_db[u])
        pace.grant_received[u] = _ONE
        if middle_db < steps_db[-1]:
            pace.grant_received[u] = reception.grant_received[np.searchsorted(steps_db, middle_db, side="right")]


@compiled
def serve_slot(
    constants: Any, state: Any, received_mw: Any, begin_db: Any, end_db: Any, duration_s: float, coupling: Any,
    pace: Any, service: Any, data_db: Any,
) -> None:  # fmt: skip
    """Lets one environment's cells send for `duration_s`, in which the SINR (U,) of the control region goes evenly from
    one to the other; powers (C, U) and the SINR (U,) of the data region are those of all of it."""
    queues, serving, backlog = constants.queues, state.serving, state.backlog
    hear_grants(constants.reception, begin_db, end_db, pace)
    if constants.data.used:
        pace_in_data_region(
            constants.data, queues, received_mw, serving, backlog, duration_s, coupling, pace, data_db
        )  # fmt: skip
    else:
        pace_in_control_region(constants, begin_db, end_db, pace)
    serve(queues, serving, pace, backlog, duration_s, service)


@compiled
def _run(
    constants: Any, l1_dbm: Any, received_mw: Any, cio_db: Any, hysteresis_db: Any, state: Any, service: Any,
    source: Any, target: Any, selected: Any, seen_dbm: Any, sinr_db: Any,
) -> None:  # fmt: skip
    """Runs one environment; L1 measurements (C, K, U) and powers (C, S + 2, U) are given."""
    rules, slots, ues = constants.rules, len(constants.slot_s), len(sinr_db)
    pace, coupling = new_pace(ues), new_coupling(len(l1_dbm) if constants.data.used else 0, ues)
    begin_db, end_db = np.empty(ues, np.float32), np.empty(ues, np.float32)
    data_db, lost = np.empty(ues, np.float32), np.empty(ues, np.bool_)
    configure(rules, state, cio_db, hysteresis_db)
    sinr_of_serving_db(constants.reception, received_mw, 0, state.serving, begin_db)
    for slot in range(slots):
        if slot > 0:
            if not constants.at_once:
                trigger(rules, state)
            source[slot - 1], target[slot - 1], lost[:] = state.serving, state.target, state.lost
            complete(state)
            for u in range(ues):
                selected[slot - 1, u] = state.serving[u] if lost[u] else NONE
                if state.serving[u] != source[slot - 1, u]:
                    begin_db[u] = _sinr_db(constants.reception, received_mw, slot, u, state.serving[u])
        sinr_of_serving_db(constants.reception, received_mw, slot + 1, state.serving, end_db)
        serve_slot(
            constants, state, received_mw[:, slot + 1], begin_db, end_db, constants.slot_s[slot], coupling, pace,
            service, data_db,
        )  # fmt: skip
        if slot > 0:
            measure(rules, state, l1_dbm, slot - 1)
        monitor(constants.radio_link, state, slot, begin_db, end_db)
        if slot > 0 and constants.at_once:
            trigger(rules, state)
        begin_db, end_db = end_db, begin_db
    sinr_of_serving_db(constants.reception, received_mw, slots + 1, state.serving, end_db)
    sinr_db[:] = data_db if constants.data.used else end_db
    for c in range(len(l1_dbm)):
        for u in range(ues):
            seen_dbm[u, c] = l1_dbm[c, -1, u]


@compiled
def run_on_given(
    constants: Any, l1_dbm: Any, received_mw: Any, cio_db: Any, hysteresis_db: Any, state: Any, service: Any,
    moves: Any, seen: Any,
) -> None:  # fmt: skip
    """Runs B environments for a control interval with links that are given.

    Args:
        constants: The Constants.
        l1_dbm: (B, C, K, U) L1 measurements.
        received_mw: (B, C, S + 2, U) float32 power of a resource element at `times`.
        cio_db: (B, E) float32.
        hysteresis_db: (B, C) float32.
        state: The HandoverState, which changes.
        service: Service, to which the interval is added.
        moves: Moves, filled in.
        seen: Seen, filled in.
    """
    for b in range(len(l1_dbm)):
        _run(
            constants, l1_dbm[b], received_mw[b], cio_db[b], hysteresis_db[b], state_of(state, b),
            service_of(service, b), moves.source[b], moves.target[b], moves.selected[b], seen.rsrp_dbm[b],
            seen.sinr_db[b],
        )  # fmt: skip


@compiled
def run(
    constants: Any, position_m: Any, cio_db: Any, hysteresis_db: Any, state: Any, service: Any, moves: Any, seen: Any
) -> None:
    """Runs B environments for a control interval, links included.

    Args:
        constants: The Constants.
        position_m: (B, n + 1, U, 2) float64 positions in equal steps.
        cio_db, hysteresis_db, state, service, moves, seen: as in `run_on_given`.
    """
    periods, cells, ues = len(constants.slot_s) - 1, hysteresis_db.shape[1], position_m.shape[2]
    l1_dbm = np.empty((cells, periods, ues), np.float32)
    received_mw = np.empty((cells, len(constants.times), ues), np.float32)
    for b in range(len(position_m)):
        receive_interval(constants.links, position_m[b], constants.times, periods, l1_dbm, received_mw)
        _run(
            constants, l1_dbm, received_mw, cio_db[b], hysteresis_db[b], state_of(state, b), service_of(service, b),
            moves.source[b], moves.target[b], moves.selected[b], seen.rsrp_dbm[b], seen.sinr_db[b],
        )  # fmt: skip


@compiled
def warm_up(constants: Any, received_mw: Any, durations_s: Any, state: Any, service: Any, sinr_db: Any) -> None:
    """Serves UEs that receive powers (B, C, 1, U) for some times in turn, of which the last counts."""
    ues = sinr_db.shape[1]
    pace, sinr, heard_db = new_pace(ues), np.empty(ues, np.float32), np.empty(ues, np.float32)
    for b in range(len(received_mw)):
        one, bring = state_of(state, b), service_of(service, b)
        sinr_of_serving_db(constants.reception, received_mw[b], 0, one.serving, sinr)
        for duration_s in durations_s:
            for values in bring:
                values[:] = 0
            coupling = new_coupling(len(received_mw[b]), ues)
            serve_slot(
                constants, one, received_mw[b, :, 0], sinr, sinr, duration_s, coupling, pace, bring, heard_db
            )  # fmt: skip
        sinr_db[b] = heard_db if constants.data.used else sinr
