"""The causal model: times and ways by a literal search, contexts that are found, futures, and interventions."""

from __future__ import annotations

import dataclasses
import heapq
import json
from pathlib import Path

import made_streets as made
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cf_augment.model import CausalMobilityModel, ContextFilter, forecast
from cf_augment.model.abduction import ONSET, _gumbel
from cf_augment.model.crowds import Crowds, central, matched, moments
from cf_augment.model.ground import Habits
from cf_augment.model.plain import Plain
from cf_augment.model.prediction import HIGHEST_MPS2, LOWEST_MPS2
from cf_augment.model.roads import RoadGraph
from cf_augment.model.streets import Streets, _medians
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.contexts import Context, Event, Uniform
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.pipeline import load_map, make_trace
from sumo_mobility.trace import MobilityTrace

MAP = made.street_map()
GRAPH = RoadGraph.build(MAP)
CENTER_M = (675.0, 225.0)
REPORTS_S = np.arange(0.0, 181.0, 30.0)


def paced(seed: int = 0) -> Streets:
    pace_mps = np.random.default_rng(seed).uniform(3, 15, len(GRAPH))
    return Streets(GRAPH, pace_mps, pace_mps)


@pytest.fixture(scope="module")
def model() -> CausalMobilityModel:
    """Learned from one trace in which nothing draws anyone."""
    return CausalMobilityModel.fit([made.travellers(0, 0.0, CENTER_M)], MAP)


def filtered(model: CausalMobilityModel, trace: MobilityTrace, times_s: Floats = REPORTS_S) -> ContextFilter:
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


def test_ues_cruise_at_the_median_of_those_who_move_where_enough_are_known() -> None:
    random = np.random.default_rng(0)
    value, of = random.normal(size=400), random.integers(0, 5, 400)
    value, of = value[(of != 3) | (np.cumsum(of == 3) <= 29)], of[(of != 3) | (np.cumsum(of == 3) <= 29)]
    found = _medians(value, of, 6, 7.0)
    for group in (0, 1, 2, 4):
        assert found[group] == np.median(value[of == group])
    assert found[3] == found[5] == np.median(value)  # of 29, and of none
    assert _medians(np.empty(0), np.empty(0, np.int64), 2, 7.0).tolist() == [7.0, 7.0]


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
        of_places = moments(streets.place_m, MAP.bounds_m)
        again = matched(central(density @ of_places), of_places, streets.weight)
        assert np.abs(again - density).sum() < 0.02
        quadratic = np.array([[c, d / 2], [d / 2, e]])
        assert np.linalg.eigvalsh(quadratic).max() < 1e-6  # no crowd is at the edges everywhere
    assert moments(np.array([[made.SIDE_M, 0.0]]), MAP.bounds_m)[0] == pytest.approx([1, -1, 1, -1, 1])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_context_is_found(model: CausalMobilityModel, seed: int) -> None:
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
def test_the_order_of_the_ues_does_not_matter(model: CausalMobilityModel) -> None:
    trace = made.travellers(4, 0.6, CENTER_M, ues=20)
    order = np.random.default_rng(0).permutation(20)
    one = filtered(model, trace)
    other = filtered(model, dataclasses.replace(trace, position_m=trace.position_m[:, order]))
    np.testing.assert_allclose(one.posterior, other.posterior, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(one.belief[:, order], other.belief, rtol=1e-3, atol=1e-7)


@pytest.mark.slow
def test_futures_begin_where_the_ues_are_and_stay_on_the_streets(model: CausalMobilityModel) -> None:
    trace = made.travellers(5, 0.6, CENTER_M)
    known, ahead_s = filtered(model, trace), np.array([1e-6, 1.0, 20.0, 60.0])
    future_m = forecast(known, ahead_s, 8, np.random.default_rng(0))
    assert future_m.shape == (8, 4, 60, 2)
    here_m = trace.position_at(REPORTS_S[-1])
    parked = known.parked
    assert np.abs(future_m[:, 0] - here_m)[:, ~parked].max() < 0.01
    assert MAP.distance_m(future_m[:, 1:][:, :, ~parked]).max() < 3.01  # where they park
    assert (MAP.distance_m(future_m[:, 1:]) < 0.01).mean() > 0.5
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
    model = CausalMobilityModel.fit([walked(0, Uniform())], load_map(GROUND))
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
def test_futures_are_better_than_persistence_and_better_for_the_reports(model: CausalMobilityModel) -> None:
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
    assert informed < 0.95 * alone
    assert informed < 0.7 * min(stand, straight)


WEST_M, EAST_M = (225.0, 450.0), (675.0, 450.0)


def mean_x_m(trace: MobilityTrace) -> float:
    return float(trace.position_m[60:, :, 0].mean())


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), share=st.floats(0, 1), sidestep_m=st.floats(-3, 3))
def test_do_nothing_returns_the_window(model: CausalMobilityModel, seed: int, share: float, sidestep_m: float) -> None:
    """To the bit, beside the lanes too."""
    trace = made.travellers(seed, share, CENTER_M, ues=10, duration_s=60)
    trace = dataclasses.replace(trace, position_m=trace.position_m + sidestep_m)
    abduction = model.abduct(trace, seed)
    for same in (model.generate(abduction), model.generate(abduction, abduction.context, abduction.local)):
        for name in ("time_s", "position_m", "speed_mps", "heading_deg"):
            np.testing.assert_array_equal(getattr(same, name), getattr(trace, name))
        assert same.metadata.source == "causal-model"


