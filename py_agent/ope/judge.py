"""Judges policies by logged data alone, and by what they do on the logged traces in the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from cf_augment.dataset import Dataset, Episode
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import control_from_action
from ns3_scenarios.reports import Reporter
from ns3_scenarios.scenario import Scenario
from py_agent.ope.estimators import BY_BOTH, BY_MODEL, BY_WEIGHTS, Estimator, Trajectories, mean_reward
from py_agent.ope.fqe import fitted_q
from py_agent.policies import Policy, PolicyFactory, log_prob
from py_agent.rollout import run_engine_episodes
from py_agent.statistics import Estimate, estimate
from sumo_mobility.base.arrays import AnyFloats, Bools, Floats, Ints, Singles
from sumo_mobility.base.errors import ConfigError, DataError, DependencyError
from sumo_mobility.base.progress import progress
from sumo_mobility.base.seeds import derive

_BATCH = 8
"""Number of episodes that are replayed side by side."""


@dataclass(frozen=True)
class Judgement:
    """What was found of a policy; values are discounted mean rewards of a step, with 95 % intervals.

    The intervals are those of `py_agent.statistics.estimate` over traces, whose episodes stay together. They know
    nothing of what FQE would come to if it were fitted again.

    Attributes:
        policy: Its name.
        replay: Its value on the logged traces in the engine.
        estimates: What each estimator says from the data alone.
        refused: Why the others say nothing.
        weighted_episodes: How many episodes have importance weights.
        effective_sample_size: How many of them the weights leave: of whole episodes, and up to a step on average; NaN
            without weights.
        effective_sample_size_per_step: See there.
    """

    policy: str
    replay: Estimate
    estimates: Mapping[str, Estimate]
    refused: Mapping[str, str]
    weighted_episodes: int
    effective_sample_size: float
    effective_sample_size_per_step: float


@dataclass(frozen=True)
class OffPolicy:
    """An off-policy evaluation.

    Attributes:
        episodes: Number of logged episodes.
        traces: Number of their distinct traces.
        logged: The value of what was done, from the data.
        logged_replay: The value of the logged actions in the engine, which tells the engine from what logged them.
        judgements: Of each policy.
    """

    episodes: int
    traces: int
    logged: Estimate
    logged_replay: Estimate
    judgements: Sequence[Judgement]


def off_policy(
    dataset: Dataset,
    policies: Mapping[str, PolicyFactory],
    discount: float = 0.99,
    fqe_steps: int = 5000,
    seed: int = 0,
) -> OffPolicy:
    """Estimates what policies are worth from the logged episodes of a dataset, and replays the logged traces.

    Only episodes of provenance "logged" count. Importance weights need the density of each action under both policies.
    A behaviour policy takes part if all of its actions have one; to take only those of its episodes that happen to
    have it would favour what it explored. A deterministic policy has no density and is not judged by weights: noise
    around it has, as another policy that can be judged beside it.

    Args:
        dataset: The data.
        policies: Policies by name.
        discount: gamma, above 0 and at most 1.
        fqe_steps: Gradient steps of FQE for each policy; 0 leaves it out, and what is built on it.
        seed: Of FQE and of the intervals.

    Raises:
        ConfigError: `discount` or `fqe_steps` is out of range, or the engine does not mirror the scenario.
        DataError: there are no logged episodes, they are not as long as the scenario's, or a policy does
            not fit it.
    """
    if not 0 < discount <= 1:
        raise ConfigError(f"off-policy evaluation: discount is {discount:g}, must be above 0 and at most 1")
    if fqe_steps < 0:
        raise ConfigError(f"off-policy evaluation: {fqe_steps} steps of FQE", "0 or more")
    for factory in policies.values():
        factory(dataset.scenario)  # says what does not fit before anything takes time
    logged = _Logged(dataset)
    judgements = []
    with progress("off-policy evaluation", 1 + len(policies) * (2 if fqe_steps else 1)) as bar:
        returns = _replayed(logged, lambda episode: _Recorded(episode.actions))
        found = Trajectories(logged.rewards, np.zeros_like(logged.rewards), discount)
        replayed = replace(found, rewards=returns)
        values = logged.estimate(mean_reward, found, seed), logged.estimate(mean_reward, replayed, seed)
        bar.advance(1)
        for name, factory in policies.items():
            judgements.append(_judged(logged, name, factory, found, fqe_steps, seed, bar.advance))
    return OffPolicy(len(logged.rewards), logged.traces, *values, judgements)


def _judged(
    logged: _Logged,
    name: str,
    factory: PolicyFactory,
    found: Trajectories,
    fqe_steps: int,
    seed: int,
    advance: Callable[[float], None],
) -> Judgement:
    scenario = logged.scenario
    truth = replace(found, rewards=_replayed(logged, lambda episode: factory(scenario)))
    walks = [_walk(scenario, factory(scenario), episode) for episode in logged.episodes()]
    chosen, ratios = np.stack([walk.chosen for walk in walks]), np.stack([walk.log_ratios for walk in walks])
    advance(1)
    refused: dict[str, str] = {}
    estimates: dict[str, Estimate] = {}
    has_weights, why = logged.dense, "no behaviour policy has a log-density of each of its actions"
    # An action with a probability of its own has no density, and then the rest of the density is not the policy.
    if not all(walk.dense for walk in walks):
        has_weights, why = np.zeros_like(logged.dense), "the policy has no density; judge noise:std=0.1,around=it"
    model: tuple[Floats, Floats] | None = None
    why_no_model = "FQE was left out"
    if fqe_steps:
        try:
            model = fitted_q(
                logged.observations, logged.actions, logged.rewards, chosen, found.discount, fqe_steps, seed
            )
        except DependencyError as error:
            why_no_model = f"{error.message}; {error.cure}"
        advance(1)
    whole = replace(found, q_values=model[0], values=model[1]) if model else found
    part = _of(whole, has_weights, ratios)
    for estimators, needs in ((BY_WEIGHTS, (True, False)), (BY_BOTH, (True, True)), (BY_MODEL, (False, True))):
        lacks = [why] if needs[0] and not has_weights.any() else []
        lacks += [why_no_model] if needs[1] and model is None else []
        for key, estimator in estimators.items():
            if lacks:
                refused[key] = "; ".join(lacks)
            elif needs[0]:
                estimates[key] = logged.estimate(estimator, part, seed, has_weights)
            else:
                estimates[key] = logged.estimate(estimator, whole, seed)
    sizes = (np.nan, np.nan)
    if has_weights.any():
        sizes = (part.effective_sample_size, part.effective_sample_size_per_step)
    return Judgement(
        name, logged.estimate(mean_reward, truth, seed), estimates, refused, int(has_weights.sum()), *sizes
    )


def _of(whole: Trajectories, chosen: Bools, log_ratios: Floats) -> Trajectories:
    """Returns some of the episodes, with ratios."""
    models = {name: None if of is None else of[chosen] for name, of in
              {"q_values": whole.q_values, "values": whole.values}.items()}  # fmt: skip
    return Trajectories(whole.rewards[chosen], log_ratios[chosen], whole.discount, **models)


class _Logged:
    """The logged episodes of a dataset: what evaluation needs of them at a time is in memory, their KPIs are not.

    Args:
        dataset: The data.

    Raises:
        DataError: there are none, or they are not as long as the scenario's.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.scenario = dataset.scenario
        observations, actions, rewards, names, policies, dense = [], [], [], [], [], []
        for episode in self.episodes():
            observations.append(episode.observations[:-1])
            actions.append(episode.actions)
            rewards.append(episode.rewards)
            names.append(episode.metadata.trace_name)
            policies.append(episode.metadata.policy)
            dense.append(bool(np.isfinite(episode.behavior_log_probs).all()))
        if not rewards:
            raise DataError(
                "off-policy evaluation: the dataset has no logged episodes; what was measured or made up has no "
                "behaviour policy that could be looked at again",
                "take a dataset of 'mlb collect'",
            )
        lengths, steps = {len(of_episode) for of_episode in rewards}, self.scenario.episode.steps
        if lengths != {steps}:
            found = ", ".join(map(str, sorted(lengths)))
            raise DataError(
                f"off-policy evaluation: episodes of {found} steps, but those of {self.scenario.id} have {steps}",
                "take a dataset of 'mlb collect'",
            )
        self.observations, self.actions = np.stack(observations), np.stack(actions)
        self.rewards: Floats = np.stack(rewards).astype(np.float64)
        lacking = {policy for policy, known in zip(policies, dense, strict=True) if not known}
        self.dense: Bools = np.array([policy not in lacking for policy in policies])
        self._trace: Ints = np.unique(names, return_inverse=True)[1]

    @property
    def traces(self) -> int:
        """Number of distinct traces."""
        return int(self._trace.max()) + 1

    def episodes(self) -> Iterator[Episode]:
        """Reads the episodes again."""
        return (episode for episode in self._dataset.episodes if episode.metadata.provenance.kind == "logged")

    def estimate(self, estimator: Estimator, of: Trajectories, seed: int, chosen: Bools | None = None) -> Estimate:
        """Returns a value with its interval over traces; `chosen` says whose trajectories they are, if not all."""
        traces, trace = np.unique(self._trace if chosen is None else self._trace[chosen], return_inverse=True)
        member = (trace == np.arange(len(traces))[:, None]).astype(np.float64)

        def statistic(*samples: Floats, axis: int = -1) -> Floats:
            drawn = np.moveaxis(np.asarray(samples[0], dtype=np.int64), axis, -1)
            rows = drawn.reshape(-1, drawn.shape[-1])
            flat = (rows + len(traces) * np.arange(len(rows))[:, None]).ravel()
            counts = np.bincount(flat, minlength=len(rows) * len(traces)).reshape(len(rows), -1)
            return estimator(of, counts @ member).reshape(drawn.shape[:-1])

        return estimate([np.arange(len(traces), dtype=np.float64)], statistic, seed)


