"""Exports and imports against their real peers: ns-3's reader of ns-2 movements, and SUMO's own floating car data."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sumo_mobility.base.errors import DataError
from sumo_mobility.contexts import MobilityConfig, Uniform
from sumo_mobility.exchange import read_fcd, write_ns2
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


def wandering(steps: int = 30, ues: int = 5, seed: int = 1) -> MobilityTrace:
    """UEs that walk, stand and turn back."""
    random = np.random.default_rng(seed)
    moves = random.uniform(-15, 15, (steps, ues, 2)) * (random.random((steps, ues, 1)) > 0.3)
    position_m = 300 + np.concatenate([np.zeros((1, ues, 2)), moves.cumsum(axis=0)])
    still = np.zeros((steps + 1, ues))
    metadata = TraceMetadata(
        source="test", map_name="m", licence="none", attribution="nobody", seed=0, context="c",
        bounds_m=(0, 0, 600, 600),
    )  # fmt: skip
    return MobilityTrace(np.arange(steps + 1.0), position_m, still, still, metadata)


@pytest.mark.ns3
def test_ns3_reads_the_movements_as_they_are(tmp_path: Path) -> None:
    """At the knots and half-way between, to a micrometre or two of rounding."""
    trace = wandering()
    write_ns2(trace, tmp_path / "movements.tcl")
    source, program, libraries = tmp_path / "print.cc", tmp_path / "print", SDK / "lib64"
    source.write_text(PRINT_POSITIONS)
    names = [f"-lns3.44-{name}" for name in ("mobility", "network", "core")]
    command = ["c++", "-std=c++20", "-O0", f"-I{SDK / 'include'}", str(source), "-o", str(program)]
    subprocess.run(
        [*command, f"-L{libraries}", f"-Wl,-rpath,{libraries}", f"-Wl,-rpath-link,{libraries}", *names],
        check=True, timeout=300,
    )  # fmt: skip
    done = subprocess.run(
        [str(program), str(tmp_path / "movements.tcl"), str(trace.ues), "30"],
        check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    seen = np.array(done.stdout.split(), dtype=np.float64).reshape(61, trace.ues, 2)
    assert np.abs(seen - trace.position_at(np.arange(61) / 2)).max() < 1e-4


def fcd(tmp_path: Path, seconds: int = 20) -> pd.DataFrame:
    """Floating car data as SUMO writes them: a and b stay, c comes late."""
    names = ("timestep_time", "vehicle_id", "vehicle_x", "vehicle_y", "vehicle_speed", "vehicle_angle")
    rows = [
        (float(t), name, 10.0 * t + k, 5.0, 10.0, 90.0)
        for t in range(seconds + 1)
        for k, name in enumerate("abc")
        if name != "c" or t > 5
    ]
    return pd.DataFrame(rows, columns=names)


@pytest.mark.parametrize("kind", ["csv", "parquet", "xml", "xml.gz"])
def test_floating_car_data_of_every_kind(tmp_path: Path, kind: str) -> None:
    frame, path = fcd(tmp_path), tmp_path / f"cars.{kind}"
    if kind == "csv":
        frame.to_csv(path, sep=";", index=False)
    elif kind == "parquet":
        frame.to_parquet(path)
    else:
        steps = "".join(
            f'<timestep time="{t:.2f}">'
            + "".join(
                f'<vehicle id="{r.vehicle_id}" x="{r.vehicle_x}" y="{r.vehicle_y}" angle="{r.vehicle_angle}" '
                f'type="car" speed="{r.vehicle_speed}" pos="1" lane="e_0" slope="0"/>'
                for r in rows.itertuples()
            )
            + "</timestep>"
            for t, rows in frame.groupby("timestep_time")
        )
        text = f"<fcd-export>{steps}</fcd-export>".encode()
        path.write_bytes(gzip.compress(text) if kind.endswith("gz") else text)
    trace = read_fcd(path)
    assert (trace.ues, trace.duration_s) == (2, 20)  # c came late
    assert trace.position_m[:, 1, 0] == pytest.approx(10.0 * np.arange(21) + 1)
    assert read_fcd(path, begin_s=6).ues == 3


@pytest.mark.sumo
def test_what_sumo_wrote_is_read_as_the_trace_that_it_became(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sumo_mobility import simulate
    from sumo_mobility.pipeline import make_trace

    kept = tmp_path / "fcd.parquet"
    run_sumo = simulate.run_sumo

    def keep(program: str, arguments: list[str], **options: object) -> None:
        run_sumo(program, arguments, **options)  # type: ignore[arg-type]
        kept.write_bytes(Path(arguments[arguments.index("--fcd-output") + 1]).read_bytes())

    monkeypatch.setattr(simulate, "run_sumo", keep)
    config = MobilityConfig(ues=12, duration_s=10, settle_s=60, train_contexts=(Uniform(),), test_contexts=(Uniform(),))
    made = make_trace(config, Uniform(), 3)
    order = np.argsort([str(ue) for ue in range(12)])
    read = read_fcd(kept)
    offset_m = made.position_m[0, order[0]] - read.position_m[0, 0]
    assert read.position_m + offset_m == pytest.approx(made.position_m[:, order], abs=1e-6)
    assert read.speed_mps == pytest.approx(made.speed_mps[:, order])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "no such file"),
        ("cars.txt", b"x", "not a kind of file"),
        ("cars.csv", b"a;b\n1;2\n", "has no columns timestep_time"),
        ("cars.parquet", b"PAR1", "damaged"),
        ("cars.xml", b"<fcd-export><timestep time='0'>", "damaged"),
        ("cars.xml.gz", b"no gzip", "damaged"),
        ("cars.xml", b"<fcd-export><timestep time='0'><vehicle id='a' x='1'/></timestep></fcd-export>", "lacks"),
        ("cars.xml", b"<fcd-export/>", "holds no vehicle"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_fcd(tmp_path / name)


def test_a_time_in_which_nobody_stays_is_refused_with_one_in_which_some_do(tmp_path: Path) -> None:
    frame = fcd(tmp_path)
    even = frame["timestep_time"] % 2 == 0
    comes_and_goes = frame.assign(vehicle_id=np.where(even, "d", "e"))
    comes_and_goes.to_csv(tmp_path / "cars.csv", sep=";", index=False)
    with pytest.raises(DataError, match=r"none is there from 0 to 20 s\n.*most, 1, are there at"):
        read_fcd(tmp_path / "cars.csv")
    frame.drop(index=frame.index[frame["timestep_time"] == 7]).to_csv(tmp_path / "cars.csv", sep=";", index=False)
    with pytest.raises(DataError, match="do not come in equal steps"):
        read_fcd(tmp_path / "cars.csv")
    with pytest.raises(DataError, match="holds 0 to 20 s, not 5 to 50 s"):
        read_fcd(tmp_path / "cars.csv", 5, 50)
