"""The back ends: their registration, and one for a scenario by its name. The registry is that of `ns3_scenarios`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ns3_scenarios.backends import BACKENDS
from sumo_mobility.base.registry import Lazy
from sumo_mobility.base.system import NS3

if TYPE_CHECKING:  # whoever only names back ends loads none of this
    from ns3_scenarios.backend import Backend
    from ns3_scenarios.bridge.event_log import EventLog
    from ns3_scenarios.scenario import Scenario

BACKENDS.register(Lazy("ns3", "ns3_scenarios.bridge.backend:Ns3Backend", "ns-3"))
BACKENDS.register(Lazy("engine", "cf_augment.physics.closed_form.backend:EngineBackend", "the analytic engine"))
BACKENDS.register(Lazy("emulator", "cf_augment.physics.emulator.backend:EmulatorBackend", "the TTI emulator"))
BACKENDS.register(Lazy("fluid", "cf_augment.physics.fluid:FluidBackend", "the fluid model"))


def open_backend(scenario: Scenario, name: str, ns3: str = NS3, event_log: EventLog | None = None) -> Backend:
    """Returns a back end for a scenario.

    Args:
        scenario: What to simulate.
        name: One of BACKENDS, such as "ns3" or "engine".
        ns3: Version of ns-3, for "ns3".
        event_log: Where "ns3" leaves its events and DCIs, if anywhere.

    Raises:
        DependencyError: the ns-3 program has not been built.
        ConfigError: there is no such back end, it does not mirror the scenario, or it has no events and DCIs to log.
    """
    return BACKENDS[name].load().open(scenario, ns3, event_log)


__all__ = ["BACKENDS", "open_backend"]
