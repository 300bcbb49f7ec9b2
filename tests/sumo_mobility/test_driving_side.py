"""Countries that drive on the left: found by what the streets show, by place, or as told; and driven so by SUMO."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import osmium
import pytest
import sumolib.net

from sumo_mobility import osm
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.contexts import Uniform
from sumo_mobility.driving_side import _country_side, driving_side
from sumo_mobility.maps import find_map
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.net import build_net, read_network
from sumo_mobility.pipeline import load_map, make_trace

PLACES = {
    "left": {"London": (-0.12, 51.5), "Dublin": (-6.26, 53.35), "Delhi": (77.2, 28.6), "Bangkok": (100.5, 13.75),
             "Singapore": (103.85, 1.29), "Hong Kong": (114.15, 22.3), "Tokyo": (139.7, 35.68),
             "Sydney": (151.2, -33.87), "Cape Town": (18.4, -33.9), "Nairobi": (36.8, -1.29),
             "Auckland": (174.76, -36.85)},
    "right": {"Helsinki": (24.94, 60.17), "Calais": (1.85, 50.95), "Berlin": (13.53, 52.44), "Yangon": (96.15, 16.8),
              "Luanda": (13.23, -8.84), "Seoul": (127.0, 37.5), "New York": (-74.0, 40.7), "Caracas": (-66.9, 10.5)},
}  # fmt: skip


def town(west: float, south: float, more: str = "", step: float = 0.004) -> str:
    """Nine crossings and six streets."""
    ids = [[1 + i + 3 * j for i in range(3)] for j in range(3)]
    nodes = "".join(
        f'<node id="{ids[j][i]}" lon="{west + i * step:.7f}" lat="{south + j * step / 2:.7f}"/>'
        for j in range(3)
        for i in range(3)
    )
    streets = "".join(
        f'<way id="{100 + index}">'
        + "".join(f'<nd ref="{ref}"/>' for ref in street)
        + '<tag k="highway" v="primary"/></way>'
        for index, street in enumerate([*ids, *zip(*ids, strict=True)])
    )
    return f'<osm version="0.6">{nodes}{streets}{more}</osm>'


def mirrored(source: Path, target: Path, longitude: float) -> None:
    """Writes a map as a mirror on a meridian shows it, which turns right-hand traffic into left-hand traffic."""
    with osmium.SimpleWriter(str(target), overwrite=True) as writer:
        for item in osmium.FileProcessor(str(source)):
            writer.add(item.replace(location=(2 * longitude - item.lon, item.lat)) if item.is_node() else item)


@pytest.mark.parametrize(("side", "name"), [(side, name) for side, names in PLACES.items() for name in names])
def test_the_country_says_it_where_the_streets_do_not(side: str, name: str) -> None:
    assert _country_side(*PLACES[side][name])[0] == side


@pytest.mark.parametrize(("turns", "side"), [(1, "right"), (-1, "left")])
def test_roundabouts_say_it(tmp_path: Path, turns: int, side: str) -> None:
    angles = turns * np.linspace(0, 2 * np.pi, 12, endpoint=False)
    nodes = "".join(
        f'<node id="{50 + index}" lon="{10 + 0.0005 * np.cos(angle):.7f}" lat="{0.0005 * np.sin(angle):.7f}"/>'
        for index, angle in enumerate(angles)
    )
    ring = "".join(f'<nd ref="{50 + index % 12}"/>' for index in range(13))
    way = f'<way id="500">{ring}<tag k="highway" v="primary"/><tag k="junction" v="roundabout"/></way>'
    (tmp_path / "a.osm").write_text(town(10, 0, nodes + way))
    osm.clean(tmp_path / "a.osm", tmp_path / "b.osm")
    assert driving_side(tmp_path / "b.osm")[0] == side


@pytest.mark.sumo
def test_cars_keep_to_the_side_of_the_country_and_the_trace_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "london.osm"
    path.write_text(town(-0.12, 51.5))
    for name, side in ((f"{path}", "left"), (f"{path}#right", "right"), (f"{path}#left", "left")):
        streets = load_map(name)
        assert streets.driving_side == side
        file = build_net(find_map(name))
        net = sumolib.net.readNet(str(file))
        for edge in net.getEdges():
            (first, second), crossing = np.array(edge.getLanes()[0].getShape()[:2]), edge.getFromNode().getCoord()
            middle_is_left = np.linalg.det([second - first, crossing - first]) > 0
            assert middle_is_left == (side == "right"), edge.getID()
    assert capsys.readouterr().err.count("is driven on the left, by its place (") == 1
    everywhere = (Uniform(),)
    config = MobilityConfig(
        map=str(path), ues=8, pedestrian_share=0.5, duration_s=20, settle_s=60, train_contexts=everywhere,
        test_contexts=everywhere,
    )  # fmt: skip
    trace = make_trace(config, Uniform(), seed=1)
    assert trace.metadata.provenance == {"driving_side": "left"}
    assert load_map(str(path)).distance_m(trace.position_m).max() < 10
    assert trace.speed_mps.max() > 5


@pytest.mark.sumo
@pytest.mark.slow
def test_the_mirror_of_helsinki_is_driven_as_a_mirror_shows_it(tmp_path: Path) -> None:
    source = find_map("helsinki-centre")
    mirrored(source.file, tmp_path / "mirrored.osm", 24.94)
    right = read_network(source, build_net(source, tmp_path / "cache"))
    other = find_map(str(tmp_path / "mirrored.osm"))
    left = read_network(other, build_net(other, tmp_path / "cache"))
    assert (left.streets.driving_side, right.streets.driving_side) == ("left", "right")
    assert left.length_m.sum() == pytest.approx(right.length_m.sum(), rel=0.01)
    assert len(left.edge_ids) == pytest.approx(len(right.edge_ids), abs=5)


def test_a_net_is_driven_as_it_was_built() -> None:
    with pytest.raises(ConfigError, match="is driven on the side that it was built for"):
        find_map("berlin-adlershof#left")
    assert find_map("helsinki-centre#left").found_by == "helsinki-centre#left"
    assert find_map("helsinki-centre").found_by == "helsinki-centre"
