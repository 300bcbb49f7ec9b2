"""Traffic models: as validated, and as the ns-3 program offers and delivers them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import three_cells

from ns3_scenarios.bridge.server import AgentServer
from ns3_scenarios.build import program
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.scenario import Scenario
from ns3_scenarios.traffic import Traffic
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.trace import MobilityTrace

STEPS, UES = 20, 12
RATE_BPS, PACKET_BITS = 100e3, 8 * 250
PACKETS_PER_S = RATE_BPS / PACKET_BITS


def played(seed: int = 1, steps: int = STEPS, ues: int = UES, **traffic: Any) -> list[StepKpis]:
    """An episode of UEs at rest, without CIO."""
    fields = {"offered_bps": RATE_BPS, "packet_bytes": PACKET_BITS // 8} | traffic
    scenario = three_cells.scenario(steps=steps, ues=ues, traffic=fields)
    still = three_cells.trace(scenario, speed_mps=0.0)
    return three_cells.play(scenario, still, np.zeros((steps, 6)), seed=seed)


def packets(kpis: list[StepKpis]) -> Floats:
    """Packets delivered to each UE in each interval, (STEPS, UES)."""
    return np.array([one.ue_throughput_bps for one in kpis[1:]]) / PACKET_BITS


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"arrivals": {"model": "bursty"}}, "bursty"),
        ({"arrivals": {"model": "cbr", "mean_on_s": 1}}, "mean_on_s"),
        ({"arrivals": {"model": "on-off", "mean_on_s": 0}}, "mean_on_s"),
        ({"ue_weights": [1, 0]}, "within 0.001 to 1000"),
        ({"arrivals": {"model": "full-buffer"}, "ue_weights": [1, 2]}, "no rate to share"),
    ],
)
def test_what_means_nothing_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Traffic.parse(fields, "test")


def test_weights_must_fit_the_ues() -> None:
    with pytest.raises(ConfigError, match=r"traffic\.ue_weights: 2 weights, but mobility\.ues = 12"):
        three_cells.scenario(traffic={"ue_weights": [1.0, 2.0]})


def test_weights_keep_the_mean() -> None:
    rates_bps = Traffic(offered_bps=100e3, ue_weights=(1, 2, 5)).ue_offered_bps(3)
    assert rates_bps == pytest.approx([37.5e3, 75e3, 187.5e3])
    assert np.array_equal(Traffic(offered_bps=12345.6).ue_offered_bps(3), [12345.6] * 3)


@pytest.mark.ns3
class TestProgram:
    def test_weights_set_the_rate_of_each_ue(self) -> None:
        kpis = played(steps=5, ues=4, ue_weights=[1, 2, 5, 8])
        assert packets(kpis).sum(axis=0) == pytest.approx(5 * PACKETS_PER_S / 4 * np.array([1, 2, 5, 8]), abs=1.01)

    def test_poisson_has_the_variance_of_its_mean(self) -> None:
        """Counts of a Poisson process: mean = variance; both within 4 standard errors, n = STEPS x UES."""
        kpis = played(arrivals={"model": "poisson"})
        counts, n = packets(kpis), STEPS * UES
        assert counts.mean() == pytest.approx(PACKETS_PER_S, abs=4 * (PACKETS_PER_S / n) ** 0.5)
        assert counts.var() == pytest.approx(PACKETS_PER_S, rel=4 * (2 / n) ** 0.5)
        offered = np.array([one.offered_bps.sum() for one in kpis[1:]]) / PACKET_BITS
        assert offered.sum() == pytest.approx(counts.sum(), abs=UES)
        # Streams of their own: no two UEs alike.
        assert np.abs(np.corrcoef(counts.T) - np.eye(UES)).max() < 0.9

    def test_on_off_is_as_wide_as_its_periods_make_it(self) -> None:
        """On share p, correlation time T = 1/(1/on + 1/off): variance of a count over 1 s in units of its mean^2 is
        (1 - p)/p x 2 T (1 - T (1 - exp(-1/T))); 12 UEs x 20 s give the mean within 4 x 4.6 % of a standard error."""
        on_s, off_s = 0.2, 0.3
        counts = packets(played(arrivals={"model": "on-off", "mean_on_s": on_s, "mean_off_s": off_s}))
        share, time_s = on_s / (on_s + off_s), 1 / (1 / on_s + 1 / off_s)
        relative = (1 - share) / share * 2 * time_s * (1 - time_s * (1 - np.exp(-1 / time_s)))
        mean_error = ((1 - share) / share * 2 * time_s / (STEPS * UES)) ** 0.5
        assert counts.mean() == pytest.approx(PACKETS_PER_S, rel=4 * mean_error)
        assert counts.var() == pytest.approx(relative * PACKETS_PER_S**2, rel=0.5)
        assert counts.var() > 5 * PACKETS_PER_S  # far more than Poisson

    def test_the_seed_draws_the_arrivals(self) -> None:
        model = {"model": "poisson"}
        one, same, other = (played(seed, steps=2, ues=2, arrivals=model) for seed in (3, 3, 4))
        assert one == same
        assert not np.array_equal(packets(one), packets(other))

    def test_a_full_buffer_uses_all_that_can_be_granted_and_shares_it(self) -> None:
        """24 of 25 RBs (RBGs of 2) whoever is served, through handovers as well; equal UEs get equal throughput."""
        arrivals = {"arrivals": {"model": "full-buffer"}, "packet_bytes": 1000}
        scenario = three_cells.scenario(steps=4, traffic=arrivals)
        trace = three_cells.trace(scenario)
        cio_db = three_cells.random_cio_db(scenario)
        moving = three_cells.play(scenario, trace, cio_db)
        assert sum(one.handovers for one in moving) > 3
        for one in moving:
            assert one.prb_utilization == pytest.approx(0.96, abs=1e-3)
            assert one.offered_bps.sum() == pytest.approx(one.served_bps.sum(), rel=0.1)

        position_m = np.tile([[50.0, 0.0], [650.0, 0.0], [350.0, 556.0]], (2, 1))
        scenario = three_cells.scenario(steps=2, ues=6, traffic=arrivals)
        alike = three_cells.play(scenario, trace_at(scenario, position_m), np.zeros((2, 6)))
        for one in alike:
            assert one.connected_ues.tolist() == [2, 2, 2]
            assert one.ue_throughput_bps == pytest.approx(one.ue_throughput_bps.mean(), rel=0.02)

    def test_one_ue_near_its_cell_gets_the_peak_rate(self) -> None:
        """MCS 28 on 24 of 25 RBs: TBS 17568 bits a TTI (TS 36.213 table 7.1.7.2.1-1), less headers and CQI < 15."""
        scenario = three_cells.scenario(steps=1, ues=1, traffic={"arrivals": {"model": "full-buffer"}})
        [_, last] = three_cells.play(scenario, trace_at(scenario, np.array([[0.0, 10.0]])), np.zeros((1, 6)))
        assert last.prb_utilization[0] == pytest.approx(0.96, abs=1e-3)
        assert 0.93 * 17568e3 < last.ue_throughput_bps[0] < 17568e3

    def test_the_uplink_is_delivered_and_leaves_the_downlink_alone(self, tmp_path: Path) -> None:
        received_bps, downlink = uplink_of(tmp_path / "with", uplink_bps=50e3)
        assert received_bps == pytest.approx(50e3, abs=8000)
        assert np.array_equal(downlink, uplink_of(tmp_path / "without")[1])


def trace_at(scenario: Scenario, position_m: Floats) -> MobilityTrace:
    """UEs that stand at given places."""
    trace = three_cells.trace(scenario, speed_mps=0.0)
    return replace(trace, position_m=np.tile(position_m, (len(trace.time_s), 1, 1)))


def uplink_of(folder: Path, **traffic: float) -> tuple[Floats, Floats]:
    """What arrives from each UE in the second interval, if anything, and what goes to each."""
    folder.mkdir()
    scenario = three_cells.scenario(steps=2, ues=4, traffic=traffic)
    (folder / "scenario.json").write_text(scenario.model_dump_json())
    three_cells.trace(scenario, speed_mps=0.0).write_waypoints(folder / "waypoints.csv")
    with AgentServer(f"ipc://{folder}/wire", 60) as server:
        files = [f"--scenario={folder}/scenario.json", f"--waypoints={folder}/waypoints.csv"]
        server.launch([str(program()), *files, f"--endpoint={server.endpoint}"])
        server.accept()
        for _ in range(2):
            server.receive()
            server.act(np.zeros(6))
        state = server.receive()
        assert isinstance(state.observation, dict)
        uplink_bps = json.loads(state.info).get("ue_uplink_bps", [])
        return np.array(uplink_bps), np.asarray(state.observation["ue_throughput_bps"])
