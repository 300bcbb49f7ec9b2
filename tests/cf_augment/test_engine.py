"""The engine as a whole: what it keeps, what it refuses, and that a batch is its environments one by one."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from engine_cases import FIVE_SITES_M, scenario, trace, walk_m
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_augment.physics import Engine, EngineBackend
from cf_augment.physics.closed_form.interval import serve_slot
from cf_augment.physics.closed_form.load import Load, Service, service_of
from cf_augment.physics.closed_form.slot import Slot, new_downlink
from cf_augment.physics.closed_form.state import HandoverState
from cf_augment.physics.compile import compile_engine
from cf_augment.physics.radio.vector_math import compiled
from cf_augment.physics.tables import ttis_per_packet
from ns3_scenarios.kpis import EventKind, StepKpis
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError, DataError

FIVE_CELLS = scenario()
PAIRS = len(FIVE_CELLS.neighbor_pairs)


def random_cio_db(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).uniform(-6, 6, (*shape, PAIRS))


def assert_sound(network: Scenario, kpis: StepKpis) -> None:
    """What holds for every interval, whatever happens in it."""
    ues, cells = network.mobility.ues, len(network.cells)
    for field in fields(kpis):
        values = getattr(kpis, field.name)
        assert values.dtype.names or np.isfinite(values).all(), field.name
    # -1 is a UE whose radio link has failed.
    assert ((kpis.ue_serving_cell >= -1) & (kpis.ue_serving_cell < cells)).all()
    assert (kpis.connected_ues.sum(axis=-1) == (kpis.ue_serving_cell >= 0).sum(axis=-1)).all()
    assert ((kpis.prb_utilization >= 0) & (kpis.prb_utilization <= 24 / 25 + 1e-6)).all()
    total_offered = ues * network.traffic.offered_bps
    assert kpis.offered_bps.sum(axis=-1) == pytest.approx(total_offered, rel=1e-5)
    assert kpis.served_bps.sum(axis=-1) == pytest.approx(kpis.ue_throughput_bps.sum(axis=-1), rel=1e-5, abs=1)
    assert (kpis.ue_throughput_bps >= 0).all()


@settings(max_examples=25)
@given(
    kind=st.sampled_from(["streets", "on a site", "one place", "far away", "jumps"]),
    seed=st.integers(0, 2**31),
    offered_bps=st.sampled_from([1.0, 2e5, 1e9]),
    time_to_trigger_ms=st.sampled_from([0, 160, 1024]),
)
def test_no_position_demand_or_offset_breaks_the_engine(
    kind: str, seed: int, offered_bps: float, time_to_trigger_ms: int
) -> None:
    network = scenario(
        ues=7,
        traffic={"offered_bps": offered_bps},
        radio={"cell_height_m": 1.5},
        handover={"time_to_trigger_ms": time_to_trigger_ms},
    )
    engine, random = Engine(network), np.random.default_rng(seed)
    position = walk_m(2, 7, 3 * engine.grid_steps + 1, 0.1, seed)
    if kind == "on a site":
        position[:] = FIVE_SITES_M[2]
    elif kind == "one place":
        position[:] = position[:1, :1, :1]
    elif kind == "far away":
        position += 9e6
    elif kind == "jumps":
        position = random.uniform(-5000, 5000, position.shape)
    kpis = engine.rollout(position, random.uniform(-6, 6, (2, 3, len(network.neighbor_pairs))))
    assert_sound(network, kpis)


@pytest.mark.parametrize("environments", [2, 9])
def test_a_batch_is_its_environments_one_by_one_bit_for_bit(environments: int) -> None:
    engine = Engine(FIVE_CELLS)
    position = walk_m(environments, 60, 4 * engine.grid_steps + 1, 0.1, seed=5, speed_mps=25.0)
    cio_db = random_cio_db(environments, 4)
    batch = engine.rollout(position, cio_db)
    assert batch.handovers.sum() > 0
    for environment in range(environments):
        single = engine.rollout(position[environment : environment + 1], cio_db[environment : environment + 1])
        for field in fields(StepKpis):
            if field.name != "events":
                assert np.array_equal(getattr(single, field.name)[0], getattr(batch, field.name)[environment])


def test_a_rollout_is_the_steps_of_the_backend() -> None:
    network = scenario(ues=60, episode={"steps": 5})
    backend, engine = EngineBackend(network), Engine(network)
    walk = trace(walk_m(1, 60, 6, 1.0, seed=1, speed_mps=25.0)[0], 1.0)
    cio_db = random_cio_db(1, 5, seed=1)
    together = engine.rollout(engine.positions(walk)[None], cio_db)
    one_by_one = [backend.reset(walk, seed=3)] + [backend.step(row) for row in cio_db[0]]
    for step, kpis in enumerate(one_by_one):
        for field in fields(StepKpis):
            if field.name != "events":
                assert np.array_equal(getattr(kpis, field.name), getattr(together, field.name)[0, step])


def test_events_say_who_moved_when_and_where() -> None:
    network = scenario(ues=60, episode={"steps": 5})
    backend = EngineBackend(network)
    before = backend.reset(trace(walk_m(1, 60, 6, 1.0, seed=1, speed_mps=25.0)[0], 1.0), seed=3)
    assert len(before.events) == 0
    seen = 0
    for row in random_cio_db(5, seed=1):
        kpis = backend.step(row)
        starts = kpis.events[kpis.events["kind"] == EventKind.HANDOVER_START]
        ends = kpis.events[kpis.events["kind"] == EventKind.HANDOVER_OK]
        assert len(starts) == len(ends) == kpis.handovers
        assert ends["time_s"] - starts["time_s"] == pytest.approx(0.004)
        assert (np.diff(kpis.events["time_s"]) >= 0).all()
        assert ((starts["time_s"] > before.time_s) & (starts["time_s"] <= kpis.time_s)).all()
        serving = before.ue_serving_cell.copy()
        for start in starts:
            assert serving[start["ue"]] == start["source_cell"]
            assert (start["source_cell"], start["target_cell"]) in network.neighbor_pairs
            serving[start["ue"]] = start["target_cell"]
        assert np.array_equal(serving, kpis.ue_serving_cell)
        before, seen = kpis, seen + len(starts)
    assert seen > 5


def still_m(engine: Engine, position_m: Floats) -> Floats:
    return np.repeat(position_m[None, None], engine.grid_steps + 1, axis=1)


def test_utilization_of_a_quiet_cell_is_packets_times_ttis() -> None:
    # 5 UEs next to site 0: CQI 15, one TTI for each of their 5 x 25 packets a second; 24 of 25 RBs.
    network = scenario(ues=5)
    kpis = Engine(network).reset(np.full((1, 5, 2), 10.0))
    assert kpis.prb_utilization[0] == pytest.approx([0.125 * 24 / 25, 0, 0, 0, 0], abs=1e-6)
    assert kpis.ue_throughput_bps[0] == pytest.approx([200e3] * 5)


def test_an_overloaded_cell_is_full_and_shares_its_time_fairly() -> None:
    # 30 UEs of CQI 15 at 1 Mb/s want 3.75 times the TTIs; 2 UEs of CQI 15 in another cell are unharmed.
    network = scenario(ues=32, traffic={"offered_bps": 1e6})
    position = np.full((1, 32, 2), 10.0)
    position[:, 30:] = [700.0, 10.0]
    kpis = Engine(network).reset(position)
    assert kpis.prb_utilization[0, 0] == pytest.approx(24 / 25)
    packet_ttis = ttis_per_packet(25, 1000)[1][15]
    assert kpis.ue_throughput_bps[0, :30] == pytest.approx([8000 / packet_ttis * 1000 / 30] * 30, rel=1e-5)
    assert kpis.ue_throughput_bps[0, 30:] == pytest.approx([1e6] * 2)


def test_weights_set_the_rate_of_each_ue() -> None:
    network = scenario(ues=4, traffic={"offered_bps": 1e5, "ue_weights": (1, 2, 5, 8)})
    kpis = Engine(network).reset(np.tile([100.0, 0.0], (1, 4, 1)))
    assert kpis.ue_throughput_bps[0] == pytest.approx(np.array([1, 2, 5, 8]) * 25e3, rel=1e-5)


@pytest.mark.parametrize(
    ("traffic", "message"),
    [
        (
            {"arrivals": {"model": "poisson"}},
            r"traffic\.arrivals\.model: .*no 'poisson'(?s:.*)use backend emulator or ns3",
        ),
        ({"arrivals": {"model": "full-buffer"}}, r"traffic\.arrivals\.model"),
        ({"uplink_bps": 1e4}, r"traffic\.uplink_bps"),
    ],
)
def test_traffic_that_it_does_not_know_is_refused(traffic: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Engine(scenario(traffic=traffic))


@settings(max_examples=50)
@given(seed=st.integers(0, 2**31))
def test_served_is_never_more_than_waited_and_a_full_cell_uses_all_its_time(seed: int) -> None:
    random = np.random.default_rng(seed)
    load = Load(scenario(ues=20, traffic={"offered_bps": float(random.choice([5e4, 4e5, 3e6]))}))
    serving, cqi = random.integers(0, 5, (3, 20)), random.integers(0, 16, (3, 20))
    before = random.uniform(0, load.queues.queue_packets, (3, 20))
    backlog = before.copy()
    service = load.serve(serving, cqi, np.ones((3, 20)), backlog, 0.2)
    waiting = before + load.queues.packets_per_s * 0.2
    assert (service.ue_delivered <= waiting * (1 + 1e-6)).all()
    assert (service.ue_delivered[cqi == 0] == 0).all()
    assert (backlog <= load.queues.queue_packets).all()
    # Nobody waits in a cell with time left.
    free = np.take_along_axis(service.busy_ttis < 200, serving, axis=1) & (cqi > 0)
    assert service.ue_delivered[free] == pytest.approx(waiting[free])
    # Max-min fairness: whoever is not served wholly has at least the time of any other UE of the cell.
    packed = np.array([0.0, *ttis_per_packet(25, 1000)[1][1:]])[cqi]
    time = service.ue_delivered * packed
    hungry = (cqi > 0) & (service.ue_delivered < waiting * (1 - 1e-5))
    for row, ue in np.argwhere(hungry).tolist():
        mates = serving[row] == serving[row, ue]
        assert time[row, ue] >= time[row, mates].max() * (1 - 1e-4)
        assert time[row, mates].sum() <= 200 * (1 + 1e-5)


@pytest.mark.slow
def test_a_slot_is_served_at_the_mean_of_all_cqi_that_its_sinr_passes() -> None:
    constants = Engine(scenario(ues=40))._constants
    begin_db, end_db = np.random.default_rng(0).uniform(-8, 22, (2, 40)).astype(np.float32)
    end_db[:10] = begin_db[:10] + 0.5
    begin_db[10:15], end_db[15:20] = -4.6, -4.6
    state = HandoverState.attached(np.zeros((1, 5, 40), np.float32), scenario(ues=40))
    downlink, service = new_downlink(5, 40), Service.nothing(1, 5, 40)
    pace = downlink.pace
    slot = Slot(0.2, state.serving[0], state.backlog[0], np.zeros((5, 40), np.float32), begin_db, end_db)
    compiled(serve_slot.py_func)(constants, slot, downlink, service_of(service, 0))
    sinr_db = np.linspace(begin_db, end_db, 20001, dtype=np.float64)
    cqi = np.searchsorted(constants.reception.cqi_threshold_db, sinr_db, side="right")
    alone, packed = (np.array(ttis) for ttis in ttis_per_packet(25, 1000))
    alone[0] = packed[0] = 0.0
    reached = (cqi > 0).mean(axis=0)
    assert ((reached > 0) & (reached < 1)).sum() > 5
    assert pace.reached == pytest.approx(reached, abs=2e-4)
    assert pace.late == pytest.approx(np.where((cqi[0] == 0) & (reached > 0), 1 - reached, 0), abs=2e-4)
    assert pace.alone == pytest.approx(alone[cqi].mean(axis=0), abs=2e-3)
    assert pace.packed == pytest.approx(packed[cqi].mean(axis=0) / np.maximum(reached, 1e-9), abs=2e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e9])
def test_a_position_that_is_no_place_is_refused_by_name(bad: float) -> None:
    engine = Engine(scenario(ues=3))
    position = np.zeros((2, 3, 2))
    position[1, 2, 0] = bad
    with pytest.raises(DataError, match=r"position_m\[1, 2, 0\]"):
        engine.reset(position)


def test_shapes_that_do_not_fit_are_refused_by_name() -> None:
    engine = Engine(scenario(ues=3))
    with pytest.raises(ConfigError, match="before reset"):
        engine.step(np.zeros((1, 11, 3, 2)), np.zeros((1, PAIRS)))
    with pytest.raises(DataError, match=r"position_m: shape \(1, 4, 2\)"):
        engine.reset(np.zeros((1, 4, 2)))
    engine.reset(np.zeros((2, 3, 2)))
    with pytest.raises(DataError, match="11 positions"):
        engine.step(np.zeros((2, 6, 3, 2)), np.zeros((2, PAIRS)))
    with pytest.raises(DataError, match="2 environments"):
        engine.step(np.zeros((1, 11, 3, 2)), np.zeros((1, PAIRS)))
    with pytest.raises(ConfigError, match="control: CIOs of shape"):
        engine.step(np.zeros((2, 11, 3, 2)), np.zeros((1, PAIRS)))
    with pytest.raises(ConfigError, match="not finite"):
        engine.step(np.zeros((2, 11, 3, 2)), np.full((2, PAIRS), np.nan))
    with pytest.raises(DataError, match="does not fit CIOs"):
        engine.rollout(np.zeros((1, 12, 3, 2)), np.zeros((1, 1, PAIRS)))


def test_the_backend_knows_when_an_episode_is_over() -> None:
    network = scenario(ues=3, episode={"steps": 1})
    backend = EngineBackend(network)
    with pytest.raises(ConfigError, match="no episode is running"):
        backend.step(np.zeros(PAIRS))
    backend.reset(trace(np.zeros((3, 3, 2)), 1.0), seed=1)
    backend.step(np.zeros(PAIRS))
    with pytest.raises(ConfigError, match="has ended"):
        backend.step(np.zeros(PAIRS))
    with pytest.raises(DataError, match="4 UEs"):
        backend.reset(trace(np.zeros((3, 4, 2)), 1.0), seed=1)
    backend.close()
    backend.close()


def test_set_up_can_compile_ahead() -> None:
    compile_engine()
