"""Gain of the cells' antennas towards the UEs, as the ns-3 program computes it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ns3_scenarios.radio import Sector
from ns3_scenarios.scenario import Scenario


class SectorAntennas:
    """TR 36.814 table A.2.1.1-2 for each cell of a scenario (sector-antenna-model.cc).

    Args:
        scenario: The scenario.
        pattern: Its antenna.
        device: Any torch device.
    """

    def __init__(self, scenario: Scenario, pattern: Sector, device: torch.device) -> None:
        def per_cell(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float64, device=device).float().unsqueeze(-1)

        cells = scenario.cells
        self.pattern = pattern
        # Azimuths counter-clockwise from east, as atan2 has them.
        self.azimuth_rad = per_cell([math.radians(90 - cell.azimuth_deg) for cell in cells])
        self.tilt_rad = per_cell([math.radians(cell.tilt_deg) for cell in cells])
        self._rise_km = per_cell([(cell.height_m - scenario.radio.ue_height_m) / 1000 for cell in cells])

    def gain_db(self, east_km: Tensor, north_km: Tensor) -> Tensor:
        """Gain towards UEs that are so far from the cells, (..., C, U)."""
        aside = torch.atan2(north_km, east_km) - self.azimuth_rad
        aside = torch.remainder(aside + math.pi, 2 * math.pi) - math.pi
        down = torch.atan2(self._rise_km, torch.hypot(east_km, north_km)) - self.tilt_rad
        pattern = self.pattern
        horizontal_db = _parabola_db(aside, pattern.horizontal_beamwidth_deg).clamp(max=pattern.max_attenuation_db)
        vertical_db = _parabola_db(down, pattern.vertical_beamwidth_deg).clamp(max=pattern.side_lobe_limit_db)
        return pattern.gain_dbi - (horizontal_db + vertical_db).clamp(max=pattern.max_attenuation_db)


def _parabola_db(angle_rad: Tensor, beamwidth_deg: float) -> Tensor:
    return 12 / math.radians(beamwidth_deg) ** 2 * angle_rad.square()
