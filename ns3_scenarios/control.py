"""Control of a network for one interval: handover offsets, and the hysteresis and time to trigger of each cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from ns3_scenarios.grids import CIO_GRID, HYSTERESIS_GRID, TIME_TO_TRIGGER_GRID, Grid
from ns3_scenarios.handover import Handover
from ns3_scenarios.network import Network
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError

_ROUNDING = 1e-6
"""Values beyond a limit or off a grid by no more than this are taken to be on it."""


@dataclass(frozen=True)
class _Part:
    """The limits of one array of a control, whose last axis has `count` values."""

    name: str
    unit: str
    count: int
    low: float
    high: float
    grid: Grid
    cure: str

    def checked(self, handover: Handover, given: Floats, batch: tuple[int, ...]) -> Floats:
        """Returns the values within the limits and, if handover.grid is standard, on the grid; raises ConfigError."""
        values, what = np.asarray(given, dtype=np.float64), f"action: {self.name}"
        if values.shape != (*batch, self.count):
            raise ConfigError(f"{what}: shape {values.shape}, but {(*batch, self.count)} is needed")
        if not np.isfinite(values).all():
            raise ConfigError(f"{what} {int(np.argwhere(~np.isfinite(values))[0][-1])} is not finite")
        beyond = np.maximum(values - self.high, self.low - values)
        if beyond.max(initial=0.0) > _ROUNDING:
            where = np.unravel_index(int(beyond.argmax()), beyond.shape)
            limits = f"not within {self.low:g} to {self.high:g} {self.unit}"
            raise ConfigError(f"{what} {where[-1]} is {values[where]:.2f} {self.unit}, {limits}", self.cure)
        signalled = handover.signalled(values, self.grid)
        off = np.abs(values - signalled)
        if off.max(initial=0.0) > _ROUNDING:
            where = np.unravel_index(int(off.argmax()), off.shape)
            cure = f"send {signalled[where]:g} {self.unit}, or set handover.grid: continuous"
            raise ConfigError(
                f"{what} {where[-1]} is {values[where]:g} {self.unit}, no value of {self.grid.field}", cure
            )
        return np.clip(signalled, self.low, self.high)


@dataclass(frozen=True)
class Control:
    """The handover parameters of all cells, with equal leading batch dimensions (...).

    Attributes:
        cio_db: (..., E) CIO of each ordered neighbour pair, Ocn of event A3 (TS 36.331 5.5.4.4).
        hysteresis_db: (..., C) hysteresis of each serving cell.
        time_to_trigger_ms: (..., C) time to trigger of each serving cell.
    """

    cio_db: Floats
    hysteresis_db: Floats
    time_to_trigger_ms: Floats

    @classmethod
    def of(
        cls,
        network: Network,
        cio_db: ArrayLike,
        hysteresis_db: ArrayLike | None = None,
        time_to_trigger_ms: ArrayLike | None = None,
    ) -> Self:
        """Returns a control in which what is not given has the scenario's own value.

        Args:
            network: The scenario.
            cio_db: (..., E).
            hysteresis_db: (..., C), or what broadcasts to it.
            time_to_trigger_ms: (..., C), or what broadcasts to it.
        """
        offsets = np.array(cio_db, dtype=np.float64)
        shape, handover = (*offsets.shape[:-1], len(network.cells)), network.handover
        own = (handover.hysteresis_db, hysteresis_db), (handover.time_to_trigger_ms, time_to_trigger_ms)
        rest = [np.asarray(default if given is None else given, dtype=np.float64) for default, given in own]
        return cls(offsets, *(np.broadcast_to(values, shape) for values in rest))

    @classmethod
    def checked(cls, network: Network, control: Self | ArrayLike) -> Self:
        """Returns a control that the scenario allows, in float64.

        Args:
            network: The scenario.
            control: The control, or its `cio_db` alone where the rest is the scenario's own.

        Raises:
            ConfigError: A value has the wrong shape, is not finite, beyond its range, off the standard's grid where
                handover.grid asks for it, or differs from the scenario's though handover.steer does not name it; the
                message names the component.
        """
        handover, cells, pairs = network.handover, len(network.cells), len(network.neighbor_pairs)
        if not isinstance(control, cls):
            cio_db = np.asarray(control, dtype=np.float64)
            if cio_db.ndim == 0 or cio_db.shape[-1] != pairs:
                raise ConfigError(f"action: {cio_db.shape} values, but the scenario has {pairs} neighbour pairs")
            control = cls.of(network, cio_db)
        steers_db, steers_ms = "hysteresis" in handover.steer, "time-to-trigger" in handover.steer
        low_db, high_db = handover.hysteresis_range_db if steers_db else (handover.hysteresis_db,) * 2
        low_ms, high_ms = handover.time_to_trigger_range_ms if steers_ms else (handover.time_to_trigger_ms,) * 2
        limit_db, own = handover.cio_range_db, "name it in handover.steer"
        range_db, range_ms = "handover.hysteresis_range_db", "handover.time_to_trigger_range_ms"
        parts = [
            _Part("CIO of pair", "dB", pairs, -limit_db, limit_db, CIO_GRID, "stay within handover.cio_range_db"),
            _Part(
                "hysteresis of cell", "dB", cells, low_db, high_db, HYSTERESIS_GRID,
                f"stay within {range_db}" if steers_db else own,
            ),
            _Part(
                "time to trigger of cell", "ms", cells, low_ms, high_ms, TIME_TO_TRIGGER_GRID,
                f"stay within {range_ms}" if steers_ms else own,
            ),
        ]  # fmt: skip
        batch = np.shape(control.cio_db)[:-1]
        given = control.cio_db, control.hysteresis_db, control.time_to_trigger_ms
        return cls(*(part.checked(handover, values, batch) for part, values in zip(parts, given, strict=True)))

    def encoded(self, network: Network) -> Floats:
        """Returns the numbers (..., N) that a simulator is sent: the CIOs, then what handover.steer names."""
        arrays = {"hysteresis": self.hysteresis_db, "time-to-trigger": self.time_to_trigger_ms}
        return np.concatenate([self.cio_db, *(arrays[name] for name in network.handover.steer)], axis=-1)

    def __iter__(self) -> Iterator[Self]:
        """Yields the controls along the first batch dimension."""
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: Any) -> Self:
        """Returns the controls of an index into the batch dimensions."""
        return type(self)(self.cio_db[index], self.hysteresis_db[index], self.time_to_trigger_ms[index])

    def __len__(self) -> int:
        """Returns the length of the first batch dimension."""
        return len(self.cio_db)
