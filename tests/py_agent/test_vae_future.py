"""The learned future without causes: a made world that it learns, its draws, what it keeps, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from test_futures import network, reported

from ns3_scenarios.kpis import StepKpis
from py_agent.algorithms.checkpoint import save_tensors
from py_agent.policies import vae_future
from py_agent.policies.futures import DeadReckoning, Future, keep_future, kept_future
from py_agent.policies.vae_future import Onward, VaeFuture
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import DataError
from sumo_mobility.trace import MobilityTrace, TraceMetadata

SCENARIO = network()
LATER_S = np.array([40.0, 56.0, 85.0, 90.0, 95.0])


def turning(seed: int, duration_s: int = 120) -> MobilityTrace:
    """30 UEs on a street to the east, at 8 m/s: at its crossing at (300, 0) two of three go north."""
    random = np.random.default_rng(seed)
    along_m = random.uniform(-500, 200, 30) + 8 * np.arange(duration_s + 1.0)[:, None]
    north_m = np.maximum(along_m - 300, 0) * (random.random(30) < 2 / 3)
    still = np.zeros(along_m.shape)
    metadata = TraceMetadata.made_up((-500, 0, 1500, 1000))
    position_m = np.stack([along_m - north_m, north_m], axis=-1)
    return MobilityTrace(np.arange(duration_s + 1.0), position_m, still, still, metadata)


def foreseen(future: Future, trace: MobilityTrace, seed: int = 0, reports_s: tuple[float, ...] = (0.0, 30.0)) -> Floats:
    """Returns (K, T, U, 2) at LATER_S, after the last report."""
    kpis = StepKpis(**{name: np.zeros(1) for name in StepKpis.__dataclass_fields__})
    future.reset(seed)
    for time_s in reports_s:
        position_m = future.positions_m(reported(kpis, trace, time_s), LATER_S)
        assert position_m is not None
    return position_m


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vae_future, "_STEPS", 500)
        patch.setattr(vae_future, "_BATCH", 128)
        yield


@pytest.fixture(scope="module")
def learned(quick: None) -> Onward:
    return VaeFuture.learn([turning(seed) for seed in range(6)], "nowhere")


def test_it_learns_where_ues_turn_and_that_some_do_not(learned: Onward) -> None:
    trace = turning(100)
    drawn_m, straight_m = foreseen(VaeFuture(SCENARIO, learned, 60), trace), foreseen(DeadReckoning(SCENARIO), trace)
    assert drawn_m.shape == (60, len(LATER_S), 30, 2)
    true_m = trace.position_at(LATER_S)
    drawn_missed_m, straight_missed_m = (np.linalg.norm(way_m - true_m, axis=-1) for way_m in (drawn_m, straight_m))
    apart_m = np.linalg.norm(drawn_m[:, None] - drawn_m, axis=-1).sum(axis=(0, 1)) / (60 * 59)
    energy_score_m = (drawn_missed_m.mean(axis=0) - apart_m / 2).mean(axis=1)
    assert (energy_score_m < 0.5 * straight_missed_m.mean(axis=(0, 2))).all()
    before = np.abs(trace.position_at(30.0)[:, 0] - 215) < 35  # 6 to 15 s before the crossing
    assert before.sum() >= 3
    gone_north = drawn_m[:, 1, before, 1] > 30
    assert 0.45 < gone_north.mean() < 0.9
    expected_m = trace.position_at(30.0)[before, 0] + 26 * 8
    assert drawn_m[:, 1, before].sum(axis=-1).mean(axis=0) == pytest.approx(expected_m, abs=25)


def test_beyond_the_last_knot_ues_go_straight_on(learned: Onward) -> None:
    drawn_m = foreseen(VaeFuture(SCENARIO, learned, 4), turning(100))
    assert drawn_m[:, 4] - drawn_m[:, 3] == pytest.approx(drawn_m[:, 3] - drawn_m[:, 2])


def test_one_report_tells_no_velocity_but_traces_do(learned: Onward) -> None:
    trace = turning(100)
    drawn_m = foreseen(VaeFuture(SCENARIO, learned, 40), trace, reports_s=(30.0,))
    gone_m = drawn_m.mean(axis=0)[0].sum(axis=-1) - trace.position_at(30.0).sum(axis=-1)
    assert gone_m.mean() == pytest.approx(80, abs=15)


def test_draws_follow_from_the_seed_and_a_report_seen_twice_is_one(learned: Onward) -> None:
    future, trace = VaeFuture(SCENARIO, learned, 3), turning(100)
    first_m = foreseen(future, trace)
    assert np.array_equal(first_m, foreseen(future, trace))
    assert not np.array_equal(first_m, foreseen(future, trace, seed=1))
    assert np.abs(first_m - foreseen(future, trace, reports_s=(0.0, 30.0, 30.0))).max() > 0  # but other draws
    again_m = foreseen(VaeFuture(SCENARIO, learned, 200), trace, reports_s=(0.0, 30.0, 30.0)).mean(axis=0)
    assert np.abs(again_m - foreseen(VaeFuture(SCENARIO, learned, 200), trace).mean(axis=0))[0].mean() < 3


def test_the_same_traces_give_the_same_bytes_and_what_is_kept_draws_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vae_future, "_STEPS", 30)
    learned, state, threads = VaeFuture.learn([turning(0)], "nowhere"), torch.get_rng_state(), torch.get_num_threads()
    again = VaeFuture.learn([turning(0)], "nowhere")
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads
    for name, networks in (("one", learned), ("two", again)):
        keep_future("vae", networks, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    kept, trace = kept_future("vae", SCENARIO, tmp_path / "one", count=5), turning(100)
    assert np.array_equal(foreseen(kept, trace), foreseen(VaeFuture(SCENARIO, learned, 5), trace))


def test_what_tells_nothing_or_is_foreign_is_refused(tmp_path: Path) -> None:
    for traces in ([], [turning(0, 64)]):
        with pytest.raises(DataError, match=r"future=vae: no logged trace lasts the 65 s(?s:.*)log longer traces"):
            VaeFuture.learn(traces, "nowhere")
    save_tensors({"other": torch.zeros(1)}, tmp_path / "other")
    with pytest.raises(DataError, match=r"other: holds no networks of future=vae(?s:.*)train the policy anew"):
        kept_future("vae", SCENARIO, tmp_path / "other")


def test_short_traces_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vae_future, "_STEPS", 20)
    alone, beside = (VaeFuture.learn(traces, "") for traces in ([turning(0)], [turning(1, 64), turning(0)]))
    for name, tensor in alone.state_dict().items():
        assert torch.equal(tensor, beside.state_dict()[name])
