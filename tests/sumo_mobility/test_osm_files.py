"""OpenStreetMap files of other programs and editors: in any order, packed, edited, with old versions, or hostile."""

from __future__ import annotations

import bz2
import gzip
import os
from collections.abc import Callable
from pathlib import Path

import osmium
import pytest

from sumo_mobility import osm
from sumo_mobility.base.errors import DataError
from sumo_mobility.features import read_features
from sumo_mobility.maps import find_map
from sumo_mobility.net import build_net

UTM = "+proj=utm +zone=35 +ellps=WGS84 +datum=WGS84 +units=m +no_defs"


def town(sign: int = 1, west: float = 24.9, step: float = 0.004, more: str = "") -> str:
    """Nine crossings and six streets, as OSM XML."""
    nodes = [(sign * (1 + i + 3 * j), (west + i * step + 180) % 360 - 180, 60.1 + j * step / 2)
             for j in range(3) for i in range(3)]  # fmt: skip
    streets = [[1 + i + 3 * j for i in range(3)] for j in range(3)] + [
        [1 + i + 3 * j for j in range(3)] for i in range(3)
    ]
    return (
        '<osm version="0.6">'
        + "".join(f'<node id="{number}" lon="{lon:.7f}" lat="{lat:.7f}"/>\n' for number, lon, lat in nodes)
        + "".join(
            f'<way id="{sign * (100 + index)}">' + "".join(f'<nd ref="{sign * ref}"/>' for ref in street)
            + '<tag k="highway" v="primary"/></way>\n'
            for index, street in enumerate(streets)
        )
        + more + "</osm>"
    )  # fmt: skip


