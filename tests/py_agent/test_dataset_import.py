"""`mlb dataset import`, from the example's tables to a policy that was trained on them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from cf_augment.dataset import read_dataset
from ns3_scenarios.mdp import OBSERVATIONS, cio_from_action
from ns3_scenarios.scenario import Scenario
from py_agent.algorithms.base import trained_policy
from py_agent.cli.command import Result, show
from py_agent.cli.commands import parse
from sumo_mobility.base.errors import ConfigError, DataError, StorageError

EXAMPLE = Path(__file__).parents[2] / "docs" / "measurements"
NAMES = ["west", "east", "north"]


def imported(
    out: Path, *more: str, cells: Path = EXAMPLE / "cells.csv", preset: Path = EXAMPLE / "town.yaml"
) -> Result:
    words = ["dataset", "import", "--preset", str(preset), "--cells", str(cells)]
    words += ["--offsets", str(EXAMPLE / "offsets.csv"), "--cell-names", *NAMES, "--out", str(out), *more]
    return parse(words).execute()


def test_the_example_becomes_a_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Import, info, export, training: plain offline RL needs neither a trace nor what UEs receive."""
    logged = tmp_path / "run" / "logged.h5"
    result = imported(logged)
    counted = pd.read_csv(EXAMPLE / "cells.csv", sep=";", decimal=",")
    assert result.data["intervals"] * 3 == len(counted)
    assert (result.data["episodes"], result.data["transitions"]) == (2, result.data["intervals"] - 2)
    show(result, as_json=True)
    assert json.loads(capsys.readouterr().out)["missing"]["replay under other offsets: mlb augment"] == ["trace"]

    info = parse(["dataset", "info", str(logged)]).execute().data
    assert [(row["kind"], row["episodes"]) for row in info["episodes"]] == [("measured", 2)]
    assert info["observation"] == f"cell-load: {OBSERVATIONS['cell-load'].formula}"

    parse(
        ["dataset", "export", str(logged), "--format", "parquet", "--out", str(tmp_path / "logged.parquet")]
    ).execute()
    table = pd.read_parquet(tmp_path / "logged.parquet")
    percent = counted["prb_utilization_percent"].to_numpy().reshape(-1, 3)
    second = (counted["time"][::3].astype("datetime64[us, UTC]").diff() > pd.Timedelta(minutes=15)).argmax()
    np.testing.assert_allclose(
        table[[f"prb_utilization_{c}" for c in range(3)]], np.delete(percent, [0, second], axis=0) / 100, rtol=1e-9
    )
    assert table["handovers"].isna().all()
    assert (table["context"] == "measured").all()

    training = ["train", "--run", str(logged.parent), "--data", "logged", "--algorithm", "bc"]
    done = parse([*training, "--bc.gradient-steps", "30"]).execute().data
    assert done["logged_transitions"] == result.data["transitions"]
    dataset = read_dataset(logged)
    policy = trained_policy(dataset.scenario, Path(done["checkpoints"]["bc"]))
    episode = dataset.episodes[0]
    first = episode.first_action
    assert first is not None
    cio_db = cio_from_action(dataset.scenario, first)
    assert policy.act(episode.observations[0], episode.kpis_at(0), cio_db).shape == first.shape
    with pytest.raises(DataError, match="has no RSRP and serving cells of the UEs"):
        parse(["train", "--run", str(logged.parent), "--data", "logged", "--sac.physics-weight", "1"]).execute()


def test_augment_says_that_the_trace_is_missing(tmp_path: Path) -> None:
    imported(tmp_path / "logged.h5")
    read_dataset(tmp_path / "logged.h5").scenario.write_json(tmp_path / "scenario.json")
    with pytest.raises(DataError, match="a replay under other actions needs trace, which were not measured"):
        parse(["augment", "--run", str(tmp_path)]).execute()
    assert not (tmp_path / "augmented.h5").exists()


