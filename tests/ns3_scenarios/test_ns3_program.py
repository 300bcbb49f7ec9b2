"""The ns-3 program does what the scenario says, by formulas and an A3 automaton that are written here anew."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import three_cells
import zmq

from ns3_scenarios.bridge import ns3gym_pb2 as pb
from ns3_scenarios.build import program
from ns3_scenarios.kpis import HANDOVER_FAILURES, EventKind
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats

pytestmark = pytest.mark.ns3

SCENARIO = three_cells.scenario()
TRACE = three_cells.trace(SCENARIO)
CIO_DB = three_cells.random_cio_db(SCENARIO)
CELLS_M = np.array(three_cells.SITES_M)


def re_dbm(position_m: Floats, bandwidth_rb: int = 25) -> Floats:
    """Power of a resource element (..., U, C): tx / (12 N_RB) less 15.3 + 37.6 log10(d), with cells 28.5 m higher."""
    distance_m = np.sqrt(((position_m[..., None, :] - CELLS_M) ** 2).sum(axis=-1) + 28.5**2)
    return 40 - 10 * np.log10(12 * bandwidth_rb) - 15.3 - 37.6 * np.log10(distance_m)


def l1_dbm(time_s: float) -> Floats:
    """L1 measurement at an instant: mean in dB over the synchronization signals of the 200 ms before it."""
    samples_s = np.maximum(time_s - 0.2 + 0.005 * np.arange(40), 0)
    return re_dbm(TRACE.position_at(samples_s)).mean(axis=0)


def test_rsrp_is_the_closed_form() -> None:
    for kpis in three_cells.played():
        assert kpis.ue_rsrp_dbm == pytest.approx(l1_dbm(float(kpis.time_s)), abs=1e-5)


def test_positions_are_exact_between_the_knots() -> None:
    for kpis in three_cells.played():
        assert kpis.ue_position_m == pytest.approx(TRACE.position_at(float(kpis.time_s)), abs=2e-6)


def test_sinr_is_that_of_a_full_network() -> None:
    noise_dbm = -174 + 10 * np.log10(15e3) + 9
    for kpis in three_cells.played():
        milliwatt = 10 ** (re_dbm(kpis.ue_position_m) / 10)
        own = milliwatt[np.arange(three_cells.UES), kpis.ue_serving_cell]
        sinr_db = 10 * np.log10(own / (milliwatt.sum(axis=1) - own + 10 ** (noise_dbm / 10)))
        # The last synchronization signal is up to 5 ms old.
        assert kpis.ue_sinr_db == pytest.approx(sinr_db, abs=0.1)


def expected_handovers(serving: list[int]) -> list[tuple[float, int, int, int]]:
    """(time, UE, source, target) by TS 36.331 5.5.4 from the trace and the CIOs; k = 4, an instant each 0.2 s."""
    handover, warmup_s = SCENARIO.handover, SCENARIO.episode.warmup_s
    trigger_s = handover.time_to_trigger_ms / 1e3
    cio_of = {pair: k for k, pair in enumerate(SCENARIO.neighbor_pairs)}
    serving = list(serving)
    entered: list[dict[int, float]] = [{} for _ in serving]
    filtered: Floats | None = None
    found = []
    for instant in range(1, round((warmup_s + SCENARIO.episode.duration_s) * 5) + 1):
        now_s = instant / 5 - warmup_s
        measured = l1_dbm(now_s)
        filtered = measured if filtered is None else (filtered + measured) / 2
        # A control instant's own measurement still sees the CIO of the step that ends.
        step = int(np.ceil(round(now_s, 6))) - 1
        cio_db = CIO_DB[step] if step >= 0 else np.zeros(len(cio_of))
        for ue, source in enumerate(serving):
            for target in range(len(CELLS_M)):
                if target == source:
                    continue
                lead_db = filtered[ue, target] + cio_db[cio_of[source, target]] - filtered[ue, source]
                if lead_db > handover.hysteresis_db:
                    entered[ue].setdefault(target, now_s)
                else:
                    entered[ue].pop(target, None)
            of_source = [k for (cell, _), k in cio_of.items() if cell == source]
            if step + 1 == round(now_s, 6) < len(CIO_DB) and (CIO_DB[step + 1] != cio_db)[of_source].any():
                entered[ue] = {}  # the cell reconfigures its UEs
            # timeToTrigger lies between one and two instants: what entered at the last one fires before the next.
            due = [target for target, since_s in entered[ue].items() if since_s < now_s - 0.01]
            if due:
                fire_s = min(entered[ue][target] for target in due) + trigger_s
                best = max(due, key=lambda target: filtered[ue, target] + cio_db[cio_of[source, target]])
                found.append((fire_s, ue, source, best))
                serving[ue], entered[ue] = best, {}
    return sorted(found)


def test_handovers_are_those_of_event_a3() -> None:
    played = three_cells.played()
    events = np.concatenate([kpis.events for kpis in played])
    started = events[events["kind"] == EventKind.HANDOVER_START]
    started = started[np.lexsort((started["ue"], started["time_s"].round(2)))]
    first_cells = re_dbm(TRACE.position_at(0.0)).argmax(axis=-1).tolist()
    expected = [row for row in expected_handovers(first_cells) if row[0] < SCENARIO.episode.duration_s]
    assert len(expected) > 20
    assert started[["ue", "source_cell", "target_cell"]].tolist() == [row[1:] for row in expected]
    assert started["time_s"] == pytest.approx([row[0] for row in expected], abs=2e-3)
    # Each is carried out.
    ended = events[events["kind"] == EventKind.HANDOVER_OK]
    assert len(events) == len(started) + len(ended)
    assert sorted(ended["ue"]) == sorted(started["ue"])
    assert played[-1].connected_ues.sum() == three_cells.UES


def test_all_that_is_offered_reaches_who_is_well_served() -> None:
    played = three_cells.played()
    packet_bit = 8 * SCENARIO.traffic.packet_bytes
    for before, kpis in pairwise(played):
        assert kpis.offered_bps.sum() == pytest.approx(three_cells.UES * 200e3, abs=1)
        assert kpis.ue_throughput_bps.sum() == pytest.approx(kpis.served_bps.sum())
        assert (kpis.prb_utilization >= 0).all()
        assert (kpis.prb_utilization <= 0.96).all()
        well = np.minimum(before.ue_sinr_db, kpis.ue_sinr_db) > 0
        well[np.concatenate([before.events["ue"], kpis.events["ue"]])] = False
        assert well.any()
        assert kpis.ue_throughput_bps[well] == pytest.approx(200e3, abs=packet_bit)


@pytest.mark.parametrize(("bandwidth_rb", "granted_rb"), [(25, 24), (50, 48), (100, 100)])
def test_a_full_cell_uses_all_resource_block_groups(bandwidth_rb: int, granted_rb: int) -> None:
    """PF grants whole RBGs of 2, 3 and 4 RBs (TS 36.213 table 7.1.6.1-1) and leaves the rest."""
    scenario = three_cells.scenario(
        steps=1,
        ues=6,
        radio={"dl_bandwidth_rb": bandwidth_rb},
        traffic={"offered_bps": 20e6 * bandwidth_rb / 25},
        episode={"steps": 1, "control_interval_s": 0.4, "warmup_s": 1.4},
    )
    last = three_cells.play(scenario, three_cells.trace(scenario, speed_mps=0.0), np.zeros((1, 6)))[-1]
    assert last.prb_utilization.max() == pytest.approx(granted_rb / bandwidth_rb, abs=2e-3)
    assert last.ue_rsrp_dbm == pytest.approx(re_dbm(last.ue_position_m, bandwidth_rb), abs=1e-5)


def test_an_offset_towards_a_cell_draws_ues_there() -> None:
    scenario = three_cells.scenario(steps=3, ues=30)
    trace = three_cells.trace(scenario, speed_mps=1.0)
    into_cell_1 = np.array([6.0 * (neighbor == 1) for _, neighbor in scenario.neighbor_pairs])
    with_offset, against_it = (
        three_cells.play(scenario, trace, np.tile(sign * into_cell_1, (3, 1)))[-1].connected_ues[1] for sign in (1, -1)
    )
    assert with_offset > against_it


def test_sixty_ues_bear_offsets_that_flip() -> None:
    """Nothing aborts (this ns-3 has its assertions) and nobody is lost when crowds hand over at one instant."""
    sites_m = [*three_cells.SITES_M, (-350.0, 606.0), (1050.0, 606.0)]
    scenario = three_cells.scenario(steps=6, ues=60, sites_m=sites_m, handover={"time_to_trigger_ms": 0})
    pairs = scenario.neighbor_pairs
    cio_db = np.array([[6.0 * (-1) ** (serving + neighbor + step) for serving, neighbor in pairs] for step in range(6)])
    played = three_cells.play(scenario, three_cells.trace(scenario), cio_db)
    assert sum(kpis.handovers for kpis in played) > 30
    assert min(kpis.connected_ues.sum() for kpis in played) >= 58


def test_a_link_fails_when_an_offset_forbids_the_handover() -> None:
    """TS 36.331 5.3.11: out of sync, T310 of 1 s, failure; then the UE selects the strongest cell by itself."""
    scenario = three_cells.scenario(steps=8, ues=20, handover={"cio_range_db": 20.0})
    trace = three_cells.trace(scenario)
    played = three_cells.play(scenario, trace, np.full((8, 6), -20.0))
    events = np.concatenate([kpis.events for kpis in played])
    assert set(events["kind"]) == {EventKind.RADIO_LINK_FAILURE, EventKind.CONNECTION_REESTABLISHED}
    lost = events[events["kind"] == EventKind.RADIO_LINK_FAILURE]
    assert len(lost) > 2
    for event in lost[lost["time_s"] < 7]:
        own, *others = (
            10
            ** (re_dbm(trace.position_at(event["time_s"] - 1)[event["ue"]]) / 10)[
                np.roll(np.arange(3), -event["source_cell"])
            ]
        )
        assert 10 * np.log10(own / sum(others)) < -5
        after = played[int(event["time_s"]) + 2]
        assert after.ue_serving_cell[event["ue"]] not in (-1, event["source_cell"])


def messages(folder: Path, scenario: Scenario, seed: int) -> list[bytes]:
    """All states of an episode without CIO, as they came over the wire."""
    folder.mkdir()
    (folder / "scenario.json").write_text(scenario.model_dump_json())
    three_cells.trace(scenario).write_waypoints(folder / "waypoints.csv")
    files = [f"--scenario={folder}/scenario.json", f"--waypoints={folder}/waypoints.csv"]
    context = zmq.Context()
    socket = context.socket(zmq.REP)
    socket.setsockopt(zmq.RCVTIMEO, 60_000)
    socket.bind(f"ipc://{folder}/wire")
    simulator = subprocess.Popen([program(), *files, f"--seed={seed}", f"--endpoint=ipc://{folder}/wire"])
    try:
        assert pb.SimInitMsg.FromString(socket.recv()).simProcessId == simulator.pid
        socket.send(pb.SimInitAck(done=True).SerializeToString())
        action = pb.EnvActMsg()
        action.actData.type = pb.Box
        action.actData.data.Pack(pb.BoxDataContainer(dtype=pb.DOUBLE, doubleData=[0.0] * 6))
        received: list[bytes] = []
        while not received or not pb.EnvStateMsg.FromString(received[-1]).isGameOver:
            received.append(socket.recv())
            socket.send(action.SerializeToString())
        assert simulator.wait(10) == 0
        return received
    finally:
        simulator.kill()
        simulator.wait()
        context.destroy(linger=0)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    scenario = three_cells.scenario(steps=2)
    one, same, other = (messages(tmp_path / f"run{k}", scenario, seed) for k, seed in enumerate((7, 7, 8)))
    assert len(one) == 3
    assert one == same
    assert one != other
    state = pb.EnvStateMsg.FromString(one[-1])
    assert (state.reason, json.loads(state.info)) == (pb.EnvStateMsg.SimulationEnd, {"ns3_version": "3.44"})


def test_tables_are_those_of_the_standard() -> None:
    """TS 36.213 tables 7.1.7.2.1-1 and 7.1.6.1-1; SINR thresholds measured independently for 25 RBs."""
    tables = json.loads(subprocess.run([program(name="mlb-lte-tables")], capture_output=True, check=True).stdout)
    sizes = tables["bandwidth_rb"]
    assert [sizes[rb]["rbg_size_rb"] for rb in ("25", "50", "100")] == [2, 3, 4]
    assert sizes["25"]["tbs_bits"][0][:3] == [16, 32, 56]
    assert [sizes[rb]["tbs_bits"][28][-1] for rb in ("25", "50", "100")] == [18336, 36696, 75376]
    cqi = sizes["25"]["cqi"]
    assert [row["mcs"] for row in cqi] == list(range(0, 30, 2))
    known_db = [-4.42, -3.0, -1.34, 0.47, 2.04, 4.32, 6.02, 7.71, 10.23, 11.5, 13.57, 15.46, 16.94, 18.89, 19.81]
    assert [row["sinr_db"] for row in cqi] == pytest.approx(known_db, abs=0.011)


def test_a_one_way_graph_lets_ues_go_round_one_way_only() -> None:
    """X2 joins both cells of a pair, but only pairs that are listed hand over."""
    pairs = [(0, 1), (1, 2), (2, 0)]
    scenario = three_cells.scenario(
        steps=4, handover={"hysteresis_db": 0, "neighbors": {"by": "list", "pairs": pairs}, "time_to_trigger_ms": 0}
    )
    played = three_cells.play(scenario, three_cells.trace(scenario), np.full((4, 3), 6.0))
    events = np.concatenate([kpis.events for kpis in played])
    done = events[events["kind"] == EventKind.HANDOVER_OK]
    assert len(done) > 3
    assert set(zip(done["source_cell"].tolist(), done["target_cell"].tolist(), strict=True)) == set(pairs)


def test_failures_by_cause_when_a_crowd_hands_over_at_one_instant() -> None:
    """64 - 8 preambles are dedicated to handovers (TS 36.321 5.1.2): of 62 UEs at one border 6 are refused at first."""
    scenario = three_cells.scenario(
        steps=1, ues=62, sites_m=three_cells.SITES_M[:2], traffic={"offered_bps": 8e3, "packet_bytes": 200},
        handover={"time_to_trigger_ms": 0, "hysteresis_db": 0},
    )  # fmt: skip
    trace = three_cells.trace(scenario, speed_mps=0.0)
    crowd_m = np.array([340.0, 0.0]) + np.random.default_rng(0).uniform(-1, 1, (62, 2))
    standing = replace(trace, position_m=np.broadcast_to(crowd_m, trace.position_m.shape).copy())
    events = three_cells.play(scenario, standing, np.array([[6.0, -6.0]]))[-1].events
    count = {kind: int((events["kind"] == kind).sum()) for kind in EventKind}
    refused = events[events["kind"] == EventKind.HANDOVER_FAILED_NO_PREAMBLE]
    at_first = refused[refused["time_s"] < 0.201]
    assert at_first["ue"].tolist() == list(range(56, 62))
    assert set(zip(refused["source_cell"].tolist(), refused["target_cell"].tolist(), strict=True)) == {(0, 1)}
    # Each command ends well or in a failure; who was refused has got none, and asks again.
    commanded = sum(count[kind] for kind in HANDOVER_FAILURES) - count[EventKind.HANDOVER_FAILED_NO_PREAMBLE]
    assert count[EventKind.HANDOVER_START] == count[EventKind.HANDOVER_OK] + commanded
    assert count[EventKind.HANDOVER_OK] == 62
