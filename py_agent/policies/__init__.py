"""Policies that need no training: they read KPIs and set CIOs. To name them loads none of them."""

from py_agent.policies.base import Policy, PolicyFactory
from py_agent.policies.registry import POLICIES, policy_factory

__all__ = ["POLICIES", "Policy", "PolicyFactory", "policy_factory"]
