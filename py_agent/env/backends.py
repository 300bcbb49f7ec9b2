"""The back ends by name."""

from __future__ import annotations

from typing import Literal

from ns3_scenarios.backend import Backend
from ns3_scenarios.bridge.event_log import EventLog
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.errors import ConfigError

BackendName = Literal["ns3", "engine", "emulator", "fluid"]


def open_backend(
    scenario: Scenario, name: BackendName, ns3: str = "3.44", event_log: EventLog | None = None
) -> Backend:
    """Returns a back end for a scenario.

    Args:
        scenario: What to simulate.
        name: "ns3", the LTE program; "engine", the analytic engine; "emulator", the TTI emulator; or "fluid", the
            textbook's load coupling, the baseline of `mlb fidelity`.
        ns3: Version of ns-3, for "ns3".
        event_log: Where "ns3" leaves its events and DCIs, if anywhere.

    Raises:
        DependencyError: the ns-3 program has not been built.
        ConfigError: an event log of another back end than "ns3", or a scenario that the back end does not mirror.
    """
    # Imported here, so that a process that runs ns-3 need load neither torch nor numba.
    if name == "ns3":
        from ns3_scenarios.bridge.backend import Ns3Backend

        return Ns3Backend(scenario, ns3, event_log=event_log)
    if event_log is not None:
        raise ConfigError(f"event log: the {name} has no DCIs to log", "use the back end ns3")
    if name == "fluid":
        from cf_augment.fidelity import FluidBackend

        return FluidBackend(scenario)
    from cf_augment.physics import EmulatorBackend, EngineBackend

    return EngineBackend(scenario) if name == "engine" else EmulatorBackend(scenario)
