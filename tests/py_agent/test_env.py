"""MlbEnv over the analytic engine: the Gymnasium contract, the choice of traces, and what it does with bad actions."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import made_network
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from ns3_scenarios.mdp import observe, reward
from py_agent.env import MlbEnv, make_env, open_backend
from sumo_mobility.base.errors import ConfigError

SCENARIO = made_network.scenario()
TRACES = [made_network.trace(), made_network.trace(shift_m=50), made_network.trace(shift_m=-50)]
STAY = np.zeros(2, np.float32)


def environment(**fields: str) -> MlbEnv:
    scenario = made_network.scenario(**fields)
    return MlbEnv(scenario, open_backend(scenario, "engine"), TRACES, seed=7)


@pytest.fixture
def env() -> Iterator[MlbEnv]:
    env = environment()
    yield env
    env.close()


@pytest.mark.parametrize("observation", ["cell-kpi", "rsrp-matrix"])
def test_gymnasiums_checker_is_content(observation: str) -> None:
    with warnings.catch_warnings():
        # An RSRP has no natural bounds; all other complaints are errors.
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*Box observation space (minimum|maximum) value is")
        warnings.filterwarnings("ignore", message=".*(render modes|env.spec|different from the unwrapped version).*")
        check_env(environment(observation=observation))


def test_an_episode_is_truncated_at_its_end_and_never_terminated(env: MlbEnv) -> None:
    env.reset(seed=1)
    ends = [env.step(STAY)[2:4] for _ in range(made_network.STEPS)]
    assert ends == [(False, False)] * (made_network.STEPS - 1) + [(False, True)]
    with pytest.raises(ConfigError, match="it is over"):
        env.step(STAY)


def test_observation_and_reward_are_those_of_the_kpis_in_info(env: MlbEnv) -> None:
    observation, info = env.reset(seed=1)
    assert np.array_equal(info["cio_db"], [0.0, 0.0])
    assert np.array_equal(observation, observe(SCENARIO, info["kpis"], info["cio_db"]))
    observation, earned, _, _, info = env.step(np.array([0.5, -1.0], np.float32))
    assert np.array_equal(info["cio_db"], [3.0, -6.0])
    assert np.array_equal(observation, observe(SCENARIO, info["kpis"], info["cio_db"]))
    assert earned == reward(SCENARIO, info["kpis"])
    assert env.observation_space.contains(observation)


def test_actions_beyond_the_range_are_clipped_with_a_warning(env: MlbEnv) -> None:
    env.reset(seed=1)
    with pytest.warns(UserWarning, match=r"values beyond \[-1, 1\] are clipped"):
        assert np.array_equal(env.step(np.array([9.0, -9.0], np.float32))[4]["cio_db"], [6.0, -6.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env.step(np.array([1.0, -1.0], np.float32))


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.zeros(3), r"shape \(3,\), but one value a pair, \(2,\)"),
        (np.zeros((1, 2)), "shape"),
        (np.array([0.0, np.nan]), "value 1 is nan"),
        (np.array([np.inf, 0.0]), "value 0 is inf"),
        ([[0.0], [0.0, 1.0]], "no array of numbers"),
        ("high", "no array of numbers"),
    ],
)
def test_a_bad_action_is_refused_and_the_episode_goes_on(env: MlbEnv, action: np.ndarray, message: str) -> None:
    env.reset(seed=1, options={"trace": 0})
    expected = env.step(STAY)[0]
    env.reset(seed=1, options={"trace": 0})
    with pytest.raises(ConfigError, match=message):
        env.step(action)
    assert np.array_equal(env.step(STAY)[0], expected)


def test_branches_tell_what_step_would(env: MlbEnv) -> None:
    env.reset(seed=1)
    first, second = np.array([[0.3, -0.7], [2.0, -1.0]], np.float32)
    held = env.branch(np.stack([first, second]), horizon=2)
    mixed = env.branch(np.stack([[first, second]]))
    assert [len(branch) for branch in held + mixed] == [2, 2, 2]
    taken = [env.step(action)[4]["kpis"] for action in (first, second)]
    assert mixed == [taken]
    assert held[0][0] == taken[0]
    assert env.branch(second[None], 1) == [[env.step(second)[4]["kpis"]]]


def test_branches_that_do_not_fit_are_refused_and_the_episode_goes_on(env: MlbEnv) -> None:
    with pytest.raises(ConfigError, match="no episode is on"):
        env.branch(np.zeros((1, 2)), 1)
    env.reset(seed=1)
    for actions, horizon, message in [
        (np.zeros((1, 2)), None, "with a horizon is needed"),
        (np.zeros((1, 2)), made_network.STEPS + 1, f"has only {made_network.STEPS} steps left"),
        (np.zeros((1, 2)), 0, "horizon 0"),
        (np.zeros((1, 2, 2)), 3, "with a horizon is needed"),
        (np.zeros((1, 2, 3)), None, r"shape \(3,\)"),
        (np.full((1, 2, 2), np.nan), None, "is nan"),
        (np.zeros((0, 2, 2)), None, "branches, steps"),
    ]:
        with pytest.raises(ConfigError, match=message):
            env.branch(actions, horizon)
    env.step(STAY)


def test_options_pick_the_trace(env: MlbEnv) -> None:
    for index, trace in enumerate(TRACES):
        _, info = env.reset(options={"trace": index})
        assert info["kpis"].ue_position_m == pytest.approx(trace.position_m[0])


def test_without_options_the_seed_draws_the_trace(env: MlbEnv) -> None:
    def drawn(seed: int | None) -> float:
        return float(env.reset(seed=seed)[1]["kpis"].ue_position_m[0, 1])

    assert {drawn(seed) for seed in range(20)} == {0.0, 50.0, -50.0}
    series = [drawn(3), drawn(None), drawn(None)]
    assert [drawn(3), drawn(None), drawn(None)] == series
    first = environment()
    assert first.reset()[1]["kpis"].ue_position_m[0, 1] == drawn(7)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"trace": 3}, "there are traces 0 to 2"), ({"trace": "x"}, "is 'x'"), ({"trase": 0}, "unknown option 'trase'")],
)
def test_unknown_options_are_refused(env: MlbEnv, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        env.reset(options=options)


def test_no_traces_and_no_reset_are_refused(env: MlbEnv) -> None:
    with pytest.raises(ConfigError, match="at least one trace"):
        MlbEnv(SCENARIO, open_backend(SCENARIO, "engine"), [])
    with pytest.raises(ConfigError, match="no episode is on"):
        env.step(STAY)
    env.reset()
    env.close()
    env.close()
    with pytest.raises(ConfigError, match="no episode is on"):
        env.step(STAY)


def test_the_same_seed_samples_the_same_actions() -> None:
    def drawn(seed: int) -> np.ndarray:
        env = make_env("line3-right-none-left-v0", backend="engine", seed=seed)
        env.reset()
        sample = env.action_space.sample()
        env.close()
        return sample

    assert np.array_equal(drawn(1), drawn(1))
    assert not np.array_equal(drawn(1), drawn(2))


def test_an_environment_has_the_contexts_of_either_split() -> None:
    contexts = {}
    for split in ("train", "test"):
        env = make_env("line3-right-none-left-v0", backend="engine", split=split)
        contexts[split] = env.traces[0].metadata.context_parameters["behaviors"]
        env.close()
    assert contexts == {"train": ["right", "right", "none"], "test": ["right", "none", "left"]}
