"""The policies by name, with parameters as in integral:gain_db=4, and around others as in noise:around=integral."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from py_agent.policies.base import Policy, PolicyFactory
from sumo_mobility.base.contract import nearest
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.base.registry import Lazy, Registry

POLICIES: Registry[Lazy[Policy]] = Registry("policy")
"""All policies that need no training: classes whose first argument is the scenario; all others are parameters."""


class Explorer(Lazy[Policy]):
    """A policy that explores around another one, which its parameter `around` names; none to be judged unasked."""


class Baseline(Lazy[Policy]):
    """A rule of the literature; none to be judged unasked."""


_FINITE = ConfigDict(allow_inf_nan=False)
_AROUND = "around"

POLICIES.register(Lazy("static", "py_agent.policies.rules:Static", "no offsets"))
POLICIES.register(Lazy("random", "py_agent.policies.rules:Random", "new offsets at each step"))
POLICIES.register(Lazy("integral", "py_agent.policies.rules:IntegralRule", "integral control of the load"))
POLICIES.register(Baseline("son-step", "py_agent.policies.load_rules:SonStep", "steps away from overloaded cells"))
POLICIES.register(Baseline("onos-mlb", "py_agent.policies.load_rules:OnosMlb", "the steps of the xApp onos-mlb"))
POLICIES.register(Baseline("rebuha", "py_agent.policies.load_rules:ReBuHa", "RSRP less a penalty on the load"))
POLICIES.register(Baseline("cmf-map", "py_agent.policies.load_rules:CmfMap", "a table from loads to offsets"))
POLICIES.register(Lazy("planner", "py_agent.policies.planner:GreedyPlanner", "a search in the analytic engine"))
POLICIES.register(Explorer("noise", "py_agent.policies.explore:Noise", "Gaussian noise around another policy"))
POLICIES.register(Explorer("epsilon", "py_agent.policies.explore:Epsilon", "now and then a uniform action"))


def split_around(text: str) -> tuple[str, str] | None:
    """Splits the text of a policy before the other one that it explores around, or returns None if it names none.

    "noise:std=0.2,around=integral:gain_db=4" is "noise:std=0.2,around=" and "integral:gain_db=4": `around` is the last
    parameter, so that the other policy needs no brackets and may be around a third one.

    Raises:
        ConfigError: parameters of the policy stand behind the other one.
    """
    found = re.fullmatch(rf"([^:=]*:(?:[^,]*,)*?\s*{_AROUND}\s*=)(.*)", text)
    if not found:
        return None
    outer, inner = found.groups()
    if re.match(r"[\w.-]*,", inner):
        raise ConfigError(f"policy '{text}': what follows {_AROUND}= is the other policy", f"write {_AROUND}= last")
    return outer, inner


def policy_factory(text: str, others: Mapping[str, PolicyFactory] | None = None) -> PolicyFactory:
    """Returns what makes a policy.

    Args:
        text: Its name, or its name and parameters: "planner:samples=40,rounds=1". The last one may be a policy:
            "noise:std=0.2,around=integral:gain_db=4".
        others: Policies by name that are known here besides POLICIES, such as trained ones.

    Raises:
        ConfigError: unknown policy or parameter, with the nearest one; or a value of another type than the parameter's.
    """
    if others and text in others:
        return others[text]
    outer, inner = split_around(text) or (text, "")
    name, _, listed = outer.partition(":")
    made: Any = POLICIES[name].load()
    types = get_type_hints(made.__init__)
    known = [parameter for parameter in list(inspect.signature(made).parameters)[1:] if parameter in types]
    values: dict[str, Any] = {}
    for pair in filter(None, listed.split(",")):
        parameter, _, value = (part.strip() for part in pair.partition("="))
        if parameter not in known:
            hint = nearest(parameter, known) if known else " (it has none)"
            raise ConfigError(f"policy '{text}': unknown parameter '{parameter}'{hint}", f"write {name}:NAME=VALUE")
        if parameter == _AROUND:
            values[parameter] = policy_factory(inner, others)
            continue
        try:
            values[parameter] = TypeAdapter(types[parameter], config=_FINITE).validate_strings(value)
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"].replace("Input should be", "must be", 1)
            raise ConfigError(f"policy '{text}': {parameter} {reason}, got '{value}'") from None
    return partial(made, **values) if values else made
