"""Merged and split datasets hold the same episodes as before; what does not fit or would leak is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import h5py
import made_episodes as made
import numpy as np
import pytest
from full_disk import largest_file
from hypothesis import given
from hypothesis import strategies as st
from test_dataset import assert_same, peak_bytes
from test_measurements import cells, network, read, reports

from cf_augment.dataset import Episode, Provenance, read_dataset, write_dataset
from cf_augment.dataset.combine import merge_datasets, parts_by, parts_by_share, write_parts
from ns3_scenarios.kpis import KPI_AXES
from sumo_mobility.base.errors import ConfigError, DataError, StorageError

PLACE = made.scenario()


def made_episode(seed: int, trace: str, sources: Sequence[str] = (), trace_seed: int = 0, kind: str = "") -> Episode:
    """An episode on a trace of a name; by `sources` it derives from others."""
    episode = made.episode(PLACE, seed, trace_seed=trace_seed)
    origin = Provenance.parse(
        {
            "kind": kind or ("mixed" if sources else "logged"), "source": list(sources), "action_source": "random",
            "intervention": f"do(crowd: UEs of {', '.join(sources)} near (3, 4) m)" if sources else "",
        },
        "test",
    )  # fmt: skip
    metadata = episode.metadata.model_copy(update={"trace_name": trace, "provenance": origin})
    return dataclasses.replace(episode, metadata=metadata)


def file_of(path: Path, *episodes: Episode) -> Path:
    write_dataset(path, PLACE, episodes)
    return path


def names_in(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    return [(e.metadata.trace_name, e.metadata.provenance.source) for e in read_dataset(path).episodes]


def test_merged_episodes_are_those_of_the_files_in_their_order(tmp_path: Path) -> None:
    episodes = [made.episode(PLACE, seed, steps) for seed, steps in enumerate((3, 5, 2))]
    one, two = file_of(tmp_path / "1.h5", *episodes[:2]), file_of(tmp_path / "2.h5", episodes[2])
    merge_datasets([one, two], tmp_path / "new" / "all.h5")
    for got, wanted in zip(read_dataset(tmp_path / "new" / "all.h5").episodes, episodes, strict=True):
        assert_same(got, wanted)
    file_of(tmp_path / "at once.h5", *episodes)
    assert (tmp_path / "new" / "all.h5").read_bytes() == (tmp_path / "at once.h5").read_bytes()


def test_traces_of_one_name_are_kept_apart_and_sources_follow(tmp_path: Path) -> None:
    one = file_of(
        tmp_path / "1.h5", made_episode(1, "train-0", trace_seed=1), made_episode(2, "train-0-2", trace_seed=2)
    )
    two = file_of(
        tmp_path / "2.h5",
        made_episode(1, "train-0", trace_seed=3),
        made_episode(2, "train-1", trace_seed=4),
        made_episode(3, "mixed-0", ("train-1", "train-0"), trace_seed=5),
    )
    merge_datasets([one, two], tmp_path / "all.h5")
    episodes = list(read_dataset(tmp_path / "all.h5").episodes)
    assert names_in(tmp_path / "all.h5") == [
        ("train-0", ()), ("train-0-2", ()), ("train-0-3", ()), ("train-1", ()), ("mixed-0", ("train-1", "train-0-3")),
    ]  # fmt: skip
    assert episodes[4].metadata.provenance.intervention == "do(crowd: UEs of train-1, train-0-3 near (3, 4) m)"
    np.testing.assert_array_equal(episodes[2].trace.position_m, made.trace(3).position_m)


def test_a_replay_in_another_file_keeps_to_its_trace(tmp_path: Path) -> None:
    """The logged and the augmented data of two runs, all at once or run by run."""
    runs = []
    for run in (1, 2):
        logged = file_of(tmp_path / f"logged-{run}.h5", made_episode(1, "train-0", trace_seed=run))
        replay = made_episode(2, "train-0", ("train-0",), trace_seed=run, kind="replay")
        runs.append([logged, file_of(tmp_path / f"augmented-{run}.h5", replay)])
    merge_datasets([*runs[0], *runs[1]], tmp_path / "all.h5")
    wanted = [("train-0", ()), ("train-0", ("train-0",)), ("train-0-2", ()), ("train-0-2", ("train-0-2",))]
    assert names_in(tmp_path / "all.h5") == wanted
    for run, files in enumerate(runs):
        merge_datasets(files, tmp_path / f"{run}.h5")
    merge_datasets([tmp_path / "0.h5", tmp_path / "1.h5"], tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "all.h5").read_bytes()
    with pytest.raises(DataError, match=r"augmented-2\.h5: episode 0 \(.*same as episode 3 of .*all\.h5"):
        merge_datasets([tmp_path / "all.h5", runs[1][1]], tmp_path / "no.h5")


def test_a_source_that_is_elsewhere_must_be_one_trace(tmp_path: Path) -> None:
    one, two = (file_of(tmp_path / f"{k}.h5", made_episode(1, "train-0", trace_seed=k)) for k in (1, 2))
    mixed = file_of(tmp_path / "mixed.h5", made_episode(3, "mixed-0", ("train-0", "gone"), trace_seed=3))
    merge_datasets([mixed, two], tmp_path / "all.h5")
    assert names_in(tmp_path / "all.h5") == [("mixed-0", ("train-0", "gone")), ("train-0", ())]
    with pytest.raises(
        DataError, match=r"mixed\.h5: has episodes from a trace 'train-0'[\s\S]*2 traces .*[\s\S]*cure: first merge"
    ):
        merge_datasets([one, two, mixed], tmp_path / "no.h5")


def measured(folder: Path, table: str, first: int = 0, load: float | None = None) -> list[Episode]:
    """Two stretches of three intervals from the `first` on, of a table of a name; all loads may be one."""
    counted = cells(7)
    counted["time_s"] += 900 * first
    if load is not None:
        counted["prb_utilization"] = load
    episodes = []
    for one in read(folder, network(), counted[counted["time_s"] != 900 * (first + 4)]).episodes():
        name = one.metadata.trace_name.replace("cells", table)
        origin = one.metadata.provenance.model_copy(update={"source": (f"{table}.csv",)})
        metadata = one.metadata.model_copy(update={"trace_name": name, "provenance": origin})
        episodes.append(dataclasses.replace(one, metadata=metadata))
    return episodes


def test_measured_stretches_are_known_by_their_time_and_kpis(tmp_path: Path) -> None:
    """At night all counters may be 0 in every stretch; the same night is refused in whatever file it is."""
    may, june = measured(tmp_path, "may", 0, load=0.0), measured(tmp_path, "june", 9, load=0.0)
    for name, episodes in (("may", may), ("june", june)):
        write_dataset(tmp_path / f"{name}.h5", network(), episodes)
    merge_datasets([tmp_path / "may.h5", tmp_path / "june.h5"], tmp_path / "all.h5")
    names = [name for name, _ in names_in(tmp_path / "all.h5")]
    assert names == ["may-900s", "may-4500s", "june-9000s", "june-12600s"]
    for got, wanted in zip(read_dataset(tmp_path / "all.h5").episodes, [*may, *june], strict=True):
        assert (got.trace, got.metadata) == (None, wanted.metadata)
        np.testing.assert_array_equal(got.kpis.prb_utilization, wanted.kpis.prb_utilization)
        np.testing.assert_array_equal(got.first_action, wanted.first_action)
    write_dataset(tmp_path / "copy.h5", network(), measured(tmp_path, "copy", load=0.0)[1:])
    with pytest.raises(DataError, match=r"copy\.h5: episode 0 \(trace 'copy-4500s', .* the same as episode 1 of .*all"):
        merge_datasets([tmp_path / "all.h5", tmp_path / "copy.h5"], tmp_path / "no.h5")


def test_stretches_of_one_name_and_other_kpis_are_kept_apart(tmp_path: Path) -> None:
    """As of two drive tests, both of whose times begin with 0 s."""
    drives = []
    for load in (0.1, 0.2, 0.3):
        drives.append(tmp_path / f"{load}.h5")
        write_dataset(drives[-1], network(), measured(tmp_path, "drive", load=load)[:1])
    merge_datasets(drives[:2], tmp_path / "two.h5")
    merge_datasets([tmp_path / "two.h5", drives[2]], tmp_path / "all.h5")
    source = ("drive.csv",)
    assert names_in(tmp_path / "all.h5") == [
        ("drive-900s", source), ("drive-900s-2", source), ("drive-900s-3", source)
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"0\.2\.h5: episode 0 .* is the same as episode 1 of"):
        merge_datasets([tmp_path / "all.h5", drives[1]], tmp_path / "no.h5")


def test_a_stretch_keeps_its_name_though_its_ues_stood_still_in_others(tmp_path: Path) -> None:
    """And what was replayed on one of them, alone in its file, keeps to that one."""
    place, counted, files = network(), cells(7), []
    still = reports(7, x_m=100.0, y_m=200.0)
    for name, chosen in (("early", counted["time_s"] <= 2700), ("late", counted["time_s"] > 3600)):
        (episode,) = read(tmp_path, place, counted[chosen], reported=still).episodes()
        files.append(tmp_path / f"{name}.h5")
        write_dataset(files[-1], place, [episode])
    name, trace, rng = episode.metadata.trace_name, episode.trace, np.random.default_rng(1)
    origin = Provenance(kind="replay", source=(name,), action_source="random")
    metadata = episode.metadata.model_copy(update={"provenance": origin})
    kpis = [made.kpis(place, trace, row, rng) for row in range(episode.steps + 1)]
    kpis = [dataclasses.replace(one, time_s=900 * one.time_s) for one in kpis]
    files.append(tmp_path / "replay.h5")
    write_dataset(files[-1], place, [Episode.from_kpis(place, trace, kpis, -episode.actions, metadata)])
    merge_datasets(files, tmp_path / "all.h5")
    tables = ("cells.csv", "reports.csv")
    assert names_in(tmp_path / "all.h5") == [("cells-900s", tables), ("cells-4500s", tables), ("cells-4500s", (name,))]
    assert name == "cells-4500s"
    parts = parts_by_share(read_dataset(tmp_path / "all.h5").episodes, {"train": 0.6, "test": 0.4}, 0)
    assert parts == {"train": [1, 2], "test": [0]}


def test_stretches_of_one_table_can_be_parted(tmp_path: Path) -> None:
    episodes = measured(tmp_path, "town")
    parts = parts_by_share(episodes, {"train": 0.5, "test": 0.5}, 1)
    assert sorted(index for part in parts.values() for index in part) == [0, 1]
    write_dataset(tmp_path / "d.h5", network(), episodes)
    files = write_parts(tmp_path / "d.h5", parts, tmp_path / "parts")
    merge_datasets([files["test"], files["train"]], tmp_path / "again.h5")
    assert {name for name, _ in names_in(tmp_path / "again.h5")} == {"town-900s", "town-4500s"}


def test_the_first_setting_that_differs_is_named(tmp_path: Path) -> None:
    one = file_of(tmp_path / "1.h5", made.episode(PLACE, 1))
    radio = PLACE.radio.model_copy(update={"tx_power_dbm": 31.5})
    cells = (PLACE.cells[0], PLACE.cells[1].model_copy(update={"x_m": 701.0}), PLACE.cells[2])
    for changes, what in (
        ({"handover_cost": 0.25}, r"handover_cost is 0\.25, there 0\.05"),
        ({"radio": radio, "cells": cells}, r"radio\.tx_power_dbm is 31\.5, there "),
        ({"cells": cells}, r"cells\.1\.x_m is 701\.0, there 700\.0"),
    ):
        place = PLACE.model_copy(update=changes)
        write_dataset(tmp_path / "2.h5", place, [made.episode(place, 2)])
        with pytest.raises(DataError, match=rf"2\.h5: is of another scenario than .*1\.h5: {what}"):
            merge_datasets([one, tmp_path / "2.h5"], tmp_path / "all.h5")
    assert not (tmp_path / "all.h5").exists()


def test_the_same_episode_twice_is_refused_but_not_other_actions(tmp_path: Path) -> None:
    one, two = (file_of(tmp_path / f"{k}.h5", made_episode(k, "t", trace_seed=7)) for k in (1, 2))
    with pytest.raises(
        DataError, match=r"1\.h5: episode 0 \(trace 't', policy 'random', seed 1\) is the same as episode 0"
    ):
        merge_datasets([one, two, one], tmp_path / "all.h5")
    same_seed = made_episode(3, "t", trace_seed=7)
    metadata = same_seed.metadata.model_copy(update={"seed": 1})
    three = file_of(tmp_path / "3.h5", dataclasses.replace(same_seed, metadata=metadata))
    merge_datasets([one, three], tmp_path / "all.h5")
    assert len(read_dataset(tmp_path / "all.h5").episodes) == 2


def test_merging_harms_no_input(tmp_path: Path) -> None:
    one, two = (file_of(tmp_path / f"{k}.h5", made.episode(PLACE, k)) for k in (1, 2))
    before = one.read_bytes()
    (tmp_path / "link.h5").symlink_to(one)
    for out in (one, tmp_path / "link.h5", tmp_path / "x" / ".." / "1.h5"):
        with pytest.raises(ConfigError, match="is one of the datasets"):
            merge_datasets([one, two], out)
    with pytest.raises(ConfigError, match="one dataset alone"):
        merge_datasets([one], tmp_path / "all.h5")
    two.write_bytes(two.read_bytes()[:-4000])
    with pytest.raises(DataError, match=r"2\.h5: "):
        merge_datasets([one, two], tmp_path / "all.h5")
    assert one.read_bytes() == before
    assert not (tmp_path / "all.h5").exists()


def test_a_part_is_every_episode_of_one_value(tmp_path: Path) -> None:
    path = file_of(tmp_path / "d.h5", *(made_episode(k, f"t{k % 2}", trace_seed=k % 2) for k in range(5)))
    parts = parts_by(read_dataset(path).episodes, lambda episode: episode.metadata.trace_name)
    assert parts == {"t0": [0, 2, 4], "t1": [1, 3]}
    files = write_parts(path, parts, tmp_path / "parts")
    assert sorted((tmp_path / "parts").iterdir()) == sorted(files.values())
    whole = list(read_dataset(path).episodes)
    for name, chosen in parts.items():
        for got, index in zip(read_dataset(files[name]).episodes, chosen, strict=True):
            assert_same(got, whole[index])
    with pytest.raises(DataError, match="all episodes are of 'random' and would be one part"):
        parts_by(read_dataset(path).episodes, lambda episode: episode.metadata.policy)


def test_split_and_merged_again_is_the_same(tmp_path: Path) -> None:
    path = file_of(tmp_path / "d.h5", *(made.episode(PLACE, k) for k in range(4)))
    files = write_parts(path, {"a": [0, 1], "b": [2, 3]}, tmp_path / "parts")
    merge_datasets([*files.values()], tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()


@pytest.fixture(scope="module")
def families() -> list[Episode]:
    """Eight traces with a logged episode and a replay each, and one that mixes the last two."""
    episodes = [made_episode(k, f"t{k}", trace_seed=k) for k in range(8)]
    episodes += [made_episode(8 + k, f"t{k}", (f"t{k}",), trace_seed=k, kind="replay") for k in range(8)]
    return [*episodes, made_episode(16, "mixed", ("t6", "t7"), trace_seed=99)]


@given(seed=st.integers(0, 2**31), weights=st.lists(st.integers(1, 9), min_size=2, max_size=7))
def test_shares_leave_out_nothing_and_part_no_family(families: list[Episode], seed: int, weights: list[int]) -> None:
    shares = {str(index): weight / sum(weights) for index, weight in enumerate(weights)}
    parts = parts_by_share(families, shares, seed)
    assert parts == parts_by_share(families, shares, seed)
    assert sorted(index for part in parts.values() for index in part) == list(range(17))
    assert all(parts.values())
    part_of = {index: name for name, part in parts.items() for index in part}
    assert all(part_of[k] == part_of[8 + k] for k in range(8))
    assert part_of[6] == part_of[7] == part_of[16]


def test_shares_are_about_what_was_asked_for_and_drawn_by_the_seed(families: list[Episode]) -> None:
    drawn = [parts_by_share(families, {"train": 0.7, "test": 0.3}, seed) for seed in range(6)]
    assert all(len(parts["train"]) in (11, 12, 13) for parts in drawn)
    assert len({tuple(parts["test"]) for parts in drawn}) > 1


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ((0.8, 0.3), "shares 0.8, 0.3: must be above 0 and sum to 1"),
        ((1.0, 0.0), "must be above 0"),
        ((float("nan"), 1.0), "must be above 0"),
        ((0.125,) * 8, "8 parts of 7 would leave one empty: .*same logged traces"),
    ],
)
def test_shares_that_cannot_be_are_refused(families: list[Episode], shares: tuple[float, ...], message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        parts_by_share(families, {str(index): share for index, share in enumerate(shares)}, 0)


def test_parts_are_written_to_a_new_directory_whole_or_not(tmp_path: Path) -> None:
    path = file_of(tmp_path / "d.h5", *(made.episode(PLACE, k) for k in range(3)))
    (tmp_path / "there").mkdir()
    with pytest.raises(StorageError, match="there: exists"):
        write_parts(path, {"a": [0]}, tmp_path / "there")
    with pytest.raises(DataError, match="no episodes"):
        write_parts(path, {"a": [0], "b": []}, tmp_path / "new")
    with largest_file(1 << 14), pytest.raises(StorageError, match="File too large"):
        write_parts(path, {"a": [0], "b": [1, 2]}, tmp_path / "new")
    assert {path.name for path in tmp_path.iterdir()} == {"d.h5", "there"}


def test_names_of_parts_become_names_of_files(tmp_path: Path) -> None:
    path = file_of(tmp_path / "d.h5", *(made.episode(PLACE, k) for k in range(6)))
    parts = {"../../etc": [0], "integral:gain_db=4": [1], "a/b": [2], "a b": [3], "…": [4], "x" * 300: [5]}
    files = write_parts(path, parts, tmp_path / "new")
    names = [path.name for path in files.values()]
    assert names == ["etc.h5", "integral-gain_db=4.h5", "a-b.h5", "a-b-2.h5", "part.h5", "x" * 60 + ".h5"]
    assert all(path.parent == tmp_path / "new" and path.is_file() for path in files.values())


@pytest.mark.slow
def test_memory_does_not_grow_with_the_episodes_of_a_merge_or_split(tmp_path: Path) -> None:
    place = made.scenario(ues=80)
    used: dict[int, list[int]] = {}
    for count in (20, 100):
        paths = [tmp_path / f"{count}-{part}.h5" for part in range(2)]
        for part, path in enumerate(paths):
            write_dataset(path, place, (made.episode(place, 100 * part + k, 20, trace_seed=9) for k in range(count)))
        out = tmp_path / f"{count}.h5"
        used[count] = [peak_bytes(lambda paths=paths, out=out: merge_datasets(paths, out))]
        parts = {"a": range(count), "b": range(count, 2 * count)}
        used[count].append(peak_bytes(lambda out=out, parts=parts: write_parts(out, parts, out.with_suffix(""))))
    one = sum(getattr(made.episode(place, 1, 20).kpis, name).nbytes for name in KPI_AXES)
    for few, more in zip(used[20], used[100], strict=True):
        # 160 episodes more, of which the metadata are held; some chunks more or fewer wait to be stored.
        assert more - few < 160 * one / 4


def test_what_a_merge_says_of_its_traces(tmp_path: Path) -> None:
    one, two = (file_of(tmp_path / f"{k}.h5", made_episode(k, "t", trace_seed=7)) for k in (1, 2))
    merge_datasets([one, two], tmp_path / "all.h5")
    with h5py.File(tmp_path / "all.h5") as file:
        assert list(file["traces"]) == ["00000"]
        assert file.attrs["licence"] == b"CC0-1.0"
