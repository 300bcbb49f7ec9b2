"""Tables of measurements: what they say is kept, and what cannot be is refused by file, row and column."""

from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_episodes as made
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_augment.agreement import agreement
from cf_augment.augment import logged_traces
from cf_augment.dataset import Dataset, Episode, read_dataset, write_dataset, write_episode
from cf_augment.measurements import Measurements, missing
from ns3_scenarios.kpis import KPI_AXES
from ns3_scenarios.mdp import OBSERVATIONS, REWARDS, cio_from_action, observation_needs, observe, reward, reward_needs
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.open_ground import OpenGround
from sumo_mobility.streets import StreetMap

SITES_M = [(300.0, 300.0), (1100.0, 300.0), (700.0, 1000.0)]
GROUND = OpenGround.parse("open:1400x1200").streets
UES = 4


def network(**fields: Any) -> Scenario:
    """Three cells and UES UEs, counted every 900 s."""
    episode = {"steps": 10, "control_interval_s": 900, "warmup_s": 901}
    contexts = [{"name": "uniform"}]
    mobility = {"ues": UES, "duration_s": 9000, "train_contexts": contexts, "test_contexts": contexts}
    given = {"observation": "cell-load", "handover_cost": 0, "episode": episode, "mobility": mobility} | fields
    return Scenario.place(made.preset(**given), SITES_M)


def cells(intervals: int = 4, **columns: Any) -> pd.DataFrame:
    """Counters of intervals that follow each other, from 900 s on."""
    rng = np.random.default_rng(intervals)
    rows = [(900.0 * k, str(c)) for k in range(1, intervals + 1) for c in range(3)]
    frame = pd.DataFrame(rows, columns=["time_s", "cell"])
    return frame.assign(prb_utilization=rng.uniform(0, 1, len(rows)), **columns)


def offsets(place: Scenario, cio_db: float = 1.5) -> pd.DataFrame:
    """One offset of each pair, in force all the time."""
    rows = [(900.0, str(i), str(j), cio_db) for i, j in place.neighbor_pairs]
    return pd.DataFrame(rows, columns=["time_s", "serving_cell", "neighbor_cell", "cio_db"])


def reports(intervals: int = 4, **columns: Any) -> pd.DataFrame:
    """What each UE reports at the end of each interval, of all cells."""
    rng = np.random.default_rng(intervals)
    rows = [
        (900.0 * k, f"ue {u}", str((k + u) % 3), str(c))
        for k in range(1, intervals + 1)
        for u in range(UES)
        for c in range(3)
    ]
    frame = pd.DataFrame(rows, columns=["time_s", "ue", "serving_cell", "cell"])
    return frame.assign(rsrp_dbm=rng.uniform(-120, -60, len(rows)), **columns)


def read(
    folder: Path,
    place: Scenario,
    counted: pd.DataFrame,
    in_force: pd.DataFrame | None = None,
    reported: pd.DataFrame | None = None,
    street_map: StreetMap = GROUND,
    **options: Any,
) -> Measurements:
    """Writes the tables as CSV, and reads them."""
    counted.to_csv(folder / "cells.csv", index=False)
    (offsets(place) if in_force is None else in_force).to_csv(folder / "offsets.csv", index=False)
    if reported is not None:
        reported.to_csv(folder / "reports.csv", index=False)
    path = folder / "reports.csv" if reported is not None else None
    return Measurements.read(place, street_map, folder / "cells.csv", folder / "offsets.csv", path, **options)


def test_an_episode_has_what_the_tables_say(tmp_path: Path) -> None:
    place, counted = network(), cells(4, connected_ues=3.0)
    in_force = pd.concat(
        [offsets(place), pd.DataFrame([(2700.0, "1", "0", -4.0)], columns=offsets(place).columns)], ignore_index=True
    )
    (episode,) = read(tmp_path, place, counted, in_force).episodes()
    assert (episode.steps, episode.trace, episode.metadata.provenance.kind) == (3, None, "measured")
    np.testing.assert_array_equal(episode.kpis.prb_utilization.ravel(), counted["prb_utilization"])
    np.testing.assert_array_equal(episode.kpis.time_s, [0, 900, 1800, 2700])
    assert (episode.kpis.connected_ues == 3).all()
    assert np.isnan(episode.kpis.offered_bps).all()
    changed = place.neighbor_pairs.index((1, 0))
    cio_db = np.full((4, 6), 1.5)
    cio_db[2:, changed] = -4  # in the intervals that end at 2700 s and later
    np.testing.assert_allclose(cio_from_action(place, episode.actions), cio_db[1:], atol=1e-6)
    np.testing.assert_allclose(episode.observations, observe(place, episode.kpis, cio_db), rtol=1e-6)
    np.testing.assert_allclose(episode.rewards, -episode.kpis.prb_utilization[1:].std(axis=1), rtol=1e-6)
    assert not episode.metadata.synthetic


