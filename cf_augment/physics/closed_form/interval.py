"""A control interval of many environments in one compiled loop, one after the other, each in the cache."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cf_augment.physics.closed_form.control_region import (
    hear_grants,
    pace_in_control_region,
    sinr_of_serving_db,
    sinr_of_ue_db,
)
from cf_augment.physics.closed_form.data_region import pace_in_data_region
from cf_augment.physics.closed_form.data_region_tables import DataRegion
from cf_augment.physics.closed_form.handover import Rules, complete, configure, measure, trigger
from cf_augment.physics.closed_form.load import Queues, Service, serve, service_of
from cf_augment.physics.closed_form.radio_link import LinkRules, monitor
from cf_augment.physics.closed_form.slot import Downlink, Slot, new_downlink
from cf_augment.physics.closed_form.state import NONE, HandoverState, state_of
from cf_augment.physics.radio.links import Links
from cf_augment.physics.radio.receive import receive_interval
from cf_augment.physics.radio.rsrp import Reception
from cf_augment.physics.radio.vector_math import allocating_part, compiled, part
from sumo_mobility.base.arrays import AnyFloats, Floats, Ints, Singles


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


class Received(NamedTuple):
    """What the UEs receive in an interval; kernels see one environment, without B.

    Attributes:
        l1_dbm: (B, C, K, U) L1 measurements.
        power_mw: (B, C, S + 2, U) float32 power of a resource element at `Constants.times`.
    """

    l1_dbm: AnyFloats
    power_mw: Singles


class Parameters(NamedTuple):
    """The handover parameters of an interval, float32; kernels see one environment, without B.

    Attributes:
        cio_db: (B, E).
        hysteresis_db: (B, C) of serving cells.
    """

    cio_db: Singles
    hysteresis_db: Singles


class CellChanges(NamedTuple):
    """Handovers and failures at the beginning of the K slots 1, 2, ...; kernels see one environment, without B.

    Attributes:
        source: (B, K, U) the cell that serves the UE.
        target: (B, K, U) the cell to which a handover starts, -1 where none does.
        selected: (B, K, U) the cell that a UE selects whose radio link has failed, -1 where none has.
    """

    source: Ints
    target: Ints
    selected: Ints


class Outcome(NamedTuple):
    """What an interval brings; kernels see one environment, without B.

    Attributes:
        service: To which the interval is added.
        changes: The cells that UEs change.
        rsrp_dbm: (B, U, C) the last L1 measurement.
        sinr_db: (B, U) at the end of the interval.
    """

    service: Service
    changes: CellChanges
    rsrp_dbm: Floats
    sinr_db: Floats

    @classmethod
    def empty(cls, environments: int, periods: int, cells: int, ues: int) -> Outcome:
        """Returns an outcome to be filled in."""
        return cls(
            Service.nothing(environments, cells, ues),
            CellChanges(*(np.empty((environments, periods, ues), np.int64) for _ in range(3))),
            np.empty((environments, ues, cells)),
            np.empty((environments, ues)),
        )


@compiled
def outcome_of(outcome: Outcome, b: int) -> Outcome:
    """Returns one environment of an Outcome."""
    source, target, selected = outcome.changes
    return Outcome(
        service_of(outcome.service, b), CellChanges(source[b], target[b], selected[b]), outcome.rsrp_dbm[b],
        outcome.sinr_db[b],
    )  # fmt: skip


@allocating_part
def serve_slot(constants: Constants, slot: Slot, downlink: Downlink, service: Service) -> None:
    """Lets one environment's cells send for the duration of a slot, and adds what they do to `service`."""
    pace = downlink.pace
    hear_grants(constants.reception, slot, pace)
    if constants.data.used:
        pace_in_data_region(constants.data, constants.queues, slot, downlink)
    else:
        pace_in_control_region(constants.reception, constants.queues, slot, pace)
    serve(constants.queues, slot.serving, pace, slot.backlog, slot.duration_s, service)


@compiled
def _run(
    constants: Constants, received: Received, parameters: Parameters, state: HandoverState, outcome: Outcome
) -> None:
    """Runs one environment for a control interval: handovers, service and measurement, slot by slot."""
    rules, slots, ues = constants.rules, len(constants.slot_s), len(outcome.sinr_db)
    l1_dbm, power_mw = received
    downlink = new_downlink(len(l1_dbm) if constants.data.used else 0, ues)
    begin_db, end_db = np.empty(ues, np.float32), np.empty(ues, np.float32)
    configure(rules, state, parameters.cio_db, parameters.hysteresis_db)
    sinr_of_serving_db(constants.reception, power_mw, 0, state.serving, begin_db)
    for slot in range(slots):
        if slot > 0:
            if not constants.at_once:
                trigger(rules, state)
            _change_cells(constants, power_mw, slot, state, outcome.changes, begin_db)
        sinr_of_serving_db(constants.reception, power_mw, slot + 1, state.serving, end_db)
        serve_slot(
            constants,
            Slot(constants.slot_s[slot], state.serving, state.backlog, power_mw[:, slot + 1], begin_db, end_db),
            downlink,
            outcome.service,
        )
        if slot > 0:
            measure(rules, state, l1_dbm, slot - 1)
        monitor(constants.radio_link, state, slot, begin_db, end_db)
        if slot > 0 and constants.at_once:
            trigger(rules, state)
        begin_db, end_db = end_db, begin_db
    sinr_of_serving_db(constants.reception, power_mw, slots + 1, state.serving, end_db)
    outcome.sinr_db[:] = downlink.sinr_db if constants.data.used else end_db
    for c in range(len(l1_dbm)):
        for u in range(ues):
            outcome.rsrp_dbm[u, c] = l1_dbm[c, -1, u]


