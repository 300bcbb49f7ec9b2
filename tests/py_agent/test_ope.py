"""`mlb dataset ope`: real policies, the engine and d3rlpy's FQE on a small network; data that do not do."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path

import made_episodes as made
import numpy as np
import pytest
from rich.console import Console
from small_world import small_dataset, small_scenario, small_trace

from cf_augment.dataset import Dataset, Episode, EpisodeMetadata, Provenance, write_dataset
from ns3_scenarios.scenario import Scenario
from py_agent.cli import ope
from py_agent.cli.commands import parse
from py_agent.ope.fqe import fitted_q
from py_agent.ope.judge import Judgement, OffPolicy, off_policy
from py_agent.policies import policy_factory
from py_agent.rollout import run_engine_episodes
from py_agent.statistics import Estimate
from sumo_mobility.base.errors import ConfigError, DataError

NOISE = "noise:std=0.5,around=integral"


def logged(scenario: Scenario, policies: list[str], traces: int = 4, seeds: int = 1) -> Dataset:
    """Episodes of policies in the engine."""
    jobs = [(policy, trace, seed) for trace in range(traces) for policy in policies for seed in range(seeds)]
    records = [
        EpisodeMetadata(
            scenario_id=scenario.id, trace_name=f"t{trace}", policy=policy, seed=seed, backend="engine",
            provenance=Provenance(action_source=policy),
        )
        for policy, trace, seed in jobs
    ]  # fmt: skip
    episodes = run_engine_episodes(
        scenario,
        [small_trace(scenario, trace) for _, trace, _ in jobs],
        [policy_factory(policy)(scenario) for policy, _, _ in jobs],
        records,
    )
    return Dataset(scenario, tuple(episodes))


def test_the_behaviour_policy_is_worth_exactly_the_mean_of_its_data() -> None:
    """All ratios are 1: the policy was asked again what it was asked then, and the file's precision is kept."""
    scenario = small_scenario()
    data = logged(scenario, [NOISE], seeds=2)
    found = off_policy(data, {"same": policy_factory(NOISE)}, discount=1.0, fqe_steps=0)
    [same] = found.judgements
    assert (found.episodes, found.traces, same.weighted_episodes) == (8, 4, 8)
    assert same.estimates["IS"] == same.estimates["WIS"] == found.logged
    assert found.logged.value == pytest.approx(float(data.rewards.mean()), rel=1e-6)
    assert same.effective_sample_size == same.effective_sample_size_per_step == 8
    assert same.replay == found.logged == found.logged_replay  # the engine logged it


def test_reports_that_are_late_and_noisy_are_seen_again() -> None:
    reports = {"delay_intervals": 1, "load_noise_std": 0.1, "rsrp_noise_std_db": 1.0}
    scenario = Scenario.parse(small_scenario().model_dump() | {"reports": reports}, "test")
    found = off_policy(logged(scenario, [NOISE]), {"same": policy_factory(NOISE)}, fqe_steps=0)
    assert found.judgements[0].estimates["IS"] == found.logged


def test_weights_are_the_ratio_of_the_densities() -> None:
    """Against the truth that the engine plays: 400 episodes of one step, so that the weights leave enough."""
    base = small_scenario().model_dump()
    scenario = Scenario.parse(
        base | {"episode": base["episode"] | {"steps": 1}, "traffic": {"offered_bps": 8e5}}, "test"
    )
    other = "noise:std=0.4,around=static"
    data = logged(scenario, ["random"], traces=2, seeds=200)
    [judged] = off_policy(data, {"other": policy_factory(other)}, fqe_steps=0).judgements
    [(is_, _, _), (wis, _, _)] = (judged.estimates[name] for name in ("IS", "WIS"))
    assert 20 < judged.effective_sample_size < 300
    spread = float(data.rewards.std()) / np.sqrt(judged.effective_sample_size)
    assert wis == pytest.approx(judged.replay.value, abs=4 * spread)
    assert is_ == pytest.approx(wis, rel=0.5)


def test_what_has_no_density_is_refused_and_the_rest_goes_on() -> None:
    scenario = small_scenario()
    data = logged(scenario, [NOISE, "epsilon:epsilon=0.5,around=static", "static"])
    texts = ["integral", "epsilon:epsilon=0.3,around=integral", NOISE]
    rule, epsilon, noise = off_policy(data, {t: policy_factory(t) for t in texts}, fqe_steps=0).judgements
    for each in (rule, epsilon):
        assert not each.estimates
        assert each.refused["IS"] == "the policy has no density; judge noise:std=0.1,around=it"
        assert each.refused["FQE"] == "FQE was left out"
        assert each.weighted_episodes == 0
        assert np.isfinite(each.replay).all()
    # Of the behaviour policies only one has a density of all its actions; epsilon's lucky episodes do not count.
    assert noise.weighted_episodes == 4
    assert noise.effective_sample_size == 4
    no_density = off_policy(logged(scenario, ["static"]), {"n": policy_factory(NOISE)}, fqe_steps=0).judgements[0]
    assert no_density.refused["WIS"] == "no behaviour policy has a log-density of each of its actions"


