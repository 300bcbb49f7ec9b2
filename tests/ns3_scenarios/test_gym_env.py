"""Ns3GymEnv drives simulations with ns3-gym's habits, and answers what its users complain about.

Numbers in brackets are those of the complaints at https://github.com/tkn-tub/ns3-gym/issues.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import programs
import pytest
import upstream_simulator
import zmq
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv

from ns3_scenarios.bridge.gym_env import Ns3GymEnv
from sumo_mobility.base.errors import ConfigError, SimulatorError

pytestmark = pytest.mark.slow  # nearly each of them starts a process

SIMULATOR = [sys.executable, upstream_simulator.__file__]
COMMAND = [*SIMULATOR, "--openGymPort={port}", "--simSeed={seed}"]
BOX = spaces.Box(0.0, 100.0, (2, 1), np.float64)


@contextmanager
def environment(*options: str, **keywords: Any) -> Iterator[Ns3GymEnv]:
    env = Ns3GymEnv([*COMMAND, *options], **({"timeout_s": 30} | keywords))
    try:
        yield env
    finally:
        env.close()


@contextmanager
def by_hand(endpoint: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    port = endpoint.rsplit(":", 1)[1]
    process = subprocess.Popen([*SIMULATOR, f"--openGymPort={port}", *options], stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == b"upstream: here I am\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def endpoint() -> str:
    with zmq.Context() as context, context.socket(zmq.REP) as socket:
        return f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"


def test_an_episode_ends_with_the_simulated_time() -> None:
    with environment() as env:
        assert env.observation_space == env.action_space == BOX
        observation, info = env.reset(seed=3)
        assert observation.tolist() == [[3.0], [0.0]]
        assert info == {"info": "seed 3"}
        action = np.array([[1.23456789012], [0.0]])
        ends = [env.step(action) for _ in range(upstream_simulator.STEPS)]
        assert ends[-1][0].tolist() == [[6.0], [1.23456789012]]
        assert [end[1] for end in ends] == pytest.approx([0.1, 0.2, 0.3])
        assert [end[2:4] for end in ends] == [(False, False), (False, False), (False, True)]
        with pytest.raises(ConfigError, match=r"it is over.*\n.*call reset"):
            env.step(action)


def test_game_over_terminates_and_the_next_episode_begins() -> None:
    """(4) "game over kills the simulation, the second round is stuck"."""
    with environment("--end=game") as env:
        for _ in range(2):
            env.reset()
            ends = [env.step(np.zeros((2, 1)))[2:4] for _ in range(upstream_simulator.STEPS)]
            assert ends[-1] == (True, False)


@pytest.mark.parametrize(
    ("name", "action", "echo"),
    [
        ("discrete", 7, None),
        ("uint", np.array([7, 0], np.uint32), [1, 7]),
        ("tuple", (np.full((2, 1), 7.5), 3), [[1.0], [7.5]]),
        ("dict", {"inner": np.full((2, 1), 7.5), "number": 3}, [[1.0], [7.5]]),
    ],
)
def test_every_kind_of_space(name: str, action: Any, echo: list[Any] | None) -> None:
    with environment(f"--space={name}") as env:
        first, _ = env.reset(seed=5)
        assert env.observation_space.contains(first)
        observation, *_ = env.step(action)
        assert env.observation_space.contains(observation)
        if name == "discrete":
            assert (first, observation) == (0, 1)
            return
        if name != "uint":
            observation = observation[0] if name == "tuple" else observation["inner"]
        assert observation.tolist() == echo


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, r"value\[1, 0\]: nan is not a number from 0\.0 to 100\.0"), (100.5, r"\[1, 0\]: 100\.5"), (-1, "-1")],
)
def test_actions_beyond_the_box_are_refused_and_the_episode_goes_on(value: float, message: str) -> None:
    with environment() as env:
        env.reset(seed=3)
        with pytest.raises(ConfigError, match=message):
            env.step(np.array([[1.0], [value]]))
        assert env.step(np.array([[2.5], [0.0]]))[0].tolist() == [[4.0], [2.5]]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("box", r"value\[0, 0\]: 2147483647\.0 is not .* 100\.0"),
        ("discrete", r"2147483647 does not fit Discrete\(100\)"),
    ],
)
def test_observations_that_do_not_fit_the_space_are_an_error(space: str, message: str) -> None:
    with environment(f"--space={space}", "--wild") as env:
        with pytest.raises(SimulatorError, match=message):
            env.reset()
        assert not env._is_on


def test_a_second_simulation_waits_for_the_next_episode(endpoint: str, capfd: pytest.CaptureFixture[str]) -> None:
    """It connects while the first is played, which goes on as if it were alone."""
    with by_hand(endpoint, "--simSeed=3"):
        env = Ns3GymEnv(None, endpoint, timeout_s=30)
        try:
            env.reset()
            with by_hand(endpoint, "--simSeed=4"):
                time.sleep(1)
                steps = [env.step(np.full((2, 1), 7.5)) for _ in range(upstream_simulator.STEPS)]
                assert [step[0].tolist() for step in steps] == [[[4.0], [7.5]], [[5.0], [7.5]], [[6.0], [7.5]]]
                assert env.reset()[1] == {"info": "seed 4"}
        finally:
            env.close()
    assert "another simulator has connected; it waits for the end of this episode" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["box", "uint", "discrete", "dict"])
def test_gymnasiums_checker_is_content(name: str) -> None:
    """(10, 11) Gymnasium's interface, and what stable-baselines3 asks of it."""
    with environment(f"--space={name}", "--end=never") as env, warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings(
            "ignore",
            message=".*(symmetric and normalized|render modes|env.spec|different from the unwrapped version).*",
        )
        check_env(env, skip_render_check=True)


