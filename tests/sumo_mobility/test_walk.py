"""UEs on open ground: the reference's random walk against its own numbers, and any other context; no SUMO."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.contexts import Context, Corridor, Evening, Event, Sites, Tide, Uniform
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.pipeline import load_map, make_trace, make_trace_like, make_traces, phase_s
from sumo_mobility.trace import MobilityTrace

LINE_M = ((250.0, 250.0), (750.0, 250.0), (1250.0, 250.0))
CONTEXTS: tuple[Context, ...] = (
    Uniform(),
    Event(),
    Event(direction="out", at_s=20),
    Tide(heading_deg=90),
    Evening(),
    Corridor(),
    Sites(behaviors=("right", "loiter", "left"), places_m=LINE_M),
)


def config(map_name: str = "open:1500x500", ues: int = 50, **fields: float) -> MobilityConfig:
    everywhere = [{"name": "uniform"}]
    data = {"map": map_name, "ues": ues, "duration_s": 100, "settle_s": 0} | fields
    return MobilityConfig.parse(data | {"train_contexts": everywhere, "test_contexts": everywhere}, "test")


def one_site(behavior: str, place_m: tuple[float, float], strength: float = 0.7) -> Sites:
    return Sites.parse({"behaviors": [behavior], "places_m": [place_m], "strength": strength}, "test")


@pytest.mark.parametrize(("behavior", "sign"), [("right", 1), ("left", -1)])
def test_ues_drift_as_the_reference_says(behavior: str, sign: int) -> None:
    trace = make_trace(config("open:20000x20000", ues=200), one_site(behavior, (10000, 10000)), 1)
    step = np.diff(trace.position_m, axis=0)
    # E[speed] = 10 m/s, moving in 85 % of the seconds, on the heading in 70 % of those.
    assert step[..., 0].mean() == pytest.approx(sign * 10 * 0.85 * 0.7, abs=0.25)
    assert step[..., 1].mean() == pytest.approx(0, abs=0.1)
    moved = np.hypot(step[..., 0], step[..., 1])
    assert (moved == 0).mean() == pytest.approx(0.15, abs=0.01)
    assert moved.max() < 15 * 1.4
    along = (np.abs(step[..., 1]) < 1e-9) & (moved > 0)
    assert along.sum() / (moved > 0).sum() == pytest.approx(0.7, abs=0.01)
    own = np.array([each[each > 0].mean() for each in moved.T])
    assert own.mean() == pytest.approx(10, abs=3 * 10 / np.sqrt(12 * 200))
    assert 4.5 < own.min() < 6
    assert 14 < own.max() < 15.5
    # Uniform within 40 % of the UE's own: the standard deviation is 0.4 / sqrt(3) of it.
    volatility = [each[each > 0].std() / each[each > 0].mean() for each in moved.T]
    assert np.mean(volatility) == pytest.approx(0.4 / np.sqrt(3), abs=0.01)


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context.name)
def test_a_phase_is_a_crop_of_the_same_walk(context: Context) -> None:
    """The clock of the context goes on; the trace begins so many seconds later, between none and phase_s of them."""
    phased = config(ues=8, duration_s=40, settle_s=5, phase_s=60)
    whole = config(ues=8, duration_s=100, settle_s=5)
    phases = set()
    for seed in range(8):
        phase_s = phased.begin_s(seed) - 5
        trace, all_of_it = make_trace(phased, context, seed), make_trace(whole, context, seed)
        assert len(trace.time_s) == 41
        for name in ("position_m", "speed_mps", "heading_deg"):
            np.testing.assert_array_equal(getattr(trace, name), getattr(all_of_it, name)[phase_s : phase_s + 41], name)
        phases.add(phase_s)
    assert len(phases) > 4
    assert min(phases) >= 0
    assert max(phases) <= 60


def test_a_trace_with_a_phase_is_made_again_from_its_file(tmp_path: Path) -> None:
    phased, path = config(ues=8, duration_s=40, phase_s=60), tmp_path / "phased.parquet"
    make_trace(phased, Event(at_s=50), 2).write(path)
    before = MobilityTrace.read(path)
    assert before.metadata.settings["phase_s"] == 60
    assert np.array_equal(make_trace_like(path).position_m, before.position_m)
    assert "phase_s" not in make_trace(config(ues=8), Event(at_s=50), 2).metadata.settings


def test_an_event_sets_in_when_that_of_another_trace_does(tmp_path: Path) -> None:
    """Traces with phases of their own, one made again under the other's context at the other's time."""
    phased = config(ues=40, duration_s=200, phase_s=60)
    event, seeds = Event(x_share=0.9, y_share=0.5, radius_m=50, attraction=1.0, at_s=100), (2, 3)
    paths = [tmp_path / f"{seed}.parquet" for seed in seeds]
    for seed, path in zip(seeds, paths, strict=True):
        make_trace(phased, event, seed).write(path)
    assert [phase_s(path) for path in paths] == [phased.begin_s(seed) - phased.settle_s for seed in seeds]
    later_s = phase_s(paths[0]) - phase_s(paths[1])
    assert later_s != 0
    same, moved = make_trace_like(paths[0]), make_trace_like(paths[0], event.later(later_s))
    first, wanted, found = (first_moves_s(trace) for trace in (same, MobilityTrace.read(paths[1]), moved))
    assert found.min() == pytest.approx(wanted.min(), abs=5)
    assert found.min() - first.min() == pytest.approx(later_s, abs=1.01)


def first_moves_s(trace: MobilityTrace) -> Floats:
    moves = np.linalg.norm(np.diff(trace.position_m, axis=0), axis=-1) > 0.1
    return np.asarray(moves.argmax(axis=0) * trace.step_s)


def test_what_has_no_time_of_its_own_is_no_later() -> None:
    for context in (Uniform(), Tide(), Corridor(), Event()):
        assert context.later(30) == context
    assert Event(direction="out").later(30) == Event(direction="out", at_s=30)
    assert Event(at_s=120).later(-50).at_s == 70


def test_every_phase_is_drawn_as_often() -> None:
    drawn = np.bincount([config(phase_s=9).begin_s(seed) for seed in range(2000)])
    assert len(drawn) == 10
    assert drawn.min() > 140
    assert {config(settle_s=7).begin_s(seed) for seed in range(20)} == {7}


@pytest.mark.parametrize("phase_s", [-1, 0.5, 4000])
def test_a_bad_phase_is_refused_by_name(phase_s: float) -> None:
    with pytest.raises(ConfigError, match=r"phase_s: .*(greater|multiple|less).*got"):
        config(phase_s=phase_s)


def test_ues_start_in_equal_numbers_within_150_m_of_their_sites() -> None:
    trace = make_trace(config(), Sites(behaviors=("right", "none", "left"), places_m=LINE_M), 3)
    near = [(np.abs(trace.position_m[0] - place).max(axis=1) <= 150) for place in LINE_M]
    assert [one.sum() for one in near] == [25, 0, 25]
    spread = trace.position_m[0][near[0]] - LINE_M[0]
    assert np.abs(spread).mean() == pytest.approx(75, abs=15), "even in x and y"


def test_ues_loiter_near_their_site() -> None:
    trace = make_trace(config(ues=60, duration_s=600), one_site("loiter", LINE_M[1]), 1)
    away = np.hypot(*np.moveaxis(trace.position_m - LINE_M[1], -1, 0))
    assert away[1:].max() < np.hypot(150, 150) + 42
    assert (away[60:] <= 150 + 21).all(), "one step beyond at most, then back"
    drift = np.diff(trace.position_m, axis=0).mean(axis=(0, 1))
    np.testing.assert_allclose(drift, 0, atol=0.3)


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: f"{context.name}")
def test_any_context_keeps_all_ues_on_the_ground_and_is_told_by_its_seed(context: Context, tmp_path: Path) -> None:
    ground = config(pedestrian_share=0.4)
    trace = make_trace(ground, context, 5)
    assert trace.position_m.shape == (101, 50, 2)
    assert (trace.position_m >= 0).all()
    assert (trace.position_m <= [1500, 500]).all()
    moved = np.hypot(*np.moveaxis(np.diff(trace.position_m, axis=0), -1, 0))
    np.testing.assert_allclose(trace.speed_mps[1:], moved, atol=1e-9)
    np.testing.assert_array_equal(trace.speed_mps[0], 0)
    heading = np.radians(trace.heading_deg[1:])
    way = moved[..., None] * np.stack([np.sin(heading), np.cos(heading)], axis=-1)
    np.testing.assert_allclose(way, np.diff(trace.position_m, axis=0), atol=1e-6)
    (again,) = make_traces(ground, [(context, 5)])
    trace.write(tmp_path / "one.parquet")
    again.write(tmp_path / "two.parquet")
    for suffix in (".parquet", ".json"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    assert np.abs(make_trace(ground, context, 6).position_m - trace.position_m).mean() > 50
    read = MobilityTrace.read(tmp_path / "one.parquet").metadata
    assert (read.source, read.map_name, read.context) == ("walk", "open:1500x500", context.name)
    assert read.context_parameters == context.model_dump(mode="json", exclude={"name"})
    assert read.settings["map"] == "open:1500x500"
    fast = moved.max(axis=0) > 3
    assert 0.4 < fast.mean() < 0.8, "the others are pedestrians"


def test_those_whom_a_context_does_not_draw_walk_the_same_ways() -> None:
    ground = config(ues=80)
    calm = make_trace(ground, Uniform(), 2).position_m
    for context in (Event(attraction=0.5), Tide(strength=0.5), Corridor(strength=0.5)):
        same = (make_trace(ground, context, 2).position_m == calm).all(axis=(0, 2))
        assert 20 < same.sum() < 60
    right = make_trace(ground, Sites(behaviors=("right", "right", "left"), places_m=LINE_M), 2).position_m
    loiter = make_trace(ground, Sites(behaviors=("right", "loiter", "left"), places_m=LINE_M), 2).position_m
    same = (right == loiter).all(axis=(0, 2))
    np.testing.assert_array_equal(same, np.arange(80) % 3 != 1)


def test_other_drivers_go_to_the_same_places_in_another_way() -> None:
    ground = config(ues=80, duration_s=300)
    one, other = (make_trace(ground, Tide(heading_deg=90, strength=1), 2, drivers=d).position_m for d in (2, 3))
    np.testing.assert_array_equal(one[0], other[0])
    assert np.abs(one[30] - other[30]).max() > 50
    np.testing.assert_allclose(one[-1].mean(axis=0), other[-1].mean(axis=0), atol=60)


def test_a_crowd_comes_and_goes() -> None:
    ground = config("open:1000x1000", ues=100, duration_s=240, settle_s=0)

    def near(context: Context, time_s: int) -> float:
        away = make_trace(ground, context, 1).position_m[time_s] - 500
        return float((np.hypot(*away.T) < 200).mean())

    out = Event(direction="out", attraction=0.9, at_s=60, radius_m=100)
    assert near(out, 60) > 0.85
    assert near(out, 240) < 0.5
    come = Event(attraction=0.9, at_s=60, radius_m=100)
    assert near(come, 60) < 0.3
    assert near(come, 240) > 0.8


@pytest.mark.parametrize("name", ["open:1500", "open:0x500", "open:1e3x500", "open:50x500", "open:99999x500"])
def test_ground_of_no_size_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"open:WIDTHxHEIGHT in whole metres from 100 to 20000"):
        config(name)
    with pytest.raises(ConfigError, match=r"open:WIDTHxHEIGHT"):
        load_map(name)


def test_a_site_off_the_ground_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"places_m\.0 = \(1600, 250\) m is off the map, which reaches from \(0, 0\)"):
        make_traces(config(), [(one_site("right", (1600, 250)), 1)])


def test_streets_need_time_to_settle() -> None:
    with pytest.raises(ConfigError, match="settle_s must be 60 s at least on streets, got 0"):
        config("helsinki-centre")
