"""Tunes the integral rule to a scenario, on traces that neither training nor judgement sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cf_augment.augment import ActionSource, roll_out
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import cio_from_action, load_std, reward
from ns3_scenarios.rule import Rule
from ns3_scenarios.scenario import Scenario
from py_agent.policies.rules import IntegralRule
from sumo_mobility.base.arrays import Singles
from sumo_mobility.base.progress import note
from sumo_mobility.trace import MobilityTrace

LEVELS = {
    "gain_db": (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0),
    "proportional_db": (0.0, 2.0, 4.0, 8.0, 16.0, 32.0),
    "leak": (1.0, 0.98, 0.95, 0.9, 0.8, 0.6),
    "discount_per_db": (0.0, 0.02, 0.04, 0.08, 0.16, 0.32),
}
"""The values of each gain that are tried; the discount makes a difference only where reports are late."""


def tune(scenario: Scenario, traces: Sequence[MobilityTrace]) -> pd.DataFrame:
    """Searches the gains of the greatest mean reward in the engine, one gain after another until none gets better.

    Args:
        scenario: The scenario; one that the engine mirrors.
        traces: Development traces.

    Returns:
        A row for each rule that was tried, the best one first: its gains, and means over all steps of `reward`, in the
        scenario's own terms, and of `load_std` and `handovers`, these per UE per minute.
    """
    tried: dict[Rule, dict[str, float]] = {}

    def worth(rule: Rule) -> float:
        if rule not in tried:
            tried[rule] = _play(scenario, traces, rule)
        return tried[rule]["reward"]

    best, before = Rule(), None
    while best != before:
        before = best
        for name, values in _levels(scenario).items():
            best = max([best, *(best.model_copy(update={name: value}) for value in values)], key=worth)
        note(f"{best} earns {worth(best):.5g}")
    rows = [rule.model_dump() | figures for rule, figures in tried.items()]
    return pd.DataFrame(rows).sort_values("reward", ascending=False, kind="stable", ignore_index=True)


def _levels(scenario: Scenario) -> dict[str, tuple[float, ...]]:
    """The levels that can make a difference."""
    on_time = () if scenario.reports.delay_intervals else ("discount_per_db",)
    return {name: values for name, values in LEVELS.items() if name not in on_time}


def _play(scenario: Scenario, traces: Sequence[MobilityTrace], rule: Rule) -> dict[str, float]:
    played = roll_out(scenario, traces, [_source(scenario, rule) for _ in traces], range(len(traces)))
    kpis = [step for steps, _ in played for step in steps[1:]]
    ue_minutes = len(kpis) * scenario.mobility.ues * scenario.episode.control_interval_s / 60
    return {
        "reward": float(np.mean([reward(scenario, step) for step in kpis])),
        "load_std": float(np.mean([load_std(step) for step in kpis])),
        "handovers": float(np.sum([step.handovers for step in kpis])) / ue_minutes,
    }


def _source(scenario: Scenario, rule: Rule) -> ActionSource:
    policy, nothing = IntegralRule(scenario, **rule.model_dump()), np.empty(0, np.float32)
    cio_db = np.zeros(len(scenario.neighbor_pairs))

    def act(step: int, kpis: StepKpis) -> Singles:
        nonlocal cio_db
        action = policy.act(nothing, kpis, cio_db)
        cio_db = cio_from_action(scenario, action)
        return action

    return act
