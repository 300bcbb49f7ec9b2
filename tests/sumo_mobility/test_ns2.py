"""ns-2 movements against their real peers: ns-3's reader, SUMO's exporter, and what others are known to write."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import DataError
from sumo_mobility.ns2 import read_ns2, write_ns2
from sumo_mobility.sumo import sumo_home
from sumo_mobility.trace import MobilityTrace, TraceMetadata

SDK = Path(__file__).parents[2] / "build" / "ns3-sdk-3.44" / "ns3"
PRINT_POSITIONS = """
#include "ns3/core-module.h"
#include "ns3/mobility-module.h"
#include "ns3/network-module.h"
#include <cstdio>
using namespace ns3;
int main(int, char** argv)
{
    NodeContainer nodes;
    nodes.Create(std::stoi(argv[2]));
    Ns2MobilityHelper(argv[1]).Install();
    for (int half = 0; half <= 2 * std::stoi(argv[3]); ++half)
    {
        Simulator::Schedule(MilliSeconds(500 * half), [&nodes] {
            for (uint32_t i = 0; i < nodes.GetN(); ++i)
            {
                const Vector p = nodes.Get(i)->GetObject<MobilityModel>()->GetPosition();
                std::printf("%.9g %.9g\\n", p.x, p.y);
            }
        });
    }
    Simulator::Stop(Seconds(std::stoi(argv[3]) + 1));
    Simulator::Run();
}
"""


def wandering(steps: int = 30, ues: int = 5, seed: int = 1, step_s: float = 1.0) -> MobilityTrace:
    """UEs that walk, stand and turn back."""
    random = np.random.default_rng(seed)
    moves = random.uniform(-15, 15, (steps, ues, 2)) * (random.random((steps, ues, 1)) > 0.3)
    position_m = 300 + np.concatenate([np.zeros((1, ues, 2)), moves.cumsum(axis=0)])
    still = np.zeros((steps + 1, ues))
    metadata = TraceMetadata(
        source="test", map_name="m", licence="none", attribution="nobody", seed=0, context="c",
        bounds_m=(0, 0, 600, 600),
    )  # fmt: skip
    return MobilityTrace(np.arange(steps + 1) * step_s, position_m, still, still, metadata)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ns-3's own reader, which prints positions every half second."""
    folder = tmp_path_factory.mktemp("ns3")
    source, program, libraries = folder / "print.cc", folder / "print", SDK / "lib64"
    source.write_text(PRINT_POSITIONS)
    names = [f"-lns3.44-{name}" for name in ("mobility", "network", "core")]
    command = ["c++", "-std=c++20", "-O0", f"-I{SDK / 'include'}", str(source), "-o", str(program)]
    subprocess.run(
        [*command, f"-L{libraries}", f"-Wl,-rpath,{libraries}", f"-Wl,-rpath-link,{libraries}", *names],
        check=True, timeout=300,
    )  # fmt: skip
    return program


def read_by_ns3(program: Path, file: Path, nodes: int, seconds: int) -> Floats:
    """Positions every half second, (2 * seconds + 1, nodes, 2)."""
    done = subprocess.run(
        [str(program), str(file), str(nodes), str(seconds)], check=True, capture_output=True, text=True, timeout=60
    )
    return np.array(done.stdout.split(), dtype=np.float64).reshape(2 * seconds + 1, nodes, 2)


@pytest.mark.ns3
def test_ns3_reads_the_movements_as_they_are(program: Path, tmp_path: Path) -> None:
    """At the knots and half-way between, to a micrometre or two of rounding."""
    trace = wandering()
    write_ns2(trace, tmp_path / "movements.tcl")
    seen = read_by_ns3(program, tmp_path / "movements.tcl", trace.ues, 30)
    assert np.abs(seen - trace.position_at(np.arange(61) / 2)).max() < 1e-4


@pytest.mark.ns3
def test_movements_of_others_are_read_as_ns3_reads_them(program: Path, tmp_path: Path) -> None:
    """Nodes that are told something else on their way, that stop at speed 0, and that have arrived."""
    random = np.random.default_rng(2)
    lines = [f"$node_({i}) set {axis}_ {random.uniform(0, 99):.3f}\n" for i in range(6) for axis in "XY"]
    for node in range(6):
        for at_s in np.sort(random.choice(np.arange(1, 50), 12, replace=False)) / 2:
            x, y, speed = *random.uniform(0, 99, 2), random.choice([0.0, 2.0, 20.0])
            lines.append(f'$ns_ at {at_s} "$node_({node}) setdest {x:.3f} {y:.3f} {speed}"\n')
    (tmp_path / "movements.tcl").write_text("".join(lines))
    trace = read_ns2(tmp_path / "movements.tcl", end_s=30)
    assert trace.step_s == 0.5
    np.testing.assert_allclose(read_by_ns3(program, tmp_path / "movements.tcl", 6, 30), trace.position_m, atol=1e-5)


