"""Plays an episode of a policy, for collection and for evaluation alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cf_augment.dataset import Episode, EpisodeMetadata
from py_agent.env.env import MlbEnv
from py_agent.policies.base import Policy
from sumo_mobility.base.seeds import derive
from sumo_mobility.trace import MobilityTrace


def run_episode(
    env: MlbEnv,
    policy: Policy,
    metadata: EpisodeMetadata,
    trace: int = 0,
    on_time: Callable[[float], None] = lambda simulated_s: None,
) -> Episode:
    """Plays a whole episode; the network's and the policy's randomness come from metadata's seed and trace name.

    Args:
        env: The environment.
        policy: The policy.
        metadata: What the episode is; two policies with the same seed and trace name meet the same network.
        trace: Index of the trace in `env.traces`.
        on_time: Called with the seconds that have been simulated since the last call, the warm-up's first.

    Raises:
        SimulatorError: the back end failed.
    """
    seed, name = metadata.seed, metadata.trace_name
    policy.reset(derive(seed, "policy", name))
    observation, info = env.reset(seed=derive(seed, "network", name), options={"trace": trace})
    on_time(env.scenario.episode.warmup_s)
    kpis, actions, truncated = [info["true_kpis"]], [], False
    while not truncated:
        action = policy.act(observation, info["kpis"], info["cio_db"])
        observation, _, _, truncated, info = env.step(action)
        kpis.append(info["true_kpis"])
        actions.append(action)
        on_time(env.scenario.episode.control_interval_s)
    mobility = env.traces[trace]
    driven = mobility if isinstance(mobility, MobilityTrace) else env.traffic.trace()
    played = metadata.model_copy(update={"report_seed": env.report_seed})
    return Episode.from_kpis(env.scenario, driven, kpis, np.stack(actions), played)
