"""Makes the streets that UEs can drive on from an OpenStreetMap extract or a SUMO net."""

from __future__ import annotations

import gzip
import hashlib
import re
import shlex
import zlib
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

import networkx
import numpy as np
import pyproj
import sumolib.net

from sumo_mobility import driving_side, osm, osm_files
from sumo_mobility.base.arrays import Bools, Floats
from sumo_mobility.base.errors import DataError, SimulatorError
from sumo_mobility.base.files import cache_folder, replacing, require_file, sha256
from sumo_mobility.base.progress import note
from sumo_mobility.base.scratch import ScratchDirectory
from sumo_mobility.maps import OSM_SUFFIXES, MapSource
from sumo_mobility.maps.source import safe_name
from sumo_mobility.streets import LARGEST_MAP_M, StreetMap
from sumo_mobility.sumo import run_sumo, sumo_home, sumo_version

SHORTEST_EDGE_M = 15.0
"""Shorter edges are no destination: a car could not stop on them."""

_TYPES = ("osmNetconvert.typ.xml", "osmNetconvertUrbanDe.typ.xml")
_OPTIONS = shlex.split(
    "--geometry.remove --roundabouts.guess --ramps.guess --junctions.join --tls.guess-signals --tls.discard-simple "
    "--tls.join --tls.default-type actuated --keep-edges.by-vclass passenger --remove-edges.isolated "
    "--keep-edges.components 1 --output.street-names --no-warnings"
)
_CURE = "make it anew with netconvert"
_HEADER = re.compile(r"<!-- generated on .*?-->\n*", re.DOTALL)


@dataclass(frozen=True)
class RoadNetwork:
    """A SUMO net, its streets, and the edges that can be destinations.

    All edges and lanes are of the largest strongly connected part: a car gets from each to each.

    Attributes:
        file: The .net.xml.
        source: The map it was made of.
        streets: Its lanes in trace coordinates.
        shift_m: Subtracted from the net's coordinates to obtain trace coordinates.
        edge_ids: (E,) edges of at least SHORTEST_EDGE_M.
        lane_ids: (E,) the outermost lane for cars of each.
        length_m: (E,) of each.
        middle_m: (E, 2) of each.
        walkable: (E,) whether pedestrians may walk along it.
    """

    file: Path
    source: MapSource
    streets: StreetMap
    shift_m: Floats
    edge_ids: tuple[str, ...]
    lane_ids: tuple[str, ...]
    length_m: Floats
    middle_m: Floats
    walkable: Bools


def build_net(source: MapSource, cache: Path | None = None) -> Path:
    """Cleans and converts a map, unless the same content was converted before; returns the .net.xml.

    A map that is a SUMO net is taken as it is.

    Args:
        source: The map.
        cache: Where nets are kept; `cache_folder()` if not given.

    Raises:
        DataError: the map is damaged, foreign, or has no streets for cars.
        StorageError: the cache cannot be written.
        SimulatorError: netconvert died.
    """
    if source.is_net:
        return source.file
    code = [sha256(Path(module.__file__ or "")) for module in (osm, osm_files, driving_side)]
    recipe = "\n".join([source.sha256, source.driving_side, sumo_version(), *_TYPES, *_OPTIONS, *code])
    key = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    net = (cache or cache_folder()) / f"{safe_name(source.name)}-{key}.net.xml"
    if net.is_file():
        return net
    typemap = sumo_home() / "data" / "typemap"
    with replacing(net) as temporary, ScratchDirectory() as scratch:
        cleaned, raw = scratch.path / "cleaned.osm", scratch.path / "raw.net.xml"
        osm.clean(source.file, cleaned)
        types = ",".join(str(typemap / name) for name in _TYPES)
        side = source.driving_side
        if not side:
            side, why = driving_side.driving_side(cleaned)
            if side == "left":
                note(f"{source.found_by} is driven on the left, by {why}; '{source.found_by}#right' names the contrary")
        options = ["--lefthand", *_OPTIONS] if side == "left" else _OPTIONS
        try:
            run_sumo("netconvert", ["--osm-files", str(cleaned), "--type-files", types, *options, "-o", str(raw)])
        except SimulatorError as error:
            if "No edges" in error.message or "No nodes" in error.message:
                raise _no_streets(source) from None
            raise
        # The header holds the time of day and would make equal nets differ.
        temporary.write_text(_HEADER.sub("", raw.read_text(encoding="utf-8"), count=1), encoding="utf-8")
    return net


