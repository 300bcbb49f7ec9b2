"""ns-2 movements that are damaged or hostile."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from harness import hostile, survives_file
from hypothesis import example, given
from hypothesis import strategies as st

from sumo_mobility.ns2 import read_ns2

MOVES = b"""# knots: 0 to 3 s in steps of 0.5 s
$node_(0) set X_ 1.5
$node_(0) set Y_ 2
$node_(0) set Z_ 0
$n1 set X_ 3
$n1 set Y_ 4
$ns_ at 0.5 "$node_(0) setdest 9 9 3.5"
$ns at 1 {$n1 setdest 5 5 0 1}
$ns_ at 2.0 "$n1 set X_ 7"
$god_ set-dist 0 1 1
"""
TOKENS = (
    b"$node_(0)",
    b"$node_(99999999999999999999)",
    b"setdest ",
    b"set X_ ",
    b"$ns_ at 1e300 ",
    b"[expr 1]",
    b"$i",
    b"# knots: ",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ns2")


@given(hostile([MOVES], TOKENS), st.booleans())
@example(MOVES.replace(b"0.5 s", b"1e-3 s").replace(b"to 3 s", b"to 1e300 s"), False)
@example(MOVES.replace(b" 3.5", b" 1e-300"), False)
@example(MOVES.replace(b"$n1", b"$n" + b"1" * 5000), False)
@example(MOVES.replace(b"$n1", b"$n" + b"A" * 5000 + b"1"), False)
@example(MOVES.replace(b"9 9", b"1e308 -1e308"), False)
def test_movements(folder: Path, content: bytes, packed: bool) -> None:
    path = folder / ("a.tcl.gz" if packed else "a.tcl")
    survives_file(read_ns2, path, gzip.compress(content) if packed else content)
