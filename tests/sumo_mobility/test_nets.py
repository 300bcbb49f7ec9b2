"""SUMO nets as maps: Berlin's out of SUMO's wheel, and users' own, made here by SUMO's netgenerate and netconvert."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sumolib.net

from sumo_mobility import maps
from sumo_mobility.base.errors import DataError
from sumo_mobility.contexts import Uniform
from sumo_mobility.maps import find_map
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.net import build_net
from sumo_mobility.pipeline import load_map, make_trace
from sumo_mobility.sumo import run_sumo

pytestmark = pytest.mark.sumo

CONFIG = MobilityConfig(ues=8, duration_s=20, settle_s=60, train_contexts=(Uniform(),), test_contexts=(Uniform(),))


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four by three blocks of 100 m, two lanes each way, far from the origin, nowhere on Earth."""
    path = tmp_path_factory.mktemp("nets") / "grid.net.xml"
    run_sumo(
        "netgenerate",
        ["--grid", "--grid.x-number", "5", "--grid.y-number", "4", "--grid.length", "100", "--default.lanenumber", "2",
         "--offset.x", "200000", "--offset.y", "-7000", "-o", str(path)],
    )  # fmt: skip
    return path


def _converted(folder: Path, *edges: str) -> Path:
    """A net of three nodes in a row and these edges between them, by netconvert."""
    nodes = "".join(f'<node id="{name}" x="{x}" y="0"/>' for name, x in (("a", 0), ("b", 100), ("c", 200)))
    (folder / "n.nod.xml").write_text(f"<nodes>{nodes}</nodes>")
    (folder / "n.edg.xml").write_text(f"<edges>{''.join(edges)}</edges>")
    arguments = ["-n", str(folder / "n.nod.xml"), "-e", str(folder / "n.edg.xml"), "-o", str(folder / "own.net.xml")]
    run_sumo("netconvert", arguments)
    return folder / "own.net.xml"


def test_berlin_lies_where_its_description_says() -> None:
    source = find_map("berlin-adlershof")
    net = sumolib.net.readNet(str(source.file))
    west, south, east, north = net.getBoundary()
    corners = np.array([net.convertXY2LonLat(x, y) for x in (west, east) for y in (south, north)])
    np.testing.assert_allclose([*corners.min(axis=0), *corners.max(axis=0)], source.bounding_box_deg, atol=2e-6)
    assert (source.licence, source.is_net) == ("ODbL-1.0", True)
    streets = load_map("berlin-adlershof")
    assert streets.projection.startswith("+proj=utm +zone=33")
    # Berlin-Adlershof station (52°26′07″N 13°32′27″E), above the street that passes under the railway.
    station_m = np.array(net.getGeoProj()(13.54083, 52.43528)) + streets.net_offset_m
    assert streets.distance_m(station_m) < 50


def test_berlin_needs_no_environment(tmp_path: Path) -> None:
    script = f"""
from sumo_mobility.contexts import Uniform
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.pipeline import make_trace
config = MobilityConfig.parse({CONFIG.model_dump() | {"map": "berlin-adlershof"}!r}, "test")
trace = make_trace(config, Uniform(), 1)
assert trace.position_m.shape == (21, 8, 2) and trace.metadata.licence == "ODbL-1.0", trace.metadata
"""
    environment = {"HOME": str(tmp_path), "PATH": "/nowhere", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, timeout=120, capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if not line.startswith("trace, uniform, seed 1: ")]  # progress
    assert (done.returncode, done.stdout, said) == (0, "", [])


def test_a_file_missing_from_sumos_wheel_is_named_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sumo" / "bin").mkdir(parents=True)
    monkeypatch.setattr(maps.source, "sumo_home", lambda: tmp_path / "sumo")
    with pytest.raises(DataError, match=r"osm\.net\.xml: is not the file.*\n.*pip install --force-reinstall"):
        find_map("berlin-adlershof")


def test_a_net_nowhere_on_earth_is_moved_to_its_corner(grid: Path) -> None:
    before = grid.read_bytes()
    trace = make_trace(CONFIG.model_copy(update={"map": str(grid)}), Uniform(), 1)
    streets = load_map(str(grid))
    assert build_net(find_map(str(grid))) == grid
    assert grid.read_bytes() == before
    west, south, east, north = streets.bounds_m
    assert (west, south) == (0, 0)
    # Five by four nodes; the outer lanes' centre lines lie beside them.
    assert 400 < east < 415
    assert 300 < north < 315
    assert streets.projection == trace.metadata.projection == ""
    assert streets.distance_m(trace.position_m).max() < 5
    assert (trace.metadata.licence, trace.metadata.attribution) == ("unknown", "grid.net.xml")
    assert trace.metadata.map_name == "grid"
    node = np.array([200200.0, -6900.0])  # third column, second row, in the net's coordinates
    assert streets.distance_m(node - np.array([200000, -7000]) + streets.net_offset_m) < 5


