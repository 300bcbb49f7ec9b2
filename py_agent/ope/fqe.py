"""Fitted Q evaluation by d3rlpy: a network that is fitted to what an evaluated policy would earn."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from sumo_mobility.base.arrays import AnyFloats, Floats
from sumo_mobility.base.errors import DependencyError

_HIDDEN, _LEARNING_RATE, _BATCH, _TARGET_EVERY = 64, 1e-3, 256, 50


@dataclass(frozen=True)
class _Chosen:
    """What stands for the evaluated policy: its action is the tail of what is observed, where it was written."""

    size: int

    @property
    def impl(self) -> _Chosen:
        return self

    def predict_best_action(self, observations: Any) -> Any:
        return observations[:, -self.size :]


def fitted_q(
    observations: AnyFloats,
    actions: AnyFloats,
    rewards: AnyFloats,
    chosen: AnyFloats,
    discount: float,
    gradient_steps: int,
    seed: int,
) -> tuple[Floats, Floats]:
    """Fits the value of a policy to E logged episodes of T steps, by d3rlpy's FQE.

    The episode has an end, so the network sees how much of it is gone, and the last step counts as terminal: what it
    learns is the sum of the discounted rewards that are left. What the policy would do is written behind each
    observation, since rules and planners look at more than that; it may be a draw. Rewards are learnt less their mean.

    Args:
        observations: (E, T, O), before each action.
        actions: (E, T, A), as logged.
        rewards: (E, T).
        chosen: (E, T, A), what the evaluated policy does in each state.
        discount: gamma.
        gradient_steps: How long it is fitted.
        seed: Of the network and of the batches; those of Python, numpy and torch begin anew with it.

    Returns:
        The value of each logged action (E, T), and that of the chosen one, which is that of the state, (E, T + 1) with
        0 after the last step.

    Raises:
        DependencyError: d3rlpy is not installed.
    """
    try:
        import d3rlpy
    except ImportError:
        raise DependencyError("FQE: d3rlpy is not installed", "pip install d3rlpy==2.8.1") from None
    count, steps = rewards.shape
    spread = observations.std(axis=(0, 1))
    standard = (observations - observations.mean(axis=(0, 1))) / np.where(spread > 1e-6, spread, 1.0)
    gone = np.broadcast_to((np.arange(steps) / steps)[:, None], (count, steps, 1))
    seen = np.concatenate([standard, gone, chosen], axis=-1).reshape(count * steps, -1).astype(np.float32)
    taken, meant = (array.reshape(count * steps, -1).astype(np.float32) for array in (actions, chosen))
    mean, scale = float(rewards.mean()), float(rewards.std()) or 1.0
    ends = np.tile(np.arange(steps) == steps - 1, count).astype(np.float32)
    with contextlib.redirect_stdout(io.StringIO()):  # d3rlpy logs there, where --json prints
        d3rlpy.seed(seed)
        data = d3rlpy.dataset.MDPDataset(
            seen, taken, ((rewards - mean) / scale).reshape(-1).astype(np.float32), ends,
            action_space=d3rlpy.ActionSpace.CONTINUOUS,
        )  # fmt: skip
        config = d3rlpy.ope.FQEConfig(
            learning_rate=_LEARNING_RATE,
            encoder_factory=d3rlpy.models.encoders.VectorEncoderFactory([_HIDDEN, _HIDDEN]),
            batch_size=_BATCH,
            gamma=discount,
            target_update_interval=_TARGET_EVERY,
        )
        model = d3rlpy.ope.FQE(_Chosen(actions.shape[-1]), config, device="cpu:0")
        model.fit(
            data, n_steps=gradient_steps, n_steps_per_epoch=gradient_steps, show_progress=False,
            logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
        )  # fmt: skip
        q_values, values = (model.predict_value(seen, action).reshape(count, steps) for action in (taken, meant))
    left = np.cumsum(discount ** np.arange(steps))[::-1] * mean
    return q_values * scale + left, np.pad(values * scale + left, ((0, 0), (0, 1)))
