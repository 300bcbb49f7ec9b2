"""The reference dataset: its protocol, its checksums, and the real one from ns-3."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import made_episodes as made
import numpy as np
import pytest
from small_world import small_dataset, small_scenario

from cf_augment.dataset import read_dataset, write_dataset
from cf_augment.dataset.content import content_sha256
from ns3_scenarios.kpis import KPI_AXES
from ns3_scenarios.scenario import Preset
from py_agent import reference
from py_agent.cli.commands import parse
from py_agent.cli.reference import DatasetMake
from py_agent.collect import play
from sumo_mobility.base.errors import StorageError


@pytest.mark.parametrize("half", reference.HALVES)
def test_the_protocol_is_that_of_the_shipped_presets_in_ns3(half: str) -> None:
    preset = reference.reference_preset(half)
    of = Preset.load(f"{half}-right-loiter-left-v0")
    assert (preset.profile, of.profile) == ("ns3", "paper")
    assert (preset.mobility.ues, preset.episode.steps, preset.episode.control_interval_s) == (50, 100, 1)
    assert [context.behaviors for context in preset.mobility.train_contexts] == [
        ("right", "right", "none"), ("none", "left", "left")
    ]  # fmt: skip
    assert [context.behaviors for context in preset.mobility.test_contexts] == [
        ("right", "right", "left"), ("right", "loiter", "left"), ("right", "none", "left")
    ]  # fmt: skip
    changed = {"id", "description", "profile", "mobility"}
    assert preset.model_dump(exclude=changed) == of.model_dump(exclude=changed)


def test_the_checksum_is_of_the_content_and_not_of_the_file(tmp_path: Path) -> None:
    data = small_dataset(small_scenario(), [1])
    path, bare = tmp_path / "d.h5", tmp_path / "bare.h5"
    write_dataset(path, data.scenario, data.episodes)
    with h5py.File(path) as old, h5py.File(bare, "w", libver="latest") as new:  # other bytes, the same data
        for name in old:
            old.copy(name, new)
        for name, value in old.attrs.items():
            new.attrs[name] = value
    assert path.read_bytes() != bare.read_bytes()
    sums = {content_sha256(episode) for file in (path, bare) for episode in read_dataset(file).episodes}
    assert sums == {content_sha256(data.episodes[0])}


def test_every_part_of_the_content_counts_and_last_bits_and_versions_do_not() -> None:
    """An episode is another one if any number of it is, but not if doubles differ as those of two processors do."""
    episode = small_dataset(small_scenario(), [1]).episodes[0]
    changed = [
        replace(episode, **{name: getattr(episode, name) * np.float32(0.99)}) for name in ("observations", "rewards")
    ]
    changed += [replace(episode, actions=-episode.actions), replace(episode, behavior_log_probs=np.ones(6, np.float32))]
    for name in KPI_AXES:
        values = getattr(episode.kpis, name) + 1
        changed.append(replace(episode, kpis=replace(episode.kpis, **{name: values})))
    for field, value in (("policy", "other"), ("trace_name", "other"), ("seed", 7), ("backend", "ns3")):
        changed.append(replace(episode, metadata=episode.metadata.model_copy(update={field: value})))
    assert episode.trace is not None
    changed.append(replace(episode, trace=replace(episode.trace, speed_mps=episode.trace.speed_mps + 1)))
    sums = [content_sha256(each) for each in [episode, *changed]]
    assert len(set(sums)) == len(sums)
    moved = replace(episode.trace, position_m=episode.trace.position_m * (1 + 2e-16))
    newer = episode.metadata.model_copy(update={"versions": {"mlb-testbed": "9"}})
    assert content_sha256(replace(episode, trace=moved, metadata=newer)) == sums[0]


def test_events_count_too() -> None:
    place = made.scenario()
    episode = next(each for seed in range(9) if len((each := made.episode(place, seed)).kpis.events))
    events = episode.kpis.events.copy()
    events["time_s"][0] += 0.5
    other = replace(episode, kpis=replace(episode.kpis, events=events))
    assert content_sha256(other) != content_sha256(episode)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same on open ground, in the engine: a second instead of minutes."""
    monkeypatch.setattr(reference, "HALVES", ("line3",))
    monkeypatch.setattr(reference, "_BACKEND", "engine")
    monkeypatch.setattr(reference, "_TRACES_PER_CONTEXT", 2)


@pytest.mark.usefixtures("engine")
@pytest.mark.slow
def test_the_command_compares_and_goes_on_and_the_quick_ones_are_among_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["dataset", "make", "reference", "--workers", "1", "--out"]
    monkeypatch.setattr(reference, "shipped_checksums", dict)  # the shipped ones are of ns-3
    quick = parse([*words, str(tmp_path / "quick"), "--quick"]).execute()
    assert quick.ok
    assert quick.data["compared"] == 0
    sums = quick.data["sha256"]
    noise = "noise:std=0.2,around=integral"
    assert list(sums) == [
        "line3/train-000/random", f"line3/train-001/{noise}",
        "line3/test-000/random", f"line3/test-001/{noise}", "line3/test-002/random",
    ]  # fmt: skip
    monkeypatch.setattr(reference, "shipped_checksums", lambda: sums)
    whole = parse([*words, str(tmp_path / "quick")]).execute()  # adds to it
    assert whole.ok
    assert len(whole.data["sha256"]) == 20
    assert whole.data["compared"] == 5
    monkeypatch.setattr(reference, "shipped_checksums", lambda: sums | {"line3/test-001/" + noise: "0"})
    before = (tmp_path / "quick/line3/test.h5").stat().st_mtime_ns
    again = parse([*words, str(tmp_path / "quick")]).execute()
    assert not again.ok
    assert again.data["different"] == [f"line3/test-001/{noise}"]
    assert (tmp_path / "quick/line3/test.h5").stat().st_mtime_ns == before  # there was nothing to be made
    logged = read_dataset(tmp_path / "quick/line3/logged.h5")
    assert np.isfinite(logged.behavior_log_probs).all()


@pytest.mark.usefixtures("engine")
def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "line3"
    (folder / "traces").mkdir(parents=True)
    (folder / "traces" / "train-000.parquet").write_bytes(b"")
    small_scenario().write_json(folder / "scenario.json")
    with pytest.raises(StorageError, match="differs from preset 'line3-reference-v0'"):
        DatasetMake(name="reference", out=tmp_path, quick=True, workers=1).execute()


@pytest.mark.ns3
@pytest.mark.sumo
@pytest.mark.slow
def test_an_episode_has_the_checksum_of_the_repository(tmp_path: Path) -> None:
    """One of the ten, on streets, since each takes a minute."""
    jobs = {half: reference.reference_jobs(half, tmp_path / half, quick=True) for half in reference.HALVES}
    records = [(half, job.metadata) for half, files in jobs.items() for of_file in files.values() for job in of_file]
    shipped = reference.shipped_checksums()
    assert [f"{half}/{record.trace_name}/{record.policy}" for half, record in records] == list(shipped)
    [episode] = play([jobs["helsinki3"]["test.h5"][-1]])
    assert episode.metadata.backend == "ns3"
    assert content_sha256(episode) == shipped["helsinki3/test-002/random"]
