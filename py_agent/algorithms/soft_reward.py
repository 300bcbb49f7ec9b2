"""The reward of the coming interval as a differentiable function of the action."""

from __future__ import annotations

import torch
from torch import Tensor

from cf_augment.physics import RadioStates, SoftWhatIf
from ns3_scenarios.mdp import cio_per_action_db
from ns3_scenarios.scenario import Scenario


class SoftReward:
    """The soft physics of a scenario, as algorithms ask for it.

    Args:
        scenario: The scenario.
        device: Where it is computed.

    Raises:
        ConfigError: the scenario has no soft physics; see `SoftWhatIf`.
    """

    def __init__(self, scenario: Scenario, device: str = "cpu") -> None:
        self._what_if = SoftWhatIf(scenario, device)
        self._cio_per_action_db = torch.as_tensor(cio_per_action_db(scenario), dtype=torch.float32, device=device)

    def __call__(self, states: RadioStates, actions: Tensor, temperature_db: float) -> Tensor:
        """Returns the rewards (N,) of actions (N, A), with their graph.

        Args:
            states: What the UEs receive and which cells serve them, (N, U, C) and (N, U).
            actions: In [-1, 1].
            temperature_db: See `SoftWhatIf`.
        """
        return self._what_if(states, actions @ self._cio_per_action_db, temperature_db)
