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
ALGORITHMS.register(Lazy("mopo", "py_agent.algorithms.mopo:Mopo", "model-based offline policy optimisation"))
