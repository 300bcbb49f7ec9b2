"""Maps with their origin and licence: those shipped, users' OpenStreetMap files and SUMO nets, any box or place."""

from __future__ import annotations

from pathlib import Path

from sumo_mobility.base.contract import nearest
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.maps.overpass import BOX, PLACE, check_download, download
from sumo_mobility.maps.source import NET_SUFFIXES, OSM_SUFFIXES, MapSource

__all__ = ["BOX", "OSM_SUFFIXES", "PLACE", "MapSource", "check_map_name", "find_map", "map_names", "names_file"]

_SUFFIXES = (*OSM_SUFFIXES, *NET_SUFFIXES)
_CURES = {
    (".zst", ".xz", ".zip", ".7z", ".tar"): "unpack it first",
    (".o5m", ".opl", ".osc", ".osh", ".pbf"): "convert it: osmium cat -o map.osm.pbf FILE",
    (".json", ".geojson"): "export it as OpenStreetMap XML; of Overpass that is [out:xml]",
    (".xml",): "name it .osm if it is OpenStreetMap's, .net.xml if it is a SUMO net",
    (".sumocfg", ".xodr", ".shp"): "make a net of it with netconvert (of a .sumocfg, give the net that it names)",
}
"""Cures for files of maps that cannot be read, by their suffix."""
_FOLDER = Path(__file__).parent


def map_names() -> list[str]:
    """Names of the shipped maps."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def check_map_name(name: str) -> str:
    """Returns `name` if it can name a map; ValueError (with the nearest name) if not."""
    if not name.isprintable():
        raise ValueError("a map's name has no line feeds and other control characters")
    map_name, _ = _parted(name)
    if map_name.startswith((BOX, PLACE)):
        check_download(map_name)
    elif map_name not in map_names() and not map_name.endswith(_SUFFIXES):
        kinds = f"a {', '.join(_SUFFIXES)} file, '{BOX}W,S,E,N' nor '{PLACE}NAME'"
        raise ValueError(f"neither a shipped map, {kinds}{nearest(map_name, map_names())}")
    return name


def names_file(name: str) -> bool:
    """Returns whether a map's name is the path of a user's file."""
    map_name, _ = _parted(name)
    return map_name not in map_names() and not map_name.startswith((BOX, PLACE))


def find_map(name: str, overpass_url: str = "") -> MapSource:
    """Finds a shipped map by name, a user's file by path, or a box or place, which is downloaded if it is new.

    Args:
        name: A shipped map's name, the path of an .osm (.gz, .bz2, .pbf) or .net.xml (.gz) file, `bbox:W,S,E,N` in
            degrees, or `place:NAME`; with `#left` or `#right` behind it, its streets are driven on that side, else as
            they or the country show.
        overpass_url: Where to download from, if not from `osmnx.settings.overpass_url`.

    Raises:
        ConfigError: no such name or place, or it is too large.
        DataError: no such file, or a map is not the file that its JSON describes, or there is no street.
        DependencyError: the map is in SUMO's wheel, and that is not installed.
        ServiceError, StorageError: a map cannot be downloaded.
    """
    try:
        check_map_name(name)
    except ValueError as error:
        cure = next((cure for suffixes, cure in _CURES.items() if name.lower().endswith(suffixes)), "")
        raise ConfigError(f"map '{name}': {error}", cure) from None
    name, side = _parted(name)
    if name.startswith((BOX, PLACE)):
        source = download(name, overpass_url)
    elif names_file(name):
        source = MapSource.of_file(Path(name).absolute())
    else:
        source = MapSource.described(_FOLDER / f"{name}.json", "restore it: 'git checkout sumo_mobility/maps'")
    if side and source.is_net:
        raise ConfigError(
            f"map '{name}#{side}': a SUMO net is driven on the side that it was built for", "name it alone"
        )
    return source.model_copy(update={"driving_side": side}) if side else source


def _parted(name: str) -> tuple[str, str]:
    """Splits NAME#left or NAME#right."""
    map_name, _, side = name.rpartition("#")
    return (map_name, side) if side in ("left", "right") and map_name else (name, "")
