"""Serving cells: event A3 with cell individual offsets, and the cell selection after a radio link failure.

Both look at the grid of ns-3's L1 measurements: the event decides on L3-filtered, unquantised RSRP.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cf_augment.physics.closed_form.radio_link import LinkRules, connect
from cf_augment.physics.closed_form.state import NONE, HandoverState
from cf_augment.physics.constants import L1_PERIOD_S, L3_COEFFICIENT
from cf_augment.physics.radio.vector_math import compiled, part
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import AnyFloats, Ints, Singles

_NEW = np.float32(L3_COEFFICIENT)
_OLD = np.float32(1 - L3_COEFFICIENT)
_HALF_DB, _NOTHING_DBM = np.float32(0.5), np.float32(-1e30)


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
def configure(rules: Rules, state: HandoverState, cio_db: Singles, hysteresis_db: Singles) -> None:
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
def measure(rules: Rules, state: HandoverState, l1_dbm: AnyFloats, period: int) -> None:
    """Takes one L1 measurement of (C, K, U) and evaluates the event.

    A neighbour is due when the entering condition held at all measurements during the time to trigger (5.5.4.1).
    """
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
    reach_db = state.cio_db.max() - rules.offset_db - state.hysteresis_db.min() + _HALF_DB
    for u in range(ues):
        entered, due = False, False
        # Most UEs are far from the border.
        if state.entered[u] or other_dbm[u] + reach_db > state.l3_dbm[state.serving[u], u]:
            entered, due = _evaluate(rules, state, u)
        state.entered[u], state.due[u] = entered, due


@part
def _evaluate(rules: Rules, state: HandoverState, u: int) -> tuple[bool, bool]:
    """Evaluates the event for one UE: whether a neighbour has entered, and whether one is due."""
    cell, entered, due = state.serving[u], False, False
    own_dbm = state.l3_dbm[cell, u]
    own_dbm += rules.offset_db
    for pair in range(rules.first[cell], rules.first[cell + 1]):
        neighbor = rules.neighbors[pair]
        margin_db = state.l3_dbm[neighbor, u] + state.cio_db[pair] - own_dbm
        if margin_db > state.hysteresis_db[cell]:
            state.age[neighbor, u] += 1
            entered = True
            due |= state.age[neighbor, u] == rules.firing_age
        elif state.entered[u]:
            state.age[neighbor, u] = NONE
    return entered, due


@compiled
def trigger(rules: Rules, state: HandoverState) -> None:
    """Starts handovers where the time to trigger expires, `phase_s` after the last measurement.

    Of neighbours that are due at the same time, the network chooses the one with the greatest biased RSRP.
    """
    for u in range(len(state.serving)):
        state.target[u] = NONE
        if state.lost[u] or not state.due[u]:
            continue
        cell, best_dbm = state.serving[u], -np.inf
        for pair in range(rules.first[cell], rules.first[cell + 1]):
            neighbor = rules.neighbors[pair]
            biased_dbm = state.l3_dbm[neighbor, u] + state.cio_db[pair]
            if state.age[neighbor, u] == rules.firing_age and biased_dbm > best_dbm:
                best_dbm, state.target[u] = biased_dbm, neighbor


@compiled
def complete(links: LinkRules, state: HandoverState) -> None:
    """Ends the handovers that have started, and connects lost UEs to the strongest cell; queues are lost with them."""
    for u in range(len(state.serving)):
        if state.lost[u]:
            state.target[u] = state.l3_dbm[:, u].argmax()
        if state.target[u] != NONE:
            state.serving[u], state.target[u] = state.target[u], NONE
            state.age[:, u], state.entered[u], state.due[u] = NONE, False, False
            connect(links, state.radio_link, u)
            state.lost[u] = False
            # The RLC UM queue is lost with the bearer.
            state.backlog[u] = 0.0