@pytest.mark.sumo
def test_what_sumos_exporter_wrote_is_read(tmp_path: Path) -> None:
    """It makes a node set out for where it should be already: it is behind by a step, and there in the end."""
    cars = "".join(
        f'<timestep time="{t}.00"><vehicle id="a" x="{10 * t}" y="7" speed="10"/></timestep>' for t in range(9)
    )
    (tmp_path / "fcd.xml").write_text(f"<fcd-export>{cars}</fcd-export>")
    exporter, out = sumo_home() / "tools" / "traceExporter.py", tmp_path / "movements.tcl"
    command = [
        sys.executable,
        str(exporter),
        "--fcd-input",
        str(tmp_path / "fcd.xml"),
        "--ns2mobility-output",
        str(out),
    ]
    subprocess.run(command, check=True, env={"SUMO_HOME": str(sumo_home())}, timeout=60)
    trace = read_ns2(out)
    assert trace.position_m[:, 0, 0].tolist() == [0, 0, 10, 20, 30, 40, 50, 60, 70, 80]
    assert set(trace.position_m[:, 0, 1]) == {7}


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(2, 12), st.integers(1, 7), st.sampled_from([0.1, 0.5, 1.0, 3.0]))
def test_what_was_exported_is_imported(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: int, ues: int, step_s: float
) -> None:
    """At the knots, also where nobody moves at the end."""
    trace, file = wandering(steps, ues, seed, step_s), tmp_path_factory.mktemp("ns2") / "a.tcl"
    write_ns2(trace, file)
    read = read_ns2(file)
    np.testing.assert_allclose(read.position_m, trace.position_m, atol=1e-5)
    np.testing.assert_allclose(read.time_s, trace.time_s, atol=1e-9)


HABITS = """# set-dest and such: ns-2's setdest
$god_ set-dist 0 1 2
  $node_(10)   set  X_\t5 ;# a comment
$node_(10) set Y_ 0.0;
$node_(10) set Z_ 1.5
$n2 set X_ 1e1
$n2 set Y_ 0
$node_(2) set X_ 0
$node_(2) set Y_ 0
$ns_ at 1.0 "$god_ set-dist 1 2 3"
$ns at 0.0 "$node_(148) off"
# $ns_ at 0.0 "$node_(2) setdest 99 99 99"
$ns_ at 2 {$node_(2) setdest 6 0 2}
$ns at 1.00000 " $n2 setdest 10 4 1.0 "
$ns_ at 3.0 "$node_(10) setdest 5 0 7 3.5"
$ns_ at 4.0 "$node_(10) set X_ 8"
"""
"""Of three writers: names, braces, blanks, three coordinates, and positions that are set on the way."""


@pytest.mark.parametrize("name", ["a.tcl", "b.ns_movements", "c.tcl.gz"])
def test_the_habits_of_others_are_borne(tmp_path: Path, name: str) -> None:
    text = HABITS.replace("\n", "\r\n").encode() if name.startswith("b") else HABITS.encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    trace = read_ns2(tmp_path / name)
    assert [stay.who for stay in trace.metadata.stays] == ["n2", "node_(2)", "node_(10)"]
    assert trace.duration_s == 5
    assert trace.position_m[:, 0].tolist() == [[10, y] for y in (0, 0, 1, 2, 3, 4)]
    assert trace.position_m[:, 1, 0].tolist() == [0, 0, 0, 2, 4, 6]
    assert trace.position_m[:, 2, 0].tolist() == [5, 5, 5, 5, 8, 8]
    cut = read_ns2(tmp_path / name, 2, 4)
    np.testing.assert_array_equal(cut.position_m, trace.position_m[2:5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("", "moves no node"),
        ("$node_(0) set X_ 1\n", r"\$node_\(0\) has no first position"),
        ('$ns at [expr 5] "$node_(0) setdest 1 2 3"\n', "line 1: '.expr' is not a number|no plain one"),
        (
            '$node_(0) set X_ 1\nfor {} {} {$ns at 3 "$node_($i) setdest 1 2 3"}\n',
            "line 2: a movement that is no",
        ),
        ('$ns_ at 1 "$node_(0) setdest 1 2"\n', "line 1: setdest takes x, y and a speed"),
        ('$ns_ at 1 "$node_(0) setdest 1 nan 3"\n', "line 1: 'nan' is not a number"),
        ('$ns_ at -1 "$node_(0) setdest 1 2 3"\n', "line 1: time -1 is before 0"),
        ("$node_(0) set X_ 1\n$node_(0) set Y_ 1\n", "nobody is told to move"),
        ('$node_(0) set X_ 1\n$node_(0) set Y_ 1\n$ns at 1e8 "$node_(0) setdest 9 9 1"\n', "more than 20000000 rows"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "a.tcl").write_text(text)
    with pytest.raises(DataError, match=message) as error:
        read_ns2(tmp_path / "a.tcl")
    assert error.value.cure
