"""Episode: how long an experiment runs, and in which control intervals."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from sumo_mobility.base.contract import Contract

_ATTACHMENT_S = 1.0
"""Time in which the UEs attach and the traffic begins, of which no KPI is made."""


class Episode(Contract):
    """Time. The trace starts when the warm-up ends; UEs stand at its first positions until then.

    A control is held for a whole interval, in which the UEs move and the network is simulated as finely as ever. KPIs
    are averages and sums over the interval, but for what `kpis.json` calls the state at its end.
    """

    steps: int = Field(40, ge=1, le=432_000)
    control_interval_s: float = Field(1.0, ge=0.2, le=1800)
    """900 s is the granularity at which networks usually count."""
    warmup_s: float = Field(3.0, ge=1.2, le=3600)
    """Attachment and start of traffic, which take 1 s; the first observation covers its last control interval, or all
    that comes after that second if this is shorter."""

    @property
    def duration_s(self) -> float:
        """Time under control."""
        return self.steps * self.control_interval_s

    @property
    def simulated_s(self) -> float:
        """Time that is simulated, the warm-up included."""
        return self.warmup_s + self.duration_s

    @property
    def first_interval_s(self) -> float:
        """Time at the end of the warm-up that the first observation covers."""
        return min(self.control_interval_s, round(self.warmup_s - _ATTACHMENT_S, 9))

    @model_validator(mode="after")
    def _intervals_fit(self) -> Self:
        for name in ("control_interval_s", "warmup_s"):
            if abs(getattr(self, name) * 5 - round(getattr(self, name) * 5)) > 1e-9:
                raise ValueError(f"episode.{name} must be a multiple of 0.2 s, the L1 measurement period")
        return self