def test_measured_episodes_survive_the_disk(tmp_path: Path) -> None:
    """With and without positions, beside logged ones, and those whose offsets begin at 0 dB."""
    place = network(observation="rsrp-matrix", episode={"steps": 5})
    counted, in_force = cells(9), offsets(place)
    counted["time_s"], in_force["time_s"] = counted["time_s"] / 900, 1.0
    counted = counted[counted["time_s"] != 5]  # two episodes
    reported = reports(9, x_m=100.0, y_m=200.0).assign(time_s=lambda frame: frame["time_s"] / 900)
    with_positions = list(read(tmp_path, place, counted, in_force, reported).episodes())
    without = [dataclasses.replace(one, trace=None) for one in with_positions]
    zeros = [
        dataclasses.replace(one, metadata=one.metadata.model_copy(update={"trace_name": f"zeros-{index}"}))
        for index, one in enumerate(
            read(tmp_path, place, counted, in_force.assign(cio_db=0.0), reported).episodes(steps=2)
        )
    ]
    episodes = [*with_positions, made.episode(place, 1), *without, *zeros]
    write_dataset(tmp_path / "d.h5", place, episodes)
    again = read_dataset(tmp_path / "d.h5")
    for got, wanted in zip(again.episodes, episodes, strict=True):
        for name in ("observations", "actions", "rewards", "event_start"):
            np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name), err_msg=name)
        for name in KPI_AXES:
            np.testing.assert_array_equal(getattr(got.kpis, name), getattr(wanted.kpis, name), err_msg=name)
        assert (got.trace is None) == (wanted.trace is None)
        assert got.metadata == wanted.metadata
        assert got.unknown == wanted.unknown
        if wanted.first_action is None or not wanted.first_action.any():
            assert got.first_action is None
        else:
            np.testing.assert_array_equal(got.first_action, wanted.first_action)


def test_a_file_that_lost_its_kpis_is_refused(tmp_path: Path) -> None:
    """NaN may stand where nobody measured, not where an observation needs it, nor in what was simulated."""
    import h5py

    place = network()
    write_dataset(tmp_path / "m.h5", place, read(tmp_path, place, cells()).episodes())
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file["kpis/prb_utilization"][1, 2] = np.nan
    with pytest.raises(DataError, match=r"m\.h5: observations\[1, 2\]: is"):
        read_dataset(tmp_path / "m.h5")
    logged = made.scenario()
    write_dataset(tmp_path / "l.h5", logged, [made.episode(logged, 1)])
    with h5py.File(tmp_path / "l.h5", "r+") as file:
        file["kpis/ue_sinr_db"][1, 2] = np.nan
    with pytest.raises(DataError, match=r"kpis/ue_sinr_db\[1, 2\]: is nan, not a finite number"):
        read_dataset(tmp_path / "l.h5")
    write_dataset(tmp_path / "t.h5", logged, [made.episode(logged, 1)])
    with h5py.File(tmp_path / "t.h5", "r+") as file:
        file["episodes/trace"][0] = -1
    with pytest.raises(DataError, match=r"episodes/trace\[0\]: -1 is not the trace"):
        read_dataset(tmp_path / "t.h5")