def read_network(source: MapSource, net_file: Path) -> RoadNetwork:
    """Reads the streets for cars out of a net; wherever its origin is, theirs is their south-west corner.

    Raises:
        DataError: it is cut off or no SUMO net, or no two of its edges are strongly connected.
    """
    attributes = _root_attributes(net_file)
    try:
        net = sumolib.net.readNet(str(net_file), withInternal=True, lxml=False)
        where = {"netOffset": "0,0", "projParameter": ""} | net._location  # hand-made nets may not say it
        offset = np.array([float(part) for part in where["netOffset"].split(",")[:2]])
    except Exception as error:  # sumolib trusts what it reads, and raises many kinds for damaged files
        raise _damaged(net_file, error) from None
    edges = {edge.getID(): edge for edge in net.getEdges(withInternal=False) if edge.allows("passenger")}
    graph = networkx.DiGraph(
        (edge_id, follower.getID())
        for edge_id, edge in edges.items()
        for follower in edge.getOutgoing()
        if follower.getID() in edges
    )
    connected = max(
        networkx.strongly_connected_components(graph), key=lambda part: (len(part), min(part)), default=set()
    )
    usable = [edges[i] for i in sorted(connected) if edges[i].getLength() >= SHORTEST_EDGE_M]
    if len(usable) < 2:
        raise _no_streets(source)
    lines = _lane_lines(net, connected)
    corner = np.concatenate(lines).min(axis=0)
    east, north = np.concatenate(lines).max(axis=0) - corner
    offset = offset - corner
    lengths_m = np.array([edge.getLength() for edge in usable])
    if not all(np.isfinite(values).all() for values in (east, north, offset, lengths_m)):
        raise _damaged(net_file, "a coordinate or length is no number")
    if max(east, north, lengths_m.max()) > LARGEST_MAP_M:
        raise DataError(
            f"{net_file}: its streets reach over {max(east, north, lengths_m.max()) / 1000:,.0f} km",
            f"cut out an area of at most {LARGEST_MAP_M / 1000:.0f} km: netconvert --keep-edges.in-boundary",
        )
    streets = StreetMap(
        name=source.name,
        streets=tuple(line - corner for line in lines),
        bounds_m=(0.0, 0.0, round(float(east), 3), round(float(north), 3)),
        projection=_known_projection(where["projParameter"]),
        net_offset_m=(round(float(offset[0]), 3), round(float(offset[1]), 3)),
        licence=source.licence,
        attribution=source.attribution,
        driving_side="left" if attributes.get("lefthand") in ("true", "1", "yes", "on") else "right",
        file=source.file if source.file.name.endswith(OSM_SUFFIXES) else None,
    )
    lanes = [next(lane for lane in edge.getLanes() if lane.allows("passenger")) for edge in usable]
    middle = [sumolib.geomhelper.positionAtShapeOffset(lane.getShape(), lane.getLength() / 2) for lane in lanes]
    return RoadNetwork(
        file=net_file,
        source=source,
        streets=streets,
        shift_m=corner,
        edge_ids=tuple(edge.getID() for edge in usable),
        lane_ids=tuple(lane.getID() for lane in lanes),
        length_m=np.array([lane.getLength() for lane in lanes]),
        middle_m=np.array(middle, dtype=np.float64) - corner,
        walkable=np.array([edge.allows("pedestrian") for edge in usable]),
    )


def _lane_lines(net: sumolib.net.Net, edge_ids: set[str]) -> list[Floats]:
    """Shapes of the lanes for cars on these edges and of the junction lanes that join them."""
    lanes = {}
    for edge_id in sorted(edge_ids):
        for lane in net.getEdge(edge_id).getLanes():
            if not lane.allows("passenger"):
                continue
            lanes[lane.getID()] = lane
            for connection in lane.getOutgoing():
                via = connection.getViaLaneID()
                while via and connection.getTo().getID() in edge_ids:
                    inner = net.getLane(via)
                    lanes[via] = inner
                    following = inner.getOutgoing()
                    via = following[0].getViaLaneID() if following else ""
    return [np.array(lane.getShape(), dtype=np.float64)[:, :2] for lane in lanes.values()]


def _root_attributes(net_file: Path) -> dict[str, str]:
    """Attributes of the file's first element; refuses what is no net before SUMO and sumolib read it to its end."""
    require_file(net_file, _CURE)
    attributes: dict[str, str] = {}
    parser = expat.ParserCreate()

    def first(name: str, found: dict[str, str]) -> None:
        if name != "net":
            raise ValueError(f"its first element is {name:.40}")
        attributes.update(found)
        parser.StartElementHandler = None

    def declared(*_: object) -> None:
        raise ValueError("it declares a document type, as no SUMO net does")

    parser.StartElementHandler, parser.StartDoctypeDeclHandler = first, declared
    try:
        with gzip.open(net_file) if net_file.suffix == ".gz" else net_file.open("rb") as file:
            size = 0
            while part := file.read(1 << 20):
                size += len(part)
                if size > max(64 << 20, 100 * net_file.stat().st_size):
                    raise ValueError(f"it unpacks to more than {size >> 20} MiB")
                parser.Parse(part)
            parser.Parse(b"", True)
    except (expat.ExpatError, ValueError, OSError, EOFError, zlib.error) as error:
        raise _damaged(net_file, error) from None
    return attributes


def _known_projection(text: str) -> str:
    """The projection of a net; none where it has none, or one of SUMO's own that PROJ does not know."""
    try:
        pyproj.Proj(text)
    except pyproj.exceptions.ProjError:
        return ""
    return text


def _damaged(net_file: Path, why: object) -> DataError:
    return DataError(f"{net_file}: not a whole SUMO net ({why!s:.200})", _CURE)


def _no_streets(source: MapSource) -> DataError:
    return DataError(
        f"{source.found_by}: has no two streets between which cars can drive both ways",
        "allow cars on its lanes and connect them (netedit), or take a larger net"
        if source.is_net
        else "take a larger area, with its roads (ways tagged 'highway')",
    )
