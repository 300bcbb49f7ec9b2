"""A measured figure with its target."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """A measured figure with the target that it must reach, and a more ambitious goal."""

    metric: str
    value: float
    unit: str
    target: float | None
    """None where the figure only explains others."""
    goal: float | None = None
    more_is_better: bool = False

    @property
    def ok(self) -> bool:
        """Whether the figure reaches its target."""
        if self.target is None:
            return True
        return self.value >= self.target if self.more_is_better else self.value <= self.target
