"""The part of a scenario that actions, observations and rewards may depend on."""

from __future__ import annotations

from collections.abc import Sized
from typing import Protocol

from ns3_scenarios.episode import Episode
from ns3_scenarios.handover import Handover
from ns3_scenarios.radio import LteRadio
from ns3_scenarios.traffic import Traffic
from sumo_mobility.mobility_config import MobilityConfig


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
        """The traffic that each UE is offered."""
        ...

    @property
    def episode(self) -> Episode:
        """The control interval."""
        ...

    @property
    def mobility(self) -> MobilityConfig:
        """The mobility settings, with the number of UEs."""
        ...

    @property
    def radio(self) -> LteRadio:
        """Bandwidth and receivers."""
        ...

    @property
    def profile(self) -> str:
        """The name of the profile of the physics."""
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
        """The cost of handovers: what is subtracted from the reward if every UE is handed over once in an interval."""
        ...
