"""Lists of sites, CSV and GeoJSON, damaged in every way: sites or a message."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
from harness import hostile, survives_file
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sumo_mobility.site_files import read_sites
from sumo_mobility.streets import StreetMap

UTM = "+proj=utm +zone=35 +ellps=WGS84 +datum=WGS84 +units=m +no_defs"
MAP = StreetMap(
    "helsinki", (np.array([[0.0, 0.0], [1042.0, 1662.0]]),), (0.0, 0.0, 1042.0, 1662.0), UTM,
    (-385424.0, -6671459.0), "", "",
)  # fmt: skip
CSV = [
    b"name,lon,lat,azimuth,tilt,height,power_dbm\na,24.9434,60.1712,0,6,30,43\nb,24.9401,60.1683,120,,,\n",
    "Länge;Longitude;Latitude\nä;24,9434;60,1712\nb;24\u00b056'24\"E;60\u00b010'6\"N\n".encode("utf-16"),
    b"radio,mcc,net,area,cell,unit,lon,lat,range\nLTE,244,91,30,128001,0,24.9434,60.1712,1000\n\n,,,,,,,,\n",
    b"GSM,244,5,30,4711,0,24.9434,60.1712,1000,7,1,1,1,\nLTE,244,5,30,128001,0,24.9401,60.1683,1000,7,1,1,1,-90\n",
    b'x_m;y_m\n"1.042,0";300\n5,5;1e2\n',
    b'id,WKT\n1,"POINT (24.9434 60.1712)"\n',
]
POINTS = [
    {
        "type": "Feature",
        "properties": {"azimuth": azimuth, "height": 30, "name": "a"},
        "geometry": {"type": "Point", "coordinates": [24.94 + azimuth / 1e5, 60.17, 3.5]},
    }
    for azimuth in (0, 120)
]
PROJECTED = {"type": "Feature", "properties": None, "geometry": {"type": "Point", "coordinates": [385929, 6672310]}}
GEOJSON = [
    json.dumps({"type": "FeatureCollection", "features": POINTS}).encode(),
    json.dumps({"type": "MultiPoint", "coordinates": [[24.94, 60.17], [24.95, 60.17]]}).encode(),
    json.dumps({
        "type": "FeatureCollection", "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32635"}},
        "features": [PROJECTED],
    }).encode(),
]  # fmt: skip
KNOWN = ["azimuth", "tilt", "height", "power_dbm", "radio", "mcc", "net", "cell"]
NUMBERS = st.one_of(st.integers(), st.floats(), st.integers(-90, 90), st.text(max_size=9), st.none(), st.booleans())
JSON = st.recursive(
    NUMBERS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
FEATURES = st.fixed_dictionaries({
    "type": st.sampled_from(["Feature", "Point", "x"]) | JSON,
    "properties": st.dictionaries(st.sampled_from(KNOWN), JSON) | JSON,
    "geometry": st.fixed_dictionaries({
        "type": st.sampled_from(["Point", "MultiPoint", "LineString"]) | JSON, "coordinates": JSON,
    }) | JSON,
})  # fmt: skip
ANY_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def _read(path: Path) -> object:
    return read_sites(path, MAP)


@ANY_FILE
@given(
    hostile(
        CSV, [b"lon", b"lat", b"azimuth", b"LTE", b"sep=;", b"N", b"1,234", b"24 56 7", b"POINT (", b"\x85", b"\x1c"]
    )
)
@example(b"lon,lat\n1,2\n".replace(b",", b"\x00"))
@example(b"GSM")
@example(b"sep=;")
def test_csv(tmp_path: Path, content: bytes) -> None:
    survives_file(_read, tmp_path / "sites.csv", content)


@ANY_FILE
@given(hostile([gzip.compress(content, mtime=0) for content in CSV]))
def test_packed_csv(tmp_path: Path, content: bytes) -> None:
    survives_file(_read, tmp_path / "sites.csv.gz", content)


@ANY_FILE
@given(hostile(GEOJSON, [b"Point", b"MultiPoint", b"coordinates", b"EPSG:0", b"EPSG:4326", b"[1,2]", b"true"]))
def test_geojson(tmp_path: Path, content: bytes) -> None:
    survives_file(_read, tmp_path / "sites.geojson", content)


@ANY_FILE
@given(st.lists(FEATURES, max_size=3), st.none() | JSON | st.builds(lambda name: {"properties": {"name": name}}, JSON))
def test_geojson_of_odd_values(tmp_path: Path, features: list[object], crs: object) -> None:
    content = json.dumps({"type": "FeatureCollection", "features": features, "crs": crs}).encode()
    survives_file(_read, tmp_path / "sites.geojson", content)
