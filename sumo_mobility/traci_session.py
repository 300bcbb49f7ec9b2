"""A SUMO that is stepped through TraCI: its process, its connection, and the failures of both.

TraCI speaks TCP, and SUMO cannot be told to bind the loopback: it listens on all interfaces until its one client has
come, and no more from then on. The client comes within milliseconds, and the port is drawn anew each time. A stranger
who is faster has a SUMO that is killed, and the start fails: nobody else ever steers one that is used. (libsumo needs
no socket, but a process holds one simulation, and its wheel clashes with pyarrow's.)
"""

from __future__ import annotations

import importlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sumo_mobility.sumo import SumoProcess


@contextmanager
def _plain_traci() -> Iterator[None]:
    """Hides from `import traci` what makes it another library: libsumo and libtraci have no Connection."""
    hidden = {name: os.environ.pop(name) for name in ("LIBSUMO_AS_TRACI", "LIBTRACI_AS_TRACI") if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


with _plain_traci():
    # What a Connection knows is registered there; without it if `import traci` was another library before.
    importlib.import_module("traci.main")
    from traci import constants
    from traci.connection import Connection
    from traci.exceptions import FatalTraCIError, TraCIException

__all__ = ["Connection", "TraciSession", "constants"]

_PORTS = 3
"""So many are tried."""
_LOOK_S = 0.005
"""Between attempts to connect."""
_DEATH_S = 1.0
"""The greatest time that SUMO takes to end after it has closed its connection."""
_CURE = "neither step SUMO nor close its connection yourself"


class TraciSession:
    """A running SUMO and the one connection to it; both end with close().

    Args:
        options: SUMO's, without those of TraCI.
        timeout_s: How long SUMO may take to start, or for any answer.

    Attributes:
        process: SUMO.
        connection: TraCI's own.

    Raises:
        DependencyError: SUMO is not installed.
        SimulatorError: it failed, or did not start in time.
    """

    def __init__(self, options: list[str], timeout_s: float) -> None:
        self._timeout_s = timeout_s
        for attempt in range(_PORTS):
            port = _free_port()
            more = ["--remote-port", str(port), "--num-clients", "1", "--no-step-log"]
            self.process = SumoProcess("sumo", options + more)
            try:
                self.connection = self._connected(port)
                return
            except _PortTakenError:
                failure = self.process.error(f"could not be connected to on {_PORTS} ports", "look what takes them")
                self.process.close()
                if attempt == _PORTS - 1:
                    raise failure from None
            except BaseException:
                self.process.close()
                raise

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turns what TraCI raises in the block into a SimulatorError that says why."""
        started = time.monotonic()
        try:
            yield
        except TraCIException as error:
            raise self.process.error(f"says: {error}") from None
        except (FatalTraCIError, OSError) as error:
            waited_s = time.monotonic() - started
            code = self.process.wait(_DEATH_S)
            if code is not None:
                raise self.process.ending_error(code, "" if code else _CURE) from None
            if waited_s >= self._timeout_s:
                raise self.process.error(f"gave no answer within {self._timeout_s:g} s") from None
            raise self.process.error(f"cannot be reached: {error}", _CURE) from None

    def close(self) -> None:
        """Kills SUMO and closes the connection, for all who have it; may be called twice."""
        self.process.close()
        if self.connection._socket is not None:
            self.connection._socket.close()
            self.connection._socket = None

    def _connected(self, port: int) -> Connection:
        deadline = time.monotonic() + self._timeout_s
        while (code := self.process.wait(_LOOK_S)) is None:
            if time.monotonic() > deadline:
                raise self.process.error(f"could not be connected to within {self._timeout_s:g} s")
            try:
                connection = Connection("127.0.0.1", port, None, None, False)
            except OSError:
                continue
            if connection._socket.getsockname() == connection._socket.getpeername():
                # Linux connects a socket to itself if it draws this very port while nobody listens.
                connection._socket.close()
                continue
            connection._socket.settimeout(self._timeout_s)
            try:
                connection.getVersion()
            except (FatalTraCIError, TraCIException, OSError):
                if connection._socket is not None:
                    connection._socket.close()
                raise _PortTakenError from None
            return connection
        failure = self.process.ending_error(code)
        if "bind listening socket" in failure.message:
            raise _PortTakenError
        raise failure


class _PortTakenError(Exception):
    """Somebody else has the port."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
