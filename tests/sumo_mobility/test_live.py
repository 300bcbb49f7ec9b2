"""Live traffic with the real SUMO: the offline trace if left alone, what was asked for if steered, and how it fails."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import psutil
import pytest

from sumo_mobility import traci_session
from sumo_mobility.base.errors import ConfigError, DataError, DependencyError, SimulatorError
from sumo_mobility.contexts import Event, Uniform
from sumo_mobility.live import LiveTraffic
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.pipeline import make_trace, make_trace_like
from sumo_mobility.trace import MobilityTrace, TraceWarning

pytestmark = pytest.mark.sumo

EVENT = Event(x_share=0.65, y_share=0.6)
CONFIG = MobilityConfig(
    ues=40, duration_s=20, settle_s=70, pedestrian_share=0.4, train_contexts=(EVENT,), test_contexts=(EVENT,)
)
SEED, DRIVERS = 3, 5


@cache
def offline() -> MobilityTrace:
    return make_trace(CONFIG, EVENT, SEED, DRIVERS)


@pytest.fixture
def traffic() -> Iterator[LiveTraffic]:
    with LiveTraffic(CONFIG, EVENT, SEED, DRIVERS, timeout_s=30) as traffic:
        yield traffic


def a_car(traffic: LiveTraffic) -> str:
    """A car that drives."""
    vehicle = traffic.connection.vehicle
    return str(max(vehicle.getIDList(), key=vehicle.getSpeed))


def test_left_alone_it_is_the_offline_trace_row_for_row(traffic: LiveTraffic) -> None:
    trace, live = offline(), []
    for time_s in (0.0, 0.4, np.array([2.0, 7.5]), 7.0, 20.0):
        live.append(traffic.position_at(time_s))
        np.testing.assert_array_equal(live[-1], trace.position_at(time_s))
    driven = traffic.trace()
    for name in ("time_s", "position_m", "speed_mps", "heading_deg"):
        np.testing.assert_array_equal(getattr(driven, name), getattr(trace, name), name)
    assert (trace.speed_mps > 0).mean() > 0.5
    np.testing.assert_array_equal(traffic.position_at(99.0), trace.position_m[-1])


def test_with_a_phase_it_is_the_offline_trace_too_and_that_a_crop() -> None:
    phased = CONFIG.model_copy(update={"duration_s": 8.0, "phase_s": 12.0})
    phase_s = phased.begin_s(SEED) - 70
    assert 0 < phase_s <= 12
    trace = make_trace(phased, EVENT, SEED, DRIVERS)
    np.testing.assert_array_equal(trace.position_m, offline().position_m[phase_s : phase_s + 9])
    with LiveTraffic(phased, EVENT, SEED, DRIVERS, timeout_s=30) as traffic:
        np.testing.assert_array_equal(traffic.position_at(trace.time_s), trace.position_m)


def test_it_is_one_knot_ahead_and_no_more(traffic: LiveTraffic) -> None:
    assert traffic.time_s == 0
    for time_s, knot in ((0.0, 1), (0.9, 1), (1.0, 2), (3.5, 4)):
        traffic.position_at(time_s)
        assert traffic.time_s == knot
    np.testing.assert_array_equal(traffic.knots_m(2, 6), offline().position_m[2:7])
    assert traffic.time_s == 6


def test_each_start_drives_the_same_and_what_was_driven_is_a_trace_that_says_so(
    traffic: LiveTraffic, tmp_path: Path
) -> None:
    traffic.position_at(3.0)
    traffic.start()
    with pytest.raises(ConfigError, match="nothing was driven"):
        traffic.trace()
    traffic.position_at(5.0)
    traffic.close()
    trace, path = traffic.trace(), tmp_path / "live.parquet"
    np.testing.assert_array_equal(trace.position_m, offline().position_m[:7])
    assert (trace.metadata.source, trace.metadata.provenance) == ("sumo-live", {"steered": "unknown"})
    for name in ("seed", "context", "context_parameters", "settings", "bounds_m", "attribution"):
        assert getattr(trace.metadata, name) == getattr(offline().metadata, name)
    trace.write(path)
    assert MobilityTrace.read(path).metadata == trace.metadata
    with pytest.raises(DataError, match="was driven live"):
        make_trace_like(path)


def test_what_is_commanded_shows_one_second_later(traffic: LiveTraffic) -> None:
    traffic.position_at(4.0)
    car = a_car(traffic)
    traffic.connection.vehicle.setSpeed(car, 0)
    traffic.position_at(20.0)
    driven, was = traffic.trace(), offline()
    np.testing.assert_array_equal(driven.position_m[:6], was.position_m[:6])
    assert not np.array_equal(driven.position_m[6, int(car)], was.position_m[6, int(car)])
    assert driven.speed_mps[12:, int(car)].max() == 0


def test_a_car_that_is_moved_through_the_air_is_flagged(traffic: LiveTraffic) -> None:
    traffic.position_at(4.0)
    car, vehicle = a_car(traffic), traffic.connection.vehicle
    away_m = {
        other: float(np.hypot(*np.subtract(*map(vehicle.getPosition, (car, other))))) for other in vehicle.getIDList()
    }
    near = min(away_m, key=lambda other: abs(away_m[other] - 500))
    vehicle.moveToXY(car, "", -1, *vehicle.getPosition(near), keepRoute=2)
    with pytest.warns(TraceWarning, match=rf"UE {car} was moved by \d\d\d+ m in the second to 6 s"):
        traffic.position_at(6.0)
    assert traffic.trace().metadata.jumps >= 1
    assert offline().metadata.jumps == 0
    here = vehicle.getPosition(car)
    far = max(vehicle.getIDList(), key=lambda other: np.hypot(*np.subtract(here, vehicle.getPosition(other))))
    vehicle.moveToXY(car, "", -1, *(1.5 * np.subtract(vehicle.getPosition(far), here) + here), keepRoute=2)
    with pytest.raises(SimulatorError, match=rf"UE {car} was moved by .* in the second to 8 s, faster than 1000 m/s"):
        traffic.position_at(9.0)
    assert traffic.trace().duration_s == 7


@pytest.mark.parametrize("first", ["", "import traci; assert traci.isLibsumo()"])
def test_libsumo_in_the_place_of_traci_is_not_in_the_way(tmp_path: Path, first: str) -> None:
    """Nor that a user has imported it before."""
    (tmp_path / "libsumo.py").write_text("isLibsumo = lambda: True\n")
    script = f"""
{first}
from sumo_mobility.contexts import Event
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.live import LiveTraffic
config = MobilityConfig.parse({CONFIG.model_dump()!r}, "test")
with LiveTraffic(config, Event.parse({EVENT.model_dump()!r}, "test"), {SEED}, {DRIVERS}) as traffic:
    print(*traffic.position_at(2.0).sum(axis=0))
