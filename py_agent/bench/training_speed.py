"""Measures how fast SAC is trained beside d3rlpy's, with plain networks of the same sizes on the same data.

The candidates take turns for about as long, so that whatever else the machine does slows down both. One thread; CPU
time. d3rlpy comes with what the tests need (`pip install d3rlpy==2.8.1`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import torch

from py_agent.algorithms.replay import Replay
from py_agent.algorithms.sac import Sac, SacConfig
from py_agent.measurement import Measurement
from sumo_mobility.base.errors import DependencyError
from sumo_mobility.base.seeds import stream

_OBSERVATION, _ACTION, _ROWS, _HIDDEN, _BATCH, _SEEDS = 17, 6, 10_000, 256, 256, 5
_PRECISIONS: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
_TURN_S = 2.0
"""CPU time of a turn."""


def training_speed(seed: int, rounds: int) -> Iterator[Measurement]:
    """Yields seed-updates per CPU-second of both, and their ratio.

    Args:
        seed: Of the data and the networks.
        rounds: Turns of each.

    Raises:
        DependencyError: d3rlpy is not installed.
    """
    random = stream(seed, "bench", "training speed")
    observations = random.normal(size=(_ROWS, _OBSERVATION)).astype(np.float32)
    actions = random.uniform(-1, 1, (_ROWS, _ACTION)).astype(np.float32)
    rewards = random.normal(size=_ROWS).astype(np.float32)
    data = Replay.of(observations, actions, rewards, observations, np.zeros(_ROWS, np.bool_))
    turns: dict[str, tuple[Callable[[], object], int]] = {}
    for precision in _PRECISIONS:
        config = SacConfig(hidden=_HIDDEN, batch_size=_BATCH, gamma=0.99, precision=precision)
        turns[precision] = Sac(config, [data], [1.0], range(seed, seed + _SEEDS)).train_step, _SEEDS
    turns["d3rlpy"] = _d3rlpy_step(observations, actions, rewards, seed), 1
    updates, spent_s = dict.fromkeys(turns, 0), dict.fromkeys(turns, 0.0)
    for step, _ in turns.values():
        for _ in range(5):
            step()
    for _ in range(rounds):
        for name, (step, seeds) in turns.items():
            begun = time.process_time()
            while time.process_time() - begun < _TURN_S:
                step()
                updates[name] += seeds
            spent_s[name] += time.process_time() - begun
    speed = {name: updates[name] / spent_s[name] for name in turns}
    what = f"SAC, {_HIDDEN}x{_HIDDEN}, batch {_BATCH}"
    yield Measurement(f"{what}, d3rlpy", speed["d3rlpy"], "seed-updates per CPU-s", None)
    for precision in _PRECISIONS:
        title = f"{what}, {_SEEDS} seeds at once, {precision}"
        yield Measurement(title, speed[precision], "seed-updates per CPU-s", None)
        target, goal = (2.0, 3.5) if precision == "bfloat16" else (None, None)
        ratio = speed[precision] / speed["d3rlpy"]
        yield Measurement(f"{title}, over d3rlpy", ratio, "", target, goal, more_is_better=True)


def _d3rlpy_step(observations: np.ndarray, actions: np.ndarray, rewards: np.ndarray, seed: int) -> Callable[[], object]:
    """Returns one update of d3rlpy's SAC, its drawing of a batch included."""
    try:
        import d3rlpy
        from d3rlpy.algos import SACConfig
        from d3rlpy.models.encoders import VectorEncoderFactory
    except ImportError as error:
        message = f"bench agent: d3rlpy, to compare with, cannot be imported ({error})"
        raise DependencyError(message, "pip install d3rlpy==2.8.1") from None
    torch.set_num_threads(1)
    d3rlpy.seed(seed)
    timeouts = np.zeros(len(rewards))
    timeouts[-1] = 1
    dataset = d3rlpy.dataset.MDPDataset(observations, actions, rewards, np.zeros(len(rewards)), timeouts)
    encoder = VectorEncoderFactory([_HIDDEN, _HIDDEN])
    config = SACConfig(batch_size=_BATCH, actor_encoder_factory=encoder, critic_encoder_factory=encoder)
    sac = config.create(device="cpu:0")
    sac.build_with_dataset(dataset)
    return lambda: sac.update(dataset.sample_transition_batch(_BATCH))
