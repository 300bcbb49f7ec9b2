"""A dataset as d3rlpy keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cf_augment.dataset import Dataset
from cf_augment.exports import Export
from sumo_mobility.base.errors import DependencyError
from sumo_mobility.base.files import replacing

if TYPE_CHECKING:
    from d3rlpy.dataset import ReplayBuffer


class D3rlpyExport(Export):
    """A file for d3rlpy's `ReplayBuffer.load`; the whole dataset without its KPIs is in memory, as d3rlpy has it."""

    suffix = ".h5"

    def write(self, dataset: Dataset, path: Path) -> None:
        """Writes the buffer of `to_d3rlpy`."""
        buffer = to_d3rlpy(dataset)
        with replacing(path) as temporary, temporary.open("w+b") as file:
            buffer.dump(file)


def to_d3rlpy(dataset: Dataset) -> ReplayBuffer:
    """Returns all N transitions as a d3rlpy (2.8) MDPDataset, with continuous actions.

    ```python
    from pathlib import Path

    import d3rlpy

    from cf_augment.dataset import read_dataset
    from cf_augment.exports.d3rlpy import to_d3rlpy

    buffer = to_d3rlpy(read_dataset(Path("runs/mine/logged.h5")))
    cql = d3rlpy.algos.CQLConfig().create(device="cpu:0")
    cql.fit(buffer, n_steps=20, n_steps_per_epoch=10)
    ```

    Whoever passes the flat arrays of the file to MDPDataset must say `action_space=d3rlpy.ActionSpace.CONTINUOUS`:
    otherwise d3rlpy guesses it from the first episode, and takes one with static offsets, all zeros, for discrete.

    d3rlpy takes no next observations, and drops the last transition of every episode that timed out, because
    it cannot know what followed. So each episode is given one row more, with the last observation, an action of
    zeros and no reward: that row is the one that is dropped, and the N true transitions remain. The flat
    arrays lose one transition an episode.

    Raises:
        DependencyError: d3rlpy is not installed.
    """
    try:
        from d3rlpy.constants import ActionSpace
        from d3rlpy.dataset import MDPDataset
    except ImportError:
        raise DependencyError("d3rlpy is not installed", "pip install d3rlpy==2.8.1") from None
    observations, actions, rewards = [], [], []
    for episode in dataset.episodes:
        observations.append(episode.observations)
        actions += [episode.actions, np.zeros_like(episode.actions[:1])]
        rewards += [episode.rewards, np.zeros(1, np.float32)]
    last = np.cumsum([steps + 1 for steps in dataset.steps]) - 1
    timeouts = np.zeros(last[-1] + 1, dtype=np.float32)
    timeouts[last] = 1
    return MDPDataset(
        observations=np.concatenate(observations),
        actions=np.concatenate(actions),
        rewards=np.concatenate(rewards),
        terminals=np.zeros_like(timeouts),
        timeouts=timeouts,
        action_space=ActionSpace.CONTINUOUS,
    )
