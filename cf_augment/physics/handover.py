"""Who is served by which cell: event A3 with cell individual offsets, and radio link failure.

Both follow the ns-3 program on the grid of its L1 measurements: the event decides on L3-filtered, unquantised RSRP.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cf_augment.physics.constants import L1_PERIOD_S, L3_COEFFICIENT, OUT_OF_SYNC_S, Q_IN_DB, Q_OUT_DB, T310_S
from ns3_scenarios.scenario import Scenario

NONE = -1
"""Age of a neighbour whose entering condition does not hold; target of a UE that stays."""


@dataclass
class HandoverState:
    """What the UEs remember between measurements.

    Attributes:
        serving: (B, U) index of the serving cell.
        l3_dbm: (B, C, U) filtered RSRP.
        age: (B, C, U) measurements since the entering condition was met, NONE where it is not.
        target: (B, U) cell to which a handover has started, NONE where none has.
        out_of_sync: (B, U) measurements since the SINR fell below Qout.
        lost: (B, U) whether the radio link has failed and the UE searches a cell.
    """

    serving: Tensor
    l3_dbm: Tensor
    age: Tensor
    target: Tensor
    out_of_sync: Tensor
    lost: Tensor

    @classmethod
    def attached(cls, rsrp_dbm: Tensor) -> HandoverState:
        """UEs in the cell of the greatest RSRP, as ns-3's idle mode selects it."""
        serving = rsrp_dbm.argmax(dim=-2)
        age = torch.full(rsrp_dbm.shape, NONE, dtype=torch.int32, device=rsrp_dbm.device)
        none, in_sync = torch.full_like(serving, NONE), torch.zeros_like(serving)
        return cls(serving, rsrp_dbm, age, none, in_sync, in_sync > 0)


class Connection:
    """The automata of TS 36.331 5.5.4.4 (event A3) and 5.3.11 (radio link failure)."""

    def __init__(self, scenario: Scenario, device: torch.device) -> None:
        handover = scenario.handover
        period_ms = round(L1_PERIOD_S * 1000)
        self._offset_db = handover.a3_offset_db
        self._firing_age = handover.time_to_trigger_ms // period_ms
        self.phase_s = handover.time_to_trigger_ms % period_ms / 1000
        """From a measurement to the expiry of the time to trigger that falls before the next one."""
        self._t310_starts = round(OUT_OF_SYNC_S / L1_PERIOD_S)
        # The first measurement after the failure, at which the UE finds a cell.
        self._search = self._t310_starts + round(T310_S / L1_PERIOD_S) + 1
        pairs = torch.tensor(scenario.neighbor_pairs, device=device)
        self._pair_serving, self._pair_neighbor = pairs[:, 0], pairs[:, 1]
        self._cells = len(scenario.cells)

    def offsets_db(self, cio_db: Tensor) -> Tensor:
        """Spreads the CIO (..., E) to a matrix (..., C, C) [neighbour, serving], minus infinity elsewhere."""
        matrix = cio_db.new_full((*cio_db.shape[:-1], self._cells, self._cells), -torch.inf)
        matrix[..., self._pair_neighbor, self._pair_serving] = cio_db
        return matrix

    def measure(self, state: HandoverState, l1_dbm: Tensor, offsets_db: Tensor, hysteresis_db: Tensor) -> None:
        """Takes one L1 measurement (B, C, U) and evaluates the event under offsets (B, C, C) and hysteresis (B, C)."""
        state.l3_dbm = (1 - L3_COEFFICIENT) * state.l3_dbm + L3_COEFFICIENT * l1_dbm
        own = state.l3_dbm.gather(-2, state.serving.unsqueeze(-2)) + self._offset_db
        margin = self._biased_dbm(state, offsets_db) - own
        hysteresis = hysteresis_db.gather(-1, state.serving).unsqueeze(-2)
        pending = (state.age >= 0) & ~(margin < -hysteresis)
        entered = margin > hysteresis
        state.age = torch.where(pending, state.age + 1, torch.where(entered, 0, NONE))

    def monitor(self, state: HandoverState, sinr_db: Tensor) -> None:
        """Takes the SINR (B, U) at a measurement and detects radio link failure.

        Below Qout for OUT_OF_SYNC_S, T310 starts; unless the SINR exceeds Qin before it ends, the link has failed.
        """
        limit_db = torch.where(state.out_of_sync < self._t310_starts, Q_OUT_DB, Q_IN_DB)
        state.out_of_sync = torch.where(sinr_db < limit_db, state.out_of_sync + 1, 0)
        state.lost = state.out_of_sync >= self._search

    def trigger(self, state: HandoverState, offsets_db: Tensor) -> None:
        """Starts handovers where the time to trigger expires, `phase_s` after the last measurement.

        The offsets are those in force now: they choose among neighbours that are due at the same time.
        """
        due = state.age == self._firing_age
        best, target = torch.where(due, self._biased_dbm(state, offsets_db), -torch.inf).max(dim=-2)
        state.target = torch.where((best > -torch.inf) & ~state.lost, target, NONE)

    def complete(self, state: HandoverState) -> Tensor:
        """Ends the handovers that have started, and connects lost UEs to the strongest cell.

        Returns:
            (B, U) which UEs have another cell or another bearer now.
        """
        changed = (state.target >= 0) | state.lost
        if state.lost.any():
            state.target = torch.where(state.lost, state.l3_dbm.argmax(dim=-2), state.target)
        state.serving = torch.where(changed, state.target, state.serving)
        state.age = torch.where(changed.unsqueeze(-2), NONE, state.age)
        state.target = torch.full_like(state.target, NONE)
        state.out_of_sync = torch.where(changed, 0, state.out_of_sync)
        state.lost = torch.zeros_like(state.lost)
        return changed

    def _biased_dbm(self, state: HandoverState, offsets_db: Tensor) -> Tensor:
        return state.l3_dbm + offsets_db.gather(2, state.serving.unsqueeze(-2).expand(-1, self._cells, -1))
