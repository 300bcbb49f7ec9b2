"""What the columns of a dataset are, in words, for readers without this project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from ns3_scenarios.mdp import OBSERVATIONS, REWARDS
from ns3_scenarios.scenario import Scenario


@dataclass(frozen=True)
class Definitions:
    """The definitions of a dataset's columns, as its file has them.

    Attributes:
        observation: Name and formula of the observation.
        reward: Names and formula of the reward, with its weights and the cost of a handover.
        reward_unit: The unit of the reward.
    """

    observation: str
    reward: str
    reward_unit: str

    @classmethod
    def of(cls, scenario: Scenario) -> Self:
        """Returns the definitions of what is recorded in a scenario."""
        observation = OBSERVATIONS[scenario.observation]
        rewards = [(REWARDS[name], weight) for name, weight in scenario.reward_weights.items()]
        terms = [kind.formula if weight == 1 else f"{weight:g} * ({kind.formula})" for kind, weight in rewards]
        cost = [f"- {scenario.handover_cost:g} * handovers / UEs"] if scenario.handover_cost else []
        names, units = "-".join(scenario.reward_weights), {kind.unit for kind, _ in rewards}
        return cls(
            observation="; ".join(filter(None, [f"{observation.name}: {observation.formula}", scenario.reports.said])),
            reward=f"{names}: {' '.join([' + '.join(terms), *cost])}",
            reward_unit=" and ".join(sorted(units)),
        )
