"""A measured figure with its target."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """A measured figure; `reach` is its target, and `goal` a more ambitious one."""

    metric: str
    value: float
    unit: str
    reach: float | None
    """None where the figure only explains others."""
    goal: float | None = None
    more_is_better: bool = False

    @property
    def ok(self) -> bool:
        """Whether the figure reaches its target."""
        if self.reach is None:
            return True
        return self.value >= self.reach if self.more_is_better else self.value <= self.reach
