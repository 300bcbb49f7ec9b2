"""One figure beside what it must reach."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """One figure; it is good enough at `reach`, and `goal` is where the project is going."""

    metric: str
    value: float
    unit: str
    reach: float | None
    """None where the figure only explains others."""
    goal: float | None = None
    more_is_better: bool = False

    @property
    def ok(self) -> bool:
        """Whether it is good enough."""
        if self.reach is None:
            return True
        return self.value >= self.reach if self.more_is_better else self.value <= self.reach