@pytest.mark.slow
def test_measurements_go_to_d3rlpy_and_minari(tmp_path: Path) -> None:
    """Minari's environment is the scenario, over whichever back end its physics have."""
    minari = pytest.importorskip("minari")
    pytest.importorskip("d3rlpy")
    transitions = imported(tmp_path / "m.h5").data["transitions"]
    for name, out in (("d3rlpy", "b.h5"), ("minari", "m-v0")):
        words = ["dataset", "export", str(tmp_path / "m.h5"), "--format", name, "--out", str(tmp_path / out)]
        assert parse(words).execute().data["transitions"] == transitions
    dataset = minari.MinariDataset(tmp_path / "m-v0" / "data")
    assert dataset.total_steps == transitions
    env = dataset.recover_environment(backend="engine")
    assert env.observation_space.shape == dataset.observation_space.shape
    env.close()


def test_episodes_are_cut_where_asked(tmp_path: Path) -> None:
    whole, cut = imported(tmp_path / "whole.h5").data, imported(tmp_path / "cut.h5", "--steps", "5").data
    assert whole["transitions"] == cut["transitions"]
    assert max(read_dataset(tmp_path / "cut.h5").steps) == 5
    np.testing.assert_array_equal(
        read_dataset(tmp_path / "cut.h5").rewards, read_dataset(tmp_path / "whole.h5").rewards
    )


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    text = (EXAMPLE / "cells.csv").read_text("utf-8").splitlines()
    lines = [text[0], *text[1:4], *text[7:]]  # the first interval is alone
    (tmp_path / "some.csv").write_text("\n".join(f"{line};{'vendor' if k == 0 else 7}" for k, line in enumerate(lines)))
    result = imported(tmp_path / "d.h5", cells=tmp_path / "some.csv")
    assert result.data["intervals_left_out"] == 1
    console = Console(width=200, record=True)
    console.print(result.view)
    shown = console.export_text()
    for line in (
        "left out: 1 intervals between two gaps",
        "some.csv: columns not read: vendor",
        "ue_rsrp_dbm is not known: there is no table of reports",
    ):
        assert line in shown


def test_nothing_is_overwritten_and_bad_input_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"d\.csv is no \.h5 file"):
        imported(tmp_path / "d.csv")
    (tmp_path / "bad.csv").write_text((EXAMPLE / "cells.csv").read_text("utf-8").replace("57,8", "157,8"))
    with pytest.raises(DataError, match=r"bad\.csv, line 2, column prb_utilization_percent: 157\.8 is not within"):
        imported(tmp_path / "d.h5", cells=tmp_path / "bad.csv")
    preset = tmp_path / "town.yaml"
    preset.write_text((EXAMPLE / "town.yaml").read_text("utf-8").replace("cell-load", "load-curve"))
    with pytest.raises(DataError, match="observation load-curve needs ue_rsrp_dbm, ue_serving_cell") as error:
        imported(tmp_path / "d.h5", preset=preset)
    assert "set observation: cell-load in the preset" in error.value.cure
    assert not (tmp_path / "d.h5").exists()
    (tmp_path / "d.h5").write_text("mine")
    with pytest.raises(StorageError, match=r"d\.h5: exists"):
        imported(tmp_path / "d.h5")
    assert (tmp_path / "d.h5").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("interval_s", [900.0, 1800.0])
def test_intervals_of_counters_are_played_by_the_engine(interval_s: float) -> None:
    """An environment over the example's network, whose step is as long as its counters."""
    from py_agent.env import make_env

    place = Scenario.parse(
        {**json.loads(_town().model_dump_json()), "episode": {
            "steps": 2, "control_interval_s": interval_s, "warmup_s": interval_s + 1}}, "town"
    )  # fmt: skip
    env = make_env(json.loads(place.model_dump_json()), backend="engine", seed=1)
    observation, _ = env.reset(seed=1)
    assert observation.shape == (9,)
    _, _, _, over, info = env.step(np.zeros(6, np.float32))
    assert (float(info["kpis"].time_s), over) == (interval_s, False)
    env.close()


def _town() -> Scenario:
    from ns3_scenarios.scenario import Preset

    preset = Preset.load(str(EXAMPLE / "town.yaml"))
    return Scenario.place(preset, [(300.0, 300.0), (1100.0, 300.0), (700.0, 1000.0)])
