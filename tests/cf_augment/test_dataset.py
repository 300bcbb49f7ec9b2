"""Episodes and datasets survive the disk bit for bit, and damaged files are refused by name."""

from __future__ import annotations

import dataclasses
import gc
import operator
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import made_episodes as made
import numpy as np
import pytest
from full_disk import largest_file
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_augment.dataset import Dataset, Episode, read_dataset, read_episode, write_dataset, write_episode
from cf_augment.dataset.storage import hdf5
from ns3_scenarios.kpis import KPI_AXES
from ns3_scenarios.mdp import cio_from_action, observe, reward
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.errors import DataError, StorageError
from sumo_mobility.trace import Stay


def assert_same(one: Episode, other: Episode) -> None:
    for name in ("observations", "actions", "rewards", "behavior_log_probs", "event_start"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name, strict=True)
    for name in (*KPI_AXES, "events"):
        np.testing.assert_array_equal(getattr(one.kpis, name), getattr(other.kpis, name), err_msg=name, strict=True)
    for name in ("time_s", "position_m", "speed_mps", "heading_deg"):
        np.testing.assert_array_equal(getattr(one.trace, name), getattr(other.trace, name), err_msg=name, strict=True)
    assert one.trace.metadata == other.trace.metadata
    assert one.metadata == other.metadata


@settings(max_examples=15)
@given(seed=st.integers(0, 2**31 - 1), steps=st.integers(2, 9), ues=st.integers(1, 7))
def test_episode_round_trip(tmp_path_factory: pytest.TempPathFactory, seed: int, steps: int, ues: int) -> None:
    path = tmp_path_factory.mktemp("episode") / "episode.h5"
    episode = made.episode(made.scenario(ues), seed, steps)
    write_episode(path, episode)
    assert_same(read_episode(path), episode)


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), lengths=st.lists(st.integers(2, 6), min_size=1, max_size=4))
def test_dataset_round_trip(tmp_path_factory: pytest.TempPathFactory, seed: int, lengths: list[int]) -> None:
    path = tmp_path_factory.mktemp("dataset") / "dataset.h5"
    place = made.scenario()
    episodes = [made.episode(place, seed + k, steps) for k, steps in enumerate(lengths)]
    write_dataset(path, place, episodes)
    dataset = read_dataset(path)
    assert dataset.scenario == place
    assert len(dataset.episodes) == len(episodes)
    for got, wanted in zip(dataset.episodes, episodes, strict=True):
        assert_same(got, wanted)


def test_same_episodes_same_bytes(tmp_path: Path) -> None:
    place = made.scenario(ues=30)
    for name in ("a.h5", "b.h5"):
        episodes = [made.episode(place, seed, 12) for seed in range(3)]
        write_dataset(tmp_path / name, place, episodes)
        write_episode(tmp_path / f"episode-{name}", episodes[0])
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    assert (tmp_path / "episode-a.h5").read_bytes() == (tmp_path / "episode-b.h5").read_bytes()


def test_flat_arrays_are_those_of_d4rl(tmp_path: Path) -> None:
    place = made.scenario()
    one, two = made.episode(place, 1, 3), made.episode(place, 2, 2, kind="replay")
    write_dataset(tmp_path / "d.h5", place, [one, two])
    with h5py.File(tmp_path / "d.h5") as file:
        np.testing.assert_array_equal(file["observations"][:3], one.observations[:3])
        np.testing.assert_array_equal(file["next_observations"][2], one.observations[3])
        np.testing.assert_array_equal(file["observations"][3:], two.observations[:2])
        assert file["terminals"][()].tolist() == [False] * 5
        assert file["timeouts"][()].tolist() == [False, False, True, False, True]
        assert file["infos/episode"][()].tolist() == [0, 0, 0, 1, 1]
        assert file["infos/step"][()].tolist() == [0, 1, 2, 0, 1]
        log_probs = np.concatenate([one.behavior_log_probs, two.behavior_log_probs])
        np.testing.assert_array_equal(file["infos/action_log_probs"][()], log_probs, strict=True)
        np.testing.assert_array_equal(read_dataset(tmp_path / "d.h5").behavior_log_probs, log_probs, strict=True)
        assert file["infos/synthetic"][()].tolist() == [False] * 3 + [True] * 2
        assert file["infos/provenance"][()].tolist() == [b"logged"] * 3 + [b"replay"] * 2
        assert file["kpis/time_s"].shape == (7,)
        assert len(file["traces"]) == 2
        assert file.attrs["licence"] == b"CC0-1.0"