@pytest.mark.slow
def test_the_context_that_is_abducted_is_that_of_the_crowd(model: CausalMobilityModel) -> None:
    for share in (0.0, 0.4, 0.8):
        found = [model.abduct(made.travellers(seed, share, CENTER_M)) for seed in (20, 21)]
        assert np.mean([each.context[0] for each in found]) == pytest.approx(share, abs=0.15)
        for abduction in found:
            member = abduction.local[:, 0] < abduction.context[0]
            assert member.mean() == pytest.approx(share, abs=0.2)
            # Reluctance is even whatever the context is, so that it says nothing of it.
            assert abduction.local[:, 0].mean() == pytest.approx(0.5, abs=0.12)


def standing(model: CausalMobilityModel, trace: MobilityTrace, time_s: int) -> float:
    return float(model.ground.stays(trace)[time_s].mean())


@pytest.mark.slow
def test_where_and_when_a_crowd_begins_is_found_and_can_be_changed(model: CausalMobilityModel) -> None:
    """A crowd that waits in the west until 90 s goes east; it sets out later, or has before, if it is told so."""
    trace = made.travellers(40, 0.7, EAST_M, origin_m=WEST_M, onset_s=90)
    abduction = model.abduct(trace)
    context = abduction.context
    assert context[0] == pytest.approx(0.7, abs=0.15)
    assert context[ONSET] == pytest.approx(90, abs=20)
    begins_m = model.origins_of(context) @ model.ground.place_m
    assert np.hypot(*(begins_m - WEST_M)) < 120
    assert np.hypot(*(model.crowd_of(context) @ model.ground.place_m - EAST_M)) < 120
    np.testing.assert_array_equal(model.generate(abduction).position_m, trace.position_m)
    share = {}
    for onset_s in (0.0, 90.0, 160.0):
        other = context.copy()
        other[ONSET] = onset_s
        moved = model.generate(abduction, other)
        share[onset_s] = [standing(model, moved, time_s) for time_s in (30, 155, 239)]
    assert share[0.0][0] < 0.35 < 0.6 < share[90.0][0]
    assert share[90.0][1] < 0.35 < 0.6 < share[160.0][1]
    assert share[160.0][2] < 0.35
    elsewhere = model.context(context[0], context[1:6], model.context_of(
        made.travellers(41, 0.7, EAST_M, origin_m=CENTER_M, onset_s=90))[6:11], context[ONSET])  # fmt: skip
    member = abduction.local[:, 0] < context[0]
    waits_m = model.generate(abduction, elsewhere).position_m[0, member]
    assert np.hypot(*(waits_m.mean(axis=0) - CENTER_M)) < 150


@pytest.mark.slow
def test_a_swapped_context_moves_the_crowd_to_where_the_other_is(model: CausalMobilityModel) -> None:
    west, east = (made.travellers(30, 0.8, center_m) for center_m in (WEST_M, EAST_M))
    shares = []
    for factual, other in ((west, east), (east, west)):
        abduction, wanted = model.abduct(factual), model.context_of(other)
        places_m = [
            mean_x_m(model.generate(abduction, abduction.context + weight * (wanted - abduction.context)))
            for weight in (0.0, 1.0, 1.5)
        ]
        shares.append((places_m[1] - places_m[0]) / (mean_x_m(other) - mean_x_m(factual)))
        assert (places_m[2] - places_m[1]) * (places_m[1] - places_m[0]) > -20 * abs(places_m[1] - places_m[0])
    assert 0.7 < np.mean(shares) < 1.3