def cleaned(path: Path, content: bytes | str) -> bytes:
    """What is left of a file."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    target = path.with_name("cleaned.osm")
    osm.clean(path, target)
    return target.read_bytes()


@pytest.mark.sumo
def test_objects_in_any_order_make_the_same_net(tmp_path: Path) -> None:
    source = find_map("helsinki-centre")
    with osmium.SimpleWriter(str(tmp_path / "ways-first.osm")) as writer:
        for kind in ("w", "r", "n"):
            for item in osmium.FileProcessor(str(source.file)):
                if item.type_str() == kind:
                    writer.add(item)
    unsorted = find_map(str(tmp_path / "ways-first.osm"))
    nets = [build_net(one, tmp_path / "cache").read_bytes() for one in (source, unsorted)]
    assert nets[0] == nets[1]
    features = [read_features(one.file, UTM, (0.0, 0.0)) for one in (source, unsorted)]
    assert (features[0].masts_m == features[1].masts_m).all()
    assert len(features[0].outlines_m) == len(features[1].outlines_m) > 400


def test_files_of_every_habit_say_the_same(tmp_path: Path) -> None:
    text = town()
    lines = text.removeprefix('<osm version="0.6">').removesuffix("</osm>").splitlines()
    plain = cleaned(tmp_path / "plain.osm", text)
    assert plain.count(b"<way") == 6
    backwards = '<osm version="0.6">' + "\n".join(reversed(lines)) + "</osm>"
    older = '<node id="5" version="0" lon="0" lat="0"/><way id="100" version="0"><nd ref="1"/><nd ref="9"/></way>'
    assert cleaned(tmp_path / "backwards.osm", backwards) == plain
    assert cleaned(tmp_path / "twice.osm", text.replace("</osm>", "".join(lines) + "</osm>")) == plain
    assert cleaned(tmp_path / "history.osm", town(more=older).replace("<node", '<node version="1"', 9)
                   .replace('<way id="100"', '<way id="100" version="1"', 1)) == plain  # fmt: skip
    assert cleaned(tmp_path / "packed.osm.gz", gzip.compress(text.encode())) == plain
    assert cleaned(tmp_path / "packed.osm.bz2", bz2.compress(text.encode())) == plain
    assert cleaned(tmp_path / "windows.osm", b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()) == plain
    with osmium.SimpleWriter(str(tmp_path / "packed.osm.pbf")) as writer:
        for item in osmium.FileProcessor(str(tmp_path / "plain.osm")):
            writer.add(item)
    osm.clean(tmp_path / "packed.osm.pbf", tmp_path / "cleaned.osm")
    assert (tmp_path / "cleaned.osm").read_bytes() == plain


def test_what_an_editor_deleted_is_gone_and_what_it_made_is_there(tmp_path: Path) -> None:
    plain = cleaned(tmp_path / "plain.osm", town())
    deleted = (
        "<node id='20' action='delete' lon='24.95' lat='60.11'/>"
        "<way id='200' action='delete' visible='true' version='3'><nd ref='1'/><nd ref='9'/>"
        "<tag k='highway' v='service'/></way>"
        "<way id='201' visible='false' version='3'><nd ref='1'/><nd ref='5'/><tag k='highway' v='service'/></way>"
    )
    assert cleaned(tmp_path / "josm.osm", town(more=deleted)) == plain
    made = (
        "<node id='-3' action='modify' lon='24.91' lat='60.11'/><node id='-1' lon='24.912' lat='60.11'/>"
        "<way id='-7' action='modify'><nd ref='-3'/><nd ref='-1'/><nd ref='5'/><tag k='highway' v='primary'/></way>"
    )
    (tmp_path / "new.osm").write_text(town(more=made))
    osm.clean(tmp_path / "new.osm", tmp_path / "out.osm")
    ways = {
        item.id: [node.ref for node in item.nodes]
        for item in osmium.FileProcessor(str(tmp_path / "out.osm"))
        if item.is_way()
    }
    assert len(ways) == 7
    (new,) = [refs for refs in ways.values() if 5 in refs and len(set(refs) & {4, 6, 2, 8}) == 0]
    assert min(new) > 0
    assert not any(number < 0 for number in ways)
    assert cleaned(tmp_path / "all-new.osm", town(sign=-1)).count(b"<way") == 6


def test_streets_across_the_antimeridian_are_one_network_and_far_ones_are_none(tmp_path: Path) -> None:
    assert cleaned(tmp_path / "fiji.osm", town(west=179.996)).count(b"<way") == 6
    lost = '<node id="50" lon="-120" lat="60.1"/>'
    assert cleaned(tmp_path / "bench.osm", town(more=lost)) == cleaned(tmp_path / "plain.osm", town())
    lost += '<way id="300"><nd ref="1"/><nd ref="50"/><tag k="highway" v="primary"/></way>'
    with pytest.raises(DataError, match=r"no one network: node 50 at lon -120, lat 60\.1.*\n.*osmium extract"):
        cleaned(tmp_path / "lost.osm", town(more=lost))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("id.osm", town(more='<node id="99999999999999999999" lon="1" lat="1"/>'), "illegal id"),
        ("top.osm", town(sign=-1, more=f'<node id="{2**63 - 9}" lon="1" lat="1"/>'), "illegal id|no id is left"),
        ("entity.osm", '<!DOCTYPE osm [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>' + town(), "entities are not supported"),
        ("bomb.osm.gz", lambda: gzip.compress(b'<osm version="0.6">' + b" " * (65 << 20)), "more than 64 MiB"),
        ("bomb.osm.bz2", lambda: bz2.compress(b'<osm version="0.6">' + b" " * (65 << 20)), "more than 64 MiB"),
        ("cut.osm.gz", gzip.compress(os.urandom(999) + town().encode())[:800], "not a whole OpenStreetMap file"),
        ("odd.osm", town(more='<node action="delete" lon="1" lat="1"/>'), "not a whole OpenStreetMap file"),
        ("odd.osm", town(more='<node id="x" action="delete" lon="1" lat="1"/>'), "not a whole OpenStreetMap file"),
        ("poles.osm", '<osm version="0.6"><node id="1" lat="91" lon="0"/><node id="2" lat="92" lon="0"/><way id="1">'
         '<nd ref="1"/><nd ref="2"/><tag k="highway" v="primary"/></way></osm>', "holds no street"),
    ],
)  # fmt: skip
def test_hostile_files_are_refused(
    tmp_path: Path, name: str, content: bytes | str | Callable[[], bytes], message: str
) -> None:
    with pytest.raises(DataError, match=message) as error:
        cleaned(tmp_path / name, content() if callable(content) else content)
    assert error.value.cure
    assert not (tmp_path / "cleaned.osm").exists()


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.osm")
    (tmp_path / "folder.osm").mkdir()
    for name, message in (("pipe.osm", "is a pipe"), ("folder.osm", "is a directory"), ("none.osm", "no such file")):
        for read in (find_map, lambda path: osm.clean(Path(path), tmp_path / "out.osm")):
            with pytest.raises(DataError, match=message) as error:
                read(str(tmp_path / name))
            assert error.value.cure
