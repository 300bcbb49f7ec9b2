"""OpenStreetMap files damaged in every way: cleaned streets or a message; and now and then through netconvert."""

from __future__ import annotations

import gzip
from pathlib import Path

import osmium
import pytest
from harness import hostile, survives_file
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sumo_mobility import osm
from sumo_mobility.driving_side import driving_side
from sumo_mobility.features import read_features
from sumo_mobility.maps import find_map
from sumo_mobility.net import build_net, read_network

UTM = "+proj=utm +zone=35 +ellps=WGS84 +datum=WGS84 +units=m +no_defs"
TOWN = b"""<?xml version='1.0' encoding='UTF-8'?>
<osm version="0.6" generator="JOSM">
<node id="1" lat="60.1" lon="24.9" version="1"/><node id="2" lat="60.1" lon="24.904"/>
<node id="3" lat="60.102" lon="24.9"/><node id="4" action="modify" lat="60.102" lon="24.904"/>
<node id="-5" lat="60.101" lon="24.9"/>
<node id="6" lat="60.101" lon="24.901"><tag k="telecom" v="antenna"/></node>
<way id="7"><nd ref="1"/><nd ref="2"/><nd ref="4"/><tag k="highway" v="primary"/><tag k="name" v="A"/></way>
<way id="8" action="delete"><nd ref="1"/><nd ref="4"/><tag k="highway" v="primary"/></way>
<way id="-9"><nd ref="1"/><nd ref="-5"/><nd ref="3"/><nd ref="4"/>
<tag k="highway" v="primary"/><tag k="oneway" v="-1"/></way>
<way id="10"><nd ref="1"/><nd ref="2"/><nd ref="6"/><nd ref="1"/>
<tag k="building" v="yes"/><tag k="height" v="9"/></way>
<way id="11"><nd ref="2"/><nd ref="1"/><nd ref="4"/>
<tag k="highway" v="service"/><tag k="junction" v="roundabout"/></way>
<relation id="12"><member type="way" ref="7" role="from"/><member type="node" ref="1" role="via"/>
<member type="way" ref="-9" role="to"/><tag k="type" v="restriction"/><tag k="restriction" v="no_left_turn"/></relation>
</osm>"""
TOKENS = [
    b"180", b"-120", b"91", b'action="delete"', b'visible="false"', b'id="-1"', b"9223372036854775807",
    b"<!DOCTYPE osm [<!ENTITY a 'aaaa'>]>", b"&a;", b"<delete>", b"<way id='1'>", b'version="4294967295"',
]  # fmt: skip
ANY_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(scope="module")
def pbf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The same town in the other format."""
    folder = tmp_path_factory.mktemp("town")
    (folder / "town.osm").write_bytes(TOWN)
    with osmium.SimpleWriter(str(folder / "town.osm.pbf")) as writer:
        for item in osmium.FileProcessor(str(folder / "town.osm")):
            writer.add(item)
    return (folder / "town.osm.pbf").read_bytes()


def _read(path: Path) -> None:
    cleaned = path.with_name("cleaned.osm")
    read_features(path, UTM, (0.0, 0.0))
    osm.clean(path, cleaned)
    driving_side(cleaned)


@ANY_FILE
@given(hostile([TOWN], TOKENS))
@example(TOWN)
@example(TOWN.replace(b'id="1"', b'id="99999999999999999999"'))
@example(TOWN.replace(b'lat="60.1"', b'lat="60.1' + b"A" * 5000 + b'"'))
def test_xml(tmp_path: Path, content: bytes) -> None:
    survives_file(_read, tmp_path / "town.osm", content)


@ANY_FILE
@given(hostile([gzip.compress(TOWN, mtime=0)]))
def test_packed_xml(tmp_path: Path, content: bytes) -> None:
    survives_file(_read, tmp_path / "town.osm.gz", content)


@ANY_FILE
@given(st.data())
def test_pbf(tmp_path: Path, pbf: bytes, data: st.DataObject) -> None:
    survives_file(_read, tmp_path / "town.osm.pbf", data.draw(hostile([pbf])))


@pytest.mark.sumo
@pytest.mark.slow
@settings(ANY_FILE, max_examples=25)
@given(hostile([TOWN.replace(b'action="delete"', b"")], TOKENS))
def test_the_whole_way_to_a_net(tmp_path: Path, content: bytes) -> None:
    def read(path: Path) -> None:
        source = find_map(str(path))
        read_network(source, build_net(source, tmp_path / "cache"))

    survives_file(read, tmp_path / "town.osm", content)
