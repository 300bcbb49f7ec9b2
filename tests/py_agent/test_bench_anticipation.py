"""The measurement of anticipation: every policy on the same traces, and what learns from the data that it may have."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from cf_augment.dataset import read_dataset
from py_agent.bench import anticipation
from py_agent.bench.agent import scenario_of
from py_agent.benchmark.scores import share_of_wins
from py_agent.benchmark.workshop import Effort, Workshop
from py_agent.jobs import Executor, Job
from py_agent.policies import vae_future

pytestmark = pytest.mark.slow


class Here(Executor):
    def run(self, jobs: Sequence[Job], title: str) -> None:
        for job in jobs:
            job.run(lambda work: None)


def test_what_anticipation_is_worth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = (anticipation.RULE, "static", anticipation.CEILING)
    monkeypatch.setattr(anticipation, "_TARGETS", {2: (0.0, 1.0), 1: (0.0, 1.0)})
    monkeypatch.setattr(vae_future, "_STEPS", 50)
    monkeypatch.setattr(anticipation, "POLICIES", {name: anticipation.POLICIES[name] for name in names})
    alone = "SAC + exact replay"
    agents = {name: replace(anticipation.AGENTS[name], counts=(2,)) for name in (anticipation.OURS, alone)}
    monkeypatch.setattr(anticipation, "AGENTS", agents)
    scenario = scenario_of("line3-slow-v0")
    effort = Effort(seeds=2, test_traces=2, gradient_steps=3, replays=1, mixed_traces=1, generated_traces=4)
    workshop = Workshop(tmp_path, 3, effort, Here())
    measured = anticipation.worth(workshop, scenario)
    figures = {each.metric.removeprefix(f"{scenario.id}: "): each.value for each in measured}
    data = ("2 traces of other contexts", "1 traces of other contexts", "one trace of the context")
    learned = [f"{name}, {what}" for name in anticipation.LEARNED for what in data]
    learned += ["causal model, RSRP alone", *(f"{name}, 2 traces of other contexts" for name in agents)]
    rewards = {name: figures[f"{name}: mean reward"] for name in (*names, *learned)}
    gained = {name.partition(": reward")[0]: value for name, value in figures.items() if "less the rule's" in name}
    assert gained == pytest.approx({name: reward - rewards["tuned rule"] for name, reward in rewards.items()})
    scores = {metric.partition(": S_slow")[0]: value for metric, value in figures.items() if ": S_slow [" in metric}
    assert scores == pytest.approx({name: gained[name] / gained["clairvoyant"] for name in ("static", *learned)})
    assert rewards["clairvoyant"] == max(rewards.values())
    heard = figures["S_slow of causal model, RSRP alone, over that with positions, 2 traces"]
    assert heard == pytest.approx(
        scores["causal model, RSRP alone"] / scores["causal model, 2 traces of other contexts"]
    )
    for control, what in product(("nearest neighbours", "conditional VAE"), data):
        better = figures[f"P(causal model > {control}, {what})"]
        assert better * 2 * len(scenario.mobility.test_contexts) % 0.5 == 0  # of 6 episodes, a tie counts half
    better = figures[f"P(SAC + CF > {alone}, 2 traces of other contexts)"]
    assert better * 2 * 2 * 2 * len(scenario.mobility.test_contexts) % 0.5 == 0  # and of 2 seeds each
    [folder] = tmp_path.glob("*/2-traces")
    made = {path.parent.name: len(read_dataset(path).episodes) for path in folder.glob("augmented-*/augmented.h5")}
    report = json.loads((folder / "augmented-1-1-4" / "generated.json").read_text())
    assert made == {"augmented-1-1-4": 3 + report["generated"], "augmented-1-0-0": 2}
    assert report["generated"] >= 1
    for count in (2, 1):
        [logged] = tmp_path.glob(f"{scenario.id}/{count}-traces/logged.h5")
        contexts = {episode.of_trace("context") for episode in read_dataset(logged).episodes}
        assert len(contexts) == min(count, len(scenario.mobility.train_contexts))
    for index, context in enumerate(scenario.mobility.test_contexts):
        home = tmp_path / f"{scenario.id}-{index}-{context.name}"
        [episode] = read_dataset(home / "own-trace/logged.h5").episodes
        assert episode.of_trace("context") == context.name
        assert len([*home.glob("traces/test-*.parquet")]) == 2


def test_forecasts_are_scored_beside_dead_reckoning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anticipation, "_TARGETS", {2: (0.0, 1.0)})
    monkeypatch.setattr(anticipation, "_FITTED", 2)
    monkeypatch.setattr(vae_future, "_STEPS", 50)
    scenario = scenario_of("line3-slow-v0")
    workshop = Workshop(tmp_path, 3, Effort(seeds=1, test_traces=2, gradient_steps=0), Here())
    measured = [*anticipation.model_speed(workshop, scenario), *anticipation.forecast_error(workshop, scenario)]
    figures = {each.metric.removeprefix(f"{scenario.id}: "): each for each in measured}
    assert figures["causal model: fit on 2 traces, and a first abduction"].value > 0
    assert figures["CRPS of loads in 30 s, causal model over dead reckoning"].ok
    for control in ("nearest neighbours", "conditional VAE"):
        assert figures[f"CRPS of loads in 30 s, {control} over dead reckoning"].value > 0


def test_wins_are_counted_over_all_pairs_of_seeds_on_the_same_trace() -> None:
    ours, theirs = np.array([[[3.0, 1.0], [2.0, 2.0]]]), np.array([[[2.0, 2.0]]])
    assert share_of_wins(ours, theirs).mean() == (1 + 0 + 0.5 + 0.5) / 4


def test_crps_by_hand() -> None:
    assert anticipation._crps(np.array([[1.0, 3.0]]), np.array([2.0, 3.0])) == pytest.approx(0.5)
    # Of draws 0 and 2: half of their distance, which is 2, is taken off the mean error.
    assert anticipation._crps(np.array([[0.0], [2.0]]), np.array([1.0])) == pytest.approx(1 - 1)
    assert anticipation._crps(np.array([[0.0], [2.0]]), np.array([4.0])) == pytest.approx(3 - 1)
