"""Sites by every rule: where they stand, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyproj
import pytest

from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.pipeline import load_map
from sumo_mobility.sites import FileSites, HexagonalGrid, KMeansSites
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import MobilityTrace, TraceMetadata

CROSS = StreetMap(
    "cross",
    (np.array([[0.0, 500.0], [1000.0, 500.0]]), np.array([[500.0, 0.0], [500.0, 1000.0]])),
    (0.0, 0.0, 1000.0, 1000.0), "", (0.0, 0.0), "none", "nobody",
)  # fmt: skip


@pytest.mark.sumo
def test_a_grid_snaps_to_masts_first_then_to_buildings() -> None:
    streets = load_map("helsinki-centre")
    features = streets.features
    plain = HexagonalGrid(inter_site_distance_m=400).place(streets)
    snapped = HexagonalGrid(inter_site_distance_m=400, snap_m=120).place(streets)
    assert len(set(snapped)) == len(plain)
    for before, after in zip(plain, snapped, strict=True):
        to_masts = np.hypot(*(features.masts_m - before).T)
        to_buildings = np.hypot(*(features.centres_m - before).T)
        if to_masts.min() <= 120:
            assert after == pytest.approx(features.masts_m[to_masts.argmin()], abs=0.01)
        elif to_buildings.min() <= 120:
            assert after == pytest.approx(features.centres_m[to_buildings.argmin()], abs=0.01)
        else:
            assert after == before
    assert any(np.hypot(*(features.masts_m - site).T).min() < 0.02 for site in snapped)


def test_k_means_shares_the_streets_equally() -> None:
    sites = np.array(KMeansSites(by="k-means", count=4).place(CROSS))
    points = CROSS.points(10.0)
    assert len(points) == 200
    share = np.bincount(np.linalg.norm(points[:, None] - sites, axis=2).argmin(axis=1), minlength=4)
    assert share.min() >= 30
    assert KMeansSites(by="k-means", count=4).place(CROSS) == [tuple(site) for site in sites]  # by seed


def test_k_means_follows_the_ues_of_traces(tmp_path: Path) -> None:
    crowds_m, seed = np.array([[100.0, 200.0], [500.0, 900.0]]), np.random.default_rng(0)
    for name, map_name, spread_m in (("crowds", "cross", 20.0), ("one-spot", "cross", 0.0), ("abroad", "field", 20.0)):
        position_m = np.repeat(crowds_m, (10, 30), axis=0) + spread_m * seed.standard_normal((31, 40, 2))
        metadata = TraceMetadata(
            source="test", map_name=map_name, licence="", attribution="", seed=0, context="uniform",
            bounds_m=CROSS.bounds_m,
        )  # fmt: skip
        still = np.zeros(position_m.shape[:2])
        MobilityTrace(np.arange(31.0), position_m, still, still, metadata).write(tmp_path / f"{name}.parquet")
    rule = KMeansSites(by="k-means", count=2, traces=(str(tmp_path / "crowds.parquet"),))
    assert np.array(rule.place(CROSS)) == pytest.approx(crowds_m, abs=12)
    with pytest.raises(ConfigError, match=r"sites\.count: 3 sites, but the UEs of sites\.traces are seen on 2 spots"):
        KMeansSites(by="k-means", count=3, traces=(str(tmp_path / "one-spot.parquet"),)).place(CROSS)
    with pytest.raises(DataError, match=r"is a trace on field, not on cross"):
        KMeansSites(by="k-means", count=2, traces=(str(tmp_path / "abroad.parquet"),)).place(CROSS)


@pytest.mark.sumo
def test_files_of_both_kinds_say_the_same(tmp_path: Path) -> None:
    streets = load_map("helsinki-centre")
    lon_lat = [(24.9434, 60.1712), (24.9401, 60.1683)]
    (tmp_path / "sites.csv").write_text("# two\nname, lon, lat\n" + "".join(f"a,{lon},{lat}\n" for lon, lat in lon_lat))
    points = [{"type": "Feature", "geometry": {"type": "Point", "coordinates": place}} for place in lon_lat]
    (tmp_path / "sites.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": points}))
    placed = FileSites(by="file", path=str(tmp_path / "sites.csv")).place(streets)
    assert FileSites(by="file", path=str(tmp_path / "sites.geojson")).place(streets) == placed
    back = pyproj.Proj(streets.projection)(*(np.array(placed) - streets.net_offset_m).T, inverse=True)
    assert np.transpose(back) == pytest.approx(np.array(lon_lat), abs=1e-6)
    (tmp_path / "metres.csv").write_text("x_m,y_m\n" + "".join(f"{x},{y}\n" for x, y in placed))
    assert FileSites(by="file", path=str(tmp_path / "metres.csv")).place(streets) == placed


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "no such file"),
        ("sites.txt", "x", "not a kind of file"),
        ("sites.csv", "a,b\n1,2\n", "has the columns a, b"),
        ("sites.csv", "", "no readable CSV"),
        ("sites.csv", "x_m,y_m\n", "holds no site"),
        ("sites.csv", "x_m,y_m\n1,here\n", r"site 0 is .*not two numbers"),
        ("sites.csv", "x_m,y_m\n1,\n", r"site 0 is .*not two numbers"),
        ("sites.csv", "x_m,y_m\n10,20\n1e6,20\n", r"site 1, \(1e\+06, 20\) m is off cross"),
        ("sites.csv", "lon,lat\n24.9,60.1\n", "cross is nowhere on Earth"),
        ("sites.geojson", "{", "no GeoJSON"),
        ("sites.geojson", '{"type": "FeatureCollection"}', "no GeoJSON"),
        ("sites.geojson", '{"type": "FeatureCollection", "features": []}', "holds no site"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        FileSites(by="file", path=str(tmp_path / name)).place(CROSS)


def test_k_means_needs_streets() -> None:
    field = StreetMap("field", (), (0.0, 0.0, 100.0, 100.0), "", (0.0, 0.0), "none", "nobody")
    with pytest.raises(ConfigError, match=r"sites\.count: 3 sites, but field has 0 pieces"):
        KMeansSites(by="k-means", count=3).place(field)
