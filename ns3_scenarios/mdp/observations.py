"""Observations: what an agent sees of the last interval, each a class that is registered in OBSERVATIONS."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import ClassVar

import numpy as np
from gymnasium.spaces import Box

from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.network import Network
from sumo_mobility.base.arrays import AnyFloats, Floats, Ints, Singles
from sumo_mobility.base.registry import Registry

MARGIN_EDGES_DB = (-6.0, -3.0, 0.0, 3.0, 6.0)
"""CIO values at which cell-kpi counts the UEs that would move."""
_THERMAL_NOISE_DBM_PER_HZ, _SUBCARRIER_HZ = -174.0, 15e3
_SNR_GAP = -math.log(5 * 5e-5) / 1.5
_BITS_PER_SYMBOL = (0.1523, 5.5547)
_DATA_SHARE = 11 / 14
"""Share of the symbols that carry data, where three of fourteen are the control region."""
_RSRP_CENTRE_DBM, _RSRP_SCALE_DB = -90.0, 20.0


class Observation(ABC):
    """An observation, as a pure function of the KPIs of the last interval; its values are of the order of 1.

    Attributes:
        name: How presets write it.
        formula: What it is, in words and names of KPIs.
        cell_features: If it is ordered by cells and pairs, so that networks can share their weights over them: how
            many numbers it has a cell, of which the first is prb_utilization. It is feature by feature, first those of
            cells, then those of neighbour pairs, of which the last is the CIO over its range. Else 0.
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    cell_features: ClassVar[int] = 0

    @abstractmethod
    def size(self, network: Network) -> int:
        """Returns its length O."""

    @abstractmethod
    def of(self, network: Network, kpis: StepKpis, cio_db: Floats) -> AnyFloats:
        """Returns the observation (..., O) of KPIs with the batch dimensions (...), under the CIO (..., E) in dB."""


OBSERVATIONS: Registry[Observation] = Registry("observation")
"""All observations by name."""


class CellKpi(Observation):
    """Quantities that a real network can measure: counters of the cells, and measurement reports of the UEs."""

    name = "cell-kpi"
    formula = (
        "per cell: prb_utilization, connected_ues / UEs, served_bps / mean offered_bps; per neighbour pair: share of "
        "the UEs that would move at a CIO of -6, -3, 0, 3 and 6 dB; CIO / handover.cio_range_db"
    )
    cell_features = 3

    def size(self, network: Network) -> int:
        """See `Observation.size`."""
        return 3 * len(network.cells) + (len(MARGIN_EDGES_DB) + 1) * len(network.neighbor_pairs)

    def of(self, network: Network, kpis: StepKpis, cio_db: Floats) -> AnyFloats:
        """See `Observation.of`."""
        ues = kpis.ue_serving_cell.shape[-1]
        offered = network.traffic.offered_bps * ues / len(network.cells)
        moving = _moving(network, kpis)
        return np.concatenate(
            [
                kpis.prb_utilization,
                kpis.connected_ues / ues,
                kpis.served_bps / offered,
                moving,
                np.broadcast_to(cio_db / network.handover.cio_range_db, (*moving.shape[:-1], np.shape(cio_db)[-1])),
            ],
            axis=-1,
            dtype=np.float32,
        )


OBSERVATIONS.register(CellKpi())


