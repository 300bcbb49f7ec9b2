"""What every back end keeps, asked of the engine, the emulator, the fluid model and the real ns-3 program alike."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import made_network
import numpy as np
import pytest

from ns3_scenarios.backend import Backend
from ns3_scenarios.kpis import EVENT_DTYPE, EventKind, StepKpis
from ns3_scenarios.scenario import Scenario
from py_agent.backends import BACKENDS
from py_agent.env import open_backend
from sumo_mobility.base.errors import ConfigError, DataError

SCENARIO = made_network.scenario()
TRACE = made_network.trace()
PAIRS = len(SCENARIO.neighbor_pairs)
NO_CIO = (0.0, 0.0)
OPEN_DOOR = (6.0, -6.0)
"""CIO of (0, 1) and (1, 0): whoever can, leaves cell 0."""

NAMES = [pytest.param(name, marks=[pytest.mark.ns3] if name == "ns3" else []) for name in BACKENDS]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def backend(name: str) -> Iterator[Backend]:
    backend = open_backend(SCENARIO, name)
    yield backend
    backend.close()


@cache
def played(name: str, cio_db: tuple[float, float] = NO_CIO, seed: int = 1, run: int = 0) -> list[StepKpis]:
    """KPIs of the reset and of every step of an episode under one CIO; another `run` is simulated anew."""
    backend = open_backend(SCENARIO, name)
    try:
        kpis = [backend.reset(TRACE, seed)]
        return kpis + [backend.step(np.array(cio_db)) for _ in range(SCENARIO.episode.steps)]
    finally:
        backend.close()


@pytest.mark.parametrize("name", BACKENDS)
def test_a_back_end_is_registered_by_its_own_name(name: str) -> None:
    assert BACKENDS[name].load().name == name


def test_shapes_and_types(name: str) -> None:
    cells, ues = len(SCENARIO.cells), made_network.UES
    for kpis in played(name):
        for field in ("prb_utilization", "offered_bps", "served_bps", "connected_ues"):
            assert getattr(kpis, field).shape == (cells,), field
        for field in ("ue_serving_cell", "ue_sinr_db", "ue_throughput_bps"):
            assert getattr(kpis, field).shape == (ues,), field
        assert np.shape(kpis.time_s) == np.shape(kpis.handovers) == ()
        assert kpis.ue_position_m.shape == (ues, 2)
        assert kpis.ue_rsrp_dbm.shape == (ues, cells)
        assert kpis.ue_serving_cell.dtype == np.int64
        assert kpis.events.dtype == EVENT_DTYPE
        assert kpis.events.ndim == 1


def test_time_runs_in_control_intervals_from_zero(name: str) -> None:
    assert [float(kpis.time_s) for kpis in played(name)] == pytest.approx([0, 1, 2, 3])


def test_ues_are_where_the_trace_has_them(name: str) -> None:
    for kpis in played(name):
        assert kpis.ue_position_m == pytest.approx(TRACE.position_at(float(kpis.time_s)), abs=1e-5)


def test_ues_are_constant_and_each_is_served_by_one_cell(name: str) -> None:
    for kpis in played(name):
        counts = [int((kpis.ue_serving_cell == cell).sum()) for cell in range(len(SCENARIO.cells))]
        assert kpis.connected_ues.tolist() == counts
        assert sum(counts) == made_network.UES


def test_the_first_serving_cell_is_the_nearest(name: str) -> None:
    first = played(name)[0]
    assert first.ue_serving_cell.tolist() == [0, 0, 0, 0, 0, 1]
    assert first.ue_rsrp_dbm.argmax(axis=1).tolist() == [0, 0, 0, 0, 0, 1]


def test_rsrp_is_that_of_the_log_distance_law(name: str) -> None:
    """The UEs stand still in the warm-up, so that the first measurement is of one known place."""
    cells = np.array([(cell.x_m, cell.y_m, cell.height_m) for cell in SCENARIO.cells])
    ues = np.column_stack([made_network.STARTS_M, np.full(made_network.UES, SCENARIO.radio.ue_height_m)])
    distance_m = np.linalg.norm(ues[:, None] - cells, axis=-1)
    radio = SCENARIO.radio
    loss_db = 15.3 + 37.6 * np.log10(distance_m)
    per_element_dbm = radio.tx_power_dbm - 10 * np.log10(12 * radio.dl_bandwidth_rb)
    assert played(name)[0].ue_rsrp_dbm == pytest.approx(per_element_dbm - loss_db, abs=0.01)


def test_load_and_throughput_are_possible(name: str) -> None:
    offered = SCENARIO.traffic.offered_bps
    packet_bits = 8 * SCENARIO.traffic.packet_bytes
    for kpis in played(name):
        assert ((kpis.prb_utilization > 0) & (kpis.prb_utilization <= 1)).all()
        assert kpis.offered_bps.sum() == pytest.approx(made_network.UES * offered, abs=made_network.UES * packet_bits)
        assert (kpis.ue_throughput_bps <= offered + 2 * packet_bits).all()
        assert kpis.served_bps.sum() == pytest.approx(kpis.ue_throughput_bps.sum(), rel=0.02)
        assert kpis.served_bps.sum() > 0.9 * kpis.offered_bps.sum()  # the network is far from full
        assert kpis.prb_utilization[0] > kpis.prb_utilization[1]  # five UEs against one


def test_without_an_offset_nobody_leaves(name: str) -> None:
    for kpis in played(name):
        assert kpis.handovers == 0
        assert len(kpis.events) == 0


def test_an_offset_moves_the_ues_at_the_border(name: str) -> None:
    kpis = played(name, OPEN_DOOR)
    assert kpis[0].ue_serving_cell.tolist() == [0, 0, 0, 0, 0, 1]
    assert kpis[-1].ue_serving_cell.tolist() == [1, 1, 0, 0, 0, 1]
    assert kpis[-1].prb_utilization[0] < played(name)[-1].prb_utilization[0]
    assert kpis[-1].prb_utilization[1] > played(name)[-1].prb_utilization[1]


def test_handovers_are_events_of_their_interval(name: str) -> None:
    kpis = played(name, OPEN_DOOR)
    started = [event for k in kpis for event in k.events if event["kind"] == EventKind.HANDOVER_START]
    done = [event for k in kpis for event in k.events if event["kind"] == EventKind.HANDOVER_OK]
    for events in (started, done):
        assert sorted(int(event["ue"]) for event in events) == list(made_network.BORDER_UES)
        assert {(int(event["source_cell"]), int(event["target_cell"])) for event in events} == {(0, 1)}
    assert sum(len(k.events) for k in kpis) == 4
    for k in kpis:
        assert k.handovers == (k.events["kind"] == EventKind.HANDOVER_START).sum()
        assert (np.diff(k.events["time_s"]) >= 0).all()
        assert ((k.events["time_s"] > k.time_s - 1) & (k.events["time_s"] <= k.time_s)).all()
    earliest_s = SCENARIO.handover.time_to_trigger_ms / 1000
    assert all(event["time_s"] >= earliest_s for event in started)


@pytest.mark.parametrize("cio_db", [NO_CIO, OPEN_DOOR])
def test_an_interval_is_the_mean_of_the_seconds_in_which_its_control_is_held(
    name: str, cio_db: tuple[float, float]
) -> None:
    """The warm-up is shorter than the interval. The engine knows no part of a packet, nor where in a slot it comes."""
    scenario = made_network.scenario(episode={"steps": 1, "control_interval_s": 3, "warmup_s": 2})
    backend = open_backend(scenario, name)
    try:
        first, held = backend.reset(TRACE, 1), backend.step(np.array(cio_db))
    finally:
        backend.close()
    before, *seconds = played(name, cio_db)
    assert first == before
    tolerance = 0.01 if name == "engine" else 1e-9
    for field in ("prb_utilization", "offered_bps", "served_bps", "ue_throughput_bps"):
        mean = np.mean([getattr(kpis, field) for kpis in seconds], axis=0)
        assert getattr(held, field) == pytest.approx(mean, rel=tolerance), field
    assert held.handovers == sum(kpis.handovers for kpis in seconds) == (cio_db == OPEN_DOOR) * 2
    for column in EVENT_DTYPE.names or ():
        events = np.concatenate([kpis.events[column] for kpis in seconds])
        assert held.events[column] == pytest.approx(events, abs=1e-9), column
    for field in ("time_s", "connected_ues", "ue_position_m", "ue_serving_cell", "ue_rsrp_dbm", "ue_sinr_db"):
        assert getattr(held, field) == pytest.approx(getattr(seconds[-1], field), abs=1e-4), field


def test_the_same_seed_gives_the_same_kpis(name: str) -> None:
    assert played(name, OPEN_DOOR) == played(name, OPEN_DOOR, run=1)


def test_the_seed_does_not_move_anybody(name: str) -> None:
    for one, other in zip(played(name, seed=1), played(name, seed=2), strict=True):
        assert np.array_equal(one.ue_position_m, other.ue_position_m)
        assert one.ue_rsrp_dbm == pytest.approx(other.ue_rsrp_dbm, abs=1e-9)


def test_refused_actions_leave_the_episode_usable(backend: Backend) -> None:
    with pytest.raises(ConfigError):
        backend.step(np.zeros(PAIRS))
    backend.reset(TRACE, 1)
    with pytest.raises(ConfigError, match=f"has {PAIRS} neighbour pairs"):
        backend.step(np.zeros(PAIRS + 1))
    with pytest.raises(ConfigError, match="pair 1 is not finite"):
        backend.step(np.array([0.0, np.nan]))
    with pytest.raises(ConfigError, match=r"handover\.cio_range_db"):
        backend.step(np.array([0.0, 6.5]))
    for time_s in (1, 2, 3):
        assert float(backend.step(np.zeros(PAIRS)).time_s) == pytest.approx(time_s)
    with pytest.raises(ConfigError):
        backend.step(np.zeros(PAIRS))


def test_reset_in_the_middle_and_after_close_begins_anew(backend: Backend) -> None:
    backend.reset(TRACE, 1)
    backend.step(np.array(OPEN_DOOR))
    assert backend.reset(TRACE, 1).time_s == 0
    backend.close()
    backend.close()
    with pytest.raises(ConfigError):
        backend.step(np.zeros(PAIRS))
    assert backend.reset(TRACE, 1).ue_serving_cell.tolist() == [0, 0, 0, 0, 0, 1]


def test_a_branch_is_the_future_and_leaves_the_present(name: str, backend: Backend) -> None:
    cio_db = np.tile([NO_CIO, OPEN_DOOR], (2, 1, 1)).transpose(1, 0, 2)  # each held for two steps
    first = backend.reset(TRACE, 1)
    stay, leave = backend.branch(cio_db)
    assert [first, *stay] == played(name)[:3]
    assert [first, *leave] == played(name, OPEN_DOOR)[:3]
    assert [backend.step(np.array(OPEN_DOOR)) for _ in range(2)] == leave
    [last] = backend.branch(cio_db[1:, :1])
    assert last == [backend.step(np.array(OPEN_DOOR))] == played(name, OPEN_DOOR)[3:]


def test_refused_branches_leave_the_episode_usable(backend: Backend) -> None:
    with pytest.raises(ConfigError):
        backend.branch(np.zeros((1, 1, PAIRS)))
    backend.reset(TRACE, 1)
    backend.step(np.zeros(PAIRS))
    for cio_db, message in [
        (np.zeros((1, 3, PAIRS)), "horizon of 3 steps, but the episode has only 2 left"),
        (np.zeros((1, 1, PAIRS + 1)), f"has {PAIRS} neighbour pairs"),
        (np.zeros((0, 1, PAIRS)), "branches, steps, values of a step"),
        (np.zeros((1, PAIRS)), "branches, steps, values of a step"),
    ]:
        with pytest.raises(ConfigError, match=message):
            backend.branch(cio_db)
    for _ in range(2):
        backend.step(np.zeros(PAIRS))
    with pytest.raises(ConfigError):
        backend.branch(np.zeros((1, 1, PAIRS)))


@pytest.mark.parametrize(
    ("trace", "message"),
    [
        (made_network.trace(ues=5), "5 UEs, but mobility.ues of two-cells-v0 is 6"),
        (made_network.trace(steps=2), "2 s long, but an episode of two-cells-v0 has 3 s"),
    ],
)
def test_a_trace_that_does_not_fit_is_refused(
    backend: Backend, trace: made_network.MobilityTrace, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        backend.reset(trace, 1)


def test_the_scenario_is_at_hand(backend: Backend) -> None:
    assert isinstance(backend.scenario, Scenario)
    assert backend.scenario == SCENARIO