@dataclass(frozen=True)
class _Walk:
    """What a policy does in the states of a logged episode.

    Attributes:
        chosen: (T, A), its actions.
        log_ratios: (T,) of its log-density of the logged actions to that of the behaviour policy, NaN without one.
        dense: Whether its own actions all have a density.
    """

    chosen: Singles
    log_ratios: Floats
    dense: bool


def _walk(scenario: Scenario, policy: Policy, episode: Episode) -> _Walk:
    """Shows a policy each logged state; with the seed that it was logged with, it is asked what it was asked then."""
    record = episode.metadata
    policy.reset(derive(record.seed, "policy", record.trace_name))
    reporter = Reporter(scenario.reports, [record.report_seed])
    cio_db = np.zeros(len(scenario.neighbor_pairs))
    chosen, own, of_logged = [], [], []
    for step, action in enumerate(episode.actions):
        chosen.append(policy.act(episode.observations[step], reporter.report(episode.kpis_at(step)), cio_db))
        own.append(log_prob(policy, chosen[-1]))
        of_logged.append(log_prob(policy, action))
        cio_db = control_from_action(scenario, action).cio_db
    # In the precision of the file, so that the ratio of a policy to itself is 1.
    ratios = np.array(of_logged, np.float32).astype(np.float64) - episode.behavior_log_probs
    return _Walk(np.stack(chosen), ratios, not np.isnan([*own, *of_logged]).any())


class _Recorded:
    """Plays the actions of an episode again."""

    def __init__(self, actions: Singles) -> None:
        self._actions = actions

    def reset(self, seed: int) -> None:
        self._left = iter(self._actions)

    def act(self, observation: Singles, kpis: StepKpis, cio_db: AnyFloats) -> Singles:
        return next(self._left)


def _replayed(logged: _Logged, policy: Callable[[Episode], Policy]) -> Floats:
    """Returns the rewards (E, T) of policies on the traces of all episodes, in the engine."""
    rewards: list[Singles] = []
    left = logged.episodes()
    while batch := list(islice(left, _BATCH)):
        traces = [episode.moved("replay in the engine") for episode in batch]
        records = [episode.metadata.model_copy(update={"backend": "engine"}) for episode in batch]
        played = run_engine_episodes(logged.scenario, traces, [policy(episode) for episode in batch], records)
        rewards += [episode.rewards for episode in played]
    return np.stack(rewards).astype(np.float64)
