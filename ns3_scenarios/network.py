"""What actions, observations and rewards may know of a scenario."""

from __future__ import annotations

from collections.abc import Sized
from typing import Protocol

from ns3_scenarios.episode import Episode
from ns3_scenarios.handover import Handover
from ns3_scenarios.traffic import Traffic
from sumo_mobility.contexts import MobilityConfig


class Network(Protocol):
    """The part of a Scenario on which actions, observations and rewards depend."""

    @property
    def cells(self) -> Sized:
        """The cells, C of them."""
        ...

    @property
    def neighbor_pairs(self) -> tuple[tuple[int, int], ...]:
        """The ordered (serving, neighbour) cell indices, E of them, sorted."""
        ...

    @property
    def handover(self) -> Handover:
        """Event A3, and what an action sets of it."""
        ...

    @property
    def traffic(self) -> Traffic:
        """What each UE is offered."""
        ...

    @property
    def episode(self) -> Episode:
        """The control interval."""
        ...

    @property
    def mobility(self) -> MobilityConfig:
        """How many UEs there are."""
        ...

    @property
    def observation(self) -> str:
        """The name of the observation."""
        ...

    @property
    def reward_weights(self) -> dict[str, float]:
        """The rewards whose weighted sum is earned, by name."""
        ...

    @property
    def handover_cost(self) -> float:
        """What a handover of every UE in one interval costs."""
        ...