def test_episode_holds_what_the_mdp_says() -> None:
    place = made.scenario()
    episode = made.episode(place, 3)
    for step in range(episode.steps):
        kpis, last = episode.kpis_at(step + 1), episode.actions[step]
        np.testing.assert_array_equal(
            episode.observations[step + 1], observe(place, kpis, cio_from_action(place, last))
        )
        assert episode.rewards[step] == np.float32(reward(place, kpis))
        assert ((kpis.events["time_s"] > step) & (kpis.events["time_s"] <= step + 1)).all()
    np.testing.assert_array_equal(
        episode.observations[0], observe(place, episode.kpis_at(0), np.zeros(len(place.neighbor_pairs)))
    )


def test_texts_longer_than_an_attribute_are_kept(tmp_path: Path) -> None:
    """A scenario of many neighbour pairs, and a trace of many vehicles."""
    places = [(300.0 * (index % 9), 300.0 * (index // 9)) for index in range(99)]
    place = Scenario.place(made.preset(handover={"neighbors": {"by": "distance", "within_m": 1e5}}), places)
    stays = tuple(Stay(ue=0, who=f"vehicle {index}", begin_s=index, end_s=index) for index in range(2000))
    one = made.episode(place, 1)
    long = dataclasses.replace(one.trace, metadata=one.trace.metadata.model_copy(update={"stays": stays}))
    one = dataclasses.replace(one, trace=long)
    assert min(len(place.model_dump_json()), len(one.trace.metadata.model_dump_json())) > 1 << 16
    write_episode(tmp_path / "e.h5", one)
    assert_same(read_episode(tmp_path / "e.h5"), one)
    write_dataset(tmp_path / "d.h5", place, [one])
    read = read_dataset(tmp_path / "d.h5")
    assert read.scenario == place
    assert_same(read.episodes[0], one)
    assert read.episodes[0].trace.metadata.stays == stays
    write_dataset(tmp_path / "again.h5", place, [one])
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "d.h5").read_bytes()


@pytest.mark.parametrize("length", [63_999, 64_000, 64_001, 65_535, 65_536, 1 << 20])
def test_text_of_any_length(tmp_path: Path, length: int) -> None:
    text = ("é" + "x" * length)[: length - 1]
    with hdf5.creating(tmp_path / "t.h5", "texts") as file:
        for name in "abc":
            hdf5.put_text(file, name, text)
    with hdf5.opening(tmp_path / "t.h5", "texts") as file:
        assert {hdf5.text(file, name) for name in "abc"} == {text}


def test_a_trace_shared_by_episodes_is_stored_once(tmp_path: Path) -> None:
    place = made.scenario()
    write_dataset(tmp_path / "d.h5", place, [made.episode(place, seed, trace_seed=9) for seed in range(3)])
    with h5py.File(tmp_path / "d.h5") as file:
        assert list(file["traces"]) == ["00000"]


def test_two_traces_of_one_name_are_refused(tmp_path: Path) -> None:
    place = made.scenario()
    other = dataclasses.replace(made.episode(place, 2), metadata=made.episode(place, 1).metadata)
    with pytest.raises(DataError, match="two different traces are named 'trace-1'"):
        write_dataset(tmp_path / "d.h5", place, [made.episode(place, 1), other])
    assert list(tmp_path.iterdir()) == []


def test_no_or_foreign_episodes_are_refused() -> None:
    with pytest.raises(DataError, match="no episodes"):
        Dataset(made.scenario(), ())
    with pytest.raises(DataError, match="episode 1 is not one of scenario"):
        Dataset(made.scenario(), (made.episode(made.scenario(), 1), made.episode(made.scenario(ues=6), 1)))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("actions", np.full((5, 6), 1.5, np.float32), "actions: .*more than 1"),
        ("actions", np.zeros((4, 6), np.float32), "actions: shape"),
        ("rewards", np.full(5, np.nan, np.float32), "rewards: must be finite"),
        ("observations", np.zeros((6, 45)), "observations: must be finite float32"),
        ("event_start", np.zeros(7, np.int64) + 1, "event_start: must rise from 0"),
    ],
)
def test_impossible_episodes_are_refused(field: str, value: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        dataclasses.replace(made.episode(made.scenario(), 1), **{field: value})


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    place = made.scenario(ues=20)
    write_dataset(tmp_path / "d.h5", place, [made.episode(place, seed, 10) for seed in range(2)])
    return tmp_path / "d.h5"


@pytest.mark.parametrize("name", ["actions", "kpis/ue_rsrp_dbm", "episodes/metadata", "traces/00001", "kpis"])
def test_missing_field_is_named(stored: Path, name: str) -> None:
    with h5py.File(stored, "r+") as file:
        del file[name]
    with pytest.raises(DataError, match=f"{stored}: .*{name.split('/')[-1]}.* missing|{stored}: {name}: missing"):
        read_dataset(stored)


def test_unknown_scenario_key_is_named(stored: Path) -> None:
    with h5py.File(stored, "r+") as file:
        text = file.attrs["scenario"].decode().replace('"handover"', '"handovr"')
        file.attrs["scenario"] = np.bytes_(text)
    with pytest.raises(DataError, match=r"scenario: .*handovr: unknown key"):
        read_dataset(stored)


def replaced(file: h5py.File, name: str, **options: Any) -> None:
    """Puts another dataset in the place of one."""
    del file[name]
    file.create_dataset(name, **options)


def text_is(file: h5py.File, text: str) -> None:
    """Puts another scenario in the place of one."""
    file.attrs["scenario"] = np.bytes_(text)


def linked(file: h5py.File, name: str, link: h5py.SoftLink | h5py.ExternalLink) -> None:
    file.move(name, "elsewhere")
    file[name] = link


ALTERATIONS: dict[str, tuple[str, Callable[[h5py.File], object]]] = {
    "next": (r"next_observations\[3, 0\]: is .*follows", lambda f: f["next_observations"].write_direct(shifted(f))),
    "reward": (r"rewards\[13\]: is .*, not what follows", lambda f: operator.setitem(f["rewards"], 13, -0.5)),
    "observation": (r"observations\[0, 2\]: is ", lambda f: operator.setitem(f["observations"], (0, 2), 0.5)),
    "actions": (r"observations\[4, ", lambda f: operator.setitem(f["actions"], (3, 1), 0.125)),
    "not finite": (
        r"kpis/ue_rsrp_dbm\[5, 1, 2\]: is nan", lambda f: operator.setitem(f["kpis/ue_rsrp_dbm"], (5, 1, 2), np.nan)
    ),
    "cell": (r"kpis/ue_serving_cell\[7, 3\]: is 99", lambda f: operator.setitem(f["kpis/ue_serving_cell"], (7, 3), 99)),
    "time": (r"kpis/time_s\[4\]: is 4.25", lambda f: operator.setitem(f["kpis/time_s"], 4, 4.25)),
    "trace -1": (r"episodes/trace\[1\]: -1 is not", lambda f: operator.setitem(f["episodes/trace"], 1, -1)),
    "traces swapped": (
        r"kpis/ue_position_m\[.*: is \d+\.\d\d m off", lambda f: operator.setitem(f["episodes/trace"], ..., [1, 0])
    ),
    "trace changed": (
        r"traces/00001: was altered after", lambda f: operator.setitem(f["traces/00001/speed_mps"], (3, 1), 3.0)
    ),
    "event of no cell": (
        r"kpis/events/target_cell\[0\]: is 3, not within -1 to 2",
        lambda f: operator.setitem(f["kpis/events"], ("target_cell", 0), 3),
    ),
    "no episodes": ("timeouts: must be true", lambda f: operator.setitem(f["timeouts"], ..., False)),
    "no rows": ("timeouts: must be true", lambda f: replaced(f, "timeouts", data=np.empty(0, bool))),
    "scalar": (r"rewards: shape \(\), expected \(20\)", lambda f: replaced(f, "rewards", data=np.float32(1))),
    "empty": ("rewards: shape None", lambda f: replaced(f, "rewards", data=h5py.Empty("f4"))),
    "other shape": (
        r"actions: shape \(20, 7\), expected \(20, 6\)",
        lambda f: replaced(f, "actions", data=np.zeros((20, 7), np.float32)),
    ),
    "doubles": ("rewards: holds float64, expected float32", lambda f: replaced(f, "rewards", data=np.zeros(20))),
    "compound": (
        "rewards: holds .*, expected float32", lambda f: replaced(f, "rewards", data=np.zeros(20, "f4,i4"))
    ),
    "a claim of hundreds of GB": (
        r"timeouts: declares \d+ bytes, but the file holds 0",
        lambda f: replaced(f, "timeouts", shape=(400 << 30,), dtype=bool, chunks=(1 << 20,)),
    ),
    "another filter": (
        "rewards: is packed by filter 32000",
        lambda f: replaced(f, "rewards", data=np.zeros(20, np.float32), compression="lzf", chunks=(20,)),
    ),
    "external storage": (
        "rewards: is stored in another file",
        lambda f: replaced(f, "rewards", shape=(20,), dtype="f4", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)]),
    ),
    "external link": ("rewards: is a link", lambda f: linked(f, "rewards", h5py.ExternalLink("other.h5", "rewards"))),
    "soft link": ("kpis: is a link", lambda f: linked(f, "kpis", h5py.SoftLink("/elsewhere"))),
    "a group": ("rewards: is no dataset", lambda f: (f.move("rewards", "x"), f.create_group("rewards"))),
    "a dataset": ("kpis: is no group", lambda f: (f.move("kpis", "x"), f.create_dataset("kpis", data=1.0))),
    "other text": ("attribute scenario: is no text of fixed", lambda f: operator.setitem(f.attrs, "scenario", "{}")),
    "nested": ("attribute scenario: is nested too", lambda f: text_is(f, "[" * 60_000)),
    "huge": (
        r"episodes/metadata\[0\]: .*an integer of 5000 digits",
        lambda f: replaced(f, "episodes/metadata", data=np.array(["9" * 5000] * 2, "S")),
    ),
    "no mapping": ("scenario: must be a mapping", lambda f: text_is(f, "[3]")),
    "a long text of another kind": (
        r"scenario: holds float64, expected text",
        lambda f: (operator.delitem(f.attrs, "scenario"), f.create_dataset("scenario", data=1.5)),
    ),
    "a long text elsewhere": (
        "scenario: is a link",
        lambda f: (operator.delitem(f.attrs, "scenario"), operator.setitem(f, "scenario", h5py.SoftLink("/rewards"))),
    ),
    "a lost text": ("attribute scenario: missing", lambda f: operator.delitem(f.attrs, "scenario")),
    "no JSON": ("attribute scenario: not readable as JSON", lambda f: text_is(f, "[")),
}  # fmt: skip
"""What the message says of it, and how a file is altered."""


