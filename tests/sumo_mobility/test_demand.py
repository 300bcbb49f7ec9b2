"""Contexts, itineraries and sites on a made-up town: a square of 2 km with a street every 100 m; no SUMO."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from sumo_mobility.base.errors import ConfigError
from sumo_mobility.contexts import Context, Corridor, Evening, Event, Morning, Sites, Tide, Uniform
from sumo_mobility.demand import Itinerary, Places, Stop, itineraries
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.open_ground import OpenGround
from sumo_mobility.sites import HexagonalGrid, ListedSites
from sumo_mobility.streets import StreetMap

TOWN_M = np.array([(x + 50.0, y) for x in range(0, 2000, 100) for y in range(0, 2001, 100)])
SIZE = np.full(len(TOWN_M), 100.0)
TOWN = Places(TOWN_M, SIZE, TOWN_M[:, 1] < 1950, (0.0, 0.0, 2000.0, 2000.0))
ALL_CONTEXTS: tuple[Context, ...] = (
    Uniform(),
    Event(attraction=0.5),
    Event(attraction=0.5, direction="out", at_s=30),
    Tide(heading_deg=45, strength=0.5),
    Morning(strength=0.5),
    Evening(strength=0.5),
    Corridor(heading_deg=90, strength=0.5),
    Corridor(heading_deg=90, strength=0.5, both_ways=False),
)
SITES = Sites(behaviors=("right", "loiter", "left"), places_m=((500, 1000), (1000, 1000), (1500, 1000)))


@pytest.fixture(scope="module")
def streets() -> StreetMap:
    half = np.array([50.0, 0.0])
    return StreetMap(
        name="town",
        streets=tuple(np.array([middle - half, middle + half]) for middle in TOWN_M),
        bounds_m=TOWN.bounds_m,
        projection="",
        net_offset_m=(0, 0),
        licence="CC0-1.0",
        attribution="nobody",
    )


def plans(
    context: Context, ues: int = 100, seed: int = 1, duration_s: float = 80, drivers: int | None = None, **fields: float
) -> list[Itinerary]:
    config = MobilityConfig.parse(
        {"ues": ues, "duration_s": duration_s, "settle_s": 120, "train_contexts": [{"name": "uniform"}],
         "test_contexts": [{"name": "uniform"}]} | fields, "test"
    )  # fmt: skip
    return itineraries(TOWN, config, context, seed, seed if drivers is None else drivers)


def places_m(made: list[Itinerary], stop: int) -> np.ndarray:
    return TOWN_M[[plan.stops[stop].place for plan in made]]


def stays(plan: Itinerary) -> tuple[Stop, ...]:
    """An itinerary without its departure, which is the driver's."""
    return (replace(plan.stops[0], stay_s=0.0), *plan.stops[1:])


def test_an_event_draws_its_share_to_its_place() -> None:
    event = Event(x_share=0.25, y_share=0.75, radius_m=150, attraction=0.6)
    assert event.place_m(TOWN.bounds_m) == (500, 1500)
    near = np.hypot(*(places_m(plans(event, ues=400), 1) - [500, 1500]).T) < 2 * event.radius_m
    # Binomial with n = 400: three standard deviations are 0.075; a bell has 98 % of its mass in two radii.
    assert near.mean() == pytest.approx(0.6, abs=0.09)
    crowd = places_m(plans(event.model_copy(update={"attraction": 1.0})), 1)
    np.testing.assert_allclose(crowd.mean(axis=0), [500, 1500], atol=40)


def test_a_crowd_leaves_an_event_when_it_ends() -> None:
    made = plans(Event(x_share=0.25, y_share=0.75, attraction=1, direction="out", at_s=40), duration_s=200)
    assert (np.hypot(*(places_m(made, 0) - [500, 1500]).T) < 450).all()
    assert np.hypot(*(places_m(made, 1) - [500, 1500]).T).mean() > 700
    departures = np.array([plan.stops[0].stay_s for plan in made])
    assert departures.min() >= 120 + 40
    assert departures.max() <= 120 + 40 + 60
    assert np.ptp(departures) > 45


