"""Handover: event A3, the offsets that are steered, and what a network can signal of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from ns3_scenarios.grids import A3_OFFSET_GRID, CIO_GRID, HYSTERESIS_GRID, TIMES_TO_TRIGGER_MS, Grid, one_of
from ns3_scenarios.neighbors import NeighborGraph, NeighborsByDistance
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.contract import Contract

_LONGEST_SPAN_S = 3600.0
_SPAN_S = Field(gt=0, le=_LONGEST_SPAN_S)


def _span(meaning: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 < value <= _LONGEST_SPAN_S:
            raise ValueError(f"must be above 0 and {_LONGEST_SPAN_S:g} s at most: it is {meaning}")
        return value

    return BeforeValidator(check)


Hysteresis = Annotated[float, Field(ge=0, le=15)]
TimeToTrigger = Annotated[
    int,
    one_of(TIMES_TO_TRIGGER_MS, "TimeToTrigger, TS 36.331 6.3.5", " ms"),
    Field(description=f"one of {TIMES_TO_TRIGGER_MS}"),
]


class Handover(Contract):
    """Event A3 (TS 36.331 5.5.4.4) with a cell individual offset (CIO) per ordered neighbour pair.

    A UE is handed over when Mn + CIO - hysteresis > Ms + a3_offset at all measurements during the time to trigger
    (5.5.4.1). M is the UE's L3-filtered RSRP (5.5.3.2, k = 4), unquantised, since the UE evaluates the event; the index
    of 1 dB steps (TS 36.133 9.1.4) is made only for the report. All back ends measure every 200 ms. A cell whose CIO,
    hysteresis or time to trigger an action changes reconfigures the measurements of its UEs at once, so that their time
    to trigger begins anew (5.5.2.5, 5.5.2.7). It starts at a measurement, 0.2 s after the change at the earliest: while
    each action changes something, one that is longer than the control interval less 0.2 s never ends.
    """

    a3_offset_db: float = Field(0.0, ge=-15, le=15)
    hysteresis_db: Hysteresis = 2.0
    time_to_trigger_ms: TimeToTrigger = 256
    cio_range_db: float = Field(6.0, gt=0, le=24)
    neighbors: NeighborGraph = NeighborsByDistance()
    """Between which cells UEs hand over."""
    action: Literal["pair", "cell", "edge"] = "pair"
    """The form of the action: a CIO for each ordered pair; an offset for each cell, whose difference is the pair's CIO;
    or a value for each edge, the CIO one way and its negative the other way (see `ns3_scenarios.mdp`)."""
    steer: tuple[Literal["hysteresis", "time-to-trigger"], ...] = ()
    """Parameters that the action sets in addition, in this order, one value for each serving cell. The others keep the
    values of this scenario."""
    hysteresis_range_db: tuple[Hysteresis, Hysteresis] = (0.0, 6.0)
    """Least and greatest, if steered."""
    time_to_trigger_range_ms: tuple[TimeToTrigger, TimeToTrigger] = (40, 1280)
    """Least and greatest, if steered."""
    grid: Literal["continuous", "standard"] = "continuous"
    """`standard` rounds the values of an action to those that a network can signal (see `ns3_scenarios.grids`): CIOs
    to Q-OffsetRange, hystereses to steps of 0.5 dB. The settings in dB must be on the standard's grid then."""
    ping_pong_window_s: Annotated[float, _SPAN_S, _span("the minimum time of stay of TR 36.839 5.2, there 1 s")] = 1.0
    """The minimum time of stay (TR 36.839 5.2): a handover whose stay in the target is ended by another one in less is
    unnecessary, and a ping-pong if that one leads back."""
    ue_context_store_s: Annotated[float, _SPAN_S, _span("Tstore_UE_cntxt of TS 36.300 22.4.2")] = 5.0
    """Tstore_UE_cntxt (TS 36.300 22.4.2): a failure in less than this after the start of a handover is blamed on it.

    From the moment that a link is lost to its failure, N310 and T310 with their defaults take 2.2 s.
    """

    @model_validator(mode="after")
    def _ranges_hold_the_start(self) -> Self:
        if list(self.steer) != sorted(set(self.steer)):
            raise ValueError("steer: each name once, hysteresis before time-to-trigger")
        for name, unit in (("hysteresis", "db"), ("time_to_trigger", "ms")):
            (low, high), value = getattr(self, f"{name}_range_{unit}"), getattr(self, f"{name}_{unit}")
            if name.replace("_", "-") in self.steer and not (low <= value <= high and low < high):
                raise ValueError(f"{name}_range_{unit} = {low:g} to {high:g} must hold {name}_{unit} = {value:g}")
        return self

    @model_validator(mode="after")
    def _grid_holds_all(self) -> Self:
        if self.grid == "standard":
            for grid, name, value in (
                (A3_OFFSET_GRID, "a3_offset_db", self.a3_offset_db),
                (HYSTERESIS_GRID, "hysteresis_db", self.hysteresis_db),
                (CIO_GRID, "cio_range_db", self.cio_range_db),
                *((HYSTERESIS_GRID, "hysteresis_range_db", end_db) for end_db in self.hysteresis_range_db),
            ):
                if value not in grid.values:
                    raise ValueError(f"{name} = {value:g} with grid: standard must be {grid.field}, {grid.says}")
        return self

    def signalled(self, values: Floats, grid: Grid) -> Floats:
        """Returns what a network signals for `values`: the nearest on the grid if `grid` is standard, else the same."""
        return grid.nearest(values) if self.grid == "standard" else values
