"""The maps that are shipped, and any OpenStreetMap file of a user's, with their origin and licence."""

from __future__ import annotations

from pathlib import Path

from sumo_mobility.base.contract import Contract, nearest
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.base.files import sha256

OSM_SUFFIXES = (".osm", ".osm.gz", ".osm.pbf")
_FOLDER = Path(__file__).parent


class MapSource(Contract):
    """One OpenStreetMap extract: the JSON beside each shipped file."""

    name: str
    title: str
    file: Path
    """Relative to the JSON, absolute once found."""
    sha256: str
    bounding_box_deg: tuple[float, float, float, float] | None = None
    """West, south, east, north in WGS 84."""
    data_date: str = ""
    """Date of the newest object."""
    source: str
    licence: str = "ODbL-1.0"
    attribution: str = "© OpenStreetMap contributors"


def map_names() -> list[str]:
    """Names of the shipped maps."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def check_map_name(name: str) -> str:
    """Returns `name` if it can name a map; ValueError (with the nearest name) if not."""
    if name not in map_names() and not name.endswith(OSM_SUFFIXES):
        raise ValueError(f"neither a shipped map nor a {', '.join(OSM_SUFFIXES)} file{nearest(name, map_names())}")
    return name


def find_map(name: str) -> MapSource:
    """Finds a shipped map by name, or a user's OSM file by path.

    Raises:
        ConfigError: no such name.
        DataError: no such file, or a shipped map is not the file that its JSON describes.
    """
    try:
        check_map_name(name)
    except ValueError as error:
        raise ConfigError(f"map '{name}': {error}") from None
    if name not in map_names():
        path = Path(name).resolve()
        if not path.is_file():
            raise DataError(f"{path}: no such file", f"name an existing file, or a shipped map: {map_names()}")
        stem = path.name.split(".osm")[0]
        return MapSource(name=stem, title=stem, file=path, sha256=sha256(path), source=path.name)
    source = MapSource.read_json(_FOLDER / f"{name}.json")
    path = _FOLDER / source.file
    if not path.is_file() or sha256(path) != source.sha256:
        raise DataError(
            f"{path}: is not the file that {name}.json describes", "restore it: 'git checkout sumo_mobility/maps'"
        )
    return source.model_copy(update={"file": path})
