"""A network of three cells in the analytic engine, small enough for tests that train and evaluate."""

from __future__ import annotations

import numpy as np

from cf_augment.dataset import Dataset, Episode, EpisodeMetadata, Provenance
from ns3_scenarios.scenario import Preset, Scenario
from py_agent.env import MlbEnv, open_backend
from py_agent.policies.rules import Random
from py_agent.rollout import run_episode
from sumo_mobility.base.seeds import stream
from sumo_mobility.trace import MobilityTrace, TraceMetadata


def small_scenario(cells: int = 3) -> Scenario:
    """Three cells in a triangle, or four with one more to the right; 12 UEs, 6 steps."""
    preset = Preset.parse(
        {
            "id": "small-v0",
            "description": "three cells",
            "mobility": {
                "ues": 12, "duration_s": 6,
                "train_contexts": [{"name": "uniform"}], "test_contexts": [{"name": "uniform"}],
            },
            "sites": {},
            "episode": {"steps": 6},
        },
        "test",
    )  # fmt: skip
    return Scenario.place(preset, [(0.0, 0.0), (700.0, 0.0), (350.0, 600.0), (1050.0, 600.0)][:cells])


def small_trace(scenario: Scenario, seed: int) -> MobilityTrace:
    """UEs that go straight at 10 to 20 m/s."""
    random, ues = stream(seed, "small-trace"), scenario.mobility.ues
    heading_rad, speed_mps = random.uniform(0, 2 * np.pi, ues), random.uniform(10, 20, ues)
    velocity_mps = speed_mps[:, None] * np.column_stack([np.sin(heading_rad), np.cos(heading_rad)])
    time_s = np.arange(scenario.episode.steps + 1.0)
    ones = np.ones((len(time_s), 1))
    metadata = TraceMetadata(
        source="straight lines", map_name="nowhere", licence="CC0-1.0", attribution="nobody", seed=seed,
        context="uniform", bounds_m=(0, 0, 700, 600),
    )  # fmt: skip
    position_m = random.uniform(0, 700, (ues, 2)) + time_s[:, None, None] * velocity_mps
    return MobilityTrace(time_s, position_m, ones * speed_mps, ones * np.degrees(heading_rad), metadata)


def small_episode(scenario: Scenario, seed: int, kind: str = "logged") -> Episode:
    """Random actions in the engine."""
    source = () if kind == "logged" else ("elsewhere",)
    metadata = EpisodeMetadata(
        scenario_id=scenario.id, trace_name=f"trace-{seed}", policy="random", seed=seed, backend="engine",
        provenance=Provenance.parse({"kind": kind, "source": source, "action_source": "random"}, "test"),
    )  # fmt: skip
    env = MlbEnv(scenario, open_backend(scenario, "engine"), [small_trace(scenario, seed)])
    return run_episode(env, Random(scenario), metadata)


def small_dataset(scenario: Scenario, seeds: list[int], kind: str = "logged") -> Dataset:
    """One episode a seed."""
    return Dataset(scenario, tuple(small_episode(scenario, seed, kind) for seed in seeds))
