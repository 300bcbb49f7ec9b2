"""Traffic: when packets arrive for each UE, and how many."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.contract import Contract


class ConstantBitRate(Contract):
    """Packets at constant intervals, each UE with a phase of its own."""

    model: Literal["cbr"] = "cbr"


class Poisson(Contract):
    """Packets at the times of a Poisson process: exponential intervals."""

    model: Literal["poisson"]


class OnOff(Contract):
    """Constant intervals within on times; on and off times are exponential, and a flow begins with an off time.

    Within an on time packets come faster than on average, by (mean_on_s + mean_off_s) / mean_on_s.
    """

    model: Literal["on-off"]
    mean_on_s: float = Field(1.0, ge=1e-3, le=3600)
    mean_off_s: float = Field(1.0, ge=1e-3, le=3600)


class FullBuffer(Contract):
    """A queue that is never empty: a UE gets what the scheduler gives it (TR 36.814 A.2.1.3.1).

    `traffic.offered_bps` then is only what observation and reward divide by; the KPI offered_bps counts what is
    refilled.
    """

    model: Literal["full-buffer"]


class Traffic(Contract):
    """One downlink flow for each UE, and one uplink flow if it is asked for; rates are those of the UDP payload."""

    arrivals: ConstantBitRate | Poisson | OnOff | FullBuffer = Field(ConstantBitRate(), discriminator="model")
    offered_bps: float = Field(200e3, ge=1, le=1e9)
    """Offered in the downlink at the application, mean over time and over the UEs."""
    ue_weights: tuple[float, ...] = Field((), max_length=1000)
    """Share of each UE in what is offered, in any unit; none: all the same."""
    uplink_bps: float = Field(0.0, ge=0, le=1e9)
    """Offered by each UE in the uplink at constant intervals; none if 0. What arrives is not part of StepKpis: the ns-3
    program tells it in `ue_uplink_bps` of the info of its states."""
    packet_bytes: int = Field(1000, ge=20, le=1472)

    def ue_offered_bps(self, ues: int) -> Floats:
        """Returns what each UE is offered on average in the downlink, (ues,) in bit/s."""
        weights = np.array(self.ue_weights or np.ones(ues))
        return self.offered_bps * weights * (ues / weights.sum())

    @model_validator(mode="after")
    def _weights_mean_something(self) -> Self:
        if any(not 1e-3 <= weight <= 1e3 for weight in self.ue_weights):
            raise ValueError("ue_weights must be within 0.001 to 1000")
        if self.ue_weights and isinstance(self.arrivals, FullBuffer):
            raise ValueError("ue_weights: a full buffer has no rate to share; leave them out")
        return self
