"""`mlb collect`: any policies, seeds and back ends, within a budget, and what is appended later."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from small_world import small_dataset, small_scenario, small_trace

from cf_augment.dataset import Episode, read_dataset, write_dataset
from ns3_scenarios.scenario import Scenario
from py_agent import collect, jobs
from py_agent.algorithms.config import TrainConfig
from py_agent.algorithms.sac import SacConfig
from py_agent.cli.commands import parse
from py_agent.cli.report import command_line
from py_agent.collect import episode_jobs
from py_agent.jobs import Executor, Job
from py_agent.policies.rules import Static
from py_agent.rundir import RunDirectory
from py_agent.train import train
from sumo_mobility.base.errors import ConfigError, DataError, MlbError, SimulatorError, StorageError

SCENARIO = small_scenario()
TRACE = small_trace(SCENARIO, 0)
Key = tuple[str, str, int, str]


class Here(Executor):
    """Runs jobs one after another in this process, at most `left` of them."""

    left = math.inf
    played: list[str] = []

    def __init__(self, workers: int) -> None:
        self.played.clear()

    def run(self, todo: Sequence[Job], title: str) -> None:
        for job in todo:
            if len(self.played) >= self.left:
                raise SimulatorError("the power failed")
            job.run(lambda work: None)
            self.played.append(job.path.stem)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A run with three training traces."""
    monkeypatch.setattr(jobs, "LocalExecutor", Here)
    return run_in(tmp_path / "run")


def do(run: RunDirectory, *options: str) -> list[Key]:
    """Collects, and returns what logged.h5 then has."""
    parse(["collect", "--run", str(run.path), "--backend", "engine", *options]).execute()
    return logged(run)


def logged(run: RunDirectory) -> list[Key]:
    return [key(episode) for episode in read_dataset(run.logged).episodes]


def key(episode: Episode) -> Key:
    record = episode.metadata
    return record.trace_name, record.policy, record.seed, record.backend


@settings(max_examples=25)
@given(some.integers(1, 7), some.integers(1, 7), some.integers(1, 3), some.data())
def test_any_number_of_episodes_is_even_over_policies_and_over_traces(
    traces: int, policies: int, seeds: int, data: some.DataObject
) -> None:
    everything = traces * policies * seeds
    limit = data.draw(some.integers(1, everything))

    def keys(limit: int | None) -> list[tuple[str, str, int]]:
        made = dict.fromkeys((f"t{index}" for index in range(traces)), TRACE)
        of_names = dict.fromkeys((f"p{index}" for index in range(policies)), Static)
        found = episode_jobs(SCENARIO, made, of_names, range(seeds), Path(), "engine", limit=limit)
        return [(job.metadata.trace_name, job.metadata.policy, job.metadata.seed) for job in found]

    chosen, all_ = keys(limit), keys(None)
    assert len(set(all_)) == len(all_) == everything
    assert len(chosen) == limit
    assert chosen == [one for one in all_ if one in set(chosen)]
    for part, count in ((0, traces), (1, policies)):
        each = Counter(one[part] for one in chosen)
        assert max(each.values()) - (min(each.values()) if len(each) == count else 0) <= 1
    later = {one[2] for one in chosen}
    assert later == set(range(max(later) + 1))
    assert {one[2] for one in keys(traces * policies)} == {0}


@pytest.mark.slow
def test_every_policy_meets_every_trace_with_every_seed(run: RunDirectory) -> None:
    names = ["noise:std=0.3,around=integral:gain_db=4", "random"]
    assert do(run, "--policies", *names, "--seeds", "2", "--seed", "5") == [
        (f"train-{trace:03d}", name, seed, "engine") for trace in range(3) for name in names for seed in (5, 6)
    ]
    for episode in read_dataset(run.logged).episodes:
        uniform = -episode.actions.shape[1] * math.log(2)
        if episode.metadata.policy == "random":
            assert episode.behavior_log_probs == pytest.approx(uniform)
        else:
            assert np.isfinite(episode.behavior_log_probs).all()
            assert np.unique(episode.behavior_log_probs).size == episode.steps


