"""The registry of algorithms; apart from their contract, so that names can be listed without loading PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sumo_mobility.base.registry import Lazy, Registry

if TYPE_CHECKING:
    from py_agent.algorithms.base import Algorithm

ALGORITHMS: Registry[Lazy[Algorithm]] = Registry("algorithm")
"""All offline RL algorithms by name."""

ALGORITHMS.register(Lazy("sac", "py_agent.algorithms.sac:Sac", "Soft Actor-Critic"))
ALGORITHMS.register(Lazy("bc", "py_agent.algorithms.bc:Bc", "behaviour cloning"))
ALGORITHMS.register(Lazy("td3-bc", "py_agent.algorithms.td3_bc:Td3Bc", "TD3+BC, by d3rlpy"))
ALGORITHMS.register(Lazy("iql", "py_agent.algorithms.iql:Iql", "Implicit Q-Learning, by d3rlpy"))
ALGORITHMS.register(Lazy("cql", "py_agent.algorithms.cql:Cql", "Conservative Q-Learning, by d3rlpy"))
ALGORITHMS.register(Lazy("dt", "py_agent.algorithms.dt:Dt", "Decision Transformer, by d3rlpy"))
ALGORITHMS.register(Lazy("mopo", "py_agent.algorithms.mopo:Mopo", "model-based offline policy optimisation"))
