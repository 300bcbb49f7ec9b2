"""Sites by every rule: where they stand, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.pipeline import load_map
from sumo_mobility.sites import MOST_SITES, HexagonalGrid, KMeansSites
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


def test_k_means_needs_streets() -> None:
    field = StreetMap("field", (), (0.0, 0.0, 100.0, 100.0), "", (0.0, 0.0), "none", "nobody")
    with pytest.raises(ConfigError, match=r"sites\.count: 3 sites, but field has 0 pieces"):
        KMeansSites(by="k-means", count=3).place(field)


def _whole_grid(rule: HexagonalGrid, streets: StreetMap) -> list[tuple[float, float]]:
    """The same sites by trying every place of the grid on the map's rectangle."""
    west, south, east, north = streets.bounds_m
    spacing, row_m = rule.inter_site_distance_m, rule.inter_site_distance_m * 3**0.5 / 2
    found = []
    for row in range(-int(2 * north / row_m) - 2, int(2 * north / row_m) + 3):
        for column in range(-int(2 * east / spacing) - 2, int(2 * east / spacing) + 3):
            x = round((west + east) / 2 + (column + (row % 2) / 2) * spacing, 2)
            y = round((south + north) / 2 + row * row_m, 2)
            if west <= x <= east and south <= y <= north:
                found.append((x, y))
    near = streets.distance_m(np.array(found).reshape(-1, 2)) <= rule.street_reach * spacing
    return [site for site, keep in zip(found, near, strict=True) if keep]


@given(
    st.lists(st.tuples(*[st.floats(0, 3000)] * 4), min_size=1, max_size=5),
    st.floats(100, 1500),
    st.floats(0.01, 2),
)
def test_a_grid_misses_no_site_near_a_street(lines: list[tuple[float, ...]], spacing_m: float, reach: float) -> None:
    streets = tuple(np.array(line).reshape(2, 2) for line in lines)
    east, north = np.concatenate(streets).max(axis=0)
    field = StreetMap("field", streets, (0.0, 0.0, float(east), float(north)), "", (0.0, 0.0), "none", "nobody")
    rule = HexagonalGrid(inter_site_distance_m=spacing_m, street_reach=reach)
    expected = _whole_grid(rule, field)
    assume(len(expected) <= MOST_SITES)
    assert rule.place(field) == expected


def test_two_towns_far_apart_are_sited_without_the_empty_land_between() -> None:
    towns = tuple(np.array([[x, 0.0], [x + 500.0, 10.0]]) for x in (0.0, 8e6))
    streets = StreetMap("towns", towns, (0.0, 0.0, 8e6 + 500, 10.0), "", (0.0, 0.0), "none", "nobody")
    sites = np.array(HexagonalGrid(inter_site_distance_m=100).place(streets))
    assert len(sites) == 12
    assert streets.distance_m(sites).max() <= 60
    line = StreetMap("line", (np.array([[0.0, 0.0], [2e5, 1.0]]),), (0.0, 0.0, 2e5, 1.0), "", (0.0, 0.0), "", "")
    with pytest.raises(ConfigError, match=r"100 m make 200\d sites on line, which are more than 1000\n.*raise it"):
        HexagonalGrid(inter_site_distance_m=100).place(line)