@pytest.mark.slow
def test_an_intervention_changes_those_alone_whose_choice_it_changes(model: CausalMobilityModel) -> None:
    """The counterfactual is about causes, not a new draw; and a UE does what it did until it chooses otherwise."""
    trace = made.travellers(31, 0.5, WEST_M)
    abduction = model.abduct(trace)
    near = model.generate(abduction, abduction.context * (1, 1.01, 1.01, *[1] * 9))
    kept = (near.position_m == trace.position_m).all(axis=(0, 2))
    assert kept.mean() > 0.8
    other = model.generate(abduction, model.context_of(made.travellers(32, 0.8, EAST_M)))
    member = abduction.local[:, 0] < abduction.context[0]
    changed = (other.position_m != trace.position_m).any(axis=(0, 2))
    assert changed[member].mean() > 0.9
    assert changed[~member].mean() < 0.7
    for ue in np.flatnonzero(changed):
        differs = (other.position_m[:, ue] != trace.position_m[:, ue]).any(axis=-1)
        assert differs[differs.argmax() :].mean() > 0.9  # once it has left, it is elsewhere


@pytest.mark.slow
def test_generated_ues_obey_streets_and_limits(model: CausalMobilityModel) -> None:
    trace = made.travellers(33, 0.6, WEST_M)
    abduction = model.abduct(trace)
    # UEs four times as wild as the logged ones, so that the limits are met.
    wild = dataclasses.replace(abduction, speed_noise=abduction.speed_noise**4)
    made_up = model.generate(wild, model.context_of(made.travellers(34, 0.8, EAST_M)))
    changed = (made_up.position_m != trace.position_m).any(axis=(0, 2))
    assert changed.mean() > 0.4
    # 3 m where they park, and what is logged.
    assert MAP.distance_m(made_up.position_m).max() < 3.2
    acceleration = np.diff(made_up.speed_mps[:, changed], axis=0)
    assert (acceleration > HIGHEST_MPS2 + 1e-6).mean() < 0.02
    assert (acceleration < LOWEST_MPS2 - 1e-6).mean() < 0.02
    step_m = np.hypot(*np.moveaxis(np.diff(made_up.position_m, axis=0), -1, 0))
    assert step_m.max() < 3.2 * model.habits.fastest_mps
    stays = model.ground.stays(made_up)
    assert 0.5 < stays.mean() / model.ground.stays(trace).mean() < 2


@pytest.mark.slow
def test_do_local_changes_only_those_ues(model: CausalMobilityModel) -> None:
    trace = made.travellers(35, 0.5, EAST_M)
    abduction = model.abduct(trace)
    local = abduction.local.copy()
    local[:4, 1] += np.log(1.5)
    faster = model.generate(abduction, do_local=local)
    changed = (faster.position_m != trace.position_m).any(axis=(0, 2))
    assert changed[:4].all()
    assert not changed[4:].any()
    driven_m = [
        np.hypot(*np.moveaxis(np.diff(each.position_m[:, :4], axis=0), -1, 0)).sum() for each in (faster, trace)
    ]
    assert driven_m[0] > driven_m[1]
    local = abduction.local.copy()
    local[:, 0] = 1.0  # nobody is a member
    alone, with_all = (mean_x_m(model.generate(abduction, do_local=each)) for each in (local, local * (0, 1)))
    assert with_all > alone + 30


@pytest.mark.slow
def test_open_ground_has_counterfactuals_too() -> None:
    model = CausalMobilityModel.fit([walked(0, Uniform())], load_map(GROUND))
    west, east = (walked(4, Event(x_share=share, y_share=0.5, radius_m=100)) for share in (0.17, 0.83))
    abduction = model.abduct(west)
    np.testing.assert_array_equal(model.generate(abduction).position_m, west.position_m)
    moved = model.generate(abduction, model.context_of(east))
    assert mean_x_m(moved) - mean_x_m(west) == pytest.approx(mean_x_m(east) - mean_x_m(west), rel=0.3)
    assert ((moved.position_m >= 0) & (moved.position_m <= (1500, 500))).all()


