"""The model of journeys: times and ways by a literal search, contexts that are found, futures that are drawn."""

from __future__ import annotations

import dataclasses
import heapq

import made_streets as made
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_augment.journeys import ContextFilter, JourneyModel, forecast
from cf_augment.journeys.crowds import Crowds, moments
from cf_augment.journeys.ground import Habits
from cf_augment.journeys.plain import Plain
from cf_augment.journeys.streets import Streets
from cf_augment.model.roads import RoadGraph
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import DataError
from sumo_mobility.contexts import Context, Event, Uniform
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.pipeline import load_map, make_trace
from sumo_mobility.trace import MobilityTrace

MAP = made.street_map()
GRAPH = RoadGraph.build(MAP)
CENTER_M = (675.0, 225.0)
REPORTS_S = np.arange(0.0, 181.0, 30.0)


def paced(seed: int = 0) -> Streets:
    return Streets(GRAPH, np.random.default_rng(seed).uniform(3, 15, len(GRAPH)))


@pytest.fixture(scope="module")
def model() -> JourneyModel:
    """Learned from one trace in which nothing draws anyone."""
    return JourneyModel.fit([made.travellers(0, 0.0, CENTER_M)], MAP)


def filtered(model: JourneyModel, trace: MobilityTrace, times_s: Floats = REPORTS_S) -> ContextFilter:
    known = ContextFilter(model)
    for time_s in times_s:
        known.observe(time_s, trace.position_at(time_s))
    return known


def searched_s(streets: Streets, road: int) -> Floats:
    """Times from the end of a road to the ends of all, by a literal search; to its own, once around."""
    cost_s = GRAPH.length_m / streets.pace_mps
    best = np.full(len(GRAPH), np.inf)
    queue = [(cost_s[way], int(way)) for way in GRAPH.successors[road]]
    while queue:
        time_s, here = heapq.heappop(queue)
        if time_s < best[here]:
            best[here] = time_s
            for way in GRAPH.successors[here]:
                heapq.heappush(queue, (time_s + cost_s[way], int(way)))
    return best


def test_times_are_those_of_a_literal_search() -> None:
    streets, random = paced(), np.random.default_rng(1)
    roads = random.integers(len(GRAPH), size=(2, 12))
    offsets_m = random.uniform(0.1, 0.9, (2, 12)) * GRAPH.length_m[roads]
    first, last = (streets.locate(GRAPH.place(*each)[0]) for each in zip(roads, offsets_m, strict=True))
    places = streets.place_road
    for index in range(12):
        road, offset_m = first.road[index], first.offset_m[index]
        from_end_s = searched_s(streets, road)
        left_s = (GRAPH.length_m[road] - offset_m) / streets.pace_mps[road]
        back_s = (GRAPH.length_m - (half := GRAPH.length_m / 2)) / streets.pace_mps
        wanted_s = left_s + from_end_s[places] - back_s[places]
        ahead = (places == road) & (half[places] >= offset_m)
        wanted_s[ahead] = (half[road] - offset_m) / streets.pace_mps[road]
        assert streets.to_places_s(first)[index] == pytest.approx(wanted_s, abs=1e-2)
        to, at_m = last.road[index], last.offset_m[index]
        if road != to:
            rest_s = (GRAPH.length_m[to] - at_m) / streets.pace_mps[to]
            assert streets.between_s(first, last)[index] == pytest.approx(left_s + from_end_s[to] - rest_s, abs=1e-2)
    there_s = np.array([
        0.5 * GRAPH.length_m[place] / streets.pace_mps[place] + searched_s(streets, place)[last.road]
        - (GRAPH.length_m[last.road] - last.offset_m) / streets.pace_mps[last.road]
        for place in places
    ]).T  # fmt: skip
    elsewhere = last.road[:, None] != places
    assert streets.from_places_s(last)[elsewhere] == pytest.approx(there_s[elsewhere], abs=1e-2)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_the_way_onward_takes_the_time_that_is_said(seed: int) -> None:
    streets, random = paced(seed), np.random.default_rng(seed)
    road, place = int(random.integers(len(GRAPH))), int(random.integers(len(streets.place_road)))
    start = streets.locate(GRAPH.place(np.array([road]), GRAPH.length_m[[road]] * 0.75)[0])
    time_s, here = 0.0, int(start.road[0])
    left_m = GRAPH.length_m[here] - start.offset_m[0]
    for _ in range(len(GRAPH)):
        time_s += left_m / streets.pace_mps[here]
        here = int(streets._onward[here, place])
        if here == streets.place_road[place]:
            break
        left_m = GRAPH.length_m[here]
    time_s += GRAPH.length_m[here] / 2 / streets.pace_mps[here]
    assert streets.to_places_s(start)[0, place] == pytest.approx(time_s, abs=1e-2)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_a_ue_is_located_on_the_nearest_lane(seed: int) -> None:
    random = np.random.default_rng(seed)
    position_m = random.uniform(0, made.SIDE_M, (20, 2))
    spots = paced().locate(position_m)
    np.testing.assert_allclose(GRAPH.place(spots.road, spots.offset_m)[0] + spots.beside_m, position_m)
    assert spots.away_m == pytest.approx(MAP.distance_m(position_m), abs=0.5)


