"""Contexts, itineraries and sites on a made-up town: a square of 2 km with a street every 100 m; no SUMO."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sumo_mobility.contexts import Context, Event, Tide, Uniform
from sumo_mobility.demand import DEPARTURE_S, STAY_S, itineraries
from sumo_mobility.maps import MapSource
from sumo_mobility.net import RoadNetwork
from sumo_mobility.sites import HexagonalGrid
from sumo_mobility.streets import StreetMap

TOWN_M = np.array([(x + 50.0, y) for x in range(0, 2000, 100) for y in range(0, 2001, 100)])


@pytest.fixture(scope="module")
def town() -> RoadNetwork:
    half = np.array([50.0, 0.0])
    streets = StreetMap(
        name="town",
        streets=tuple(np.array([middle - half, middle + half]) for middle in TOWN_M),
        bounds_m=(0, 0, 2000, 2000),
        projection="",
        net_offset_m=(0, 0),
        licence="CC0-1.0",
        attribution="nobody",
    )
    names = tuple(str(index) for index in range(len(TOWN_M)))
    source = MapSource(name="town", title="Town", file=Path("town.osm"), sha256="", source="made up")
    lengths = np.full(len(TOWN_M), 100.0)
    return RoadNetwork(Path("town.net.xml"), source, streets, np.zeros(2), names, names, lengths, TOWN_M)


def goals_m(town: RoadNetwork, context: Context, seed: int = 1, ues: int = 100) -> np.ndarray:
    """Each UE's first destination."""
    return town.middle_m[[stops[1].edge for stops in itineraries(town, context, ues, seed, 200)]]


def test_an_event_draws_its_share_to_its_place(town: RoadNetwork) -> None:
    event = Event(x_share=0.25, y_share=0.75, radius_m=150, attraction=0.6)
    assert event.place_m(town.streets.bounds_m) == (500, 1500)
    near = np.hypot(*(goals_m(town, event, ues=400) - [500, 1500]).T) < 2 * event.radius_m
    # Binomial with n = 400: three standard deviations are 0.075; a bell has 98 % of its mass in two radii.
    assert near.mean() == pytest.approx(0.6, abs=0.09)
    crowd = goals_m(town, Event(x_share=0.25, y_share=0.75, radius_m=150, attraction=1))
    np.testing.assert_allclose(crowd.mean(axis=0), [500, 1500], atol=40)


@pytest.mark.parametrize(("heading_deg", "axis", "sign"), [(0, 1, 1), (90, 0, 1), (180, 1, -1), (270, 0, -1)])
def test_a_tide_crosses_the_map_along_its_heading(town: RoadNetwork, heading_deg: float, axis: int, sign: int) -> None:
    plans = itineraries(town, Tide(heading_deg=heading_deg, strength=1), 100, 1, 200)
    moved = town.middle_m[[p[1].edge for p in plans]] - town.middle_m[[p[0].edge for p in plans]]
    assert sign * moved[:, axis].mean() > 1200
    assert abs(moved[:, 1 - axis].mean()) < 250


def test_uniform_goals_cover_the_map_evenly(town: RoadNetwork) -> None:
    goals = goals_m(town, Uniform(), ues=400)
    np.testing.assert_allclose(goals.mean(axis=0), [1000, 1000], atol=3 * 2000 / np.sqrt(12 * 400))
    np.testing.assert_allclose(goals.std(axis=0), 2000 / np.sqrt(12), rtol=0.1)


def test_those_whom_a_context_does_not_draw_go_the_same_ways(town: RoadNetwork) -> None:
    calm = itineraries(town, Uniform(), 60, 7, 300)
    crowd = itineraries(town, Event(attraction=0.5), 60, 7, 300)
    same = [a == b for a, b in zip(calm, crowd, strict=True)]
    assert 15 < sum(same) < 45
    assert itineraries(town, Uniform(), 80, 7, 300)[:60] == calm
    assert itineraries(town, Uniform(), 60, 8, 300) != calm


def test_itineraries_outlast_the_simulation_at_any_speed(town: RoadNetwork) -> None:
    for stops in itineraries(town, Event(attraction=1, radius_m=100), 20, 1, 600):
        ways = np.diff(town.middle_m[[stop.edge for stop in stops]], axis=0)
        assert sum(stop.stay_s for stop in stops[:-1]) + np.hypot(*ways.T).sum() / 20 + STAY_S[1] >= 600
        assert stops[-1].stay_s > 600
        assert 0 <= stops[0].stay_s <= DEPARTURE_S
        assert all(a.edge != b.edge for a, b in itertools.pairwise(stops))
        assert all(0 < stop.end_m < 100 for stop in stops)


def test_sites_are_a_hexagonal_grid_on_the_map(town: RoadNetwork) -> None:
    sites = np.array(HexagonalGrid(inter_site_distance_m=500).place(town.streets))
    distance = np.hypot(*(sites[:, None] - sites[None]).T)
    nearest = np.where(distance < 1, np.inf, distance).min(axis=1)
    np.testing.assert_allclose(nearest, 500, atol=0.02)
    assert len(sites) == 23, "five rows of alternately 5 and 4"
    assert sites.min() >= 0
    assert sites.max() <= 2000
    np.testing.assert_array_equal(sites, HexagonalGrid(inter_site_distance_m=500).place(town.streets))


def test_sites_far_from_streets_are_dropped(town: RoadNetwork) -> None:
    south = replace(town.streets, streets=tuple(line for line in town.streets.streets if line[0, 1] < 700))
    grid = HexagonalGrid(inter_site_distance_m=500, street_reach=0.5)
    everywhere, kept = grid.place(town.streets), grid.place(south)
    assert kept == [site for site in everywhere if site[1] <= 600 + 250]
    assert 0 < len(kept) < len(everywhere)


def test_distance_to_streets_is_to_the_segment_not_its_ends(town: RoadNetwork) -> None:
    points = np.array([[[30.0, 0.0], [30.0, 40.0]], [[-30.0, -40.0], [1000.0, 2300.0]]])
    np.testing.assert_allclose(town.streets.distance_m(points), [[0, 40], [50, 300]], atol=1e-9)


@pytest.mark.parametrize("seed", range(2))
def test_distance_to_streets_is_the_least_over_all_segments(town: RoadNetwork, seed: int) -> None:
    random = np.random.default_rng(seed)
    lines = tuple(np.cumsum(random.normal(0, 60, (5, 2)), axis=0) + random.uniform(0, 2000, 2) for _ in range(40))
    points = random.uniform(-300, 2300, (60, 2))
    shares = np.linspace(0, 1, 301)[:, None]
    dense = np.concatenate([a + shares * (b - a) for line in lines for a, b in itertools.pairwise(line)])
    expected = [np.hypot(*(dense - point).T).min() for point in points]
    np.testing.assert_allclose(replace(town.streets, streets=lines).distance_m(points), expected, atol=0.1)