@settings(max_examples=15)
@given(steps=st.integers(1, 5), gaps=st.sets(st.integers(2, 11), max_size=4))
def test_gaps_part_episodes_and_cuts_lose_no_step(
    tmp_path_factory: pytest.TempPathFactory, steps: int, gaps: set[int]
) -> None:
    place, folder = network(), tmp_path_factory.mktemp("gaps")
    counted = cells(12)
    left = counted[~(counted["time_s"] / 900).isin(gaps)]
    times = sorted(set((left["time_s"] / 900).astype(int)))
    pairs = {(k, k + 1) for k in times if k + 1 in times}
    if not pairs:
        return
    measured = read(folder, place, left)
    found, lengths = set(), []
    for episode in measured.episodes(steps):
        first = round(float(episode.metadata.trace_name.removeprefix("cells-").removesuffix("s")) / 900)
        found |= {(first + step, first + step + 1) for step in range(episode.steps)}
        lengths.append(episode.steps)
        for step in range(episode.steps + 1):
            row = left[left["time_s"] == 900.0 * (first + step)]
            np.testing.assert_array_equal(episode.kpis.prb_utilization[step], row["prb_utilization"])
    assert (found, sum(lengths)) == (pairs, len(pairs))
    assert max(lengths) <= steps
    alone = {k for k in times if not {(k - 1, k), (k, k + 1)} & pairs}
    assert measured.intervals.alone == len(alone)


def test_any_form_of_a_table_says_the_same(tmp_path: Path) -> None:
    """Separators, decimal commas, percent, dates with an offset from UTC, byte order marks, gzip, Parquet."""
    place, names = network(), ["west", "east", "north"]
    counted, in_force = cells(4), offsets(place, -2.5)
    plain = next(read(tmp_path, place, counted, in_force).episodes())
    dates = pd.to_datetime(counted["time_s"], unit="s", utc=True)
    named = counted.assign(cell=counted["cell"].map(lambda cell: names[int(cell)]), vendor="x").drop(columns="time_s")
    percent = named.drop(columns="prb_utilization").assign(
        **{"PRB_Utilization_percent": 100 * named["prb_utilization"]}
    )
    forces = in_force.drop(columns="time_s").replace({str(k): name for k, name in enumerate(names)})
    dated = percent.assign(time=dates.dt.tz_convert("Europe/Helsinki").map(lambda date: date.isoformat()))
    dated.to_csv(tmp_path / "a.csv", sep=";", decimal=",", index=False, encoding="utf-8-sig")
    forces.assign(time="1970-01-01T00:15").to_csv(tmp_path / "a.tsv", sep="\t", index=False, encoding="utf-16")
    percent.assign(time=dates).to_parquet(tmp_path / "b.parquet", index=False)
    text = forces.assign(time="1970-01-01 00:15:00Z").to_csv(sep="|", index=False)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(f"sep=|\n\n{text}".encode()))
    for one, other in (("a.csv", "a.tsv"), ("b.parquet", "b.csv.gz")):
        measured = Measurements.read(place, GROUND, tmp_path / one, tmp_path / other, cell_names=names)
        episode = next(measured.episodes())
        np.testing.assert_allclose(episode.kpis.prb_utilization, plain.kpis.prb_utilization, rtol=1e-12)
        np.testing.assert_array_equal(episode.actions, plain.actions)
        assert episode.metadata.trace_name == f"{one[0]}-1970-01-01T00:15:00Z"
        assert measured.unused == {str(tmp_path / one): ("vendor",)}


def test_reports_become_kpis_and_ways(tmp_path: Path) -> None:
    """The last report in an interval says where a UE is, the mean of all what it got."""
    place = network(observation="cell-kpi", reward={"blocked": 1}, handover_cost=0.1)
    counted = cells(3, served_bps=1e6, connected_ues=2.0, handovers=[1, 0, 2] * 3)
    late = reports(3, throughput_bps=3e5, x_m=lambda frame: frame["time_s"] / 9, y_m=50.0)
    early = late.assign(time_s=late["time_s"] - 400, rsrp_dbm=-100.0, throughput_bps=1e5, serving_cell="0", x_m=0.0)
    outside = late[late["time_s"] == 2700].assign(time_s=5000.0)
    both = pd.concat([early, late, outside]).sort_values("time_s", kind="stable")
    measured = read(tmp_path, place, counted, None, both)
    (episode,) = measured.episodes()
    np.testing.assert_array_equal(episode.kpis.ue_rsrp_dbm.ravel(), late["rsrp_dbm"])
    np.testing.assert_array_equal(episode.kpis.ue_serving_cell, [[(k + u) % 3 for u in range(4)] for k in (1, 2, 3)])
    assert (episode.kpis.ue_throughput_bps == 2e5).all()
    np.testing.assert_array_equal(episode.kpis.ue_position_m[:, 0, 0], [100, 200, 300])
    assert episode.trace is not None
    np.testing.assert_array_equal(episode.trace.position_m, episode.kpis.ue_position_m)
    np.testing.assert_array_equal(episode.kpis.handovers, [3, 3, 3])
    np.testing.assert_allclose(episode.rewards, reward(place, episode.kpis)[1:], rtol=1e-6)
    assert measured.ues.left_out == UES
    assert set(measured.unknown) == {"offered_bps", "ue_sinr_db", "events"}
    lacking = missing(place, measured.unknown)
    assert [use for use, names in lacking.items() if names] == ["counts of handovers and failures"]