def test_seeds_are_handed_to_the_command_and_follow_from_each_other() -> None:
    with environment(seed=4) as env:
        assert env.reset()[1] == {"info": "seed 4"}
        series = [env.reset(seed=9)[1], env.reset()[1], env.reset()[1]]
        assert series[0] == {"info": "seed 9"}
        assert len({info["info"] for info in series}) == 3
        assert [env.reset(seed=9)[1], env.reset()[1], env.reset()[1]] == series


def test_several_at_once_take_a_port_each() -> None:
    envs = AsyncVectorEnv([lambda: Ns3GymEnv(COMMAND, timeout_s=30)] * 3)
    try:
        observations, _ = envs.reset(seed=[1, 2, 3])
        assert observations[:, 0, 0].tolist() == [1, 2, 3]
        assert envs.step(np.full((3, 2, 1), 5.0))[0][:, :, 0].tolist() == [[2, 5], [3, 5], [4, 5]]
    finally:
        envs.close()


def test_a_fixed_port_can_be_used_again_and_again(endpoint: str) -> None:
    """(2, 4) hangs after some episodes; the second round is stuck on the port."""
    with environment(endpoint=endpoint) as env:
        for _ in range(5):
            env.reset()
            env.step(np.zeros((2, 1)))


def test_a_port_in_use_is_an_error(endpoint: str) -> None:
    with zmq.Context() as context, context.socket(zmq.REP) as other:
        other.bind(endpoint)
        with pytest.raises(ConfigError, match="Address already in use"):
            Ns3GymEnv(COMMAND, endpoint)


@pytest.mark.parametrize("options", [(), ("--wrapped",)])
def test_a_simulation_that_dies_is_an_error_with_its_last_lines(options: tuple[str, ...]) -> None:
    """(D6) step() blocks for ever after the simulation is killed."""
    with environment("--end=die", *options) as env:
        env.reset()
        env.step(np.zeros((2, 1)))
        begin = time.monotonic()
        with pytest.raises(SimulatorError, match=r"(?s)ended (by signal SIGKILL|with exit code 137).*here I am"):
            env.step(np.zeros((2, 1)))
        assert time.monotonic() - begin < 5
        assert env.reset(seed=1)[0][0] == 1


@pytest.mark.slow
def test_a_simulation_that_falls_silent_is_an_error() -> None:
    with environment("--end=mute", timeout_s=3) as env:
        env.reset()
        with pytest.raises(SimulatorError, match=r"(?s)no EnvStateMsg within 3 s.*here I am"):
            env.step(np.zeros((2, 1)))