def shifted(file: h5py.File) -> np.ndarray:
    values: np.ndarray = file["next_observations"][()]
    values[3, 0] += 1
    return values


@pytest.mark.parametrize("name", ALTERATIONS)
def test_altered_files_are_refused_by_name(stored: Path, name: str) -> None:
    message, alter = ALTERATIONS[name]
    with h5py.File(stored, "r+") as file:
        alter(file)
    with pytest.raises(DataError, match=f"{stored}: {message}"):
        read_dataset(stored)


def test_an_episode_off_its_trace_is_refused(tmp_path: Path) -> None:
    write_episode(tmp_path / "e.h5", made.episode(made.scenario(), 1))
    with h5py.File(tmp_path / "e.h5", "r+") as file:
        file["kpis/ue_position_m"][2, 1] += 1196
    with pytest.raises(DataError, match=r"e\.h5: kpis/ue_position_m\[2, 1\]: is 1196\.00 m off the trace"):
        read_episode(tmp_path / "e.h5")


def test_files_without_log_densities_are_read_as_unknown(stored: Path) -> None:
    one = read_dataset(stored).episodes[0]
    write_episode(stored.with_name("e.h5"), one)
    for path, name in ((stored, "infos/action_log_probs"), (stored.with_name("e.h5"), "action_log_probs")):
        with h5py.File(path, "r+") as file:
            del file[name]
    for read in (read_dataset(stored).episodes[0], read_episode(stored.with_name("e.h5"))):
        assert np.isnan(read.behavior_log_probs).all()
        assert_same(dataclasses.replace(read, behavior_log_probs=one.behavior_log_probs), one)


