"""Traces made again with one cause changed, on open ground; on streets with the real SUMO."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from py_agent.cli import main
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.contexts import Context, Event, Tide, Uniform
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.pipeline import changed_context, make_trace, make_trace_like
from sumo_mobility.trace import MobilityTrace

EVENT = Event(attraction=0.5, x_share=0.25)
EVERYWHERE = (Uniform(),)
GROUND = MobilityConfig(
    map="open:1500x1500", ues=40, duration_s=90, settle_s=30, pedestrian_share=0.2, train_contexts=EVERYWHERE,
    test_contexts=EVERYWHERE,
)  # fmt: skip
STREETS = MobilityConfig(
    ues=40, duration_s=60, settle_s=90, pedestrian_share=0.2, train_contexts=EVERYWHERE, test_contexts=EVERYWHERE
)
CONFIGS = [pytest.param(GROUND, id="ground"), pytest.param(STREETS, id="streets", marks=pytest.mark.sumo)]


def written(folder: Path, config: MobilityConfig, context: Context = EVENT, drivers: int | None = None) -> Path:
    path = folder / "factual.parquet"
    make_trace(config, context, 5, drivers).write(path)
    return path


def apart_m(one: MobilityTrace, other: MobilityTrace) -> np.ndarray:
    return np.hypot(*np.moveaxis(one.position_m - other.position_m, -1, 0))


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("drivers", [None, 9])
def test_with_nothing_changed_it_is_the_same_trace_byte_for_byte(
    tmp_path: Path, config: MobilityConfig, drivers: int | None
) -> None:
    path = written(tmp_path, config, drivers=drivers)
    make_trace_like(path).write(tmp_path / "again.parquet")
    make_trace_like(path, changed_context(path, {"x_share": 0.25}), drivers).write(tmp_path / "same.parquet")
    for name in ("again", "same"):
        for suffix in (".parquet", ".json"):
            assert path.with_suffix(suffix).read_bytes() == (tmp_path / f"{name}{suffix}").read_bytes()


@pytest.mark.parametrize("config", CONFIGS)
def test_another_context_is_the_trace_that_it_would_have_been(tmp_path: Path, config: MobilityConfig) -> None:
    path = written(tmp_path, config)
    other = make_trace_like(path, changed_context(path, {"x_share": 0.75}))
    direct = make_trace(config, EVENT.model_copy(update={"x_share": 0.75}), 5)
    np.testing.assert_array_equal(other.position_m, direct.position_m)
    assert other.metadata.model_copy(update={"provenance": {}}) == direct.metadata
    said = other.metadata.provenance
    assert said["do(context)"] == ('{"x_share":0.25,"attraction":0.5} -> {"x_share":0.75,"attraction":0.5}')
    assert said["held"] == "map, UEs, times, seed, drivers"
    # Half are members: they go elsewhere. The others start where they did, and meet other traffic at most.
    distance = apart_m(MobilityTrace.read(path), other)
    members = distance[-1] > 200
    assert 0.2 < members.mean() < 0.8
    assert np.median(distance[0]) < 60
    if config is GROUND:
        assert (distance[:, ~members] == 0).all(axis=0).mean() > 0.8


@pytest.mark.parametrize("config", CONFIGS)
def test_other_drivers_keep_the_itineraries(tmp_path: Path, config: MobilityConfig) -> None:
    path = written(tmp_path, config, Tide(heading_deg=0, strength=1))
    other = make_trace_like(path, drivers=6)
    first = MobilityTrace.read(path)
    assert other.metadata.provenance["do(drivers)"] == "5 -> 6"
    assert other.metadata.provenance["held"] == "map, UEs, times, seed, context"
    assert other.metadata.settings["drivers"] == 6
    assert other.metadata.context_parameters == first.metadata.context_parameters
    assert np.median(apart_m(first, other)[-1]) > 5
    # Another seed of the trace would put them about 500 m apart.
    assert np.median(apart_m(first, other)) < 250
    np.testing.assert_array_equal(make_trace_like(path, drivers=6).position_m, other.position_m)


def test_another_name_begins_with_its_defaults(tmp_path: Path) -> None:
    path = written(tmp_path, GROUND)
    assert changed_context(path, {"name": "tide"}) == Tide()
    assert changed_context(path, {"name": "event", "radius_m": 50}) == EVENT.model_copy(update={"radius_m": 50.0})
    with pytest.raises(ConfigError, match=r"do: context\.x_shar: unknown key \(did you mean 'x_share'\?\)"):
        changed_context(path, {"x_shar": 0.1})
    with pytest.raises(ConfigError, match=r"do: context: .*'evnt'"):
        changed_context(path, {"name": "evnt"})


def test_a_trace_that_does_not_say_how_it_was_made_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, GROUND)
    trace = MobilityTrace.read(path)
    foreign = trace.metadata.model_copy(update={"settings": {}})
    MobilityTrace(trace.time_s, trace.position_m, trace.speed_mps, trace.heading_deg, foreign).write(path)
    with pytest.raises(DataError, match=r"factual\.parquet: does not say how it was made"):
        make_trace_like(path)
    old = trace.metadata.model_copy(update={"versions": {"numpy": "1.0"}})
    MobilityTrace(trace.time_s, trace.position_m, trace.speed_mps, trace.heading_deg, old).write(path)
    with pytest.raises(DataError, match=r"was made with \{'numpy': '1\.0'\}, but here are"):
        make_trace_like(path)


def mlb(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr("sys.argv", ["mlb", "mobility", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code or 0


def test_the_command_line_changes_causes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = str(written(tmp_path, GROUND)), tmp_path / "made" / "other.parquet"
    change = ("--do", "context={name: tide, heading_deg: 90}", "--do", "context.strength=1", "--do", "drivers=7")
    assert mlb(monkeypatch, "intervene", path, *change, "--out", str(out), "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["provenance"]["do(drivers)"] == "5 -> 7"
    made = MobilityTrace.read(out)
    direct = make_trace(GROUND, Tide(heading_deg=90, strength=1), 5, drivers=7)
    np.testing.assert_array_equal(made.position_m, direct.position_m)
    for arguments, message in (
        (("intervene", path, "--out", str(out)), "other.parquet: exists"),
        (("intervene", path), "--out"),
        (
            ("intervene", path, "--do", "drivers=x", "--out", str(tmp_path / "a.parquet")),
            "--do drivers=x: is no change",
        ),
        (("intervene", path, "--do", "seed=3", "--out", str(tmp_path / "a.parquet")), "--do seed=3: is no change"),
    ):
        assert mlb(monkeypatch, *arguments) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "a.parquet").exists()
