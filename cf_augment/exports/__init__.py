"""Exports: a dataset as another tool reads it, by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from sumo_mobility.base.registry import Lazy, Registry

if TYPE_CHECKING:
    from cf_augment.dataset import Dataset


class Export(ABC):
    """A format in which other tools read a dataset, as one file or one directory.

    The datasets of this project are themselves HDF5 files with the keys of D4RL, which the usual offline-RL readers
    load untouched; an export is for the others.
    """

    suffix: ClassVar[str]
    """How the names of what it writes end, such as ".parquet"."""

    @abstractmethod
    def write(self, dataset: Dataset, path: Path) -> None:
        """Writes all transitions, atomically.

        Args:
            dataset: The dataset. One that was read from a file gives its episodes one by one, and may be larger than
                memory.
            path: The file or directory, which is replaced if there is one.

        Raises:
            DependencyError: a library that the format needs is not installed.
            StorageError: the disk is full, the directory is not writable, or something else stands at `path`, which is
                then as it was before.
        """


EXPORTS: Registry[Lazy[Export]] = Registry("export")
"""All exports by name."""

EXPORTS.register(Lazy("parquet", "cf_augment.exports.table:ParquetExport", "a table for pandas, datasets and others"))
EXPORTS.register(Lazy("csv", "cf_augment.exports.table:CsvExport", "the same table as text"))
EXPORTS.register(Lazy("d3rlpy", "cf_augment.exports.d3rlpy:D3rlpyExport", "d3rlpy's ReplayBuffer"))
EXPORTS.register(Lazy("minari", "cf_augment.exports.minari:MinariExport", "a directory for Minari's load_dataset"))
