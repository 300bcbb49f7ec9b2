"""Results of the benchmark: a row for each method, context, amount of data, seed, back end and trace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import DataError
from sumo_mobility.base.files import replacing

VERSION = 1
IDENTITY = ["suite", "scenario", "data", "method", "gradient_steps", "seed", "backend", "trace"]
"""What no two rows have in common."""
_KEY = b"mlb-benchmark"
_CURE = "run 'mlb benchmark run' again"


class Coverage(Contract):
    """Some states of the network, in the plane of the first two principal components of logged and test states."""

    points: dict[str, tuple[tuple[float, float], ...]]
    """The states of each kind: counterfactual, logged, test."""
    explained: tuple[float, float]
    """Share of the variance along each axis."""


class ResultsRecord(Contract):
    """What a file of results was made of."""

    version: int
    """Version of the file's form."""
    suite: str
    title: str
    command: str
    seed: int
    quick: bool
    """Whether there was less of everything."""
    effort: dict[str, int]
    """How much was done, by the fields of `Effort`."""
    main_data: str
    """The amount of data with which methods are compared in detail."""
    metric: str
    """What the scale is of."""
    higher_is_better: bool
    floor: str
    """The method that has 0."""
    ceiling: str
    """The method that has 1."""
    published: dict[str, dict[str, float]]
    """Improvement over static in % that others published, by scenario and by their names of methods."""
    coverage: Coverage | None
    """What the data of our methods cover in the first context; None if these were not tried."""
    machine: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Results:
    """The results of a suite.

    Attributes:
        record: What they were made of.
        rows: The columns of IDENTITY, where `gradient_steps` is 0 for policies that are not to be trained further;
            `train_traces` and `test_traces`, how many were logged; `group` of the method;
            `reward`, mean a step, and METRICS; `cpu_s` of a seed's training; `tried`, candidates to tune it, and
            `at_edge`, parameters whose best value was the last one; `error`, empty unless the method failed, which
            leaves one row without trace; `config_sha256` of all that the row depends on.
    """

    record: ResultsRecord
    rows: pd.DataFrame

    def write(self, path: Path) -> None:
        """Writes the file at once; the same results give the same bytes."""
        table = pa.Table.from_pandas(self.rows, preserve_index=False)
        table = table.replace_schema_metadata({_KEY: self.record.model_dump_json().encode()})
        with replacing(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a file.

        Raises:
            DataError: it is missing, damaged, foreign or of another version, or has two rows of one identity.
        """
        try:
            table = pq.read_table(path)
            record = json.loads((table.schema.metadata or {})[_KEY])
            found = record.get("version")
            if found != VERSION:
                raise DataError(f"{path}: results of version {found}, this program reads {VERSION}", _CURE)
            results = cls(ResultsRecord.model_validate(record), table.to_pandas())
        except (OSError, pa.ArrowException, KeyError, ValueError, ValidationError) as error:
            raise DataError(f"{path}: no results of the benchmark ({str(error).splitlines()[0]})", _CURE) from None
        missing = [name for name in IDENTITY if name not in results.rows]
        if missing:
            raise DataError(f"{path}: has no column '{missing[0]}'", _CURE)
        check_unique([results], [path])
        return results


def check_unique(every: Sequence[Results], paths: Sequence[Path]) -> None:
    """Refuses two results with one identity, in one file or in two.

    Raises:
        DataError: there are such; names the first.
    """
    keys = [results.rows[IDENTITY].assign(file=str(path)) for results, path in zip(every, paths, strict=True)]
    rows = pd.concat(keys, ignore_index=True)
    twice = rows[rows.duplicated(IDENTITY)]
    if len(twice):
        named = ", ".join(f"{name} {twice.iloc[0][name]}" for name in IDENTITY)
        raise DataError(f"{twice.iloc[0]['file']}: has a result that is there already: {named}", "leave one file out")
