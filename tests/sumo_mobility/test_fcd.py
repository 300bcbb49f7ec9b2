"""Floating car data as SUMO, its tools and its users write it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sumo_mobility.base.errors import DataError
from sumo_mobility.contexts import Uniform
from sumo_mobility.fcd import read_fcd
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.pipeline import make_trace, road_network
from sumo_mobility.placing import placed
from sumo_mobility.sumo import run_sumo
from sumo_mobility.trace import MobilityTrace, TraceWarning


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


OPTIONS: dict[str, list[str]] = {
    "plain.xml": [],
    "plain.csv": [],
    "plain.csv.gz": [],
    "plain.parquet": [],
    "packed.gz": [],
    "clock.xml": ["--human-readable-time"],
    "clock.csv": ["--human-readable-time"],
    "clock.parquet": ["--human-readable-time"],
    "degrees.xml": ["--fcd-output.geo"],
    "degrees.csv": ["--fcd-output.geo"],
    "degrees.parquet": ["--fcd-output.geo"],
    "places.xml": ["--fcd-output.attributes", "x,y,vehicle"],
    "everything.xml": ["--fcd-output.attributes", "all", "--fcd-output.acceleration"],
    "unshifted.xml": ["--fcd-output.utm"],
}


@pytest.fixture(scope="module")
def habits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one simulation looks like with the options that users give: cars, walkers and a rider, of the same ids."""
    folder, network = tmp_path_factory.mktemp("fcd"), road_network("berlin-adlershof")
    edge = network.edge_ids[int((network.length_m * network.walkable).argmax())]
    (folder / "a.rou.xml").write_text(
        f"""<routes>
        <vehicle id="7" depart="0" departSpeed="9"><route edges="{edge}"/><stop edge="{edge}" until="99"/></vehicle>
        <vehicle id="007" depart="0" departPos="60"><route edges="{edge}"/><stop edge="{edge}" until="99"/></vehicle>
        <person id="7" depart="0"><walk edges="{edge}"/></person>
        <container id="7" depart="0"><tranship edges="{edge}" arrivalPos="-1"/></container>
        </routes>"""
    )
    for name, options in OPTIONS.items():
        more = ["--fcd-output", str(folder / name), *options, "--end", "31", "--no-warnings", "--no-step-log"]
        run_sumo("sumo", ["--net-file", str(network.file), "--route-files", str(folder / "a.rou.xml"), *more])
    return folder


@pytest.mark.sumo
@pytest.mark.parametrize("name", sorted(OPTIONS.keys() - {"plain.xml", "unshifted.xml"}))
def test_every_way_in_which_sumo_writes_it_gives_the_same_trace(habits: Path, name: str) -> None:
    """To a tenth of a metre, the last digit of SUMO's degrees; text tells persons from vehicles, and 7 from 007."""
    plain = placed(read_fcd(habits / "plain.xml"), "berlin-adlershof", habits)
    assert [stay.who for stay in plain.metadata.stays] == ["vehicle 007", "vehicle 7", "person 7"]
    assert plain.metadata.provenance["containers_left_out"] == 31
    trace = placed(read_fcd(habits / name), "berlin-adlershof", habits)
    assert trace.metadata.stays == plain.metadata.stays
    np.testing.assert_allclose(trace.position_m, plain.position_m, atol=0.15)
    if name != "places.xml":
        np.testing.assert_allclose(trace.speed_mps, plain.speed_mps, atol=0.01)
    assert trace.metadata.bounds_m == plain.metadata.bounds_m


@pytest.mark.sumo
def test_degrees_are_lengths_without_a_map_and_the_projection_is_told(habits: Path) -> None:
    plain, degrees = read_fcd(habits / "plain.xml"), read_fcd(habits / "degrees.xml")
    np.testing.assert_allclose(
        *(np.linalg.norm(t.position_m[-1] - t.position_m[0], axis=1) for t in (plain, degrees)), atol=0.3
    )
    assert degrees.metadata.projection.startswith("+proj=tmerc")
    assert np.abs(degrees.position_m.min(axis=(0, 1))).max() < 0.01
    with pytest.raises(DataError, match=r"5809 km apart, too far(.|\n)*cure: .*fcd-output\.utm shifts vehicles"):
        read_fcd(habits / "unshifted.xml")


def write_csv(path: Path, rows: list[tuple[object, ...]], columns: str = "time id x y speed angle") -> Path:
    names = {"time": "timestep_time"}
    frame = pd.DataFrame(rows, columns=[names.get(name, f"vehicle_{name}") for name in columns.split()])
    frame.to_csv(path, sep=";", index=False)
    return path


