"""The data that algorithms learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from sumo_mobility.base.arrays import AnyFloats, Bools
from sumo_mobility.base.errors import DataError


class Transitions(NamedTuple):
    """Rows of a dataset in D4RL's terms; a time-out is no terminal, so the value of its next state counts."""

    observations: Tensor
    """(N, O) float32."""
    actions: Tensor
    """(N, A) float32 in [-1, 1]."""
    rewards: Tensor
    """(N,) float32."""
    next_observations: Tensor
    """(N, O) float32."""
    terminals: Tensor
    """(N,) float32, 1 where the episode ended by itself."""

    @classmethod
    def of(
        cls,
        observations: AnyFloats,
        actions: AnyFloats,
        rewards: AnyFloats,
        next_observations: AnyFloats,
        terminals: Bools,
    ) -> Self:
        """Checks and converts arrays.

        Raises:
            DataError: see `check`.
        """
        arrays = (observations, actions, rewards, next_observations, terminals)
        made = cls(*(torch.as_tensor(np.ascontiguousarray(array), dtype=torch.float32) for array in arrays))
        made.check()
        return made

    def check(self) -> None:
        """Refuses what no algorithm can learn from.

        Raises:
            DataError: no rows, lengths that differ, a value that is not finite, or an action beyond [-1, 1].
        """
        rows = len(self.observations)
        for name, column in self._asdict().items():
            if len(column) != rows or rows == 0:
                raise DataError(f"dataset: {name} has {len(column)} rows, observations {rows}")
            if not torch.isfinite(column).all():
                row = int(torch.argwhere(~torch.isfinite(column))[0, 0])
                raise DataError(f"dataset: {name}[{row}] is not finite")
        greatest = float(self.actions.abs().max())
        if greatest > 1 + 1e-6:
            raise DataError(f"dataset: actions reach {greatest:.3g}; they must be scaled to [-1, 1]")

    def rows(self, index: Tensor) -> Self:
        """Returns the rows with these indices (B,)."""
        return type(self)(*(column[index] for column in self))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Returns the rows of all parts, one part after the other."""
        return cls(*map(torch.cat, zip(*parts, strict=True)))
