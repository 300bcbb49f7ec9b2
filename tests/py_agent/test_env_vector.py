"""Many networks at once: gymnasium's vector environments and its checker, over both back ends."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import made_network
import numpy as np
import programs
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv

from py_agent.env import MlbEnv, open_backend

SCENARIO = made_network.scenario()
STEPS = made_network.STEPS
ACTION = np.array([1.0, -1.0], np.float32)
BACKENDS = ["engine", "emulator", pytest.param("ns3", marks=pytest.mark.ns3)]


class Make:
    """Makes an environment in whatever process it is sent to."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self) -> MlbEnv:
        return MlbEnv(SCENARIO, open_backend(SCENARIO, self.name), [made_network.trace()])


@contextmanager
def several(make: Callable[[], MlbEnv], count: int, context: str) -> Iterator[AsyncVectorEnv]:
    envs = AsyncVectorEnv([make] * count, context=context)
    try:
        yield envs
    finally:
        envs.close(timeout=30)


def alone(name: str, seed: int) -> list[np.ndarray]:
    """Observations of one episode."""
    env = Make(name)()
    try:
        return [env.reset(seed=seed)[0], *(env.step(ACTION)[0] for _ in range(STEPS))]
    finally:
        env.close()


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("engine", "fork"),
        pytest.param("ns3", "fork", marks=pytest.mark.ns3),
        pytest.param("ns3", "spawn", marks=pytest.mark.ns3),
    ],
)
def test_each_of_several_is_as_if_it_were_alone(name: str, context: str) -> None:
    with several(Make(name), 2, context) as envs:
        first, _ = envs.reset(seed=[1, 2])
        results = [envs.step(np.stack([ACTION, ACTION])) for _ in range(STEPS)]
        assert [result[3].tolist() for result in results] == [[False] * 2] * (STEPS - 1) + [[True] * 2]
        together = [first, *(result[0] for result in results)]
        for index, seed in enumerate([1, 2]):
            for one, other in zip(alone(name, seed), together, strict=True):
                assert np.array_equal(one, other[index])
        # The next step begins a new episode by itself.
        after = envs.step(np.stack([ACTION, ACTION]))
        assert not after[3].any()
        assert not envs.step(np.stack([ACTION, ACTION]))[3].any()


@pytest.mark.ns3
def test_workers_that_are_forked_leave_the_parents_own_program_alone() -> None:
    mine = Make("ns3")()
    try:
        expected = alone("ns3", 1)
        assert np.array_equal(mine.reset(seed=1)[0], expected[0])
        with several(Make("ns3"), 2, "fork") as envs:
            envs.reset(seed=1)
            assert np.array_equal(mine.step(ACTION)[0], expected[1])
        assert np.array_equal(mine.step(ACTION)[0], expected[2])
    finally:
        mine.close()


@pytest.mark.ns3
def test_no_program_is_left_when_the_workers_are_closed_or_killed() -> None:
    for terminate in (False, True):
        envs = AsyncVectorEnv([Make("ns3")] * 2)
        envs.reset(seed=1)
        workers = [process.pid for process in envs.processes]
        children = [child for worker in workers for child in children_of(worker)]
        assert len(children) == 2
        envs.close(terminate=terminate)
        assert all(programs.gone(pid) for pid in children)


@pytest.mark.parametrize("name", BACKENDS)
def test_gymnasiums_checker_is_content(name: str) -> None:
    with warnings.catch_warnings():
        # An RSRP has no natural bounds; all other complaints are errors.
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*Box observation space (minimum|maximum) value is")
        warnings.filterwarnings("ignore", message=".*(render modes|env.spec|different from the unwrapped version).*")
        env = Make(name)()
        try:
            check_env(env, skip_render_check=True)
        finally:
            env.close()


def children_of(pid: int) -> list[int]:
    """Processes whose parent it is."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]
