"""The TTI emulator: its parts against values worked out by hand, its whole against what must hold, and against ns-3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from engine_cases import scenario, trace, walk_m
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_augment.agreement import compare
from cf_augment.physics import EmulatorBackend, EngineBackend
from cf_augment.physics.constants import NS3_STREAMS_PER_CELL, TURBO_BITS
from cf_augment.physics.emulator.attachment import connections
from cf_augment.physics.emulator.config import config_of
from cf_augment.physics.emulator.rlc import build_pdu, enqueue, receive
from cf_augment.physics.emulator.state import initial_state
from cf_augment.physics.emulator.traffic import random_state, uniform
from cf_augment.physics.radio.phy import code_blocks
from cf_augment.physics.tables import block_bytes, lte_tables
from ns3_scenarios.backend import Backend
from ns3_scenarios.bridge.backend import Ns3Backend
from ns3_scenarios.bridge.event_log import EventLog
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.trace import MobilityTrace

TWO_SITES_M = [(0.0, 0.0), (700.0, 0.0)]


def play(backend: Backend, walk: MobilityTrace, cio_db: Floats, seed: int = 1) -> list[StepKpis]:
    try:
        return [backend.reset(walk, seed)] + [backend.step(row) for row in cio_db]
    finally:
        backend.close()


def standing(places_m: list[tuple[float, float]], steps: int = 2) -> MobilityTrace:
    return trace(np.tile(np.array(places_m), (steps + 1, 1, 1)), 1.0)


def still(places_m: list[tuple[float, float]], seed: int = 1, **parts: dict[str, Any]) -> StepKpis:
    """KPIs of the second step of UEs that stand between two cells, without CIO."""
    network = scenario(TWO_SITES_M, ues=len(places_m), episode={"steps": 2}, **parts)
    return play(EmulatorBackend(network), standing(places_m), np.zeros((2, 2)), seed)[-1]


def moving(network: Scenario, seed: int) -> tuple[MobilityTrace, Floats]:
    """A trace at up to 31 m/s and CIOs that change each second."""
    steps, ues = network.episode.steps, network.mobility.ues
    walk = trace(walk_m(1, ues, steps + 1, 1.0, seed=seed, speed_mps=25.0)[0], 1.0)
    return walk, np.random.default_rng(seed).uniform(-6, 6, (steps, len(network.neighbor_pairs)))


def test_the_random_numbers_are_those_of_mrg32k3a() -> None:
    """The first numbers, the next stream and the next substream of RngStreams (L'Ecuyer et al., 2002)."""
    state = np.full(6, 12345)
    assert [uniform(state) for _ in range(3)] == pytest.approx([0.127011122, 0.318527565, 0.309186016], abs=5e-10)
    assert random_state(0, 0, 12345).tolist() == [12345] * 6
    following = [3692455944, 1366884236, 2968912127, 335948734, 4161675175, 475798818]
    assert random_state(1, 0, 12345).tolist() == following
    assert random_state(0, 1, 12345).tolist() == [870504860, 2641697727, 884013853, 339352413, 2374306706, 3651603887]


@pytest.mark.slow
def test_a_pdu_is_packed_as_the_standard_packs_it() -> None:
    """TS 36.322 6.2.1.3: 2 bytes of header, 12 bits for the length of each SDU but the last."""
    network = scenario(TWO_SITES_M, ues=1, traffic={"packet_bytes": 70})
    config, state = config_of(network), initial_state(1, 2)
    enqueue(config, state, 0, 4)
    queue = state.bearers[0]
    assert state.candidates[0]["reported_bytes"] == 4 * (100 + 2)
    # 2 of header, 100, 2 of length, 100, 1 of length, 45 of the third.
    assert build_pdu(config, state, 0, 250, 10) == 0
    assert (queue["packets"], queue["head_bytes"], queue["report_due"]) == (2, 55, 20)
    # 55, 2 of length, 41 of the last.
    assert build_pdu(config, state, 0, 100, 11) == 1
    assert (queue["packets"], queue["head_bytes"]) == (1, 59)
    assert build_pdu(config, state, 0, 100, 12) == 2
    assert build_pdu(config, state, 0, 100, 13) == -1
    receive(config, state, 0, 0, 14)
    assert state.ues[0]["delivered"] == 2
    receive(config, state, 0, 2, 15)  # PDU 1 is missing
    assert state.ues[0]["delivered"] == 2
    receive(config, state, 0, 1, 16)
    assert state.ues[0]["delivered"] == 4
    assert queue["vr_ur"] == queue["vr_uh"] == 3


@pytest.mark.parametrize("bandwidth_rb", [25, 50, 100])
def test_a_lone_packet_takes_whole_ttis_of_all_rbgs(bandwidth_rb: int) -> None:
    """1000 bytes have 30 of headers and 2 of RLC's in each TTI; 25 packets come a second."""
    kpis = still([(150.0, 0.0)], radio={"dl_bandwidth_rb": bandwidth_rb})
    tables = lte_tables(bandwidth_rb)
    cqi = sum(kpis.ue_sinr_db[0] >= row.sinr_db for row in tables.cqi)
    ttis = -(-1030 // (block_bytes(bandwidth_rb)[cqi] - 2))
    granted = bandwidth_rb // tables.rbg_size_rb * tables.rbg_size_rb
    assert kpis.prb_utilization[0] == pytest.approx(25 * ttis * granted / bandwidth_rb / 1000, abs=1e-12)
    assert kpis.prb_utilization[1] == 0
    assert kpis.ue_throughput_bps[0] == kpis.offered_bps[0] == 200e3


@pytest.mark.parametrize(("scheduler", "ttis", "rbs"), [("pf", 500, 24), ("rr", 1000, 12)])
def test_two_full_buffers_at_one_place_share_equally(scheduler: str, ttis: int, rbs: int) -> None:
    """PF gives whole TTIs in turn, 24 RBs of 25 and their block each; RR gives 6 RBGs of 12 each, in every TTI."""
    kpis = still(
        [(100.0, 0.0), (-100.0, 0.0)],
        radio={"scheduler": scheduler},
        traffic={"arrivals": {"model": "full-buffer"}},
    )
    key = "sinr_db" if scheduler == "pf" else "wideband_sinr_db"
    rows = lte_tables(25).cqi
    row = rows[sum(kpis.ue_sinr_db[0] >= getattr(row, key) for row in rows) - 1]
    assert kpis.prb_utilization[0] == pytest.approx(24 / 25, abs=1e-3)
    payload_bps = lte_tables(25).tbs_bits[row.mcs][rbs - 1] * ttis * 1000 / 1034
    assert kpis.ue_throughput_bps == pytest.approx([payload_bps] * 2, rel=0.02)


def test_round_robin_leaves_the_rest_of_a_division() -> None:
    """Five UEs get 2 RBGs of 12 each, 20 RBs of 25."""
    kpis = still([(100.0 + 10 * ue, 0.0) for ue in range(5)], radio={"scheduler": "rr"}, traffic={"offered_bps": 8e6})
    assert kpis.prb_utilization[0] == pytest.approx(20 / 25, abs=0.002)


def test_cqi_from_pdsch_sees_how_little_the_others_send_and_sends_again() -> None:
    """A silent cell lets its UEs report a channel without interference, which the next block does not find."""
    places = [(250.0, 0.0), (450.0, 0.0)]
    control, pdsch = (still(places, radio={"cqi": cqi}, traffic={"offered_bps": 400e3}) for cqi in ("control", "pdsch"))
    assert pdsch.prb_utilization.sum() < control.prb_utilization.sum()
    assert (pdsch.ue_sinr_db > control.ue_sinr_db - 0.01).all()
    assert pdsch.ue_throughput_bps == pytest.approx(control.ue_throughput_bps, rel=0.05)


@pytest.mark.parametrize(
    ("size_bits", "blocks"),
    [
        (40, [(1, 40), (0, 40)]),
        (1000, [(1, 512), (0, 40)]),
        (6144, [(1, 6144), (0, 40)]),
        (14688, [(3, 4032), (0, 4032)]),
    ],
)
def test_transport_blocks_are_segmented_as_the_standard_does(size_bits: int, blocks: list[tuple[int, int]]) -> None:
    """TS 36.212 5.1.2: 14688 bits and 3 CRCs of 24 are 3 x 4920, rounded up to 4928, or 4864 in part."""
    classes = (40, 104, 160, 256, 512, 1024, 2560, 4032, 6144)
    found = [(count, classes[size]) for count, size in code_blocks(size_bits)]
    assert found == blocks


def test_the_turbo_code_has_the_sizes_of_the_standard() -> None:
    """TS 36.212 table 5.1.3-3, as its last indices and sizes tell it: 60, 92, 124 and 188 at 512 to 6144 bits."""
    assert [TURBO_BITS[index - 1] for index in (1, 2, 60, 61, 92, 93, 124, 125, 188)] == [
        40, 48, 512, 528, 1024, 1056, 2048, 2112, 6144,
    ]  # fmt: skip
    for low, high in ((1, 60), (60, 92), (92, 124), (124, 188)):
        assert len(set(np.diff(TURBO_BITS[low - 1 : high]))) == 1
    assert len(TURBO_BITS) == 188


@pytest.mark.slow
@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**31),
    model=st.sampled_from(["cbr", "poisson", "on-off", "full-buffer"]),
    scheduler=st.sampled_from(["pf", "rr"]),
    cqi=st.sampled_from(["control", "pdsch"]),
    offered_bps=st.sampled_from([1e3, 50e3, 400e3, 3e6]),
    ues=st.integers(1, 12),
)
def test_nothing_comes_from_nothing(
    seed: int, model: str, scheduler: str, cqi: str, offered_bps: float, ues: int
) -> None:
    network = scenario(
        ues=ues,
        radio={"scheduler": scheduler, "cqi": cqi},
        traffic={"offered_bps": offered_bps, "arrivals": {"model": model}},
        episode={"steps": 3},
    )
    walk, cio_db = moving(network, seed)
    episode = play(EmulatorBackend(network), walk, cio_db, seed)
    for kpis in episode:
        values = np.concatenate([kpis.prb_utilization, kpis.offered_bps, kpis.served_bps, kpis.ue_throughput_bps])
        assert np.isfinite(values).all()
        assert (values >= 0).all()
        assert np.isfinite(kpis.ue_sinr_db).all()
        assert (kpis.prb_utilization <= 24 / 25).all()
        assert kpis.connected_ues.sum() == (kpis.ue_serving_cell >= 0).sum()
        assert kpis.served_bps.sum() == pytest.approx(kpis.ue_throughput_bps.sum(), rel=1e-12)
    arrived, delivered = (sum(getattr(kpis, name).sum() for kpis in episode) for name in ("offered_bps", "served_bps"))
    waiting = ues * 8 * (network.traffic.packet_bytes * 20 + 10 * 1024)
    assert delivered <= arrived + waiting
    lost_cells = [event for kpis in episode for event in kpis.events]
    if model == "cbr" and offered_bps <= 50e3 and not lost_cells and min(k.ue_sinr_db.min() for k in episode) > 0:
        assert delivered >= arrived - ues * 8 * network.traffic.packet_bytes


