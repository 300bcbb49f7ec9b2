"""Policies that need no training: they read KPIs and set CIOs. To name them loads none of them."""

from py_agent.policies.base import Clairvoyant, Policy, PolicyFactory, Search, StochasticPolicy, log_prob
from py_agent.policies.registry import POLICIES, Baseline, Explorer, policy_factory, split_around

__all__ = [
    "POLICIES", "Baseline", "Clairvoyant", "Explorer", "Policy", "PolicyFactory", "Search", "StochasticPolicy",
    "log_prob", "policy_factory", "split_around",
]  # fmt: skip
