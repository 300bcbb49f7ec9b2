"""The registry of online algorithms; apart from their contract, so that names can be listed without loading PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sumo_mobility.base.registry import Lazy, Registry

if TYPE_CHECKING:
    from py_agent.online.base import OnlineAlgorithm

ONLINE: Registry[Lazy[OnlineAlgorithm]] = Registry("online algorithm")
"""All online RL algorithms by name; `py_agent.online.train.train_online` trains them."""

ONLINE.register(Lazy("online-ppo", "py_agent.online.ppo:OnlinePpo", "Proximal Policy Optimisation in the engine"))
ONLINE.register(Lazy("online-sac", "py_agent.online.sac:OnlineSac", "Soft Actor-Critic in the engine"))
