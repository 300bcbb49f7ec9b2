"""Tuning finds the rule that earns most, by what an environment says that each rule earns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_world import small_scenario, small_trace

from cf_augment.dataset import EpisodeMetadata, Provenance
from ns3_scenarios.rule import Rule
from py_agent import tune as tuning
from py_agent.backends import open_backend
from py_agent.cli.commands import parse
from py_agent.env import MlbEnv
from py_agent.policies.rules import IntegralRule
from py_agent.rollout import run_episode
from sumo_mobility.base.errors import ConfigError

METADATA = EpisodeMetadata(
    scenario_id="small-v0", trace_name="trace", policy="integral", seed=0, backend="engine",
    provenance=Provenance(action_source="integral"),
)  # fmt: skip


def test_the_best_is_first_and_every_figure_is_that_of_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = {"gain_db": (2.0, 8.0, 24.0), "proportional_db": (0.0, 8.0), "leak": (1.0, 0.8)}
    monkeypatch.setattr(tuning, "LEVELS", levels)
    scenario = small_scenario().model_copy(update={"handover_cost": 0.1})
    traces = [small_trace(scenario, seed) for seed in range(3)]
    tried = tuning.tune(scenario, traces)
    assert tried.reward.is_monotonic_decreasing
    assert tried.reward[0] > tried.reward.iloc[-1]
    assert not tried[list(levels)].duplicated().any()
    best = {name: float(tried[name][0]) for name in levels}
    for name, values in levels.items():  # no change of one gain makes the best one better
        others = {other: value for other, value in best.items() if other != name}
        same = tried[(tried[list(others)] == pd.Series(others)).all(axis=1)]
        assert set(same[name]) == set(values)
    for row in (tried.iloc[0], tried.iloc[-1]):
        rule = Rule(**{name: float(row[name]) for name in levels})
        episodes = [
            run_episode(
                MlbEnv(scenario, open_backend(scenario, "engine"), [trace]),
                IntegralRule(scenario, **rule.model_dump()),
                METADATA,
            )
            for trace in traces
        ]
        assert row.reward == pytest.approx(np.mean([episode.rewards.mean() for episode in episodes]), abs=1e-6)
        handovers = sum(episode.kpis.handovers[1:].sum() for episode in episodes)
        assert row.handovers == pytest.approx(handovers / (12 * 3 * 6 / 60))


def test_a_rule_needs_traces() -> None:
    with pytest.raises(ConfigError, match=r"^--traces 0: must be 1 at least"):
        parse(["tune", "line3-right-none-left-v0", "--traces", "0"]).execute()
