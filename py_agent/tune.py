"""Tunes a rule to a scenario, on traces that neither training nor judgement sees."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cf_augment.augment import ActionSource, roll_out
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import cio_from_action, load_std, reward
from ns3_scenarios.scenario import Scenario
from py_agent.policies import POLICIES, Policy, Search
from sumo_mobility.base.arrays import Singles
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.base.progress import note
from sumo_mobility.trace import MobilityTrace

Parameters = dict[str, float]
"""Values of the parameters that a policy's SEARCH names."""


def tune(scenario: Scenario, traces: Sequence[MobilityTrace], policy: str = "integral") -> pd.DataFrame:
    """Searches the parameters of the greatest mean reward in the engine, one after another until none gets better.

    What is tried is what the policy's SEARCH declares, so that what tuning costs is known: the rows are its budget.

    Args:
        scenario: The scenario; one that the engine mirrors.
        traces: Development traces.
        policy: The name of a policy that can be tuned.

    Returns:
        A row for each candidate that was tried, the best one first: its parameters, and means over all steps of
        `reward`, in the scenario's own terms, and of `load_std` and `handovers`, these per UE per minute.

    Raises:
        ConfigError: there is no such policy, or nothing of it to tune.
    """
    made, search = _tunable(policy)
    known = inspect.signature(made).parameters
    defaults = {name: parameter.default for name, parameter in known.items() if name in search.levels}
    tried: dict[tuple[float, ...], Parameters] = {}

    def worth(candidate: Parameters) -> float:
        key = tuple(candidate.values())
        if key not in tried:
            tried[key] = candidate | _play(scenario, traces, made, candidate)
        return tried[key]["reward"]

    best: Parameters = defaults | dict(search.start)
    before = None
    while best != before:
        before = best
        for name, values in _levels(scenario, search).items():
            best = max([best, *({**best, name: value} for value in values)], key=worth)
        note(f"{policy_text(policy, best)} earns {worth(best):.5g}")
    return pd.DataFrame(tried.values()).sort_values("reward", ascending=False, kind="stable", ignore_index=True)


def require_tunable(policy: str) -> None:
    """Checks the name of a policy.

    Raises:
        ConfigError: there is no such policy, or nothing of it to tune.
    """
    _tunable(policy)


def best_of(tried: pd.DataFrame, policy: str) -> Parameters:
    """Returns the parameters of the best candidate, given what `tune` returned for the same policy."""
    names = [name for name in tried.columns if name in _tunable(policy)[1].levels]
    best: dict[Any, Any] = tried[names].to_dict("records")[0]
    return best


def policy_text(policy: str, parameters: Mapping[str, float]) -> str:
    """Returns a policy as `policy_factory` takes it, such as "son-step:overload=0.5,margin=0.1"."""
    return f"{policy}:" + ",".join(f"{name}={str(value).removesuffix('.0')}" for name, value in parameters.items())


def at_edge(scenario: Scenario, policy: str, best: Mapping[str, float]) -> list[str]:
    """Returns the names of parameters at an end of their levels beyond which better values may lie.

    An end beyond which the policy takes no value, such as a gain of 0, is none of them.

    Args:
        scenario: The scenario to which the policy was tuned.
        policy: Its name.
        best: Its parameters, as `best_of` returns them.

    Raises:
        ConfigError: there is no such policy, or nothing of it to tune.
    """
    made, search = _tunable(policy)
    found = []
    for name, values in _levels(scenario, search).items():
        nearby = 1 if isinstance(values[0], int) else 0.01 * abs(values[-1] - values[0])
        beyond = {min(values): min(values) - nearby, max(values): max(values) + nearby}.get(best[name])
        if beyond is not None and _takes(made, scenario, {**best, name: beyond}):
            found.append(name)
    return found


def _takes(made: Any, scenario: Scenario, parameters: Mapping[str, float]) -> bool:
    try:
        made(scenario, **parameters)
    except ConfigError:
        return False
    return True


def tunable_policies() -> list[str]:
    """Returns the names of the policies that declare a search."""
    return [name for name, entry in POLICIES.items() if isinstance(getattr(entry.load(), "SEARCH", None), Search)]


def _tunable(policy: str) -> tuple[Any, Search]:
    """Returns a policy's class and its search."""
    made = POLICIES[policy].load()
    search = getattr(made, "SEARCH", None)
    if not isinstance(search, Search):
        others = ", ".join(tunable_policies())
        raise ConfigError(f"policy '{policy}' has nothing to tune", f"tune one of {others}")
    return made, search


def _levels(scenario: Scenario, search: Search) -> dict[str, tuple[float, ...]]:
    """The levels that can make a difference."""
    on_time = () if scenario.reports.delay_intervals else search.late
    return {name: values for name, values in search.levels.items() if name not in on_time}


def _play(
    scenario: Scenario, traces: Sequence[MobilityTrace], made: Any, parameters: Mapping[str, float]
) -> Parameters:
    sources = [_source(scenario, made(scenario, **parameters)) for _ in traces]
    played = roll_out(scenario, traces, sources, range(len(traces)))
    kpis = [step for steps, _ in played for step in steps[1:]]
    ue_minutes = len(kpis) * scenario.mobility.ues * scenario.episode.control_interval_s / 60
    return {
        "reward": float(np.mean([reward(scenario, step) for step in kpis])),
        "load_std": float(np.mean([load_std(step) for step in kpis])),
        "handovers": float(np.sum([step.handovers for step in kpis])) / ue_minutes,
    }


def _source(scenario: Scenario, policy: Policy) -> ActionSource:
    nothing, cio_db = np.empty(0, np.float32), np.zeros(len(scenario.neighbor_pairs))

    def act(step: int, kpis: StepKpis) -> Singles:
        nonlocal cio_db
        action = policy.act(nothing, kpis, cio_db)
        cio_db = cio_from_action(scenario, action)
        return action

    return act
