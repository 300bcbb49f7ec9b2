"""Measures what it is worth to know where the UEs go, against the rule that is tuned to the scenario.

S_slow = (x - rule) / (clairvoyant - rule) of the mean reward: the tuned rule has 0, the planner that is told the
episode's mobility has 1. Everything is judged on the same fresh traces of the test contexts, in the engine, and acts
from the first step on. All planners search alike. What learns has logged traces of the train contexts, or one of the
context in which it is judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import kendalltau

from cf_augment.model import CausalMobilityModel
from cf_augment.physics import Engine, WhatIf
from ns3_scenarios.scenario import Scenario
from py_agent.algorithms.base import trained_policy
from py_agent.algorithms.recipes import SLOW
from py_agent.bench.agent import OURS, PLAIN, Judged, judge, scenario_of
from py_agent.benchmark.scores import score, score_interval, share_of_wins
from py_agent.benchmark.suites import only
from py_agent.benchmark.workshop import Effort, Workshop
from py_agent.jobs import LOCAL
from py_agent.measurement import Measurement
from py_agent.policies import PolicyFactory, policy_factory
from py_agent.policies.futures import future_of
from py_agent.policies.planner import GreedyPlanner
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.seeds import stream
from sumo_mobility.pipeline import load_map
from sumo_mobility.trace import MobilityTrace

RULE, CEILING = "tuned rule", "clairvoyant"
_SEARCH = partial(GreedyPlanner, samples=60, rounds=2, sweeps=2)
POLICIES: dict[str, PolicyFactory] = {
    "static": policy_factory("static"),
    RULE: policy_factory("integral"),
    "frozen planner": partial(_SEARCH, future="frozen"),
    "dead reckoning": partial(_SEARCH, future="dead-reckoning"),
    CEILING: partial(_SEARCH, future="true"),
}
"""The policies that learn nothing."""
MODEL = "causal model"
LEARNED = {"nearest neighbours": "neighbors", "conditional VAE": "vae", MODEL: "model"}
"""Futures that learn from logged traces."""
_TARGETS = {15: (0.6, 0.85), 5: (0.5, 0.75), 2: (0.35, 0.6)}
"""S_slow of the causal model to reach, and to aim at, by the number of traces of other contexts."""
_OWN_TARGET, _BETTER_TARGET = (0.8, 0.95), (0.75, 0.95)
HEARD, _HEARD_TARGET = f"{MODEL}, RSRP alone", (0.7, 0.95)
_EFFORT = Effort(
    seeds=5,
    test_traces=7,
    gradient_steps=SLOW["sac"]["gradient_steps"],
    replays=4,
    mixed_traces=15,
    generated_traces=60,
)
_QUICK = _EFFORT.model_copy(update={"seeds": 2, "test_traces": 2, "gradient_steps": 200})


@dataclass(frozen=True)
class Agent:
    """A way to train an agent, which does not search when it acts.

    Attributes:
        counts: Numbers of logged traces of other contexts that it is tried with.
        training: Fields of `TrainConfig`.
        counterfactual: The counts of counterfactual traces in the `Effort` that differ; None: it learns from the logged
            episodes alone.
    """

    counts: Sequence[int]
    training: Mapping[str, Any]
    counterfactual: Mapping[str, int] | None = field(default_factory=dict)


def _shown(future: str) -> Mapping[str, Any]:
    return {**SLOW, "sac": SLOW["sac"] | {"future": future}}


_REPLAY = {"mixed_traces": 0, "generated_traces": 0}
_MIXING = {"mixed_traces": _EFFORT.mixed_traces + _EFFORT.generated_traces, "generated_traces": 0}
AGENTS = {
    OURS: Agent((15, 5, 2), SLOW),
    f"{OURS}, late reports": Agent((15,), _shown("")),
    "SAC + exact replay, causal model": Agent((5, 2), SLOW, _REPLAY),
    "SAC + exact replay": Agent((5, 2), _shown("dead-reckoning"), _REPLAY),
    "SAC + mixing": Agent((5, 2), _shown("dead-reckoning"), _MIXING),
    "SAC + neighbours": Agent((5, 2), _shown("neighbors"), _MIXING),
    PLAIN: Agent((15,), {}, None),
}
"""Agents. What has no causal model takes the UEs to go straight on, or as their nearest neighbours did."""
_AGENT_TARGETS = {15: (0.45, 0.8), 5: (0.35, 0.7), 2: (0.2, 0.5)}
"""S_slow of OURS to reach, and to aim at, likewise."""
_FITTED, _FUTURES, _NS3_TRACES = 10, 10, 10
_CANDIDATES, _ENGINE_CANDIDATES, _ROUNDS = 400, 20, 5


def measure(seed: int, quick: bool, preset: str, directory: Path, rank_in_ns3: bool) -> Iterator[Measurement]:
    """Yields the figures.

    Args:
        seed: Of all traces.
        quick: 2 traces of each test context instead of 7, 2 seeds instead of 5, and shorter trainings.
        preset: Id of a preset, or path of a .yaml file.
        directory: Where everything is kept.
        rank_in_ns3: Whether ns-3 plays policies too.

    Raises:
        StorageError: the directory was made with another seed or effort, or of another preset.
    """
    workshop = Workshop(directory, seed, _QUICK if quick else _EFFORT, LOCAL)
    scenario = workshop.tuned(scenario_of(preset))
    [first, *_] = workshop.traces(scenario, "test", 1).values()
    yield from candidates_per_s(scenario, MobilityTrace.read(first), seed)
    yield from model_speed(workshop, scenario)
    yield from forecast_error(workshop, scenario)
    yield from worth(workshop, scenario)
    if rank_in_ns3:
        yield from in_ns3(workshop, scenario)


def model_speed(workshop: Workshop, scenario: Scenario) -> Iterator[Measurement]:
    """Yields how long the causal model takes to fit, and how fast it makes counterfactual traces, in CPU time."""
    traces = [MobilityTrace.read(path) for path in workshop.traces(scenario, "train", _FITTED).values()]
    street_map = load_map(scenario.mobility.map)
    begin_s = time.process_time()
    model = CausalMobilityModel.fit(traces, street_map)
    abducted = [model.abduct(traces[0])]
    title = f"{scenario.id}: {MODEL}"
    fitted_s = time.process_time() - begin_s
    yield Measurement(f"{title}: fit on {_FITTED} traces, and a first abduction", fitted_s, "s", 60, 20)
    abducted += [model.abduct(trace) for trace in traces[1:]]
    begin_s = time.process_time()
    for index, abduction in enumerate(abducted):
        model.generate(abduction, do_context=abducted[index - 1].context)
    speed = sum(trace.ues * trace.duration_s for trace in traces) / (time.process_time() - begin_s)
    title = f"{title}: UE-seconds made under the context of another trace, a CPU-second"
    yield Measurement(title, speed, "1/s", 20_000, 200_000, more_is_better=True)


def forecast_error(workshop: Workshop, scenario: Scenario) -> Iterator[Measurement]:
    """Yields the error of forecasts of the cells' loads, over that of dead reckoning.

    It is the continuous ranked probability score (CRPS; Gneiting and Raftery 2007) of the loads without offsets, an
    interval after each report.
    """
    most = max(_TARGETS)
    data = workshop.logged(scenario, f"{most} traces", most, 0)
    workshop.run([data], f"{scenario.id}: logged traces")
    made: dict[str, tuple[str, Path | None]] = {"dead reckoning": ("dead-reckoning", None)}
    made |= {name: (future, data.path) for name, future in LEARNED.items()}
    error: dict[str, list[float]] = {name: [] for name in made}
    engine, interval_s = Engine(scenario), scenario.episode.control_interval_s
    for path in workshop.traces(scenario, "test", workshop.effort.test_traces).values():
        trace = MobilityTrace.read(path)
        kpis = engine.reset(trace.position_at(0.0)[None]).at(0)
        futures = {name: future_of(future, scenario, of, _FUTURES) for name, (future, of) in made.items()}
        for step in range(int(trace.duration_s / interval_s)):
            now_s = step * interval_s
            told = replace(kpis, time_s=np.array(now_s), ue_position_m=trace.position_at(now_s))
            true = _loads(engine, trace.position_at(now_s + interval_s)[None])
            for name, future in futures.items():
                position_m = future.positions_m(told, np.array([now_s + interval_s]))
                assert position_m is not None
                if step:  # before the second report nobody knows a velocity
                    error[name].append(_crps(_loads(engine, position_m[:, 0]), true[0]))
    base = float(np.mean(error["dead reckoning"]))
    for name in LEARNED:
        target, goal = (0.8, 0.6) if name == MODEL else (None, None)
        title = f"{scenario.id}: CRPS of loads in {interval_s:g} s, {name} over dead reckoning"
        yield Measurement(title, float(np.mean(error[name])) / base, "", target, goal)


def _loads(engine: Engine, position_m: Floats) -> Floats:
    """Returns the loads (K, C) of cells whose UEs are at positions (K, U, 2), each served by its strongest cell."""
    return np.asarray(engine.reset(position_m).prb_utilization, dtype=np.float64)


def _crps(drawn: Floats, true: Floats) -> float:
    """Returns the score of draws (K, C) of what came to be (C,), mean over C; unbiased by the number of draws."""
    count = len(drawn)
    apart = np.abs(drawn[:, None] - drawn).sum(axis=(0, 1)) / max(1, count * (count - 1))
    return float((np.abs(drawn - true).mean(axis=0) - apart / 2).mean())


def worth(workshop: Workshop, scenario: Scenario) -> Iterator[Measurement]:
    """Yields what each policy is worth in a scenario whose rule is tuned."""
    homes = [only(scenario, index) for index in range(len(scenario.mobility.test_contexts))]
    made = {name: [[factory]] * len(homes) for name, factory in POLICIES.items()}
    made |= {
        name: [[factory] for factory in factories] for name, factories in _learned(workshop, scenario, homes).items()
    }
    made |= {name: [factories] * len(homes) for name, factories in _trained(workshop, scenario).items()}
    jobs = {
        name: [
            [
                workshop.judgement(home, f"{name}-{seed}" if seed else name, factory)
                for seed, factory in enumerate(seeds)
            ]
            for home, seeds in zip(homes, of_homes, strict=True)
        ]
        for name, of_homes in made.items()
    }
    results = judge(workshop, jobs, scenario.id)
    rule, ceiling = (_pooled(results[name], "reward")[:, 0] for name in (RULE, CEILING))
    targets = {_of_others(MODEL, count): target for count, target in _TARGETS.items()} | {_of_own(MODEL): _OWN_TARGET}
    targets |= {_of_others(OURS, count): target for count, target in _AGENT_TARGETS.items()}
    for name, result in results.items():
        reward = _pooled(result, "reward")
        difference = (reward.mean(1) - rule).ravel()
        around = 1.96 * float(difference.std(ddof=1)) / np.sqrt(difference.size)
        title = f"{scenario.id}: {name}"
        yield Measurement(f"{title}: mean reward", float(reward.mean()), "", None)
        yield Measurement(f"{title}: reward less the rule's (+- {around:.4f})", float(difference.mean()), "", None)
        if name not in (RULE, CEILING):
            low, high = score_interval(reward, rule, ceiling)
            value = float(score(reward, rule, ceiling).mean())
            target, goal = targets.get(name, (None, None))
            yield Measurement(f"{title}: S_slow [{low:.2f}, {high:.2f}]", value, "", target, goal, more_is_better=True)
        p5_share = float(result["p5_throughput_bps"].mean()) / scenario.traffic.offered_bps
        yield Measurement(f"{title}: 5th percentile of the throughput, of what is offered", 100 * p5_share, "%", None)
        handovers = float(result["handovers_per_ue_minute"].mean())
        yield Measurement(f"{title}: handovers", handovers, "per UE-minute", None)
    heard, known = (
        float(score(_pooled(results[name], "reward"), rule, ceiling).mean())
        for name in (HEARD, _of_others(MODEL, max(_TARGETS)))
    )
    title = f"{scenario.id}: S_slow of {HEARD}, over that with positions, {max(_TARGETS)} traces"
    yield Measurement(title, heard / known, "", *_HEARD_TARGET, more_is_better=True)
    for name in LEARNED.keys() - {MODEL}:
        for label in [_of_others(name, count) for count in _TARGETS] + [_of_own(name)]:
            ours = _pooled(results[label.replace(name, MODEL)], "reward")
            better = float(share_of_wins(ours, _pooled(results[label], "reward")).mean())
            yield Measurement(f"{scenario.id}: P({MODEL} > {label})", better, "", *_BETTER_TARGET, more_is_better=True)
    for name, agent in AGENTS.items():
        for count in agent.counts if name != OURS else ():
            ours, theirs = (_pooled(results[_of_others(of, count)], "reward") for of in (OURS, name))
            title = f"{scenario.id}: P({OURS} > {_of_others(name, count)})"
            yield Measurement(
                title, float(share_of_wins(ours, theirs).mean()), "", *_BETTER_TARGET, more_is_better=True
            )


def _of_others(name: str, count: int) -> str:
    return f"{name}, {count} traces of other contexts"


def _of_own(name: str) -> str:
    return f"{name}, one trace of the context"


def _learned(workshop: Workshop, scenario: Scenario, homes: list[Scenario]) -> dict[str, list[PolicyFactory]]:
    """Returns policies that learn, by name, one for each test context; logs what they learn from."""
    others = [workshop.logged(scenario, f"{count} traces", count, 0) for count in _TARGETS]
    own = [workshop.logged(home, "own trace", 0, 1) for home in homes]
    workshop.run([*others, *own], f"{scenario.id}: logged traces")
    made: dict[str, list[PolicyFactory]] = {}
    for name, future in LEARNED.items():
        for job in others:
            of_others = partial(_SEARCH, future=future, data=job.path)
            made[_of_others(name, len(job.traces))] = [of_others] * len(homes)
        if name == MODEL:
            most = partial(_SEARCH, future="model-rsrp", data=others[0].path)
            made[HEARD] = [most] * len(homes)
        made[_of_own(name)] = [partial(_SEARCH, future=future, data=job.path) for job in own]
    return made


def _trained(workshop: Workshop, scenario: Scenario) -> dict[str, list[PolicyFactory]]:
    """Returns trained agents, by name, one for each seed; trains them."""
    trainings = {}
    for name, agent in AGENTS.items():
        for count in agent.counts:
            logged, augmented = workshop.logged(scenario, f"{count} traces", count, 0), None
            if agent.counterfactual is not None:
                augmented = workshop.augmented(logged, workshop.effort.model_copy(update=agent.counterfactual))
            trainings[_of_others(name, count)] = workshop.training(name, logged, augmented, agent.training)
    logged_jobs = {job.logged.path: job.logged for job in trainings.values()}
    workshop.run([*logged_jobs.values()], f"{scenario.id}: logged traces")
    augmented_jobs = {job.augmented.path: job.augmented for job in trainings.values() if job.augmented}
    workshop.run([*augmented_jobs.values()], f"{scenario.id}: data of agents")
    workshop.run([*trainings.values()], f"{scenario.id}: trainings")
    return {
        name: [partial(trained_policy, checkpoint=checkpoint) for checkpoint in job.checkpoints]
        for name, job in trainings.items()
    }


def in_ns3(workshop: Workshop, scenario: Scenario) -> Iterator[Measurement]:
    """Yields how far ns-3 ranks the policies as the engine does, by their mean reward (Kendall's tau)."""
    most = max(_TARGETS)
    data = workshop.logged(scenario, f"{most} traces", most, 0)
    policies = dict(POLICIES)
    policies |= {
        _of_others(name, most): partial(_SEARCH, future=future, data=data.path) for name, future in LEARNED.items()
    }
    policies |= {
        name: seeds[0] for name, seeds in _trained(workshop, scenario).items() if name.endswith(_of_others("", most))
    }
    means: dict[str, list[float]] = {}
    for backend in ("engine", "ns3"):
        jobs = {
            name: [[workshop.judgement(scenario, name, factory, backend, _NS3_TRACES)]]
            for name, factory in policies.items()
        }
        judged = judge(workshop, jobs, f"{scenario.id} in {backend}")
        means[backend] = [float(result["reward"].mean()) for result in judged.values()]
        for name, value in zip(judged, means[backend], strict=True):
            yield Measurement(f"{scenario.id}: {name}: mean reward in {backend}, {_NS3_TRACES} traces", value, "", None)
    tau = float(kendalltau(*means.values()).statistic)
    title = f"{scenario.id}: Kendall's tau of {len(policies)} policies, ns-3 against the engine"
    yield Measurement(title, tau, "", 0.8, 1.0, more_is_better=True)


def _pooled(judged: Judged, metric: str) -> Floats:
    """Returns one of METRICS of the episodes in all contexts as of one, (1, seeds, traces)."""
    values = judged[metric]
    return values.transpose(1, 0, 2).reshape(1, values.shape[1], -1)


def candidates_per_s(scenario: Scenario, trace: MobilityTrace, seed: int) -> Iterator[Measurement]:
    """Yields how many candidates a CPU-second a search tries, on one thread, beside the engine's own intervals."""
    engine, random = Engine(scenario), stream(seed, "bench", "candidates")
    what_if, position_m = WhatIf(engine), engine.positions(trace)[: engine.grid_steps + 1]
    kpis = engine.reset(position_m[None, 0]).at(0)
    limit_db = scenario.handover.cio_range_db
    cio_db = random.uniform(-limit_db, limit_db, (_CANDIDATES, len(scenario.neighbor_pairs)))
    coming_m = position_m[np.linspace(0, engine.grid_steps, 31)[1::2].astype(int)]
    few_db, copied_m = cio_db[:_ENGINE_CANDIDATES], np.repeat(position_m[None], _ENGINE_CANDIDATES, axis=0)
    tried: dict[str, tuple[int, Callable[[], object]]] = {
        "frozen UEs": (_CANDIDATES, lambda: what_if(kpis, cio_db)),
        "moving UEs": (_CANDIDATES, lambda: what_if(kpis, cio_db, coming_m)),
        "the engine": (_ENGINE_CANDIDATES, lambda: engine.copies(_ENGINE_CANDIDATES).step(copied_m, few_db)),
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    spent_s: dict[str, list[float]] = {name: [] for name in tried}
    try:
        for _ in range(_ROUNDS + 1):
            for name, (_, search) in tried.items():
                begin_s = time.process_time()
                search()
                spent_s[name].append(time.process_time() - begin_s)
    finally:
        torch.set_num_threads(threads)
    # The first round compiles what is new.
    speed = {name: count / float(np.median(spent_s[name][1:])) for name, (count, _) in tried.items()}
    for name, target, goal in (("frozen UEs", None, None), ("moving UEs", 2000, 10_000)):
        title = f"{scenario.id}: candidates a CPU-second, {name}"
        yield Measurement(title, speed[name], "1/s", target, goal, more_is_better=True)
        yield Measurement(f"{title}, over the engine's intervals", speed[name] / speed["the engine"], "", None)
