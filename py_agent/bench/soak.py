"""The long run: 21 cells and 100 UEs at up to 30 m/s and 200 kb/s, under CIOs that change at random each second."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import torch

from cf_augment.physics.constants import Q_OUT_DB
from cf_augment.physics.radio.rsrp import Radio
from ns3_scenarios.hexagon import crossing_trace, hexagonal_scenario, random_cio_db
from ns3_scenarios.kpis import EventKind
from ns3_scenarios.mobility_robustness import CONNECTION_FAILURES, FailureCause, connection_failures
from ns3_scenarios.scenario import Scenario
from py_agent.bench.measured_episode import MeasuredEpisode
from py_agent.measurement import Measurement
from sumo_mobility.base.errors import SimulatorError
from sumo_mobility.base.progress import progress
from sumo_mobility.trace import MobilityTrace

_SITES, _UES = 7, 100
_OFFERED_BPS = 200e3
_OUT_OF_SYNC_DB = (-np.inf, -11.0, -9.0, -7.0, Q_OUT_DB)
"""Edges of the classes of handovers whose command is sent to a UE below Qout, by its SINR."""

Rrc = Literal["ideal", "real"]


class Attempt(NamedTuple):
    """A handover whose command was sent to the UE, and that has ended.

    Attributes:
        sinr_db: The SINR of the control region of the source cell where the UE was when the command was sent.
        succeeded: Whether the UE arrived in the target cell.
    """

    sinr_db: float
    succeeded: bool


@dataclass(frozen=True)
class Run:
    """The record of one episode.

    Attributes:
        simulated_s: The simulated time that was reached.
        events: The number of events of each kind.
        attempts: The handovers in the order in which they ended.
        causes: The number of lost connections by cause.
        start_rss_mb: Memory after the warm-up.
        peak_rss_mb: The most memory.
        cpu_s: CPU time of all steps.
        error: The reason of an abort, else empty.
    """

    simulated_s: float
    events: Counter[EventKind]
    attempts: list[Attempt]
    causes: Counter[FailureCause]
    start_rss_mb: float
    peak_rss_mb: float
    cpu_s: float
    error: str


def measure(seed: int, quick: bool, rrc: Rrc) -> Iterator[Measurement]:
    """Yields the figures when all runs are over.

    Args:
        seed: Of the first run's trace, CIOs and network; the others take the next seeds.
        quick: One run of 20 s instead of three of 600 s.
        rrc: Whether RRC messages arrive always and at once, or are sent over the air.
    """
    runs, steps = (1, 20) if quick else (3, 600)
    done = []
    with progress("soak", runs * steps) as bar, ThreadPoolExecutor(runs) as pool:
        jobs = [pool.submit(run, seed + k, steps, rrc, bar.advance) for k in range(runs)]
        for job in as_completed(jobs):
            done.append(job.result())
            if done[-1].error:
                print(f"a run aborted: {done[-1].error}", file=sys.stderr, flush=True)
    events = sum((run.events for run in done), Counter[EventKind]())
    started = events[EventKind.HANDOVER_START]
    succeeded = 100 * events[EventKind.HANDOVER_OK] / max(started, 1)
    simulated_s = sum(run.simulated_s for run in done)
    yield Measurement("runs that aborted", sum(bool(run.error) for run in done), f"of {runs}", 0)
    yield Measurement("simulated in all", simulated_s, "s", runs * steps, more_is_better=True)
    yield Measurement("handovers started", started, "", None)
    yield Measurement("handovers that succeed", succeeded, "%", 99.9, 100, more_is_better=True)
    if rrc == "real":
        yield from _by_sinr([attempt for run in done for attempt in run.attempts])
        causes = sum((run.causes for run in done), Counter[FailureCause]())
        for cause in FailureCause:
            yield Measurement(f"connections lost, {cause}", causes[cause], "", None)
    for kind in EventKind:
        if kind not in (EventKind.HANDOVER_START, EventKind.HANDOVER_OK):
            yield Measurement(kind.name.lower().replace("_", " "), events[kind], "", None)
    yield Measurement("memory that a run gained", max(run.peak_rss_mb - run.start_rss_mb for run in done), "MB", None)
    yield Measurement("CPU time a simulated second", sum(run.cpu_s for run in done) / simulated_s, "s", None)


def _by_sinr(attempts: list[Attempt]) -> Iterator[Measurement]:
    """Tells how many handovers succeed by the SINR at which the UE has to hear the command."""
    sinr_db, succeeded = (np.array(column) for column in zip(*attempts, strict=True))
    in_sync = 100 * float(succeeded[sinr_db >= Q_OUT_DB].mean())
    name = f"of those commanded at the SINR of Qout, {Q_OUT_DB:g} dB, or above"
    yield Measurement(name, in_sync, "%", 99.9, 100, more_is_better=True)
    for low, high in reversed(list(pairwise(_OUT_OF_SYNC_DB))):
        within = succeeded[(sinr_db >= low) & (sinr_db < high)]
        if len(within):
            between = f"from {low:g} to {high:g} dB" if low > -np.inf else f"below {high:g} dB"
            yield Measurement(f"of the {len(within):,} {between}", 100 * float(within.mean()), "%", None)


def run(seed: int, steps: int, rrc: Rrc, advance: Callable[[], None]) -> Run:
    """Simulates `steps` seconds of one seed.

    Args:
        seed: Of the trace, the CIOs and the network.
        steps: Seconds to simulate, besides the warm-up.
        rrc: As measure has it.
        advance: Called after each step.
    """
    scenario = hexagonal_scenario(_SITES, _UES, steps + 1, _OFFERED_BPS, rrc)
    error = ""
    trace = crossing_trace(scenario, seed)
    with MeasuredEpisode(scenario, trace, seed) as episode:
        start_rss_mb = episode.peak_rss_mb
        try:
            for cio_db in random_cio_db(scenario, seed)[:steps]:
                episode.step(cio_db)
                advance()
        except SimulatorError as failure:
            error = str(failure)
    events = np.concatenate([kpis.events for kpis in episode.kpis])
    kinds = Counter(EventKind(kind) for kind in events["kind"])
    attempts = list(attempts_of(scenario, trace, events))
    causes = Counter(lost.cause for lost in connection_failures(events, scenario.handover.ue_context_store_s))
    spent_s = sum(episode.cpu_s)
    return Run(len(episode.cpu_s), kinds, attempts, causes, start_rss_mb, episode.peak_rss_mb, spent_s, error)


def attempts_of(scenario: Scenario, trace: MobilityTrace, events: np.ndarray) -> Iterator[Attempt]:
    """Pairs the start of each handover with its end; one that has not ended with the events is left out.

    Args:
        scenario: The network, whose analytic radio gives the SINR.
        trace: Where the UEs are.
        events: EVENT_DTYPE in order of time.
    """
    radio = Radio(scenario, torch.device("cpu"))
    sinr_db: dict[int, float] = {}
    for time_s, ue, source, _, kind in events.tolist():
        if kind == EventKind.HANDOVER_START:
            position_m = torch.from_numpy(trace.position_at(time_s)[ue : ue + 1])
            sinr_db[ue] = float(radio.sinr_of_all_db(radio.rsrp_dbm(radio.local(position_m)))[source, 0])
        elif ue in sinr_db and kind in (EventKind.HANDOVER_OK, *CONNECTION_FAILURES):
            yield Attempt(sinr_db.pop(ue), kind == EventKind.HANDOVER_OK)