def test_members_stay_at_an_event_as_long_as_it_says() -> None:
    made = plans(Event(attraction=1, stay_s=(100, 300)), duration_s=900)
    stay = np.array([stop.stay_s for plan in made for stop in plan.stops[1:-1]])
    assert 100 <= stay.min() < 110
    assert 290 < stay.max() <= 300
    assert stay.mean() == pytest.approx(200, abs=10)
    with pytest.raises(ConfigError, match="the shortest, 30 s, is longer than the longest"):
        Event.parse({"stay_s": [30, 20]}, "test")


def test_when_members_set_out() -> None:
    def departures(context: Context) -> np.ndarray:
        return np.array([plan.stops[0].stay_s for plan in plans(context)])

    at_once = departures(Event(attraction=1))
    assert at_once.max() <= 60
    np.testing.assert_allclose(departures(Event(attraction=1, at_s=10)), at_once + 130)
    np.testing.assert_array_equal(departures(Event(attraction=1, at_s=-3600)), at_once)
    some = departures(Event(attraction=0.5, at_s=10))
    assert set(some - at_once) <= {0.0, *(at_once + 130 - at_once)}
    np.testing.assert_allclose(departures(Event(attraction=1, direction="out")), at_once + 120)
    assert (np.abs(departures(SITES) - 122.5) <= 2.5).all()


@pytest.mark.parametrize(("heading_deg", "axis", "sign"), [(0, 1, 1), (90, 0, 1), (180, 1, -1), (270, 0, -1)])
def test_a_tide_crosses_the_map_along_its_heading(heading_deg: float, axis: int, sign: int) -> None:
    made = plans(Tide(heading_deg=heading_deg, strength=1))
    moved = places_m(made, 1) - places_m(made, 0)
    assert sign * moved[:, axis].mean() > 1200
    assert abs(moved[:, 1 - axis].mean()) < 250


def test_the_tide_of_the_morning_comes_into_the_centre_and_that_of_the_evening_leaves_it() -> None:
    center = [600, 1400]

    def away_m(context: type[Morning | Evening], stop: int) -> float:
        made = plans(context(x_share=0.3, y_share=0.7, strength=1))
        return float(np.hypot(*(places_m(made, stop) - center).T).mean())

    # Mean distance in a bell of 200 m: 200 sqrt(pi)/2 = 177 m; of all the town from there: about 850 m.
    assert away_m(Morning, 1) == pytest.approx(177, abs=25) == away_m(Evening, 0)
    assert away_m(Morning, 0) > 800 < away_m(Evening, 1)


@pytest.mark.parametrize("both_ways", [True, False])
def test_a_corridor_is_driven_along_its_axis(both_ways: bool) -> None:
    made = plans(Corridor(heading_deg=90, y_share=0.25, strength=1, both_ways=both_ways), duration_s=400)
    for stop in range(3):
        # The bell of 100 m across, cut at streets 100 m apart, has a mean distance from its axis of 56 m.
        assert np.abs(places_m(made, stop)[:, 1] - 500).mean() < 75
    first, second = (places_m(made, stop + 1)[:, 0] - places_m(made, stop)[:, 0] for stop in (0, 1))
    assert places_m(made, 0)[:, 0].std() > 500, "they begin all along it"
    if both_ways:
        assert 0.35 < (first > 0).mean() < 0.65
        assert (first * second < 0).mean() > 0.85, "to and fro"
        assert np.abs(second).mean() > 1200
    else:
        assert first.mean() > 600
        assert places_m(made, 2)[:, 0].mean() > 1700


def test_the_ues_of_a_site_start_there_and_behave_alike() -> None:
    made = plans(SITES, ues=300, duration_s=60)
    starts = places_m(made, 0)
    sites = np.array(SITES.places_m)[np.arange(300) % 3]
    assert np.abs(starts - sites).max() <= 150
    legs = places_m(made, 1) - starts
    bearing = legs[:, 0] / np.hypot(*legs.T)
    # Followed with strength 0.7, and the mean cosine of a von Mises distribution with kappa 4 is 0.86.
    assert bearing[0::3].mean() == pytest.approx(0.7 * 0.86, abs=0.15)
    assert bearing[2::3].mean() == pytest.approx(-0.7 * 0.86, abs=0.15)
    for stop in range(1, 4):
        assert np.abs(places_m(made[1::3], stop) - SITES.places_m[1]).max() <= 150
    assert np.hypot(*legs[0::3].T).mean() == pytest.approx(400, rel=0.25)
    right = plans(SITES.model_copy(update={"behaviors": ("right", "right", "left")}), ues=300, duration_s=60)
    assert right[0::3] == made[0::3]
    assert right[2::3] == made[2::3]
    assert all(one != other for one, other in zip(right[1::3], made[1::3], strict=True))


