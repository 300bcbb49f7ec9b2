"""A dataset as Minari keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from gymnasium.envs.registration import EnvSpec

from cf_augment.dataset import Dataset, Definitions, Episode
from cf_augment.dataset.storage import hdf5
from cf_augment.dataset.storage.groups import LOG_PROBS
from cf_augment.exports import Export
from cf_augment.exports.table import origin
from ns3_scenarios.mdp import action_box, observation_box
from sumo_mobility.base.errors import ConfigError, DependencyError, StorageError
from sumo_mobility.base.files import replacing

_ENVIRONMENT = "py_agent.env:make_env"
"""The maker of the environment, by its name, which Gymnasium looks up when somebody wants the environment."""


class MinariExport(Export):
    """A directory for `minari.load_dataset` (0.5): its name is the id, what it is in is MINARI_DATASETS_PATH.

    An episode has T + 1 observations, is truncated at its last step, and never terminates. Its `infos` have
    `action_log_probs` (T + 1,), as Minari's collector would have them of an environment: the log-density of an action
    is in the row that the action led to, and row 0, of the reset, is NaN. Its metadata are those of
    `origin`. The metadata of the dataset are a description with the formulas of observation and reward, the policies as
    the algorithm, and licence and attribution of the maps.

    `recover_environment()` opens the dataset's own scenario over the back end of the first episode, with new traffic;
    if that was measured, over the one that `make_env` takes when it is told none.
    It passes on what else `make_env` takes, such as `backend="engine"` or `split="test"`.
    """

    suffix = "-v0"

    def write(self, dataset: Dataset, path: Path) -> None:
        """Writes the directory, an episode at a time; see `Export.write`.

        Raises:
            ConfigError: Minari takes no such name for a dataset.
        """
        try:
            from minari import __version__
            from minari.dataset.minari_dataset import DATASET_ID_RE
            from minari.dataset.minari_storage import METADATA_FILE_NAME, MinariStorage
        except ImportError:
            raise DependencyError("minari is not installed", "pip install minari==0.5.4") from None
        if not path.name.endswith(self.suffix) or not DATASET_ID_RE.fullmatch(path.name):
            cure = f"letters, digits, '-' and '_', and {self.suffix} at the end"
            raise ConfigError(f"{path}: Minari has no datasets of such names", cure)
        if path.exists() and not (path / "data" / METADATA_FILE_NAME).is_file():
            raise StorageError(f"{path}: is there, and no dataset of Minari", "choose another name")
        scenario, defined = dataset.scenario, Definitions.of(dataset.scenario)
        first = dataset.episodes[0].metadata
        make: dict[str, Any] = {"preset": scenario.model_dump(mode="json")}
        if not first.measured:  # a live network is no back end: make_env then chooses
            make["backend"] = first.backend
        spec = EnvSpec(f"mlb/{scenario.id}", _ENVIRONMENT, kwargs=make)
        policies, licences, attributions = set(), set(), set()
        with replacing(path, directory=True) as temporary:
            data = temporary.absolute() / "data"  # of relative paths Minari finds no sizes
            storage = MinariStorage.new(data, observation_box(scenario), action_box(scenario), spec, "hdf5")
            # Not by storage.update_episodes: on a full disk HDF5 ends the process, unless it writes as it does here.
            with hdf5.creating(data / "main_data.hdf5", "minari") as file:
                for index, episode in enumerate(dataset.episodes):
                    _put(file.create_group(f"episode_{index}"), index, episode)
                    policies.add(episode.metadata.policy)
                    licences.add(episode.of_trace("licence"))
                    attributions.add(episode.of_trace("attribution"))
            licence, attribution = "; ".join(sorted(licences)), "; ".join(sorted(attributions))
            description = (
                f"{scenario.description}\n\nObservation: {defined.observation}\n\nReward: {defined.reward} "
                f"(unit: {defined.reward_unit})\n\nMaps: {attribution}, {licence}"
            )
            about = {
                "dataset_id": path.name,
                "minari_version": __version__,
                "total_episodes": len(dataset.steps),
                "total_steps": dataset.transitions,
                "dataset_size": storage.get_size(),
                "description": description,
                "algorithm_name": ", ".join(sorted(policies)),
                "licence": licence,
                "attribution": attribution,
            }
            storage.update_metadata(about)


def _put(group: h5py.Group, index: int, episode: Episode) -> None:
    """Writes an episode as Minari's "dataset standards" say."""
    ends = np.arange(episode.steps) == episode.steps - 1
    arrays = {
        "observations": episode.observations,
        "actions": episode.actions,
        "rewards": episode.rewards,
        "terminations": np.zeros_like(ends),
        "truncations": ends,
    }
    for name, values in arrays.items():
        hdf5.put(group, name, values)
    of_actions = np.concatenate([np.full(1, np.nan, np.float32), episode.behavior_log_probs])
    hdf5.put(group.create_group("infos"), LOG_PROBS, of_actions)
    group.attrs.update({"id": index, "total_steps": episode.steps, **origin(episode)})
