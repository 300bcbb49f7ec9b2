"""The dataset file is laid out as the loaders of D4RL, CORL and OfflineRL-Kit want it, and gives them the transitions.

They import the old Gym; what they ask of a file is restated here, with h5py alone:

* D4RL (`offline_env.py`, `get_dataset`) reads each array of the file by its path, scalars too, and wants observations
  (N, O), actions (N, A), rewards and terminals (N,). Its `qlearning_dataset` takes row i + 1 for what follows row i. It
  leaves out rows that time out, because what follows them is of another episode, and the last row.
* CORL (`load_d4rl_dataset`) puts what that returns into float32 tensors, rewards and terminals as (N, 1).
* OfflineRL-Kit (`load_dataset.py`) has the same rule, but takes `next_observations` where there are any; its
  `SequenceDataset`, and CORL's for the Decision Transformer, cut trajectories after each terminal or timeout.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import made_episodes as made
import numpy as np
import pytest

from cf_augment.dataset import Episode, write_dataset

PLACE = made.scenario()
EPISODES = [made.episode(PLACE, 1, 6), made.episode(PLACE, 2, 1), made.episode(PLACE, 3, 9, kind="replay")]
N = 16
OBSERVATION, ACTION = EPISODES[0].observations.shape[1], EPISODES[0].actions.shape[1]


@pytest.fixture
def arrays(tmp_path: Path) -> dict[str, np.ndarray]:
    """All that is in the file, by its path."""
    write_dataset(tmp_path / "d.h5", PLACE, EPISODES)
    found = {}
    with h5py.File(tmp_path / "d.h5", "r") as file:
        file.visititems(lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return found


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        ("observations", (N, OBSERVATION), np.float32),
        ("next_observations", (N, OBSERVATION), np.float32),
        ("actions", (N, ACTION), np.float32),
        ("rewards", (N,), np.float32),
        ("terminals", (N,), np.bool_),
        ("timeouts", (N,), np.bool_),
    ],
)
def test_a_key_has_the_shape_and_type_that_the_loaders_want(
    arrays: dict[str, np.ndarray], name: str, shape: tuple[int, ...], dtype: type
) -> None:
    assert (arrays[name].shape, arrays[name].dtype) == (shape, dtype)
    assert np.isfinite(arrays[name].astype(np.float32)).all()


def test_actions_are_those_of_a_squashed_policy(arrays: dict[str, np.ndarray]) -> None:
    assert 0.9 < np.abs(arrays["actions"]).max() <= 1


def joined(name: str, rows: slice) -> np.ndarray:
    return np.concatenate([getattr(episode, name)[rows] for episode in EPISODES])


@pytest.mark.parametrize("has_next", [False, True])
def test_q_learning_gets_every_transition_but_the_last_of_each_episode(
    arrays: dict[str, np.ndarray], has_next: bool
) -> None:
    """By D4RL's rule, and by that of OfflineRL-Kit, which does with `next_observations`."""
    following = arrays["next_observations"][:-1] if has_next else arrays["observations"][1:]
    kept = ~arrays["timeouts"][:-1]
    assert kept.sum() == N - len(EPISODES)
    np.testing.assert_array_equal(arrays["observations"][:-1][kept], joined("observations", slice(None, -2)))
    np.testing.assert_array_equal(arrays["actions"][:-1][kept], joined("actions", slice(None, -1)))
    np.testing.assert_array_equal(arrays["rewards"][:-1][kept], joined("rewards", slice(None, -1)))
    np.testing.assert_array_equal(following[kept], joined("observations", slice(1, -1)))
    assert not arrays["terminals"].any()


def test_a_step_is_never_taken_from_one_episode_into_the_next(arrays: dict[str, np.ndarray]) -> None:
    """Rows that time out have their own successor in `next_observations`, for whoever keeps them."""
    last = np.flatnonzero(arrays["timeouts"])
    assert last.tolist() == [5, 6, 15]
    for row, episode in zip(last, EPISODES, strict=True):
        np.testing.assert_array_equal(arrays["next_observations"][row], episode.observations[-1])


def test_trajectories_are_the_episodes(arrays: dict[str, np.ndarray]) -> None:
    ends = np.flatnonzero(arrays["terminals"] | arrays["timeouts"]) + 1
    names = ("observations", "actions", "rewards", "next_observations")
    parts = zip(*(np.split(arrays[name], ends) for name in names), strict=True)
    *trajectories, rest = parts
    assert [len(part) for part in rest] == [0] * 4

    def of(episode: Episode) -> tuple[np.ndarray, ...]:
        return episode.observations[:-1], episode.actions, episode.rewards, episode.observations[1:]

    for trajectory, episode in zip(trajectories, EPISODES, strict=True):
        for got, wanted in zip(trajectory, of(episode), strict=True):
            np.testing.assert_array_equal(got, wanted, strict=True)