def test_sites_without_behaviour_have_no_ues() -> None:
    made = plans(SITES.model_copy(update={"behaviors": ("right", "none", "left")}), ues=50)
    counts = [(np.abs(places_m(made, 0) - place).max(axis=1) <= 150).sum() for place in SITES.places_m]
    assert counts == [25, 0, 25]


def test_uniform_goals_cover_the_map_evenly() -> None:
    goals = places_m(plans(Uniform(), ues=400), 1)
    np.testing.assert_allclose(goals.mean(axis=0), [1000, 1000], atol=3 * 2000 / np.sqrt(12 * 400))
    np.testing.assert_allclose(goals.std(axis=0), 2000 / np.sqrt(12), rtol=0.1)


@pytest.mark.parametrize("context", ALL_CONTEXTS[1:], ids=lambda context: context.name)
def test_those_whom_a_context_does_not_draw_go_the_same_ways(context: Context) -> None:
    calm, crowd = plans(Uniform(), 60, 7), plans(context, 60, 7)
    same = [a == b for a, b in zip(calm, crowd, strict=True)]
    assert 15 < sum(same) < 45
    others = plans(ALL_CONTEXTS[1], 60, 7)
    assert same == [a == b for a, b in zip(calm, others, strict=True)], "at equal shares the members are the same UEs"
    assert plans(Uniform(), 80, 7)[:60] == calm
    assert plans(context, 80, 7)[:60] == crowd


def test_seeds_and_drivers_are_apart() -> None:
    first, same, other = plans(Uniform(), 60, 7), plans(Uniform(), 60, 7, drivers=7), plans(Uniform(), 60, 7, drivers=8)
    assert first == same
    assert [stays(plan) for plan in first] == [stays(plan) for plan in other]
    assert all(a.stops[0].stay_s != b.stops[0].stay_s for a, b in zip(first, other, strict=True))
    factors = np.array([plan.speed_factor for plan in plans(Uniform(), 400)])
    assert factors.mean() == pytest.approx(1, abs=0.02)
    assert factors.std() == pytest.approx(0.1, abs=0.02)
    moved = plans(Uniform(), 60, 8, drivers=7)
    assert all(stays(a) != stays(b) for a, b in zip(first, moved, strict=True))
    assert [plan.speed_factor for plan in first] == [plan.speed_factor for plan in moved]


def test_pedestrians_are_a_share_and_the_same_in_all_contexts() -> None:
    made = [plans(context, 200, 3, pedestrian_share=0.3) for context in ALL_CONTEXTS]
    walk = [[plan.walks for plan in one] for one in made]
    assert all(one == walk[0] for one in walk)
    assert np.mean(walk[0]) == pytest.approx(0.3, abs=0.1)
    for one in made:
        places = [stop.place for plan in one if plan.walks for stop in plan.stops]
        assert TOWN.walkable[places].all()
    drivers = [plan for plan in plans(Uniform(), 200, 3) if not plan.walks]
    assert [plan for plan in made[0] if not plan.walks] == [d for d, w in zip(drivers, walk[0], strict=True) if not w]


@pytest.mark.parametrize("context", [*ALL_CONTEXTS, SITES], ids=lambda context: context.name)
def test_itineraries_outlast_the_simulation_at_any_speed(context: Context) -> None:
    for plan in plans(context, 20, 1, duration_s=480):
        stops = plan.stops
        ways = np.diff(TOWN_M[[stop.place for stop in stops]], axis=0)
        assert sum(stop.stay_s for stop in stops[:-1]) + np.hypot(*ways.T).sum() / 25 + 20 >= 600
        assert stops[-1].stay_s > 600
        assert all(a.place != b.place for a, b in itertools.pairwise(stops))
        assert all(0 <= share < 1 for stop in stops for share in (stop.along, stop.across))