def test_pace_and_stays_are_those_of_the_ues() -> None:
    traces = [made.travellers(3, 0.0, CENTER_M, pace_mps=6.0, stay_s=(8, 15))]
    streets = Streets.learned(MAP, traces)
    habits = Habits.of(streets, traces)
    assert np.median(streets.pace_mps) == pytest.approx(6.0, rel=0.1)
    assert habits.stays_s.min() >= 7
    assert habits.stays_s.max() <= 15
    assert 0.1 <= habits.spread < 0.25
    assert Habits.of(streets, [made.crowd(0, "east", made.EAST_M)]).stays_s.tolist() == [0.0]  # none of them parks


def test_crowds_are_what_their_parameters_say() -> None:
    streets = paced()
    crowds = Crowds.drawn(streets.place_m, streets.weight, MAP.bounds_m, 50, np.random.default_rng(0))
    assert crowds.density[0] == pytest.approx(streets.weight, rel=1e-5)
    assert crowds.density.sum(axis=1) == pytest.approx(1, abs=1e-5)
    for parameters, density in zip(crowds.parameters, crowds.density, strict=True):
        x, y = ((streets.place_m - made.SIDE_M / 2) / (made.SIDE_M / 2)).T
        a, b, c, d, e = parameters
        wanted = streets.weight * np.exp(np.clip(a * x + b * y + c * x**2 + d * x * y + e * y**2, -600, 600))
        seen = density > 1e-6
        assert density[seen] / wanted[seen] == pytest.approx(density.max() / wanted[density.argmax()], rel=1e-2)
        quadratic = np.array([[c, d / 2], [d / 2, e]])
        assert np.linalg.eigvalsh(quadratic).max() < 1e-6  # no crowd is at the edges everywhere
    assert moments(np.array([[made.SIDE_M, 0.0]]), MAP.bounds_m)[0] == pytest.approx([1, -1, 1, -1, 1])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_context_is_found(model: JourneyModel, seed: int) -> None:
    """It learned from UEs that nothing draws, and finds the crowd: its share, and where its destinations are."""
    shares = []
    for share in (0.0, 0.8):
        known = filtered(model, made.travellers(seed, share, CENTER_M))
        weight = known.posterior[1:].sum(axis=1)
        of_members = weight @ model.crowds.density[1:] / weight.sum()
        shares.append(known.context()[0])
        if share:
            assert np.hypot(*(of_members @ model.ground.place_m - CENTER_M)) < 130
            near = np.hypot(*(model.ground.place_m - CENTER_M).T) < 250
            even = model.ground.weight[near].sum()
            assert of_members[near].sum() > 3 * even
    assert shares[0] + 0.2 < shares[1]
    assert shares[1] == pytest.approx(0.8, abs=0.25)


