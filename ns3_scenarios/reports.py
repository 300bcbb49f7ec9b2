"""Reports: what a controller is told of the network, and when; late and noisy, as measurements of a network are."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydantic import Field

from ns3_scenarios.kpis import KPI_AXES, StepKpis
from sumo_mobility.base.contract import Contract
from sumo_mobility.base.seeds import stream


class Reports(Contract):
    """What a controller is told of the KPIs. Rewards and evaluation have the KPIs themselves, and so have datasets.

    An action is known to the controller that chose it, so that the CIO in force is never late.
    """

    delay_intervals: int = Field(0, ge=0, le=1000)
    """How many control intervals late all KPIs are reported. Until the first report is there, that of the warm-up is
    seen."""
    load_noise_std: float = Field(0.0, ge=0, le=1)
    """Standard deviation of the Gaussian noise on the PRB utilisation of each cell, which stays within 0 to 1."""
    rsrp_noise_std_db: float = Field(0.0, ge=0, le=20)
    """Standard deviation of the Gaussian noise on each RSRP, in dB."""

    @property
    def noisy(self) -> bool:
        """Whether a report says anything else than what was so."""
        return self.load_noise_std > 0 or self.rsrp_noise_std_db > 0

    @property
    def said(self) -> str:
        """What observations are made of where that is not the KPIs of the last interval, in words; else empty."""
        late = [f"{self.delay_intervals} interval{'s' * (self.delay_intervals > 1)} late"] * (self.delay_intervals > 0)
        noise = {"prb_utilization": (self.load_noise_std, ""), "ue_rsrp_dbm": (self.rsrp_noise_std_db, " dB")}
        with_noise = [f"{name} with noise of {std:g}{unit}" for name, (std, unit) in noise.items() if std]
        return ", ".join(late + with_noise)

    def of_rows(self, kpis: StepKpis, seed: int) -> StepKpis:
        """Returns what is reported at each row (T + 1, ...) of the KPIs of an episode, without events.

        Args:
            kpis: Row 0 is the reset.
            seed: Of the noise.
        """
        rows = np.maximum(np.arange(len(kpis.time_s)) - self.delay_intervals, 0)
        late = {name: getattr(kpis, name)[rows] for name in KPI_AXES}
        return _with_noise(self, StepKpis(**late, events=kpis.events[:0]), [(seed, int(row)) for row in rows])


class Reporter:
    """Reports the KPIs of episodes while they are played: at each row, what `Reports.of_rows` returns for it.

    Args:
        reports: How late and noisy.
        seeds: Of the noise: one for each index into the KPIs' batch dimension, or one alone if they have none.
    """

    def __init__(self, reports: Reports, seeds: Sequence[int]) -> None:
        self._reports = reports
        self._seeds = seeds
        self._row = 0
        self._known: deque[StepKpis] = deque(maxlen=reports.delay_intervals + 1)

    def report(self, kpis: StepKpis) -> StepKpis:
        """Takes the KPIs of the next row, the reset's first, and returns what is reported then."""
        self._known.append(_with_noise(self._reports, kpis, [(seed, self._row) for seed in self._seeds]))
        self._row += 1
        return self._known[0]


def _with_noise(reports: Reports, kpis: StepKpis, keys: Sequence[tuple[int, int]]) -> StepKpis:
    """Returns KPIs with noise; `keys` are seed and row for each index into their batch dimension, or one if none."""
    if not reports.noisy:
        return kpis
    shape = kpis.ue_rsrp_dbm.shape[-2:]
    drawn = [stream(seed, "reports", row) for seed, row in keys]
    load = np.stack([random.standard_normal(shape[1]) for random in drawn]).reshape(kpis.prb_utilization.shape)
    rsrp = np.stack([random.standard_normal(shape) for random in drawn]).reshape(kpis.ue_rsrp_dbm.shape)
    return replace(
        kpis,
        prb_utilization=(kpis.prb_utilization + reports.load_noise_std * load).clip(0.0, 1.0),
        ue_rsrp_dbm=kpis.ue_rsrp_dbm + reports.rsrp_noise_std_db * rsrp,
    )