def test_a_seed_is_an_episode_and_another_seed_another() -> None:
    network = scenario(ues=12, traffic={"arrivals": {"model": "poisson"}}, episode={"steps": 3})
    walk, cio_db = moving(network, 5)
    first, again, other = (play(EmulatorBackend(network), walk, cio_db, seed) for seed in (1, 1, 2))
    assert first == again
    assert any((a.offered_bps != b.offered_bps).any() for a, b in zip(first, other, strict=True))


def test_events_are_those_of_the_engine() -> None:
    """Both mirror event A3; UEs that have no cell are left out, for the engine finds them one sooner."""
    for time_to_trigger_ms in (0, 256, 640):
        network = scenario(ues=40, episode={"steps": 14}, handover={"time_to_trigger_ms": time_to_trigger_ms})
        walk, cio_db = moving(network, 3)
        emulator, engine = (play(kind(network), walk, cio_db) for kind in (EmulatorBackend, EngineBackend))
        metrics = compare(engine, emulator)
        assert metrics["handovers_ns3"] > 20
        assert metrics["handover_match"] == 1
        assert metrics["serving_agreement"] == 1
        assert metrics["rsrp_max_db"] < 1e-3


def test_what_it_does_not_mirror_is_refused() -> None:
    for parts, field in (
        ({"radio": {"rrc": "real"}}, r"radio\.rrc"),
        ({"traffic": {"uplink_bps": 1e5}}, r"traffic\.uplink_bps"),
    ):
        with pytest.raises(ConfigError, match=f"{field}: the back end emulator has no .*\n.*use the back end ns3"):
            EmulatorBackend(scenario(ues=4, **parts))
    network = scenario(ues=1, episode={"steps": 2})
    with pytest.raises(DataError, match=r"position_m\[0, 0, 0\] is beyond 2e\+07 m"):
        EmulatorBackend(network).reset(standing([(1e12, 0.0)]), 1)