@part
def _change_cells(
    constants: Constants, power_mw: Singles, slot: int, state: HandoverState, changes: CellChanges, sinr_db: Singles
) -> None:
    """Ends the handovers that have started and connects lost UEs, at the beginning of a slot after the first.

    Args:
        constants: The constants.
        power_mw: (C, S + 2, U).
        slot: The slot.
        state: Changes.
        changes: Filled in for the slot.
        sinr_db: (U,) at the beginning of the slot; brought up to date for UEs that change their cell.
    """
    source, target, selected = changes.source[slot - 1], changes.target[slot - 1], changes.selected[slot - 1]
    for u in range(len(sinr_db)):
        source[u], target[u] = state.serving[u], state.target[u]
        selected[u] = u if state.lost[u] else NONE
    complete(constants.radio_link, state)
    for u in range(len(sinr_db)):
        if selected[u] != NONE:
            selected[u] = state.serving[u]
        if state.serving[u] != source[u]:
            sinr_db[u] = sinr_of_ue_db(constants.reception, power_mw, slot, u, state.serving[u])


@compiled
def run_on_given(
    constants: Constants, received: Received, parameters: Parameters, state: HandoverState, outcome: Outcome
) -> None:
    """Runs B environments for a control interval in which it is given what UEs receive.

    Args:
        constants: What does not change.
        received: What the UEs receive.
        parameters: In force at all measurements of the interval.
        state: The state at its beginning; then that at its end.
        outcome: Filled in; the interval is added to its `service`.
    """
    for b in range(len(received.l1_dbm)):
        given = Received(received.l1_dbm[b], received.power_mw[b])
        configured = Parameters(parameters.cio_db[b], parameters.hysteresis_db[b])
        _run(constants, given, configured, state_of(state, b), outcome_of(outcome, b))


@compiled
def run(
    constants: Constants, position_m: Floats, parameters: Parameters, state: HandoverState, outcome: Outcome
) -> None:
    """Runs B environments for a control interval, and computes what the UEs receive.

    Args:
        constants: What does not change.
        position_m: (B, n + 1, U, 2) positions in equal steps.
        parameters: In force at all measurements of the interval.
        state: The state at its beginning; then that at its end.
        outcome: Filled in; the interval is added to its `service`.
    """
    periods, cells, ues = len(constants.slot_s) - 1, parameters.hysteresis_db.shape[1], position_m.shape[2]
    received = Received(
        np.empty((cells, periods, ues), np.float32), np.empty((cells, len(constants.times), ues), np.float32)
    )
    for b in range(len(position_m)):
        receive_interval(
            constants.links, position_m[b], constants.times, periods, received.l1_dbm, received.power_mw
        )  # fmt: skip
        configured = Parameters(parameters.cio_db[b], parameters.hysteresis_db[b])
        _run(constants, received, configured, state_of(state, b), outcome_of(outcome, b))


@compiled
def receive(links: Links, position_m: Floats, times: Floats, l1_dbm: Singles, power_mw: Singles) -> None:
    """Computes what the UEs of B environments receive, and nothing else; see `receive_interval`.

    Args:
        links: The constants of the links.
        position_m: (B, n + 1, U, 2) positions in equal steps.
        times: (P,) points in time, in these steps.
        l1_dbm: (B, C, K, U), filled in.
        power_mw: (B, C, P, U), filled in.
    """
    for b in range(len(position_m)):
        receive_interval(links, position_m[b], times, l1_dbm.shape[2], l1_dbm[b], power_mw[b])


@compiled
def warm_up(
    constants: Constants, power_mw: Singles, durations_s: Floats, state: HandoverState, service: Service,
    sinr_db: Floats,
) -> None:  # fmt: skip
    """Serves UEs that stand for some times in turn, each without memory of the one before but for the queues.

    Args:
        constants: What does not change.
        power_mw: (B, C, 1, U) what the UEs receive.
        durations_s: How long they are served each time.
        state: Of which the queues change.
        service: That of the last time, filled in.
        sinr_db: (B, U), filled in.
    """
    ues = sinr_db.shape[1]
    control_db = np.empty(ues, np.float32)
    for b in range(len(power_mw)):
        of_one, served = state_of(state, b), service_of(service, b)
        sinr_of_serving_db(constants.reception, power_mw[b], 0, of_one.serving, control_db)
        for duration_s in durations_s:
            for values in served:
                values[:] = 0
            downlink = new_downlink(len(power_mw[b]), ues)
            slot = Slot(duration_s, of_one.serving, of_one.backlog, power_mw[b, :, 0], control_db, control_db)
            serve_slot(constants, slot, downlink, served)
            sinr_db[b] = downlink.sinr_db if constants.data.used else control_db
