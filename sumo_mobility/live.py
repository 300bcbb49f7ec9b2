"""LiveTraffic: SUMO stepped beside a network simulator, for traffic that reacts to the network.

The offline trace is the default, and what datasets are made of. Take this if where UEs go shall depend on how they are
served. Left alone, it is the offline trace of the same seed, row for row.

    with LiveTraffic(config, context, seed=1) as traffic:
        position_m = traffic.position_at(10.0)  # drives so far
        traffic.connection.vehicle.rerouteTraveltime("7")  # the car that is UE 7
        position_m = traffic.position_at(20.0)
        trace = traffic.trace()
"""

from __future__ import annotations

import warnings
from typing import Self

import numpy as np

from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError, SimulatorError
from sumo_mobility.base.scratch import ScratchDirectory
from sumo_mobility.contexts import Context
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.pipeline import LIVE_SOURCE, described, road_network, routed, sumo_versions
from sumo_mobility.simulate import check_filled, traffic_options
from sumo_mobility.trace import FASTEST_MPS, JUMP_MPS, MobilityTrace, TraceWarning, farthest_m, interpolated
from sumo_mobility.traci_session import Connection, TraciSession, constants

_VARIABLES = (constants.VAR_POSITION, constants.VAR_SPEED, constants.VAR_ANGLE)
_APPROACH_S = 60
"""UEs are watched for so long before trace time 0: one that is off the streets then stands where it was last seen."""
_EVERYWHERE_M = 1e7
_ROUNDING = 1e-9


