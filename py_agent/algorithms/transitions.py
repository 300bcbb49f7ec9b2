"""The data that algorithms learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from cf_augment.physics import RadioStates
from sumo_mobility.base.arrays import AnyFloats, Bools


class Transitions(NamedTuple):
    """Rows of a dataset in D4RL's terms; a time-out is no terminal, so the value of its next state counts.

    In a batch, N is (S, B): B rows for each of S seeds.
    """

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
    rsrp_dbm: Tensor
    """(N, U, C) float32, what the UEs received when the action was chosen; U = C = 0 in data that does not have it."""
    serving: Tensor
    """(N, U) int64, the cells that served them."""

    @classmethod
    def of(
        cls,
        observations: AnyFloats,
        actions: AnyFloats,
        rewards: AnyFloats,
        next_observations: AnyFloats,
        terminals: Bools,
        states: RadioStates | None = None,
    ) -> Self:
        """Converts arrays; see `Replay.of`."""
        arrays = (observations, actions, rewards, next_observations, terminals)
        columns = [torch.as_tensor(np.ascontiguousarray(array), dtype=torch.float32) for array in arrays]
        if states is None:
            rows = len(observations)
            states = RadioStates(torch.empty(rows, 0, 0), torch.empty(rows, 0, dtype=torch.int64))
        return cls(*columns, *states)  # type: ignore[call-arg]  # five and two

    @property
    def states(self) -> RadioStates:
        """What the UEs received when the action was chosen, and from which cells."""
        return RadioStates(self.rsrp_dbm, self.serving)

    def to(self, device: torch.device) -> Self:
        """Returns the rows on a device."""
        return type(self)(*(column.to(device) for column in self))

    @classmethod
    def joined(cls, parts: Sequence[Self], dim: int = 0) -> Self:
        """Returns the rows of all parts, one part after the other along a dimension."""
        return cls(*(torch.cat(columns, dim) for columns in zip(*parts, strict=True)))