def test_cars_that_come_and_go_are_packed_into_slots(tmp_path: Path) -> None:
    """a leaves, c comes near where it left, b far away near d: the nearest takes a slot, which is held until then."""
    stays = {"a": (0, 4, 0.0), "b": (7, 12, 900.0), "c": (6, 9, 50.0), "d": (0, 6, 880.0), "e": (11, 12, 60.0)}
    rows = [
        (t, name, x + t, 0.0, 1.0, 90.0) for name, (first, last, x) in stays.items() for t in range(first, last + 1)
    ]
    path = write_csv(tmp_path / "cars.csv", sorted(rows, key=lambda row: row[0]))
    trace = read_fcd(path, pack=True)
    assert [(s.ue, s.who, s.begin_s, s.end_s) for s in trace.metadata.stays] == [
        (0, "vehicle a", 0, 4), (0, "vehicle c", 6, 9), (0, "vehicle e", 11, 12),
        (1, "vehicle d", 0, 6), (1, "vehicle b", 7, 12),
    ]  # fmt: skip
    assert np.argwhere(trace.held).tolist() == [[5, 0], [10, 0]]
    assert (trace.metadata.rows_filled, trace.metadata.jumps) == (2, 0)
    assert trace.position_m[:, 0, 0].tolist() == [0, 1, 2, 3, 4, 4, 56, 57, 58, 59, 59, 71, 72]
    assert trace.speed_mps[5, 0] == 0
    trace.write(tmp_path / "packed.parquet")
    np.testing.assert_array_equal(MobilityTrace.read(tmp_path / "packed.parquet").held, trace.held)


def test_a_slot_is_not_faster_than_a_network_can_follow(tmp_path: Path) -> None:
    """The next vehicle is 5 km away: the slot sets out in time, or stays if it comes too soon."""
    for pause in (0, 9):
        rows = [(t, "a", 1.0 * t, 0.0, 1.0, 90.0) for t in range(5)]
        rows += [(t, "b", 5000.0, 0.0, 0.0, 90.0) for t in range(5 + pause, 20)]
        trace = read_fcd(write_csv(tmp_path / "cars.csv", rows), pack=True)
        assert (trace.ues, trace.metadata.jumps) == (1 if pause else 2, 0)
    assert trace.position_m[:, 0, 0].round().tolist() == [*range(5), *[4] * 5, 1003, 2002, 3002, 4001, *[5000] * 6]
    assert trace.held[:, 0].sum() == 9


@settings(max_examples=40)
@given(st.data())
def test_a_slot_holds_one_vehicle_at_a_time_and_there_are_no_more_than_needed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    there = data.draw(arrays(np.bool_, (12, 6)).filter(lambda a: a.any(axis=1).all()))
    rows = [(t, str(v), 10.0 * v, float(t), 1.0, 0.0) for t, v in np.argwhere(there).tolist()]
    trace = read_fcd(write_csv(tmp_path_factory.mktemp("packed") / "cars.csv", rows), pack=True)
    assert trace.ues == there.sum(axis=1).max()
    assert (~trace.held).sum() == there.sum() == len(rows)
    seen = sorted((t, x / 10) for t, ue in np.argwhere(~trace.held).tolist() for x in [trace.position_m[t, ue, 0]])
    assert seen == sorted(map(tuple, np.argwhere(there).tolist()))


def test_speeds_that_are_not_told_are_those_of_the_way(tmp_path: Path) -> None:
    rows = [(t, "a", 10.0 * t, 5.0) for t in range(5)] + [(t, "b", 400.0, 5.0 + t) for t in range(5, 9)]
    trace = read_fcd(write_csv(tmp_path / "cars.csv", rows, "time id x y"), pack=True)
    assert trace.speed_mps[:, 0].tolist() == [10, 10, 10, 10, 10, 1, 1, 1, 1]
    assert trace.heading_deg[:, 0].tolist() == [90] * 5 + [0] * 4


def test_a_jump_is_flagged_and_said_on_reading(tmp_path: Path) -> None:
    rows = [(t, "a", 10.0 * t + 778 * (t > 3), 5.0, 10.0, 90.0) for t in range(9)]
    trace = read_fcd(write_csv(tmp_path / "cars.csv", rows))
    assert trace.metadata.jumps == 1
    assert trace.warning.startswith("position_m of UE 0 jumps by 788 m at time_s = 3")
    trace.write(tmp_path / "a.parquet")
    with pytest.warns(TraceWarning, match="UE 0 jumps by 788 m"):
        assert MobilityTrace.read(tmp_path / "a.parquet").metadata.jumps == 1


@pytest.mark.parametrize(
    ("habit", "change"),
    [
        ("commas", lambda text: text.replace(";", ",")),
        ("tabs", lambda text: text.replace(";", "\t")),
        ("decimal commas", lambda text: text.replace(".", ",")),
        ("a byte order mark", lambda text: "\ufeff" + text),
        ("line ends of Windows", lambda text: text.replace("\n", "\r\n")),
    ],
)
def test_tables_of_other_programs(tmp_path: Path, habit: str, change: Callable[[str], str]) -> None:
    path = write_csv(tmp_path / "a.csv", [(t / 2, "NA", 10.5 * t, 5.0, 21.0, 90.0) for t in range(9)])
    plain = read_fcd(path)
    assert plain.metadata.stays[0].who == "vehicle NA"
    path.write_bytes(change(path.read_text()).encode())
    np.testing.assert_array_equal(read_fcd(path).position_m, plain.position_m)