"""
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    environment = os.environ | {"LIBSUMO_AS_TRACI": "quiet", "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True, timeout=60
    )
    np.testing.assert_allclose([float(word) for word in done.stdout.split()], offline().position_m[2].sum(axis=0))


def test_cars_that_shun_their_next_street_take_others(traffic: LiveTraffic) -> None:
    traffic.position_at(2.0)
    vehicle, shunned = traffic.connection.vehicle, {}
    for car in vehicle.getIDList():
        ahead = vehicle.getRoute(car)[vehicle.getRouteIndex(car) + 1]
        vehicle.setAdaptedTraveltime(car, ahead, 3600.0)
        vehicle.rerouteTraveltime(car, False)
        if vehicle.getRoute(car)[vehicle.getRouteIndex(car) + 1] != ahead:
            shunned[car] = ahead
    for time_s in range(3, 21):
        traffic.position_at(float(time_s))
        assert all(vehicle.getRoadID(car) != street for car, street in shunned.items())
    away_m = np.hypot(*(traffic.trace().position_m[-1] - offline().position_m[-1]).T)
    assert (away_m[[int(car) for car in shunned]] > 10).sum() >= 3


def test_strangers_on_the_streets_are_no_ues(traffic: LiveTraffic) -> None:
    vehicle = traffic.connection.vehicle
    vehicle.add("taxi", "", "car")
    vehicle.add("4711", "", "car")
    traffic.position_at(3.0)
    assert {"taxi", "4711"} <= set(vehicle.getLoadedIDList()) | set(vehicle.getIDList())
    assert traffic.trace().ues == CONFIG.ues


def test_a_ue_that_is_gone_is_held_and_too_many_are_refused(traffic: LiveTraffic) -> None:
    traffic.position_at(14.0)
    car = a_car(traffic)
    traffic.connection.vehicle.remove(car)
    traffic.position_at(16.0)
    trace = traffic.trace()
    np.testing.assert_array_equal(trace.position_m[16:, int(car)], trace.position_m[[15, 15], int(car)])
    assert trace.speed_mps[16:, int(car)].max() == 0
    assert trace.metadata.rows_filled == 2
    traffic.connection.vehicle.remove(a_car(traffic))
    with pytest.raises(SimulatorError, match=r"off jammed streets in 6 of 840 rows(.|\n)*lower mobility\.ues"):
        traffic.position_at(18.0)
    with pytest.raises(ConfigError, match="SUMO does not run"):
        traffic.position_at(20.0)


def test_a_killed_sumo_is_an_error_and_another_start_works(traffic: LiveTraffic) -> None:
    traffic.position_at(2.0)
    os.kill(traffic.pid, signal.SIGKILL)
    with pytest.raises(SimulatorError, match="sumo was killed by SIGKILL"):
        traffic.position_at(9.0)
    assert traffic.trace().duration_s == 3
    traffic.start()
    np.testing.assert_array_equal(traffic.position_at(9.0), offline().position_m[9])


def test_a_sumo_that_hangs_is_ended() -> None:
    with LiveTraffic(CONFIG, EVENT, SEED, timeout_s=3) as traffic:
        sumo = psutil.Process(traffic.pid)
        sumo.suspend()
        with pytest.raises(SimulatorError, match="sumo gave no answer within 3 s"):
            traffic.position_at(5.0)
        assert psutil.wait_procs([sumo], timeout=10)[1] == []


def test_who_steps_sumo_or_closes_its_connection_is_told_not_to(traffic: LiveTraffic) -> None:
    traffic.connection.simulationStep()
    with pytest.raises(SimulatorError, match=r"sumo is at 72 s instead of 71 s(.|\n)*leave it to LiveTraffic"):
        traffic.position_at(0.0)
    traffic.start()
    kept = traffic.connection
    kept.close()
    with pytest.raises(SimulatorError, match=r"sumo (ended|cannot be reached)(.|\n)*neither step"):
        traffic.position_at(0.0)
    with pytest.raises(Exception, match="already closed"):
        kept.vehicle.getIDList()


def test_wrong_commands_are_the_users_to_handle(traffic: LiveTraffic) -> None:
    with pytest.raises(Exception, match="Vehicle 'nobody' is not known"):
        traffic.connection.vehicle.getSpeed("nobody")
    traffic.position_at(2.0)


def test_nothing_is_left_and_nothing_listens(traffic: LiveTraffic) -> None:
    sumo = psutil.Process(traffic.pid)
    (only,) = sumo.net_connections()
    assert (only.status, only.raddr.ip) == (psutil.CONN_ESTABLISHED, "127.0.0.1")
    scratch = traffic._scratch
    assert scratch is not None
    assert scratch.path.exists()
    traffic.close()
    traffic.close()
    assert not sumo.is_running()
    assert not scratch.path.exists()


def test_a_port_that_is_anothers_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports = [other.getsockname()[1], traci_session._free_port()]
        monkeypatch.setattr(traci_session, "_free_port", lambda: ports.pop(0))
        with LiveTraffic(CONFIG, EVENT, SEED, DRIVERS, timeout_s=3) as traffic:
            np.testing.assert_array_equal(traffic.position_at(4.0), offline().position_m[4])
    assert ports == []


def test_a_stranger_who_is_faster_gets_a_sumo_that_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    port, guests, over = traci_session._free_port(), [], threading.Event()

    def intrude() -> None:
        while not guests and not over.is_set():
            with suppress(OSError):
                guests.append(socket.create_connection(("127.0.0.1", port)))

    monkeypatch.setattr(traci_session, "_LOOK_S", 0.5)
    monkeypatch.setattr(traci_session, "_free_port", lambda: port)
    stranger = threading.Thread(target=intrude)
    stranger.start()
    try:
        with pytest.raises(SimulatorError, match="could not be connected to within 3 s"):
            LiveTraffic(CONFIG, EVENT, SEED, DRIVERS, timeout_s=3).start()
    finally:
        over.set()
        stranger.join()
    with guests[0] as guest:
        guest.settimeout(5)
        assert guest.recv(1) == b""


def test_no_sumo_and_no_streets(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no streets on 'open:500x500'"):
        LiveTraffic(CONFIG.model_copy(update={"map": "open:500x500"}), Uniform(), 1)
    with (
        pytest.raises(ConfigError, match=r"cars, but helsinki-centre has"),
        LiveTraffic(CONFIG.model_copy(update={"ues": 1000}), Uniform(), 1),
    ):
        pass
    traffic = LiveTraffic(CONFIG, EVENT, SEED)
    with pytest.raises(ConfigError, match="SUMO does not run"):
        traffic.position_at(0.0)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="SUMO is not installed"):
        traffic.start()


def test_sumo_dies_with_its_owner() -> None:
    script = f"""
import time
from sumo_mobility.contexts import Event
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.live import LiveTraffic
config = MobilityConfig.parse({CONFIG.model_dump()!r}, "test")
with LiveTraffic(config, Event.parse({EVENT.model_dump()!r}, "test"), {SEED}) as traffic:
    print(traffic.pid, flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        try:
            sumo = psutil.Process(int(owner.stdout.readline()))
        finally:
            owner.kill()
    assert psutil.wait_procs([sumo], timeout=10)[1] == []
