"""From the id of a preset to an environment, in one call."""

from __future__ import annotations

from ns3_scenarios.scenario import Preset, Scenario
from py_agent.env.backends import BackendName, open_backend
from py_agent.env.env import MlbEnv
from sumo_mobility.base.seeds import derive
from sumo_mobility.pipeline import load_map, make_traces


def make_env(preset: str, backend: BackendName = "ns3", traces: int = 1, seed: int = 0) -> MlbEnv:
    """Places a preset on its map, makes training traces by SUMO, and opens the environment.

    Args:
        preset: Id of a shipped preset, or path of a .yaml file.
        backend: "ns3", the LTE program; "engine", the analytic engine; or "emulator", the TTI emulator.
        traces: Number of mobility traces; they take the preset's train contexts in turn.
        seed: Of the traces, and of the first reset where that is given none.

    Raises:
        ConfigError: unknown preset, or a value out of range.
        DependencyError: the ns-3 program has not been built.
        SimulatorError: SUMO failed.
    """
    chosen = Preset.load(preset)
    mobility = chosen.mobility
    scenario = Scenario.place(chosen, chosen.sites.place(load_map(mobility.map)))
    contexts = mobility.train_contexts
    jobs = [(contexts[index % len(contexts)], derive(seed, "train", index)) for index in range(traces)]
    return MlbEnv(scenario, open_backend(scenario, backend), make_traces(mobility, jobs), seed)
