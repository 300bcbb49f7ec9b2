"""Compares the engine with ns-3 on the same trace, seed and CIOs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cf_augment.agreement.handovers import match_handovers
from cf_augment.dataset.records import Episode, stack_kpis
from cf_augment.physics import EngineBackend
from ns3_scenarios.kpis import KPI_AXES, EventKind, StepKpis
from ns3_scenarios.mdp import control_from_action
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import DataError

SERVED_BPS = 100e3
"""The relative error of the throughput is that of UEs that are served at least so much."""


def compare(ns3: Sequence[StepKpis], engine: Sequence[StepKpis]) -> dict[str, float]:
    """Compares two episodes step by step; neither is fitted to the other.

    Args:
        ns3: KPIs of an episode without batch dimensions, the truth.
        engine: KPIs at the same times.

    Returns:
        rsrp_rmse_db, rsrp_max_db: over all UE-cell pairs and steps.
        sinr_rmse_db: over the UEs that both have in the same cell.
        serving_agreement: share of UE samples with the same serving cell.
        handovers_ns3, handovers_engine: handovers started.
        handover_match: 2 |A and B| / (|A| + |B|) of the handovers (UE, source, target, start within 1 ms);
            1 if there are none.
        handover_moving_ues, handover_equal_ues: UEs that hand over in either episode, and those of them whose
            sequences of (source, target) are the same in both.
        handover_delay_max_ms: greatest |start in the engine - start in ns-3| of the handovers that a UE has in both,
            in the same order.
        utilization_mae_pp, utilization_bias_pp, utilization_max_pp: PRB utilisation in percentage points; bias is
            engine - ns3.
        utilization_ks: Kolmogorov and Smirnov's distance of the two distributions of the PRB utilisation.
        throughput_error_share: mean of |engine - ns3| / ns3 where ns-3 serves a UE SERVED_BPS at least.
        throughput_mae_share: mean over UEs and steps of the error, as a share of ns-3's mean throughput.
        served_error_share: error of the network's served traffic.

    Raises:
        DataError: the episodes have different lengths, times or sizes.
    """
    if len(ns3) != len(engine) or not ns3:
        raise DataError(f"agreement: {len(ns3)} steps of ns-3, {len(engine)} of the engine")
    return compare_stacked(stack_kpis(ns3)[0], stack_kpis(engine)[0])


def agreement(scenario: Scenario, episode: Episode) -> dict[str, float]:
    """Plays an episode of ns-3 again in the engine, the same trace and CIOs, and compares; see `compare`.

    Raises:
        DataError: the episode is not of this scenario, or was measured and lacks the trace or KPIs.
    """
    use = "a comparison with the engine"
    trace = episode.moved(use)
    episode.require(use, *KPI_AXES, "events")
    backend = EngineBackend(scenario)
    kpis = [backend.reset(trace, episode.metadata.seed)]
    kpis += [backend.step(control) for control in control_from_action(scenario, episode.actions)]
    return compare_stacked(episode.kpis, stack_kpis(kpis)[0])


def compare_stacked(ns3: StepKpis, engine: StepKpis) -> dict[str, float]:
    """Returns the same as `compare` for KPIs with a leading axis of time, such as those of an Episode."""

    def both(name: str) -> tuple[Floats, Floats]:
        truth, guess = getattr(ns3, name), getattr(engine, name)
        if truth.shape != guess.shape:
            raise DataError(f"agreement: {name} is {truth.shape} in ns-3 and {guess.shape} in the engine")
        return truth, guess

    times = both("time_s")
    if not np.allclose(*times, rtol=0, atol=1e-6):
        raise DataError(f"agreement: times differ, {times[0].tolist()} in ns-3 and {times[1].tolist()} in the engine")
    rsrp = np.subtract(*both("ue_rsrp_dbm"))
    serving = np.equal(*both("ue_serving_cell"))
    sinr = np.subtract(*both("ue_sinr_db"))[serving]
    load = -100 * np.subtract(*both("prb_utilization"))
    throughput, guessed_throughput = both("ue_throughput_bps")
    served, guessed_served = both("served_bps")
    starts, guessed_starts = _starts(ns3.events), _starts(engine.events)
    starts_of_either = len(starts) + len(guessed_starts)
    handovers = match_handovers(ns3.events, engine.events)
    return {
        "rsrp_rmse_db": _rms(rsrp),
        "rsrp_max_db": float(np.abs(rsrp).max()),
        "sinr_rmse_db": _rms(sinr),
        "serving_agreement": float(serving.mean()),
        "handovers_ns3": float(len(starts)),
        "handovers_engine": float(len(guessed_starts)),
        "handover_match": 2 * len(starts & guessed_starts) / starts_of_either if starts_of_either else 1.0,
        "handover_moving_ues": float(handovers.moving_ues),
        "handover_equal_ues": float(handovers.equal_ues),
        "handover_delay_max_ms": 1000 * float(np.abs(handovers.delay_s).max(initial=0.0)),
        "utilization_mae_pp": float(np.abs(load).mean()),
        "utilization_bias_pp": float(load.mean()),
        "utilization_max_pp": float(np.abs(load).max()),
        "utilization_ks": load_distance(*both("prb_utilization")),
        "throughput_error_share": throughput_error_share(throughput, guessed_throughput),
        "throughput_mae_share": float(np.abs(guessed_throughput - throughput).mean() / max(throughput.mean(), 1.0)),
        "served_error_share": float((guessed_served.sum() - served.sum()) / max(served.sum(), 1.0)),
    }


def load_distance(truth: Floats, guess: Floats) -> float:
    """Kolmogorov and Smirnov's distance of two distributions."""
    first, second = np.sort(truth.ravel()), np.sort(guess.ravel())
    values = np.concatenate([first, second])
    shares = [np.searchsorted(sample, values, side="right") / len(sample) for sample in (first, second)]
    return float(np.abs(np.subtract(*shares)).max())


def throughput_error_share(truth_bps: Floats, guess_bps: Floats) -> float:
    """Mean relative error where the truth is SERVED_BPS at least; 0 where it never is."""
    served = truth_bps >= SERVED_BPS
    errors = np.abs(guess_bps - truth_bps)[served] / truth_bps[served]
    return float(errors.mean()) if errors.size else 0.0


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0


def _starts(events: np.ndarray) -> set[tuple[int, int, int, int]]:
    """Handovers started, as (time in ms, UE, source, target)."""
    events = events[events["kind"] == EventKind.HANDOVER_START]
    times_ms = np.rint(events["time_s"] * 1000).astype(int).tolist()
    columns = (events[name].tolist() for name in ("ue", "source_cell", "target_cell"))
    return set(zip(times_ms, *columns, strict=True))
