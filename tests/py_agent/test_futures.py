"""Futures of planners: straight walkers, edges, what is not reported yet, and what a planner gains by knowing more."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import made_network
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_planner import NOTHING

from cf_augment.dataset import Dataset, EpisodeMetadata, Provenance, write_dataset
from cf_augment.physics import Engine, EngineBackend, WhatIf
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.reports import Reports
from ns3_scenarios.scenario import Preset, Scenario
from py_agent.policies import Clairvoyant, policy_factory
from py_agent.policies.futures import DeadReckoning, Frozen, HeardFuture, ModelFuture, Moments, Neighbors, TrueFuture
from py_agent.policies.outlook import Outlooks
from py_agent.policies.planner import GreedyPlanner
from py_agent.rollout import run_engine_episodes
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.pipeline import make_trace
from sumo_mobility.trace import MobilityTrace, TraceMetadata

SITES_M = [(0.0, 0.0), (600.0, 0.0), (300.0, 500.0)]
INTERVAL_S = 20.0


def network(ues: int = 30, delay_intervals: int = 1, interval_s: float = INTERVAL_S) -> Scenario:
    """Three cells, util, reports late; a cell with all UEs cannot serve them."""
    preset = Preset.load("helsinki-slow-v0").model_dump()
    preset["mobility"] |= {"ues": ues, "duration_s": 100}
    preset["episode"] |= {"steps": 5, "control_interval_s": interval_s}
    preset["traffic"] = {"offered_bps": 700e3, "packet_bytes": 1000}
    preset["reports"] = {"delay_intervals": delay_intervals}
    return Scenario.place(Preset.model_validate(preset), SITES_M)


def straight(start_m: Floats, velocity_mps: Floats, duration_s: float = 100) -> MobilityTrace:
    time_s = np.arange(duration_s + 1.0)
    position_m = start_m + time_s[:, None, None] * velocity_mps
    still = np.zeros(position_m.shape[:2])
    return MobilityTrace(time_s, position_m, still, still, TraceMetadata.made_up((-500, -500, 1500, 1500)))


def marching(seed: int, ues: int = 30) -> MobilityTrace:
    """A crowd that begins around cell 0 and marches on to cell 1."""
    random = np.random.default_rng(seed)
    start_m = random.normal((120, 0), (80, 60), (ues, 2))
    return straight(start_m, random.normal((4, 0), (1, 0.5), (ues, 2)))


def reported(kpis: StepKpis, trace: MobilityTrace, time_s: float) -> StepKpis:
    return StepKpis(**{**vars(kpis), "time_s": np.array(time_s), "ue_position_m": trace.position_at(time_s)})


def records(scenario: Scenario, count: int) -> list[EpisodeMetadata]:
    return [
        EpisodeMetadata(
            scenario_id=scenario.id, trace_name=f"trace-{index}", policy="any", seed=0, backend="engine",
            provenance=Provenance(action_source="any"),
        )
        for index in range(count)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def first() -> StepKpis:
    return EngineBackend(network()).reset(marching(0), 0)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**31), apart_s=st.floats(0.5, 60), ahead_s=st.floats(0.1, 20))
def test_straight_walkers_are_where_dead_reckoning_has_them(
    first: StepKpis, seed: int, apart_s: float, ahead_s: float
) -> None:
    random = np.random.default_rng(seed)
    trace = straight(random.uniform((150, 150), (450, 350), (30, 2)), random.uniform(-1, 1, (30, 2)), 130)
    future, times_s = DeadReckoning(network()), apart_s + ahead_s * np.arange(1, 4)
    future.positions_m(reported(first, trace, 0.0), times_s)
    expected = future.positions_m(reported(first, trace, apart_s), times_s)
    assert expected.shape == (1, 3, 30, 2)
    assert expected[0] == pytest.approx(trace.position_at(times_s), abs=1e-6)


def test_before_two_reports_ues_stand_and_a_report_seen_twice_is_one(first: StepKpis) -> None:
    trace, times_s, future = marching(1), np.array([5.0, 50.0]), DeadReckoning(network())
    for _ in range(2):
        stands = future.positions_m(reported(first, trace, 0.0), times_s)
        assert np.array_equal(stands[0, 1], trace.position_at(0.0))
    for _ in range(2):
        goes = future.positions_m(reported(first, trace, 2.0), times_s)
        assert goes[0, 0] == pytest.approx(trace.position_at(5.0))
    future.reset(0)
    assert np.array_equal(future.positions_m(reported(first, trace, 4.0), times_s)[0, 1], trace.position_at(4.0))


def test_at_the_edge_a_ue_turns_along_it_and_one_beyond_is_not_moved(first: StepKpis) -> None:
    """The nearest sites are 583 m and 600 m apart, so that the network ends 292 m east of the site at 600 m."""
    start_m, velocity_mps = np.full((30, 2), 300.0), np.zeros((30, 2))
    start_m[:2] = (850, 0), (1500, 100)
    velocity_mps[:2] = (10, 3), (2, -1)
    trace, future = straight(start_m, velocity_mps), DeadReckoning(network())
    edge_m = 600 + np.hypot(300, 500) / 2
    for time_s in (0.0, 1.0):
        ahead = future.positions_m(reported(first, trace, time_s), np.array([11.0, 21.0]))
    assert ahead[0, :, 0] == pytest.approx(np.array([(edge_m, 33), (edge_m, 63)]))
    assert ahead[0, :, 1] == pytest.approx(np.array([(1502, 89), (1502, 79)]))


def test_only_the_true_future_needs_the_trace_and_says_so() -> None:
    scenario, trace = network(delay_intervals=0), marching(2)
    kpis, no_cio = EngineBackend(scenario).reset(trace, 0), np.zeros(6)
    planner = policy_factory("planner:future=true,samples=4,rounds=1,sweeps=0")(scenario)
    assert isinstance(planner, Clairvoyant)
    with pytest.raises(ConfigError, match=r"future=true needs the trace(?s:.*)recorded traces.*future=dead-reckoning"):
        planner.act(NOTHING, kpis, no_cio)
    planner.foresee(trace)
    planner.reset(0)
    assert np.abs(planner.act(NOTHING, kpis, no_cio)).max() <= 1
    planner.foresee(None)  # as where the next episode is of live traffic
    with pytest.raises(ConfigError, match="needs the trace"):
        planner.act(NOTHING, kpis, no_cio)


def test_an_unknown_future_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"unknown future 'dead-reckonin' \(did you mean 'dead-reckoning'\?\)"):
        policy_factory("planner:future=dead-reckonin")(made_network.scenario())


@pytest.mark.parametrize("delay_intervals", [0, 1, 2])
def test_what_reports_do_not_show_yet_is_predicted(delay_intervals: int) -> None:
    """With the true mobility and the offsets that were in force, it knows about which cell serves whom by now."""
    scenario, trace = network(delay_intervals=delay_intervals), marching(3)
    backend, outlooks = EngineBackend(scenario), Outlooks(scenario, TrueFuture(scenario), WhatIf(Engine(scenario)), 15)
    outlooks.foresee(trace)
    truth, cio_db = [backend.reset(trace, 0)], np.zeros(6)
    for step in range(4):
        known = truth[max(0, step - delay_intervals)]
        [(now, coming_m)] = outlooks.of(known, cio_db)
        assert now.time_s == truth[step].time_s
        assert coming_m == pytest.approx(trace.position_at(step * INTERVAL_S + INTERVAL_S / 15 * (np.arange(15) + 0.5)))
        assert np.mean(now.ue_serving_cell == truth[step].ue_serving_cell) >= 0.9
        cio_db = np.random.default_rng(step).uniform(-3, 3, 6)
        truth.append(backend.step(cio_db))
    assert not np.array_equal(truth[0].ue_serving_cell, truth[3].ue_serving_cell)


def test_frozen_ues_settle_under_the_offsets_that_late_reports_do_not_show() -> None:
    scenario, trace = network(), straight(np.random.default_rng(4).normal((250, 50), 90, (30, 2)), np.zeros((30, 2)))
    backend, outlooks = EngineBackend(scenario), Outlooks(scenario, Frozen(scenario), WhatIf(Engine(scenario)), 15)
    before = backend.reset(trace, 0)
    outlooks.of(before, np.zeros(6))
    cio_db = np.array([6.0 if pair[0] == 0 else -6.0 for pair in scenario.neighbor_pairs])
    after = backend.step(cio_db)
    [(now, position_m)] = outlooks.of(before, cio_db)
    assert position_m is None
    assert np.array_equal(now.ue_serving_cell, after.ue_serving_cell)
    assert not np.array_equal(now.ue_serving_cell, before.ue_serving_cell)


@pytest.mark.slow
def test_who_knows_where_the_ues_go_earns_more() -> None:
    """A crowd on its straight way from one cell to another, in four episodes; reports are an interval late."""
    scenario, traces = network(), [marching(seed) for seed in range(4)]
    metadata = records(scenario, 4)
    make = partial(GreedyPlanner, scenario, samples=60, rounds=2, sweeps=1)
    earned = {}
    for future in ("frozen", "dead-reckoning", "true"):
        episodes = run_engine_episodes(scenario, traces, [make(future=future) for _ in traces], metadata)
        earned[future] = float(np.mean([episode.rewards.sum() for episode in episodes]))
    assert earned["true"] > earned["frozen"]
    assert earned["frozen"] < earned["dead-reckoning"] <= earned["true"] + 0.05 * abs(earned["true"])


def test_reports_on_time_ask_of_the_coming_interval_alone() -> None:
    scenario, asked = network(delay_intervals=0, interval_s=1.0), []

    class Asked(TrueFuture):
        def positions_m(self, kpis: StepKpis, times_s: Floats) -> Floats:
            asked.append(times_s)
            return super().positions_m(kpis, times_s)

    outlooks, trace = Outlooks(scenario, Asked(scenario), WhatIf(Engine(scenario)), 15), marching(0)
    outlooks.foresee(trace)
    kpis = EngineBackend(scenario).reset(trace, 0)
    for _ in range(2):
        outlooks.of(kpis, np.zeros(6))
    assert np.array_equal(asked, [[0.5], [0.5]])
    assert scenario.reports == Reports()


def crossing() -> MobilityTrace:
    """30 UEs come together at (300, 0): half from the west, which then go north, and half from the south, then east."""
    time_s, half = np.arange(101.0), np.arange(30) % 2 == 0
    before_m, after_m = np.minimum(time_s - 50, 0)[:, None, None] * 5, np.maximum(time_s - 50, 0)[:, None, None] * 5
    east, north = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    way = np.where(half[:, None], east, north)
    on = np.where(half[:, None], north, east)
    position_m = np.array([300.0, 0.0]) + before_m * way + after_m * on
    still = np.zeros((101, 30))
    return MobilityTrace(time_s, position_m, still, still, TraceMetadata.made_up((-500, -500, 1500, 1500)))


def test_neighbors_go_on_as_those_who_came_the_same_way(first: StepKpis) -> None:
    trace, times_s = crossing(), np.array([52.0, 60.5, 70.0])
    future = Neighbors(network(), Moments([trace]), 3)
    beside = trace.position_at(np.array([30.0, 50.0])) + np.array([1.0, -2.0])  # in another lane, and it stays there
    reports = [reported(first, trace, time_s) for time_s in (30.0, 50.0)]
    for kpis, place_m in zip(reports, beside, strict=True):
        ways_m = future.positions_m(StepKpis(**{**vars(kpis), "ue_position_m": place_m}), times_s)
    assert ways_m.shape == (3, 3, 30, 2)
    expected = trace.position_at(times_s) + np.array([1.0, -2.0])
    assert np.abs(ways_m - expected).max() < 1e-9


def test_one_report_does_not_say_where_a_ue_came_from(first: StepKpis) -> None:
    future, kpis, times_s = (
        Neighbors(network(), Moments([crossing()]), 40),
        reported(first, crossing(), 50.0),
        np.array([70.0]),
    )
    ways_m = future.positions_m(kpis, times_s)[:, 0]
    north, east = (np.abs(ways_m - place_m).max(axis=-1) < 1e-9 for place_m in ((300.0, 100.0), (400.0, 0.0)))
    assert 0.2 < north.mean() < 0.5 > east.mean() > 0.2  # 30 of the 40 nearest moments are at the crossing
    assert north.any(axis=0).all()
    assert not np.array_equal(ways_m, future.positions_m(kpis, times_s)[:, 0])
    future.reset(0)
    assert np.array_equal(ways_m, future.positions_m(kpis, times_s)[:, 0])


def test_a_learned_future_needs_data_and_others_have_none(first: StepKpis) -> None:
    for text, said in (
        ("planner:future=neighbors", r"future=neighbors learns from logged traces(?s:.*)data=RUN/logged.h5"),
        ("planner:future=frozen,data=x.h5", "future=frozen learns from no data"),
        ("planner:future=neighbors,data=x.h5,futures=0", "futures=0, must be at least 1"),
    ):
        with pytest.raises(ConfigError, match=said):
            policy_factory(text)(network())
    with pytest.raises(DataError, match="no such file"):
        policy_factory("planner:future=neighbors,data=x.h5")(network())
    with pytest.raises(DataError, match="no logged trace lasts the 120 s that future=neighbors looks over"):
        Neighbors(network(), Moments([crossing()]), 1).positions_m(reported(first, crossing(), 0.0), np.array([120.0]))


@pytest.mark.slow
def test_a_planner_learns_from_the_traces_of_a_dataset(tmp_path: Path) -> None:
    """Crowds that went the same way are worth more than no future."""
    scenario = network()
    metadata = records(scenario, 2)
    play = partial(run_engine_episodes, scenario)
    static = policy_factory("static")
    logged = play([marching(seed) for seed in (10, 11)], [static(scenario), static(scenario)], metadata)
    write_dataset(tmp_path / "logged.h5", scenario, Dataset(scenario, logged).episodes)
    earned = {}
    for future in ("frozen", f"neighbors,data={tmp_path}/logged.h5,futures=4"):
        make = policy_factory(f"planner:samples=60,rounds=2,sweeps=1,future={future}")
        episodes = play([marching(0), marching(1)], [make(scenario), make(scenario)], metadata)
        earned[future[:6]] = sum(float(episode.rewards.sum()) for episode in episodes)
    assert earned["neighb"] > earned["frozen"]


@pytest.fixture(scope="module")
def walkers() -> tuple[Scenario, MobilityTrace]:
    """Open ground with three sites that are not in a line."""
    preset = Preset.load("line3-slow-v0")
    scenario = Scenario.place(preset, [(250.0, 250.0), (750.0, 100.0), (1250.0, 400.0)])
    return scenario, make_trace(scenario.mobility, scenario.mobility.train_contexts[0], 0)


def test_the_model_goes_on_from_where_ues_are_and_draws_by_the_seed(walkers: tuple[Scenario, MobilityTrace]) -> None:
    scenario, trace = walkers
    future = ModelFuture(scenario, ModelFuture.learn([trace], scenario.mobility.map), 6)
    kpis = EngineBackend(scenario).reset(trace, 0)
    drawn_m = []
    for seed in (1, 1, 2):
        future.reset(seed)
        for time_s in (0.0, 30.0, 30.0):  # one that is seen twice is one
            told = reported(kpis, trace, time_s)
            position_m = future.positions_m(told, time_s + np.array([1e-6, 20.0]))
        drawn_m.append(position_m)
        assert position_m.shape == (6, 2, scenario.mobility.ues, 2)
        np.testing.assert_allclose(position_m[:, 0], np.tile(trace.position_at(30.0), (6, 1, 1)), atol=0.01)
    assert not np.array_equal(drawn_m[0][:, 1], drawn_m[2][:, 1])
    future.reset(1)
    future.positions_m(reported(kpis, trace, 0.0), np.array([1e-6, 20.0]))
    again_m = future.positions_m(reported(kpis, trace, 30.0), 30 + np.array([1e-6, 20.0]))
    assert again_m.shape == drawn_m[0].shape


def test_ues_are_found_by_what_they_hear(walkers: tuple[Scenario, MobilityTrace]) -> None:
    scenario, trace = walkers
    future = HeardFuture(scenario, HeardFuture.learn([trace], scenario.mobility.map), 6)
    kpis = EngineBackend(scenario).reset(trace, 0)
    nowhere = dataclasses.replace(kpis, ue_position_m=np.full_like(kpis.ue_position_m, np.nan))
    here_m = future.positions_m(nowhere, kpis.time_s + np.array([1e-6]))[:, 0]
    away_m = np.hypot(*np.moveaxis(here_m - kpis.ue_position_m, -1, 0))
    # Points are 10 m apart, and the one that is nearest by dB need not be so by metres.
    assert np.median(away_m) < 10
    assert away_m.max() < 30


def test_a_planner_with_the_model_is_one_word(tmp_path: Path, walkers: tuple[Scenario, MobilityTrace]) -> None:
    scenario, trace = walkers
    small = scenario.model_copy(update={"episode": scenario.episode.model_copy(update={"steps": 3})})
    planner = policy_factory("static")(small)
    [logged] = run_engine_episodes(small, [trace], [planner], records(small, 1))
    write_dataset(tmp_path / "logged.h5", small, [logged])
    word = f"data={tmp_path / 'logged.h5'},futures=3,samples=4,rounds=1,sweeps=0"
    played = [
        run_engine_episodes(small, [trace], [policy_factory(f"planner:future={name},{word}")(small)], records(small, 1))
        for name in ("model", "model", "model-rsrp")
    ]
    np.testing.assert_array_equal(played[0][0].actions, played[1][0].actions)
    assert np.abs(played[2][0].actions).max() > 0
