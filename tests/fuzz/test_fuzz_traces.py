"""Traces whose table or sidecar is damaged or hostile, but said to belong together."""

from __future__ import annotations

import io
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from harness import hostile, survives
from hypothesis import given
from hypothesis import strategies as st

from sumo_mobility.base.errors import DataError
from sumo_mobility.base.files import sha256
from sumo_mobility.trace import COLUMNS, MobilityTrace, Stay, TraceMetadata

METADATA = TraceMetadata(
    source="test", map_name="m", licence="none", attribution="nobody", seed=0, context="c", bounds_m=(0, 0, 9, 9),
    settings={"map": "m", "deep": [{"a": [1]}]}, provenance={"file": "a", "x": 1.5},
    stays=(Stay(ue=0, who="a", begin_s=0, end_s=1), Stay(ue=0, who="b", begin_s=3, end_s=3)),
)  # fmt: skip
TRACE = MobilityTrace(np.arange(4.0), np.ones((4, 2, 2)), np.zeros((4, 2)), np.zeros((4, 2)), METADATA)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traces")
    TRACE.write(folder / "good.parquet")
    return folder


def survives_trace(folder: Path, table: bytes, sidecar: bytes | None = None) -> None:
    """Reads a trace of these bytes; without a sidecar's, one that says that they are right."""
    path = folder / "a.parquet"
    path.write_bytes(table)
    good = json.loads((folder / "good.json").read_text())
    path.with_suffix(".json").write_bytes(sidecar or json.dumps(good | {"parquet_sha256": sha256(path)}).encode())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        survives(lambda: MobilityTrace.read(path))


@given(st.data())
def test_bytes_of_the_table(folder: Path, data: st.DataObject) -> None:
    survives_trace(folder, data.draw(hostile([(folder / "good.parquet").read_bytes()], (b"PAR1", b"time_s"))))


@given(st.data())
def test_bytes_of_the_sidecar(folder: Path, data: st.DataObject) -> None:
    good = (folder / "good.json").read_bytes()
    survives_trace(folder, (folder / "good.parquet").read_bytes(), data.draw(hostile([good], (b'"stays"', b'"ue": '))))


def test_a_sidecar_of_another_trace(folder: Path) -> None:
    other = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(TRACE.to_frame()[:4]), other)
    (folder / "a.parquet").write_bytes(other.getvalue().to_pybytes())
    (folder / "a.json").write_bytes((folder / "good.json").read_bytes())
    with pytest.raises(DataError, match=r"is not the file that a\.json describes"):
        MobilityTrace.read(folder / "a.parquet")


FLOATS = st.floats() | st.sampled_from([0.0, 1.0, 2.0, 1e9, -1.0])
COLUMN = st.one_of(
    st.lists(FLOATS, min_size=8, max_size=8),
    st.lists(FLOATS | st.none(), min_size=8, max_size=8),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=8, max_size=8),
    st.lists(st.text(max_size=5), min_size=8, max_size=8),
    st.lists(st.booleans(), min_size=8, max_size=8),
    st.lists(st.lists(st.floats(), max_size=2), min_size=8, max_size=8),
    st.just([{"a": 1.0}] * 8),
    st.just(pa.nulls(8)),
    st.permutations(list(range(8))),
)


@given(
    st.dictionaries(st.sampled_from(COLUMNS), COLUMN), st.sets(st.sampled_from(COLUMNS), max_size=1), st.integers(0, 8)
)
def test_columns(folder: Path, columns: dict[str, object], absent: set[str], rows: int) -> None:
    """Of any type, missing, with repeated and unsorted rows."""
    frame = TRACE.to_frame()
    table = {name: frame[name].to_numpy() for name in COLUMNS} | columns
    buffer = io.BytesIO()
    kept = {name: column for name, column in table.items() if name not in absent}
    pq.write_table(pa.table(kept)[:rows], buffer)
    survives_trace(folder, buffer.getvalue())


def test_a_table_that_declares_more_than_can_be(folder: Path) -> None:
    """Of equal rows, 30 million take little on a disk."""
    path, many = folder / "many.parquet", 30_000_000
    with pq.ParquetWriter(path, pa.schema([(name, pa.float64()) for name in COLUMNS])) as writer:
        part = pa.table({name: pa.array(np.zeros(many // 10)) for name in COLUMNS})
        for _ in range(10):
            writer.write_table(part)
    good = json.loads((folder / "good.json").read_text())
    path.with_suffix(".json").write_text(json.dumps(good | {"parquet_sha256": sha256(path)}))
    with pytest.raises(DataError, match="declares 30000000 rows, more than 20000000"):
        MobilityTrace.read(path)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
@pytest.mark.parametrize("suffix", [".parquet", ".json"])
def test_what_is_no_file(tmp_path: Path, make: Callable[[Path], object], suffix: str) -> None:
    path = tmp_path / "a.parquet"
    TRACE.write(path)
    path.with_suffix(suffix).unlink()
    make(path.with_suffix(suffix))
    with pytest.raises(DataError, match=rf"a\{suffix}: is no regular file"):
        MobilityTrace.read(path)
