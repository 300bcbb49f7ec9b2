"""Event log of the ns-3 program against the KPIs of the same episode, at every end that an episode can have."""

from __future__ import annotations

import subprocess
from pathlib import Path

import made_network
import numpy as np
import pandas as pd
import pytest

from ns3_scenarios.bridge.backend import Ns3Backend
from ns3_scenarios.bridge.event_log import EventLog, EventLogFormat
from ns3_scenarios.build import program
from ns3_scenarios.kpis import EVENT_DTYPE, StepKpis
from sumo_mobility.base.errors import StorageError

pytestmark = pytest.mark.ns3

SCENARIO = made_network.scenario()
OPEN_DOOR = np.array([6.0, -6.0])
COLUMNS = ["time_s", "cell", "ue", "rnti", "prbs", "mcs", "tbs_bytes", "retransmission"]


def play(backend: Ns3Backend, steps: int, seed: int = 1) -> list[StepKpis]:
    return [backend.reset(made_network.trace(), seed), *(backend.step(OPEN_DOOR) for _ in range(steps))]


def read(directory: Path, name: str, kind: EventLogFormat = "parquet") -> pd.DataFrame:
    path = directory / f"{name}.{kind}"
    return pd.read_parquet(path) if kind == "parquet" else pd.read_csv(path)


def check(kpis: list[StepKpis], events: pd.DataFrame, dcis: pd.DataFrame) -> None:
    """The events are those of the KPIs, and the PRBs of the DCIs add up to the utilisation, exactly."""
    expected = np.concatenate([one.events for one in kpis])
    assert list(events.columns) == list(EVENT_DTYPE.names or ())
    assert np.array_equal(events.to_records(index=False).astype(EVENT_DTYPE), expected)
    assert list(dcis.columns) == COLUMNS
    assert (np.diff(dcis["time_s"]) >= 0).all()
    for one in kpis:
        within = dcis[(dcis["time_s"] > one.time_s - 1) & (dcis["time_s"] <= one.time_s)]
        for cell, load in enumerate(one.prb_utilization):
            assert within.loc[within["cell"] == cell, "prbs"].sum() / (25 * 1000) == load
    assert dcis["prbs"].between(1, 25).all()
    assert dcis["mcs"].between(0, 28).all()
    assert set(dcis["retransmission"]) <= {0, 1}
    assert dcis.groupby(["time_s", "cell"])["prbs"].sum().max() <= 25
    under_control = dcis[dcis["time_s"] > 0]
    assert set(under_control["ue"]) == set(range(made_network.UES))
    # What is above RLC cannot be more than what the blocks carried.
    assert 8 * under_control["tbs_bytes"].sum() > sum(one.served_bps.sum() for one in kpis[1:])


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_logs_are_those_of_the_kpis_and_change_nothing(kind: EventLogFormat, tmp_path: Path) -> None:
    backend = Ns3Backend(SCENARIO, event_log=EventLog(tmp_path / "new" / "log", kind))
    kpis = play(backend, made_network.STEPS)
    directory = tmp_path / "new" / "log"
    check(kpis, read(directory, "0000-events", kind), read(directory, "0000-dl_dci", kind))
    assert sum(len(one.events) for one in kpis) == 4
    unlogged = Ns3Backend(SCENARIO)
    assert play(unlogged, made_network.STEPS) == kpis
    assert sorted(path.name for path in directory.iterdir()) == [f"0000-dl_dci.{kind}", f"0000-events.{kind}"]


def test_what_was_simulated_before_a_stop_is_kept_and_branches_are_not_logged(tmp_path: Path) -> None:
    backend = Ns3Backend(SCENARIO, event_log=EventLog(tmp_path))
    first = play(backend, 1)
    backend.branch(np.tile(-OPEN_DOOR, (2, 2, 1)))
    second = play(backend, 2, seed=2)  # resets: the first is over
    check(first, read(tmp_path, "0000-events"), read(tmp_path, "0000-dl_dci"))
    backend.close()
    check(second, read(tmp_path, "0001-events"), read(tmp_path, "0001-dl_dci"))
    assert len(list(tmp_path.iterdir())) == 4


def test_nothing_is_overwritten_and_nothing_begins_that_could_not_be_kept(tmp_path: Path) -> None:
    (tmp_path / "0000-dl_dci.parquet").write_text("mine")
    with pytest.raises(StorageError, match=r"0000-dl_dci\.parquet exists\n.*another directory"):
        Ns3Backend(SCENARIO, event_log=EventLog(tmp_path)).reset(made_network.trace(), 1)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        Ns3Backend(SCENARIO, event_log=EventLog(tmp_path / "file")).reset(made_network.trace(), 1)


def run_alone(tmp_path: Path, event_log: Path) -> subprocess.CompletedProcess[str]:
    """The program without an agent: it leaves by itself."""
    SCENARIO.write_json(tmp_path / "scenario.json")
    made_network.trace().write_waypoints(tmp_path / "waypoints.csv")
    return subprocess.run(
        [
            str(program()), f"--scenario={tmp_path}/scenario.json", f"--waypoints={tmp_path}/waypoints.csv",
            f"--endpoint=ipc://{tmp_path}/wire", "--connect-timeout-s=0.5", f"--event-log={event_log}",
        ],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_program_refuses_a_directory_that_it_cannot_write(tmp_path: Path) -> None:
    done = run_alone(tmp_path, tmp_path / "nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --event-log: cannot write '")
    assert "cure: choose a directory that exists" in done.stderr
    (tmp_path / "dl_dci.csv").write_text("mine")
    done = run_alone(tmp_path, tmp_path)
    assert done.returncode == 2
    assert "dl_dci.csv' exists; cure: remove it" in done.stderr
    assert (tmp_path / "dl_dci.csv").read_text() == "mine"


def test_whole_files_are_left_when_the_agent_is_gone(tmp_path: Path) -> None:
    """Nobody ever came, so that there is nothing in them but their headers."""
    (tmp_path / "out").mkdir()
    assert run_alone(tmp_path, tmp_path / "out").returncode == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["dl_dci.csv", "events.csv"]
    assert list(read(tmp_path / "out", "dl_dci", "csv").columns) == COLUMNS
