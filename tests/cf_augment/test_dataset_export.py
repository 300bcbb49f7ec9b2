"""The real d3rlpy and the real pandas read what is exported, and nothing is lost on the way."""

from __future__ import annotations

from pathlib import Path

import h5py
import made_episodes as made
import numpy as np
import pandas as pd
import pytest
import torch
from mktestdocs import check_docstring
from pyarrow.parquet import ParquetFile

from cf_augment.dataset import Dataset, read_dataset, write_dataset
from cf_augment.exports import EXPORTS
from cf_augment.exports.d3rlpy import to_d3rlpy
from cf_augment.exports.table import to_frame
from sumo_mobility.base.errors import ConfigError, StorageError

_LAST_BIT = 1e-15
"""Relative error of a number that some releases of pandas read from text."""


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    place = made.scenario()
    write_dataset(tmp_path / "d.h5", place, [made.episode(place, 1, 6), made.episode(place, 2, 9, kind="replay")])
    return read_dataset(tmp_path / "d.h5")


@pytest.mark.parametrize("name", EXPORTS)
def test_every_export_gives_the_same_bytes_again_and_nothing_beside(
    dataset: Dataset, tmp_path: Path, name: str
) -> None:
    export = EXPORTS[name].load()()
    paths = [tmp_path / folder / f"out{export.suffix}" for folder in ("first", "again", "again")]
    contents = []
    for path in paths:
        export.write(dataset, path)
        assert [*path.parent.iterdir()] == [path]
        files = [path, *path.rglob("*")]
        contents.append({file.relative_to(path): file.read_bytes() for file in files if file.is_file()})
    assert contents[0] == contents[1] == contents[2]
    assert all(contents[0].values())
    with pytest.raises(StorageError):
        export.write(dataset, tmp_path / "d.h5" / paths[0].name)


def test_an_unknown_export_is_told_with_the_nearest_and_all() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^unknown export 'parket' \(did you mean 'parquet'\?\); there are parquet, csv, d3rlpy, minari",
    ):
        EXPORTS["parket"]


@pytest.mark.slow
def test_d3rlpy_loads_what_is_exported_to_it(dataset: Dataset, tmp_path: Path) -> None:
    from d3rlpy.dataset import InfiniteBuffer, ReplayBuffer

    EXPORTS["d3rlpy"].load()().write(dataset, tmp_path / "b.h5")
    with (tmp_path / "b.h5").open("rb") as file:
        buffer = ReplayBuffer.load(file, InfiniteBuffer())
    assert buffer.transition_count == 15
    assert buffer.dataset_info.action_space.name == "CONTINUOUS"
    for got, wanted in zip(buffer.episodes, dataset.episodes, strict=True):
        np.testing.assert_array_equal(got.observations, wanted.observations, strict=True)
        np.testing.assert_array_equal(got.actions[:-1], wanted.actions, strict=True)
        np.testing.assert_array_equal(got.rewards[:-1, 0], wanted.rewards, strict=True)


def test_d3rlpy_gets_every_transition(dataset: Dataset) -> None:
    buffer = to_d3rlpy(dataset)
    assert buffer.transition_count == 15
    transitions = [
        buffer.transition_picker(episode, step)
        for episode in buffer.episodes
        for step in range(episode.transition_count)
    ]
    np.testing.assert_array_equal([t.observation for t in transitions], dataset.observations)
    np.testing.assert_array_equal([t.next_observation for t in transitions], dataset.next_observations)
    np.testing.assert_array_equal([t.action for t in transitions], dataset.actions)
    np.testing.assert_array_equal([t.reward[0] for t in transitions], dataset.rewards)
    assert not any(t.terminal for t in transitions)


@pytest.mark.slow
def test_d3rlpy_loads_the_flat_file_but_for_the_last_transitions(dataset: Dataset, tmp_path: Path) -> None:
    from d3rlpy.constants import ActionSpace
    from d3rlpy.dataset import MDPDataset

    with h5py.File(tmp_path / "d.h5") as file:
        names = ("observations", "actions", "rewards", "terminals", "timeouts")
        arrays = {name: file[name][()].astype(np.float32) for name in names}
    buffer = MDPDataset(**arrays, action_space=ActionSpace.CONTINUOUS)
    assert buffer.transition_count == len(dataset.rewards) - len(dataset.episodes)


