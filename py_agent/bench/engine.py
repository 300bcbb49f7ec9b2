"""Measures the speed of engine and emulator beside mobile-env and ns-3, on networks of the same size.

The candidates take turns for about as long, so that whatever else the machine does slows down all of them. One thread;
CPU time, that of the ns-3 program for ns-3.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ns3_scenarios.hexagon import crossing_trace, hexagonal_scenario, random_cio_db
from ns3_scenarios.scenario import Scenario
from py_agent.bench.measured_episode import MeasuredEpisode
from py_agent.env import MlbEnv, open_backend
from py_agent.env.vector import MlbVectorEnv
from py_agent.measurement import Measurement
from sumo_mobility.base.errors import DependencyError
from sumo_mobility.base.seeds import stream

if TYPE_CHECKING:
    from gymnasium import Env

_SITES, _UES, _EPISODE, _BATCH = 7, 100, 100, 256
_TURN_S = 1.0
"""CPU time of a turn, but at least one step."""
_LARGE_SIDE, _LARGE_STATIONS = 300, 13
"""Scene and stations of mobile-env's own large scenario, whose density is kept."""

Turn = Callable[[], tuple[float, int]]
"""Runs for some time; returns the CPU time and the environment steps taken in it."""


def measure(seed: int, quick: bool) -> Iterator[Measurement]:
    """Yields the figures.

    Args:
        seed: Of the traces, the actions and the network.
        quick: 3 rounds instead of 12.

    Raises:
        DependencyError: mobile-env is not installed, or the ns-3 program has not been built.
    """
    rounds = 3 if quick else 12
    scenario = hexagonal_scenario(_SITES, _UES, _EPISODE)
    with ExitStack() as owned:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        owned.callback(torch.set_num_threads, threads)
        turns = {
            "mobile-env": _steps_of(mobile_env(3 * _SITES, _UES, seed), seed),
            "T0, one environment": _steps_of(_single(scenario, "engine", seed, owned), seed),
            f"T0, {_BATCH} environments": _steps_of_many(scenario, seed),
            "T1": _steps_of(_single(scenario, "emulator", seed, owned), seed),
            "ns-3": _steps_of_ns3(seed, rounds, owned),
        }
        for turn in turns.values():
            turn()
        spent: dict[str, list[tuple[float, int]]] = {name: [] for name in turns}
        for _ in range(rounds):
            for name, turn in turns.items():
                spent[name].append(turn())
    speed = {name: sum(steps for _, steps in done) / sum(cpu_s for cpu_s, _ in done) for name, done in spent.items()}
    for name, steps_a_s in speed.items():
        yield Measurement(f"{name}: environment steps a second", steps_a_s, "1/s", None)
    size = f"{_UES} UEs, {3 * _SITES} cells"
    for name, other, target, goal in (
        ("T0, one environment", "mobile-env", 100, 1000),
        (f"T0, {_BATCH} environments", "mobile-env", 1000, 5000),
        ("T1", "ns-3", 500, 2000),
    ):
        ratio = speed[name] / speed[other]
        yield Measurement(f"{name}, over {other}, {size}", ratio, "", target, goal, more_is_better=True)


def mobile_env(stations: int, ues: int, seed: int) -> Env[Any, Any]:
    """Returns mobile-env's environment of a size, in a scene as dense as its own large one.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        from mobile_env.core.base import MComCore
        from mobile_env.core.entities import BaseStation, UserEquipment
    except ImportError as error:
        message = f"bench engine: mobile-env, to compare with, cannot be imported ({error})"
        raise DependencyError(message, "pip install 'mobile-env>=2.1,<3'") from None
    config = MComCore.default_config()
    side = _LARGE_SIDE * math.sqrt(stations / _LARGE_STATIONS)
    config.update({"width": side, "height": side, "seed": seed})
    config["movement_params"].update({"width": side, "height": side})
    rows = math.isqrt(stations)
    columns = math.ceil(stations / rows)
    places = [
        (side * (index % columns + 0.5) / columns, side * (index // columns + 0.5) / rows) for index in range(stations)
    ]
    masts = [BaseStation(index, place, **config["bs"]) for index, place in enumerate(places)]
    env: Env[Any, Any] = MComCore(masts, [UserEquipment(index, **config["ue"]) for index in range(ues)], config)
    return env


def _single(scenario: Scenario, backend: str, seed: int, owned: ExitStack) -> MlbEnv:
    env = MlbEnv(scenario, open_backend(scenario, backend), [crossing_trace(scenario, seed)], seed)
    owned.callback(env.close)
    return env


def _steps_of(env: Env[Any, Any], seed: int) -> Turn:
    """Steps of an environment under random actions; resets are not counted."""
    env.reset(seed=seed)
    env.action_space.seed(seed)
    actions = cycle([env.action_space.sample() for _ in range(_EPISODE)])

    def turn() -> tuple[float, int]:
        spent_s, steps = 0.0, 0
        while spent_s < _TURN_S:
            action, begin_s = next(actions), time.process_time()
            truncated = env.step(action)[3]
            spent_s, steps = spent_s + time.process_time() - begin_s, steps + 1
            if truncated:
                env.reset()
        return spent_s, steps

    return turn


def _steps_of_many(scenario: Scenario, seed: int) -> Turn:
    envs = MlbVectorEnv(scenario, [crossing_trace(scenario, seed + k) for k in range(16)], _BATCH, seed)
    envs.reset()
    random = stream(seed, "bench", "actions")
    actions = cycle([random.uniform(-1, 1, envs.action_space.shape).astype(np.float32) for _ in range(8)])

    def turn() -> tuple[float, int]:
        spent_s, steps = 0.0, 0
        while spent_s < _TURN_S:
            action, begin_s = next(actions), time.process_time()
            truncated = envs.step(action)[3]
            spent_s, steps = spent_s + time.process_time() - begin_s, steps + _BATCH
            if truncated.all():
                envs.reset()
        return spent_s, steps

    return turn


def _steps_of_ns3(seed: int, rounds: int, owned: ExitStack) -> Turn:
    """Returns a turn of one step in ns-3."""
    scenario = hexagonal_scenario(_SITES, _UES, rounds + 3)
    episode = owned.enter_context(MeasuredEpisode(scenario, crossing_trace(scenario, seed), seed))
    cio_db = iter(random_cio_db(scenario, seed))

    def turn() -> tuple[float, int]:
        episode.step(next(cio_db))
        return episode.cpu_s[-1], 1

    return turn