def xml(*steps: str) -> bytes:
    times = "".join(f'<timestep time="{t}">{step}</timestep>' for t, step in enumerate(steps))
    return f"<fcd-export>{times}</fcd-export>".encode()


CAR = '<vehicle id="a" x="1" y="2"/>'


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "no such file"),
        ("cars.txt", b"x", "not a kind of file"),
        ("cars.csv", b"a;b\n1;2\n", "has no columns timestep_time"),
        ("cars.csv", b"timestep_time;vehicle_id;vehicle_x;vehicle_y\n1;a;2;3;4\n", "damaged .*4 columns, got 5"),
        ("cars.csv", b"timestep_time;vehicle_id;vehicle_x;vehicle_y\n1;a;2;here\n", "vehicle_y: not all values are"),
        ("cars.csv", b"timestep_time;vehicle_id;vehicle_x;vehicle_y\n1:2;a;2;3\n", "timestep_time is no time"),
        ("cars.csv", b"timestep_time;vehicle_id;vehicle_x;vehicle_y\n1;a;;3\n", "'x' of vehicle 'a' is not finite, or"),
        ("cars.parquet", b"PAR1", "damaged"),
        ("cars.xml", b"<fcd-export><timestep time='0'>", "damaged"),
        ("cars.xml.gz", b"no gzip", "damaged"),
        ("cars.xml.gz", gzip.compress(xml(CAR) * 99)[:-9], "damaged"),
        ("cars.xml.gz", lambda: gzip.compress(b"<fcd-export>" + b" " * (101 << 20)), "more than 200 times its size"),
        ("cars.xml", b'<!DOCTYPE a [<!ENTITY b "c">]><fcd-export>&b;</fcd-export>', "declares an entity"),
        ("cars.xml", xml("<vehicle id='a' x='1'/>"), "vehicle 'a' at 0 s lacks the attribute 'y'"),
        ("cars.xml", xml(CAR, CAR + CAR), "vehicle 'a' is there twice at 1 s"),
        ("cars.xml", xml("<container id='a' x='1' y='2'/>"), "holds no vehicle"),
        ("cars.xml", xml('<vehicle id="a" x="inf" y="2"/>'), "'x' of vehicle 'a' is not finite"),
        ("cars.xml", xml(CAR, CAR), "could be metres or degrees"),
        ("cars.xml", xml(CAR, '<vehicle id="a" x="3e8" y="2"/>'), "km apart, too far"),
        ("cars.xml", xml(CAR, '<vehicle id="a" x="3000" y="2"/>'), "jumps by 2999 m at time_s = 0, faster than"),
        ("cars.xml", b"<fcd-export/>", "holds no vehicle"),
    ],
)
def test_other_files_are_refused(
    tmp_path: Path, name: str, content: bytes | Callable[[], bytes] | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content() if callable(content) else content)
    with pytest.raises(DataError, match=message) as error:
        read_fcd(tmp_path / name)
    assert error.value.cure


def test_a_time_in_which_nobody_stays_is_refused_with_one_in_which_some_do(tmp_path: Path) -> None:
    rows = [(float(t), "de"[t % 2], 10.0 * t, 5.0, 10.0, 90.0) for t in range(21)]
    path = write_csv(tmp_path / "cars.csv", rows)
    with pytest.raises(DataError, match=r"none is there from 0 to 20 s\n.*--pack(.|\n)*most, 1, are there at"):
        read_fcd(path)
    write_csv(path, rows[:7] + rows[8:])
    with pytest.raises(DataError, match=r"1 of 21 steps hold nobody, the first at 7 s"):
        read_fcd(path)
    assert read_fcd(path, pack=True).held.sum() == 1
    write_csv(path, [(row[0] + 0.3 * (row[0] == 7), *row[1:]) for row in rows])
    with pytest.raises(DataError, match=r"do not come in equal steps of time \(0.7 s, but for 1 s\)"):
        read_fcd(path)
    with pytest.raises(DataError, match="holds 0 to 20 s, not 5 to 50 s"):
        read_fcd(path, 5, 50)


@pytest.mark.sumo
def test_a_trace_of_another_map_is_refused(habits: Path) -> None:
    for name in ("helsinki-centre", "open:500x500"):
        with pytest.raises(DataError, match=f"is not on {name}: .*(.|\n)*cure: --map"):
            placed(read_fcd(habits / "plain.xml"), name, habits)
    with pytest.raises(DataError, match="has degrees, but open:500x500 is nowhere on Earth"):
        placed(read_fcd(habits / "degrees.xml"), "open:500x500", habits)
