"""An episode of the ns-3 program that keeps count of what it costs."""

from __future__ import annotations

import time
from typing import Self

import psutil

from ns3_scenarios.bridge.backend import Ns3Backend
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats
from sumo_mobility.trace import MobilityTrace


class MeasuredEpisode:
    """An episode of the ns-3 program, with its CPU time and memory.

    Attributes:
        kpis: What the reset and each step returned.
        cpu_s: CPU time of each step.
        wall_s: Wall-clock time of each step.
        set_up_cpu_s: CPU time up to the end of the warm-up.
        peak_rss_mb: The most memory held at the end of a step.
    """

    def __init__(self, scenario: Scenario, trace: MobilityTrace, seed: int, stock: bool = False) -> None:
        self.backend = Ns3Backend(scenario, timeout_s=1800, stock=stock)
        self.kpis: list[StepKpis] = [self.backend.reset(trace, seed)]
        self._process = psutil.Process(self.backend.pid)
        self.set_up_cpu_s = self.cpu_now_s()
        self.cpu_s: list[float] = []
        self.wall_s: list[float] = []
        self.peak_rss_mb = self._rss_mb()

    def cpu_now_s(self) -> float:
        """CPU time of the program so far, its finished branches included."""
        times = self._process.cpu_times()
        return times.user + times.system + times.children_user + times.children_system

    def step(self, cio_db: Floats) -> None:
        """Runs one control interval, not the last one: the program ends with that."""
        cpu_s, wall_s = self.cpu_now_s(), time.perf_counter()
        self.kpis.append(self.backend.step(cio_db))
        self.wall_s.append(time.perf_counter() - wall_s)
        self.cpu_s.append(self.cpu_now_s() - cpu_s)
        self.peak_rss_mb = max(self.peak_rss_mb, self._rss_mb())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.backend.close()

    def _rss_mb(self) -> float:
        return self._process.memory_info().rss / 2**20
