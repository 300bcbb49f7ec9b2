"""StreetMap: the streets of a map in trace coordinates, for siting, plots and off-road checks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StreetMap:
    """Where cars can go. Trace coordinates: metres east and north of the map's south-west corner.

    Attributes:
        name: The map's name.
        streets: Centre line of every lane, junctions included; (N, 2) each.
        bounds_m: West, south, east, north; west and south are 0.
        projection: PROJ string of the map.
        net_offset_m: Added to projected coordinates to obtain trace coordinates.
        licence: SPDX id of the map data.
        attribution: To be shown wherever the map is.
    """

    name: str
    streets: tuple[Floats, ...]
    bounds_m: tuple[float, float, float, float]
    projection: str
    net_offset_m: tuple[float, float]
    licence: str
    attribution: str

    def distance_m(self, position_m: Floats) -> Floats:
        """Distance of each position (..., 2) to the nearest lane's centre line, (...)."""
        position_m = np.asarray(position_m, dtype=np.float64)
        start = np.concatenate([line[:-1] for line in self.streets])
        along = np.concatenate([np.diff(line, axis=0) for line in self.streets])
        square = np.maximum((along**2).sum(axis=1), 1e-12)
        result = np.empty(position_m.reshape(-1, 2).shape[0])
        for index, point in enumerate(position_m.reshape(-1, 2)):
            share = np.clip(((point - start) * along).sum(axis=1) / square, 0, 1)
            foot = start + share[:, None] * along
            result[index] = np.sqrt(((point - foot) ** 2).sum(axis=1).min())
        return result.reshape(position_m.shape[:-1])
