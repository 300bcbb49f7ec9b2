"""Lists of sites as other programs write them: what they say, what is left out, and what is refused."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pyproj
import pytest

from ns3_scenarios.scenario import Preset, Scenario
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.site_files import Sector, Site, read_sites
from sumo_mobility.sites import FileSites
from sumo_mobility.streets import StreetMap

UTM = "+proj=utm +zone=35 +ellps=WGS84 +datum=WGS84 +units=m +no_defs"
LON_LAT = [(24.9434, 60.1712), (24.9401, 60.1683)]
BOUNDS_M = (0.0, 0.0, 1042.0, 1662.0)
HELSINKI = StreetMap(
    "helsinki", (np.array([[0.0, 0.0], [1042.0, 1662.0]]),), BOUNDS_M, UTM, (-385424.0, -6671459.0), "", ""
)
CROSS = StreetMap(
    "cross", (np.array([[0.0, 0.0], [1000.0, 1000.0]]),), (0.0, 0.0, 1000.0, 1000.0), "", (0.0, 0.0), "", ""
)
UTM_M = np.column_stack(pyproj.Proj(UTM)(*np.transpose(LON_LAT)))
PLACES = [Site(round(x - 385424, 2), round(y - 6671459, 2)) for x, y in UTM_M.tolist()]
RADIO_HEAD = "radio,mcc,net,area,cell,unit,lon,lat,range,samples,changeable,created,updated,averageSignal\n"
GROUPED_M = [
    [f"{value:,.2f}".translate({44: mark, 46: ","}) for value in UTM_M[:, axis]] for axis, mark in ((0, " "), (1, "."))
]
CRS = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32635"}}


def _xy(sites: list[Site]) -> np.ndarray:
    return np.array([site[:2] for site in sites])


def _rows(head: str, *columns: list[str], separator: str = ",") -> str:
    return "\n".join([head, *(separator.join(row) for row in zip(*columns, strict=True))]) + "\n"


LON, LAT = ([f"{place[axis]:.4f}" for place in LON_LAT] for axis in range(2))
X, Y = ([f"{place[axis]:.2f}" for place in PLACES] for axis in range(2))
COMMA_LON, COMMA_LAT = ([value.replace(".", ",") for value in values] for values in (LON, LAT))


def _sexagesimal(form: str, degrees: float, letter: str) -> str:
    minutes = degrees % 1 * 60
    return form.format(d=int(degrees), m=int(minutes), s=minutes % 1 * 60, h=letter)


def _geojson(coordinates: object, kind: str = "Point", **more: object) -> str:
    features = [
        {"type": "Feature", "properties": None, "geometry": {"type": kind, "coordinates": one}} for one in coordinates
    ]
    return json.dumps({"type": "FeatureCollection", "features": features, **more})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", _rows("lon,lat", LON, LAT)),
        ("a.csv", _rows("# two sites\nname, LON , Lat", ["a", "b"], LON, LAT)),
        ("a.csv", _rows("Latitude\tLongitude", LAT, LON, separator="\t")),
        ("a.tsv", _rows("lat\tlng", LAT, LON, separator="\t")),
        ("a.txt", _rows("lat|long", LAT, LON, separator="|")),
        ("a.csv", _rows("Longitude [°];Latitude [°]", COMMA_LON, COMMA_LAT, separator=";")),
        ("a.csv", _rows("sep=;\nlon;lat", COMMA_LON, COMMA_LAT, separator=";")),
        ("a.csv", _rows("lon,lat", [f'"{value}"' for value in COMMA_LON], [f'"{value}"' for value in COMMA_LAT])),
        ("a.csv", _rows("X,Y", LON, LAT)),
        ("a.csv", _rows("X,Y", [f"{x:.2f}" for x, _ in UTM_M], [f"{y:.2f}" for _, y in UTM_M])),
        ("a.csv", _rows("Easting;Northing", *GROUPED_M, separator=";")),
        ("a.csv", _rows("x,y", X, Y)),
        ("a.csv", _rows("x_m,y_m", X, Y)),
        ("a.csv", _rows("id,WKT", ["1", "2"], [f'"POINT ({lon} {lat})"' for lon, lat in zip(LON, LAT, strict=True)])),
        ("a.csv", _rows("name,lat,lon,", ["a", "b"], LAT, LON, ["", ""])),
        ("a.geojson", _geojson(LON_LAT)),
        ("a.json", _geojson([[*place, 31.5] for place in LON_LAT])),
        ("a.geojson", _geojson([LON_LAT], "MultiPoint")),
        ("a.geojson", _geojson(UTM_M.tolist(), crs=CRS)),
        ("a.geojson", _geojson(LON_LAT, crs={"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}})),
    ],
)  # fmt: skip
def test_lists_of_every_habit_say_the_same(
    tmp_path: Path, name: str, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"):
        for end in ("\n", "\r\n"):
            (tmp_path / name).write_bytes(content.replace("\n", end).encode(encoding))
            placed = read_sites(tmp_path / name, HELSINKI)
            assert _xy(placed) == pytest.approx(_xy(PLACES), abs=0.02)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content.encode()))
    assert read_sites(tmp_path / f"{name}.gz", HELSINKI) == placed
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "form",
    ["{d}°{m}'{s:.3f}\"{h}", "{h}{d} {m} {s:.3f}", "{d}:{m}:{s:.3f} {h}", "{d}° {m}′ {s:.3f}″", "{d}d{m}m{s:.3f}s{h}"],
)
def test_degrees_minutes_and_seconds_are_read(tmp_path: Path, form: str) -> None:
    table = [f"{_sexagesimal(form, lat, 'N')};{_sexagesimal(form, lon, 'E')}" for lon, lat in LON_LAT]
    (tmp_path / "a.csv").write_text("\n".join(["lat;lon", *table]))
    assert _xy(read_sites(tmp_path / "a.csv", HELSINKI)) == pytest.approx(_xy(PLACES), abs=0.1)
    (tmp_path / "a.csv").write_text("lat;lon\n60.1712 S;24.9434 W\n60.1712 N;24.9434 E\n")
    assert read_sites(tmp_path / "a.csv", HELSINKI) == PLACES[:1]


def test_what_is_left_out_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sites.csv"
    path.write_text(
        "name,lon,lat\na,24.9434,60.1712\n\n,,\nfar,2.35,48.85\nagain,24.9434,60.1712\nb,24.9401,60.1683\nc,,\n"
    )
    assert read_sites(path, HELSINKI) == PLACES
    note = f"note: {path}: 2 sites; rows left out: 2 without a position, 1 off the map, 1 on the spot of another\n"
    assert capsys.readouterr().err == note
    line = {"type": "Feature", "properties": {}, "geometry": {"type": "LineString", "coordinates": LON_LAT}}
    data = json.loads(_geojson(LON_LAT))
    data["features"] += [line, {"type": "Feature", "properties": {}, "geometry": None}]
    (tmp_path / "sites.geojson").write_text(json.dumps(data))
    assert read_sites(tmp_path / "sites.geojson", HELSINKI) == PLACES
    assert capsys.readouterr().err.endswith("2 sites; rows left out: 2 without a position\n")


@pytest.mark.parametrize("head", [RADIO_HEAD, ""])
def test_the_cells_of_open_cell_id_become_sites_of_one_network(
    tmp_path: Path, head: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def cell(radio: str, net: int, number: int, lon: float, lat: float) -> str:
        return f"{radio},244,{net},30,{number},0,{lon},{lat},1000,7,1,1459692342,1488347104,\n"

    around = [(0.0004, 0.0), (-0.0002, 0.0002), (-0.0002, -0.0002)]
    rows = [
        cell("LTE", 91, 256 * (500 + site) + number, lon + east, lat + north)
        for site, (lon, lat) in enumerate(LON_LAT)
        for number, (east, north) in enumerate(around)
    ]
    others = [
        cell("GSM", 91, 4711, 24.944, 60.17),
        cell("LTE", 5, 256 * 500, 24.944, 60.17),
        "\n",
        cell("LTE", 91, 256 * 9, 21, 60),
    ]
    (tmp_path / "244.csv").write_text(head + "".join(rows[:3] + others + rows[3:]))
    sites = read_sites(tmp_path / "244.csv", HELSINKI)
    assert _xy(sites) == pytest.approx(_xy(PLACES), abs=0.1)
    said = capsys.readouterr().err
    for why in (
        "1 of other radios than LTE",
        "1 of other networks than 244-91",
        "1 off the map",
        "4 on the spot of another",
    ):
        assert why in said


def test_azimuths_of_a_list_make_the_sectors_of_each_site(tmp_path: Path) -> None:
    (tmp_path / "cells.csv").write_text(
        "site;x_m;y_m;Azimuth (°);Electrical tilt;Mechanical tilt;height [m];power_dBm\n"
        "A;300;300;10;2;4;25;43\nA;300;300;130;3;0;25;43\nA;300;300;250;;;25;43\nB;700;700;360;6;;30;46\n"
    )
    rule = FileSites(by="file", path=str(tmp_path / "cells.csv"), sectors=3)
    first, second = rule.place(CROSS)
    assert first.sectors == (Sector(10, 6, 25, 43), Sector(130, 3, 25, 43), Sector(250, None, 25, 43))
    assert second == Site(700, 700, (Sector(0, 6, 30, 46),))
    preset = {
        "id": "listed-v0", "description": "cells of a list", "sites": rule.model_dump(),
        "mobility": {"ues": 2, "train_contexts": [{"name": "uniform"}], "test_contexts": [{"name": "uniform"}]},
        "radio": {"antenna": {"pattern": "sector", "tilt_deg": 9}},
    }  # fmt: skip
    cells = Scenario.place(Preset.parse(preset, "test"), rule.place(CROSS)).cells
    assert [(cell.x_m, cell.azimuth_deg, cell.tilt_deg, cell.height_m, cell.tx_power_dbm) for cell in cells] == [
        (300, 10, 6, 25, 43), (300, 130, 3, 25, 43), (300, 250, 9, 25, 43), (700, 0, 6, 30, 46),
    ]  # fmt: skip
    omni = preset | {"radio": {}, "sites": {"by": "file", "path": "cells.csv"}}
    with pytest.raises(ConfigError, match=r"has azimuths, but radio\.antenna\.pattern is omni\n.*pattern: sector"):
        Scenario.place(Preset.parse(omni, "test"), rule.place(CROSS))
    geojson = json.loads(_geojson([LON_LAT[0]] * 3))
    for azimuth, feature in zip((0, 120, 240), geojson["features"], strict=True):
        feature["properties"] = {"azimuth": azimuth, "name": "A"}
    (tmp_path / "cells.geojson").write_text(json.dumps(geojson))
    (site,) = read_sites(tmp_path / "cells.geojson", HELSINKI)
    assert [sector.azimuth_deg for sector in site.sectors] == [0, 120, 240]


def test_heights_without_azimuths_keep_the_sectors_of_the_preset(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x_m,y_m,height\n300,300,40\n700,700,\n")
    preset = Preset.parse(
        {
            "id": "heights-v0", "description": "", "radio": {"antenna": {"pattern": "sector"}},
            "mobility": {"ues": 2, "train_contexts": [{"name": "uniform"}], "test_contexts": [{"name": "uniform"}]},
            "sites": {"by": "file", "path": str(tmp_path / "a.csv"), "sectors": 3},
        }, "test",
    )  # fmt: skip
    cells = Scenario.place(preset, preset.sites.place(CROSS)).cells
    assert [(cell.azimuth_deg, cell.height_m) for cell in cells] == [
        (azimuth, height) for height in (40, preset.radio.cell_height_m) for azimuth in (0, 120, 240)
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "no such file"),
        ("sites.xlsx", "x", "not a kind of file"),
        ("sites.csv", "a,b\n1,2\n", "has the columns a, b"),
        ("sites.csv", "", "is empty"),
        ("sites.csv", "x_m,y_m\n", "holds no site"),
        ("sites.csv", "x_m,y_m\n,\n", "holds no site; rows left out: 1 without a position"),
        ("sites.csv", "x_m,y_m\n1,here\n", r"line 2, column y_m: 'here' is no number"),
        ("sites.csv", "x_m,y_m\n5,5\n\n1,\n", r"line 4, column y_m: is empty"),
        ("sites.csv", "x_m,y_m\n5,5\nnan,1e999\n", r"line 3, column y_m: '1e999' is no number"),
        ("sites.csv", "x_m,y_m,name\n1,2,a\n24,9,60,1\n", r"line 3: has 4 values for 3 columns"),
        ("sites.csv", 'x_m,y_m\n"1,234",5\n', r"line 2, column x_m: '1,234' is no number: it may be 1\.234 or 1234"),
        ("sites.csv", "x_m,x_m,y_m\n1,2,3\n", "has two columns 'x_m'"),
        ("sites.csv", "x_m,y_m\n1e6,20\n", r"no site is on cross.*1 off the map; line 2 is at \(1e\+06, 20\) m"),
        ("sites.csv", "x_m,y_m,azimuth\n1,1,10\n2,2,\n", "line 3, column azimuth: is empty"),
        ("sites.csv", "x_m,y_m,azimuth\n1,1,400\n", "line 2, column azimuth: 400 is not from -360 to 360"),
        ("sites.csv", "lon,lat\n24.9,60.1\n", "cross is nowhere on Earth"),
        ("sites.geojson", "{", "not readable as JSON"),
        ("sites.geojson", '{"type": "FeatureCollection"}', "no GeoJSON"),
        ("sites.geojson", '{"type": "FeatureCollection", "features": []}', "holds no site"),
        ("sites.geojson", '{"type": "Point", "coordinates": []}', "holds no site"),
        ("sites.geojson", '{"type": "Point", "coordinates": [1]}', "no list of two numbers"),
        ("sites.geojson", '{"type": "Point", "coordinates": [[1, 2], 3]}', "column lon: 'list' is no number"),
        ("sites.geojson", '{"type": "Point", "coordinates": ' + "[" * 30000 + "]" * 30000 + "}", "nested too deeply"),
        ("sites.geojson", '{"type": "Point", "coordinates": [' + "9" * 5000 + ", 1]}", "of 5000 digits"),
        ("sites.geojson", '{"type": "Point", "coordinates": [1e999, 1]}', "is not finite"),
        ("sites.geojson", '{"type": "Point", "type": 1}', "'type' is given twice"),
        ("sites.geojson", "[1, 2]", "no GeoJSON"),
        ("sites.geojson", '{"type": "Feature", "geometry": 3}', "no GeoJSON"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message) as error:
        read_sites(tmp_path / name, CROSS)
    assert error.value.cure


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("lat,lon\n24.9434,60.1712\n", "no site is on helsinki(?s:.)*check the order"),
        ("lon,lat\n385929.8,6672310.7\n", r"line 2: \(385930, 6\.67231e\+06\) are no degrees\n.*EPSG:4326"),
        ("lon,lat\n24.9434 N,60.1712\n", "line 2, column lon: '24.9434 N' is no longitude"),
        ("lon,lat\n24 70 10,60.1712\n", "line 2, column lon: '24 70 10' is no longitude"),
    ],
)
def test_places_elsewhere_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        read_sites(tmp_path / "a.csv", HELSINKI)


def test_what_is_no_file_and_what_has_no_end_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"lon,lat\n" + b" " * (129 << 20)))
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(os.urandom(9999))[:5000])
    (tmp_path / "crs.geojson").write_text(_geojson(LON_LAT, crs={"properties": {"name": "EPSG:0"}}))
    for name, message in (
        ("pipe.csv", "is a pipe"), ("folder.csv", "is a directory"), ("bomb.csv.gz", "holds more than"),
        ("cut.csv.gz", "cannot be read"), ("crs.geojson", "its crs 'EPSG:0' is unknown"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=message) as error:
            read_sites(tmp_path / name, HELSINKI)
        assert error.value.cure