@pytest.mark.parametrize(
    ("put", "message"),
    [
        (np.full(20, np.inf, np.float32), "behavior_log_probs: must be float32, finite or NaN"),
        (np.zeros(20), "infos/action_log_probs: holds float64, expected float32"),
        (np.zeros(3, np.float32), r"infos/action_log_probs: shape \(3,\), expected \(20\)"),
        (h5py.ExternalLink("elsewhere.h5", "/x"), "infos/action_log_probs: is a link"),
    ],
)
def test_log_densities_that_cannot_be_are_refused(stored: Path, put: Any, message: str) -> None:
    with h5py.File(stored, "r+") as file:
        del file["infos/action_log_probs"]
        file["infos/action_log_probs"] = put
    with pytest.raises(DataError, match=message):
        read_dataset(stored)


def test_files_without_digests_are_read(stored: Path) -> None:
    """As they were written before traces had one."""
    expected = read_dataset(stored)
    with h5py.File(stored, "r+") as file:
        for trace in file["traces"].values():
            del trace.attrs["sha256"]
    for got, wanted in zip(read_dataset(stored).episodes, expected.episodes, strict=True):
        assert_same(got, wanted)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_truncated_file_is_refused(stored: Path, share: float) -> None:
    stored.write_bytes(stored.read_bytes()[: int(stored.stat().st_size * share)])
    with pytest.raises(DataError, match=f"{stored}: damaged or not an HDF5 file"):
        read_dataset(stored)


