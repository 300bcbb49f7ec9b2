"""Where base stations stand: a hexagonal grid kept near the streets."""

from __future__ import annotations

from pydantic import Field

from sumo_mobility.base.contract import Contract


class HexagonalGrid(Contract):
    """Sites on a hexagonal grid over the map; those too far from any street are dropped."""

    inter_site_distance_m: float = Field(700.0, ge=100, le=5000)
    street_reach: float = Field(0.6, gt=0, le=2)
    """A site is kept if a street lies within this share of the inter-site distance."""