def test_a_net_made_of_openstreetmap_keeps_its_attribution(tmp_path: Path) -> None:
    shutil.copy(find_map("berlin-adlershof").file, tmp_path / "mine.net.xml")
    source = find_map(str(tmp_path / "mine.net.xml"))
    assert (source.licence, source.attribution) == ("ODbL-1.0", "© OpenStreetMap contributors")


def test_bad_nets_are_named_with_the_cure(tmp_path: Path, grid: Path) -> None:
    path = tmp_path / "bad.net.xml"
    whole = grid.read_bytes()
    for content in (
        whole[: len(whole) // 2], b"", b"Dear reader, this is no net.\n", b"\x1f\x8b\x08\x00", b'<osm version="0.6"/>',
        b'<net><location netOffset="here" convBoundary="" origBoundary="" projParameter="!"/></net>',
    ):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"bad\.net\.xml: not a whole SUMO net .*\n.*netconvert"):
            load_map(str(path))


@pytest.mark.parametrize(
    "edges",
    [
        ('<edge id="e" from="a" to="b"/>', '<edge id="f" from="b" to="c"/>'),
        ('<edge id="e" from="a" to="b" disallow="all" allow="tram"/>',
         '<edge id="f" from="b" to="a" disallow="all" allow="tram"/>'),
    ],
    ids=["one-way", "trams"],
)  # fmt: skip
def test_a_net_where_cars_cannot_go_both_ways_is_refused(tmp_path: Path, edges: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=r"own\.net\.xml: has no two streets .* both ways\n.*netedit"):
        load_map(str(_converted(tmp_path, *edges)))


def test_a_path_that_sumo_would_split_is_refused(tmp_path: Path, grid: Path) -> None:
    folder = tmp_path / "Mitte, Berlin"
    folder.mkdir()
    shutil.copy(grid, folder / "grid.net.xml")
    with pytest.raises(DataError, match=r"comma.*\n.*rename"):
        find_map(str(folder / "grid.net.xml"))


def _changed(grid: Path, folder: Path, name: str, old: str, new: str) -> Path:
    """The grid with all that matches `old` replaced."""
    (folder / name).write_text(re.sub(old, new, grid.read_text()))
    return folder / name


def test_nets_of_every_habit_are_the_same_streets(grid: Path, tmp_path: Path) -> None:
    plain = load_map(str(grid)).streets
    (tmp_path / "packed.net.xml.gz").write_bytes(gzip.compress(grid.read_bytes()))
    (tmp_path / "marked.net.xml").write_bytes(b"\xef\xbb\xbf" + grid.read_bytes())
    high = tmp_path / "high.net.xml"
    high.write_text(
        re.sub(r' shape="([^"]*)"', lambda found: f' shape="{found[1].replace(" ", ",7.5 ")},7.5"', grid.read_text())
    )
    nowhere = _changed(grid, tmp_path, "nowhere.net.xml", r"<location[^>]*/>", "")
    left = _changed(grid, tmp_path, "left.net.xml", "<net ", '<net lefthand="true" ')
    for path in (tmp_path / "packed.net.xml.gz", tmp_path / "marked.net.xml", high, nowhere, left):
        streets = load_map(str(path))
        assert all(np.array_equal(one, other) for one, other in zip(streets.streets, plain, strict=True)), path
        assert streets.driving_side == ("left" if path == left else "right")
    trace = make_trace(CONFIG.model_copy(update={"map": str(tmp_path / "packed.net.xml.gz")}), Uniform(), 1)
    same = make_trace(CONFIG.model_copy(update={"map": str(grid)}), Uniform(), 1)
    assert np.array_equal(trace.position_m, same.position_m)


def test_hostile_nets_are_refused(grid: Path, tmp_path: Path) -> None:
    def bomb() -> Path:
        (tmp_path / "bomb.net.xml.gz").write_bytes(gzip.compress(b"<net>" + b" " * (66 << 20)))
        return tmp_path / "bomb.net.xml.gz"

    declared = '<!DOCTYPE net [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><net '
    for path, message in (
        (_changed(grid, tmp_path, "nan.net.xml", 'netOffset="[^"]*"', 'netOffset="nan,nan"'), "is no number"),
        (_changed(grid, tmp_path, "far.net.xml", ' shape="[^ ]*', ' shape="9e9,0'), r"reach over [\d,]+ km"),
        (_changed(grid, tmp_path, "entities.net.xml", "<net ", declared), "declares a document type"),
        (_changed(grid, tmp_path, "other.net.xml", "(?s).*", "<osm/>"), "first element is osm"),
        (bomb(), "unpacks to more than"),
    ):
        with pytest.raises(DataError, match=message) as error:
            load_map(str(path))
        assert error.value.cure
