"""Metrics of an episode: pure functions of its KPIs and events, without the row of the reset."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cf_augment.dataset import Episode
from ns3_scenarios.kpis import HANDOVER_FAILURES, EventKind
from ns3_scenarios.mdp import jain, load_std
from ns3_scenarios.mobility_robustness import FailureCause, connection_failures, ping_pongs, unnecessary_handovers
from ns3_scenarios.scenario import Scenario


@dataclass(frozen=True)
class Metric:
    """A metric of an episode, and how it is shown.

    Attributes:
        heading: The name in a table.
        short: The name where there is little room.
        higher_is_better: Whether greater values are better.
        greatest: The greatest possible value; the least one is 0.
        unit: The unit in which it is shown, empty for none.
        scale: Factor to that unit.
        decimals: Most decimals that are shown.
        definition: What it counts, a sentence or two for a tooltip.
        is_detail: Whether it belongs to the account of mobility robustness, not to the table of all results.
    """

    heading: str
    short: str
    higher_is_better: bool
    greatest: float = math.inf
    unit: str = ""
    scale: float = 1.0
    decimals: int = 3
    definition: str = ""
    is_detail: bool = False


_PER_UE_MINUTE = "per UE-minute"


def _detail(heading: str, short: str, definition: str) -> Metric:
    return Metric(heading, short, False, unit=_PER_UE_MINUTE, decimals=2, definition=definition, is_detail=True)


METRICS = {
    "load_std": Metric(
        "Load std", "load std", False, 0.5, decimals=4,
        definition="Standard deviation of the cells' PRB utilisation, a mean over the steps.",
    ),
    "jain": Metric("Jain index", "Jain", True, 1.0),
    "p5_throughput_bps": Metric("p5 throughput", "p5", True, unit="kbit/s", scale=1e-3, decimals=1),
    "mean_throughput_bps": Metric("Mean throughput", "mean", True, unit="kbit/s", scale=1e-3, decimals=1),
    "handovers_per_ue_minute": Metric(
        "Handovers", "HO", False, unit=_PER_UE_MINUTE, decimals=2, definition="Completed handovers."
    ),
    "ping_pong_share": Metric(
        "Ping-pongs", "PP", False, 1.0, "% of handovers", 100, 1,
        definition="TR 36.839 5.2: handovers back to the cell from which a handover had brought the UE, after less "
        "than the minimum time of stay. A stay that begins or ends with a failure does not count.",
    ),
    "failures_per_ue_minute": Metric(
        "Handover failures", "fail", False, unit=_PER_UE_MINUTE,
        definition="Handovers that the target refused, or that ended without the UE in the target.",
    ),
    "rlf_per_ue_minute": Metric(
        "Radio link failures", "RLF", False, unit=_PER_UE_MINUTE, definition="T310 expired (TS 36.331 5.3.11)."
    ),
    "unnecessary_per_ue_minute": _detail(
        "Unnecessary handovers", "unnec",
        "TR 36.839 5.2: handovers whose stay in the target ended in less than the minimum time of stay with another "
        "handover: ping-pongs, and short stays on the way to a third cell.",
    ),
    "mobility_failures_per_ue_minute": _detail(
        "Mobility failures", "MRO",
        "TS 36.300 22.4.2: connections lost for which handover parameters are to blame: too late, too early and to the "
        "wrong cell together.",
    ),
    "too_late_per_ue_minute": _detail(
        "Too late", "late",
        "TS 36.300 22.4.2: the radio link failed with no recent handover, and the UE connected again in another cell.",
    ),
    "too_early_per_ue_minute": _detail(
        "Too early", "early",
        "TS 36.300 22.4.2: the connection failed soon after a handover, or during it, and the UE connected again in "
        "the handover's source cell.",
    ),
    "wrong_cell_per_ue_minute": _detail(
        "To the wrong cell", "wrong",
        "TS 36.300 22.4.2: the connection failed soon after a handover, or during it, and the UE connected again in a "
        "third cell.",
    ),
    "coverage_per_ue_minute": _detail(
        "Coverage", "cover", "The UE connected again in the cell in which it had failed: no handover was at fault."
    ),
    "unknown_cause_per_ue_minute": _detail(
        "Cause unknown", "?",
        "The UE had not connected again at the end of the episode, or the record does not say where it did.",
    ),
}  # fmt: skip
"""The metrics of `episode_metrics`."""


def episode_metrics(scenario: Scenario, episode: Episode) -> dict[str, float]:
    """Returns one number for each of METRICS.

    load_std, jain: mean over the steps of the standard deviation and of Jain's index of the cells' PRB utilisation.
    p5_throughput_bps, mean_throughput_bps: 5th percentile and mean over the UEs of each UE's mean over the episode,
    so that a UE counts by what it got in all, not by its worst second.
    handovers, failures, rlf: completed handovers, failed handovers and radio link failures, each per UE per minute.
    ping_pong_share: share of the completed handovers that are ping-pongs, 0 if there are none.
    unnecessary, too_late, too_early, wrong_cell, coverage, unknown_cause: each per UE per minute, as
    ns3_scenarios.mobility_robustness has them; mobility_failures is the sum of the three that MRO counts. The causes
    are NaN if the episode was recorded before its back end told where a UE connects again.

    Raises:
        DataError: the episode was measured, so that events, or throughputs, are not known.
    """
    episode.require("an account of handovers and throughput", "ue_throughput_bps", "ue_serving_cell", "events")
    kpis, events = episode.kpis, episode.kpis.events[episode.event_start[1] :]
    ue_minutes = episode.ues * episode.steps * scenario.episode.control_interval_s / 60
    throughput_bps = kpis.ue_throughput_bps[1:].mean(axis=0)
    count = {kind: int((events["kind"] == kind).sum()) for kind in EventKind}
    handovers = count[EventKind.HANDOVER_OK]
    minimum_stay_s = scenario.handover.ping_pong_window_s
    failures = connection_failures(events, scenario.handover.ue_context_store_s)
    lost = [failure.ue for failure in failures]
    is_known = count[EventKind.CONNECTION_REESTABLISHED] > 0 or not (kpis.ue_serving_cell[-1, lost] >= 0).any()
    causes = Counter(failure.cause for failure in failures)
    per_cause = {cause: causes[cause] / ue_minutes if is_known else math.nan for cause in FailureCause}
    late, early, wrong = (
        per_cause[cause] for cause in (FailureCause.TOO_LATE, FailureCause.TOO_EARLY, FailureCause.WRONG_CELL)
    )
    return {
        "load_std": float(load_std(kpis)[1:].mean()),
        "jain": float(jain(kpis)[1:].mean()),
        "p5_throughput_bps": float(np.percentile(throughput_bps, 5)),
        "mean_throughput_bps": float(throughput_bps.mean()),
        "handovers_per_ue_minute": handovers / ue_minutes,
        "ping_pong_share": ping_pongs(events, minimum_stay_s) / max(handovers, 1),
        "failures_per_ue_minute": sum(count[kind] for kind in HANDOVER_FAILURES) / ue_minutes,
        "rlf_per_ue_minute": count[EventKind.RADIO_LINK_FAILURE] / ue_minutes,
        "unnecessary_per_ue_minute": unnecessary_handovers(events, minimum_stay_s) / ue_minutes,
        "mobility_failures_per_ue_minute": late + early + wrong,
        "too_late_per_ue_minute": late,
        "too_early_per_ue_minute": early,
        "wrong_cell_per_ue_minute": wrong,
        "coverage_per_ue_minute": per_cause[FailureCause.COVERAGE],
        "unknown_cause_per_ue_minute": causes[FailureCause.UNKNOWN] / ue_minutes,
    }


def step_metrics(episode: Episode) -> pd.DataFrame:
    """Returns one row a step: step, time_s, and what it came to; see `Episode.outcomes`."""
    steps = np.arange(1, episode.steps + 1)
    return pd.DataFrame({"step": steps, "time_s": episode.kpis.time_s[1:], **episode.outcomes()})