@pytest.mark.slow
def test_the_order_of_the_ues_does_not_matter(model: JourneyModel) -> None:
    trace = made.travellers(4, 0.6, CENTER_M, ues=20)
    order = np.random.default_rng(0).permutation(20)
    one = filtered(model, trace)
    other = filtered(model, dataclasses.replace(trace, position_m=trace.position_m[:, order]))
    np.testing.assert_allclose(one.posterior, other.posterior, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(one.belief[:, order], other.belief, rtol=1e-3, atol=1e-7)


@pytest.mark.slow
def test_futures_begin_where_the_ues_are_and_stay_on_the_streets(model: JourneyModel) -> None:
    trace = made.travellers(5, 0.6, CENTER_M)
    known, ahead_s = filtered(model, trace), np.array([1e-6, 1.0, 20.0, 60.0])
    future_m = forecast(known, ahead_s, 8, np.random.default_rng(0))
    assert future_m.shape == (8, 4, 60, 2)
    here_m = trace.position_at(REPORTS_S[-1])
    parked = known.parked
    assert np.abs(future_m[:, 0] - here_m)[:, ~parked].max() < 0.01
    np.testing.assert_allclose(MAP.distance_m(future_m[:, 1:][:, :, ~parked]), 0, atol=0.01)
    step_m = np.hypot(*np.moveaxis(np.diff(future_m, axis=1), -1, 0))
    fastest_mps = model.ground.pace_mps.max() * np.exp(5 * model.habits.spread)
    assert (step_m <= np.diff(ahead_s)[:, None] * fastest_mps + 3.5).all()  # 3 m to leave the parking bay
    again = forecast(known, ahead_s, 8, np.random.default_rng(0))
    np.testing.assert_array_equal(future_m, again)
    assert not np.array_equal(future_m, forecast(known, ahead_s, 8, np.random.default_rng(1)))


GROUND = "open:1500x500"


def walked(seed: int, context: Context) -> MobilityTrace:
    config = MobilityConfig(
        map=GROUND, ues=50, duration_s=240, settle_s=60, train_contexts=(Uniform(),), test_contexts=(Uniform(),)
    )
    return make_trace(config, context, seed)


@pytest.mark.slow
def test_open_ground_is_walked_straight_and_its_context_is_found() -> None:
    """Of the project's own UEs on open ground, learned from others that go anywhere."""
    model = JourneyModel.fit([walked(0, Uniform())], load_map(GROUND))
    assert isinstance(model.ground, Plain)
    assert model.ground.pace_mps == pytest.approx(
        0.85 * 10, rel=0.15
    )  # 5 to 15 m/s, and a pause in 15 % of the seconds
    assert 4 <= np.median(model.habits.stays_s) <= 20
    apart_m = np.linalg.norm(model.ground.place_m[:, None] - model.ground.place_m, axis=-1)
    assert model.ground.apart_s * model.ground.pace_mps == pytest.approx(apart_m, abs=1e-2)
    found = []
    for seed in (1, 2, 3):
        trace = walked(seed, Event(x_share=0.83, y_share=0.5, radius_m=100))
        known = filtered(model, trace)
        weight = known.posterior[1:].sum(axis=1)
        [x_m, _] = weight @ model.crowds.density[1:] @ model.ground.place_m / weight.sum()
        assert x_m == pytest.approx(0.83 * 1500, abs=200)
        here_m, true_m = trace.position_at(REPORTS_S[-1]), trace.position_at(REPORTS_S[-1] + 45.0)
        drawn_m = forecast(known, np.array([45.0]), 60, np.random.default_rng(0))[:, 0]
        west, south, east, north = model.ground.bounds_m
        assert ((drawn_m > (west - 1, south - 1)) & (drawn_m < (east + 1, north + 1))).all()
        found.append([energy_m(future_m, true_m) for future_m in (drawn_m, here_m[None])])
    informed, stand = np.mean(found, axis=0)
    assert informed < 0.8 * stand


def energy_m(future_m: Floats, true_m: Floats) -> float:
    """The energy score of drawn places (K, U, 2) in m, averaged over the UEs; unbiased."""
    count = len(future_m)
    apart_m = np.linalg.norm(future_m[:, None] - future_m, axis=-1).sum(axis=(0, 1)) / max(1, count * (count - 1))
    return float((np.linalg.norm(future_m - true_m, axis=-1).mean(axis=0) - apart_m / 2).mean())


@pytest.mark.slow
def test_futures_are_better_than_persistence_and_better_for_the_reports(model: JourneyModel) -> None:
    found = []
    for trace in (made.travellers(seed, 0.8, CENTER_M) for seed in (6, 7, 8)):
        true_m = trace.position_at(REPORTS_S[-1] + 45.0)
        here_m, before_m = trace.position_at(REPORTS_S[-1]), trace.position_at(REPORTS_S[-2])
        drawn_m = [
            forecast(filtered(model, trace, times_s), np.array([45.0]), 60, np.random.default_rng(0))[:, 0]
            for times_s in (REPORTS_S, REPORTS_S[-1:])
        ]
        drawn_m += [here_m[None], (here_m + 1.5 * (here_m - before_m))[None]]
        found.append([energy_m(future_m, true_m) for future_m in drawn_m])
    informed, alone, stand, straight = np.mean(found, axis=0)
    assert informed < 0.9 * alone
    assert informed < 0.7 * min(stand, straight)


def test_what_teaches_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="model: no traces to learn from"):
        JourneyModel.fit([], MAP)
    trace = made.crowd(0, "east", made.EAST_M)
    still = dataclasses.replace(trace, speed_mps=np.zeros_like(trace.speed_mps))
    with pytest.raises(DataError, match="in none of the traces is a UE under way"):
        JourneyModel.fit([still], load_map(GROUND))
    far = dataclasses.replace(trace, position_m=trace.position_m + 5e4)
    with pytest.raises(DataError, match="in none of the traces is a UE under way on the streets"):
        JourneyModel.fit([far], MAP)
