"""Counterfactual episodes: logged traces under other actions, and traces that interventions on the context make.

What the offsets (CIO) do, the engine says: they have no influence on mobility, so the replay of a logged trace
under another CIO sequence is exact as far as the engine is. Other crowds are mixed of the logged UEs; what no UE has
done, but might have, the causal model says.
Rewards and observations always come from the engine's KPIs; every episode carries its provenance.

In each episode the CIO of the first steps are those of a logged episode, so that what follows begins from many
states of the network. Then they are uniformly random; or searched, which means the best of K draws by the engine's
one-step what-if, with K from episode to episode between poor and good, since a critic needs to see both; or those of
the scenario's rule with noise, which lead to the states that a good policy meets.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from cf_augment.dataset import Dataset, Episode, EpisodeMetadata, Provenance
from cf_augment.interventions import generate_traces, mix_traces
from cf_augment.model import CausalMobilityModel
from cf_augment.physics import Engine, WhatIf
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import action_from_cio, action_size, cio_from_action, control_from_action, reward
from ns3_scenarios.reports import Reporter
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats, Singles
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.base.files import write_text
from sumo_mobility.base.progress import progress
from sumo_mobility.base.seeds import derive, stream
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import MobilityTrace

ActionSource = Callable[[int, StepKpis], Singles]
"""A function of the step and of the KPIs that are reported before it that returns an action (A,) in [-1, 1]."""


@dataclass
class Situation:
    """What chooses an action may ask for, besides the KPIs.

    Attributes:
        scenario: The scenario.
        what_if: Its one-step what-if.
        random: The episode's randomness.
        action: The action in force, (A,).
        integral_db: The rule's integral, (E,).
    """

    scenario: Scenario
    what_if: WhatIf
    random: np.random.Generator
    action: Floats
    integral_db: Floats


class Source(ABC):
    """What chooses the actions of a replay; its text is its name."""

    @abstractmethod
    def choose(self, situation: Situation, kpis: StepKpis) -> Floats:
        """Returns the next action, (A,) in [-1, 1]."""


@dataclass(frozen=True)
class Random(Source):
    """Uniformly random actions."""

    def __str__(self) -> str:
        return "random"

    def choose(self, situation: Situation, kpis: StepKpis) -> Floats:
        """See `Source.choose`."""
        return situation.random.uniform(-1, 1, len(situation.action))


@dataclass(frozen=True)
class Searched(Source):
    """The best of some candidates, by the engine's one-step what-if.

    Attributes:
        candidates: K, the number of draws at each step.
    """

    candidates: int

    def __str__(self) -> str:
        return f"searched-{self.candidates}"

    def choose(self, situation: Situation, kpis: StepKpis) -> Floats:
        """See `Source.choose`."""
        scenario, shape = situation.scenario, (self.candidates, len(situation.action))
        drawn = situation.random.uniform(-1, 1, shape)
        nearby = np.clip(situation.action + _SEARCH_STEP * situation.random.standard_normal(shape), -1, 1)
        # Half of the draws go everywhere, half stay near the action in force.
        candidates = np.where(np.arange(self.candidates)[:, None] % 2, nearby, drawn)
        candidates = np.concatenate([situation.action[None], candidates])
        predicted = situation.what_if(kpis, cio_from_action(scenario, candidates))
        value = reward(scenario, predicted) - _HANDOVER_COST * predicted.handovers
        return candidates[value.argmax()]


@dataclass(frozen=True)
class NoisyRule(Source):
    """The scenario's rule with Gaussian noise, and without its discount for late reports.

    Attributes:
        noise: Standard deviation of the noise on each component of the action.
    """

    noise: float

    def __str__(self) -> str:
        return f"rule+{self.noise:g}"

    def choose(self, situation: Situation, kpis: StepKpis) -> Floats:
        """See `Source.choose`."""
        scenario = situation.scenario
        serving, neighbor = np.array(scenario.neighbor_pairs).T
        difference = kpis.prb_utilization[serving] - kpis.prb_utilization[neighbor]
        limit_db = scenario.handover.cio_range_db
        situation.integral_db, wanted_db = scenario.rule.follow(difference, situation.integral_db, limit_db)
        noise = self.noise * situation.random.standard_normal(len(situation.action))
        return np.clip(action_from_cio(scenario, wanted_db) + noise, -1, 1)


SOURCES = (
    Random(), NoisyRule(0.3), Searched(4), NoisyRule(0.1), Searched(16), NoisyRule(0.6), Searched(64), NoisyRule(0.2)
)  # fmt: skip
"""What chooses the actions of the replays of a trace, in turn."""
_LEAD_IN = 0.25
"""Largest share of an episode that begins with logged CIO."""
_BATCH = 32
_SEARCH_STEP = 1 / 3
"""Standard deviation of the draws near the action in force: 2 dB of 6."""
_HANDOVER_COST = 1e-6


@dataclass(frozen=True)
class Job:
    """An episode that is to be played in the engine.

    Attributes:
        trace_name: A name that is unique to the trace.
        trace: The mobility of the UEs.
        provenance: The provenance of the trace.
        source: What chooses its actions.
        seed: The seed of the CIOs.
    """

    trace_name: str
    trace: MobilityTrace
    provenance: Provenance
    source: Source
    seed: int


def augment(
    logged: Dataset,
    street_map: StreetMap,
    seed: int,
    replays_per_trace: int,
    mixed_traces: int,
    generated_traces: int,
    model_path: Path,
) -> Iterator[Episode]:
    """Makes counterfactual episodes, while they are asked for; the same arguments give the same episodes.

    The model is fitted and the traces are drawn at once.

    Args:
        logged: What was collected; its traces are the model's training data.
        street_map: The map of those traces.
        seed: Of the interventions and the CIO.
        replays_per_trace: Episodes on each logged, mixed or generated trace, whose CIOs are those of SOURCES in turn.
        mixed_traces: Traces of logged UEs in other crowds.
        generated_traces: Traces that the model draws; 0 fits no model.
        model_path: Where the fitted model is written, and beside it, in generated.json, what the gates refused.

    Raises:
        ConfigError: a count is negative.
        DataError: the traces do not fit the scenario or each other.
        StorageError: the model cannot be written.
    """
    counts = {
        "replays_per_trace": replays_per_trace, "mixed_traces": mixed_traces, "generated_traces": generated_traces
    }  # fmt: skip
    for name, count in counts.items():
        if count < 0:
            raise ConfigError(f"{name}: {count}, must not be negative")
    observed = logged_traces(logged)
    mixed = mix_traces(observed, mixed_traces, seed)
    traces = observed | mixed.traces
    sources = {name: Provenance(kind="replay", source=(name,), action_source="-") for name in observed}
    sources |= mixed.provenance
    if generated_traces:
        model = CausalMobilityModel.fit(list(observed.values()), street_map)
        model.save(model_path)
        drawn = generate_traces(model, observed, street_map, generated_traces, seed)
        report = {"generated": len(drawn.traces), "wanted": generated_traces, "rejected": drawn.rejected}
        write_text(model_path.with_name("generated.json"), json.dumps(report, indent=2) + "\n")
        traces, sources = traces | drawn.traces, sources | drawn.provenance
    jobs: list[Job] = []
    for name, trace in traces.items():
        for replay in range(replays_per_trace):
            jobs.append(Job(name, trace, sources[name], SOURCES[replay % len(SOURCES)], seed=len(jobs)))
    return play(logged, jobs, seed)


def logged_traces(logged: Dataset) -> dict[str, MobilityTrace]:
    """The distinct traces of the logged episodes, by name; DataError if one was measured without positions."""
    use = "a replay under other actions"
    return {e.metadata.trace_name: e.moved(use) for e in logged.episodes if not e.metadata.synthetic}


def play(logged: Dataset, jobs: Sequence[Job], seed: int) -> Iterator[Episode]:
    """Plays jobs in the engine, many at a time, and yields their episodes in the order of the jobs."""
    scenario = logged.scenario
    what_if = WhatIf(Engine(scenario))
    with progress("counterfactual episodes", len(jobs) * scenario.episode.steps) as bar:
        for first in range(0, len(jobs), _BATCH):
            batch_jobs = jobs[first : first + _BATCH]
            sources = [action_source(logged, what_if, job, seed) for job in batch_jobs]
            report_seeds = [derive(seed, "augment", "reports", job.seed) for job in batch_jobs]
            rolled = roll_out(scenario, [job.trace for job in batch_jobs], sources, report_seeds, bar.advance)
            for job, report_seed, (kpis, actions) in zip(batch_jobs, report_seeds, rolled, strict=True):
                metadata = EpisodeMetadata(
                    scenario_id=scenario.id,
                    trace_name=job.trace_name,
                    policy=str(job.source),
                    seed=job.seed,
                    backend="engine",
                    versions={"mlb-testbed": version("mlb-testbed")},
                    provenance=job.provenance.model_copy(update={"action_source": str(job.source)}),
                    report_seed=report_seed if scenario.reports.noisy else 0,
                )
                yield Episode.from_kpis(scenario, job.trace, kpis, actions, metadata)


def roll_out(
    scenario: Scenario,
    traces: Sequence[MobilityTrace],
    sources: Sequence[ActionSource],
    report_seeds: Sequence[int],
    advance: Callable[[int], None] = lambda steps: None,
) -> list[tuple[list[StepKpis], Singles]]:
    """Plays B episodes in the engine at once.

    Args:
        scenario: The scenario.
        traces: What moves the UEs of each.
        sources: What chooses the actions of each; sees the KPIs that are reported, without events, which batches do
            not have.
        report_seeds: Seeds of the noise of the reports of each, where the scenario has noise.
        advance: Called with the number of steps, over all episodes, that have been played since the last call.

    Returns:
        For each episode the KPIs of its T + 1 rows and its actions (T, A).
    """
    engine = Engine(scenario)
    position_m = np.stack([engine.positions(trace) for trace in traces])
    kpis: list[list[StepKpis]] = [[interval] for interval in _unbatched(engine.reset(position_m[:, 0]))]
    actions: list[Singles] = []
    reporters = [Reporter(scenario.reports, [seed]) for seed in report_seeds]
    for step in range(scenario.episode.steps):
        reported = [reporter.report(rows[-1]) for reporter, rows in zip(reporters, kpis, strict=True)]
        action = np.stack([source(step, known) for source, known in zip(sources, reported, strict=True)])
        start = step * engine.grid_steps
        batch = engine.step(position_m[:, start : start + engine.grid_steps + 1], control_from_action(scenario, action))
        for rows, interval in zip(kpis, _unbatched(batch), strict=True):
            rows.append(interval)
        actions.append(action)
        advance(len(traces))
    return list(zip(kpis, np.stack(actions, axis=1), strict=True))


def action_source(logged: Dataset, what_if: WhatIf, job: Job, seed: int) -> ActionSource:
    """Logged CIO at first, then those of the job's source; deterministic."""
    scenario = logged.scenario
    random = stream(seed, "augment", "actions", job.seed)
    lead = logged.episodes[int(random.integers(len(logged.episodes)))].actions
    lead = lead[random.integers(len(lead)) :][: random.integers(round(_LEAD_IN * scenario.episode.steps) + 1)]
    no_offsets = np.zeros(len(scenario.neighbor_pairs))
    situation = Situation(scenario, what_if, random, np.zeros(action_size(scenario)), no_offsets)

    def act(step: int, kpis: StepKpis) -> Singles:
        if step < len(lead):
            action = lead[step]
            situation.integral_db = cio_from_action(scenario, action)
        else:
            action = job.source.choose(situation, kpis).astype(np.float32)
        situation.action = np.asarray(action, dtype=np.float64)
        return action

    return act


def _unbatched(kpis: StepKpis) -> list[StepKpis]:
    return [kpis.at(b) for b in range(len(kpis.time_s))]
