"""The uses of measurements: what each needs, and what is missing for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ns3_scenarios.mdp import OBSERVATIONS, REWARDS, observation_needs, reward_needs
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.errors import DataError

_OTHERS = {
    "offline RL: training and exports": (),
    "gradient of the physics: sac.physics_weight": ("ue_rsrp_dbm", "ue_serving_cell"),
    "replay under other offsets: mlb augment": ("trace",),
    "counts of handovers and failures": ("events",),
}
"""What uses need besides a scenario's own observation and reward."""


def missing(scenario: Scenario, unknown: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Returns what is missing for each use, by its name; nothing for those that are possible.

    Args:
        scenario: The scenario.
        unknown: What was not measured: KPIs, "events", "trace".
    """
    needs: dict[str, Collection[str]] = dict(_OTHERS)
    needs |= {f"observation {name}": observation_needs(scenario, name) for name in OBSERVATIONS}
    needs |= {f"reward {name}": reward_needs(scenario, name) for name in REWARDS}
    needs["reward with a handover_cost"] = ("handovers",)
    return {use: tuple(sorted(set(unknown) & set(names))) for use, names in needs.items()}


def require_formulas(scenario: Scenario, unknown: Mapping[str, str]) -> None:
    """Refuses a scenario whose observation or reward would not be known at all times.

    Args:
        scenario: The scenario.
        unknown: What was not measured, and why it is not known.

    Raises:
        DataError: names the KPI that is unknown, and the observations or rewards that would do.
    """
    lacking = missing(scenario, unknown)
    possible = {
        kind: [name for name in registry if not lacking[f"{kind} {name}"]]
        for kind, registry in (("observation", OBSERVATIONS), ("reward", REWARDS))
    }
    named = [("observation", scenario.observation), *(("reward", name) for name in scenario.reward_weights)]
    for kind, name in named:
        if names := lacking[f"{kind} {name}"]:
            others = f"set {kind}: {' or '.join(possible[kind])} in the preset" if possible[kind] else ""
            raise _refusal(scenario, f"{kind} {name}", names, unknown, others)
    if scenario.handover_cost and "handovers" in unknown:
        cost = f"handover_cost {scenario.handover_cost:g}"
        raise _refusal(scenario, cost, ("handovers",), unknown, "set handover_cost: 0 in the preset")


def _refusal(
    scenario: Scenario, what: str, names: Collection[str], unknown: Mapping[str, str], others: str
) -> DataError:
    reasons = "; ".join(dict.fromkeys(f"{name}: {unknown[name]}" for name in names))
    cure = ", or ".join(filter(None, (others, "give tables that have it")))
    return DataError(f"{scenario.id}: {what} needs {', '.join(names)}, which is not known ({reasons})", cure)
