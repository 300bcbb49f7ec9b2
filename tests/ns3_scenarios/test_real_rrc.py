"""RRC messages over the air: what an offset asks for happens as with ideal RRC, only later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import three_cells

from ns3_scenarios.kpis import EventKind
from ns3_scenarios.mobility_robustness import FailureCause, connection_failures

pytestmark = pytest.mark.ns3


def handovers(rrc: str) -> tuple[list[tuple[int, int, int]], np.ndarray, list[np.ndarray], float]:
    """(UE, source, target) and times of the starts, times of the ends, and the least SINR of a UE before it left."""
    scenario = three_cells.scenario(steps=8, radio={"rrc": rrc})
    against = np.full((8, len(scenario.neighbor_pairs)), -4.0)
    played = three_cells.play(scenario, three_cells.trace(scenario), against)
    events = np.concatenate([kpis.events for kpis in played])
    assert not np.isin(events["kind"], [EventKind.RADIO_LINK_FAILURE]).any()
    starts, ends = (events[events["kind"] == kind] for kind in (EventKind.HANDOVER_START, EventKind.HANDOVER_OK))
    assert len(starts) == len(ends) > 4, events
    names = sorted((int(row["ue"]), int(row["source_cell"]), int(row["target_cell"])) for row in starts)
    lowest = min(float(kpis.ue_sinr_db.min()) for kpis in played)
    return names, np.sort(starts["time_s"]), np.sort(ends["time_s"] - starts["time_s"]), lowest


def test_ues_out_of_cqi_range_hear_their_handover_commands() -> None:
    """An offset of -4 dB keeps UEs down to a SINR of -7 dB in their cells; ns-3 alone grants nobody below -4.4 dB."""
    ideal, ideal_starts_s, ideal_durations_s, _ = handovers("ideal")
    real, real_starts_s, real_durations_s, lowest_db = handovers("real")
    assert lowest_db < -4.5
    assert real == ideal
    assert (real_starts_s >= ideal_starts_s).all()
    assert real_starts_s == pytest.approx(ideal_starts_s, abs=0.1)
    assert ideal_durations_s == pytest.approx(0.004, abs=0.002)
    assert (real_durations_s > ideal_durations_s.max()).all()
    assert (real_durations_s < 0.5).all()


def test_who_never_hears_its_command_was_handed_over_too_late() -> None:
    """UEs are far in cell 1 when cell 0 lets them go; it has sent the command, but they are still in cell 0."""
    scenario = three_cells.scenario(
        steps=3, radio={"rrc": "real"}, handover={"cio_range_db": 14, "hysteresis_db": 0, "time_to_trigger_ms": 0}
    )
    trace = three_cells.trace(scenario, speed_mps=0.0)
    home_m, other_m = (np.array(site_m) for site_m in three_cells.SITES_M[:2])
    position_m = np.empty_like(trace.position_m)
    position_m[:2] = home_m + 0.3 * (other_m - home_m)
    position_m[2:] = home_m + np.linspace(0.5, 0.72, scenario.mobility.ues)[:, None] * (other_m - home_m)
    cio_db = np.full((3, len(scenario.neighbor_pairs)), -14.0)
    cio_db[2] = 0
    played = three_cells.play(scenario, replace(trace, position_m=position_m), cio_db)
    events = np.concatenate([kpis.events for kpis in played])
    unheard = events[events["kind"] == EventKind.HANDOVER_FAILED_NO_COMMAND]
    again = events[events["kind"] == EventKind.CONNECTION_REESTABLISHED]
    assert 0 < len(unheard) < (events["kind"] == EventKind.HANDOVER_OK).sum()
    assert (played[2].ue_sinr_db[unheard["ue"]] < -9).all()
    assert set(unheard["source_cell"]) == {0}
    assert set(again["target_cell"]) == set(unheard["target_cell"]) == {1}
    causes = {lost.ue: lost.cause for lost in connection_failures(events, scenario.handover.ue_context_store_s)}
    assert causes == dict.fromkeys(unheard["ue"].tolist(), FailureCause.TOO_LATE)