def test_foreign_files_are_refused(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'mlb-dataset-1', expected 'mlb-episode-1'"):
        read_episode(stored)
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["observations"] = np.zeros(3)
    with pytest.raises(DataError, match="attribute format: missing"):
        read_dataset(tmp_path / "foreign.h5")
    with pytest.raises(DataError, match="no such file"):
        read_dataset(tmp_path / "absent.h5")


@pytest.mark.parametrize("size", [0, 1 << 12, 1 << 14])
def test_full_disk_leaves_the_old_file(stored: Path, size: int) -> None:
    """Whether the disk of the temporary files is full, or that of the dataset."""
    before = stored.read_bytes()
    assert len(before) > 1 << 14
    with largest_file(size), pytest.raises(StorageError, match=r"File too large[\s\S]*cure: free some space"):
        write_dataset(stored, made.scenario(ues=20), [made.episode(made.scenario(ues=20), k, 10) for k in range(3)])
    assert stored.read_bytes() == before
    assert [path.name for path in stored.parent.iterdir()] == [stored.name]


def test_full_disk_under_an_episode(tmp_path: Path) -> None:
    with largest_file(1 << 12), pytest.raises(StorageError, match=r"cannot write .*e\.h5: File too large"):
        write_episode(tmp_path / "e.h5", made.episode(made.scenario(), 1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_memory_does_not_grow_with_the_episodes(tmp_path: Path) -> None:
    """Whether written, opened, walked or picked at random."""
    place = made.scenario(ues=40)
    used: dict[int, list[int]] = {}
    for count in (40, 200):  # so that chunks are full, and some wait to be stored
        path = tmp_path / f"{count}.h5"
        used[count] = [
            peak_bytes(lambda path=path, count=count: write_dataset(path, place, many(place, count))),
            peak_bytes(lambda path=path: read_dataset(path)),
        ]
        dataset = read_dataset(path)
        assert len(dataset.episodes) == len(dataset.steps) == count
        used[count] += [
            peak_bytes(lambda dataset=dataset: [episode.steps for episode in dataset.episodes]),
            peak_bytes(lambda dataset=dataset: [dataset.episodes[index].steps for index in range(-1, 3)]),
        ]
    one = sum(getattr(next(many(place, 1)).kpis, name).nbytes for name in KPI_AXES)
    for few, more in zip(used[40], used[200], strict=True):
        assert few > one
        assert more - few < 20 * one  # 160 episodes more


def many(place: Scenario, count: int) -> Iterator[Episode]:
    """Episodes of one trace, made one by one."""
    return (made.episode(place, seed, 20, trace_seed=9) for seed in range(count))


def peak_bytes(call: Callable[[], object]) -> int:
    """The most that Python and numpy held at a time during a call."""
    gc.collect()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_stored_episodes_are_picked_as_those_of_a_list(stored: Path) -> None:
    episodes = read_dataset(stored).episodes
    assert len(episodes) == 2
    assert_same(episodes[-1], made.episode(made.scenario(ues=20), 1, 10))
    for got, wanted in zip(episodes[::-1], reversed(list(episodes)), strict=True):
        assert_same(got, wanted)
    with pytest.raises(IndexError):
        episodes[2]


def test_what_is_altered_while_it_is_open_is_refused(stored: Path) -> None:
    dataset = read_dataset(stored)
    assert dataset.transitions == 20
    with h5py.File(stored, "r+") as file:
        file["rewards"][13] = -0.5
    assert dataset.episodes[0].steps == 10
    with pytest.raises(DataError, match=rf"{stored}: rewards\[13\]: is"):
        dataset.episodes[1]
    stored.unlink()
    with pytest.raises(DataError, match="no such file"):
        list(dataset.episodes)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("episode", 0), ("step", 3), ("seed", 9), ("policy", b"static"), ("context", b"event"), ("synthetic", True),
        ("provenance", b"replay"), ("action_source", b"other"),
    ],
)  # fmt: skip
def test_infos_that_are_not_those_of_the_metadata_are_refused(tmp_path: Path, name: str, value: object) -> None:
    path, place = tmp_path / "d.h5", made.scenario()
    write_dataset(path, place, [made.episode(place, 1), made.episode(place, 2)])
    read_dataset(path)
    with h5py.File(path, "a") as file:
        assert file[f"infos/{name}"][7] != value
        file[f"infos/{name}"][7] = value
    with pytest.raises(DataError, match=rf"infos/{name}\[7\]: is .*, not what the metadata of its episode says"):
        tuple(read_dataset(path).episodes)


def test_infos_that_an_older_file_lacks_are_not_missed(tmp_path: Path) -> None:
    path, place = tmp_path / "d.h5", made.scenario()
    write_dataset(path, place, [made.episode(place, 1)])
    with h5py.File(path, "a") as file:
        for name in ("step", "policy", "synthetic", "provenance"):
            del file[f"infos/{name}"]
    assert len(tuple(read_dataset(path).episodes)) == 1
