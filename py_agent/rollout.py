"""Plays an episode of a policy, for collection and for evaluation alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cf_augment.dataset import Episode, EpisodeMetadata
from cf_augment.physics.closed_form.backend import EngineEpisodes
from ns3_scenarios.kpis import EVENT_DTYPE, KPI_AXES, StepKpis
from ns3_scenarios.mdp import control_from_action, observe, reward
from ns3_scenarios.reports import Reporter
from ns3_scenarios.scenario import Scenario
from py_agent.env.env import MlbEnv, checked_actions, draw_episode
from py_agent.policies.base import Clairvoyant, Policy, log_prob
from sumo_mobility.base.seeds import derive
from sumo_mobility.trace import MobilityTrace

_EVENT = np.dtype(f"V{EVENT_DTYPE.itemsize}")
"""An event whose columns are nobody's concern: NumPy looks at the columns of each array that it concatenates."""


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
    mobility = env.traces[trace]
    if isinstance(policy, Clairvoyant):
        policy.foresee(mobility if isinstance(mobility, MobilityTrace) else None)
    policy.reset(derive(seed, "policy", name))
    observation, info = env.reset(seed=derive(seed, "network", name), options={"trace": trace})
    on_time(env.scenario.episode.warmup_s)
    kpis, actions, log_probs, truncated = [info["true_kpis"]], [], [], False
    while not truncated:
        action = policy.act(observation, info["kpis"], info["cio_db"])
        log_probs.append(log_prob(policy, action))
        observation, _, _, truncated, info = env.step(action)
        kpis.append(info["true_kpis"])
        actions.append(action)
        on_time(env.scenario.episode.control_interval_s)
    driven = mobility if isinstance(mobility, MobilityTrace) else env.traffic.trace()
    played = metadata.model_copy(update={"report_seed": env.report_seed})
    return Episode.from_kpis(
        env.scenario, driven, kpis, np.stack(actions), played, behavior_log_probs=np.array(log_probs)
    )


def run_engine_episodes(
    scenario: Scenario,
    traces: Sequence[MobilityTrace],
    policies: Sequence[Policy],
    metadata: Sequence[EpisodeMetadata],
    on_time: Callable[[float], None] = lambda simulated_s: None,
) -> list[Episode]:
    """Plays B episodes side by side in the engine, each as `run_episode` plays it, bit for bit.

    Args:
        scenario: The scenario of all of them.
        traces: The mobility of each.
        policies: The policy of each, none of them twice.
        metadata: What each episode is.
        on_time: Called with the seconds that have been simulated since the last call, summed over the episodes.
    """
    for policy, trace, record in zip(policies, traces, metadata, strict=True):
        if isinstance(policy, Clairvoyant):
            policy.foresee(trace)
        policy.reset(derive(record.seed, "policy", record.trace_name))
    seeds = [_report_seed(scenario, record) for record in metadata]
    reporter = Reporter(scenario.reports, seeds)
    engine = EngineEpisodes(scenario, traces)
    rows = [engine.reset()]
    cio_db = np.zeros((len(traces), len(scenario.neighbor_pairs)))
    observations, actions, log_probs = [], [], []
    on_time(scenario.episode.warmup_s * len(traces))
    for step in range(scenario.episode.steps):
        reported = reporter.report(rows[-1].kpis)
        observations.append(observe(scenario, reported, cio_db))
        told = rows[max(step - scenario.reports.delay_intervals, 0)].each(reported)
        acting = zip(policies, observations[-1], told, cio_db, strict=True)
        chosen = np.stack([policy.act(seen, kpis, cio) for policy, seen, kpis, cio in acting])
        log_probs.append([log_prob(policy, action) for policy, action in zip(policies, chosen, strict=True)])
        control = control_from_action(scenario, checked_actions(scenario, chosen, (len(traces),)))
        cio_db = control.cio_db
        rows.append(engine.step(control))
        actions.append(chosen)
        on_time(scenario.episode.control_interval_s * len(traces))
    observations.append(observe(scenario, reporter.report(rows[-1].kpis), cio_db))
    fields = {name: np.stack([getattr(row.kpis, name) for row in rows], axis=1) for name in KPI_AXES}
    seen, done, densities = (np.stack(values, axis=1) for values in (observations, actions, log_probs))
    events = np.concatenate([row.events.view(_EVENT) for row in rows])
    counts = np.stack([np.diff(row.event_start) for row in rows])
    events = events[np.argsort(np.repeat(np.tile(np.arange(len(traces)), len(rows)), counts.ravel()), kind="stable")]
    last = np.cumsum(counts.sum(axis=0))
    episodes = []
    for index, trace in enumerate(traces):
        starts = np.cumsum([0, *counts[:, index]])
        own = events[last[index] - starts[-1] : last[index]].view(EVENT_DTYPE)
        kpis = StepKpis(**{name: values[index] for name, values in fields.items()}, events=own)
        episodes.append(
            Episode(
                observations=seen[index],
                actions=done[index],
                rewards=reward(scenario, kpis)[1:].astype(np.float32),
                behavior_log_probs=densities[index].astype(np.float32),
                kpis=kpis,
                event_start=starts,
                trace=trace,
                metadata=metadata[index].model_copy(update={"report_seed": seeds[index]}),
            )
        )
    return episodes


def _report_seed(scenario: Scenario, metadata: EpisodeMetadata) -> int:
    """The seed of the reports' noise that an environment draws at its reset for `run_episode`; 0 without noise."""
    if not scenario.reports.noisy:
        return 0
    random = np.random.default_rng(derive(metadata.seed, "network", metadata.trace_name))
    return draw_episode(random, traces=1, options={})[1]
