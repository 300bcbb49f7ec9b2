"""Maps by Overpass and Nominatim, from servers on a loopback port that answer from real data."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import osmium
import osmnx
import pytest
from openstreetmap import Server, serve

from sumo_mobility.base.errors import ConfigError, DataError, MlbError, ServiceError
from sumo_mobility.contexts import Uniform
from sumo_mobility.maps import find_map, overpass
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.pipeline import load_map, make_trace

BOX = (24.9400, 60.1650, 24.9520, 60.1710)
NAME = "bbox:24.94,60.165,24.952,60.171"
CONFIG = MobilityConfig(
    map=NAME, ues=8, duration_s=20, settle_s=60, train_contexts=(Uniform(),), test_contexts=(Uniform(),)
)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serve() as server:
        yield server


@pytest.fixture
def server(running: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(osmnx.settings, "overpass_url", f"{running.url}/api")
    monkeypatch.setattr(osmnx.settings, "nominatim_url", running.url)
    monkeypatch.setattr(osmnx.settings, "requests_kwargs", {"proxies": {"http": ""}})
    running.moods[:] = ["well"]
    running.requests.clear()
    return running


def _kept(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


@pytest.mark.sumo
def test_a_box_becomes_a_trace_by_one_request(server: Server, tmp_path: Path) -> None:
    trace = make_trace(CONFIG, Uniform(), 1)
    assert [path for path, _ in server.requests] == ["/api/interpreter"]
    assert server.requests[0][1]["User-Agent"].startswith("mlb-testbed/")
    streets = load_map(NAME)
    assert streets.distance_m(trace.position_m).max() < 5
    meta = trace.metadata
    assert (meta.map_name, meta.licence, meta.attribution) == (NAME, "ODbL-1.0", "© OpenStreetMap contributors")
    # The box in UTM zone 35: nothing sticks out of it by more than a joined junction does.
    assert 500 < streets.bounds_m[2] < 690
    assert 500 < streets.bounds_m[3] < 690
    script = (
        f"import sys; from sumo_mobility.pipeline import load_map; load_map({NAME!r}); sys.exit('osmnx' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    assert len(server.requests) == 1


@pytest.mark.slow
def test_the_map_in_the_cache_holds_streets_restrictions_buildings_and_masts(server: Server) -> None:
    source = find_map("bbox: 24.940,60.165, 24.95200,60.171")
    assert (source.name, source.bounding_box_deg, source.data_date) == (NAME, BOX, "2019-04-21")
    assert source.source == f"OpenStreetMap by Overpass at {server.url.removeprefix('http://')}"
    nodes, kinds, heights, inside = {}, set(), 0, []
    for item in osmium.FileProcessor(str(source.file)):
        if item.is_node():
            nodes[item.id] = item.location.lon, item.location.lat
        elif item.is_way() and "building" in item.tags:
            assert all(node.ref in nodes for node in item.nodes)
            heights += "height" in item.tags or "building:levels" in item.tags
            kinds.add("building")
        elif item.is_way() and "highway" in item.tags:
            inside += [node.ref in nodes for node in item.nodes]
        elif item.is_relation():
            kinds.add(item.tags["type"])
    assert {"building", "restriction", "multipolygon"} <= kinds
    assert heights > 50
    assert {1682211174, 3329837193} <= nodes.keys()  # the two masts of mobile networks in the extract
    assert 0.5 < np.mean(inside) < 1  # streets are cut at the box
    assert find_map(NAME) == source
    assert len(server.requests) == 1


def test_a_place_is_found_by_its_name_once(server: Server) -> None:
    source = find_map("place:Helsingin  yliopisto")
    assert (source.name, source.title) == ("place:Helsingin yliopisto", "Helsingin yliopisto, Helsinki, Suomi")
    assert source.bounding_box_deg == (24.94752, 60.168989, 24.951061, 60.173176)
    assert [path for path, _ in server.requests] == ["/search", "/api/interpreter"]
    assert all(headers["User-Agent"].startswith("mlb-testbed/") for _, headers in server.requests)
    server.moods[:] = ["html"]
    assert find_map("place:Helsingin yliopisto") == source
    assert osmnx.settings.use_cache
    assert "mlb" not in osmnx.settings.http_user_agent


def test_another_overpass_server_can_be_named(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(osmnx.settings, "overpass_url", "http://127.0.0.1:9/api")
    find_map(NAME, f"{server.url}/other/interpreter/")
    assert [path for path, _ in server.requests] == ["/other/interpreter"]
    assert osmnx.settings.overpass_url == "http://127.0.0.1:9/api"


@pytest.mark.slow
def test_a_busy_server_is_asked_again_when_it_says_and_only_once(server: Server) -> None:
    server.moods[:] = ["busy 1", "well"]
    find_map(NAME)
    assert len(server.requests) == 2
    server.moods[:] = ["busy 1"]
    with pytest.raises(ServiceError, match=r"answered 429 Too Many Requests: Error : runtime error: .*rate_limited"):
        find_map("bbox:24.94,60.165,24.952,60.1711")
    assert len(server.requests) == 4
    with pytest.raises(ServiceError, match="answered 429"):
        find_map("place:Helsingin yliopisto")
    assert len(server.requests) == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mood", "kind", "message"),
    [
        ("busy", ServiceError, r"answered 429 Too Many Requests: Error : runtime error: .*rate_limited.*\n.*later"),
        ("busy 600", ServiceError, r"answered 429 Too Many Requests.*\n.*--overpass-url"),
        ("html", ServiceError, r"sent no OpenStreetMap data: Sign in to the hotel\n.*--overpass-url"),
        ("remark", ServiceError, r"gave up on bbox.*: runtime error: Query timed out.*\n.*smaller box"),
        ("empty", DataError, r"bbox:24\.94,60\.165,24\.952,60\.171: there is no street\n.*W,S,E,N"),
        ("cut", ServiceError, r"sent damaged data for bbox.*\n.*try again"),
        ("torn", ServiceError, r"/api/interpreter: no answer \(.*\)\n.*try again"),
        ("silent", ServiceError, r"/api/interpreter: no whole answer in time\n.*try again"),
        ("drip", ServiceError, r"/api/interpreter: no whole answer in time\n.*try again"),
    ],
)
def test_a_server_that_fails_is_named_and_leaves_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mood: str, kind: type[MlbError], message: str
) -> None:
    monkeypatch.setattr(osmnx.settings, "requests_timeout", 1 if mood in ("silent", "drip") else 30)
    server.moods[:] = [mood]
    with pytest.raises(kind, match=message):
        find_map(NAME)
    assert len(server.requests) == 1
    assert _kept(tmp_path) == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/api", "127.0.0.1/api", "http://nowhere.invalid/api"])
def test_a_server_that_is_not_there_is_named(server: Server, tmp_path: Path, url: str) -> None:
    with pytest.raises(ServiceError, match=rf"{url}/interpreter.*no answer \(.*\n.*check the connection.*--map"):
        find_map(NAME, url)
    assert _kept(tmp_path) == []


@pytest.mark.parametrize(
    ("place", "mood", "kind", "message"),
    [
        ("Atlantis", "well", ConfigError, r"place:Atlantis: no such place \(.*0 results.*\n.*--bbox"),
        ("Kamppi", "html", ServiceError, r"no answer of Nominatim's \(.*Sign in"),
        ("Kamppi", "busy", ServiceError, r"answered 429"),
    ],
)
def test_a_place_that_cannot_be_found_is_named(
    server: Server, tmp_path: Path, place: str, mood: str, kind: type[MlbError], message: str
) -> None:
    server.moods[:] = [mood]
    with pytest.raises(kind, match=message):
        find_map(f"place:{place}")
    assert [path for path, _ in server.requests] == ["/search"]
    assert _kept(tmp_path) == []


def test_a_place_larger_than_servers_are_asked_for_is_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overpass, "LARGEST_M", 400.0)
    with pytest.raises(ConfigError, match=r"place:Helsingin yliopisto: 0\.2 km x 0\.5 km is.*\n.*a district of it"):
        find_map("place:Helsingin yliopisto")
    assert [path for path, _ in server.requests] == ["/search"]
    assert _kept(tmp_path) == []


def test_a_damaged_map_in_the_cache_is_named_with_the_cure(server: Server) -> None:
    source = find_map(NAME)
    source.file.write_bytes(source.file.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"is not the file that .*\n.*delete .*\.json"):
        find_map(NAME)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bbox:24.94,60.16,24.95", "four numbers, W,S,E,N"),
        ("bbox:24.94,60.16,24.95,north", "four numbers, W,S,E,N"),
        ("bbox:24.95,60.16,24.94,60.17", "W < E"),
        ("bbox:24.94,60.17,24.95,60.16", "S < N"),
        ("bbox:24.94,60.16,24.95,nan", "S < N"),
        ("bbox:24.94,60.16,24.95,91", "within 90"),
        ("bbox:24.5,60.16,25.5,60.17", r"55\.3 km x 1\.1 km is more than 25 km"),
        ("place: ", "needs a name"),
    ],
)
def test_a_box_that_is_none_is_refused_where_it_is_written(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"map.*{message}"):
        find_map(name)
    with pytest.raises(ConfigError, match=rf"map: .*{message}"):
        MobilityConfig.parse(CONFIG.model_dump() | {"map": name}, "preset")
