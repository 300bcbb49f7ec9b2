"""Ns3GymEnv: any simulation that speaks the ns3-gym protocol, as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium.utils import seeding

from ns3_scenarios.bridge.server import AgentServer, State
from ns3_scenarios.bridge.wire import Value
from sumo_mobility.base.errors import ConfigError, SimulatorError


class Ns3GymEnv(gymnasium.Env[Any, Any]):
    """One ns3-gym simulation after the other, a new process an episode; several may run at once.

    The spaces are those that the simulation declares: the first one is started, or waited for, when this is made, and
    the first reset() takes it if it asks for no other seed. An episode is terminated by the simulation's game over and
    truncated by the end of the simulated time. `info["info"]` is the simulation's own line of text. Every wait has a
    time-out, and no process outlives this one.

    Args:
        command: Program and arguments; {endpoint}, {port} and {seed} are filled in, as in
            `["./ns3", "run", "opengym --openGymPort={port} --simSeed={seed}"]`. None: simulations are started by hand,
            one for each reset(), with seeds of their own.
        endpoint: Where the simulation connects: "tcp://127.0.0.1:PORT", "*" for any free port, or "ipc://PATH".
        directory: Where the command runs; here if None.
        timeout_s: How long the simulation may take to start, or for a step.
        seed: Of the first simulation; the seeds of those after it follow from it, or from that of reset().

    Raises:
        ConfigError: the command and the endpoint do not fit together, or the endpoint is in use or not local.
        SimulatorError: the simulation failed or did not come.
    """

    metadata = {"render_modes": []}

    def __init__(
        self,
        command: Sequence[str] | None = None,
        endpoint: str = "tcp://127.0.0.1:*",
        directory: Path | None = None,
        timeout_s: float = 60.0,
        seed: int = 1,
    ) -> None:
        self._command = command
        self._endpoint = endpoint
        self._directory = directory
        self._timeout_s = timeout_s
        self._server: AgentServer | None = None
        self._is_on = False
        self._check_arguments()
        self.np_random, _ = seeding.np_random(seed)
        self._first_seed: int | None = seed
        server = self._start(seed)
        self.observation_space = server.observation_space
        self.action_space = server.action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Value, dict[str, Any]]:
        """Ends the simulation that runs, if one does, and takes the first state of the next.

        Args:
            seed: Handed to the command as {seed}, 0 to 2^31 - 1.
            options: None or empty.

        Raises:
            ConfigError: an option was given.
            SimulatorError: the simulation failed, did not come in time, or has other spaces than the first.
        """
        if options:
            raise ConfigError(f"reset: unknown option '{next(iter(options))}'; a simulation has none")
        super().reset(seed=seed)
        fresh, self._first_seed = self._first_seed, None
        if not self._is_on or fresh is None or (self._command and seed not in (None, fresh)):
            self._start(int(self.np_random.integers(1, 2**31)) if seed is None else seed)
        state = self._receive()
        return state.observation, {"info": state.info}

    def step(self, action: Value) -> tuple[Value, float, bool, bool, dict[str, Any]]:
        """Sends an action and waits for the next state.

        Raises:
            ConfigError: the action does not fit the action space, and the episode can go on; or none is on.
            SimulatorError: the simulation failed; the episode is lost.
        """
        if self._server is None or not self._is_on or self._first_seed is not None:
            raise ConfigError("Ns3GymEnv: no episode is on, or it is over", "call reset() first")
        self._server.act(action)
        state = self._receive()
        truncated = state.over and not state.game_over
        return state.observation, state.reward, state.game_over, truncated, {"info": state.info}

    def close(self) -> None:
        """Ends the simulation, if one runs; may be called twice."""
        server, self._server = self._server, None
        self._is_on = False
        if server is not None:
            server.close()

    def _check_arguments(self) -> None:
        if self._command is None and self._endpoint.endswith("*"):
            raise ConfigError(f"endpoint {self._endpoint}: a simulation that is started by hand must know the port")
        if self._command is not None and not any("{endpoint}" in part or "{port}" in part for part in self._command):
            raise ConfigError("command: it is told neither {endpoint} nor {port}, so that it could not connect")

    def _start(self, seed: int) -> AgentServer:
        self._stop()
        try:
            self._server = server = self._server or AgentServer(self._endpoint, self._timeout_s)
            if self._command is not None:
                values = {"endpoint": server.endpoint, "port": server.endpoint.rsplit(":")[-1], "seed": str(seed)}
                server.launch([_filled(part, values) for part in self._command], self._directory, leashed=True)
            server.accept()
            spaces = server.observation_space, server.action_space
            if hasattr(self, "observation_space") and spaces != (self.observation_space, self.action_space):
                raise SimulatorError("the simulation declares other spaces than the first one did")
        except BaseException:
            self.close()
            raise
        self._is_on = True
        return server

    def _stop(self) -> None:
        """Ends the simulation; one that is started by hand may already be knocking for the next episode."""
        self._is_on = False
        if self._command is not None:
            self.close()
        elif self._server is not None:
            self._server.stop()

    def _receive(self) -> State:
        assert self._server is not None
        try:
            state = self._server.receive()
        except BaseException:
            self.close()
            raise
        if state.over:
            self._stop()
        return state


def _filled(part: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        part = part.replace(f"{{{name}}}", value)
    return part
