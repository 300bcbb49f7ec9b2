"""`mlb dataset`: what a dataset holds, other datasets and exports of it; the dataset is never harmed."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import h5py
import made_episodes as made
import minari
import numpy as np
import pandas as pd
import programs
import pytest
from rich.console import Console
from small_world import small_scenario, small_trace
from test_dataset_import import imported

from cf_augment.dataset import Episode, EpisodeMetadata, Provenance, read_dataset, write_dataset
from cf_augment.exports.table import to_frame
from ns3_scenarios.mdp import REWARDS
from ns3_scenarios.scenario import Scenario
from py_agent.cli.command import Result
from py_agent.cli.commands import parse
from py_agent.env import MlbEnv, open_backend
from py_agent.policies import policy_factory
from py_agent.rollout import run_episode
from sumo_mobility.base.errors import ConfigError, DataError


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    place = made.scenario()
    write_dataset(tmp_path / "d.h5", place, [made.episode(place, 1, 6), made.episode(place, 2, 9, kind="replay")])
    return tmp_path / "d.h5"


def test_info_counts_what_is_there(dataset: Path) -> None:
    data = parse(["dataset", "info", str(dataset)]).execute().data
    assert data["transitions"] == 15
    assert [(row["kind"], row["episodes"]) for row in data["episodes"]] == [("logged", 1), ("replay", 1)]


def test_info_says_how_many_actions_have_a_log_probability(dataset: Path) -> None:
    result = parse(["dataset", "info", str(dataset)]).execute()
    log_probs = [episode.behavior_log_probs for episode in read_dataset(dataset).episodes]
    shares = [float(np.isfinite(of_episode).mean()) for of_episode in log_probs]
    assert min(shares) < 1  # the episodes are made so
    assert [row["with_log_probs"] for row in result.data["episodes"]] == shares
    assert f"{100 * min(shares):.3g} %" in shown(result)


def test_info_shows_how_the_file_defines_observation_and_reward(tmp_path: Path) -> None:
    weights = {"load-std": 1.0, "blocked": 0.5}
    place = made.scenario().model_copy(update={"reward": weights, "handover_cost": 0.1, "observation": "rsrp-matrix"})
    write_dataset(tmp_path / "d.h5", place, [made.episode(place, 1, 3)])
    with h5py.File(tmp_path / "d.h5", "a") as file:
        assert file.attrs["reward_unit"] == b"1"
        file.attrs["reward_unit"] = np.bytes_(b"\x1b[2J")
        del file.attrs["observation"]  # an older file
    result = parse(["dataset", "info", str(tmp_path / "d.h5")]).execute()
    assert {name: result.data[name] for name in ("observation", "reward", "reward_unit")} == {
        "observation": "rsrp-matrix: (ue_rsrp_dbm + 90) / 20, UE by UE",
        "reward": f"load-std-blocked: {REWARDS['load-std'].formula} + 0.5 * ({REWARDS['blocked'].formula}) "
        "- 0.1 * handovers / UEs",
        "reward_unit": r"\x1b[2J",
    }
    console = Console(width=200, record=True)
    console.print(result.view)
    assert "observation: rsrp-matrix: (ue_rsrp_dbm + 90) / 20, UE by UE" in console.export_text()


def test_info_refuses_a_damaged_dataset(dataset: Path) -> None:
    dataset.write_bytes(dataset.read_bytes()[:1000])
    with pytest.raises(DataError, match="damaged or not an HDF5 file"):
        parse(["dataset", "info", str(dataset)]).execute()


def shown(result: Result) -> str:
    """What a terminal of 80 columns shows."""
    console = Console(width=80, record=True)
    console.print(result.view)
    return console.export_text()


def test_head_shows_the_first_rows_of_the_table(dataset: Path) -> None:
    result = parse(["dataset", "head", str(dataset), "--rows", "8"]).execute()
    frame = to_frame(read_dataset(dataset))
    pd.testing.assert_frame_equal(pd.DataFrame(result.data).astype(frame.dtypes), frame.head(8))
    lines = shown(result).splitlines()
    assert all(len(line) <= 80 for line in lines)
    loads = [f"{100 * frame[f'prb_utilization_{cell}'][7]:.0f}" for cell in range(3)]
    [row] = [line.split() for line in lines if line.split()[:2] == ["1", "1"]]
    assert row[:5] == ["1", "1", "random", "replay", f"{frame['reward'][7]:.3f}"]
    assert row[7:10] == loads
    assert len(parse(["dataset", "head", str(dataset), "--rows", "99"]).execute().data) == 15
    with pytest.raises(ConfigError, match="--rows 0"):
        parse(["dataset", "head", str(dataset), "--rows", "0"]).execute()


def test_head_fits_however_many_cells_and_whatever_names(tmp_path: Path) -> None:
    places = [(300.0 * (index % 5), 300.0 * (index // 5)) for index in range(25)]
    place = Scenario.place(made.preset(), places)
    episode = made.episode(place, 1)
    metadata = episode.metadata.model_copy(update={"policy": "[bold]\x1b[2J a policy of a very long name"})
    write_dataset(tmp_path / "d.h5", place, [dataclasses.replace(episode, metadata=metadata)])
    text = shown(parse(["dataset", "head", str(tmp_path / "d.h5")]).execute())
    assert all(len(line) <= 80 for line in text.splitlines())
    assert r"[bold]\x1b[2J" in text
    assert "in use" not in text
    assert "largest" in text


def test_head_reads_no_further_than_it_must(dataset: Path) -> None:
    with h5py.File(dataset, "a") as file:
        file["rewards"][14] = 3.0
    assert len(parse(["dataset", "head", str(dataset), "--rows", "6"]).execute().data) == 6
    with pytest.raises(DataError, match=r"rewards\[14\]"):
        parse(["dataset", "head", str(dataset), "--rows", "7"]).execute()


def test_validate_has_a_line_for_each_file_and_names_each_first_fault(dataset: Path, tmp_path: Path) -> None:
    altered, cut = tmp_path / "altered.h5", tmp_path / "cut.h5"
    altered.write_bytes(dataset.read_bytes())
    cut.write_bytes(dataset.read_bytes()[:3000])
    with h5py.File(altered, "a") as file:
        file["rewards"][14] = 3.0
    result = parse(["dataset", "validate", str(dataset), str(altered), str(cut)]).execute()
    assert not result.ok
    assert result.data["files"][0] == {
        "file": str(dataset), "valid": True, "scenario": "made-up-v0", "episodes": 2, "transitions": 15, "traces": 2,
        "digests": 2, "reworded": (),
    }  # fmt: skip
    assert [row["valid"] for row in result.data["files"]] == [True, False, False]
    assert result.data["files"][1]["fault"].startswith(f"{altered}: rewards[14]: is 3.0, not what follows")
    assert result.data["files"][1]["cure"] == "write it anew with 'mlb collect', 'mlb augment' or 'mlb dataset import'"
    said = " ".join(shown(result).split())
    assert "rewards[14]: is 3.0" in said
    assert "damaged or not an HDF5 file" in said
    assert parse(["dataset", "validate", str(dataset)]).execute().ok
    with pytest.raises(ConfigError, match="no dataset is named"):
        parse(["dataset", "validate"]).execute()


def test_validate_says_what_an_older_file_lacks_or_words_otherwise(dataset: Path) -> None:
    with h5py.File(dataset, "a") as file:
        del file["traces/00001"].attrs["sha256"]
        file.attrs["reward"] = np.bytes_(b"load-std: in other words")
    result = parse(["dataset", "validate", str(dataset)]).execute()
    assert result.ok
    [row] = result.data["files"]
    assert (row["traces"], row["digests"], row["reworded"]) == (2, 1, ("reward",))
    assert "words of reward are not those of this version" in " ".join(shown(result).split())


@pytest.fixture
def town(tmp_path: Path) -> Path:
    """What the example's network has measured: counters alone, in two stretches."""
    imported(tmp_path / "town.h5")
    return tmp_path / "town.h5"


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three policies on two traces in the engine, two of which say with what density they draw."""
    place, episodes = small_scenario(), []
    for seed in (0, 1):
        env = MlbEnv(place, open_backend(place, "engine"), [small_trace(place, seed)])
        for name in ("static", "noise:std=0.3,around=static", "epsilon:epsilon=0.5,around=noise:std=0.2,around=static"):
            metadata = EpisodeMetadata(
                scenario_id=place.id, trace_name=f"train-{seed}", policy=name, seed=seed, backend="engine",
                provenance=Provenance(action_source=name),
            )  # fmt: skip
            episodes.append(run_episode(env, policy_factory(name)(place), metadata))
        env.close()
    path = tmp_path_factory.mktemp("explored") / "logged.h5"
    write_dataset(path, place, episodes)
    return path


def test_head_and_validate_of_measurements_know_what_is_not_known(town: Path) -> None:
    result = parse(["dataset", "head", str(town), "--rows", "3"]).execute()
    assert [row["handovers"] for row in result.data] == [None] * 3
    text = shown(result)
    assert "nan" not in text
    assert "hand-" not in text
    assert "load" in text
    [row] = [line.split() for line in text.splitlines() if line.split()[:2] == ["0", "2"]]
    assert row[2:4] == ["network", "measured"]
    assert float(row[4]) == pytest.approx(-float(row[5]))  # the reward is load-std
    result = parse(["dataset", "validate", str(town)]).execute()
    assert result.ok
    assert [result.data["files"][0][name] for name in ("episodes", "traces", "digests")] == [2, 0, 0]


def test_some_values_of_a_column_of_the_head_may_be_unknown(town: Path, tmp_path: Path) -> None:
    """A column stays if something in it is known."""
    measured = read_dataset(town)
    first, second = measured.episodes
    kpis = dataclasses.replace(first.kpis, handovers=np.full(first.steps + 1, 7.0))
    write_dataset(tmp_path / "d.h5", measured.scenario, [dataclasses.replace(first, kpis=kpis), second])
    words = ["dataset", "head", str(tmp_path / "d.h5"), "--rows", str(first.steps + 1)]
    lines = [line.split() for line in shown(parse(words).execute()).splitlines()]
    assert [line[6] for line in lines if line[:2] in (["0", "0"], ["1", "0"])] == ["7", "–"]


def test_stretches_of_measurements_are_split_and_merged_again(town: Path, tmp_path: Path) -> None:
    words = ["dataset", "split", str(town), "--out", str(tmp_path / "parts")]
    parts = parse([*words, "--share", "train=0.5,test=0.5", "--seed", "1"]).execute().data
    assert [(part["part"], part["episodes"]) for part in parts] == [("train", 1), ("test", 1)]
    merged = ["dataset", "merge", *sorted(part["file"] for part in parts), "--out", str(tmp_path / "all.h5")]
    assert parse(merged).execute().data["transitions"] == read_dataset(town).transitions
    merged[2:4] = [str(town), parts[0]["file"]]
    with pytest.raises(DataError, match=r"train\.h5: episode 0 \(trace 'cells-2024.* is the same as episode \d of"):
        parse([*merged[:-1], str(tmp_path / "no.h5")]).execute()
    names = [episode.metadata.trace_name for episode in read_dataset(town).episodes]
    parts = parse([*words[:-1], str(tmp_path / "by"), "--by", "trace"]).execute().data
    assert [part["part"] for part in parts] == names
    with pytest.raises(DataError, match="all episodes are of 'measured'"):
        parse([*words, "--by", "context"]).execute()


def test_log_densities_are_split_and_merged_with_their_actions(explored: Path, tmp_path: Path) -> None:
    words = ["dataset", "split", str(explored), "--by", "policy", "--out", str(tmp_path / "parts")]
    parts = parse(words).execute().data
    names = ["static.h5", "noise-std=0.3-around=static.h5", "epsilon-epsilon=0.5-around=noise-std=0.2-around=static.h5"]
    assert [Path(part["file"]).name for part in parts] == names
    static, noise, epsilon = (read_dataset(Path(part["file"])).behavior_log_probs for part in parts)
    assert np.isnan(static).all()
    assert np.isfinite(noise).all()
    assert np.isfinite(epsilon).all()
    merged = ["dataset", "merge", *(part["file"] for part in parts), "--out", str(tmp_path / "all.h5")]
    parse(merged).execute()
    again = sorted(read_dataset(tmp_path / "all.h5").episodes, key=_policy_and_trace)
    for got, wanted in zip(again, sorted(read_dataset(explored).episodes, key=_policy_and_trace), strict=True):
        assert got.metadata == wanted.metadata
        np.testing.assert_array_equal(got.actions, wanted.actions)
        np.testing.assert_array_equal(got.behavior_log_probs, wanted.behavior_log_probs)
    words = ["dataset", "split", str(explored), "--share", "0.5,0.5", "--out", str(tmp_path / "share")]
    for part in parse(words).execute().data:
        episodes = read_dataset(Path(part["file"])).episodes
        assert (len(episodes), len({episode.metadata.trace_name for episode in episodes})) == (3, 1)


def _policy_and_trace(episode: Episode) -> tuple[str, str]:
    return episode.metadata.policy, episode.metadata.trace_name


def test_head_shows_explored_rows_and_has_their_log_densities(explored: Path) -> None:
    result = parse(["dataset", "head", str(explored), "--rows", "8"]).execute()
    known = [row["behavior_log_prob"] is not None for row in result.data]
    assert known == [False] * 6 + [True] * 2
    assert "noise:std=0" in shown(result)


def test_merge_and_split_again(dataset: Path, tmp_path: Path) -> None:
    place, other, out = made.scenario(), tmp_path / "other.h5", tmp_path / "all.h5"
    write_dataset(other, place, [made.episode(place, 3, 4)])
    result = parse(["dataset", "merge", str(dataset), str(other), "--out", str(out)]).execute()
    assert result.data["transitions"] == 19
    parts = parse(["dataset", "split", str(out), "--by", "provenance", "--out", str(tmp_path / "by")]).execute().data
    assert [(part["part"], part["episodes"]) for part in parts] == [("logged", 2), ("replay", 1)]
    assert read_dataset(tmp_path / "by/replay.h5").steps == (9,)
    words = ["dataset", "split", str(out), "--share", "train=0.6, 0.4", "--seed", "3", "--out", str(tmp_path / "share")]
    parts = parse(words).execute().data
    assert [(part["part"], part["episodes"]) for part in parts] == [("train", 2), ("2", 1)]
    assert [read_dataset(Path(part["file"])).scenario for part in parts] == [place, place]


@pytest.mark.parametrize("by", ["policy", "context", "action_source", "trace", "seed"])
def test_every_column_that_splits_is_one_of_the_table(tmp_path: Path, by: str) -> None:
    place = made.scenario()
    episodes = []
    for seed in (1, 2):
        episode = made.episode(place, seed)
        source = Provenance(action_source=f"source-{seed}")
        metadata = episode.metadata.model_copy(update={"policy": f"policy-{seed}", "provenance": source})
        trace = dataclasses.replace(
            episode.trace, metadata=episode.trace.metadata.model_copy(update={"context": f"context-{seed}"})
        )
        episodes.append(dataclasses.replace(episode, metadata=metadata, trace=trace))
    write_dataset(tmp_path / "d.h5", place, episodes)
    words = ["dataset", "split", str(tmp_path / "d.h5"), "--by", by, "--out", str(tmp_path / "parts")]
    parts = [part["part"] for part in parse(words).execute().data]
    assert parts == to_frame(read_dataset(tmp_path / "d.h5"))[by].astype(str).unique().tolist()
    assert len(parts) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["merge", "--out", "all.h5"], "one dataset alone"),
        (["merge", "FILE", "FILE", "--out", "all.hdf5"], r"does not end in \.h5[\s\S]*--out all\.h5"),
        (["merge", "FILE", "FILE", "--out", "FILE"], "is one of the datasets"),
        (["split", "FILE", "--out", "parts"], "needs one of --by and --share"),
        (["split", "FILE", "--by", "seed", "--share", "1", "--out", "parts"], "needs one of --by and --share"),
        (["split", "FILE", "--share", "0.8,some", "--out", "parts"], "'some' is no number"),
        (["split", "FILE", "--share", "a=0.5,a=0.5", "--out", "parts"], "two parts have one name"),
        (["split", "FILE", "--share", "0.5,0.6", "--out", "parts"], "sum to 1"),
    ],
)
def test_what_cannot_be_merged_or_split_is_refused(
    dataset: Path, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dataset.parent)
    before = dataset.read_bytes()
    with pytest.raises(ConfigError, match=message):
        parse(["dataset", *(str(dataset) if word == "FILE" else word for word in words)]).execute()
    assert dataset.read_bytes() == before
    assert list(dataset.parent.iterdir()) == [dataset]


def test_export_writes_all_transitions(dataset: Path, tmp_path: Path) -> None:
    for name, out in (("parquet", "new/d.parquet"), ("minari", "new/d-v0")):
        words = ["dataset", "export", str(dataset), "--format", name, "--out", str(tmp_path / out)]
        assert parse(words).execute().data["transitions"] == 15
    assert len(pd.read_parquet(tmp_path / "new/d.parquet")) == 15
    assert minari.MinariDataset(tmp_path / "new/d-v0/data").total_steps == 15


@pytest.mark.parametrize(
    ("name", "out", "message"),
    [
        ("parquet", "d.csv", r"d\.csv does not end in \.parquet[\s\S]*cure: --out d\.parquet"),
        ("minari", "d.h5", r"d\.h5 does not end in -v0[\s\S]*cure: --out d-v0"),
        ("d3rlpy", "../{}/d.h5", "is the dataset itself"),
    ],
)
def test_export_refuses_what_would_harm(dataset: Path, name: str, out: str, message: str) -> None:
    before = dataset.read_bytes()
    path = dataset.parent / out.format(dataset.parent.name)
    with pytest.raises(ConfigError, match=message):
        parse(["dataset", "export", str(dataset), "--format", name, "--out", str(path)]).execute()
    assert dataset.read_bytes() == before
    assert list(dataset.parent.iterdir()) == [dataset]


def test_an_unknown_format_is_told_with_the_nearest_and_all(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["dataset", "export", str(dataset), "--format", "parket", "--out", "d.parquet"])
    assert ended.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "unknown export 'parket' (did you mean 'parquet'?); there are parquet, csv, d3rlpy, minari" in said


def test_naming_the_exports_loads_no_library_that_they_need() -> None:
    """Every command names them, and most need none."""
    code = "import sys, py_agent.cli.commands; print({'pandas', 'pyarrow', 'h5py', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "set()\n"), done.stderr


@pytest.mark.slow
def test_stdout_has_json_alone_whatever_a_library_prints(dataset: Path, tmp_path: Path) -> None:
    """d3rlpy logs to stdout."""
    words = ["dataset", "export", str(dataset), "--format", "d3rlpy", "--out", str(tmp_path / "b.h5"), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "py_agent.cli", *words], env=programs.python_path(), capture_output=True, text=True,
        timeout=300, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)
    assert "Signatures" in done.stderr
