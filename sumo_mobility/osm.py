"""Cleans OpenStreetMap data for netconvert, which reads neither .pbf nor, without noise, clipped extracts."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import numpy as np
import osmium
from osmium.osm import Node, Relation, Way

from sumo_mobility.base.errors import DataError
from sumo_mobility.base.files import replacing
from sumo_mobility.osm_files import CURE, DAMAGE, opened
from sumo_mobility.streets import LARGEST_MAP_M

_DEGREE_M = 111_200.0


def clean(source: Path, target: Path) -> None:
    """Writes the streets of an OSM extract as plain, self-contained OSM XML.

    Kept are ways tagged `highway`, the nodes they use (with tags, such as traffic signals) and the turn
    restrictions whose members are all there. Where the extract's edge cut nodes out of a way, the way is cut
    there too instead of being drawn straight across the gap. Authors and versions are dropped.

    Args:
        source: A file as `osm_files.opened` takes.
        target: The .osm file to write; absent or as it was if anything fails.

    Raises:
        DataError: `source` is missing, cut off, not OSM, has no streets, or streets that are no one network.
        StorageError: `target` cannot be written.
    """
    with opened(source) as file:
        ways, restrictions = _streets(str(file))
        if not ways:
            raise DataError(f"{source}: holds no street (no way tagged 'highway' with its nodes)", CURE)
        with replacing(target) as temporary:
            try:
                places = _write(file, temporary, ways, restrictions)
            except RuntimeError as error:  # the source was just read whole: this is the disk
                raise OSError(str(error)) from None
            _check_extent(source, places)


def has_streets(data: bytes) -> bool:
    """Returns whether OSM XML holds a street; raises RuntimeError if it is cut off or not OSM."""
    try:
        return bool(_streets(osmium.io.FileBuffer(data, "osm"))[0])
    except DAMAGE as error:
        raise RuntimeError(str(error)) from None


def _streets(source: str | osmium.io.FileBuffer) -> tuple[dict[int, list[list[int]]], set[int]]:
    """Returns the way id -> runs of nodes that exist, and the ids of restrictions without missing members."""
    nodes: set[int] = set()
    highways: dict[int, list[int]] = {}
    restrictions: dict[int, list[tuple[str, int]]] = {}
    for item in osmium.FileProcessor(source):
        if isinstance(item, Node):
            if item.location.valid():
                nodes.add(item.id)
        elif isinstance(item, Way) and "highway" in item.tags:
            highways[item.id] = [node.ref for node in item.nodes]
        elif isinstance(item, Relation) and item.tags.get("type") == "restriction":
            restrictions[item.id] = [(member.type, member.ref) for member in item.members]
    ways = {}
    for way, refs in highways.items():
        runs = [list(run) for present, run in groupby(refs, nodes.__contains__) if present]
        runs = [run for run in runs if len(run) > 1]
        if runs:
            ways[way] = runs
    known = {"n": nodes, "w": set(ways)}
    whole = {i for i, members in restrictions.items() if all(ref in known.get(kind, ()) for kind, ref in members)}
    return ways, whole


def _write(
    source: Path, target: Path, ways: dict[int, list[list[int]]], restrictions: set[int]
) -> dict[int, tuple[float, float]]:
    """Writes what is kept; returns longitude and latitude of its nodes."""
    places = {}
    used = {ref for runs in ways.values() for run in runs for ref in run}
    next_id = max(ways) + 1
    file = osmium.io.File(str(target), "osm,add_metadata=false")
    with osmium.SimpleWriter(file, overwrite=True) as writer:
        for item in osmium.FileProcessor(str(source)):
            if isinstance(item, Node) and item.id in used:
                places[item.id] = (item.lon, item.lat)
                writer.add_node(item)
            elif isinstance(item, Way) and item.id in ways:
                first, *others = ways[item.id]
                writer.add_way(item.replace(nodes=first))
                for run in others:
                    writer.add_way(item.replace(id=next_id, nodes=run))
                    next_id += 1
            elif isinstance(item, Relation) and item.id in restrictions:
                writer.add_relation(item)
    return places


def _check_extent(source: Path, places: dict[int, tuple[float, float]]) -> None:
    """Refuses streets that reach too far to be one network, and names the node that is farthest off."""
    ids, points = list(places), np.array(list(places.values()))
    middle = np.median(points, axis=0)
    east_deg = (points[:, 0] - points[0, 0] + 180) % 360 - 180  # across the antimeridian too
    east_deg -= np.median(east_deg)
    east_m = east_deg * np.cos(np.radians(middle[1])) * _DEGREE_M
    north_m = (points[:, 1] - middle[1]) * _DEGREE_M
    if max(np.ptp(east_m), np.ptp(north_m)) <= LARGEST_MAP_M:
        return
    far = int(np.hypot(east_m, north_m).argmax())
    raise DataError(
        f"{source}: its streets reach over {max(np.ptp(east_m), np.ptp(north_m)) / 1000:,.0f} km, which is no one "
        f"network: node {ids[far]} at lon {points[far, 0]:g}, lat {points[far, 1]:g} is farthest from the others",
        f"delete that node if it is wrong, or cut out an area of at most {LARGEST_MAP_M / 1000:.0f} km: "
        "osmium extract --bbox W,S,E,N",
    )
