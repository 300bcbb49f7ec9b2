"""RRC messages over the air: what an offset asks for happens as with ideal RRC, only later."""

from __future__ import annotations

import numpy as np
import pytest
import three_cells

from ns3_scenarios.kpis import EventKind

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
