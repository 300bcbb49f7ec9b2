"""Files of episodes and datasets: HDF5 that is read with no trust in what it says."""

from cf_augment.dataset.storage.episode_file import EpisodeFiles, read_episode, write_episode
from cf_augment.dataset.storage.read import read_dataset, read_definitions
from cf_augment.dataset.storage.write import write_dataset

__all__ = ["EpisodeFiles", "read_dataset", "read_definitions", "read_episode", "write_dataset", "write_episode"]