SAME_AS_NS3: dict[str, dict[str, Any]] = {
    "overloaded": {"traffic": {"offered_bps": 400e3}},
    "100 RB": {"radio": {"dl_bandwidth_rb": 100}, "traffic": {"offered_bps": 1.6e6}},
    "round robin": {"radio": {"scheduler": "rr"}, "traffic": {"offered_bps": 250e3}},
    "poisson": {"traffic": {"offered_bps": 250e3, "arrivals": {"model": "poisson"}}},
    "on-off": {"radio": {"scheduler": "rr"}, "traffic": {"offered_bps": 250e3, "arrivals": {"model": "on-off"}}},
    "full buffer": {"traffic": {"arrivals": {"model": "full-buffer"}}},
    "uma": {"radio": {"path_loss": {"model": "uma"}}, "traffic": {"offered_bps": 150e3}},
    "umi, data region": {"radio": {"path_loss": {"model": "umi"}, "cqi": "pdsch"}, "traffic": {"offered_bps": 150e3}},
}
"""What the emulator has in common with ns-3 packet by packet; path loss matters since ns-3's models draw streams."""


@pytest.mark.ns3
@pytest.mark.parametrize("name", SAME_AS_NS3)
def test_it_sends_what_ns3_sends(name: str) -> None:
    """At 400 kb/s half of the cells are overloaded; UEs ride at up to 31 m/s, and every CIO changes each second."""
    network = scenario(ues=20, episode={"steps": 3}, **SAME_AS_NS3[name])
    walk, cio_db = moving(network, 7)
    metrics = compare(play(Ns3Backend(network), walk, cio_db), play(EmulatorBackend(network), walk, cio_db))
    assert metrics["serving_agreement"] >= 0.99
    assert metrics["handover_match"] >= 0.95
    # Under the data region's CQI chance decides whether blocks break.
    assert metrics["utilization_mae_pp"] <= (0.5 if network.radio.cqi == "pdsch" else 0.15)
    assert metrics["throughput_mae_share"] <= 0.02
    assert abs(metrics["served_error_share"]) <= 0.01


