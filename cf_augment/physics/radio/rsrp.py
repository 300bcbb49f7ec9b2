"""RSRP and SINR of all UE-cell pairs; C cells come before U UEs in every tensor, for speed.

Positions enter in metres, float64, and are moved to the centre of the cells before they become float32
kilometres: no product of squared distances then over- or underflows, and RSRP keeps 1e-4 dB.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cf_augment.physics.constants import (
    L1_PERIOD_S,
    PSS_PERIOD_S,
    SUBCARRIER_HZ,
    SUBCARRIERS_PER_RB,
    THERMAL_NOISE_DBM_PER_HZ,
)
from cf_augment.physics.radio.antenna import SectorAntennas
from cf_augment.physics.radio.path_loss import PathLoss
from cf_augment.physics.radio.shadowing import ShadowingLoss
from cf_augment.physics.tables import control_errors, lte_tables
from ns3_scenarios.radio import Sector
from ns3_scenarios.scenario import Scenario
from ns3_scenarios.shadowing import shadowing_map, sites_of
from sumo_mobility.base.arrays import Singles

GRID_S = 0.1
"""Time between the positions that the engine takes; UEs move in straight lines between them."""
FARTHEST_M = 1e7
"""A coordinate beyond this is refused: it is not on Earth."""


def gauss_nodes(samples: int, groups: int = 1) -> list[float]:
    """Points in [0, 1], two a group, whose mean stands for the mean over the samples at 0, 1/n, ..., (n-1)/n.

    Each pair shares the first three moments of its group of samples, so that with one group the mean RSRP over 0.1 s
    differs from the sampled one by less than 1e-5 dB at 30 m/s past a 30 m mast, where RSRP is smooth.
    """
    size = samples // groups
    deviation = math.sqrt((size**2 - 1) / 12)
    centres = [group * size + (size - 1) / 2 for group in range(groups)]
    return [(centre + side * deviation) / samples for centre in centres for side in (-1, 1)]


class Reception(NamedTuple):
    """Tables that lead from RSRP to CQI and received grants, for the compiled loops."""

    noise_mw: np.float32
    """Noise power in a resource element."""
    cqi_threshold_db: Singles
    """(15,) SINR from which ns-3 reports each CQI from 1."""
    control_step_db: Singles
    """(R,) SINR at which the error rate of the control region changes."""
    grant_received: Singles
    """(R + 1,) probability that a grant is decoded."""


class Radio:
    """Links between UEs and the cells of one scenario, without fading."""

    def __init__(self, scenario: Scenario, device: torch.device) -> None:
        radio, antenna, cells = scenario.radio, scenario.radio.antenna, scenario.cells
        site = torch.tensor([(cell.x_m, cell.y_m) for cell in cells], dtype=torch.float64, device=device)
        self.centre_m = site.mean(dim=0)
        self.east_km, self.north_km = ((site - self.centre_m) / 1000).float().T.unsqueeze(-1)
        self.path_loss = PathLoss(scenario, device)
        self.antennas = SectorAntennas(scenario, antenna, device) if isinstance(antenna, Sector) else None
        shadowing = shadowing_map(scenario)
        self.shadowing = (
            ShadowingLoss(shadowing, sites_of(scenario), self.centre_m, device) if shadowing is not None else None
        )
        power_dbm = torch.tensor([[cell.tx_power_dbm] for cell in cells], dtype=torch.float64, device=device)
        per_re_dbm = power_dbm - 10 * math.log10(SUBCARRIERS_PER_RB * radio.dl_bandwidth_rb)
        self.per_re_dbm = per_re_dbm.float()
        noise_dbm = THERMAL_NOISE_DBM_PER_HZ + radio.ue_noise_figure_db + 10 * math.log10(SUBCARRIER_HZ)
        self._noise_mw = 10 ** (noise_dbm / 10)
        self._segments = round(L1_PERIOD_S / GRID_S)
        self._nodes = gauss_nodes(round(GRID_S / PSS_PERIOD_S))
        # Gains have kinks, at an antenna's limits and at the grid lines of the shadowing: more nodes keep the error of
        # their mean small (0.013 dB at most for sectors at 14 m/s, more right under a mast).
        self._gain_nodes = gauss_nodes(round(GRID_S / PSS_PERIOD_S), groups=2 if shadowing is None else 4)
        thresholds = [row.sinr_db for row in lte_tables(radio.dl_bandwidth_rb).cqi]
        self._cqi_threshold_db = torch.tensor(thresholds, device=device)
        errors = control_errors()
        self._control_step_db = torch.tensor([row.sinr_db for row in errors[1:]], device=device)
        self._grant_received = torch.tensor([1 - row.error_rate for row in errors], device=device)

    def reception(self) -> Reception:
        """Returns noise and tables."""
        tables = self._cqi_threshold_db, self._control_step_db, self._grant_received
        return Reception(np.float32(self._noise_mw), *(table.cpu().numpy() for table in tables))

    def local(self, position_m: Tensor) -> Tensor:
        """Turns positions (..., U, 2) in metres into (..., 2, U) float32 kilometres from the centre of the cells."""
        return ((position_m - self.centre_m) / 1000).float().mT.contiguous()

    def rsrp_dbm(self, local_km: Tensor) -> Tensor:
        """RSRP at points (..., 2, U), TS 36.214 5.1.1: the power of one resource element; (..., C, U)."""
        rsrp_dbm = self.per_re_dbm - self.path_loss.loss_db(self._flat_square_km(local_km))
        return rsrp_dbm + self._gain_db(local_km) if self._has_gain else rsrp_dbm

    def l1_rsrp_dbm(self, local_km: Tensor) -> Tensor:
        """L1 measurements: the mean in dB of ns-3's 5 ms samples over each measurement period.

        Args:
            local_km: (B, 1 + K * L1_PERIOD_S / GRID_S, 2, U) positions on the grid.

        Returns:
            (B, K, C, U).
        """
        start, move = local_km[:, :-1], local_km.diff(dim=1)
        squares = [self._flat_square_km(start + move * node) for node in self._nodes]
        l1_dbm = self.per_re_dbm - self.path_loss.mean_db(squares, self._segments)
        if not self._has_gain:
            return l1_dbm
        gain_db = reduce(torch.add, (self._gain_db(start + move * node) for node in self._gain_nodes))
        return l1_dbm + (gain_db / len(self._gain_nodes)).unflatten(1, (-1, self._segments)).mean(dim=2)

    def sinr_db(self, rsrp_dbm: Tensor, serving: Tensor) -> Tensor:
        """SINR of the control region, in which every cell transmits; (B, U) for serving cells (B, U)."""
        received = torch.exp(rsrp_dbm * (math.log(10) / 10))
        index = serving.unsqueeze(-2)
        signal = received.gather(-2, index).squeeze(-2)
        interference = received.scatter(-2, index, 0.0).sum(dim=-2)
        return 10 * torch.log10(signal / (interference + self._noise_mw))

    def sinr_of_all_db(self, rsrp_dbm: Tensor) -> Tensor:
        """The SINR that each UE would have in each cell, (..., C, U)."""
        received = torch.exp(rsrp_dbm.double() * (math.log(10) / 10))
        interference = received.sum(dim=-2, keepdim=True) - received
        return (10 * torch.log10(received / (interference + self._noise_mw))).float()

    def cqi(self, sinr_db: Tensor) -> Tensor:
        """CQI 0..15 that ns-3 reports for a SINR that is the same on all RBs."""
        return torch.bucketize(sinr_db, self._cqi_threshold_db, right=True)

    def grant_received(self, sinr_db: Tensor) -> Tensor:
        """Probability that a UE decodes the control region of a TTI, and so learns of its grant."""
        return self._grant_received[torch.bucketize(sinr_db, self._control_step_db, right=True)]

    def _offsets_km(self, local_km: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the offsets east and north of each cell of points (..., 2, U), each (..., C, U)."""
        east, north = (axis.unsqueeze(-2) for axis in local_km.unbind(dim=-2))
        return east - self.east_km, north - self.north_km

    def _flat_square_km(self, local_km: Tensor) -> Tensor:
        east, north = self._offsets_km(local_km)
        return east.square() + north.square()

    @property
    def _has_gain(self) -> bool:
        return self.antennas is not None or self.shadowing is not None

    def _gain_db(self, local_km: Tensor) -> Tensor:
        """Returns the antenna gain less the shadowing at points (..., 2, U), shape (..., C, U)."""
        gain_db = torch.zeros((), device=local_km.device)
        if self.antennas is not None:
            gain_db = gain_db + self.antennas.gain_db(*self._offsets_km(local_km))
        if self.shadowing is not None:
            gain_db = gain_db - self.shadowing.loss_db(local_km)
        return gain_db
