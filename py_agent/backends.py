"""Registration of the back ends."""

from __future__ import annotations

from ns3_scenarios.backends import BACKENDS
from sumo_mobility.base.registry import Lazy

BACKENDS.register(Lazy("ns3", "ns3_scenarios.bridge.backend:Ns3Backend"))
BACKENDS.register(Lazy("engine", "cf_augment.physics.closed_form.backend:EngineBackend"))
BACKENDS.register(Lazy("emulator", "cf_augment.physics.emulator.backend:EmulatorBackend"))
BACKENDS.register(Lazy("fluid", "cf_augment.physics.fluid:FluidBackend"))

__all__ = ["BACKENDS"]
