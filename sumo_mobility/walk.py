"""UEs on open ground: the random walk of the reference system (docs/physics.md, profile `paper`), once a second.

Each UE has a speed of its own. In each second that speed varies, or the UE pauses, and it goes towards its aim or, with
the probability that the context leaves, anywhere. Aims are the heading of its site, the way back to the site if it
loiters and has strayed; in all other contexts the next destination of its itinerary.
"""

from __future__ import annotations

import numpy as np

from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.seeds import stream
from sumo_mobility.contexts import Context, Roaming
from sumo_mobility.demand import Itinerary, Places, itineraries, pedestrians
from sumo_mobility.fields import direction
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.open_ground import OpenGround

SPEED_MPS = (5.0, 15.0)
"""Slowest and fastest UE, on average over the seconds in which it moves."""
WALKING_MPS = (1.0, 2.0)
"""Least and greatest mean speed of pedestrians."""
VOLATILITY = 0.4
"""In each second the speed of a UE is drawn uniformly within this share of its mean speed."""
PAUSE = 0.15
"""Probability to stand still, in each second."""
_CELL_M = 20.0


def walk(ground: OpenGround, config: MobilityConfig, context: Context, seed: int, drivers: int) -> Floats:
    """Moves the UEs; the same arguments give the same positions.

    Args:
        ground: Where; UEs are held inside.
        config: How many UEs, how long, how many of them walk.
        context: What they are up to.
        seed: Of starts and destinations.
        drivers: Of speeds, pauses, departures and the seconds off the way.

    Returns:
        (settle_s + phase_s + duration_s + 1, U, 2) positions in m, each second.

    Raises:
        ConfigError: the context does not fit the ground.
    """
    steps = int(config.settle_s + config.phase_s + config.duration_s)
    roaming = [context.roaming(ue, ground.streets.bounds_m) for ue in range(config.ues)]
    aims: _Headings | _Journeys
    if all(roaming):
        aims = _Headings([way for way in roaming if way], config.settle_s, seed)
    else:
        aims = _Journeys(ground, itineraries(_places(ground), config, context, seed, drivers))
    size_m = np.array([ground.width_m, ground.height_m])
    noise = np.stack([stream(drivers, "walk", ue).random((steps + 1, 4)) for ue in range(config.ues)], axis=1)
    slowest, fastest = np.array([WALKING_MPS if walks else SPEED_MPS for walks in pedestrians(config, seed)]).T
    own_mps = slowest + noise[0, :, 0] * (fastest - slowest)
    positions = np.empty((steps + 1, config.ues, 2))
    positions[0] = np.clip(aims.start_m, 0, size_m)
    for second in range(steps):
        here, (speed, pause, follow, angle) = positions[second], noise[second + 1].T
        way, strength = aims.ways(second, here)
        length = np.hypot(way[:, 0], way[:, 1])
        any_way = np.stack([np.sin(2 * np.pi * angle), np.cos(2 * np.pi * angle)], axis=-1)
        follows = (follow < strength) & (length > 0)
        unit = np.where(follows[:, None], way / np.maximum(length, 1e-9)[:, None], any_way)
        step_m = own_mps * (1 + VOLATILITY * (2 * speed - 1)) * (pause >= PAUSE) * aims.moves(second)
        step_m = np.where(follows, np.minimum(step_m, length), step_m)
        positions[second + 1] = np.clip(here + step_m[:, None] * unit, 0, size_m)
    return positions


class _Headings:
    """Headings for ever; a UE that has none goes back when it has strayed."""

    def __init__(self, roaming: list[Roaming], settle_s: float, seed: int) -> None:
        self._place_m = np.array([way.place_m for way in roaming])
        self._loiters = np.array([way.heading_deg is None for way in roaming])
        self._heading = 1e6 * np.array([direction(way.heading_deg or 0.0) for way in roaming])
        self._radius_m = np.array([way.radius_m for way in roaming])
        self._strength = np.array([way.strength for way in roaming])
        self._settle_s = settle_s
        spread = np.array([stream(seed, "start", ue).uniform(-1, 1, 2) for ue in range(len(roaming))])
        self.start_m = self._place_m + self._radius_m[:, None] * spread

    def ways(self, second: int, here_m: Floats) -> tuple[Floats, Floats]:
        """Returns the directions in which the UEs want to go, (U, 2), and how likely they follow them, (U,)."""
        back = self._place_m - here_m
        strayed = np.hypot(back[:, 0], back[:, 1]) > self._radius_m
        way = np.where(self._loiters[:, None], back, self._heading)
        return way, np.where(self._loiters, strayed.astype(np.float64), self._strength)

    def moves(self, second: int) -> bool:
        """Returns whether the UEs have set out."""
        return second >= self._settle_s


class _Journeys:
    """Destinations one after another, with a stay at each."""

    def __init__(self, ground: OpenGround, plans: list[Itinerary]) -> None:
        columns = int(np.ceil(ground.width_m / _CELL_M))
        limit = [ground.width_m, ground.height_m]
        self._goals_m = [
            np.minimum([[stop.place % columns + stop.along, stop.place // columns + stop.across] for stop in plan.stops]
                       * np.array(_CELL_M), limit)
            for plan in plans
        ]  # fmt: skip
        self._stay_s = [[stop.stay_s for stop in plan.stops] for plan in plans]
        self.start_m = np.array([goals[0] for goals in self._goals_m])
        self._stop = np.zeros(len(plans), dtype=np.int64)
        self._goal_m = self.start_m.copy()
        self._leaves_s = np.array([stay[0] for stay in self._stay_s])

    def ways(self, second: int, here_m: Floats) -> tuple[Floats, Floats]:
        """Returns the same as `_Headings.ways`, and keeps track of arrivals and departures."""
        arrived = np.isinf(self._leaves_s) & (np.hypot(*(self._goal_m - here_m).T) < 1e-3)
        for ue in np.flatnonzero(arrived):
            self._leaves_s[ue] = second + self._stay_s[ue][self._stop[ue]]
        for ue in np.flatnonzero(self._leaves_s <= second):
            self._stop[ue] += 1
            self._goal_m[ue] = self._goals_m[ue][self._stop[ue]]
            self._leaves_s[ue] = np.inf
        return self._goal_m - here_m, np.ones(len(here_m))

    def moves(self, second: int) -> Floats:
        """Returns for each UE whether it is on its way, (U,)."""
        return np.isinf(self._leaves_s).astype(np.float64)


def _places(ground: OpenGround) -> Places:
    """Squares of _CELL_M, row by row from the south."""
    columns, rows = (int(np.ceil(side / _CELL_M)) for side in (ground.width_m, ground.height_m))
    x, y = np.meshgrid(np.arange(columns), np.arange(rows))
    middle_m = np.asarray((np.stack([x.ravel(), y.ravel()], axis=-1) + 0.5) * _CELL_M)
    size = np.ones(len(middle_m))
    return Places(middle_m, size, size.astype(bool), ground.streets.bounds_m)
