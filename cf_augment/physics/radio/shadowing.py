"""Shadowing in the engine: the same map, interpolated as the ns-3 program does it (shadowing-map.cc)."""

from __future__ import annotations

import torch
from torch import Tensor

from ns3_scenarios.shadowing import ShadowingMap


class ShadowingLoss:
    """Looks up the loss between UEs and cells.

    Args:
        shadowing: The map.
        sites: The site of each cell.
        centre_m: (2,) the origin of local positions.
        device: Any torch device.
    """

    def __init__(self, shadowing: ShadowingMap, sites: list[int], centre_m: Tensor, device: torch.device) -> None:
        self._columns = shadowing.loss_db.shape[2]
        # All sites of a point lie together: a UE reads four rows of memory.
        self.table_db = torch.from_numpy(shadowing.loss_db).flatten(1).T.contiguous().to(device)
        corner_m = torch.tensor([shadowing.west_m, shadowing.south_m], dtype=torch.float64, device=device)
        self.corner_km = ((corner_m - centre_m) / 1000).float().unsqueeze(-1)
        self.points_per_km = 1000 / shadowing.grid_m
        last = [shadowing.loss_db.shape[2] - 1, shadowing.loss_db.shape[1] - 1]
        self.last = torch.tensor(last, dtype=torch.float32, device=device).unsqueeze(-1)
        self.sites = torch.tensor(sites, device=device)

    def loss_db(self, local_km: Tensor) -> Tensor:
        """Loss at points (..., 2, U); (..., C, U)."""
        place = ((local_km - self.corner_km) * self.points_per_km).clamp(min=0).minimum(self.last)
        corner = place.floor().minimum(self.last - 1)
        east, north = (place - corner).unsqueeze(-1).unbind(dim=-3)
        column, row = corner.long().unbind(dim=-2)
        index = row * self._columns + column
        south_db, north_db = (
            torch.lerp(self._at(index + above), self._at(index + above + 1), east) for above in (0, self._columns)
        )
        return torch.lerp(south_db, north_db, north).mT.index_select(-2, self.sites)

    def _at(self, index: Tensor) -> Tensor:
        return self.table_db.index_select(0, index.flatten()).unflatten(0, index.shape)
