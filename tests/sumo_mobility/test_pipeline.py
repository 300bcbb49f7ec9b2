"""The whole chain with the real SUMO on the real streets of Helsinki."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from sumo_mobility.base.errors import ConfigError, DataError, SimulatorError, StorageError
from sumo_mobility.contexts import Context, Event, Sites, Tide, Uniform
from sumo_mobility.demand import pedestrians
from sumo_mobility.maps import find_map
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.net import build_net
from sumo_mobility.pipeline import load_map, make_trace, make_traces
from sumo_mobility.sites import HexagonalGrid
from sumo_mobility.streets import StreetMap
from sumo_mobility.sumo import run_sumo
from sumo_mobility.trace import MobilityTrace

pytestmark = pytest.mark.sumo

EVENT = Event(x_share=0.65, y_share=0.6)
CONTEXTS: tuple[Context, ...] = (Uniform(), EVENT, Tide(heading_deg=180))
CONFIG = MobilityConfig(ues=60, duration_s=40, settle_s=150, train_contexts=(Uniform(),), test_contexts=(Uniform(),))
SEEDS = (1, 2)

STREET_CORNERS_UTM35_M = [
    # Nodes of the extract by OpenStreetMap id, projected with PROJ (EPSG:32635).
    (386112.56, 6672346.89),  # 189428514, Vilhonkatu
    (385470.04, 6672261.91),  # 292719583, Arkadiankatu
    (386282.50, 6672854.03),  # 259653380, Siltasaarenkatu
    (385952.31, 6672186.47),  # 315151707, Kaivokatu
    (385851.92, 6671590.38),  # 3232054230, Uudenmaankatu
]


@pytest.fixture(scope="module")
def streets() -> StreetMap:
    return load_map("helsinki-centre")


@pytest.fixture(scope="module")
def traces() -> dict[tuple[str, int], MobilityTrace]:
    jobs = [(context, seed) for context in CONTEXTS for seed in SEEDS]
    made = make_traces(CONFIG, jobs, workers=2)
    return {(context.name, seed): trace for (context, seed), trace in zip(jobs, made, strict=True)}


def test_streets_lie_where_they_lie_on_earth(streets: StreetMap) -> None:
    assert streets.projection.startswith("+proj=utm +zone=35")
    corners = np.array(STREET_CORNERS_UTM35_M) + streets.net_offset_m
    assert (streets.distance_m(corners) < 3.5).all()
    points = np.concatenate(streets.streets)
    np.testing.assert_allclose(points.min(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(points.max(axis=0), streets.bounds_m[2:], atol=1e-3)
    assert "OpenStreetMap" in streets.attribution


def test_five_sites_at_700_m(streets: StreetMap) -> None:
    sites = HexagonalGrid(inter_site_distance_m=700).place(streets)
    assert len(sites) == 5
    assert sites == HexagonalGrid(inter_site_distance_m=700).place(streets)


def test_same_seed_same_bytes_in_a_fresh_process_and_cache(
    tmp_path: Path, traces: dict[tuple[str, int], MobilityTrace]
) -> None:
    traces["event", 1].write(tmp_path / "here.parquet")
    script = f"""
