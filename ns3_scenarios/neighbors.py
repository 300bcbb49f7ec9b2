"""Neighbour graphs: between which cells UEs may hand over, as ordered (serving, neighbour) pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import ConfigError

MOST_CELLS, MOST_PAIRS = 3000, 100_000
"""The greatest numbers of cells and pairs of a scenario, far beyond what ns-3 simulates in a day."""
CellIndex = Annotated[int, Field(ge=0, lt=MOST_CELLS)]


class NeighborsByDistance(Contract):
    """Cells at most this far apart are neighbours of each other."""

    by: Literal["distance"] = "distance"
    within_m: float = Field(1500.0, gt=0, le=100_000)


class NeighborsByCount(Contract):
    """Each cell and the `count` cells nearest to it are neighbours of each other.

    A pair that only one of its cells chose counts both ways, so that a UE that was handed over can return; a cell may
    thus have more neighbours than `count`. Of equally near cells those of lower index come first.
    """

    by: Literal["count"]
    count: int = Field(ge=1, le=1000)


class NeighborsListed(Contract):
    """Ordered (serving, neighbour) pairs of cell indices; a pair need not be listed both ways.

    X2 always connects both cells of a pair, but only pairs that are listed hand over.
    """

    by: Literal["list"]
    pairs: tuple[tuple[CellIndex, CellIndex], ...] = Field(min_length=1, max_length=MOST_PAIRS)


NeighborGraph = Annotated[NeighborsByDistance | NeighborsByCount | NeighborsListed, Field(discriminator="by")]


def neighbor_pairs(graph: NeighborGraph, cells_m: Sequence[tuple[float, float]]) -> tuple[tuple[int, int], ...]:
    """Returns the ordered (serving, neighbour) pairs of a graph, sorted.

    Args:
        graph: The rule, or the pairs themselves.
        cells_m: Where the cells stand, x and y in m; cells of one site stand on one spot.

    Raises:
        ConfigError: a cell has no neighbour; a listed pair is unknown or is listed twice; there are fewer cells than
            neighbours wanted.
    """
    cells = range(len(cells_m))
    if isinstance(graph, NeighborsByDistance):
        pairs = [(i, j) for i in cells for j in cells if i != j and math.dist(cells_m[i], cells_m[j]) <= graph.within_m]
        cure = f"raise handover.neighbors.within_m = {graph.within_m:g} or lower sites.inter_site_distance_m"
    elif isinstance(graph, NeighborsByCount):
        if graph.count >= len(cells):
            raise ConfigError(
                f"handover.neighbors.count: {graph.count} neighbours of each cell, but there are {len(cells)} cells",
                f"lower it to {len(cells) - 1} or less",
            )
        chosen = set()
        for i in cells:
            nearest = sorted((math.dist(cells_m[i], cells_m[j]), j) for j in cells if j != i)
            chosen |= {pair for _, j in nearest[: graph.count] for pair in ((i, j), (j, i))}
        pairs, cure = sorted(chosen), ""  # no cell is alone
    else:
        _check_listed(graph.pairs, len(cells))
        pairs, cure = sorted(graph.pairs), "list a pair that begins with it"
    alone = sorted(set(cells) - {serving for serving, _ in pairs})
    if alone:
        raise ConfigError(f"handover.neighbors: cell {alone[0]} has no neighbour, no UE could leave it", cure)
    return tuple(pairs)


def _check_listed(pairs: Sequence[tuple[int, int]], cells: int) -> None:
    for index, pair in enumerate(pairs):
        field = f"handover.neighbors.pairs.{index}: {list(pair)}"
        if not all(0 <= cell < cells for cell in pair):
            raise ConfigError(f"{field} names a cell that does not exist", f"use cells 0 to {cells - 1}")
        if pair[0] == pair[1]:
            raise ConfigError(f"{field}: a cell cannot be its own neighbour", "name two cells")
        if pair in pairs[:index]:
            raise ConfigError(f"{field} is listed twice", "remove one of them")
