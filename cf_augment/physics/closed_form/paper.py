"""Profile `paper`: the physics of the reference system (docs/physics.md), to set its results beside ours.

A snapshot at the beginning of each control interval, and in a long one each second after it, under the CIOs of that
interval. No filter and no time to trigger:
a UE goes to the cell n of the greatest RSRP_n + CIO_sn - CIO_ns, if that exceeds its own cell's RSRP by more than the
hysteresis. No interference and no packets: the MCS is linear in the RSRP, traffic is a fluid, a cell's utilisation is
what its UEs need, and not more than 1.
"""

from __future__ import annotations

import math

import numpy as np

from cf_augment.physics.closed_form.load import Service
from cf_augment.physics.constants import TTI_S
from cf_augment.physics.tables import lte_tables
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import AnyFloats, Floats, Ints

LOWEST_DBM, HIGHEST_DBM = -140.0, -80.0
"""RSRP of MCS 0 and of MCS 28, and beyond. The reference does not state them: under these, three sites in a line and
its test contexts have about its load-std, static and random."""

_SNAPSHOT_S = 1.0
"""Time for which a snapshot stands: the control interval of the reference."""


class Paper:
    """Association and load of one scenario.

    Args:
        scenario: The scenario; its time to trigger, scheduler and CQI are not looked at.

    Attributes:
        starts_s: When each snapshot of a control interval is taken, in s from its beginning.
    """

    def __init__(self, scenario: Scenario) -> None:
        traffic, bandwidth = scenario.traffic, scenario.radio.dl_bandwidth_rb
        snapshots = math.ceil(scenario.episode.control_interval_s / _SNAPSHOT_S - 1e-9)
        self.starts_s = [_SNAPSHOT_S * index for index in range(snapshots)]
        self._cells = len(scenario.cells)
        self._offset_db = scenario.handover.a3_offset_db
        self._packets_per_s = traffic.ue_offered_bps(scenario.mobility.ues) / (8 * traffic.packet_bytes)
        block_bits = np.array([sizes[bandwidth - 1] for sizes in lte_tables(bandwidth).tbs_bits])
        self._ttis_per_packet = 8 * traffic.packet_bytes / block_bits

    def associate(self, rsrp_dbm: AnyFloats, serving: Ints, offsets_db: AnyFloats, hysteresis_db: AnyFloats) -> Ints:
        """Returns the cells (B, U) to which UEs go, -1 for those that stay.

        Args:
            rsrp_dbm: (B, C, U).
            serving: (B, U).
            offsets_db: (B, C, C) [neighbour, serving], what `Connection.offsets_db` returns.
            hysteresis_db: (B, C).
        """
        biased_dbm = rsrp_dbm + np.take_along_axis(offsets_db, serving[:, None], axis=2)
        own_dbm = np.take_along_axis(rsrp_dbm, serving[:, None], axis=1)[:, 0]
        least_dbm = own_dbm + self._offset_db + np.take_along_axis(hysteresis_db, serving, axis=1)
        return np.where(biased_dbm.max(axis=1) > least_dbm, biased_dbm.argmax(axis=1), -1)

    def serve(self, rsrp_dbm: AnyFloats, serving: Ints, duration_s: float) -> Service:
        """Returns what `duration_s` brings to UEs that receive (B, C, U) from their cells (B, U)."""
        arriving, ttis = self.demand(np.take_along_axis(rsrp_dbm, serving[:, None], axis=1)[:, 0], duration_s)
        arriving = np.broadcast_to(arriving, serving.shape)
        need = self._per_cell(serving, arriving * ttis)
        capacity = duration_s / TTI_S
        share = np.minimum(1, capacity / np.maximum(need, 1e-9))
        delivered = arriving * np.take_along_axis(share, serving, axis=1)
        return Service(
            busy_ttis=np.minimum(need, capacity),
            arrived=self._per_cell(serving, arriving),
            delivered=self._per_cell(serving, delivered),
            ue_delivered=delivered,
        )

    def demand(self, rsrp_dbm: AnyFloats, duration_s: float) -> tuple[Floats, Floats]:
        """Returns the packets that arrive for each UE (U,), and the TTIs that each takes at any RSRP (...)."""
        mcs = np.interp(rsrp_dbm, (LOWEST_DBM, HIGHEST_DBM), (0, 28)).astype(int)
        return self._packets_per_s * duration_s, self._ttis_per_packet[mcs]

    def _per_cell(self, serving: Ints, values: Floats) -> Floats:
        """Sums values of UEs (B, U) over their cells, (B, C)."""
        row = serving + self._cells * np.arange(len(serving))[:, None]
        sums = np.bincount(row.ravel(), values.ravel(), self._cells * len(serving))
        return np.asarray(sums.reshape(len(serving), -1), dtype=np.float64)
