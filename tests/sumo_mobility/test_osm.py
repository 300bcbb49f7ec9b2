"""Maps and their cleaning, judged by reading the result back with pyosmium; no SUMO."""

from __future__ import annotations

from pathlib import Path

import osmium
import pytest

from sumo_mobility import osm
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.maps import find_map, map_names
from sumo_mobility.mobility_config import MobilityConfig

GAP = """<osm version="0.6">
  <node id="1" lat="60.1" lon="24.9" user="somebody" uid="7" version="3" timestamp="2019-01-01T00:00:00Z"/>
  <node id="2" lat="60.2" lon="24.9"><tag k="highway" v="traffic_signals"/></node>
  <node id="4" lat="60.4" lon="24.9"/> <node id="5" lat="60.5" lon="24.9"/> <node id="6" lat="60.6" lon="24.9"/>
  <way id="10"><nd ref="1"/><nd ref="2"/><nd ref="3"/><nd ref="4"/><nd ref="5"/>
    <tag k="highway" v="primary"/><tag k="name" v="Long"/></way>
  <way id="11"><nd ref="2"/><nd ref="9"/><tag k="highway" v="primary"/></way>
  <way id="12"><nd ref="5"/><nd ref="6"/><tag k="building" v="yes"/></way>
  <relation id="20"><member type="way" ref="10" role="from"/><member type="node" ref="2" role="via"/>
    <member type="way" ref="10" role="to"/><tag k="type" v="restriction"/></relation>
  <relation id="21"><member type="way" ref="10" role="from"/><member type="way" ref="99" role="to"/>
    <tag k="type" v="restriction"/></relation>
</osm>"""


def test_ways_are_cut_where_the_extract_lacks_nodes(tmp_path: Path) -> None:
    (tmp_path / "gap.osm").write_text(GAP)
    osm.clean(tmp_path / "gap.osm", tmp_path / "out.osm")
    nodes, ways, relations = {}, {}, set()
    for item in osmium.FileProcessor(str(tmp_path / "out.osm")):
        if item.is_node():
            nodes[item.id] = dict(item.tags)
        elif item.is_way():
            ways[tuple(node.ref for node in item.nodes)] = dict(item.tags)
        else:
            relations.add(item.id)
    assert set(nodes) == {1, 2, 4, 5}
    assert nodes[2] == {"highway": "traffic_signals"}
    assert ways == {(1, 2): {"highway": "primary", "name": "Long"}, (4, 5): {"highway": "primary", "name": "Long"}}
    assert relations == {20}
    assert "somebody" not in (tmp_path / "out.osm").read_text()


@pytest.fixture
def pbf() -> bytes:
    return find_map("helsinki-centre").file.read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cut.osm.pbf", 0.5, "not a whole OpenStreetMap file"),
        ("cut-in-header.osm.pbf", 0.0001, "not a whole OpenStreetMap file"),
        ("text.osm.pbf", b"Dear reader, this is no map.\n" * 40, "not a whole OpenStreetMap file"),
        ("empty.osm.pbf", b"", "not a whole OpenStreetMap file"),
        ("page.osm", b"<html><body>429 Too Many Requests</body></html>", "not a whole OpenStreetMap file"),
        ("cut.osm", GAP[:500].encode(), "not a whole OpenStreetMap file"),
        ("cut.osm.gz", b"\x1f\x8b\x08\x00", "not a whole OpenStreetMap file"),
        ("odd.osm", b'<osm version="0.6"><node id="1" lat="x" lon="1"/></osm>', "not a whole OpenStreetMap file"),
        ("sea.osm", b'<osm version="0.6"><node id="1" lat="60" lon="24"/></osm>', "holds no street"),
    ],
)
def test_bad_maps_are_named_and_leave_nothing_behind(
    tmp_path: Path, pbf: bytes, name: str, content: bytes | float, message: str
) -> None:
    source, target = tmp_path / name, tmp_path / "out" / "clean.osm"
    source.write_bytes(content if isinstance(content, bytes) else pbf[: int(len(pbf) * content)])
    with pytest.raises(DataError, match=message) as error:
        osm.clean(source, target)
    assert str(source) in error.value.message
    assert error.value.cure
    assert not target.parent.exists() or not list(target.parent.iterdir())


def test_a_bad_map_leaves_the_old_result_whole(tmp_path: Path) -> None:
    (tmp_path / "gap.osm").write_text(GAP)
    osm.clean(tmp_path / "gap.osm", tmp_path / "out.osm")
    before = (tmp_path / "out.osm").read_bytes()
    (tmp_path / "gap.osm").write_text(GAP[:700])
    with pytest.raises(DataError):
        osm.clean(tmp_path / "gap.osm", tmp_path / "out.osm")
    assert (tmp_path / "out.osm").read_bytes() == before


def test_shipped_maps_are_what_their_provenance_says() -> None:
    assert map_names() == ["berlin-adlershof", "helsinki-centre"]
    source = find_map("helsinki-centre")
    header = osmium.io.Reader(str(source.file)).header().box()
    corners = header.bottom_left.lon, header.bottom_left.lat, header.top_right.lon, header.top_right.lat
    assert source.bounding_box_deg == pytest.approx(corners, abs=1e-6)
    newest = max(str(item.timestamp.date()) for item in osmium.FileProcessor(str(source.file)))
    assert source.data_date == newest
    assert source.licence == "ODbL-1.0"
    assert "OpenStreetMap" in source.attribution


def test_unknown_maps_are_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"helsinki-center.*did you mean 'helsinki-centre'"):
        find_map("helsinki-center")
    with pytest.raises(DataError, match=r"no-such\.osm: no such file"):
        find_map(str(tmp_path / "no-such.osm"))
    (tmp_path / "odd.osm").symlink_to("/proc/self/mem")
    for name in (str(tmp_path / "odd.osm"), f"{'long' * 99}.osm"):
        with pytest.raises(DataError, match=r"\.osm: cannot be read \(.*\n.*name a file"):
            find_map(name)
    everywhere = [{"name": "uniform"}]
    with pytest.raises(ConfigError, match=r"map: .*did you mean 'helsinki-centre'"):
        MobilityConfig.parse({"map": "helsinky", "train_contexts": everywhere, "test_contexts": everywhere}, "preset")
