"""SUMO nets damaged in every way: streets or a message."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from harness import hostile, survives_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sumo_mobility.maps import find_map
from sumo_mobility.net import read_network
from sumo_mobility.sites import HexagonalGrid
from sumo_mobility.sumo import run_sumo

TOKENS = [
    b"nan,nan", b"1e300,1e300", b"inf", b'lefthand="true"', b"<!DOCTYPE net [<!ENTITY a 'aaaa'>]>", b"&a;", b"<net>",
    b'netOffset="nan,nan"', b'projParameter="+proj=utm"', b'shape=""', b'index="99999"', b'allow="passenger"',
]  # fmt: skip
ANY_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

pytestmark = pytest.mark.sumo


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two streets that cross, by netgenerate."""
    path = tmp_path_factory.mktemp("net") / "grid.net.xml"
    size = ["--grid", "--grid.number", "2", "--grid.length", "100", "--no-turnarounds"]
    run_sumo("netgenerate", [*size, "-o", str(path)])
    text = path.read_bytes()
    return text[text.index(b"<net") :]


def _read(path: Path) -> None:
    source = find_map(str(path))
    streets = read_network(source, path).streets
    HexagonalGrid().place(streets)
    streets.points(10.0)


@ANY_FILE
@given(st.data())
def test_nets(tmp_path: Path, net: bytes, data: st.DataObject) -> None:
    survives_file(_read, tmp_path / "own.net.xml", data.draw(hostile([net], TOKENS)))


@ANY_FILE
@given(st.data())
def test_packed_nets(tmp_path: Path, net: bytes, data: st.DataObject) -> None:
    survives_file(_read, tmp_path / "own.net.xml.gz", data.draw(hostile([gzip.compress(net, mtime=0)])))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'netOffset="', b'netOffset="nan,nan" x="'),
        (b'length="', b'length="inf" x="'),
        (b'shape="', b'shape="1e9,0 '),
        (b"<net", b"<!DOCTYPE net [<!ENTITY a 'aaaa'>]><net"),
        (b'projParameter="', b'projParameter="+proj=nothing" x="'),
    ],
)
def test_what_was_found_once(tmp_path: Path, net: bytes, old: bytes, new: bytes) -> None:
    survives_file(_read, tmp_path / "own.net.xml", net.replace(old, new))
