"""The maps that are shipped, and any OpenStreetMap file or SUMO net of a user's, with their origin and licence."""

from __future__ import annotations

from pathlib import Path

from sumo_mobility.base.contract import nearest
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.maps.source import NET_SUFFIX, OSM_SUFFIXES, MapSource

__all__ = ["MapSource", "check_map_name", "find_map", "map_names"]

_SUFFIXES = (*OSM_SUFFIXES, NET_SUFFIX)
_FOLDER = Path(__file__).parent


def map_names() -> list[str]:
    """Names of the shipped maps."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def check_map_name(name: str) -> str:
    """Returns `name` if it can name a map; ValueError (with the nearest name) if not."""
    if name not in map_names() and not name.endswith(_SUFFIXES):
        raise ValueError(f"neither a shipped map nor a {', '.join(_SUFFIXES)} file{nearest(name, map_names())}")
    return name


def find_map(name: str) -> MapSource:
    """Finds a shipped map by name, or a user's OpenStreetMap file or SUMO net by path.

    Raises:
        ConfigError: no such name.
        DataError: no such file, or a shipped map is not the file that its JSON describes.
        DependencyError: the map is in SUMO's wheel, and that is not installed.
    """
    try:
        check_map_name(name)
    except ValueError as error:
        raise ConfigError(f"map '{name}': {error}") from None
    if name not in map_names():
        return MapSource.of_file(Path(name).resolve())
    return MapSource.described(_FOLDER / f"{name}.json", "restore it: 'git checkout sumo_mobility/maps'")