@pytest.mark.slow
def test_fqe_of_d3rlpy_comes_near_the_truth_and_gives_the_same_again() -> None:
    """A bandit in steps: the reward is what the action is, and the evaluated policy does the best."""
    random = np.random.default_rng(0)
    observations = random.normal(size=(40, 5, 2))
    actions = random.uniform(-1, 1, (40, 5, 1))
    rewards = -((actions[..., 0] - 0.5) ** 2)
    chosen = np.full_like(actions, 0.5)
    q, v = fitted_q(observations, actions, rewards, chosen, 0.9, 1500, 3)
    assert (q.shape, v.shape) == ((40, 5), (40, 6))
    assert not v[:, -1].any()
    behaviour = float(rewards.mean()) * sum(0.9**t for t in range(5))
    assert behaviour < -2
    assert abs(v[:, 0].mean()) < 0.15  # the truth is 0
    assert np.abs(q - rewards).max() < 0.5  # what follows is worth 0
    again = fitted_q(observations, actions, rewards, chosen, 0.9, 1500, 3)
    assert np.array_equal(again[0], q)
    assert np.array_equal(again[1], v)


@pytest.mark.slow
def test_the_command_prints_all_estimators_with_fqe(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = logged(small_scenario(), [NOISE, "random"])
    write_dataset(tmp_path / "logged.h5", data.scenario, data.episodes)
    words = ["dataset", "ope", str(tmp_path / "logged.h5"), "--policies", NOISE, "integral"]
    result = parse([*words, "--fqe-steps", "50", "--discount", "0.9"]).execute()
    assert capfd.readouterr().out == ""  # d3rlpy's log would be in the JSON
    assert result.data["discount"] == 0.9
    noise, rule = result.data["policies"]
    assert list(noise["estimates"]) == ["IS", "WIS", "PDWIS", "DR", "WDR", "FQE"]
    assert list(rule["estimates"]) == ["FQE"]
    assert set(rule["refused"]) == {"IS", "WIS", "PDWIS", "DR", "WDR"}
    console = Console(width=100, record=True)
    console.print(result.view)
    text = console.export_text()
    assert "the weights leave" in text
    assert "integral: no IS, WIS, PDWIS, DR, WDR: the policy has no density" in text


def test_without_d3rlpy_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "d3rlpy", None)
    [judged] = off_policy(logged(small_scenario(), [NOISE]), {"n": policy_factory(NOISE)}).judgements
    assert judged.refused["FQE"] == judged.refused["DR"] == "FQE: d3rlpy is not installed; pip install d3rlpy==2.8.1"
    assert set(judged.estimates) == {"IS", "WIS", "PDWIS"}


class Fits4Cells:
    """As a checkpoint of another network."""

    def __init__(self, scenario: Scenario) -> None:
        raise DataError("policy: acts in 4 cells, the scenario has 3")


def test_what_cannot_be_judged_is_refused(tmp_path: Path) -> None:
    scenario = small_scenario()
    data, policies = small_dataset(scenario, [1]), {"n": policy_factory(NOISE)}
    for discount in (0.0, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="must be above 0 and at most 1"):
            off_policy(data, policies, discount)
    with pytest.raises(ConfigError, match="-1 steps of FQE"):
        off_policy(data, policies, fqe_steps=-1)
    with pytest.raises(DataError, match="acts in 4 cells"):
        off_policy(data, {"other": Fits4Cells})
    with pytest.raises(DataError, match="no logged episodes"):
        off_policy(small_dataset(scenario, [1], kind="replay"), policies)
    place = made.scenario()
    with pytest.raises(DataError, match="episodes of 3 steps, but those of made-up-v0 have 5"):
        off_policy(Dataset(place, (made.episode(place, 1, 3),)), policies)
    write_dataset(tmp_path / "d.h5", scenario, data.episodes)
    with pytest.raises(ConfigError, match="unknown policy 'integrall'"):
        parse(["dataset", "ope", str(tmp_path / "d.h5"), "--policies", "integrall"]).execute()
    with pytest.raises(DataError, match="no such file"):
        parse(["dataset", "ope", str(tmp_path / "e.h5"), "--policies", "static"]).execute()


def test_nan_among_the_densities_of_a_policy_takes_all_of_its_episodes_out() -> None:
    data = logged(small_scenario(), [NOISE, "random"])
    holed = [_with_a_nan(episode) if index == 0 else episode for index, episode in enumerate(data.episodes)]
    [judged] = off_policy(Dataset(data.scenario, holed), {"r": policy_factory("random")}, fqe_steps=0).judgements
    assert data.episodes[0].metadata.policy == NOISE
    assert judged.weighted_episodes == 4
    assert judged.effective_sample_size == 4


def _with_a_nan(episode: Episode) -> Episode:
    log_probs = episode.behavior_log_probs.copy()
    log_probs[2] = np.nan
    return Episode(**{**episode.__dict__, "behavior_log_probs": log_probs})


def test_the_names_of_policies_stay_whole_on_80_columns() -> None:
    value, name = Estimate(-1.234567e-5, -1.345678e-5, -1.134567e-5), "noise:std=0.25,around=integral:gain_db=4"
    judged = Judgement(name, value, {"PDWIS": Estimate(*value)}, {}, 2, 1.5, 1.8)
    shown = StringIO()
    Console(width=80, file=shown).print(ope._view(OffPolicy(2, 2, value, value, [judged])))
    lines = [line.split() for line in shown.getvalue().splitlines()]
    assert [name] in lines
    assert ["PDWIS", "-1.235e-05", "[-1.346e-05,", "-1.135e-05]", "+0"] in lines
