"""The real Minari opens what is exported to it, with the same transitions, and makes the environment again."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from weakref import ref

import made_episodes as made
import minari
import numpy as np
import pytest
from full_disk import largest_file

from cf_augment.dataset import Dataset, Episode, read_dataset, write_dataset
from cf_augment.dataset.storage.lazy import LazyEpisodes
from cf_augment.exports.minari import MinariExport
from ns3_scenarios.mdp import action_box, observation_box
from ns3_scenarios.scenario import Scenario
from py_agent.env import MlbEnv, make_env
from sumo_mobility.base.errors import ConfigError, DependencyError, StorageError


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    place = made.scenario()
    write_dataset(tmp_path / "d.h5", place, [made.episode(place, 1, 6), made.episode(place, 2, 9, kind="replay")])
    return read_dataset(tmp_path / "d.h5")


@pytest.fixture
def loaded(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> minari.MinariDataset:
    monkeypatch.chdir(tmp_path)
    MinariExport().write(dataset, Path("minari/made-v0"))
    return minari.load_dataset("made-v0")


def test_minari_gives_the_same_transitions(dataset: Dataset, loaded: minari.MinariDataset) -> None:
    assert (loaded.total_episodes, loaded.total_steps) == (2, 15)
    for got, wanted in zip(loaded, dataset.episodes, strict=True):
        assert len(got.observations) == wanted.steps + 1
        np.testing.assert_array_equal(got.observations, wanted.observations, strict=True)
        np.testing.assert_array_equal(got.actions, wanted.actions, strict=True)
        np.testing.assert_array_equal(got.rewards, wanted.rewards, strict=True)
        np.testing.assert_array_equal(got.infos["action_log_probs"][1:], wanted.behavior_log_probs, strict=True)
        assert np.isnan(got.infos["action_log_probs"][0])
        assert got.terminations.tolist() == [False] * wanted.steps
        assert got.truncations.tolist() == [False] * (wanted.steps - 1) + [True]
    assert [len(episode) for episode in loaded.sample_episodes(2)] in ([6, 9], [9, 6])


def test_minari_knows_the_spaces_and_what_the_dataset_is(dataset: Dataset, loaded: minari.MinariDataset) -> None:
    assert loaded.observation_space == observation_box(dataset.scenario)
    assert loaded.action_space == action_box(dataset.scenario)
    metadata = loaded.storage.metadata
    assert minari.list_local_datasets()["made-v0"]["algorithm_name"] == metadata["algorithm_name"] == "random"
    assert (metadata["licence"], metadata["attribution"]) == ("CC0-1.0", "nobody")
    about, observation, reward, maps = metadata["description"].split("\n\n")
    assert (about, maps) == ("three cells", "Maps: nobody, CC0-1.0")
    assert observation.startswith("Observation: cell-kpi: per cell: prb_utilization, ")
    formula = "load-std: -(standard deviation over the cells of prb_utilization) - 0.05 * handovers / UEs"
    assert reward == f"Reward: {formula} (unit: 1)"
    kinds = [episode["provenance"] for episode in loaded.storage.get_episode_metadata(range(2))]
    assert kinds == ["logged", "replay"]


@pytest.mark.sumo
def test_minari_makes_the_environment_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a network that no preset has."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    shipped = make_env("line3-right-none-left-v0", backend="engine")
    cells = [cell.model_dump() | {"x_m": cell.x_m + 5} for cell in shipped.scenario.cells]
    place = Scenario.parse(shipped.scenario.model_dump() | {"id": "moved", "cells": cells}, "test")
    MinariExport().write(Dataset(place, [made.episode(place, 1, 3)]), tmp_path / "moved-v0")
    recovered = minari.load_dataset("moved-v0").recover_environment(seed=5, split="test")
    ours = make_env(place.model_dump(mode="json"), backend="engine", seed=5, split="test")
    assert isinstance(recovered.unwrapped, MlbEnv)
    assert recovered.unwrapped.scenario == place != shipped.scenario
    assert recovered.spec.id == "mlb/moved"
    for env in (recovered, ours):
        env.reset(seed=1)
    action = ours.action_space.sample()
    np.testing.assert_array_equal(recovered.step(action)[0], ours.step(action)[0])
    for env in (shipped, recovered, ours):
        env.close()


class _Passing(LazyEpisodes):
    """Makes each episode when it is asked for, and counts how many are in memory."""

    def __init__(self, place: Scenario) -> None:
        self._place = place
        self._made: list[ref[Episode]] = []
        self.most = 0

    def __len__(self) -> int:
        return 6

    def read(self, chosen: Sequence[int]) -> Iterator[Episode]:
        for index in chosen:
            episode = made.episode(self._place, index)
            self._made.append(ref(episode))
            self.most = max(self.most, sum(one() is not None for one in self._made))
            yield episode
            del episode


def test_no_more_than_two_episodes_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    place = made.scenario()
    episodes = _Passing(place)
    MinariExport().write(Dataset(place, episodes), tmp_path / "long-v0")
    assert minari.load_dataset("long-v0").total_steps == 30
    assert episodes.most <= 2


def test_an_export_replaces_an_older_one_and_nothing_else(dataset: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "minari" / "made-v0"
    for episodes in (dataset.episodes, dataset.episodes[:1]):
        MinariExport().write(Dataset(dataset.scenario, episodes), path)
        assert minari.load_dataset("made-v0").total_episodes == len(episodes)
    (tmp_path / "work-v0").mkdir()
    (tmp_path / "work-v0" / "thesis.tex").touch()
    (tmp_path / "file-v0").touch()
    for name in ("work-v0", "file-v0"):
        with pytest.raises(StorageError, match=rf"{name}: is there, and no dataset of Minari"):
            MinariExport().write(dataset, tmp_path / name)
    assert (tmp_path / "work-v0" / "thesis.tex").exists()
    assert [*path.parent.iterdir()] == [path]


@pytest.mark.parametrize("name", ["made", "made-v1", "my data-v0", "made.h5-v0"])
def test_a_name_that_minari_would_not_load_is_refused(dataset: Dataset, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"Minari has no datasets of such names[\s\S]*cure: letters, digits"):
        MinariExport().write(dataset, tmp_path / "minari" / name)


@pytest.mark.parametrize("size", [0, 1 << 12, 20_000])
def test_a_full_disk_leaves_the_old_dataset(dataset: Dataset, tmp_path: Path, size: int) -> None:
    path = tmp_path / "minari" / "made-v0"
    MinariExport().write(dataset, path)
    longer = [made.episode(dataset.scenario, k, 100) for k in range(20)]
    with largest_file(size), pytest.raises(StorageError, match=r"cannot write .*made-v0[\s\S]*cure: free some space"):
        MinariExport().write(Dataset(dataset.scenario, longer), path)
    assert minari.load_dataset("made-v0").total_steps == 15
    assert [*path.parent.iterdir()] == [path]


def test_without_minari_the_error_says_how_to_get_it(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(DependencyError, match=r"minari is not installed[\s\S]*cure: pip install minari"):
        MinariExport().write(dataset, tmp_path / "made-v0")
    assert not (tmp_path / "made-v0").exists()
