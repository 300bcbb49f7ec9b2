"""Opens OpenStreetMap files with the habits of whoever wrote them: packed, unsorted, edited, or with old versions."""

from __future__ import annotations

import bz2
import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.parsers import expat

import osmium
from osmium.osm import Node, Relation, Way

from sumo_mobility.base.errors import DataError, StorageError
from sumo_mobility.base.files import require_file
from sumo_mobility.base.scratch import ScratchDirectory

CURE = "export or download the extract again; .osm, .osm.gz, .osm.bz2 and .osm.pbf files are read"
DAMAGE = (RuntimeError, ValueError, OverflowError, osmium.InvalidLocationError)
"""The exceptions that pyosmium raises for damaged OpenStreetMap files."""
_UNPACK: dict[str, Callable[[Path, str], Any]] = {".gz": gzip.open, ".bz2": bz2.open}
_LARGEST_RATIO = 100
"""Real files shrink to a tenth; a file that grows more than this is made to fill the memory."""
_SMALL_BYTES = 64 << 20
"""Up to this size, whatever the ratio."""
_CHUNK_BYTES = 1 << 20
_LAST_ID = 2**63 - 1
_DELETION = re.compile(rb"""action\s*=\s*["']delete""")
_LONGEST_DELETION = 64
_KINDS = {"node": "n", "way": "w", "relation": "r"}


@contextmanager
def opened(source: Path) -> Iterator[Path]:
    """Yields a file of the same objects in the order that readers need: `source` itself if it is in order.

    Otherwise it is a temporary copy: nodes, ways, relations, each by id; of several versions of an object the last;
    without what was deleted there or in an editor (JOSM writes `action="delete"` and leaves it in the file); and with
    positive ids, since objects new in an editor have negative ones, which netconvert loses.

    Args:
        source: An .osm, .osm.gz, .osm.bz2 or .osm.pbf file.

    Raises:
        DataError: it is missing, no file, cut off, or not OpenStreetMap's; also when the block fails on its content.
        StorageError: there is no room for the copy.
    """
    require_file(source, CURE)
    try:
        deleted = _deleted_in_editor(source) if source.suffix != ".pbf" else frozenset()
        in_order, top = _survey(source)
        if in_order and not deleted:
            yield source
            return
        merge = osmium.MergeInputReader()
        merge.add_file(str(source))
        with ScratchDirectory() as scratch:
            copy = scratch.path / "ordered.osm.pbf"
            try:
                with osmium.SimpleWriter(osmium.io.File(str(copy), "pbf,add_metadata=false"), overwrite=True) as writer:
                    merge.apply(_Copier(writer, deleted, top))  # sorts, and keeps the last version of each object
            except RuntimeError as error:  # the source was just read whole: this is the disk
                raise StorageError(f"cannot write {copy}: {error}", "free some space or set TMPDIR") from None
            yield copy
    except (*DAMAGE, EOFError, OSError, zlib.error, expat.ExpatError) as error:
        raise DataError(f"{source}: not a whole OpenStreetMap file ({error!s:.200})", CURE) from None


def _survey(source: Path) -> tuple[bool, dict[str, int]]:
    """Returns whether the file is in the order that `opened` needs, and the greatest id of each kind of object."""
    in_order, before = True, ("", 0)
    top = dict.fromkeys("nwr", 0)
    for item in osmium.FileProcessor(str(source)):
        if not isinstance(item, Node | Way | Relation):
            continue
        here = (item.type_str(), item.id)
        in_order = in_order and "nwr".find(here[0]) >= "nwr".find(before[0]) and item.id > 0 and not item.deleted
        in_order = in_order and (here[0] != before[0] or here[1] > before[1])
        top[here[0]] = max(top[here[0]], item.id)
        before = here
    return in_order, top


def _deleted_in_editor(source: Path) -> frozenset[tuple[str, int]]:
    """Kinds and ids of the objects of an XML file that are marked as deleted; refuses what unpacks without end."""
    unpack = _UNPACK.get(source.suffix, Path.open)
    limit = max(_SMALL_BYTES, _LARGEST_RATIO * source.stat().st_size)
    size, tail, marked = 0, b"", False
    with unpack(source, "rb") as file:
        while part := file.read(_CHUNK_BYTES):
            size += len(part)
            if size > limit:
                raise DataError(f"{source}: unpacks to more than {limit >> 20} MiB", CURE)
            marked = marked or _DELETION.search(tail + part) is not None
            tail = part[-_LONGEST_DELETION:]
        if not marked:
            return frozenset()
        found = set()

        def note(name: str, attributes: dict[str, str]) -> None:
            if name in _KINDS and attributes.get("action") == "delete":
                found.add((_KINDS[name], int(attributes["id"])))

        parser = expat.ParserCreate()
        parser.StartElementHandler = note
        file.seek(0)
        try:
            parser.ParseFile(file)
        except KeyError:
            raise ValueError("an object has no id") from None
        return frozenset(found)


class _Copier(osmium.SimpleHandler):
    """Writes what is to be kept, with positive ids."""

    def __init__(self, writer: osmium.SimpleWriter, deleted: frozenset[tuple[str, int]], top: dict[str, int]) -> None:
        super().__init__()
        self._writer, self._deleted, self._top = writer, deleted, top

    def node(self, node: Node) -> None:
        """Called for each."""
        if self._stays(node):
            self._writer.add_node(node.replace(id=self._number("n", node.id)))

    def way(self, way: Way) -> None:
        """Called for each."""
        if self._stays(way):
            nodes = [self._number("n", node.ref) for node in way.nodes]
            self._writer.add_way(way.replace(id=self._number("w", way.id), nodes=nodes))

    def relation(self, relation: Relation) -> None:
        """Called for each."""
        if self._stays(relation):
            members = [(member.type, self._number(member.type, member.ref), member.role) for member in relation.members]
            self._writer.add_relation(relation.replace(id=self._number("r", relation.id), members=members))

    def _stays(self, item: Node | Way | Relation) -> bool:
        return not item.deleted and (item.type_str(), item.id) not in self._deleted

    def _number(self, kind: str, number: int) -> int:
        if number > 0:
            return number
        number = self._top[kind] + 1 - number
        if number > _LAST_ID:
            raise ValueError(f"no id is left for new objects beyond {self._top[kind]}")
        return number
