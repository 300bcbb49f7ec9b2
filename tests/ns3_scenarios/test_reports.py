"""What is reported of an episode: against a loop that is written down by hand, row by row and all at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import made_episodes as made
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_augment.dataset.records import stack_kpis
from ns3_scenarios.kpis import KPI_AXES, StepKpis
from ns3_scenarios.reports import Reporter, Reports
from ns3_scenarios.scenario import Preset
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.base.seeds import stream

PLACE = made.scenario()
NOISY = Reports(delay_intervals=2, load_noise_std=0.3, rsrp_noise_std_db=2.0)


def rows(count: int, seed: int = 0) -> list[StepKpis]:
    random, moves = stream(seed, "rows"), made.trace(seed, steps=count)
    return [made.kpis(PLACE, moves, row, random) for row in range(count)]


def by_hand(reports: Reports, truth: list[StepKpis], seed: int, now: int) -> StepKpis:
    """What a controller knows at row `now`."""
    row = now
    for _ in range(reports.delay_intervals):
        if row > 0:
            row -= 1
    kpis, random = truth[row], stream(seed, "reports", row)
    load, rsrp_dbm = kpis.prb_utilization.copy(), kpis.ue_rsrp_dbm.copy()
    for cell in range(len(load)):
        load[cell] = min(1.0, max(0.0, load[cell] + reports.load_noise_std * random.standard_normal()))
    for ue in range(len(rsrp_dbm)):
        for cell in range(len(load)):
            rsrp_dbm[ue, cell] += reports.rsrp_noise_std_db * random.standard_normal()
    return replace(kpis, prb_utilization=load, ue_rsrp_dbm=rsrp_dbm)


@settings(max_examples=30)
@given(
    delay=st.integers(0, 6), load_std=st.sampled_from([0.0, 0.3]), rsrp_std_db=st.sampled_from([0.0, 2.0]),
    seed=st.integers(0, 1000), count=st.integers(1, 6),
)  # fmt: skip
def test_reports_are_those_of_a_loop_by_hand(
    delay: int, load_std: float, rsrp_std_db: float, seed: int, count: int
) -> None:
    reports = Reports(delay_intervals=delay, load_noise_std=load_std, rsrp_noise_std_db=rsrp_std_db)
    truth = rows(count, seed)
    before = stack_kpis(truth)[0]
    reporter, episode = Reporter(reports, [seed]), reports.of_rows(before, seed)
    for now, kpis in enumerate(truth):
        told, expected = reporter.report(kpis), by_hand(reports, truth, seed, now)
        assert np.array_equal(told.events, expected.events)
        for name in KPI_AXES:
            np.testing.assert_allclose(getattr(told, name), getattr(expected, name), rtol=1e-12, err_msg=name)
            np.testing.assert_array_equal(getattr(episode, name)[now], getattr(told, name), err_msg=name)
    assert before == stack_kpis(truth)[0]  # and the truth is as it was


def test_each_of_a_batch_is_reported_as_if_it_were_alone() -> None:
    episodes, seeds = [rows(5, seed) for seed in (1, 2, 3)], [7, 8, 9]
    together, apart = Reporter(NOISY, seeds), [Reporter(NOISY, [seed]) for seed in seeds]
    for now in range(5):
        batch = stack_kpis([episode[now] for episode in episodes])[0]
        told = together.report(replace(batch, events=batch.events[:0]))
        for index, reporter in enumerate(apart):
            alone = reporter.report(episodes[index][now])
            for name in KPI_AXES:
                np.testing.assert_array_equal(getattr(told, name)[index], getattr(alone, name), err_msg=name)


def test_noise_has_the_spread_that_was_asked_for_and_no_two_rows_or_seeds_share_it() -> None:
    [kpis] = rows(1)
    reports = Reports(load_noise_std=0.01, rsrp_noise_std_db=3.0)
    wide = replace(kpis, prb_utilization=np.full(3, 0.5), ue_rsrp_dbm=np.full((400, 3), -90.0))
    told = [Reporter(reports, [seed]).report(wide) for seed in (1, 2)]
    reporter = Reporter(reports, [1])
    told += [reporter.report(wide) for _ in range(2)][1:]
    noise_db = np.stack([one.ue_rsrp_dbm + 90.0 for one in told]).reshape(3, -1)
    assert noise_db.std(axis=1) == pytest.approx(3.0, rel=0.1)
    assert noise_db.mean(axis=1) == pytest.approx(0, abs=0.35)
    assert np.abs(np.corrcoef(noise_db) - np.eye(3)).max() < 0.15
    assert len({one.prb_utilization.tobytes() for one in told}) == 3


def test_without_settings_what_is_reported_is_the_kpis_themselves() -> None:
    reporter = Reporter(Reports(), [3])
    assert all(reporter.report(kpis) is kpis for kpis in rows(3))


def test_settings_that_are_not_set_are_left_out_of_files() -> None:
    """What older versions wrote, and read, has no such key."""
    assert "reports" not in made.scenario().model_dump()
    set_ = made.preset(reports={"delay_intervals": 1})
    assert set_.model_dump()["reports"]["delay_intervals"] == 1
    assert Preset.parse(set_.model_dump(), "test") == set_


@pytest.mark.parametrize(
    ("reports", "message"),
    [
        ({"delay_intervals": -1}, r"reports\.delay_intervals: .*greater than or equal to 0, got -1"),
        ({"delay_intervals": 1.5}, r"reports\.delay_intervals: .*integer"),
        ({"delay_intervals": 5}, r"delay_intervals = 5: nothing .* episode of 5 steps; lower it to 4 .*episode\.steps"),
        ({"delay_s": 30}, r"reports\.delay_s: unknown key \(did you mean 'delay_intervals'"),
        ({"load_noise_std": 2}, r"reports\.load_noise_std: .*less than or equal to 1, got 2"),
        ({"rsrp_noise_std_db": float("nan")}, r"reports\.rsrp_noise_std_db: "),
        ({"rsrp_noise_std_db": -1}, r"reports\.rsrp_noise_std_db: .*greater than or equal to 0"),
    ],
)
def test_bad_settings_are_refused_by_name(reports: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made.preset(reports=reports)
