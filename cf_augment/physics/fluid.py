"""The textbook's model of a loaded network: what the engine must be better than.

Cells are coupled by their loads: the rate of a link depends on how much of the time the other cells transmit, and
their loads in turn on the rates (Siomina and Yuan, IEEE Trans. Wireless Commun. 11(6), 2012). Traffic is a fluid, the
rate is Shannon's, and a UE changes its cell as soon as the biased RSRP says so: no packets, no scheduler, no filter,
no time to trigger.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import torch

from cf_augment.physics.constants import SUBCARRIER_HZ, SUBCARRIERS_PER_RB, THERMAL_NOISE_DBM_PER_HZ
from cf_augment.physics.radio.rsrp import Radio
from ns3_scenarios.backend import Backend
from ns3_scenarios.control import Control
from ns3_scenarios.kpis import EVENT_DTYPE, EventKind, StepKpis
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats
from sumo_mobility.trace import Mobility

_ROUNDS = 100
"""Iterations of the fixed point, which is a contraction."""
_SNAPSHOT_S = 1.0
"""Time for which a snapshot stands, at most."""
_MEANS = ("prb_utilization", "offered_bps", "served_bps", "ue_throughput_bps")
"""The KPIs that are means over an interval."""


class FluidBackend(Backend):
    """One environment in the fluid model, without randomness: a snapshot each second, and at the end of each control
    interval; KPIs are means over those of an interval.

    Args:
        scenario: The scenario; what the textbook does not know (packets, scheduler, CQI mode, time to trigger) is
            not looked at.
    """

    name = "fluid"
    is_baseline = True

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self._radio = Radio(scenario, torch.device("cpu"))
        radio = scenario.radio
        noise_dbm = THERMAL_NOISE_DBM_PER_HZ + radio.ue_noise_figure_db + 10 * math.log10(SUBCARRIER_HZ)
        self._noise_mw = 10 ** (noise_dbm / 10)
        self._bandwidth_hz = radio.dl_bandwidth_rb * SUBCARRIERS_PER_RB * SUBCARRIER_HZ
        self._demand_bps = scenario.traffic.ue_offered_bps(scenario.mobility.ues)

    def _begin(self, trace: Mobility, seed: int) -> StepKpis:
        rsrp_dbm = self._rsrp_dbm(trace.position_at(0.0))
        self._serving = rsrp_dbm.argmax(axis=1)
        return self._kpis(trace, 0.0, rsrp_dbm, [])

    def _advance(self, trace: Mobility, step: int, control: Control) -> StepKpis:
        interval_s = self.scenario.episode.control_interval_s
        events: list[tuple[float, int, int, int, int]] = []
        snapshots: list[StepKpis] = []
        ends_s = [*np.arange(_SNAPSHOT_S, interval_s - 1e-9, _SNAPSHOT_S).tolist(), interval_s]
        for end_s in ends_s:
            time_s = round(step * interval_s + end_s, 9)
            rsrp_dbm = self._rsrp_dbm(trace.position_at(time_s))
            source, self._serving = self._serving, self._handed_over(rsrp_dbm, control.cio_db)
            moved = np.flatnonzero(source != self._serving).tolist()
            kinds = (EventKind.HANDOVER_START, EventKind.HANDOVER_OK)
            cells = source.tolist(), self._serving.tolist()
            events += [(time_s, ue, cells[0][ue], cells[1][ue], int(kind)) for kind in kinds for ue in moved]
            snapshots.append(self._kpis(trace, time_s, rsrp_dbm, events))
        weights = np.diff(ends_s, prepend=0.0) / interval_s
        means = {name: weights @ np.stack([getattr(kpis, name) for kpis in snapshots]) for name in _MEANS}
        return replace(snapshots[-1], **means)

    def _futures(self, trace: Mobility, step: int, control: Control) -> list[list[StepKpis]]:
        futures = [copy.copy(self) for _ in control]
        return [
            [future._advance(trace, step + ahead, ordered) for ahead, ordered in enumerate(steps)]
            for future, steps in zip(futures, control, strict=True)
        ]

    def _rsrp_dbm(self, position_m: Floats) -> Floats:
        """RSRP at positions (U, 2), (U, C)."""
        return self._radio.rsrp_dbm(self._radio.local(torch.from_numpy(position_m))).numpy().T.astype(np.float64)

    def _handed_over(self, rsrp_dbm: Floats, cio_db: Floats) -> np.ndarray:
        """Serving cells (U,) after every UE has gone to the neighbour of the greatest biased RSRP, if it is enough."""
        handover, cells = self.scenario.handover, rsrp_dbm.shape[1]
        offset_db = np.full((cells, cells), -np.inf)
        pairs = np.array(self.scenario.neighbor_pairs)
        offset_db[pairs[:, 0], pairs[:, 1]] = cio_db
        biased_dbm = rsrp_dbm + offset_db[self._serving]
        own_dbm = np.take_along_axis(rsrp_dbm, self._serving[:, None], axis=1)[:, 0]
        entered = biased_dbm.max(axis=1) > own_dbm + handover.a3_offset_db + handover.hysteresis_db
        return np.where(entered, biased_dbm.argmax(axis=1), self._serving)

    def _loads(self, received_mw: Floats) -> Floats:
        """Fixed point of the load coupling for powers (U, C): load (C,) of which more than 1 is not served."""
        load = np.zeros(received_mw.shape[1])
        signal_mw = np.take_along_axis(received_mw, self._serving[:, None], axis=1)[:, 0]
        for _ in range(_ROUNDS):
            active = np.minimum(load, 1)
            interference_mw = received_mw @ active - signal_mw * active[self._serving]
            rate_bps = self._bandwidth_hz * np.log2(1 + signal_mw / (interference_mw + self._noise_mw))
            load = self._per_cell(self._demand_bps / rate_bps)
        return load

    def _per_cell(self, values: Floats) -> Floats:
        return np.asarray(np.bincount(self._serving, values, len(self.scenario.cells)), dtype=np.float64)

    def _kpis(
        self, trace: Mobility, time_s: float, rsrp_dbm: Floats, events: list[tuple[float, int, int, int, int]]
    ) -> StepKpis:
        received_mw = 10 ** (rsrp_dbm / 10)
        load = self._loads(received_mw)
        throughput_bps = self._demand_bps / np.maximum(load, 1)[self._serving]
        signal_mw = np.take_along_axis(received_mw, self._serving[:, None], axis=1)[:, 0]
        # As the KPI has it: all cells transmit.
        sinr = signal_mw / (received_mw.sum(axis=1) - signal_mw + self._noise_mw)
        return StepKpis(
            time_s=np.asarray(time_s),
            prb_utilization=np.minimum(load, 1),
            offered_bps=self._per_cell(self._demand_bps),
            served_bps=self._per_cell(throughput_bps),
            connected_ues=self._per_cell(np.ones(len(rsrp_dbm))),
            ue_position_m=trace.position_at(time_s),
            ue_serving_cell=self._serving.astype(np.int64),
            ue_rsrp_dbm=rsrp_dbm,
            ue_sinr_db=10 * np.log10(sinr),
            ue_throughput_bps=throughput_bps,
            events=np.array(events, dtype=EVENT_DTYPE),
            handovers=np.asarray(len(events) / 2),
        )
