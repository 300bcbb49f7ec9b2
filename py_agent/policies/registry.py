"""The policies by name, and with parameters as in integral:gain_db=4."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from py_agent.policies.base import Policy, PolicyFactory
from sumo_mobility.base.contract import nearest
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.base.registry import Lazy, Registry

POLICIES: Registry[Lazy[Policy]] = Registry("policy")
"""All policies that need no training: classes whose first argument is the scenario; all others are parameters."""

_FINITE = ConfigDict(allow_inf_nan=False)

POLICIES.register(Lazy("static", "py_agent.policies.rules:Static", "no offsets"))
POLICIES.register(Lazy("random", "py_agent.policies.rules:Random", "new offsets at each step"))
POLICIES.register(Lazy("integral", "py_agent.policies.rules:IntegralRule", "integral control of the load"))
POLICIES.register(Lazy("planner", "py_agent.policies.planner:GreedyPlanner", "a search in the analytic engine"))


def policy_factory(text: str) -> PolicyFactory:
    """Returns what makes a policy.

    Args:
        text: Its name, or its name and parameters: "planner:samples=40,rounds=1".

    Raises:
        ConfigError: unknown policy or parameter, with the nearest one; or a value of another type than the parameter's.
    """
    name, _, listed = text.partition(":")
    made: Any = POLICIES[name].load()
    types = get_type_hints(made.__init__)
    known = [parameter for parameter in list(inspect.signature(made).parameters)[1:] if parameter in types]
    values: dict[str, Any] = {}
    for pair in filter(None, listed.split(",")):
        parameter, _, value = (part.strip() for part in pair.partition("="))
        if parameter not in known:
            hint = nearest(parameter, known) if known else " (it has none)"
            raise ConfigError(f"policy '{text}': unknown parameter '{parameter}'{hint}", f"write {name}:NAME=VALUE")
        try:
            values[parameter] = TypeAdapter(types[parameter], config=_FINITE).validate_strings(value)
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"].replace("Input should be", "must be", 1)
            raise ConfigError(f"policy '{text}': {parameter} {reason}, got '{value}'") from None
    return partial(made, **values) if values else made
