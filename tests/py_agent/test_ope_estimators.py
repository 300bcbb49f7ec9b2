"""Estimators of off-policy evaluation against a small decision process whose value is known in closed form."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from py_agent.ope.estimators import BY_BOTH, BY_MODEL, BY_WEIGHTS, Trajectories, mean_reward

STEPS, GAMMA, EPISODES = 3, 0.9, 4000
BEHAVIOR = np.array([[0.5, 0.5], [0.7, 0.3]])
EVALUATED = np.array([[0.2, 0.8], [0.4, 0.6]])
"""Probability of each action (second axis) in each of two states."""
REWARD = np.array([[1.0, 3.0], [-1.0, 0.5]])
MOVE = np.array([[0.9, 0.4], [0.3, 0.6]])
"""Probability that the next state is 0."""
STEP_SHARE = GAMMA ** np.arange(STEPS) / sum(GAMMA**t for t in range(STEPS))


def values(policy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exact action values (T, 2, 2) and state values (T + 1, 2) by backward induction; unscaled sums."""
    q, v = np.zeros((STEPS, 2, 2)), np.zeros((STEPS + 1, 2))
    for step in reversed(range(STEPS)):
        q[step] = REWARD + GAMMA * (MOVE * v[step + 1, 0] + (1 - MOVE) * v[step + 1, 1])
        v[step] = (policy * q[step]).sum(-1)
    return q, v


def truth(policy: np.ndarray) -> float:
    """The value from state 0, by the sum over all paths: it shares nothing with `values` or the estimators."""
    total = 0.0
    for actions in product((0, 1), repeat=STEPS):
        for states in product((0, 1), repeat=STEPS - 1):
            path, chance, reward = (0, *states), 1.0, 0.0
            for step, (state, action) in enumerate(zip(path, actions, strict=True)):
                chance *= policy[state, action]
                reward += STEP_SHARE[step] * REWARD[state, action]
                if step + 1 < STEPS:
                    chance *= MOVE[state, action] if path[step + 1] == 0 else 1 - MOVE[state, action]
            total += chance * reward
    return total


def collected(seed: int, episodes: int = EPISODES, model_error: float = 0.0) -> Trajectories:
    """Episodes of the behaviour policy, with the evaluated policy's ratios and a model that errs by some amount."""
    random = np.random.default_rng(seed)
    q, v = values(EVALUATED)
    q, v = q + model_error, v + model_error * (np.arange(STEPS + 1) < STEPS)[:, None]
    state = np.zeros(episodes, np.int64)
    rewards, ratios, q_values, state_values = [], [], [], []
    for step in range(STEPS):
        action = (random.uniform(size=episodes) > BEHAVIOR[state, 0]).astype(np.int64)
        rewards.append(REWARD[state, action])
        ratios.append(np.log(EVALUATED[state, action] / BEHAVIOR[state, action]))
        q_values.append(q[step, state, action])
        state_values.append(v[step, state])
        state = (random.uniform(size=episodes) > MOVE[state, action]).astype(np.int64)
    state_values.append(np.zeros(episodes))
    arrays = [np.stack(of, axis=1) for of in (rewards, ratios, q_values, state_values)]
    return Trajectories(arrays[0], arrays[1], GAMMA, arrays[2], arrays[3])


def test_the_two_ways_to_the_truth_agree_and_the_policies_differ() -> None:
    for policy in (BEHAVIOR, EVALUATED):
        assert values(policy)[1][0, 0] * STEP_SHARE[0] == pytest.approx(truth(policy), rel=1e-12)
    assert truth(EVALUATED) - truth(BEHAVIOR) > 0.3


