"""The contract of policies: rules, planners and trained agents."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ns3_scenarios.kpis import StepKpis
    from ns3_scenarios.scenario import Scenario
    from sumo_mobility.base.arrays import Floats, Singles


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


PolicyFactory = Callable[["Scenario"], Policy]
"""Makes a policy for a scenario; a top-level class or a functools.partial of one, so that processes can share it."""