@pytest.mark.parametrize(
    ("options", "count"),
    [(["--episodes", "4"], 4), (["--steps", "29"], 4), (["--simulated-s", "36"], 4), (["--episodes", "99"], 6)],
)
def test_a_budget_is_kept_in_whole_episodes(run: RunDirectory, options: list[str], count: int) -> None:
    """An episode has 6 steps and takes 9 s with its warm-up."""
    keys = do(run, "--policies", "static", "random", *options)
    assert len(keys) == count
    assert Counter(policy for _, policy, *_ in keys) == {"static": count // 2, "random": count // 2}
    [record] = run.records()
    again = parse(shlex.split(command_line(record, run.path))[1:])
    assert again.options() == record.config  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--episodes", "0"], r"--episodes 0: at least 1 is needed"),
        (["--steps", "5"], r"--steps 5: an episode has 6"),
        (["--simulated-s", "8.9"], r"--simulated-s 8\.9: an episode takes 9"),
        (["--simulated-s", "nan"], r"--simulated-s nan: an episode takes 9"),
        (["--steps", "6", "--episodes", "1"], r"--episodes and --steps: two budgets"),
        (["--seeds", "0"], r"--seeds 0: must be 1 at least"),
        (["--policies", "noise:std=0"], r"policy noise: std is 0"),
    ],
)
def test_what_cannot_be_collected_is_refused_before_anything_is_begun(
    run: RunDirectory, options: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        do(run, *options)
    assert not (run.path / "collect.json").exists()
    assert not (run.path / "episodes").exists()


@pytest.mark.slow
def test_what_is_appended_follows_what_was_there(run: RunDirectory) -> None:
    with pytest.raises(DataError, match=r"logged\.h5: does not exist\n.*'mlb collect"):
        do(run, "--append", "--policies", "static")
    first = do(run, "--policies", "static", "random")
    before = [episode.actions for episode in read_dataset(run.logged).episodes]
    with pytest.raises(StorageError, match=r"stage 'collect' of this run exists\n.*--append more to it"):
        do(run, "--policies", "epsilon")
    second = do(run, "--append", "--policies", "epsilon")
    assert second == [*first, *((f"train-{trace:03d}", "epsilon", 0, "engine") for trace in range(3))]
    assert Here.played == [f"train-{trace:03d}-epsilon-0" for trace in range(3)]
    third = do(run, "--append", "--policies", "static", "--seed", "1", "--episodes", "1")
    assert third == [*second, ("train-000", "static", 1, "engine")]
    fourth = do(run, "--append", "--policies", "static", "--episodes", "1", "--backend", "fluid")
    assert fourth == [*third, ("train-000", "static", 0, "fluid")]
    for episode, actions in zip(read_dataset(run.logged).episodes, before, strict=False):
        assert np.array_equal(episode.actions, actions)
    assert [("append" in record.config, record.config["policies"]) for record in run.records()] == [
        (False, ["static", "random"]), (True, ["epsilon"]), (True, ["static"]), (True, ["static"])
    ]  # fmt: skip
    assert "--append" in command_line(run.records()[1], run.path)


def test_what_is_there_already_is_not_appended_again(run: RunDirectory) -> None:
    do(run, "--policies", "static")
    kept = run.logged.read_bytes()
    with pytest.raises(StorageError, match=r"has 'static' on train-000 with seed 0 in engine already\n.*--seed"):
        do(run, "--append", "--policies", "random", "static")
    assert run.logged.read_bytes() == kept
    assert len(run.records()) == 1
    assert not list(run.episodes("collect").glob("**/*random*"))


@pytest.mark.slow
def test_an_interrupted_addition_goes_on_and_gives_the_same_bytes(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    do(run, "--policies", "static")
    kept, options = run.logged.read_bytes(), ["--append", "--policies", "noise", "random"]
    monkeypatch.setattr(Here, "left", 4)
    with pytest.raises(SimulatorError, match="the power failed"):
        do(run, *options)
    assert run.logged.read_bytes() == kept
    assert len(run.records()) == 1
    monkeypatch.setattr(Here, "left", math.inf)
    do(run, *options)
    assert len(Here.played) == 2
    assert len(run.records()) == 2
    at_once = run_in(tmp_path / "other")
    do(at_once, "--policies", "static")
    do(at_once, *options)
    assert at_once.logged.read_bytes() == run.logged.read_bytes()


MANY = ["--policies", "noise", "random", "--seeds", "3"]
"""18 episodes: batches of four, four, four, four and two."""


@pytest.mark.slow
def test_batches_give_the_bytes_of_episodes_alone_and_nothing_else_stays(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    do(run, *MANY)
    assert [name.partition("-")[0] for name in Here.played] == ["batch"] * 5
    assert [path.name for path in run.episodes("collect").rglob("*.*")] == ["policies.json"]
    monkeypatch.setattr(collect, "_BATCH", 1)
    alone = run_in(tmp_path / "alone")
    do(alone, *MANY)
    assert len(Here.played) == 18
    assert alone.logged.read_bytes() == run.logged.read_bytes()


@pytest.mark.slow
def test_an_interrupted_collection_goes_on_behind_the_last_batch(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Here, "left", 2)
    with pytest.raises(SimulatorError, match="the power failed"):
        do(run, *MANY)
    kept = sorted(run.episodes("collect").rglob("batch-*.h5"))
    assert len(kept) == 2
    monkeypatch.setattr(Here, "left", math.inf)

    def full(path: Path, scenario: Scenario, episodes: Iterable[Episode], packed: bool = True) -> None:
        if path == run.logged:
            assert len(list(episodes)) == 18
            raise StorageError("the disk is full")
        write_dataset(path, scenario, episodes, packed)

    with monkeypatch.context() as now:
        now.setattr(collect, "write_dataset", full)
        with pytest.raises(StorageError, match="the disk is full"):
            do(run, *MANY, "--resume")
    assert len(Here.played) == 3
    assert len(sorted(run.episodes("collect").rglob("batch-*.h5"))) == 5  # until their episodes are elsewhere
    do(run, *MANY, "--resume")
    assert Here.played == []
    assert not list(run.episodes("collect").rglob("batch-*.h5"))
    undisturbed = run_in(tmp_path / "undisturbed")
    do(undisturbed, *MANY)
    assert undisturbed.logged.read_bytes() == run.logged.read_bytes()


@pytest.mark.slow
def test_a_batch_that_is_damaged_or_of_another_experiment_is_refused(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Here, "left", 2)
    with pytest.raises(SimulatorError):
        do(run, *MANY)
    first, second = sorted(run.episodes("collect").rglob("batch-*.h5"))
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    with pytest.raises(StorageError, match=rf"{first.name}: is an episode of another experiment"):
        do(run, *MANY, "--resume")
    first.write_bytes(kept[:-100])
    with pytest.raises(DataError, match=rf"{first.name}: .*damaged"):
        do(run, *MANY, "--resume")


def run_in(path: Path) -> RunDirectory:
    """A run with three training traces."""
    made = RunDirectory(path)
    SCENARIO.write_json(made.scenario_path)
    for index in range(3):
        small_trace(SCENARIO, index).write(made.trace_path("train", index))
    return made


@pytest.mark.slow
def test_a_trained_policy_is_explored_around_and_its_name_stands_for_one_file(run: RunDirectory) -> None:
    config = TrainConfig.of("sac")(sac=SacConfig(hidden=8, batch_size=8, gradient_steps=2))
    for seed in range(2):
        data = small_dataset(SCENARIO, [seed])
        train(config.model_copy(update={"seed": seed}), data, None, [run.training / f"sac-{seed}"], resume=False)
    files = [run.training / f"sac-{seed}" for seed in range(2)]
    around = ["noise:std=0.001,around=sac-0", f"noise:std=0.001,around=mine={files[1]}"]
    keys = do(run, "--policies", "sac-0", f"mine={files[1]}", *around, "--episodes", "12")
    assert {policy for _, policy, *_ in keys} == {"sac-0", "mine", around[0], "noise:std=0.001,around=mine"}
    of = {key(episode)[:2]: episode for episode in read_dataset(run.logged).episodes}
    for name in ("sac-0", "mine"):
        plain, noisy = of["train-000", name], of["train-000", f"noise:std=0.001,around={name}"]
        assert noisy.actions[0] == pytest.approx(plain.actions[0], abs=0.01)
        assert not np.array_equal(noisy.actions[0], plain.actions[0])
        assert np.isnan(plain.behavior_log_probs).all()
        assert np.isfinite(noisy.behavior_log_probs).all()
    for policy in (f"mine={files[0]}", f"noise:std=0.001,around=mine={files[0]}"):
        with pytest.raises(StorageError, match=r"policies\.json: episodes of '.*mine' were played by .*sha256:"):
            do(run, "--append", "--policies", policy, "--seed", "1")


def test_a_dataset_of_another_scenario_is_not_extended(run: RunDirectory) -> None:
    do(run, "--policies", "static")
    SCENARIO.model_copy(update={"handover_cost": 0.5}).write_json(run.scenario_path)
    with pytest.raises(MlbError, match="the dataset is of another scenario"):
        do(run, "--append", "--policies", "random")