@pytest.mark.ns3
def test_it_sends_what_ns3_sends_under_cqi_from_pdsch(tmp_path: Path) -> None:
    """Packets come each 25 ms: whether a UE reports in odd or in even TTIs decides what interference it reports."""
    network = scenario(ues=20, radio={"cqi": "pdsch"}, traffic={"offered_bps": 320e3}, episode={"steps": 1})
    walk, cio_db = moving(network, 7)
    event_log = EventLog(tmp_path)
    ns3, emulated = (
        play(Ns3Backend(network, event_log=event_log), walk, cio_db),
        play(EmulatorBackend(network), walk, cio_db),
    )
    metrics = compare(ns3, emulated)
    assert metrics["serving_agreement"] == metrics["handover_match"] == 1
    assert metrics["utilization_mae_pp"] <= 0.3
    assert metrics["throughput_mae_share"] <= 0.02
    # What breaks is chance, and with it who sends in the TTI that is measured.
    errors_db = [abs(a.ue_sinr_db - b.ue_sinr_db) for a, b in zip(ns3, emulated, strict=True)]
    assert np.median(errors_db) <= 0.01

    grants = pq.read_table(event_log.path(0, "dl_dci"), filters=[("time_s", "<", -1)]).to_pydict()
    rntis = sorted(set(zip(grants["cell"], grants["rnti"], grants["ue"], strict=True)))
    cell_of = {ue: cell for cell, _, ue in rntis}
    serving = np.array([cell_of[ue] for ue in range(20)])
    order = [ue for _, ue in connections(serving, NS3_STREAMS_PER_CELL * len(network.cells), 1, 460)]
    for cell in range(len(network.cells)):
        assert [ue for where, _, ue in rntis if where == cell] == [ue for ue in order if serving[ue] == cell]
