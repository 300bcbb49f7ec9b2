"""The agent's end of the ns3-gym wire: a ZeroMQ socket that serves one simulator, with time-outs on every wait."""

from __future__ import annotations

import math
import os
import select
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import zmq
from google.protobuf.message import Message

from ns3_scenarios.bridge import ns3gym_pb2 as pb
from ns3_scenarios.bridge.process import ChildProcess
from ns3_scenarios.bridge.wire import Space, Value, pack, parse, unpack, unpack_space
from sumo_mobility.base.errors import ConfigError, SimulatorError
from sumo_mobility.base.progress import note

_MAX_MESSAGE_BYTES = 256 << 20
"""The longest message that is taken; a simulator that sends a longer one is disconnected."""
_SLICE_MS = 100
"""A wait checks at this interval whether the simulator is still alive."""
_EXIT_S = 5.0
"""Time a simulator has to end after it was asked to."""
_LINGER_S = 1.0
"""Time a simulator that we did not start has to fetch the request to stop."""
_STOP = pb.EnvActMsg(stopSimReq=True).SerializeToString()
"""The message that stops a simulator; a SimInitAck that asks to stop has the same bytes."""


def endpoint_in(folder: Path) -> str:
    """Returns where an AgentServer can bind: a socket in a folder of ours, or a port if the folder's path is too long.

    The system takes only paths of about a hundred characters for sockets, and batch systems set TMPDIR to longer ones.
    """
    path = f"{folder}/wire"
    return f"ipc://{path}" if len(os.fsencode(path)) <= zmq.IPC_PATH_MAX_LEN else "tcp://127.0.0.1:*"


@dataclass(frozen=True)
class State:
    """The state that the simulator sends after a step (EnvStateMsg).

    Attributes:
        observation: A value of the declared observation space.
        reward: The simulator's own reward.
        over: Whether this is the last state.
        game_over: Whether it is the last by the simulator's decision and not by the end of the simulated time.
        info: A line of text.
    """

    observation: Value
    reward: float
    over: bool
    game_over: bool
    info: str