class LoadCurve(Observation):
    """For each neighbour pair, how much load an offset would move, as far as measurement reports tell.

    A UE that reports the RSRP of a cell tells by it the SINR that it would have there, and so the share of that cell's
    PRBs which its traffic would take. Summed over the UEs that a CIO would hand over, this is a curve over the CIO, of
    the load that leaves the serving cell and of that which enters the neighbour.
    """

    name = "load-curve"
    formula = (
        "per cell: prb_utilization, connected_ues / UEs, load that its UEs need by their ue_rsrp_dbm; per neighbour "
        "pair: load that would leave the serving cell, and load that would enter the neighbour, at 25 CIOs over the "
        "range that acts; CIO / handover.cio_range_db"
    )
    cell_features = 3
    levels = 25

    def size(self, network: Network) -> int:
        """See `Observation.size`."""
        return 3 * len(network.cells) + (2 * self.levels + 1) * len(network.neighbor_pairs)

    def of(self, network: Network, kpis: StepKpis, cio_db: Floats) -> AnyFloats:
        """See `Observation.of`."""
        # Imported here, so that a process that does not observe need not load numba.
        from ns3_scenarios.mdp.margins import add_load

        handover, (rsrp_dbm, serving) = network.handover, _measured(kpis)
        first, neighbors = _neighbors(network.neighbor_pairs, rsrp_dbm.shape[2])
        range_db = handover.cio_range_db * (2 if network.profile == "paper" else 1)
        steps_db = np.linspace(-range_db, range_db, self.levels)
        load = np.zeros((len(serving), rsrp_dbm.shape[2]))
        curves = np.zeros((2, len(serving), self.levels, len(neighbors)))
        add_load(
            rsrp_dbm, _needed_load(network, rsrp_dbm), serving, first, neighbors, handover.a3_offset_db,
            handover.hysteresis_db, steps_db, load, *curves,
        )  # fmt: skip
        batch = kpis.ue_serving_cell.shape[:-1]
        cio = np.broadcast_to(cio_db / handover.cio_range_db, (*batch, np.shape(cio_db)[-1]))
        cell = [kpis.prb_utilization, kpis.connected_ues / serving.shape[1], load.reshape(*batch, -1)]
        return np.concatenate([*cell, *curves.reshape(2, *batch, -1), cio], axis=-1, dtype=np.float32)


OBSERVATIONS.register(LoadCurve())


class RsrpMatrix(Observation):
    """The state of the reference system: what every UE receives from every cell."""

    name = "rsrp-matrix"
    formula = "(ue_rsrp_dbm + 90) / 20, UE by UE"

    def size(self, network: Network) -> int:
        """See `Observation.size`."""
        return network.mobility.ues * len(network.cells)

    def of(self, network: Network, kpis: StepKpis, cio_db: Floats) -> AnyFloats:
        """See `Observation.of`."""
        centred = (kpis.ue_rsrp_dbm - _RSRP_CENTRE_DBM) / _RSRP_SCALE_DB
        return centred.reshape(*centred.shape[:-2], -1)


OBSERVATIONS.register(RsrpMatrix())


class CellLoad(Observation):
    """What a network has of itself without measurement reports: the counter of the load, and the offsets."""

    name = "cell-load"
    formula = "per cell: prb_utilization; per neighbour pair: CIO / handover.cio_range_db"
    cell_features = 1

    def size(self, network: Network) -> int:
        """See `Observation.size`."""
        return len(network.cells) + len(network.neighbor_pairs)

    def of(self, network: Network, kpis: StepKpis, cio_db: Floats) -> AnyFloats:
        """See `Observation.of`."""
        load, share = kpis.prb_utilization, cio_db / network.handover.cio_range_db
        share = np.broadcast_to(share, (*load.shape[:-1], share.shape[-1]))
        return np.concatenate([load, share], axis=-1, dtype=np.float32)


OBSERVATIONS.register(CellLoad())


def observe(network: Network, kpis: StepKpis, cio_db: Floats) -> Singles:
    """Returns the observation that the scenario names, (..., O) float32, of the order of 1.

    Args:
        network: The scenario.
        kpis: KPIs of the last interval.
        cio_db: (..., E) CIO that was in force during it.
    """
    return OBSERVATIONS[network.observation].of(network, kpis, cio_db).astype(np.float32, copy=False)


def observation_size(network: Network) -> int:
    """Length O of the observation."""
    return OBSERVATIONS[network.observation].size(network)


