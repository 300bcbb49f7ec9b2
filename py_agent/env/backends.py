"""A back end for a scenario, by its name."""

from __future__ import annotations

from ns3_scenarios.backend import Backend
from ns3_scenarios.bridge.event_log import EventLog
from ns3_scenarios.scenario import Scenario
from py_agent.backends import BACKENDS
from sumo_mobility.base.system import NS3


def open_backend(scenario: Scenario, name: str, ns3: str = NS3, event_log: EventLog | None = None) -> Backend:
    """Returns a back end for a scenario.

    Args:
        scenario: What to simulate.
        name: "ns3", the LTE program; "engine", the analytic engine; "emulator", the TTI emulator; "fluid", the
            textbook's load coupling, the baseline of `mlb fidelity`; or what a plug-in registers in BACKENDS.
        ns3: Version of ns-3, for "ns3".
        event_log: Where "ns3" leaves its events and DCIs, if anywhere.

    Raises:
        DependencyError: the ns-3 program has not been built.
        ConfigError: there is no such back end, it does not mirror the scenario, or it has no events and DCIs to log.
    """
    return BACKENDS[name].load().open(scenario, ns3, event_log)
