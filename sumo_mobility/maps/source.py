"""MapSource: one map's file, its origin and its licence."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path
from typing import Literal, Self

from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import DataError
from sumo_mobility.base.files import require_file, sha256
from sumo_mobility.sumo import REINSTALL, sumo_home

OSM_SUFFIXES = (".osm", ".osm.gz", ".osm.bz2", ".osm.pbf")
NET_SUFFIXES = (".net.xml", ".net.xml.gz")
_SIGNS_OF_OSM = (b'<osm-files value="', b'<type id="highway.')
"""Signs of OpenStreetMap in the head of a net by netconvert: its options, and OpenStreetMap's kinds of roads."""


class MapSource(Contract):
    """The source of a map: the JSON beside each OpenStreetMap extract or SUMO net, shipped or downloaded."""

    name: str
    title: str
    file: Path
    """Absolute once found."""
    in_sumo: bool = False
    """The JSON's `file` is relative to the folder of SUMO's wheel, not to the JSON."""
    of_user: bool = False
    """The file is a user's, and known by its path."""
    sha256: str
    bounding_box_deg: tuple[float, float, float, float] | None = None
    """West, south, east, north in WGS 84."""
    data_date: str = ""
    """Date of the newest object, if it is known."""
    driving_side: Literal["left", "right", ""] = ""
    """The driving side that the user stated; if empty, it is taken from the streets or the country."""
    source: str
    licence: str = "ODbL-1.0"
    """SPDX id, or "unknown"."""
    attribution: str = "© OpenStreetMap contributors"

    @property
    def is_net(self) -> bool:
        """Whether the file is a SUMO net and not OpenStreetMap data."""
        return self.file.name.endswith(NET_SUFFIXES)

    @property
    def found_by(self) -> str:
        """The name by which `find_map` finds the map again from any directory."""
        name = str(self.file) if self.of_user else self.name
        return f"{name}#{self.driving_side}" if self.driving_side else name

    @classmethod
    def described(cls, record: Path, cure: str) -> Self:
        """Reads the JSON of a map and finds its file.

        Raises:
            DataError: the file is not the one that the JSON describes; `cure` says what to do, unless it is SUMO's.
            DependencyError: the file is in SUMO's wheel, and that is not installed.
        """
        source = cls.read_json(record)
        folder, cure = (sumo_home(), REINSTALL) if source.in_sumo else (record.parent, cure)
        path = folder / source.file
        if not path.is_file() or sha256(path) != source.sha256:
            raise DataError(f"{path}: is not the file that {record.name} describes", cure)
        return source.model_copy(update={"file": path})

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """Describes a user's file. A net counts as OpenStreetMap's if its head shows that netconvert made it of that.

        Raises:
            DataError: no such file, or a name that SUMO cannot be given.
        """
        require_file(path, "name a file that exists and that you may read, or a shipped map")
        try:
            digest = sha256(path)
            unpack = gzip.open if path.suffix == ".gz" else open
            with unpack(path, "rb") as file:
                head = file.read(1 << 16)
        except (OSError, EOFError, zlib.error) as error:
            what = getattr(error, "strerror", None) or error
            raise DataError(
                f"{path}: cannot be read ({what})", "name a file that you may read, and that is whole"
            ) from None
        name = re.split(r"\.(?:osm|net)\b", path.name)[0]
        source = cls(name=name, title=path.name, file=path, of_user=True, sha256=digest, source=path.name)
        if not source.is_net:
            return source
        if "," in str(path):
            raise DataError(f"{path}: SUMO takes the comma for the end of a path", "rename the file or its folder")
        if any(sign in head for sign in _SIGNS_OF_OSM):
            return source
        return source.model_copy(update={"licence": "unknown", "attribution": path.name})


def safe_name(text: str) -> str:
    """Returns `text` as part of a file's name that no program misreads."""
    return re.sub(r"[^\w.+-]+", "-", text).strip("-.")[:60] or "map"
