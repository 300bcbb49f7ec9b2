"""Training and evaluation through the command line: many trainings in a run, by name, by file, in other scenarios."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from small_world import small_dataset, small_scenario, small_trace

from cf_augment.dataset import write_dataset
from ns3_scenarios.scenario import Scenario
from py_agent.algorithms.base import trained_policy
from py_agent.cli.commands import parse
from py_agent.cli.judged import judged
from py_agent.cli.mobility import Mobility
from py_agent.cli.report import command_line
from py_agent.cli.stages import Evaluate, Train
from py_agent.rundir import RunDirectory, StageRecord, last_checkpoint
from sumo_mobility.base.errors import ConfigError, DataError, MlbError, StorageError

SCENARIO = small_scenario()
FOUR_CELLS = small_scenario(4)
SMALL = ["--sac.hidden", "8", "--sac.batch-size", "8", "--sac.gradient-steps", "3"]


def made(path: Path, scenario: Scenario) -> RunDirectory:
    """A run with two test traces, a logged and an augmented dataset."""
    run = RunDirectory(path)
    scenario.write_json(run.scenario_path)
    for index in range(2):
        small_trace(scenario, 10 + index).write(run.trace_path("test", index))
    write_dataset(run.logged, scenario, small_dataset(scenario, [0]).episodes)
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return made(tmp_path_factory.mktemp("runs") / "mine", SCENARIO)


def train(run: RunDirectory, *options: str) -> dict[str, object]:
    return parse(["train", "--run", str(run.path), *SMALL, *options]).execute().data


@pytest.mark.slow
def test_logged_data_alone_need_no_counterfactuals_and_the_table_names_them(run: RunDirectory) -> None:
    with pytest.raises(DataError, match=r"augmented\.h5: does not exist\n.*'mlb augment"):
        train(run)
    assert not (run.training / "sac-cf").exists()
    assert train(run, "--data", "logged") == {
        "data": "logged", "logged_transitions": 6, "counterfactual_transitions": 0, "gradient_steps": 3,
        "checkpoints": {"sac": str(last_checkpoint(run.training / "sac"))},
    }  # fmt: skip


@pytest.mark.slow
def test_several_seeds_are_trained_at_once_and_each_is_a_policy(tmp_path: Path) -> None:
    run = made(tmp_path / "run", SCENARIO)
    train(run, "--data", "logged", "--name", "many", "--seeds", "2", "--seed", "4")
    assert set(run.trainings()) == {"many-4", "many-5"}
    assert StageRecord.read_json(run.training / "many-5" / "train.json").config["seed"] == 5
    with pytest.raises(StorageError, match="training 'many-4' of this run exists"):
        train(run, "--data", "logged", "--name", "many", "--seeds", "2", "--seed", "4")
    with pytest.raises(ConfigError, match="--seeds 0: must be 1 at least"):
        train(run, "--data", "logged", "--seeds", "0")


@pytest.mark.slow
def test_each_training_has_its_record_and_goes_on_only_with_its_options(run: RunDirectory) -> None:
    train(run, "--data", "logged", "--name", "wide", "--sac.gamma", "0.9", "--seed", "4")
    record = StageRecord.read_json(run.training / "wide" / "train.json")
    assert record.config["name"] == "wide"
    assert (record.config["sac.gamma"], record.config["seed"]) == (0.9, 4)
    assert [one.config["name"] for one in run.records()] == sorted(run.trainings())
    again = ["--data", "logged", "--name", "wide", "--seed", "4"]
    with pytest.raises(StorageError, match=r"training 'wide' of this run exists\n.*or choose another --name"):
        train(run, *again, "--sac.gamma", "0.9")
    with pytest.raises(StorageError, match=r"began with sac\.gamma = 0\.9, not 0\.5"):
        train(run, *again, "--resume")
    before = last_checkpoint(run.training / "wide").read_bytes()
    train(run, *again, "--resume", "--sac.gamma", "0.9")
    assert last_checkpoint(run.training / "wide").read_bytes() == before


@pytest.mark.slow
def test_any_algorithm_is_trained_and_judged_by_the_name_of_its_training(tmp_path: Path) -> None:
    other = made(tmp_path / "run", SCENARIO)
    file = tmp_path / "training.yaml"
    file.write_text("seed: 7\nbc: {hidden: 8, gradient_steps: 3}\n")
    start = ["train", "--run", str(other.path), "--data", "logged"]
    data = parse([*start, "--config", str(file), "--bc.batch-size", "4"]).execute().data
    assert (list(data["checkpoints"]), data["gradient_steps"]) == (["bc"], 3)
    config = StageRecord.read_json(other.training / "bc" / "train.json").config
    expected = {"algorithm": "bc", "seed": 7, "bc.hidden": 8, "bc.batch_size": 4, "bc.learning_rate": 3e-4}
    assert expected.items() <= config.items()
    assert not any(name.startswith("sac") for name in config)
    with pytest.raises(StorageError, match="began with algorithm = 'bc', not 'sac'"):
        parse([*start, "--name", "bc", "--resume"]).execute()
    rows = parse(["evaluate", "--run", str(other.path), "--backend", "engine", "--policies", "bc"]).execute().data
    assert [(row["policy"], row["traces"]) for row in rows] == [("bc", 2)]
    assert parse(["train", "--algorithm", "bc"]).options()["name"] == "bc-cf"


def test_an_unknown_algorithm_and_options_of_another_one_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=r"unknown algorithm 'sacc' \(did you mean 'sac'\?\); there are sac, bc"):
        parse(["train", "--algorithm", "sacc"])
    with pytest.raises(SystemExit) as done:
        parse(["train", "--algorithm", "bc", "--sac.gamma", "0.9"])
    assert done.value.code == 2
    assert "--sac.gamma" in capsys.readouterr().err
    (tmp_path / "training.yaml").write_text("sac: {gamma: 0.9}\n")
    with pytest.raises(ConfigError, match=r"training\.yaml: sac: unknown key"):
        parse(["train", "--algorithm", "bc", "--config", str(tmp_path / "training.yaml")])


def test_counterfactuals_alone_can_be_trained_on(run: RunDirectory, tmp_path: Path) -> None:
    other = made(tmp_path / "run", SCENARIO)
    other.logged.unlink()
    write_dataset(other.augmented, SCENARIO, small_dataset(SCENARIO, [2, 3], "generated").episodes)
    data = train(other, "--data", "counterfactual")
    assert list(data["checkpoints"]) == ["sac-cf-only"]
    assert (data["logged_transitions"], data["counterfactual_transitions"]) == (0, 12)


def test_options_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "training.yaml"
    file.write_text("seed: 7\nsac: {gamma: 0.9, learning_rate: 1e-3}\n")
    given = ["train", "--config", str(file), "--name", "x"]
    command = parse([*given, "--sac.gamma", "0.5"])
    assert isinstance(command, Train)
    assert (command.name, command.training.seed) == ("x", 7)
    assert (command.training.sac.gamma, command.training.sac.learning_rate) == (0.5, 1e-3)
    by_options = parse(["train", "--name", "x", "--seed", "7", "--sac.learning-rate", "1e-3"])
    assert command.options() == by_options.options()
    file.write_text("sac: {gama: 0.9}\n")
    with pytest.raises(ConfigError, match=r"training\.yaml: sac\.gama: unknown key \(did you mean 'gamma'\?\)"):
        parse(given)
    with pytest.raises(MlbError, match=r"absent\.yaml"):
        parse(["train", "--config", str(tmp_path / "absent.yaml")])


@pytest.mark.parametrize("name", ["../up", "a/b", "", "-x", "a b"])
def test_a_name_that_no_file_can_bear_is_refused(run: RunDirectory, name: str) -> None:
    before = sorted(run.path.rglob("*"))
    if name:
        with pytest.raises(ConfigError, match="cannot be a part of a file's name"):
            train(run, "--data", "logged", f"--name={name}")
    with pytest.raises((ConfigError, DataError)):
        judged(run, [f"{name}=there.pt"], [], at_home=True)
    assert sorted(run.path.rglob("*")) == before


@pytest.mark.slow
def test_policies_are_found_by_name_and_by_file(run: RunDirectory) -> None:
    checkpoint = last_checkpoint(run.training / "sac").resolve()
    everything = judged(run, [], [], at_home=True)
    assert list(map(str, everything)) == ["static", "random", "integral", "planner", *run.trainings()]
    assert [str(one) for one in judged(run, ["sac"], [], at_home=False)] == [f"sac={checkpoint}"]
    for file in (str(checkpoint), str(run.training / "sac")):
        assert [str(one) for one in judged(run, ["static"], [file], at_home=True)] == ["static", f"sac={checkpoint}"]
    assert [one.name for one in judged(run, ["sac"], [f"old={checkpoint}"], at_home=True)] == ["sac", "old"]
    with pytest.raises(ConfigError, match=r"two policies are called 'sac'\n.*--policy NAME=FILE"):
        judged(run, [], [str(checkpoint)], at_home=True)
    known = "static, random, integral, son-step, onos-mlb, rebuha, cmf-map, planner, noise, epsilon, sac, wide"
    with pytest.raises(ConfigError, match=rf"unknown policy 'wid' .*\n.*{known}"):
        judged(run, ["wid"], [], at_home=True)
    with pytest.raises(DataError, match=r"nowhere\.pt: is no checkpoint"):
        judged(run, ["static"], ["nowhere.pt"], at_home=True)


@pytest.mark.slow
def test_shared_weights_fit_other_numbers_of_cells_and_other_forms_are_refused(run: RunDirectory) -> None:
    checkpoint = last_checkpoint(run.training / "sac")
    four = FOUR_CELLS
    episode = small_dataset(four, [1]).episodes[0]
    action = trained_policy(four, checkpoint).act(episode.observations[0], episode.kpis_at(0), None)
    assert action.shape == (len(four.neighbor_pairs),)
    assert len(four.neighbor_pairs) > len(SCENARIO.neighbor_pairs)
    matrix = SCENARIO.model_copy(update={"observation": "rsrp-matrix"})
    with pytest.raises(
        DataError, match=r"for 45 observations, 6 actions, .*; scenario small-v0 has 36 observations, 6"
    ):
        trained_policy(matrix, checkpoint)


@pytest.mark.slow
def test_judged_at_home_again_and_in_the_scenario_of_another_run(run: RunDirectory, tmp_path: Path) -> None:
    options = ["evaluate", "--run", str(run.path), "--backend", "engine", "--workers", "1"]
    with pytest.raises(ConfigError, match="workers: 0"):
        parse([*options, "--policies", "static", "--workers", "0"]).execute()
    assert not (run.path / "evaluate.json").exists()
    parse([*options, "--policies", "static", "sac"]).execute()
    with pytest.raises(StorageError, match="stage 'evaluate' of this run exists"):
        parse([*options, "--policies", "static", "wide"]).execute()
    kept = {path: path.stat().st_mtime_ns for path in run.episodes("evaluate").glob("*.h5")}
    rows = parse([*options, "--resume", "--policies", "static", "wide"]).execute().data
    assert [row["policy"] for row in rows] == ["static", "wide"]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    home = (run.evaluation.read_bytes(), (run.path / "evaluate.json").read_bytes())

    other = made(tmp_path / "four", FOUR_CELLS)
    rows = (
        parse([*options, "--scenario", str(other.path), "--policies", "static", "--policy", str(run.training / "sac")])
        .execute()
        .data
    )
    assert [(row["policy"], row["traces"]) for row in rows] == [("static", 2), ("sac", 2)]
    assert home == (run.evaluation.read_bytes(), (run.path / "evaluate.json").read_bytes())
    assert not other.evaluation.exists()
    there = run.elsewhere("four")
    record = json.loads((there.path / "evaluate.json").read_text())
    checkpoint = last_checkpoint(run.training / "sac").resolve()
    assert record["config"] == {"policies": ["static", f"sac={checkpoint}"], "seeds": 1, "backend": "engine"}
    # what the record says is a command that finds all of it done
    words = ["evaluate", "--run", str(there.path), "--resume", "--policies", *record["config"]["policies"]]
    again = parse([*words, "--backend", "engine"])
    assert isinstance(again, Evaluate)
    assert again.execute().data == rows


def test_a_record_holds_paths_that_are_valid_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").touch()
    monkeypatch.chdir(tmp_path)
    for given, kept in (("mine.yaml", str(tmp_path / "mine.yaml")), ("helsinki-event-v0", "helsinki-event-v0")):
        command = parse(["mobility", "make", "--preset", given])
        assert isinstance(command, Mobility)
        assert command.options()["preset"] == kept


@pytest.mark.parametrize(
    "options",
    [
        ["--data", "logged"],
        ["--data", "counterfactual", "--counterfactual-share", "0.25"],
        ["--name", "wide", "--seed", "3", "--sac.gamma", "0.9", "--sac.target-entropy-per-action", "-0.5"],
    ],
)
def test_the_command_that_a_training_stands_for_is_the_training_again(options: list[str]) -> None:
    command = parse(["train", *options])
    assert isinstance(command, Train)
    record = StageRecord(stage="train", config=command.options(), versions={})
    again = parse(shlex.split(command_line(record, Path("runs/some where")))[1:])
    assert isinstance(again, Train)
    assert again.options() == command.options()
    assert again.run == Path("runs/some where")
