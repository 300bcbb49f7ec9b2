"""Compiles the engine's loops for this machine, so that whoever uses it first need not wait: run by set-up.

usage: python -m cf_augment.physics.compile
"""

from __future__ import annotations

import numpy as np

from cf_augment.physics.closed_form.backend import EngineBackend
from cf_augment.physics.closed_form.engine import Engine
from cf_augment.physics.closed_form.what_if import WhatIf
from ns3_scenarios.mdp import observe
from ns3_scenarios.scenario import Preset, Scenario
from sumo_mobility.trace import MobilityTrace, TraceMetadata

PRESET = "helsinki-event-v0"
"""The preset of the first example; other presets may need a loop or two more."""
_SITES_M = [(0.0, 0.0), (500.0, 0.0), (250.0, 400.0)]


def compile_engine() -> None:
    """Plays two steps in a network of the preset's radio, without its map and traffic, and asks what if.

    What is compiled already is loaded from numba's cache, in __pycache__ beside the sources.
    """
    scenario = Scenario.place(Preset.load(PRESET), _SITES_M)
    ues, duration_s = scenario.mobility.ues, int(np.ceil(scenario.episode.duration_s))
    time_s = np.arange(duration_s + 1.0)
    position_m = np.zeros((len(time_s), ues, 2)) + np.linspace(0, 400, ues)[:, None] + time_s[:, None, None]
    metadata = TraceMetadata.made_up((0, 0, 1, 1))
    still = np.zeros(position_m.shape[:2])
    backend = EngineBackend(scenario)
    kpis = backend.reset(MobilityTrace(time_s, position_m, still, still, metadata), seed=0)
    control = np.zeros(len(scenario.neighbor_pairs))
    for _ in range(2):
        observe(scenario, kpis, control)
        kpis = backend.step(control)
    WhatIf(Engine(scenario))(kpis, np.stack([control, control]))
    backend.close()


if __name__ == "__main__":
    compile_engine()
