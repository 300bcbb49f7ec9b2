"""Policies that need no training: they read KPIs and set CIOs."""

from py_agent.policies.base import Policy, PolicyFactory
from py_agent.policies.registry import POLICIES, policy_factory
from py_agent.policies.rules import IntegralRule, Random, Static

__all__ = ["POLICIES", "IntegralRule", "Policy", "PolicyFactory", "Random", "Static", "policy_factory"]
