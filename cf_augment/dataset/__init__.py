"""Episodes and datasets: what was observed, done and earned, with all KPIs and the exogenous trace.

`records` says what an episode and a dataset are, `storage` keeps them in files and reads them an episode at a time, and
`checks` says what a file must agree in. `cf_augment.exports` writes a dataset as other tools read it.
"""

from cf_augment.dataset.definitions import Definitions
from cf_augment.dataset.records import Dataset, Episode, EpisodeMetadata, Provenance, stack_kpis
from cf_augment.dataset.storage import (
    EpisodeFiles,
    read_dataset,
    read_definitions,
    read_episode,
    write_dataset,
    write_episode,
)

__all__ = [
    "Dataset", "Definitions", "Episode", "EpisodeFiles", "EpisodeMetadata", "Provenance", "read_dataset",
    "read_definitions", "read_episode", "stack_kpis", "write_dataset", "write_episode",
]  # fmt: skip