class AgentServer:
    """Serves a simulation: launch(), accept(), then receive() and act() in turn, stop() or close().

    After stop(), another simulation can be accepted, if both are started by others. One that connects while another
    is served does not disturb it: it waits for accept(), or is told to stop if this server launches its own.

    Args:
        endpoint: Where to bind, "ipc://PATH" or "tcp://127.0.0.1:PORT" ("*" takes a free port): nothing outside
            this machine can reach it.
        timeout_s: How long to wait for each message of the simulator.

    Raises:
        ConfigError: the endpoint is another one, or cannot be bound.
    """

    observation_space: Space
    action_space: Space
    can_branch: bool
    """Whether the simulator supports branch(), an extension of the protocol."""

    def __init__(self, endpoint: str, timeout_s: float) -> None:
        if not endpoint.startswith(("ipc://", "tcp://127.0.0.1:")):
            raise ConfigError(f"endpoint {endpoint}: must begin with ipc:// or tcp://127.0.0.1:")
        self.timeout_s = timeout_s
        self._process: ChildProcess | None = None
        self._foreign: int | None = None
        self._peer: list[bytes] | None = None
        """The ZeroMQ routing frames of the simulator that is served; replies go to it."""
        self._waiting: dict[bytes, list[bytes]] = {}
        """Messages that other simulators have sent meanwhile, by their routing frame."""
        self._owes_reply = False
        self._context = zmq.Context()
        # A ROUTER, which talks to REQ sockets as a REP does, but tells them apart.
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.MAXMSGSIZE, _MAX_MESSAGE_BYTES)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            cure = "choose a short path in a folder of yours" if endpoint.startswith("ipc://") else "choose a free port"
            raise ConfigError(f"endpoint {endpoint}: {error}", cure) from None
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def launch(self, command: list[str], directory: Path | None = None, leashed: bool = False) -> ChildProcess:
        """Starts the simulator, see ChildProcess; it is watched in every wait and killed by close()."""
        self._process = ChildProcess(command, directory, leashed)
        return self._process

    def accept(self) -> None:
        """Waits for the simulator, learns its spaces and acknowledges.

        Raises:
            SimulatorError: it died, stayed away or sent something else.
        """
        self._watch(None)
        self._peer = None
        message = pb.SimInitMsg()
        self._receive(message, self.timeout_s)
        self.observation_space = unpack_space(message.obsSpace)
        self.action_space = unpack_space(message.actSpace)
        self.can_branch = message.canBranch
        if self._process is None:
            self._watch(message.simProcessId)
        self._send(pb.SimInitAck(done=True))

    def receive(self) -> State:
        """Waits for the next state.

        Raises:
            SimulatorError: the simulator died, took longer than timeout_s, or sent something else.
        """
        message = pb.EnvStateMsg()
        self._receive(message, self.timeout_s)
        return self._state(message)

    def branch(self, actions: Sequence[Sequence[Value]], timeout_s: float) -> list[list[State]]:
        """Asks what would follow from the last state under each of several sequences of actions.

        The simulation stays where it is, and act() is still due.

        Args:
            actions: For each branch, an action for each of its steps.
            timeout_s: How long the simulation of one branch may take.

        Returns:
            The states of each branch after each of its steps.

        Raises:
            ConfigError: an action does not fit the action space, or the simulator knows no branches; the
                simulation can go on.
            SimulatorError: a branch failed, and the simulation can go on; or the simulator itself did.
        """
        if not self.can_branch:
            raise ConfigError("branch: the simulator does not know how to")
        request = pb.EnvActMsg(branchTimeoutS=timeout_s)
        for sequence in actions:
            request.branch.add(actData=[pack(self.action_space, action) for action in sequence])
        self._send(request)
        message = pb.EnvStateMsg()
        self._receive(message, self.timeout_s + timeout_s * len(actions))
        if len(message.future) != len(actions):
            raise SimulatorError(f"the simulator sent {len(message.future)} futures of {len(actions)} branches")
        for index, future in enumerate(message.future):
            if future.error:
                raise self._error(f"branch {index}: its simulation {future.error}", "")
        return [[self._state(state) for state in future.state] for future in message.future]

    def act(self, action: Value) -> None:
        """Answers the last state with an action, and lets the simulation go on.

        Raises:
            ConfigError: the action does not fit the action space, or no state waits for one; nothing was sent.
        """
        if not self._owes_reply:
            raise ConfigError("act: the simulator does not wait for an action", "call receive() first")
        self._send(pb.EnvActMsg(actData=pack(self.action_space, action)))

    def stop(self) -> None:
        """Asks the simulator to end, if it waits for an answer, and gives it a moment to do so cleanly."""
        if self._owes_reply and self._lives():
            self._send(pb.EnvActMsg(stopSimReq=True))
            if self._process is not None:
                self._process.wait(_EXIT_S)

    def close(self) -> None:
        """Stops the simulator, kills it if it does not obey, and frees the endpoint; may be called twice."""
        if self._context.closed:
            return
        try:
            self.stop()
        finally:
            if self._process is not None:
                self._process.close()
            self._watch(None)
            self._free()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _free(self) -> None:
        self._socket.close(linger=0 if self._process is not None else int(_LINGER_S * 1000))
        # libzmq (4.3.5) sometimes waits here for ever, whatever the linger, if the peer has died as it was sent
        # something; then a thread that sleeps is left behind.
        end = threading.Thread(target=self._context.term, daemon=True, name="end of the wire")
        end.start()
        end.join(_LINGER_S + _EXIT_S)

    def _state(self, message: pb.EnvStateMsg) -> State:
        if not math.isfinite(message.reward):
            raise self._error(f"the simulator sent a reward of {message.reward}", "")
        return State(
            observation=unpack(self.observation_space, message.obsData),
            reward=message.reward,
            over=message.isGameOver,
            game_over=message.isGameOver and message.reason == pb.EnvStateMsg.GameOver,
            info=message.info,
        )

    def _receive(self, message: Message, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while (frames := self._next()) is None:
            self._check()
            if time.monotonic() > deadline:
                what = f"the simulator sent no {message.DESCRIPTOR.name} within {timeout_s:g} s"
                raise self._error(what, self._late_cure(message))
        self._owes_reply = True
        if len(frames) != 1:
            raise self._error(f"the simulator sent a message of {len(frames)} parts, not of one", "")
        parse(message, frames[0])

    def _next(self) -> list[bytes] | None:
        """Returns the next message of the simulator that is served, or None if none has come within _SLICE_MS.

        If none is served yet, the first that has sent something is served from now on.
        """
        if self._peer is None and self._waiting:
            peer = next(iter(self._waiting))
            self._peer = [peer, b""]
            return self._waiting.pop(peer)
        if not self._socket.poll(_SLICE_MS):
            return None
        peer, *frames = self._socket.recv_multipart()
        if frames[:1] != [b""]:
            note(f"{self.endpoint}: a message of no ns3-gym simulator (of no REQ socket) is ignored")
            return None
        if self._peer is None:
            self._peer = [peer, b""]
        if peer == self._peer[0]:
            return frames[1:]
        if self._process is None:
            note(f"{self.endpoint}: another simulator has connected; it waits for the end of this episode")
            self._waiting[peer] = frames[1:]
        else:
            note(f"{self.endpoint}: another simulator has connected, and was told to stop")
            self._socket.send_multipart([peer, b"", _STOP])
        return None

    def _late_cure(self, message: Message) -> str:
        if self._process is None and isinstance(message, pb.SimInitMsg):
            return f"start the simulation, so that it connects to {self.endpoint}"
        return "raise the time-out if the machine is slow or busy"

    def _watch(self, pid: int | None) -> None:
        """Watches a simulator that we did not start, if the system can and it is no stranger here (a container's)."""
        if self._foreign is not None:
            os.close(self._foreign)
            self._foreign = None
        if pid is None:
            return
        with suppress(AttributeError, OSError, OverflowError):
            self._foreign = os.pidfd_open(pid)

    def _lives(self) -> bool:
        try:
            self._check()
        except SimulatorError:
            return False
        return True

    def _check(self) -> None:
        """Raises SimulatorError if the simulator has ended."""
        if self._process is not None:
            self._process.check()
        elif self._foreign is not None and select.select([self._foreign], [], [], 0)[0]:
            raise SimulatorError("the simulator ended", "look what it says where it was started")

    def _send(self, message: Message) -> None:
        self._socket.send_multipart([*(self._peer or ()), message.SerializeToString()])
        self._owes_reply = False

    def _error(self, what: str, cure: str) -> SimulatorError:
        return self._process.error(what, cure) if self._process is not None else SimulatorError(what, cure)