@pytest.mark.slow
def test_the_lines_of_the_docstring_run_though_the_first_episode_is_static(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """d3rlpy takes a first episode of zeros for discrete actions, unless it is told."""
    place = made.scenario()
    write_dataset(tmp_path / "runs/mine/logged.h5", place, [made.episode(place, k, reach=k) for k in range(2)])
    monkeypatch.chdir(tmp_path)
    check_docstring(to_d3rlpy)
    dataset = read_dataset(Path("runs/mine/logged.h5"))
    assert not dataset.episodes[0].actions.any()
    assert to_d3rlpy(dataset).dataset_info.action_space.name == "CONTINUOUS"
    assert to_d3rlpy(dataset).dataset_info.action_size == 6
    assert list(tmp_path.glob("d3rlpy_logs/CQL_*/model_20.d3"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["BC", "SAC"])
def test_d3rlpy_learns_from_it(dataset: Dataset, name: str) -> None:
    import d3rlpy

    torch.set_num_threads(1)
    config = {"BC": d3rlpy.algos.BCConfig, "SAC": d3rlpy.algos.SACConfig}[name]
    algorithm = config(batch_size=8).create(device="cpu:0")
    silent = d3rlpy.logging.NoopAdapterFactory()
    history = algorithm.fit(
        to_d3rlpy(dataset), n_steps=4, n_steps_per_epoch=2, logger_adapter=silent, show_progress=False
    )
    assert len(history) == 2
    assert all(np.isfinite(value) for _, losses in history for value in losses.values())
    action = algorithm.predict(dataset.observations[:3])
    assert action.shape == (3, 6)
    assert np.abs(action).max() <= 1


def test_the_frame_says_what_was_done_and_what_it_led_to(dataset: Dataset) -> None:
    frame = to_frame(dataset)
    assert len(frame) == 15
    assert frame["provenance"].tolist() == ["logged"] * 6 + ["replay"] * 9
    assert frame["episode"].tolist() == [0] * 6 + [1] * 9
    assert frame["step"].tolist() == [*range(6), *range(9)]
    np.testing.assert_array_equal(frame["reward"], dataset.rewards)
    np.testing.assert_array_equal(frame["behavior_log_prob"], dataset.behavior_log_probs, strict=True)
    np.testing.assert_array_equal(frame["prb_utilization_2"][:6], dataset.episodes[0].kpis.prb_utilization[1:, 2])
    for index, (serving, neighbor) in enumerate(dataset.scenario.neighbor_pairs):
        np.testing.assert_allclose(frame[f"cio_{serving}_{neighbor}_db"], dataset.actions[:, index] * 6.0, rtol=1e-6)
    paid = dataset.scenario.handover_cost / dataset.scenario.mobility.ues * frame["handovers"]
    np.testing.assert_allclose(frame["load_std"], -frame["reward"] - paid, rtol=1e-5)


@pytest.fixture(params=[6, 1 << 16])
def rows_in_memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """A table is written in parts of so many rows: two of one episode each, or one."""
    monkeypatch.setattr("cf_augment.exports.table._GROUP_ROWS", request.param)
    return request.param


def test_pandas_reads_the_frame_from_parquet(dataset: Dataset, tmp_path: Path, rows_in_memory: int) -> None:
    EXPORTS["parquet"].load()().write(dataset, tmp_path / "d.parquet")
    assert ParquetFile(tmp_path / "d.parquet").num_row_groups == (2 if rows_in_memory == 6 else 1)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "d.parquet"), to_frame(dataset))


@pytest.mark.usefixtures("rows_in_memory")
def test_pandas_reads_the_frame_from_csv(dataset: Dataset, tmp_path: Path) -> None:
    EXPORTS["csv"].load()().write(dataset, tmp_path / "d.csv")
    wanted = to_frame(dataset)
    frame = pd.read_csv(tmp_path / "d.csv", dtype=wanted.dtypes.to_dict())
    pd.testing.assert_frame_equal(frame, wanted, rtol=_LAST_BIT, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["parquet", "csv"])
def test_hugging_face_datasets_loads_the_table(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    path = tmp_path / f"d.{name}"
    EXPORTS[name].load()().write(dataset, path)
    loaded = datasets.load_dataset(name, data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    wanted = to_frame(dataset)
    assert loaded.column_names == [*wanted]
    pd.testing.assert_frame_equal(loaded.to_pandas().astype(wanted.dtypes), wanted, rtol=_LAST_BIT, atol=0)