def test_degrees_are_projected_as_the_map_is(tmp_path: Path) -> None:
    """Where the equator meets the central meridian of zone 35, easting and northing are 500 km and 0."""
    street_map = dataclasses.replace(
        GROUND, projection="+proj=utm +zone=35 +datum=WGS84", net_offset_m=(-499_500.0, 400.0)
    )
    place = network()
    (episode,) = read(tmp_path, place, cells(), None, reports(lon=27.0, lat=0.0), street_map).episodes()
    np.testing.assert_allclose(episode.kpis.ue_position_m, np.broadcast_to([500.0, 400.0], (4, 4, 2)), atol=1e-3)
    with pytest.raises(DataError, match=r"reports\.csv, line 2, column lon and lat: .* is far off the map"):
        read(tmp_path, place, cells(), None, reports(lon=0.0, lat=27.0), street_map)


def change(row: int, **values: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Sets values of a row."""

    def changed(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.astype(object)
        for name, value in values.items():
            frame.loc[row, name] = value
        return frame

    return changed


CELLS = {
    "130 %": (change(4, prb_utilization=1.3), r"line 6, column prb_utilization: 1\.3 is not within 0 to 1", "percent"),
    "45 for 45 %": (change(4, prb_utilization=45), "45 is not within 0 to 1", "the column prb_utilization_percent"),
    "130 percent": (
        lambda frame: frame.rename(columns={"prb_utilization": "prb_utilization_percent"}).assign(
            prb_utilization_percent=130
        ),
        r"line 2, column prb_utilization_percent: 130 is not within 0 to 100",
        "mend the row",
    ),
    "negative": (change(0, connected_ues=-1), r"line 2, column connected_ues: -1 is not within 0 to 1e\+06", "mend"),
    "empty": (change(3, prb_utilization=None), "line 5, column prb_utilization: is empty", "complete the row"),
    "optional": (change(3, connected_ues=None), "line 5, column connected_ues: is empty", "leave the whole column out"),
    "NaN": (change(3, prb_utilization="nan"), "line 5, column prb_utilization: 'nan' is no finite number", "complete"),
    "infinite": (change(3, prb_utilization="inf"), "'inf' is no finite number", "complete the row"),
    "a word": (change(3, prb_utilization="high"), "'high' is no finite number", "complete the row"),
    "no cell": (change(2, cell=""), "line 4, column cell: '' is empty", "complete the row"),
    "unknown cell": (change(2, cell="7"), r"line 4, column cell: '7' is no cell of the scenario \(known: 0, 1, 2\)",
                     "--cell-names"),
    "twice": (change(2, cell="1"), "line 4, column cell: '1' has a row of this time already", "remove one of the two"),
    "a cell missing": (lambda frame: frame.drop(index=4), r"line 5, column cell: cell '1' has no row at 1800s",
                       "give rows of all cells"),
    "unsorted": (lambda frame: frame[::-1], r"line 5, column time_s: '2700\.0' is earlier than the row before",
                 "sort the rows"),
    "another interval": (lambda frame: frame.assign(time_s=frame["time_s"] / 15),
                         r"line 5: is 60 s after the rows before, which is no multiple of the control interval",
                         "set episode.control_interval_s"),
    "off the grid": (lambda frame: frame.assign(time_s=frame["time_s"] + (frame["time_s"] > 2000) * 450),
                     r"line 8: is 1350 s after the rows before", "or mend the times"),
    "no step": (lambda frame: frame[frame["time_s"].isin([900, 2700])], "no two intervals of 900 s follow each other",
                "give rows of more times"),
    "no rows": (lambda frame: frame[:0], "has no rows", "docs/measurements.md"),
    "no load": (lambda frame: frame.drop(columns="prb_utilization"),
                "has no column prb_utilization or prb_utilization_percent; it has time_s, cell, connected_ues", "docs"),
    "no time": (lambda frame: frame.drop(columns="time_s"), "has no column time_s or time; it has cell", "docs"),
    "two times": (lambda frame: frame.assign(time="2024"), "has the columns time_s and time, which say the same",
                  "leave one of them out"),
    "two loads": (lambda frame: frame.assign(prb_utilization_percent=1), "which say the same", "leave one of them out"),
    "no date": (lambda frame: frame.drop(columns="time_s").assign(time="31.5.2024"),
                "line 2, column time: '31.5.2024' is no date and time of ISO 8601", "write 2024-05-31T14:15"),
    "dates beside seconds": (lambda frame: frame.drop(columns="time_s").assign(time="2024-05-01"),
                             "offsets.csv: has times in the column time_s, unlike", "or in none"),
}  # fmt: skip
"""How a table of cells is spoilt, what the message says, and what the cure says."""


def refused(call: Callable[[], object], file: str, message: str, cure: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        call()
    assert file in error.value.message
    assert cure in error.value.cure


@pytest.mark.parametrize("name", CELLS)
def test_tables_of_cells_that_cannot_be_are_refused(tmp_path: Path, name: str) -> None:
    spoil, message, cure = CELLS[name]
    place = network()
    assert len(list(read(tmp_path, place, cells(connected_ues=1.0)).episodes())) == 1
    file = "cells.csv" if name != "dates beside seconds" else "offsets.csv"
    refused(lambda: read(tmp_path, place, spoil(cells(connected_ues=1.0))), file, message, cure)


OFFSETS = {
    "no pair": (
        change(0, neighbor_cell="0"),
        r"line 2, column neighbor_cell: '0, 0' is no neighbour pair",
        "neighbors",
    ),
    "unknown cell": (change(0, serving_cell="x"), "line 2, column serving_cell: 'x' is no cell", "--cell-names"),
    "too much": (change(1, cio_db=8), "line 3, column cio_db: 8 is beyond handover.cio_range_db, 6 dB", "raise that"),
    "impossible": (change(1, cio_db=30), "line 3, column cio_db: 30 is not within -24 to 24", "mend the row"),
    "a pair missing": (lambda frame: frame[1:], "has no offset of the pair 0, 1 by 900s", "cio_db 0"),
    "too late": (change(5, time_s=1800), "has no offset of the pair 2, 1 by 900s", "at the first interval or before"),
    "twice": (lambda frame: pd.concat([frame, frame[5:]]), r"line 8, .* has an offset of this time already", "remove"),
    "within an interval": (change(5, time_s=1000), "line 7, column time_s: 1000s lies within an interval", "date the"),
}
"""The same of a table of offsets."""


@pytest.mark.parametrize("name", OFFSETS)
def test_offsets_that_cannot_be_are_refused(tmp_path: Path, name: str) -> None:
    spoil, message, cure = OFFSETS[name]
    place = network()
    refused(lambda: read(tmp_path, place, cells(), spoil(offsets(place))), "offsets.csv", message, cure)


def test_offsets_before_the_first_interval_and_after_the_last_are_taken(tmp_path: Path) -> None:
    place = network()
    early = offsets(place, -3.0).assign(time_s=-50.0)
    late = offsets(place, 5.0).assign(time_s=99_000.0)
    (episode,) = read(tmp_path, place, cells(), pd.concat([early, late])).episodes()
    np.testing.assert_allclose(cio_from_action(place, episode.actions), -3)
    assert episode.first_action is not None


@pytest.mark.parametrize("form", [{"action": "cell"}, {"action": "edge"}, {"grid": "standard"}])
def test_offsets_must_be_an_action_of_the_scenario(tmp_path: Path, form: dict[str, str]) -> None:
    place = network(handover=form)
    possible = offsets(place, 2.0)
    if "action" in form:
        possible["cio_db"] = np.where(possible["serving_cell"] < possible["neighbor_cell"], 1.0, -1.0)
        possible.loc[1, "cio_db"] *= 1 if form["action"] == "edge" else 2
        possible.loc[4, "cio_db"] *= 1 if form["action"] == "edge" else 2
    (episode,) = read(tmp_path, place, cells(), possible).episodes()
    cio_db = cio_from_action(place, episode.actions)
    np.testing.assert_allclose(cio_db, np.broadcast_to(possible["cio_db"], cio_db.shape), atol=1e-5)
    impossible = change(0, cio_db=2.6)(possible)
    message = r"of the pair \d, \d at 900s is no action of the scenario"
    refused(lambda: read(tmp_path, place, cells(), impossible), "offsets.csv", message, "handover.grid: continuous")


REPORTS = {
    "above 0 dBm": (change(0, rsrp_dbm=45), "line 2, column rsrp_dbm: 45 is not within -200 to 0", "subtract 141"),
    "measured twice": (change(1, cell="0"), "line 3, column cell: '0' is measured twice in this report", "remove"),
    "two serving cells": (change(1, serving_cell="0"), "line 3, column serving_cell: '0' is not what the", "part"),
    "unknown cell": (change(1, cell="9"), "line 3, column cell: '9' is no cell of the scenario", "--cell-names"),
    "too few UEs": (lambda frame: frame[frame["ue"] != "ue 2"], "3 UEs report, but mobility.ues of .* is 4",
                    "set mobility.ues: 3"),
    "half a position": (lambda frame: frame.drop(columns="y_m"), "has the columns x_m", "give x_m and y_m, or lon"),
    "two positions": (lambda frame: frame.assign(lon=1, lat=1), "has the columns lat and lon and x_m", "or lon"),
    "nowhere on Earth": (lambda frame: frame.rename(columns={"x_m": "lon", "y_m": "lat"}),
                         "has longitudes, but the map open:1400x1200 is nowhere on Earth", "give x_m and y_m"),
    "no RSRP": (lambda frame: frame.drop(columns="rsrp_dbm"), "has no column rsrp_dbm; it has time_s, ue", "docs"),
}  # fmt: skip
"""The same of a table of reports."""


@pytest.mark.parametrize("name", REPORTS)
def test_reports_that_cannot_be_are_refused(tmp_path: Path, name: str) -> None:
    spoil, message, cure = REPORTS[name]
    spoilt = spoil(reports(x_m=1.0, y_m=2.0))
    refused(lambda: read(tmp_path, network(), cells(), None, spoilt), "reports.csv", message, cure)


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    place = network()
    for name, content, message in (
        ("a.csv", b"time_s,cell,prb_utilization\n1,0,0.5\n2,0,0.5,7\n", r"a\.csv, line 3: has more values"),
        ("b.csv", b"time_s,cell,prb_utilization\n1,0\n", r"line 2, column prb_utilization: is empty"),
        ("c.csv", b"", r"c\.csv: has no (rows|column)"),
        ("d.csv", b"time_s,cell,cell,prb_utilization\n1,0,0,0.5\n", "has two columns cell"),
        ("e.csv", b"\xff\xfe\x00", "cannot be read as text|has no"),
        ("f.csv", b"time_s,cell,prb_utilization\n\xe9\xff,0,1\n", "cannot be read as text"),
        ("g.parquet", b"PAR1", "no readable Parquet file"),
        ("h.csv.gz", b"no gzip", "cannot be read as text"),
        ("i.xlsx", b"", "is no kind of table"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            Measurements.read(place, GROUND, tmp_path / name, tmp_path / name)
    with pytest.raises(DataError, match="no such file"):
        Measurements.read(place, GROUND, tmp_path / "absent.csv", tmp_path / "absent.csv")
    for names in (["a", "b"], ["a", "b", "b"]):
        with pytest.raises(ConfigError, match="names of cells"):
            Measurements.read(place, GROUND, tmp_path / "absent.csv", tmp_path / "absent.csv", cell_names=names)


@pytest.mark.parametrize(
    ("fields", "message", "cure"),
    [
        ({"observation": "cell-kpi"}, "cell-kpi needs connected_ues, served_bps, ue_rsrp_dbm, ue_serving_cell",
         "set observation: cell-load in the preset"),
        ({"reward": "blocked"}, "reward blocked needs ue_throughput_bps", "set reward: load-std or jain in the preset"),
        ({"reward": {"load-std": 1, "p5-throughput": 0.0}}, "p5-throughput needs ue_throughput_bps", "load-std or"),
        ({"handover_cost": 0.05}, "handover_cost 0.05 needs handovers", "set handover_cost: 0 in the preset"),
    ],
)  # fmt: skip
def test_formulas_that_need_what_nobody_measured_are_refused(
    tmp_path: Path, fields: dict[str, Any], message: str, cure: str
) -> None:
    refused(lambda: read(tmp_path, network(**fields), cells()), "made-up-v0", message, cure)


def test_a_hole_in_the_reports_is_named(tmp_path: Path) -> None:
    reported = reports().drop(index=12 + 3 + 1)  # the second interval, the second UE, the second cell
    message = "ue_rsrp_dbm: UE 'ue 1' reports none of cell '1' in the interval that ends at 1800s"
    place = network(observation="rsrp-matrix")
    refused(
        lambda: read(tmp_path, place, cells(), None, reported), "rsrp-matrix needs ue_rsrp_dbm", message, "cell-load"
    )


def test_what_a_formula_reads_is_found() -> None:
    place = network()
    assert observation_needs(place, "cell-load") == {"prb_utilization"}
    assert observation_needs(place, "rsrp-matrix") == {"ue_rsrp_dbm"}
    assert {"prb_utilization", "connected_ues", "served_bps", "ue_rsrp_dbm"} < observation_needs(place, "cell-kpi")
    assert reward_needs(place, "blocked") == {"ue_throughput_bps"}
    for name in OBSERVATIONS:
        assert observation_needs(place, name)
    for name in REWARDS:
        assert reward_needs(place, name)


def test_observation_cell_load_is_the_loads_and_the_offsets(tmp_path: Path) -> None:
    place = network()
    episode = made.episode(place, 3)
    cio_db = cio_from_action(place, np.concatenate([np.zeros((1, 6)), episode.actions]))
    np.testing.assert_allclose(episode.observations[:, :3], episode.kpis.prb_utilization, rtol=1e-6)
    np.testing.assert_allclose(episode.observations[:, 3:], cio_db / 6, rtol=1e-6)
    np.testing.assert_array_equal(observe(place, episode.kpis_at(2), cio_db[2]), episode.observations[2])


def measured_episode(folder: Path) -> tuple[Scenario, Episode]:
    place = network()
    (episode,) = read(folder, place, cells()).episodes()
    return place, episode


def test_who_needs_a_trace_or_all_kpis_says_what_is_missing(tmp_path: Path) -> None:
    from py_agent.metrics import episode_metrics
    from py_agent.report.replay import pack

    place, episode = measured_episode(tmp_path)
    where = "which were not measured in all of 'cells-900s'"
    for call, message in (
        (lambda: logged_traces(Dataset(place, (episode,))), f"a replay under other actions needs trace, {where}"),
        (lambda: agreement(place, episode), f"a comparison with the engine needs trace, {where}"),
        (lambda: write_episode(tmp_path / "e.h5", episode), f"an episode file needs trace, {where}"),
        (lambda: episode_metrics(place, episode), "needs ue_throughput_bps, ue_serving_cell, events, which were not"),
        (lambda: pack({"network": episode}, (0, 0, 1, 1)), "a replay needs ue_position_m, ue_serving_cell, handovers"),
    ):
        with pytest.raises(DataError, match=message):
            call()
    assert not (tmp_path / "e.h5").exists()
    with pytest.raises(DataError, match="trace: missing, though the episode is not measured"):
        dataclasses.replace(made.episode(made.scenario(), 1), trace=None)


def test_training_data_have_states_of_the_radio_only_if_all_do(tmp_path: Path) -> None:
    from py_agent.train import shaped

    place, without = measured_episode(tmp_path)
    counted = Dataset(place, (without,))
    assert shaped(counted, 0.5).columns().rsrp_dbm.shape == (3, 0, 0)
    (reported,) = read(tmp_path, place, cells(), None, reports()).episodes()
    assert shaped(Dataset(place, (reported,)), 0.5).columns().rsrp_dbm.shape == (3, 4, 3)
    assert shaped(Dataset(place, (reported, without)), 0.5).columns().rsrp_dbm.shape == (6, 0, 0)
