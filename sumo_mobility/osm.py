"""Cleans OpenStreetMap data for netconvert, which reads neither .pbf nor, without noise, clipped extracts."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import osmium
from osmium.osm import Node, Relation, Way

from sumo_mobility.base.errors import DataError
from sumo_mobility.base.files import replacing

_CURE = "export or download the extract again; .osm, .osm.gz and .osm.pbf files are read"


def clean(source: Path, target: Path) -> None:
    """Writes the streets of an OSM extract as plain, self-contained OSM XML.

    Kept are ways tagged `highway`, the nodes they use (with tags, such as traffic signals) and the turn
    restrictions whose members are all there. Where the extract's edge cut nodes out of a way, the way is cut
    there too instead of being drawn straight across the gap. Authors and versions are dropped.

    Args:
        source: An .osm, .osm.gz or .osm.pbf file.
        target: The .osm file to write; absent or as it was if anything fails.

    Raises:
        DataError: `source` is missing, cut off, not OSM, or has no streets.
        StorageError: `target` cannot be written.
    """
    if not source.is_file():
        raise DataError(f"{source}: no such file", _CURE)
    try:
        ways, restrictions = _streets(str(source))
    except (RuntimeError, osmium.InvalidLocationError) as error:
        raise DataError(f"{source}: not a whole OpenStreetMap file ({error})", _CURE) from None
    if not ways:
        raise DataError(f"{source}: holds no street (no way tagged 'highway' with its nodes)", _CURE)
    with replacing(target) as temporary:
        try:
            _write(source, temporary, ways, restrictions)
        except RuntimeError as error:  # the source was just read whole: this is the disk
            raise OSError(str(error)) from None


def has_streets(data: bytes) -> bool:
    """Whether OSM XML holds a street; RuntimeError if it is cut off or not OSM."""
    try:
        return bool(_streets(osmium.io.FileBuffer(data, "osm"))[0])
    except osmium.InvalidLocationError as error:
        raise RuntimeError(str(error)) from None


def _streets(source: str | osmium.io.FileBuffer) -> tuple[dict[int, list[list[int]]], set[int]]:
    """Returns the way id -> runs of nodes that exist, and the ids of restrictions without missing members."""
    nodes: set[int] = set()
    highways: dict[int, list[int]] = {}
    restrictions: dict[int, list[tuple[str, int]]] = {}
    for item in osmium.FileProcessor(source):
        if isinstance(item, Node):
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


def _write(source: Path, target: Path, ways: dict[int, list[list[int]]], restrictions: set[int]) -> None:
    used = {ref for runs in ways.values() for run in runs for ref in run}
    next_id = max(ways) + 1
    file = osmium.io.File(str(target), "osm,add_metadata=false")
    with osmium.SimpleWriter(file, overwrite=True) as writer:
        for item in osmium.FileProcessor(str(source)):
            if isinstance(item, Node) and item.id in used:
                writer.add_node(item)
            elif isinstance(item, Way) and item.id in ways:
                first, *others = ways[item.id]
                writer.add_way(item.replace(nodes=first))
                for run in others:
                    writer.add_way(item.replace(id=next_id, nodes=run))
                    next_id += 1
            elif isinstance(item, Relation) and item.id in restrictions:
                writer.add_relation(item)