def test_a_site_where_no_street_is_or_that_is_off_the_map_is_refused() -> None:
    off = Sites(behaviors=("right", "left"), places_m=((500, 500), (2500, 1000)))
    with pytest.raises(ConfigError, match=r"places_m\.1 = \(2500, 1000\) m is off the map(.|\n)*cure: move the site"):
        plans(off)
    lonely = Sites(behaviors=("right",), places_m=((500, 550),), radius_m=20)
    with pytest.raises(ConfigError, match=r"no street where it draws UEs to .*\(500\.0, 550\.0\)(.|\n)*radius_m"):
        plans(lonely)
    with pytest.raises(ConfigError, match="places_m is empty"):
        plans(Sites(behaviors=("right",)))
    for wrong, said in (
        ({"behaviors": ["none"]}, "no site has UEs"),
        ({"behaviors": ["right"], "places_m": [[1, 1], [2, 2]]}, "1 behaviors for 2 places_m"),
    ):
        with pytest.raises(ConfigError, match=said):
            Sites.parse(wrong, "test")


def test_sites_are_a_hexagonal_grid_on_the_map(streets: StreetMap) -> None:
    sites = np.array(HexagonalGrid(inter_site_distance_m=500).place(streets))
    distance = np.hypot(*(sites[:, None] - sites[None]).T)
    nearest = np.where(distance < 1, np.inf, distance).min(axis=1)
    np.testing.assert_allclose(nearest, 500, atol=0.02)
    assert len(sites) == 23, "five rows of alternately 5 and 4"
    assert sites.min() >= 0
    assert sites.max() <= 2000
    np.testing.assert_array_equal(sites, HexagonalGrid(inter_site_distance_m=500).place(streets))


def test_sites_far_from_streets_are_dropped(streets: StreetMap) -> None:
    south = replace(streets, streets=tuple(line for line in streets.streets if line[0, 1] < 700))
    grid = HexagonalGrid(inter_site_distance_m=500, street_reach=0.5)
    everywhere, kept = grid.place(streets), grid.place(south)
    assert kept == [site for site in everywhere if site[1] <= 600 + 250]
    assert 0 < len(kept) < len(everywhere)


def test_distance_to_streets_is_to_the_segment_not_its_ends(streets: StreetMap) -> None:
    points = np.array([[[30.0, 0.0], [30.0, 40.0]], [[-30.0, -40.0], [1000.0, 2300.0]]])
    np.testing.assert_allclose(streets.distance_m(points), [[0, 40], [50, 300]], atol=1e-9)


@pytest.mark.parametrize("seed", range(2))
def test_distance_to_streets_is_the_least_over_all_segments(streets: StreetMap, seed: int) -> None:
    random = np.random.default_rng(seed)
    lines = tuple(np.cumsum(random.normal(0, 60, (5, 2)), axis=0) + random.uniform(0, 2000, 2) for _ in range(40))
    points = random.uniform(-300, 2300, (60, 2))
    shares = np.linspace(0, 1, 301)[:, None]
    dense = np.concatenate([a + shares * (b - a) for line in lines for a, b in itertools.pairwise(line)])
    expected = [np.hypot(*(dense - point).T).min() for point in points]
    np.testing.assert_allclose(replace(streets, streets=lines).distance_m(points), expected, atol=0.1)


def test_listed_sites_are_where_they_are_listed(streets: StreetMap) -> None:
    listed = ListedSites.parse({"by": "listed", "positions_m": [[10, 20], [300, 400]], "sectors": 3}, "test")
    assert listed.place(streets) == [(10, 20), (300, 400)]
    assert listed.azimuths_deg() == [0, 120, 240]
    with pytest.raises(ConfigError, match=r"positions_m\.1: \(300, 2400\) m is off town, which reaches"):
        ListedSites.parse({"by": "listed", "positions_m": [[10, 20], [300, 2400]]}, "test").place(streets)


def test_distance_on_open_ground_is_0() -> None:
    ground = OpenGround.parse("open:300x200").streets
    np.testing.assert_array_equal(ground.distance_m(np.ones((3, 4, 2))), np.zeros((3, 4)))
    assert len(HexagonalGrid(inter_site_distance_m=100).place(ground)) > 4
