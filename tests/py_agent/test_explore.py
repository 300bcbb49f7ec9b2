"""Policies that explore: what they draw, the density that they say, and how they are written."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import made_network
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy.stats import kstest, truncnorm

from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.scenario import Scenario
from py_agent.env import open_backend
from py_agent.policies import Policy, log_prob, policy_factory, split_around
from py_agent.policies.explore import Epsilon, Noise
from py_agent.policies.rules import IntegralRule, Random, Static
from sumo_mobility.base.errors import ConfigError

SCENARIO = made_network.scenario()
SIZE = len(SCENARIO.neighbor_pairs)
KPIS = open_backend(SCENARIO, "engine").reset(made_network.trace(), 0)


class Fixed(Static):
    """One action for ever."""

    def __init__(self, scenario: Scenario, action: tuple[float, ...]) -> None:
        super().__init__(scenario)
        self._action = np.array(action, np.float32)


def fixed(*action: float) -> Callable[[Scenario], Policy]:
    return partial(Fixed, action=action)


def drawn(policy: Policy, count: int, seed: int = 0, kpis: StepKpis = KPIS) -> np.ndarray:
    policy.reset(seed)
    return np.stack([policy.act(np.zeros(1, np.float32), kpis, np.zeros(SIZE)) for _ in range(count)])


COMPONENT = some.floats(-1, 1, width=32)


@given(COMPONENT, COMPONENT, COMPONENT, COMPONENT, some.floats(1e-3, 10))
def test_the_density_of_noise_is_that_of_the_truncated_normal(
    mean: float, other_mean: float, value: float, other: float, std: float
) -> None:
    policy = Noise(SCENARIO, std, fixed(mean, other_mean))
    action = drawn(policy, 1)[0]
    assert np.abs(action).max() <= 1
    means = np.array([mean, other_mean])
    peer = truncnorm((-1 - means) / std, (1 - means) / std, means, std)
    for point in (action, np.array([value, other], np.float32)):
        assert policy.log_prob(point) == pytest.approx(peer.logpdf(point).sum(), rel=1e-9, abs=1e-9)
    assert policy.log_prob(np.array([1.1, 0.0], np.float32)) == -math.inf


@pytest.mark.parametrize("std", [0.05, 0.5, 3.0])
def test_noise_is_drawn_from_that_density_and_heaps_up_nowhere(std: float) -> None:
    """Also around an action at the end of the range, where clipping would put half of the draws at 1."""
    means = (1.0, -0.3)
    actions = drawn(Noise(SCENARIO, std, fixed(*means)), 4000)
    for component, mean in zip(actions.T, means, strict=True):
        assert kstest(component, truncnorm((-1 - mean) / std, (1 - mean) / std, mean, std).cdf).pvalue > 1e-3
        assert np.unique(component).size > 3900
    assert abs(np.corrcoef(actions.T)[0, 1]) < 0.06


def test_epsilon_draws_uniformly_as_often_as_it_says_and_knows_the_densities() -> None:
    policy = Epsilon(SCENARIO, 0.25, fixed(0.5, -0.5))
    policy.reset(3)
    log_probs, explored = [], []
    for _ in range(4000):
        action = policy.act(np.zeros(1, np.float32), KPIS, np.zeros(SIZE))
        log_probs.append(policy.log_prob(action))
        if not np.array_equal(action, [0.5, -0.5]):
            explored.append(action)
    assert len(explored) == pytest.approx(1000, abs=100)
    assert kstest(np.ravel(explored), "uniform", (-1, 2)).pvalue > 1e-3
    assert np.isnan(log_probs).sum() == 4000 - len(explored)
    assert np.nanmin(log_probs) == np.nanmax(log_probs) == pytest.approx(math.log(0.25 / 2**SIZE))


def test_epsilon_around_a_density_is_their_mixture() -> None:
    policy = Epsilon(SCENARIO, 0.25, partial(Noise, std=0.3, around=fixed(0.5, -0.5)))
    inner = Noise(SCENARIO, 0.3, fixed(0.5, -0.5))
    drawn(inner, 1)
    for action in drawn(policy, 20):
        expected = math.log(0.75 * math.exp(inner.log_prob(action)) + 0.25 / 2**SIZE)
        assert policy.log_prob(action) == pytest.approx(expected)


def test_only_what_is_drawn_from_a_density_has_one() -> None:
    action = drawn(Random(SCENARIO), 1)[0]
    assert log_prob(Random(SCENARIO), action) == pytest.approx(-SIZE * math.log(2))
    assert math.isnan(log_prob(Static(SCENARIO), action))
    assert math.isnan(log_prob(IntegralRule(SCENARIO), action))


def test_one_seed_is_one_sequence_and_layers_of_noise_are_independent() -> None:
    twice = Noise(SCENARIO, 0.1, partial(Noise, std=0.1, around=fixed(0.0, 0.0)))
    first = drawn(twice, 2000, seed=1)
    assert np.array_equal(drawn(twice, 2000, seed=1), first)
    assert not np.array_equal(drawn(twice, 2000, seed=2), first)
    assert first.std() == pytest.approx(0.1 * math.sqrt(2), rel=0.05)  # 0.2 if both drew the same


def test_what_is_around_another_policy_is_written_with_it_last() -> None:
    text = "epsilon:epsilon=0.3,around=noise:std=0.4, around=integral:gain_db=4,leak=0.9"
    made = policy_factory(text)
    expected = Epsilon(SCENARIO, 0.3, partial(Noise, std=0.4, around=partial(IntegralRule, gain_db=4.0, leak=0.9)))
    assert np.array_equal(drawn(made(SCENARIO), 50), drawn(expected, 50))
    assert split_around(text) == ("epsilon:epsilon=0.3,around=", text[len("epsilon:epsilon=0.3,around=") :])
    assert split_around("integral:gain_db=4") is None
    assert split_around("mine=/a:b,around=c.pt") is None
    other = {"mine": fixed(0.1, 0.2)}
    assert drawn(policy_factory("noise:std=0.001,around=mine", other)(SCENARIO), 9).mean(0) == pytest.approx(
        [0.1, 0.2], abs=2e-3
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("noise:around=integral,std=0.2", r"what follows around= is the other policy\n.*write around= last"),
        ("noise:std=0.1,around=integral:gain_db=4,std=0.2", "unknown parameter 'std'"),
        ("static:around=random", "unknown parameter 'around' .it has none"),
        ("noise:around=integrale", "unknown policy 'integrale' .did you mean 'integral'"),
        ("noise:around", "unknown policy ''"),
        ("noise:std=0", "policy noise: std is 0, must be 0.001 to 10"),
        ("noise:std=11", "policy noise: std is 11"),
        ("epsilon:epsilon=0", "policy epsilon: epsilon is 0, must be above 0 and below 1"),
        ("epsilon:epsilon=1", "policy epsilon: epsilon is 1"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        policy_factory(text)(SCENARIO)
