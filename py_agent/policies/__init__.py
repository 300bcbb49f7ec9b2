"""Policies that need no training: they read KPIs and set CIOs."""

from py_agent.policies.base import Policy, PolicyFactory
from py_agent.policies.rules import POLICIES, IntegralRule, Random, Static

__all__ = ["POLICIES", "IntegralRule", "Policy", "PolicyFactory", "Random", "Static"]