def observation_box(network: Network) -> Box:
    """The space of an observation; RSRP and served traffic have no natural bounds."""
    return Box(-np.inf, np.inf, (observation_size(network),), np.float32)


def margins_db(network: Network, kpis: StepKpis) -> Floats:
    """Returns RSRP_i - RSRP_j in dB for each pair (i, j) and UE if i serves the UE, else NaN; shape (..., E, U)."""
    serving = np.array([pair[0] for pair in network.neighbor_pairs])
    neighbor = np.array([pair[1] for pair in network.neighbor_pairs])
    rsrp = np.swapaxes(kpis.ue_rsrp_dbm, -1, -2)
    served = kpis.ue_serving_cell[..., None, :] == serving[:, None]
    return np.where(served, rsrp[..., serving, :] - rsrp[..., neighbor, :], np.nan)


def _needed_load(network: Network, rsrp_dbm: Floats) -> Floats:
    """Share of the PRBs of each cell that the traffic of each UE would take, (B, U, C), from RSRP alone.

    By Shannon's capacity less ns-3's gap for a bit error rate of 5e-5 (Piro et al. 2011), between CQI 1 and CQI 15 of
    TS 36.213 table 7.2.3-1, in the control region's SINR, where all cells transmit; in profile `paper`, which has no
    interference, in the SNR.
    """
    radio = network.radio
    received_mw = 10 ** (rsrp_dbm / 10)
    noise_mw = 10 ** ((_THERMAL_NOISE_DBM_PER_HZ + radio.ue_noise_figure_db) / 10) * _SUBCARRIER_HZ
    others_mw = 0.0 if network.profile == "paper" else received_mw.sum(axis=-1, keepdims=True) - received_mw
    bits_per_symbol = np.log2(1 + received_mw / (others_mw + noise_mw) / _SNR_GAP).clip(*_BITS_PER_SYMBOL)
    offered_bps = network.traffic.ue_offered_bps(rsrp_dbm.shape[-2])[:, None]
    per_second = radio.dl_bandwidth_rb * 12 * _SUBCARRIER_HZ * _DATA_SHARE
    return np.asarray(offered_bps / (per_second * bits_per_symbol))


def _moving(network: Network, kpis: StepKpis) -> Singles:
    """Share of the UEs that would move at each of MARGIN_EDGES_DB and for each pair, (..., 5 E); edge by edge."""
    # Imported here, so that a process that does not observe need not load numba.
    from ns3_scenarios.mdp.margins import find_moving

    first, neighbors = _neighbors(network.neighbor_pairs, len(network.cells))
    threshold_db = network.handover.a3_offset_db + network.handover.hysteresis_db
    rsrp_dbm, serving = _measured(kpis)
    shares = np.empty((len(serving), len(MARGIN_EDGES_DB), len(neighbors)), np.float32)
    find_moving(rsrp_dbm, serving, first, neighbors, threshold_db, np.array(MARGIN_EDGES_DB), shares)
    return shares.reshape(*kpis.ue_serving_cell.shape[:-1], -1)


def _measured(kpis: StepKpis) -> tuple[Floats, Ints]:
    """Returns the RSRP (B, U, C) and the serving cells (B, U) of KPIs of any batch dimensions, as loops take them."""
    rsrp_dbm = np.ascontiguousarray(kpis.ue_rsrp_dbm, dtype=np.float64).reshape(-1, *kpis.ue_rsrp_dbm.shape[-2:])
    return rsrp_dbm, np.ascontiguousarray(kpis.ue_serving_cell, dtype=np.int64).reshape(rsrp_dbm.shape[:2])


@lru_cache(maxsize=8)
def _neighbors(pairs: tuple[tuple[int, int], ...], cells: int) -> tuple[Ints, Ints]:
    """Returns the first pair of each serving cell (C + 1,) and the neighbour of each pair (E,)."""
    serving, neighbor = np.array(pairs).T
    return np.searchsorted(serving, np.arange(cells + 1)), np.ascontiguousarray(neighbor)
