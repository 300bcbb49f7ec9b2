"""The long run: 21 cells and 100 UEs at up to 30 m/s and 200 kb/s, under CIOs that change at random each second."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Literal

from ns3_scenarios.hexagon import crossing_trace, hexagonal_scenario, random_cio_db
from ns3_scenarios.kpis import EventKind
from py_agent.bench.measured_episode import MeasuredEpisode
from py_agent.measurement import Measurement
from sumo_mobility.base.errors import SimulatorError
from sumo_mobility.base.progress import progress

_SITES, _UES = 7, 100
_OFFERED_BPS = 200e3

Rrc = Literal["ideal", "real"]


@dataclass(frozen=True)
class Run:
    """The record of one episode.

    Attributes:
        simulated_s: The simulated time that was reached.
        events: The number of events of each kind.
        start_rss_mb: Memory after the warm-up.
        peak_rss_mb: The most memory.
        cpu_s: CPU time of all steps.
        error: The reason of an abort, else empty.
    """

    simulated_s: float
    events: Counter[EventKind]
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
            print(done[-1], file=sys.stderr, flush=True)
    events = sum((run.events for run in done), Counter[EventKind]())
    started = events[EventKind.HANDOVER_START]
    succeeded = 100 * events[EventKind.HANDOVER_OK] / max(started, 1)
    simulated_s = sum(run.simulated_s for run in done)
    yield Measurement("runs that aborted", sum(bool(run.error) for run in done), f"of {runs}", 0)
    yield Measurement("simulated in all", simulated_s, "s", runs * steps, more_is_better=True)
    yield Measurement("handovers started", started, "", None)
    yield Measurement("handovers that succeed", succeeded, "%", 99.9, 100, more_is_better=True)
    for kind in EventKind:
        if kind not in (EventKind.HANDOVER_START, EventKind.HANDOVER_OK):
            yield Measurement(kind.name.lower().replace("_", " "), events[kind], "", None)
    yield Measurement("memory that a run gained", max(run.peak_rss_mb - run.start_rss_mb for run in done), "MB", None)
    yield Measurement("CPU time a simulated second", sum(run.cpu_s for run in done) / simulated_s, "s", None)


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
    with MeasuredEpisode(scenario, crossing_trace(scenario, seed), seed) as episode:
        start_rss_mb = episode.peak_rss_mb
        try:
            for cio_db in random_cio_db(scenario, seed)[:steps]:
                episode.step(cio_db)
                advance()
        except SimulatorError as failure:
            error = str(failure)
    kinds = Counter(EventKind(kind) for kpis in episode.kpis for kind in kpis.events["kind"])
    return Run(len(episode.cpu_s), kinds, start_rss_mb, episode.peak_rss_mb, sum(episode.cpu_s), error)