class LiveTraffic:
    """The traffic of one seed, driven as far as its positions are asked for; as a context manager it starts itself.

    It is always one knot, 1 s, ahead of the network: between knots UEs move in straight lines, so where a UE heads must
    be known while it is at a knot. What is commanded at a control step shows in positions from 1 s later on.

    A UE that SUMO has taken off a jammed street (a teleport), or that was removed, is held where it was last seen. The
    offline trace does the same, but for a UE that is missed at trace time 0, which it puts where it will be seen first.
    One that is moved faster than any car, as by TraCI's moveToXY, is a TraceWarning, and counted in the trace's
    metadata.

    SUMO ends with the thread that has started it.

    Args:
        config: Map with streets, number of UEs and times; `duration_s` are driven at most.
        context: What the UEs are up to.
        seed: As in `make_trace`.
        drivers: As in `make_trace`.
        timeout_s: How long SUMO may take to start, or for any answer.

    Attributes:
        time_s: Trace time of the last knot that was driven.

    Raises:
        ConfigError: no such map, or it is open ground.
        DataError, StorageError, SimulatorError: as `load_map`.
    """

    step_s = 1.0

    def __init__(
        self, config: MobilityConfig, context: Context, seed: int, drivers: int | None = None, timeout_s: float = 60.0
    ) -> None:
        self._network = road_network(config.map)
        self._config = config
        self._context = context
        self._seed = seed
        self._drivers = seed if drivers is None else drivers
        self._begin_s = config.begin_s(seed)
        self._timeout_s = timeout_s
        self._scratch: ScratchDirectory | None = None
        self._session: TraciSession | None = None
        self.time_s = -_APPROACH_S

    @property
    def ues(self) -> int:
        """Number of UEs."""
        return self._config.ues

    @property
    def duration_s(self) -> float:
        """Time of the last knot that can be driven."""
        return self._config.duration_s

    @property
    def shift_m(self) -> tuple[float, float]:
        """SUMO's coordinates less trace coordinates."""
        x_m, y_m = self._network.shift_m.tolist()
        return x_m, y_m

    @property
    def connection(self) -> Connection:
        """TraCI's own connection, to look at the traffic and to steer it between control steps.

        UEs are the vehicles and persons "0", "1", ...; cars that are none may be added. SUMO must not be stepped by it.

        Raises:
            ConfigError: SUMO does not run.
        """
        return self._running().connection

    @property
    def pid(self) -> int:
        """Process id of SUMO; ConfigError if it does not run."""
        return self._running().process.pid

    def start(self) -> None:
        """Starts SUMO, anew if it runs, and drives to trace time 0; it is the same traffic each time.

        Raises:
            ConfigError: the context does not fit the map, or its streets do not hold so many UEs.
            DependencyError: SUMO is not installed.
            SimulatorError: SUMO failed, or took longer than `timeout_s`, or does not have all UEs on the streets.
        """
        self.stop()
        if self._scratch is None:
            self._scratch = ScratchDirectory()
            causes = self._config, self._context, self._seed, self._drivers
            self._routes, plans = routed(self._network, *causes, self._scratch.path)
            self._cars = [str(ue) for ue, plan in enumerate(plans) if not plan.walks]
        self._grid: Floats = np.full((int(self.duration_s) + 1, self.ues, 4), np.nan)
        self._last: Floats = self._grid[0].copy()
        self._filled, self.time_s = 0, -_APPROACH_S
        session = TraciSession(traffic_options(self._routes, self._network, self._drivers), self._timeout_s)
        self._session = session
        # What departs at 0 is inserted in the first step, and can be named from then on.
        begin_s = max(1, self._begin_s - _APPROACH_S)
        try:
            with session.failures():
                session.connection.simulationStep(float(begin_s))
                self._junction = session.connection.junction.getIDList()[0]
                for car in self._cars:
                    session.connection.vehicle.subscribe(car, _VARIABLES)
            self.time_s = begin_s - self._begin_s - 1
            while self.time_s < 0:
                self._advance()
        except BaseException:
            self.stop()
            raise

    def position_at(self, time_s: float | Floats) -> Floats:
        """See `Mobility.position_at`; drives to the knot after the latest of the times.

        Raises:
            ConfigError: SUMO does not run.
            SimulatorError: SUMO died, gave no answer in time, or was stepped or left by others; a UE was moved faster
                than any network can follow; or so many UEs were taken off jammed streets that the trace would be a
                fiction. The episode ends; what was driven before is kept.
        """
        row = np.asarray(time_s, dtype=np.float64) / self.step_s
        self._drive(min(int(max(row.max(), 0.0) + _ROUNDING) + 1, int(self.duration_s)))
        return interpolated(self._grid[..., :2], row)

    def knots_m(self, first: int, last: int) -> Floats:
        """See `Mobility.knots_m`; drives to the last of them, with the errors of `position_at`."""
        self._drive(last)
        return self._grid[first : last + 1, :, :2].copy()

    def trace(self) -> MobilityTrace:
        """Returns what was driven, for datasets and for others to replay.

        Its metadata say that it was live, and whether UEs jumped; what SUMO was told meanwhile is not known.

        Raises:
            ConfigError: less than 1 s was driven.
        """
        if self.time_s < 1:
            raise ConfigError("live traffic: nothing was driven that could be a trace", "drive for 1 s at least")
        grid = self._grid[: self.time_s + 1].copy()
        metadata = described(self._network.streets, self._config, self._context, self._seed, self._drivers)
        live = {
            "source": LIVE_SOURCE,
            "versions": sumo_versions(self._network),
            "rows_filled": self._filled,
            "provenance": metadata.provenance | {"steered": "unknown"},
        }
        return MobilityTrace(
            time_s=np.arange(len(grid), dtype=np.float64),
            position_m=grid[..., :2],
            speed_mps=grid[..., 2],
            heading_deg=grid[..., 3],
            metadata=metadata.model_copy(update=live),
        ).flagged()

    def stop(self) -> None:
        """Ends SUMO; what was driven is kept until the next start. May be called twice."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def close(self) -> None:
        """Ends SUMO and removes its files; may be called twice, and another start may follow."""
        self.stop()
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            scratch.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _running(self) -> TraciSession:
        if self._session is None:
            raise ConfigError("live traffic: SUMO does not run", "call start(), or reset() of the environment")
        return self._session

    def _drive(self, knot: int) -> None:
        try:
            while self.time_s < knot:
                self._advance()
        except SimulatorError:
            self.stop()
            raise

    def _advance(self) -> None:
        """Drives to the next knot."""
        session, knot = self._running(), self.time_s + 1
        connection, now_s = session.connection, self._begin_s + knot
        seen = np.full((self.ues, 4), np.nan)
        with session.failures():
            if (at_s := connection.simulation.getTime()) != now_s:
                raise session.process.error(
                    f"is at {at_s:g} s instead of {now_s:g} s", "leave it to LiveTraffic to step SUMO"
                )
            # Where a pedestrian is follows from SUMO's clock, which goes on at the end of the step.
            connection.simulation.executeMove()
            connection.junction.subscribeContext(
                self._junction, constants.CMD_GET_PERSON_VARIABLE, _EVERYWHERE_M, _VARIABLES, now_s, now_s
            )
            walkers = connection.junction.getContextSubscriptionResults(self._junction)
            connection.simulationStep()
            cars = connection.vehicle.getAllSubscriptionResults()
        for name, values in (cars | walkers).items():
            if name.isdecimal() and int(name) < self.ues:
                seen[int(name)] = *values[constants.VAR_POSITION], *(values[variable] for variable in _VARIABLES[1:])
        seen[seen[:, 0] == constants.INVALID_DOUBLE_VALUE] = np.nan
        seen[:, :2] -= self._network.shift_m
        seen[:, 2:] = seen[:, 2:].astype(np.float32)  # as SUMO's floating car data has speed and heading
        self._take(knot, seen)

    def _take(self, knot: int, seen: Floats) -> None:
        missing = np.isnan(seen[:, 0])
        seen[missing] = self._last[missing]
        seen[missing, 2] = 0.0
        moved_m = np.hypot(*(seen - self._last)[:, :2].T)
        for jump in np.flatnonzero(moved_m > farthest_m(JUMP_MPS, self.step_s)) if knot > 0 else ():
            what = f"live traffic: UE {jump} was moved by {moved_m[jump]:.0f} m in the second to {knot} s"
            if moved_m[jump] > farthest_m(FASTEST_MPS, self.step_s):
                raise SimulatorError(f"{what}, faster than {FASTEST_MPS:g} m/s", "move it in several steps")
            warnings.warn(f"{what}, faster than {JUMP_MPS:g} m/s", TraceWarning, stacklevel=5)
        self._last, self.time_s = seen, knot
        if knot < 0:
            return
        if np.isnan(seen).any():
            ue = int(np.isnan(seen[:, 0]).argmax())
            raise SimulatorError(
                f"sumo did not have UE {ue} of {self.ues} on the streets in the {_APPROACH_S} s before the trace",
                "choose another seed, or lower mobility.ues",
            )
        self._filled += int(missing.sum())
        check_filled(self._filled, self._grid[..., 0].size, self.ues)
        self._grid[knot] = seen
