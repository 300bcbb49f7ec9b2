"""Floating car data that is damaged or hostile: XML, CSV and Parquet."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from harness import hostile, survives_file
from hypothesis import example, given
from hypothesis import strategies as st

from sumo_mobility.fcd import read_fcd

FRAME = pd.DataFrame(
    [(float(t), name, 10.0 * t + k, 5.0, 10.0, 90.0) for t in range(6) for k, name in enumerate(("7", "007", "a"))],
    columns=["timestep_time", *(f"vehicle_{name}" for name in ("id", "x", "y", "speed", "angle"))],
)
XML = b"""<fcd-export><timestep time="0.00"><vehicle id="0" x="1.5" y="2" speed="3" angle="4"/>
<person id="0" x="5" y="6" speed="1" angle="9"/></timestep><timestep time="00:00:01">
<vehicle id="0" x="4.5" y="2" speed="3" angle="4"/><container
id="c" x="1" y="2"/><person id="0" x="6" y="6" speed="1" angle="9"/></timestep></fcd-export>"""
BOMB = b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "' + b"&a;" * 99 + b'">]><a>' + b"&b;" * 99 + b"</a>"
TOKENS = (b'time="', b"<timestep ", b"<vehicle ", b"<person ", b"12:00:00", b"1:2:3:4", b"PAR1", b"vehicle_id")


def parquet(frame: pd.DataFrame) -> bytes:
    """The bytes of a Parquet file."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fcd")


@given(hostile([XML], TOKENS), st.booleans(), st.booleans())
@example(BOMB, False, False)
@example(b"<a>" * 100_000, False, False)
@example(b"<fcd-export>" + b" " * 150_000_000, True, False)
def test_xml(folder: Path, content: bytes, packed: bool, pack: bool) -> None:
    path = folder / ("a.xml.gz" if packed else "a.xml")
    survives_file(lambda file: read_fcd(file, pack=pack), path, gzip.compress(content) if packed else content)


@given(hostile([FRAME.to_csv(sep=";", index=False).encode()], TOKENS), st.booleans())
def test_csv(folder: Path, content: bytes, pack: bool) -> None:
    survives_file(lambda file: read_fcd(file, pack=pack), folder / "a.csv", content)


@given(hostile([gzip.compress(XML)]))
def test_packed(folder: Path, content: bytes) -> None:
    survives_file(read_fcd, folder / "b.xml.gz", content)


@given(hostile([parquet(FRAME), parquet(FRAME.assign(timestep_time="00:00:01"))], TOKENS))
def test_parquet_bytes(folder: Path, content: bytes) -> None:
    survives_file(read_fcd, folder / "a.parquet", content)


VALUES = st.one_of(st.none(), st.floats(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=8), st.binary(max_size=4))
COLUMNS = st.one_of(
    st.lists(VALUES.map(str) | st.none(), min_size=4, max_size=4),
    st.lists(st.floats() | st.none(), min_size=4, max_size=4),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=4, max_size=4),
    st.lists(st.booleans() | st.none(), min_size=4, max_size=4),
    st.lists(st.binary(max_size=4) | st.none(), min_size=4, max_size=4),
    st.lists(st.lists(st.floats(), max_size=3), min_size=4, max_size=4),
    st.just([{"a": 1.0}] * 4),
    st.just(pa.array(["a", "b", "a", None]).dictionary_encode()),
)


@given(st.dictionaries(st.sampled_from([*FRAME.columns, "person_id", "vehicle_lane", "vehicle_edge"]), COLUMNS))
def test_parquet_columns(folder: Path, columns: dict[str, object]) -> None:
    """Columns of any type in the place of those that are due."""
    due = {name: pa.array(FRAME[name][:4].tolist()) for name in FRAME.columns}
    buffer = io.BytesIO()
    pq.write_table(pa.table({**due, **columns}), buffer)
    survives_file(read_fcd, folder / "c.parquet", buffer.getvalue())
