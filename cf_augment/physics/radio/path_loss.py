"""Path loss as ns-3 or the standards have it: one or two straight lines over the logarithm of the distance, by cell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from cf_augment.physics.constants import REFERENCE_DISTANCE_M
from cf_augment.physics.profiles import PROFILES, Profile
from ns3_scenarios.radio import Cost231Hata, LogDistance, OkumuraHata, Uma, Umi
from ns3_scenarios.scenario import Scenario
from ns3_scenarios.urban import URBAN, break_distance_m
from sumo_mobility.base.arrays import Singles


@dataclass(frozen=True)
class _Line:
    """Loss = at_1_km_db + decade_db log10(d / 1 km); both (C, 1)."""

    at_1_km_db: Tensor
    decade_db: Tensor

    @classmethod
    def at_1_m(cls, intercept_db: Tensor, decade_db: Tensor | float) -> _Line:
        decade = torch.zeros_like(intercept_db) + decade_db
        return cls((intercept_db + 3 * decade).float(), decade.float())

    def pair(self) -> Singles:
        """Returns (C, 2): the loss at 1 km, and its rise with log10 of the square of the distance in km."""
        return torch.cat([self.at_1_km_db, 0.5 * self.decade_db], dim=1).numpy()

    def loss_db(self, log_square: Tensor) -> Tensor:
        return torch.addcmul(self.at_1_km_db, self.decade_db, log_square, value=0.5)


class PathLoss:
    """The path loss between the cells and the UEs of a scenario.

    Args:
        scenario: The scenario.
        device: Any torch device.
    """

    def __init__(self, scenario: Scenario, device: torch.device) -> None:
        radio, loss = scenario.radio, scenario.radio.path_loss
        height_m = torch.tensor([[cell.height_m] for cell in scenario.cells], dtype=torch.float64, device=device)
        rise_m = height_m - radio.ue_height_m
        self._height_square = (rise_m / 1000).square().float()
        self.nearest_square = 0.0
        self.far: _Line | None = None
        self.obstructed: _Line | None = None
        match loss:
            case LogDistance():
                self.near = _Line.at_1_m(torch.zeros_like(height_m) + loss.reference_loss_db, 10 * loss.exponent)
                self.nearest_square = (REFERENCE_DISTANCE_M / 1000) ** 2
            case OkumuraHata() | Cost231Hata():
                intercept_db = _hata_db(loss, radio.carrier_hz / 1e6, radio.ue_height_m, PROFILES[scenario.profile])
                log_height = torch.log10(height_m)
                decade_db = 44.9 - 6.55 * log_height
                self.near = _Line((intercept_db - 13.82 * log_height).float(), decade_db.float())
            case Uma() | Umi():
                (base_db, decade, factor), (shadow_db, shadow_decade, carrier, per_m) = URBAN[loss.model]
                carrier_db = math.log10(radio.carrier_hz / 1e9)
                break_m = height_m.new_tensor([[break_distance_m(cell.height_m, radio)] for cell in scenario.cells])
                base = torch.zeros_like(height_m) + base_db + 20 * carrier_db
                self.near = _Line.at_1_m(base, decade)
                self.far = _Line.at_1_m(base - factor * torch.log10(break_m.square() + rise_m.square()), 40.0)
                self.break_square = (break_m / 1000).square().float()
                if loss.condition == "nlos":
                    height_db = per_m * (radio.ue_height_m - 1.5)
                    base = torch.zeros_like(height_m) + shadow_db + carrier * carrier_db - height_db
                    self.obstructed = _Line.at_1_m(base, shadow_decade)

    def loss_db(self, flat_square_km: Tensor) -> Tensor:
        """Loss at squared horizontal distances (..., C, U)."""
        log_square = torch.log10(self._square(flat_square_km))
        loss_db = self.near.loss_db(log_square)
        if self.far is not None:
            loss_db = torch.where(flat_square_km <= self.break_square, loss_db, self.far.loss_db(log_square))
        if self.obstructed is not None:
            loss_db = torch.maximum(loss_db, self.obstructed.loss_db(log_square))
        return loss_db

    def mean_db(self, flat_squares_km: list[Tensor], segments: int) -> Tensor:
        """Mean in dB over points of each segment, and over every `segments` segments.

        Args:
            flat_squares_km: Squared horizontal distances, one tensor (B, K * segments, C, U) a point.
            segments: How many segments share a mean.

        Returns:
            (B, K, C, U).
        """
        if self.far is not None:
            losses = reduce(torch.add, map(self.loss_db, flat_squares_km)) / len(flat_squares_km)
            return losses.unflatten(1, (-1, segments)).mean(dim=2)
        # The mean of the logarithms is the logarithm of the product: one instead of many.
        per_segment = reduce(torch.mul, map(self._square, flat_squares_km))
        product = per_segment.unflatten(1, (-1, segments)).prod(dim=2)
        return self.near.loss_db(torch.log10(product) / (len(flat_squares_km) * segments))

    def _square(self, flat_square_km: Tensor) -> Tensor:
        return (flat_square_km + self._height_square).clamp(min=self.nearest_square)


def _hata_db(loss: OkumuraHata | Cost231Hata, carrier_mhz: float, ue_height_m: float, profile: Profile) -> float:
    """Loss at 1 km under a cell of 1 m height; the contracts' docstrings compare ns-3's code with the papers."""
    log_mhz = math.log10(carrier_mhz)
    if isinstance(loss, Cost231Hata):
        ue_gain_db = (profile.cost231_height_factor * log_mhz - 0.7) * ue_height_m - 1.56 * log_mhz + 0.8
        return 46.3 + 33.9 * log_mhz - ue_gain_db + profile.cost231_extra_db
    ue_gain_db = (1.1 * log_mhz - 0.7) * ue_height_m - 1.56 * log_mhz + 0.8
    if carrier_mhz > 1500:
        if loss.city_size == "large":
            ue_gain_db = 3.2 * math.log10(11.75 * ue_height_m) ** 2 - profile.large_city_db
            return 46.3 + 33.9 * log_mhz - ue_gain_db + 3
        return 46.3 + 33.9 * log_mhz - ue_gain_db
    if loss.city_size == "large":
        # Hata's formula below 200 MHz is out of LTE's reach.
        ue_gain_db = 3.2 * math.log10(11.75 * ue_height_m) ** 2 - 4.97
    environment_db = {
        "urban": 0.0,
        "suburban": -2 * math.log10(carrier_mhz / 28) ** 2 - 5.4,
        "open": -4.78 * log_mhz**2 + 18.33 * log_mhz - 40.94,
    }
    return 69.55 + 26.16 * log_mhz - ue_gain_db + environment_db[loss.environment]
