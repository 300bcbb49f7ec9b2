"""Masts and buildings of a map: tags as people set them, and coordinates as SUMO computes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sumolib.net

from sumo_mobility.base.errors import DataError
from sumo_mobility.features import UNKNOWN_HEIGHT_M, MapFeatures, read_features
from sumo_mobility.maps import find_map
from sumo_mobility.net import build_net, read_network

TOWN = """<osm version="0.6">
  <node id="1" lat="60.0" lon="27.0"/> <node id="2" lat="60.0" lon="27.001"/>
  <node id="3" lat="60.001" lon="27.001"/> <node id="4" lat="60.001" lon="27.0"/>
  <node id="5" lat="60.0" lon="27.002"><tag k="man_made" v="mast"/><tag k="tower:type" v="communication"/></node>
  <node id="6" lat="60.0" lon="27.003"><tag k="telecom" v="bts"/></node>
  <node id="7" lat="60.0" lon="27.004"><tag k="man_made" v="tower"/><tag k="tower:type" v="bell_tower"/></node>
  <node id="8" lat="60.0" lon="27.005"><tag k="telecom" v="exchange"/></node>
  {ways}
</osm>"""
WAY = '<way id="{id}"><nd ref="1"/><nd ref="2"/><nd ref="3"/><nd ref="4"/><nd ref="1"/>{tags}</way>'


def features(tmp_path: Path, *tags: str) -> MapFeatures:
    ways = [WAY.format(id=10 + index, tags=tag) for index, tag in enumerate(tags)]
    path = tmp_path / "town.osm"
    path.write_text(TOWN.format(ways="".join(ways)))
    return read_features(path, "+proj=utm +zone=35 +ellps=WGS84 +units=m", (0.0, 0.0))


def tag(key: str, value: str) -> str:
    return f'<tag k="{key}" v="{value}"/>'


def test_only_what_carries_a_mobile_network_is_a_mast(tmp_path: Path) -> None:
    """A church's tower and a telephone exchange are none."""
    assert len(features(tmp_path).masts_m) == 2


@pytest.mark.parametrize(
    ("tags", "height_m"),
    [
        (tag("height", "12.5 m"), 12.5),
        (tag("height", "8,5") + tag("building:levels", "9"), 8.5),
        (tag("building:levels", "4"), 12.0),
        (tag("height", "tall") + tag("building:levels", "2"), 6.0),
        ("", UNKNOWN_HEIGHT_M),
    ],
)
def test_heights_as_people_write_them(tmp_path: Path, tags: str, height_m: float) -> None:
    found = features(tmp_path, tag("building", "yes") + tags, tag("building", "no"), tag("landuse", "grass"))
    assert found.heights_m.tolist() == [height_m]
    # 0.001 degrees of latitude are 111.4 m, of longitude at 60 degrees north 55.8 m.
    size_m = np.ptp(found.outlines_m[0], axis=0)
    assert size_m == pytest.approx([55.8, 111.4], rel=0.005)


@pytest.mark.sumo
def test_the_masts_of_helsinki_are_where_sumo_puts_them() -> None:
    """Nodes 1682211174 and 3329837193 of OpenStreetMap."""
    source = find_map("helsinki-centre")
    network = read_network(source, build_net(source))
    found = network.streets.features
    net = sumolib.net.readNet(str(network.file))
    shift_m = network.shift_m
    expected = [
        np.array(net.convertLonLat2XY(lon, lat)) - shift_m
        for lat, lon in ((60.1650731, 24.9468685), (60.1688458, 24.9467984))
    ]
    assert found.masts_m[np.argsort(found.masts_m[:, 1])] == pytest.approx(np.array(expected), abs=0.01)
    assert len(found.outlines_m) > 400
    west, south, east, north = network.streets.bounds_m
    inside = (found.centres_m > (west, south)).all(axis=1) & (found.centres_m < (east, north)).all(axis=1)
    assert inside.mean() > 0.95


def test_a_damaged_map_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.osm"
    path.write_text(TOWN[:300])
    with pytest.raises(DataError, match="not a whole OpenStreetMap file"):
        read_features(path, "+proj=utm +zone=35", (0.0, 0.0))
