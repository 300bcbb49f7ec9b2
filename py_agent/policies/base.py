"""The contract of policies: rules, planners and trained agents."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ns3_scenarios.kpis import StepKpis
    from ns3_scenarios.scenario import Scenario
    from sumo_mobility.base.arrays import Floats, Singles
    from sumo_mobility.trace import MobilityTrace


class Policy(Protocol):
    """Chooses an action at each control step."""

    def reset(self, seed: int) -> None:
        """Begins an episode; all randomness of the policy comes from `seed`."""
        ...

    def act(self, observation: Singles, kpis: StepKpis, cio_db: Floats) -> Singles:
        """Returns the next action, (A,) float32 in [-1, 1].

        Args:
            observation: (O,) what the environment returned last.
            kpis: KPIs of the last interval.
            cio_db: (E,) CIO that was in force during it.
        """
        ...


@runtime_checkable
class StochasticPolicy(Policy, Protocol):
    """A policy that draws its actions from a density, and can say which."""

    def log_prob(self, action: Singles) -> float:
        """Returns the natural logarithm of the density of an action (A,), given what `act` was told last.

        The density is one over the actions in [-1, 1]^A; NaN where there is none, because the action has a probability
        of its own. It may be that given what the policy drew on the way, as long as the next action is drawn from it.
        """
        ...


def log_prob(policy: Policy, action: Singles) -> float:
    """Returns the log-density of an action (A,) under a policy, given what it was told last; NaN if it has none."""
    density = getattr(policy, "log_prob", None)  # isinstance takes longer than many a policy
    return math.nan if density is None else float(density(action))


@runtime_checkable
class Clairvoyant(Policy, Protocol):
    """A policy that may be told what no controller knows, where the UEs will be, so that others have a ceiling."""

    def foresee(self, trace: MobilityTrace | None) -> None:
        """Is told the mobility of the episode before it begins; None where nobody knows it, as of live traffic."""
        ...


@dataclass(frozen=True)
class Search:
    """How `py_agent.tune` searches the parameters of a policy; a class that declares one, as its SEARCH, can be tuned.

    Attributes:
        levels: The values of each parameter that are tried, rising or falling; integers if the parameter is one.
        start: Parameters from which the search begins; those that are left out have the defaults of the class.
        late: Parameters that make a difference only where reports are late; elsewhere they stay what they are.
    """

    levels: Mapping[str, tuple[float, ...]]
    start: Mapping[str, float] = field(default_factory=dict)
    late: tuple[str, ...] = ()


PolicyFactory = Callable[["Scenario"], Policy]
"""Makes a policy for a scenario; a top-level class or a functools.partial of one, so that processes can share it."""
