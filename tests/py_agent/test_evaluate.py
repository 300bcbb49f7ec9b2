"""Evaluation in the engine, and its metrics against brute force and values worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from small_world import small_dataset, small_episode, small_scenario, small_trace

from ns3_scenarios.kpis import EVENT_DTYPE, HANDOVER_FAILURES, EventKind
from py_agent.algorithms.base import trained_policy
from py_agent.algorithms.sac import SacConfig
from py_agent.evaluate import evaluate
from py_agent.metrics import METRICS, episode_metrics
from py_agent.policies.rules import IntegralRule, Static
from py_agent.statistics import summarize
from py_agent.train import TrainConfig, train
from sumo_mobility.base.errors import MlbError, StorageError

SCENARIO = small_scenario()


def test_episode_metrics_by_hand() -> None:
    episode = small_episode(SCENARIO, 0)
    throughput_bps = np.tile(np.arange(12.0) * 1e4, (7, 1))
    throughput_bps[0] = 1e9  # the reset does not count
    throughput_bps[1, 0], throughput_bps[2, 0] = 3e4, 3e4  # UE 0 means 1e4 over 6 steps
    load = np.tile([0.2, 0.4, 0.6], (7, 1))
    load[0] = 0
    done, lost = EventKind.HANDOVER_OK, EventKind.RADIO_LINK_FAILURE
    rows = [(-1, 0, 0, 1, done), (1, 0, 0, 1, done), (1.9, 0, 1, 0, done), (3, 3, 1, -1, lost)]
    rows += [(4 + cause, 3, 1, 0, failed) for cause, failed in enumerate(HANDOVER_FAILURES)]
    kpis = replace(
        episode.kpis, ue_throughput_bps=throughput_bps, prb_utilization=load, events=np.array(rows, EVENT_DTYPE)
    )
    made = replace(episode, kpis=kpis, event_start=np.array([0, 1, *[len(rows)] * 6]))
    assert SCENARIO.handover.ping_pong_window_s == 1
    metrics = episode_metrics(SCENARIO, made)
    ue_minutes = 12 * 6 / 60
    assert set(metrics) == set(METRICS)
    assert metrics["load_std"] == pytest.approx(np.sqrt(0.08 / 3))
    assert metrics["jain"] == pytest.approx(1.2**2 / (3 * 0.56))
    # sorted means 1e4, 1e4, 2e4, ...: the 5th percentile of 12 lies 0.55 of the way from the first to the second
    assert metrics["p5_throughput_bps"] == pytest.approx(1e4)
    assert metrics["mean_throughput_bps"] == pytest.approx((66 + 1) * 1e4 / 12)
    assert metrics["handovers_per_ue_minute"] == pytest.approx(2 / ue_minutes)
    assert metrics["ping_pong_share"] == pytest.approx(0.5)
    assert metrics["failures_per_ue_minute"] == pytest.approx(5 / ue_minutes)
    assert metrics["rlf_per_ue_minute"] == pytest.approx(1 / ue_minutes)
    assert metrics["unnecessary_per_ue_minute"] == pytest.approx(1 / ue_minutes)


def causes_of(rows: list[tuple[float, int, int, int, int]], last_cell: int) -> dict[str, float]:
    """UE-minutes times what the causes of failures are, in an episode after which UE 3 is in a cell."""
    episode = small_episode(SCENARIO, 0)
    serving = episode.kpis.ue_serving_cell.copy()
    serving[-1, 3] = last_cell
    kpis = replace(episode.kpis, events=np.array(rows, EVENT_DTYPE), ue_serving_cell=serving)
    metrics = episode_metrics(SCENARIO, replace(episode, kpis=kpis, event_start=np.array([0] * 2 + [len(rows)] * 6)))
    return {name[: -len("_per_ue_minute")]: 12 * 6 / 60 * value for name, value in metrics.items() if "_ue_" in name}


def test_failures_by_cause_and_what_older_episodes_do_not_tell() -> None:
    lost, again = EventKind.RADIO_LINK_FAILURE, EventKind.CONNECTION_REESTABLISHED
    late = [(0.5, 3, 1, -1, lost), (0.6, 3, 1, 0, again)]
    early = [(1, 3, 0, 1, EventKind.HANDOVER_START), (2, 3, 1, -1, lost), (2.1, 3, 1, 0, again)]
    wrong = [(3, 3, 0, 1, EventKind.HANDOVER_START), (4, 3, 1, -1, lost), (4.1, 3, 1, 2, again)]
    cover = [(4.5, 3, 2, -1, lost), (4.6, 3, 2, 2, again)]
    found = causes_of([*late, *early, *wrong, *cover, (5.9, 3, 2, -1, lost)], -1)
    expected = {
        "too_late": 1,
        "too_early": 1,
        "wrong_cell": 1,
        "mobility_failures": 3,
        "coverage": 1,
        "unknown_cause": 1,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["rlf"] == pytest.approx(5)
    # A UE that is on its way at the end is no sign of an older record; one that is connected, and nobody says how, is.
    assert causes_of([(5.9, 3, 2, -1, lost)], -1)["too_late"] == 0
    old = causes_of([late[0]], 0)
    assert {name for name, value in old.items() if np.isnan(value)} == {*expected} - {"unknown_cause"}
    assert old["unknown_cause"] == pytest.approx(1)
    assert causes_of([], 0)["too_late"] == 0


@pytest.mark.slow
def test_evaluation_is_paired_resumable_and_knows_its_policies(tmp_path: Path) -> None:
    config = TrainConfig.of("sac")(sac=SacConfig(hidden=8, batch_size=8, gradient_steps=2))
    (last,) = train(config, small_dataset(SCENARIO, [0]), None, [tmp_path / "sac"], resume=False)
    traces = {f"test-{seed}": small_trace(SCENARIO, seed) for seed in (10, 11)}
    policies = {
        "static": Static,
        "integral": partial(IntegralRule, gain_db=4.0),
        "sac": partial(trained_policy, checkpoint=last),
    }
    directory = tmp_path / "episodes"
    evaluation = evaluate(SCENARIO, traces, policies, [0], directory, backend="engine")
    table = evaluation.per_episode
    assert table.groupby("policy", sort=False)["trace"].agg(list).to_dict() == {
        name: ["test-10", "test-11"] for name in policies
    }
    steps = evaluation.per_step
    assert len(steps) == 3 * 2 * 6
    means = steps.groupby(["policy", "trace"])["load_std"].mean()
    for row in table.itertuples():
        assert row.load_std == pytest.approx(means[row.policy, row.trace])
    assert list(summarize(table).index) == list(policies)
    kept = {path: path.stat().st_mtime_ns for path in directory.glob("*.h5")}
    again = evaluate(SCENARIO, traces, policies, [0], directory, backend="engine")
    assert again.per_episode.equals(table)
    assert {path: path.stat().st_mtime_ns for path in directory.glob("*.h5")} == kept
    with pytest.raises(StorageError, match=r"'integral' were played by IntegralRule\(gain_db=4.0\), now it is"):
        evaluate(SCENARIO, traces, {"integral": IntegralRule}, [0], directory, backend="engine")
    last.write_bytes((tmp_path / "sac" / "checkpoints" / "step-0000002.pt").read_bytes() + b" ")
    with pytest.raises(StorageError, match=r"'sac' were played by trained_policy\(checkpoint=sha256:"):
        evaluate(SCENARIO, traces, policies, [0], directory, backend="engine")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "an integer of 5000 digits"),
        ('{"static": 1e999}', "not finite"),
        ("[1]", "does not say in text what each policy was"),
        ('{"static": {"a": 1}}', "does not say in text what each policy was"),
        ('{"static": "\\u001b[2J' + "x" * 9000 + '"}', "were played by .{400,500}, now it is Static"),
    ],
)
def test_damaged_memory_of_policies_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "policies.json").write_text(text)
    (tmp_path / "test-0-static-0.h5").touch()
    with pytest.raises(MlbError, match=rf"policies\.json: .*{message}") as refused:
        evaluate(SCENARIO, {}, {"static": Static}, [0], tmp_path, backend="engine")
    assert refused.value.cure == "choose another directory"
    assert refused.value.message.isprintable()
