"""State of the UEs in the closed form: their cells, what they have measured, their radio links and queues."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from cf_augment.physics.radio.vector_math import compiled
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import AnyFloats, Bools, Floats, Ints, Singles

NONE = -1
"""Age of a neighbour whose entering condition does not hold; target of a UE that stays."""
STOPPED = -1
"""The value of a T310 that does not run."""
PAST_SLOTS = 2
"""Slots before this one that hold all of the last Q_OUT_FRAMES - 1 frames: they last for L1_PERIOD_S at least."""


class LinkState(NamedTuple):
    """State of the UEs' radio links; kernels see one environment, without B.

    Attributes:
        out_of_sync: (B, U) consecutive out-of-sync indications before T310 starts.
        in_sync: (B, U) consecutive in-sync indications while T310 runs.
        t310: (B, U) periods since T310 started, whether or not it has expired by now; STOPPED where it does not run.
        heard: (B, U) frames in which the UE has heard its serving cell.
        past_db: (B, PAST_SLOTS, 2, U) SINR at the beginning and the end of the last slots.
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
        past_db = np.zeros((environments, PAST_SLOTS, 2, ues), np.float32)
        return cls(none, none.copy(), np.full_like(none, STOPPED), none.copy(), past_db)


class HandoverState(NamedTuple):
    """State of the UEs between measurements; kernels see one environment, without B.

    Attributes:
        serving: (B, U) index of the serving cell.
        l3_dbm: (B, C, U) filtered RSRP.
        age: (B, C, U) measurements since the entering condition holds, NONE where it does not.
        entered: (B, U) whether it does for a neighbour.
        due: (B, U) whether the time to trigger of a neighbour expires before the next measurement.
        target: (B, U) cell to which a handover has started, NONE where none has.
        radio_link: What tells whether the radio links hold.
        lost: (B, U) whether the radio link has failed and the UE searches a cell.
        backlog: (B, U) packets in the UE's queue.
        cio_db: (B, E) float32, by which the UEs' measurements are configured.
        hysteresis_db: (B, C) float32, likewise.
    """

    serving: Ints
    l3_dbm: AnyFloats
    age: NDArray[np.int32]
    entered: Bools
    due: Bools
    target: Ints
    radio_link: LinkState
    lost: Bools
    backlog: Floats
    cio_db: Singles
    hysteresis_db: Singles

    @classmethod
    def attached(cls, rsrp_dbm: AnyFloats, scenario: Scenario) -> HandoverState:
        """UEs in the cell of the greatest RSRP (B, C, U), as ns-3's idle mode selects it; nothing is queued."""
        serving = rsrp_dbm.argmax(axis=1)
        cio_db = np.zeros((len(rsrp_dbm), len(scenario.neighbor_pairs)), np.float32)
        hysteresis_db = np.full(rsrp_dbm.shape[:2], scenario.handover.hysteresis_db, np.float32)
        age = np.full(rsrp_dbm.shape, NONE, np.int32)
        none, no = np.full_like(serving, NONE), np.zeros(serving.shape, np.bool_)
        link = LinkState.connected(*serving.shape)
        return cls(
            serving, rsrp_dbm.copy(), age, no, no.copy(), none, link, no.copy(), np.zeros(serving.shape), cio_db,
            hysteresis_db,
        )  # fmt: skip

    def copies(self, count: int) -> HandoverState:
        """Returns the state of the first environment `count` times."""

        def repeated(values: Any) -> Any:
            return type(values)(*map(repeated, values)) if isinstance(values, tuple) else values[:1].repeat(count, 0)

        state: HandoverState = repeated(self)
        return state


@compiled
def link_state_of(state: LinkState, b: int) -> LinkState:
    """Returns one environment of a LinkState."""
    return LinkState(state.out_of_sync[b], state.in_sync[b], state.t310[b], state.heard[b], state.past_db[b])


@compiled
def state_of(state: HandoverState, b: int) -> HandoverState:
    """Returns one environment of a HandoverState."""
    return HandoverState(
        state.serving[b], state.l3_dbm[b], state.age[b], state.entered[b], state.due[b], state.target[b],
        link_state_of(state.radio_link, b), state.lost[b], state.backlog[b], state.cio_db[b], state.hysteresis_db[b],
    )  # fmt: skip
