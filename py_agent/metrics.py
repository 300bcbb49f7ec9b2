"""What an episode is judged by: pure functions of its KPIs and events; the reset's row does not count."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cf_augment.dataset import Episode
from ns3_scenarios.kpis import HANDOVER_FAILURES, EventKind
from ns3_scenarios.mdp import jain, load_std, p5_throughput_bps
from ns3_scenarios.mobility_robustness import ping_pongs
from ns3_scenarios.scenario import Scenario


@dataclass(frozen=True)
class Metric:
    """One number by which an episode is judged, and how it is shown.

    Attributes:
        heading: Its name in a table.
        short: Its name where there is little room.
        higher_is_better: Its direction.
        greatest: It lies between 0 and this.
        unit: Unit in which it is shown, empty for none.
        scale: Factor to that unit.
        decimals: Most decimals that are shown.
    """

    heading: str
    short: str
    higher_is_better: bool
    greatest: float = math.inf
    unit: str = ""
    scale: float = 1.0
    decimals: int = 3


_PER_UE_MINUTE = "per UE-minute"
METRICS = {
    "load_std": Metric("Load std", "load std", False, 0.5, decimals=4),
    "jain": Metric("Jain index", "Jain", True, 1.0),
    "p5_throughput_bps": Metric("p5 throughput", "p5", True, unit="kbit/s", scale=1e-3, decimals=1),
    "mean_throughput_bps": Metric("Mean throughput", "mean", True, unit="kbit/s", scale=1e-3, decimals=1),
    "handovers_per_ue_minute": Metric("Handovers", "HO", False, unit=_PER_UE_MINUTE, decimals=2),
    "ping_pong_share": Metric("Ping-pongs", "PP", False, 1.0, "% of handovers", 100, 1),
    "failures_per_ue_minute": Metric("Handover failures", "fail", False, unit=_PER_UE_MINUTE),
    "rlf_per_ue_minute": Metric("Radio link failures", "RLF", False, unit=_PER_UE_MINUTE),
}
"""The metrics of `episode_metrics`."""


def episode_metrics(scenario: Scenario, episode: Episode) -> dict[str, float]:
    """Returns one number for each of METRICS.

    load_std, jain: mean over the steps of the standard deviation and of Jain's index of the cells' PRB utilisation.
    p5_throughput_bps, mean_throughput_bps: 5th percentile and mean over the UEs of each UE's mean over the episode,
    so that a UE counts by what it got in all, not by its worst second.
    handovers, failures, rlf: completed handovers, failed handovers and radio link failures, each a UE and minute.
    ping_pong_share: share of the completed handovers that are ping-pongs (see `ping_pongs` of ns3_scenarios.kpis), 0 if
    there are none.
    """
    kpis, events = episode.kpis, episode.kpis.events[episode.event_start[1] :]
    ue_minutes = episode.trace.ues * episode.steps * scenario.episode.control_interval_s / 60
    throughput_bps = kpis.ue_throughput_bps[1:].mean(axis=0)
    count = {kind: int((events["kind"] == kind).sum()) for kind in EventKind}
    handovers = count[EventKind.HANDOVER_OK]
    return {
        "load_std": float(load_std(kpis)[1:].mean()),
        "jain": float(jain(kpis)[1:].mean()),
        "p5_throughput_bps": float(np.percentile(throughput_bps, 5)),
        "mean_throughput_bps": float(throughput_bps.mean()),
        "handovers_per_ue_minute": handovers / ue_minutes,
        "ping_pong_share": ping_pongs(events, scenario.handover.ping_pong_window_s) / max(handovers, 1),
        "failures_per_ue_minute": sum(count[kind] for kind in HANDOVER_FAILURES) / ue_minutes,
        "rlf_per_ue_minute": count[EventKind.RADIO_LINK_FAILURE] / ue_minutes,
    }


def step_metrics(episode: Episode) -> pd.DataFrame:
    """Returns one row a step: step, time_s, reward, load_std, jain, p5_throughput_bps, handovers."""
    kpis = episode.kpis
    return pd.DataFrame(
        {
            "step": np.arange(1, episode.steps + 1),
            "time_s": kpis.time_s[1:],
            "reward": episode.rewards,
            "load_std": load_std(kpis)[1:],
            "jain": jain(kpis)[1:],
            "p5_throughput_bps": p5_throughput_bps(kpis)[1:],
            "handovers": kpis.handovers[1:],
        }
    )
