"""Offline RL algorithms: one contract, one registry, one file each."""

from py_agent.algorithms.registry import ALGORITHMS

__all__ = ["ALGORITHMS"]
