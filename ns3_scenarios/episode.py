"""Episode: how long an experiment runs, and in which control intervals."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from sumo_mobility.base.contract import Contract


class Episode(Contract):
    """Time. The trace starts when the warm-up ends; UEs stand at its first positions until then."""

    steps: int = Field(40, ge=1, le=432_000)
    control_interval_s: float = Field(1.0, ge=0.2, le=1800)
    """900 s is the granularity at which networks usually count; the warm-up must be longer than this, too."""
    warmup_s: float = Field(3.0, ge=1, le=3600)
    """Attachment and start of traffic; the first observation covers its last control interval."""

    @property
    def duration_s(self) -> float:
        """Time under control."""
        return self.steps * self.control_interval_s

    @property
    def simulated_s(self) -> float:
        """Time that is simulated, the warm-up included."""
        return self.warmup_s + self.duration_s

    @model_validator(mode="after")
    def _intervals_fit(self) -> Self:
        if self.warmup_s < self.control_interval_s + 1:
            raise ValueError("episode.warmup_s must be at least control_interval_s + 1 s")
        for name in ("control_interval_s", "warmup_s"):
            if abs(getattr(self, name) * 5 - round(getattr(self, name) * 5)) > 1e-9:
                raise ValueError(f"episode.{name} must be a multiple of 0.2 s, the L1 measurement period")
        return self
