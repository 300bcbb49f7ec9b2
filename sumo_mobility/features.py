"""Features of an OpenStreetMap file beside its streets: masts that carry antennas, and buildings with their heights."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import osmium
import pyproj
from osmium.osm import Area, Node

from sumo_mobility.base.arrays import Floats
from sumo_mobility.osm_files import opened

STOREY_M, UNKNOWN_HEIGHT_M = 3.0, 15.0
"""Height of a building by its `building:levels`, and of one that says nothing."""
_METRES = re.compile(r"\s*(\d+(?:[.,]\d+)?)\s*m?\s*")


@dataclass(frozen=True)
class MapFeatures:
    """Masts and buildings in trace coordinates.

    Attributes:
        masts_m: (M, 2) nodes with mobile network antennas.
        outlines_m: (N, 2) each, the outer ring of every building, closed.
        heights_m: (B,) of the buildings, by `height`, else `building:levels`, else UNKNOWN_HEIGHT_M.
    """

    masts_m: Floats
    outlines_m: tuple[Floats, ...]
    heights_m: Floats

    @property
    def centres_m(self) -> Floats:
        """(B, 2) the middle of each building's bounding box."""
        boxes = [(ring.min(axis=0) + ring.max(axis=0)) / 2 for ring in self.outlines_m]
        return np.array(boxes, dtype=np.float64).reshape(-1, 2)


NOTHING = MapFeatures(np.empty((0, 2)), (), np.empty(0))
"""The features of a map that is not from OpenStreetMap: none."""


def read_features(file: Path, projection: str, net_offset_m: tuple[float, float]) -> MapFeatures:
    """Reads the masts and buildings of an OpenStreetMap file.

    Args:
        file: The file.
        projection: PROJ string of its StreetMap.
        net_offset_m: Of its StreetMap.

    Raises:
        DataError: the file is damaged.
    """
    masts: list[tuple[float, float]] = []
    rings: list[list[tuple[float, float]]] = []
    heights: list[float] = []
    with opened(file) as ordered:
        for item in osmium.FileProcessor(str(ordered)).with_areas(osmium.filter.KeyFilter("building")):
            if isinstance(item, Node) and item.location.valid() and _is_mobile_mast(item.tags):
                masts.append((item.lon, item.lat))
            elif isinstance(item, Area) and item.tags.get("building", "no") != "no":
                for ring in item.outer_rings():
                    rings.append([(node.lon, node.lat) for node in ring])
                    heights.append(_height_m(item.tags))
    project = pyproj.Proj(projection)

    def placed(points: list[tuple[float, float]]) -> Floats:
        longitude, latitude = np.array(points, dtype=np.float64).reshape(-1, 2).T
        return np.column_stack(project(longitude, latitude)) + np.array(net_offset_m)

    return MapFeatures(placed(masts), tuple(placed(ring) for ring in rings), np.array(heights))


def _is_mobile_mast(tags: osmium.osm.TagList) -> bool:
    """Returns whether a node is a mast of a mobile network; not every tower or telecom node has an antenna."""
    if tags.get("communication:mobile_phone") == "yes" or tags.get("telecom") in ("antenna", "bts"):
        return True
    is_mast = tags.get("man_made") in ("mast", "tower", "antenna")
    return is_mast and tags.get("tower:type") == "communication"


def _height_m(tags: osmium.osm.TagList) -> float:
    for tag, unit_m in (("height", 1.0), ("building:levels", STOREY_M)):
        stated = _METRES.fullmatch(tags.get(tag) or "")
        if stated:
            return unit_m * float(stated[1].replace(",", "."))
    return UNKNOWN_HEIGHT_M
