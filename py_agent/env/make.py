"""Makes an environment from the id of a preset, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ns3_scenarios.scenario import Preset, Scenario
from py_agent.backends import open_backend
from py_agent.env.env import MlbEnv
from sumo_mobility.base.seeds import derive
from sumo_mobility.live import LiveTraffic
from sumo_mobility.pipeline import load_map, make_traces
from sumo_mobility.trace import Mobility


def make_env(
    preset: str | Mapping[str, Any],
    backend: str | None = None,
    traces: int = 1,
    seed: int = 0,
    live: bool = False,
    split: Literal["train", "test"] = "train",
) -> MlbEnv:
    """Places a preset on its map, makes mobility traces by SUMO, and opens the environment.

    Live traffic can react to the network. Here cars that a busy cell serves shun the street ahead of them:

        env = make_env("helsinki-event-v0", backend="engine", live=True)
        observation, info = env.reset(seed=1)
        truncated = False
        while not truncated:
            vehicle, kpis = env.traffic.connection.vehicle, info["kpis"]
            busy = np.flatnonzero(kpis.prb_utilization > 0.5)
            for ue in np.flatnonzero(np.isin(kpis.ue_serving_cell, busy)):
                for street in vehicle.getRoute(str(ue))[vehicle.getRouteIndex(str(ue)) + 1 :][:1]:
                    vehicle.setAdaptedTraveltime(str(ue), street, 3600.0)
                    vehicle.rerouteTraveltime(str(ue), False)
            observation, reward, _, truncated, info = env.step(env.action_space.sample())
        env.traffic.trace().write(Path("driven.parquet"))

    Args:
        preset: Id of a shipped preset, or path of a .yaml file; or a whole scenario as its JSON has it, cells included.
        backend: One of BACKENDS, such as "ns3", the LTE program, or "engine", the closed form. None: "ns3", or "engine"
            where the scenario's profile is one that only the engine has.
        traces: Number of mobility traces; they take the preset's contexts of the split in turn.
        seed: Of the traces, of `action_space.sample()`, and of the first reset where that is given none.
        live: SUMO runs beside the network instead of before it; untouched, it drives the same traces.
        split: Whose contexts they are: those of training, or those that policies are judged on.

    Raises:
        ConfigError: unknown preset, a value out of range, or live traffic on open ground.
        DependencyError: the ns-3 program has not been built.
        SimulatorError: SUMO failed.
    """
    scenario = _placed(preset)
    mobility = scenario.mobility
    contexts = mobility.train_contexts if split == "train" else mobility.test_contexts
    jobs = [(contexts[index % len(contexts)], derive(seed, split, index)) for index in range(traces)]
    moving: Sequence[Mobility] = [LiveTraffic(mobility, *job) for job in jobs] if live else make_traces(mobility, jobs)
    chosen = backend or ("ns3" if scenario.profile == "ns3" else "engine")
    env = MlbEnv(scenario, open_backend(scenario, chosen), moving, seed)
    env.action_space.seed(seed)
    return env


def _placed(preset: str | Mapping[str, Any]) -> Scenario:
    if not isinstance(preset, str):
        return Scenario.parse(preset, "scenario")
    chosen = Preset.load(preset)
    return Scenario.place(chosen, chosen.sites.place(load_map(chosen.mobility.map)))
