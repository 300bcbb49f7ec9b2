"""What a few small episodes, a dataset, what-ifs and a training come to, kept in reference/results.json.

python tests/kept_results.py            prints a digest of the bytes of each, to compare two versions on one machine
python tests/kept_results.py --record   writes reference/results.json anew, when a result is meant to change
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from small_world import small_dataset, small_scenario, small_trace

from cf_augment.dataset import EpisodeMetadata, Provenance, write_dataset
from cf_augment.physics import Engine, RadioStates, SoftWhatIf, WhatIf
from ns3_scenarios.kpis import KPI_AXES
from ns3_scenarios.scenario import Scenario
from py_agent.algorithms.base import trained_policy
from py_agent.algorithms.config import TrainConfig
from py_agent.algorithms.sac import SacConfig
from py_agent.env import MlbEnv, open_backend
from py_agent.policies import PolicyFactory
from py_agent.policies.planner import GreedyPlanner
from py_agent.policies.rules import IntegralRule, Random
from py_agent.rollout import run_episode
from py_agent.train import train

KEPT = Path(__file__).parent / "reference" / "results.json"
Arrays = dict[str, np.ndarray]


def _episode(backend: str, policy: PolicyFactory = Random, **changes: object) -> Arrays:
    """Six steps of 12 UEs and three cells, at a load under which every quantity differs."""
    own = {"traffic": {"offered_bps": 800e3, "packet_bytes": 1000}, "handover_cost": 0.0}
    changed = small_scenario().model_dump() | own | changes
    scenario = Scenario.parse(changed, "kept results")
    metadata = EpisodeMetadata(
        scenario_id=scenario.id, trace_name="trace-5", policy="kept", seed=5, backend=backend,
        provenance=Provenance(action_source="kept"),
    )  # fmt: skip
    env = MlbEnv(scenario, open_backend(scenario, backend), [small_trace(scenario, 5)])
    try:
        episode = run_episode(env, policy(scenario), metadata)
    finally:
        env.close()
    arrays = {name: getattr(episode, name) for name in ("observations", "actions", "rewards")}
    arrays |= {name: getattr(episode.kpis, name) for name in KPI_AXES}
    events = episode.kpis.events
    return arrays | {f"events_{name}": events[name] for name in events.dtype.names or ()}


def _dataset() -> Arrays:
    """The bytes of a dataset file, which holds episodes of the analytic engine."""
    scenario = small_scenario()
    episodes = small_dataset(scenario, [0, 1]).episodes
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "data.h5", scenario, episodes)
        return {"file": np.frombuffer((Path(folder) / "data.h5").read_bytes(), np.uint8)}


def _what_if() -> Arrays:
    scenario = small_scenario()
    [episode] = small_dataset(scenario, [3]).episodes
    engine = Engine(scenario)
    cio_db = np.linspace(-6, 6, 3)[:, None] * np.ones(len(scenario.neighbor_pairs))
    hard = WhatIf(engine)(episode.kpis_at(2), cio_db)
    soft = SoftWhatIf(scenario).kpis(RadioStates.of(episode.kpis_at(2)), torch.tensor(cio_db)).prb_utilization
    return {name: getattr(hard, name) for name in KPI_AXES} | {"soft_utilization": soft.detach().numpy()}


def _training() -> Arrays:
    scenario = small_scenario()
    config = TrainConfig.of("sac")(sac=SacConfig(hidden=8, batch_size=8, gradient_steps=25), seed=3)
    logged, other = small_dataset(scenario, [0, 1]), small_dataset(scenario, [2, 3], "generated")
    with tempfile.TemporaryDirectory() as folder:
        (last,) = train(config, logged, other, [Path(folder)], resume=False)
        policy = trained_policy(scenario, last)
    rows = zip(logged.observations, logged.episodes[0].kpis.time_s[:-1], strict=False)
    zero = np.zeros(len(scenario.neighbor_pairs))
    return {"actions": np.stack([policy.act(row, logged.episodes[0].kpis_at(0), zero) for row, _ in rows])}


PDSCH = {"radio": small_scenario().radio.model_dump() | {"cqi": "pdsch"}}
RESULTS: dict[str, Callable[[], Arrays]] = {
    "ns3": lambda: _episode("ns3"),
    "engine": lambda: _episode("engine"),
    "engine, profile 3gpp": lambda: _episode("engine", profile="3gpp"),
    "engine, profile paper": lambda: _episode("engine", profile="paper"),
    "engine, CQI of the data region": lambda: _episode("engine", **PDSCH),
    "emulator": lambda: _episode("emulator"),
    "emulator, CQI of the data region": lambda: _episode("emulator", **PDSCH),
    "fluid": lambda: _episode("fluid"),
    "engine, rule": lambda: _episode("engine", IntegralRule),
    "engine, planner": lambda: _episode("engine", GreedyPlanner),
    "dataset": _dataset,
    "what-if": _what_if,
    "training": _training,
}


def digest(arrays: Arrays) -> str:
    """SHA-256 of the bytes of all arrays, in the order of their names."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        total.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return total.hexdigest()


def summary(arrays: Arrays) -> dict[str, list[float]]:
    """Sum, weighted sum and size of each array: what may be compared between machines whose rounding differs."""
    numbers = {name: np.asarray(array, dtype=np.float64).ravel() for name, array in sorted(arrays.items())}
    return {
        name: [float(values.sum()), float(values @ np.cos(np.arange(len(values)))), len(values)]
        for name, values in numbers.items()
    }


if __name__ == "__main__":
    made = {name: make() for name, make in RESULTS.items()}
    for name, arrays in made.items():
        print(digest(arrays), name)
    if "--record" in sys.argv:
        del made["dataset"]  # its bytes hold what the machine rounds
        summaries = {name: summary(arrays) for name, arrays in made.items()}
        KEPT.write_text(json.dumps(summaries, indent=1) + "\n", encoding="utf-8")