@pytest.mark.slow
def test_same_seed_same_trace_and_a_saved_model_is_the_same(model: CausalMobilityModel, tmp_path: Path) -> None:
    trace, wanted = made.travellers(36, 0.5, WEST_M), model.context_of(made.travellers(37, 0.8, EAST_M))
    for name in ("a", "b"):
        CausalMobilityModel.fit([made.travellers(0, 0.0, CENTER_M)], MAP).save(tmp_path / f"{name}.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    loaded = CausalMobilityModel.load(tmp_path / "a.json", MAP)
    one, other, another = (
        each.generate(each.abduct(trace, seed), wanted) for each, seed in ((model, 5), (loaded, 5), (model, 6))
    )
    np.testing.assert_array_equal(one.position_m, other.position_m)
    assert not np.array_equal(one.position_m, another.position_m)


def test_foreign_models_are_refused(model: CausalMobilityModel, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    with pytest.raises(DataError, match="no such file"):
        CausalMobilityModel.load(path, MAP)
    model.save(path)
    good = json.loads(path.read_text())
    half = dataclasses.replace(MAP, streets=MAP.streets[: len(MAP.streets) // 2])
    with pytest.raises(DataError, match=rf"made for {len(MAP.streets)} roads, not for grid with") as refused:
        CausalMobilityModel.load(path, half)
    assert refused.value.cure == "fit it anew with 'mlb augment'"
    for changes, message in (
        ({"version": 2}, "version"), ({"map_name": "elsewhere"}, "made for map elsewhere, not for grid"),
        ({"pace_mps": [0.0]}, "pace_mps"), ({"spread": float("nan")}, "not finite|NaN"), ({"stays_s": []}, "stays_s"),
    ):  # fmt: skip
        path.write_text(json.dumps(good | changes))
        with pytest.raises(DataError, match=rf"model.json: not a causal mobility model of this map .*({message})"):
            CausalMobilityModel.load(path, MAP)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"model.json: not a causal mobility model of this map"):
        CausalMobilityModel.load(path, MAP)


def test_noise_of_choices_is_gumbel_noise_that_makes_the_choice() -> None:
    """Choices drawn by their probabilities, and noise drawn given them, are choices made with Gumbel noise."""
    random = np.random.default_rng(0)
    scores = np.log(np.array([0.5, 0.3, 0.15, 0.05]))
    noise = []
    for taken in random.choice(4, size=4000, p=np.exp(scores)).tolist():
        noise.append(_gumbel(scores, taken, random))
        assert (scores + noise[-1]).argmax() == taken
    for of_option in np.array(noise).T:
        assert stats.kstest(of_option, stats.gumbel_r.cdf).pvalue > 1e-3
    assert np.abs(np.corrcoef(np.array(noise).T) - np.eye(4)).max() < 0.06


def test_reports_that_cannot_be_are_refused(model: CausalMobilityModel) -> None:
    known, position_m = ContextFilter(model), np.full((4, 2), 450.0)
    known.observe(30.0, position_m)
    with pytest.raises(DataError, match=r"report of 30 s: not later than the last one, of 30 s"):
        known.observe(30.0, position_m)
    position_m[2, 1] = np.nan
    with pytest.raises(DataError, match=r"report of 60 s: UE 2 has no position"):
        known.observe(60.0, position_m)


def test_a_trace_in_which_all_stay_has_no_journeys(model: CausalMobilityModel) -> None:
    trace = made.travellers(39, 0.5, WEST_M, ues=5, duration_s=30)
    parked = dataclasses.replace(
        trace, position_m=np.broadcast_to(np.array([75.0, -4.6]), trace.position_m.shape).copy(),
        speed_mps=np.zeros_like(trace.speed_mps),
    )  # fmt: skip
    abduction = model.abduct(parked)
    assert abduction.journeys == ((),) * 5
    np.testing.assert_array_equal(model.generate(abduction).position_m, parked.position_m)
    # They may have waited for what does not set in here; then they would not have.
    assert abduction.context[ONSET] > 0
    assert (model.generate(abduction, model.context(1.0)).position_m != parked.position_m).any(axis=(0, 2)).all()


def test_a_trace_of_a_few_seconds_is_explained_too(model: CausalMobilityModel) -> None:
    for duration_s in (2, 10, 15, 16):
        trace = made.travellers(42, 0.5, WEST_M, ues=5, duration_s=duration_s)
        abduction = model.abduct(trace)
        np.testing.assert_array_equal(model.generate(abduction).position_m, trace.position_m)
        assert np.isfinite(model.generate(abduction, model.context(1.0, onset_s=1.0)).position_m).all()


def test_interventions_that_cannot_be_are_refused(model: CausalMobilityModel) -> None:
    abduction = model.abduct(made.travellers(38, 0.5, WEST_M, ues=5, duration_s=30))
    with pytest.raises(ConfigError, match=r"do_context: shape \(3,\), must be finite of shape \(12,\)"):
        model.generate(abduction, do_context=np.zeros(3))
    with pytest.raises(ConfigError, match="do_local: shape"):
        model.generate(abduction, do_local=np.full_like(abduction.local, np.nan))


def test_what_teaches_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="model: no traces to learn from"):
        CausalMobilityModel.fit([], MAP)
    trace = made.crowd(0, "east", made.EAST_M)
    still = dataclasses.replace(trace, speed_mps=np.zeros_like(trace.speed_mps))
    with pytest.raises(DataError, match="in none of the traces is a UE under way"):
        CausalMobilityModel.fit([still], load_map(GROUND))
    far = dataclasses.replace(trace, position_m=trace.position_m + 5e4)
    with pytest.raises(DataError, match="in none of the traces is a UE under way on the streets"):
        CausalMobilityModel.fit([far], MAP)
