"""Serving cells: event A3 with cell individual offsets, and the cell selection after a radio link failure.

Both look at the grid of ns-3's L1 measurements: the event decides on L3-filtered, unquantised RSRP.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cf_augment.physics.closed_form.radio_link import LinkState, connect, link_state_of
from cf_augment.physics.constants import L1_PERIOD_S, L3_COEFFICIENT
from cf_augment.physics.radio.vector_math import compiled
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import AnyFloats, Bools, Floats, Ints, Singles

NONE = -1
"""Age of a neighbour whose entering condition does not hold; target of a UE that stays."""
_NEW = np.float32(L3_COEFFICIENT)
_OLD = np.float32(1 - L3_COEFFICIENT)
_HALF_DB, _NOTHING_DBM = np.float32(0.5), np.float32(-1e30)


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


class Rules(NamedTuple):
    """The constants of the automata; cell s hands over to neighbors[first[s] : first[s + 1]]."""

    first: Ints
    neighbors: Ints
    offset_db: np.float32
    firing_age: int


class Connection:
    """The automaton of TS 36.331 5.5.4.4 (event A3)."""

    def __init__(self, scenario: Scenario, device: torch.device) -> None:
        handover = scenario.handover
        period_ms = round(L1_PERIOD_S * 1000)
        self.phase_s = handover.time_to_trigger_ms % period_ms / 1000
        """Time from a measurement to the expiry of the time to trigger before the next measurement."""
        pairs = np.array(scenario.neighbor_pairs)
        self._pair_serving, self._pair_neighbor = torch.from_numpy(pairs).to(device).unbind(dim=1)
        self._cells = len(scenario.cells)
        self._both_ways = scenario.profile == "paper"
        self.rules = Rules(
            first=np.searchsorted(pairs[:, 0], np.arange(self._cells + 1)),
            neighbors=np.ascontiguousarray(pairs[:, 1]),
            offset_db=np.float32(handover.a3_offset_db),
            firing_age=handover.time_to_trigger_ms // period_ms,
        )

    def offsets_db(self, cio_db: Tensor) -> Tensor:
        """Spreads the CIO (..., E) to a matrix (..., C, C) [neighbour, serving], minus infinity elsewhere.

        In profile `paper`, what counts is CIO_sn - CIO_ns.
        """
        matrix = cio_db.new_full((*cio_db.shape[:-1], self._cells, self._cells), -torch.inf)
        matrix[..., self._pair_neighbor, self._pair_serving] = cio_db
        return matrix - matrix.mT.nan_to_num(neginf=0.0) if self._both_ways else matrix


@compiled
def state_of(state: Any, b: int) -> Any:
    """Returns one environment of a HandoverState."""
    return HandoverState(
        state.serving[b], state.l3_dbm[b], state.age[b], state.entered[b], state.due[b], state.target[b],
        link_state_of(state.radio_link, b), state.lost[b], state.backlog[b], state.cio_db[b], state.hysteresis_db[b],
    )  # fmt: skip


@compiled
def configure(rules: Any, state: Any, cio_db: Any, hysteresis_db: Any) -> None:
    """Sets CIO (E,) and hysteresis (C,); where they differ from before, the cell reconfigures its UEs' measurements.

    What a UE has measured since a neighbour entered is void then, its time to trigger begins anew (TS 36.331 5.5.2.5
    for the CIO, which are one measurement object, 5.5.2.7 for the hysteresis). Its filter goes on.
    """
    cells = len(hysteresis_db)
    changed = np.zeros(cells, np.bool_)
    for cell in range(cells):
        first, last = rules.first[cell], rules.first[cell + 1]
        changed[cell] = hysteresis_db[cell] != state.hysteresis_db[cell]
        for pair in range(first, last):
            changed[cell] |= cio_db[pair] != state.cio_db[pair]
    for u in range(len(state.serving)):
        if state.entered[u] and changed[state.serving[u]]:
            state.age[:, u], state.entered[u], state.due[u] = NONE, False, False
    state.cio_db[:], state.hysteresis_db[:] = cio_db, hysteresis_db


@compiled
def measure(rules: Any, state: Any, l1_dbm: Any, period: int) -> None:
    """Takes one L1 measurement of (C, K, U) and evaluates the event.

    A neighbour is due when the entering condition held at all measurements during the time to trigger (5.5.4.1).
    """
    cio_db, hysteresis_db = state.cio_db, state.hysteresis_db
    ues = len(state.serving)
    other_dbm, serving = np.full(ues, _NOTHING_DBM), state.serving.astype(np.int32)
    for c in range(len(l1_dbm)):
        filtered, new, this = state.l3_dbm[c], l1_dbm[c, period], np.int32(c)
        for u in range(ues):
            filtered[u] = _OLD * filtered[u] + _NEW * new[u]
        for u in range(ues):
            value, other = np.float32(filtered[u]), other_dbm[u]
            value = value if serving[u] != this else _NOTHING_DBM
            other_dbm[u] = value if value > other else other
    reach_db = cio_db.max() - rules.offset_db - hysteresis_db.min() + _HALF_DB
    for u in range(ues):
        cell, entered, due = state.serving[u], False, False
        own_dbm = state.l3_dbm[cell, u]
        # Most UEs are far from the border.
        if state.entered[u] or other_dbm[u] + reach_db > own_dbm:
            own_dbm += rules.offset_db
            for pair in range(rules.first[cell], rules.first[cell + 1]):
                neighbor = rules.neighbors[pair]
                margin = state.l3_dbm[neighbor, u] + cio_db[pair] - own_dbm
                if margin > hysteresis_db[cell]:
                    state.age[neighbor, u] += 1
                    entered = True
                    due |= state.age[neighbor, u] == rules.firing_age
                elif state.entered[u]:
                    state.age[neighbor, u] = NONE
        state.entered[u], state.due[u] = entered, due


@compiled
def trigger(rules: Any, state: Any) -> None:
    """Starts handovers where the time to trigger expires, `phase_s` after the last measurement.

    Of neighbours that are due at the same time, the network chooses the one with the greatest biased RSRP.
    """
    for u in range(len(state.serving)):
        state.target[u] = NONE
        if state.lost[u] or not state.due[u]:
            continue
        cell, best = state.serving[u], -np.inf
        for pair in range(rules.first[cell], rules.first[cell + 1]):
            neighbor = rules.neighbors[pair]
            if state.age[neighbor, u] == rules.firing_age:
                biased = state.l3_dbm[neighbor, u] + state.cio_db[pair]
                if biased > best:
                    best, state.target[u] = biased, neighbor


@compiled
def complete(state: Any) -> None:
    """Ends the handovers that have started, and connects lost UEs to the strongest cell; queues are lost with them."""
    for u in range(len(state.serving)):
        if state.lost[u]:
            state.target[u] = state.l3_dbm[:, u].argmax()
        if state.target[u] != NONE:
            state.serving[u], state.target[u] = state.target[u], NONE
            state.age[:, u], state.entered[u], state.due[u] = NONE, False, False
            connect(state.radio_link, u)
            state.lost[u] = False
            # The RLC UM queue is lost with the bearer.
            state.backlog[u] = 0.0