@pytest.mark.parametrize("name", ["IS", "WIS", "PDWIS", "DR", "WDR"])
@pytest.mark.parametrize("model_error", [0.0, 2.0])
def test_estimates_come_to_the_truth_within_their_error_and_the_data_do_not(name: str, model_error: float) -> None:
    """Also where the model is wrong: what is doubly robust leans on the weights then."""
    of = collected(1, model_error=model_error)
    estimator = {**BY_WEIGHTS, **BY_BOTH}[name]
    resampled = np.random.default_rng(2).multinomial(EPISODES, np.full(EPISODES, 1 / EPISODES), size=200)
    value, error = float(estimator(of, np.ones(EPISODES))), float(estimator(of, resampled).std())
    assert 0 < error < 0.1
    assert abs(value - truth(EVALUATED)) < 4 * error
    assert abs(float(mean_reward(of, np.ones(EPISODES))) - truth(EVALUATED)) > 4 * error


@pytest.mark.parametrize("name", ["IS", "DR"])
def test_what_is_unbiased_is_so_in_small_samples(name: str) -> None:
    """The mean over 800 data sets of five episodes each, against its own error."""
    estimator = {**BY_WEIGHTS, **BY_BOTH}[name]
    of = collected(3, episodes=4000, model_error=1.0)
    of_five = np.repeat(np.eye(800), 5, axis=1)
    found = estimator(of, of_five)
    assert found.mean() == pytest.approx(truth(EVALUATED), abs=4 * found.std() / np.sqrt(800))


def test_a_perfect_model_leaves_doubly_robust_estimates_less_variance() -> None:
    of = collected(4)
    groups = np.repeat(np.eye(100), 40, axis=1)
    assert BY_MODEL["FQE"](of, np.ones(EPISODES)) == pytest.approx(truth(EVALUATED), rel=1e-12)
    spreads = {name: float(each(of, groups).std()) for name, each in {**BY_WEIGHTS, **BY_BOTH}.items()}
    assert spreads["DR"] < spreads["IS"] / 2
    assert spreads["WDR"] < spreads["PDWIS"]


def test_a_policy_that_is_the_behaviour_policy_is_worth_the_mean_of_the_data() -> None:
    of = collected(5, episodes=50)
    same = Trajectories(of.rewards, np.zeros_like(of.log_ratios), GAMMA, np.zeros_like(of.rewards), np.zeros((50, 4)))
    counts = np.ones(50)
    for estimator in (BY_WEIGHTS["IS"], BY_WEIGHTS["WIS"]):
        assert estimator(same, counts) == mean_reward(same, counts)
    for estimator in (BY_WEIGHTS["PDWIS"], *BY_BOTH.values()):
        assert estimator(same, counts) == pytest.approx(float(mean_reward(same, counts)), rel=1e-12)
    assert same.effective_sample_size == same.effective_sample_size_per_step == 50


def test_the_effective_sample_size_is_between_one_and_all() -> None:
    ratios = np.log(np.array([[1.0, 1.0], [1.0, 3.0]]))
    of = Trajectories(np.zeros((2, 2)), ratios, 1.0)
    assert of.effective_sample_size == pytest.approx(16 / 10)
    assert of.effective_sample_size_per_step == pytest.approx((2 + 1.6) / 2)
    alone = Trajectories(np.zeros((3, 1)), np.array([[0.0], [-5000.0], [-6000.0]]), 1.0)
    assert alone.effective_sample_size == pytest.approx(1)


def test_weights_that_no_float_can_hold_are_no_error() -> None:
    """Greater than 1e308 for ordinary weights; relative ones stay finite, also where the greatest was not drawn."""
    of = Trajectories(np.array([[1.0], [2.0], [3.0]]), np.array([[-9000.0], [0.0], [900.0]]), 1.0)
    assert np.isinf(BY_WEIGHTS["IS"](of, np.ones(3)))
    assert BY_WEIGHTS["WIS"](of, np.ones(3)) == pytest.approx(3)
    assert np.isfinite(BY_WEIGHTS["PDWIS"](of, np.array([[3.0, 0, 0], [0, 3, 0]]))).all()