def test_a_simulation_that_never_comes_is_an_error(endpoint: str) -> None:
    """(1, 3) waits for ever for a simulation to connect."""
    cure = f"start the simulation, so that it connects to {endpoint}"
    with pytest.raises(SimulatorError, match=r"no SimInitMsg within 0\.2 s") as error:
        Ns3GymEnv(None, endpoint, timeout_s=0.2)
    assert error.value.cure == cure


def test_a_command_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    """(14) "ns3 file not found": it depends on the directory."""
    command = ["./ns3", "run", "opengym --openGymPort={port}"]
    with pytest.raises(SimulatorError, match=r"(?s)exit code 127.*cannot start ./ns3: No such file"):
        Ns3GymEnv(command, directory=tmp_path)
    (tmp_path / "ns3").write_text(f'#!/bin/sh\nshift; set -- $1; shift\nexec {" ".join(SIMULATOR)} "$@"\n')
    (tmp_path / "ns3").chmod(0o755)
    env = Ns3GymEnv(command, directory=tmp_path)
    assert env.reset()[1] == {"info": "seed 1"}
    env.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"command": None}, "must know the port"),
        ({"command": ["./ns3", "run", "opengym"]}, r"neither \{endpoint\} nor \{port\}"),
        ({"command": COMMAND, "endpoint": "tcp://0.0.0.0:5555"}, "must begin with"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Ns3GymEnv(**arguments)


def test_simulations_started_by_hand(endpoint: str) -> None:
    """(4, D7) reset() in the middle of an episode: the old simulation ends, the next one is waited for."""
    with by_hand(endpoint, "--simSeed=3") as first:
        env = Ns3GymEnv(None, endpoint, timeout_s=30)
        try:
            assert env.reset(seed=8)[1] == {"info": "seed 3"}
            env.step(np.zeros((2, 1)))
            with by_hand(endpoint, "--simSeed=4"):  # it comes while the first is still there
                time.sleep(0.3)
                assert env.reset()[1] == {"info": "seed 4"}
                assert first.wait(5) == 0
                env.step(np.zeros((2, 1)))
            assert env._server is not None
            env._server.timeout_s = 0.3
            with pytest.raises(SimulatorError, match=r"no SimInitMsg within 0\.3 s"):
                env.reset()
        finally:
            env.close()


def test_one_started_by_hand_that_is_killed_is_an_error(endpoint: str) -> None:
    with by_hand(endpoint, "--end=mute") as process:
        env = Ns3GymEnv(None, endpoint, timeout_s=30)
        env.reset()
        process.send_signal(signal.SIGSTOP)
        process.kill()
        with pytest.raises(SimulatorError, match="the simulator ended"):
            env.step(np.zeros((2, 1)))


@pytest.mark.slow
def test_nothing_of_a_wrapped_simulation_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """(D8) close() kills the shell and not the simulation."""
    mark = f"{os.getpid()}-wrapped"
    monkeypatch.setenv("MLB_TEST_MARK", mark)
    with environment("--end=mute", "--wrapped", timeout_s=3) as env:
        env.reset()
        assert len(programs.processes_with("MLB_TEST_MARK", mark)) >= 3
        with pytest.raises(SimulatorError):
            env.step(np.zeros((2, 1)))
    assert programs.left_with("MLB_TEST_MARK", mark) == []


def test_nothing_of_a_wrapped_simulation_outlives_an_agent_that_is_killed() -> None:
    mark = f"{os.getpid()}-killed"
    script = f"""
        import time; from ns3_scenarios.bridge.gym_env import Ns3GymEnv
        env = Ns3GymEnv({[*COMMAND, "--wrapped"]!r}); env.reset(); print("ready", flush=True); time.sleep(60)
    """
    lines = "\n".join(line.strip() for line in script.strip().splitlines())
    environ = programs.python_path() | {"MLB_TEST_MARK": mark}
    agent = subprocess.Popen([sys.executable, "-c", lines], stdout=subprocess.PIPE, env=environ)
    assert agent.stdout is not None
    assert agent.stdout.readline() == b"ready\n"
    agent.kill()
    agent.wait()
    agent.stdout.close()
    assert programs.left_with("MLB_TEST_MARK", mark) == []