from pathlib import Path
from sumo_mobility.contexts import Event
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.pipeline import make_trace
config = MobilityConfig.parse({CONFIG.model_dump()!r}, "test")
make_trace(config, Event.parse({EVENT.model_dump()!r}, "test"), 1).write(Path({str(tmp_path / "there.parquet")!r}))
"""
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=120)
    for suffix in (".parquet", ".json"):
        assert (tmp_path / f"here{suffix}").read_bytes() == (tmp_path / f"there{suffix}").read_bytes()


def test_traces_do_not_depend_on_the_number_of_workers(traces: dict[tuple[str, int], MobilityTrace]) -> None:
    (alone,) = make_traces(CONFIG, [(Uniform(), 2)], workers=1)
    np.testing.assert_array_equal(alone.position_m, traces["uniform", 2].position_m)
    assert np.abs(alone.position_m - traces["uniform", 1].position_m).mean() > 100


def test_no_ue_appears_or_vanishes_and_none_leaves_the_streets(
    traces: dict[tuple[str, int], MobilityTrace], streets: StreetMap
) -> None:
    for trace in traces.values():
        assert trace.position_m.shape == (41, 60, 2)
        np.testing.assert_array_equal(trace.time_s, np.arange(41))
        assert trace.metadata.rows_filled == 0
        assert streets.distance_m(trace.position_m).max() < 5.0


def test_ues_move_as_their_speeds_and_headings_say(traces: dict[tuple[str, int], MobilityTrace]) -> None:
    for trace in traces.values():
        step = np.diff(trace.position_m, axis=0)
        moved = np.hypot(step[..., 0], step[..., 1])
        # SUMO moves by the speed at the step's end; junction curves, lane changes and kerbs add a little.
        error = np.abs(moved - trace.speed_mps[1:])
        assert np.percentile(error, 95) < 0.6
        assert moved.max() < 25
        heading = np.degrees(np.arctan2(step[..., 0], step[..., 1]))
        turn = np.abs((heading - trace.heading_deg[1:] + 180) % 360 - 180)
        assert np.percentile(turn[moved > 5], 90) < 10
        assert trace.speed_mps.mean() > 4
        assert (moved.sum(axis=0) > 20).mean() > 0.85


def test_contexts_differ_as_they_say(traces: dict[tuple[str, int], MobilityTrace], streets: StreetMap) -> None:
    place = np.array(EVENT.place_m(streets.bounds_m))

    def share_near(name: str) -> float:
        away = np.concatenate([traces[name, seed].position_m - place for seed in SEEDS])
        return float((np.hypot(away[..., 0], away[..., 1]) < 250).mean())

    def southward_m(name: str) -> float:
        return float(np.mean([trace.position_m[0, :, 1] - trace.position_m[-1, :, 1] for trace in (
            traces[name, seed] for seed in SEEDS)]))  # fmt: skip

    assert share_near("event") > share_near("uniform") + 0.15
    assert southward_m("tide") > 80
    assert abs(southward_m("uniform")) < 60


def test_metadata_tell_the_truth(traces: dict[tuple[str, int], MobilityTrace], streets: StreetMap) -> None:
    metadata = traces["event", 2].metadata
    assert (metadata.source, metadata.map_name, metadata.seed) == ("sumo", "helsinki-centre", 2)
    assert (metadata.context, metadata.context_parameters) == ("event", EVENT.model_dump(mode="json", exclude={"name"}))
    assert (metadata.bounds_m, metadata.net_offset_m) == (streets.bounds_m, streets.net_offset_m)
    assert metadata.versions["map_sha256"] == find_map("helsinki-centre").sha256
    assert metadata.licence == "ODbL-1.0"


def test_pedestrians_walk_among_cars_and_none_vanishes(streets: StreetMap) -> None:
    config = CONFIG.model_copy(update={"pedestrian_share": 0.5})
    trace = make_trace(config, Uniform(), 1)
    assert trace.position_m.shape == (41, 60, 2)
    assert trace.metadata.rows_filled == 0
    walks = np.array(pedestrians(config, 1))
    assert 20 < walks.sum() < 40
    assert trace.speed_mps[:, walks].max() < 2.5
    assert trace.speed_mps[:, walks].mean() > 0.7
    assert trace.speed_mps[:, ~walks].max(axis=0).mean() > 8
    assert streets.distance_m(trace.position_m).max() < 5.0


def test_ues_of_sites_set_out_with_the_trace_towards_where_they_are_said_to_go(streets: StreetMap) -> None:
    places = ((105.0, 605.0), (521.0, 415.0), (965.0, 250.0))
    context = Sites(behaviors=("right", "loiter", "left"), places_m=places)
    config = CONFIG.model_copy(update={"ues": 60, "duration_s": 100, "settle_s": 60})
    trace = make_trace(config, context, 1)
    own = np.array(places)[np.arange(60) % 3]
    # A street as long as it may be lies within 150 m with its middle.
    assert np.abs(trace.position_m[0] - own).max() < 300
    moved = trace.position_m[-1, :, 0] - trace.position_m[0, :, 0]
    assert moved[0::3].mean() > 100
    assert moved[2::3].mean() < -100
    assert abs(moved[1::3].mean()) < 60
    away = np.hypot(*(trace.position_m[-1, 1::3] - places[1]).T)
    assert np.median(away) < 200


def test_more_cars_than_the_streets_hold_are_refused_before_sumo_is_run() -> None:
    many = CONFIG.model_copy(update={"ues": 1000})
    with pytest.raises(
        ConfigError, match=r"1000 cars, but helsinki-centre has 22\.7 km .* hold \d+ .*(.|\n)*cure: lower"
    ):
        make_trace(many, Uniform(), 1)


@pytest.mark.parametrize("kind", ["footway", "residential"])
def test_a_map_without_streets_that_connect_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    nodes = "".join(f'<node id="{i}" lat="60.10{i}" lon="24.9"/>' for i in (1, 2, 3))
    way = "".join(f'<nd ref="{i}"/>' for i in (1, 2, 3))
    tags = f'<tag k="highway" v="{kind}"/><tag k="oneway" v="yes"/>'
    path = tmp_path / "dead-end.osm"
    path.write_text(f'<osm version="0.6">{nodes}<way id="1">{way}{tags}</way></osm>')
    with pytest.raises(DataError, match=r"dead-end\.osm: has no two streets"):
        load_map(str(path))


def test_a_map_of_the_users_is_read_and_a_bad_one_leaves_no_net(tmp_path: Path) -> None:
    whole = find_map("helsinki-centre").file.read_bytes()
    (tmp_path / "mine.osm.pbf").write_bytes(whole)
    assert build_net(find_map(str(tmp_path / "mine.osm.pbf")), tmp_path / "nets").name.startswith("mine-")
    (tmp_path / "mine.osm.pbf").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="not a whole OpenStreetMap file"):
        build_net(find_map(str(tmp_path / "mine.osm.pbf")), tmp_path / "nets")
    assert len(list((tmp_path / "nets").iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot write .*helsinki-centre.*\n.*free some space"):
        build_net(find_map("helsinki-centre"), tmp_path / "file")


def _endless() -> list[str]:
    return ["--net-file", str(build_net(find_map("helsinki-centre"))), "--end", "1e9", "--step-log.period", "100"]


def test_a_killed_sumo_is_an_error_at_once() -> None:
    others = set(psutil.Process().children())

    def kill(_time_s: float) -> None:
        (sumo,) = set(psutil.Process().children()) - others
        sumo.kill()

    begin = time.monotonic()
    with pytest.raises(SimulatorError, match="sumo was killed by SIGKILL"):
        run_sumo("sumo", _endless(), on_step=kill)
    assert time.monotonic() - begin < 10


def test_a_sumo_that_hangs_is_ended() -> None:
    others = set(psutil.Process().children())
    with pytest.raises(SimulatorError, match=r"sumo did not end within 0\.5 s"):
        run_sumo("sumo", _endless(), timeout_s=0.5)
    assert set(psutil.Process().children()) <= others


def test_a_failing_sumo_says_why(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match=r"sumo failed with exit code 1\n(.*\n)*.*nowhere\.net\.xml"):
        run_sumo("sumo", ["--net-file", str(tmp_path / "nowhere.net.xml")])


def test_sumo_dies_with_its_owner() -> None:
    script = f"from sumo_mobility.sumo import run_sumo; run_sumo('sumo', {_endless()!r})"
    owner = subprocess.Popen([sys.executable, "-c", script])
    try:
        deadline = time.monotonic() + 30
        while not (children := psutil.Process(owner.pid).children()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert children
    finally:
        owner.kill()
        owner.wait()
    assert psutil.wait_procs(children, timeout=10)[1] == []
