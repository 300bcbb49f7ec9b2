"""SAC against known optima, independent formulas, and itself after an interruption."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import solve_discrete_are
from small_world import small_dataset, small_episode, small_scenario, small_trace
from torch.distributions import Independent, Normal, TanhTransform, TransformedDistribution
from torch.nn import functional

from cf_augment.dataset import Dataset, EpisodeMetadata, Provenance
from ns3_scenarios.mdp import load_std, observation_size
from ns3_scenarios.scenario import Scenario
from py_agent.algorithms.base import trained_policy
from py_agent.algorithms.networks import Actor, Layout, Residual, TwinCritic
from py_agent.algorithms.replay import Replay
from py_agent.algorithms.sac import Sac, SacConfig
from py_agent.backends import open_backend
from py_agent.env import MlbEnv
from py_agent.policies.rules import IntegralRule
from py_agent.rollout import run_episode
from py_agent.train import shaped
from sumo_mobility.base.arrays import AnyFloats
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.trace import MobilityTrace

SMALL = SacConfig(
    hidden=32, batch_size=64, learning_rate=3e-3, gamma=0.0, gradient_steps=400, target_entropy_per_action=-2
)


METADATA = EpisodeMetadata(
    scenario_id="small-v0", trace_name="trace", policy="sac", seed=0, backend="engine",
    provenance=Provenance(action_source="sac"),
)  # fmt: skip


def engine_env(scenario: Scenario, trace: MobilityTrace) -> MlbEnv:
    return MlbEnv(scenario, open_backend(scenario, "engine"), [trace])


def bandit(best: float, rows: int = 500, seed: int = 0) -> Replay:
    """One step, reward -(a - best * s)^2 for each of two components, random actions."""
    rng = np.random.default_rng(seed)
    states, actions = rng.uniform(-1, 1, (rows, 2)), rng.uniform(-1, 1, (rows, 2))
    rewards = -((actions - best * states) ** 2).sum(1)
    return Replay.of(states, actions, rewards, states, np.ones(rows, bool))


def trained(
    config: SacConfig, sources: list[Replay], shares: list[float], seed: int = 0, scenario: Scenario | None = None
) -> Sac:
    sac = Sac(config, sources, shares, [seed], scenario)
    for _ in range(config.gradient_steps):
        sac.train_step()
    return sac


def actions_of(sac: Sac, states: AnyFloats) -> AnyFloats:
    return sac.actor.mode(states[None].astype(np.float32))[0]


@pytest.mark.slow
def test_quadratic_bandit_is_solved_from_random_data() -> None:
    sac = trained(SMALL, [bandit(0.8)], [1.0])
    states = np.random.default_rng(1).uniform(-1, 1, (200, 2))
    assert np.abs(actions_of(sac, states) - 0.8 * states).mean() < 0.12


@pytest.mark.slow
def test_products_of_bfloat16_solve_the_bandit_too_and_the_rest_is_float32() -> None:
    sac = trained(SMALL.model_copy(update={"precision": "bfloat16"}), [bandit(0.8)], [1.0])
    states = np.random.default_rng(2).uniform(-0.9, 0.9, (100, 2))
    assert np.abs(actions_of(sac, states) - 0.8 * states).mean() < 0.1
    exact = trained(SMALL, [bandit(0.8)], [1.0])
    assert 0 < np.abs(actions_of(sac, states) - actions_of(exact, states)).mean() < 0.1
    assert {value.dtype for value in sac.actor.state_dict().values()} == {torch.float32}
    observations = torch.as_tensor(states[None], dtype=torch.float32)
    mean, _ = sac.actor(observations)
    assert mean.dtype == torch.float32
    # What 8 bits of mantissa leave of a product, and not what was computed in float32.
    reference = Actor(sac.layout, SMALL.hidden)
    reference.load_state_dict(sac.actor.state_dict())
    assert 0 < float((mean - reference(observations)[0]).detach().abs().max()) < 0.1


@pytest.mark.parametrize(("shares", "sign"), [([1.0, 0.0], 1), ([0.0, 1.0], -1)])
def test_each_batch_holds_the_sources_in_their_shares(shares: list[float], sign: int) -> None:
    sac = trained(SMALL.model_copy(update={"gradient_steps": 120}), [bandit(0.8), bandit(-0.8)], shares)
    states = np.random.default_rng(1).uniform(-1, 1, (200, 2))
    assert np.corrcoef(actions_of(sac, states).ravel(), sign * states.ravel())[0, 1] > 0.9


@pytest.mark.slow
def test_linear_quadratic_regulator() -> None:
    """x' = x + 0.5 a, reward -(x^2 + 0.2 a^2), discount 0.8: the Riccati equation gives the best gain."""
    gamma, b, q, r = 0.8, 0.5, 1.0, 0.2
    p = solve_discrete_are(*(np.atleast_2d(v) for v in (np.sqrt(gamma), np.sqrt(gamma) * b, q, r))).item()
    gain = gamma * b * p / (r + gamma * b * b * p)
    rng = np.random.default_rng(0)
    states, actions = rng.uniform(-1, 1, (2000, 1)), rng.uniform(-1, 1, (2000, 1))
    rewards = -(q * states**2 + r * actions**2)[:, 0]
    data = Replay.of(states, actions, rewards, states + b * actions, np.zeros(2000, bool))
    config = SMALL.model_copy(update={"gamma": gamma, "tau": 0.03, "gradient_steps": 500})
    test_states = np.linspace(-0.7, 0.7, 50)[:, None]
    learned = actions_of(trained(config, [data], [1.0]), test_states)
    assert np.polyfit(test_states[:, 0], learned[:, 0], 1)[0] == pytest.approx(-gain, abs=0.15)


@pytest.mark.slow
def test_no_value_beyond_a_terminal_but_beyond_a_timeout() -> None:
    """a < 0 earns 1 and ends; a > 0 earns 0.5 for ever, worth 2.5 at discount 0.8, so going on is better."""
    rng = np.random.default_rng(0)
    states, actions = np.ones((500, 1)), rng.uniform(-1, 1, (500, 1))
    ends = actions[:, 0] < 0
    config = SMALL.model_copy(update={"gamma": 0.8, "tau": 0.1, "gradient_steps": 200})
    rewards = np.where(ends, 1.0, 0.5)
    assert actions_of(trained(config, [Replay.of(states, actions, rewards, states, ends)], [1]), states[:1]) > 0.2
    never = Replay.of(states, actions, rewards, states, np.zeros(500, bool))
    assert actions_of(trained(config, [never], [1.0]), states[:1]) < -0.2


def test_behaviour_regularisation_pulls_towards_the_data() -> None:
    data = bandit(0.8)
    rows = data.columns()
    data = Replay.of_parts([rows._replace(actions=0.1 * rows.actions - 0.5)])
    sac = trained(SMALL.model_copy(update={"bc_weight": 20.0, "gradient_steps": 150}), [data], [1.0])
    states = np.random.default_rng(1).uniform(-1, 1, (200, 2))
    assert np.abs(actions_of(sac, states) + 0.5).mean() < 0.1


def test_log_prob_is_that_of_torch_distributions() -> None:
    torch.manual_seed(0)
    actor = Actor(Layout(7, 3), 16)
    observations = torch.randn(1, 50, 7)
    actions, log_prob, mean_actions = actor.sample(observations, torch.randn(1, 50, 3))
    mean, log_std = actor(observations)
    torch.testing.assert_close(mean_actions, torch.tanh(mean))
    reference = TransformedDistribution(Independent(Normal(mean, log_std.exp()), 1), [TanhTransform(cache_size=1)])
    # the reference's log(1 - tanh^2) is inexact near 1
    inside = (actions.abs() < 0.999).all(-1)
    assert inside.sum() > 20
    torch.testing.assert_close(log_prob[inside], reference.log_prob(actions)[inside], rtol=1e-3, atol=1e-3)


def test_twin_critic_is_two_networks() -> None:
    torch.manual_seed(0)
    critic = TwinCritic(Layout(3, 2), 8)
    observations, actions = torch.randn(5, 3), torch.randn(5, 2)
    (values,) = critic(observations[None], actions[None])
    for k in range(2):
        x = torch.cat([observations, actions], -1)
        for depth, layer in enumerate([critic.head[0], critic.head[2], critic.head[4]]):
            x = functional.linear(x.relu() if depth else x, layer.weight[k].T, layer.bias[k, 0])
        torch.testing.assert_close(values[k], x[:, 0])
    assert not torch.allclose(values[0], values[1])


def test_polyak_moves_the_targets_by_tau() -> None:
    sac = Sac(SMALL.model_copy(update={"tau": 0.25}), [bandit(0.8)], [1.0], [0])
    sac.train_step()
    before = copy.deepcopy(sac.target.state_dict())
    sac.train_step()
    for name, value in sac.target.state_dict().items():
        torch.testing.assert_close(value, 0.75 * before[name] + 0.25 * sac.critic.state_dict()[name])


def test_the_actor_loss_leaves_the_critic_alone() -> None:
    sac = Sac(SMALL, [bandit(0.8)], [1.0], [0])
    sac.train_step()
    gradients = [parameter.grad.clone() for parameter in sac.critic.parameters()]
    states = torch.zeros(1, 4, 2)
    actions = sac.actor.sample(states, torch.zeros(1, 4, 2)).actions
    sac._descend("actor", -sac.critic(states, actions).mean((1, 2)))
    for parameter, gradient in zip(sac.critic.parameters(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)


def random_rows(scenario: Scenario) -> Replay:
    rng, size = np.random.default_rng(0), (20, observation_size(scenario))
    states, actions = rng.normal(3, 2, size), rng.uniform(-1, 1, (20, len(scenario.neighbor_pairs)))
    return Replay.of(states, actions, rng.normal(size=20), states, np.zeros(20, bool))


def test_a_saved_policy_acts_as_the_trained_actor(tmp_path: Path) -> None:
    scenario = small_scenario()
    data = random_rows(scenario)
    sac = Sac(SMALL, [data], [1.0], [0], scenario)
    for _ in range(5):
        sac.train_step()
    sac.save(tmp_path / "last.pt")
    state = data.columns().observations[3:4]
    ((mean,), _) = sac.actor(sac.actor.normalize(state)[None])
    action = trained_policy(scenario, tmp_path / "last.pt").act(
        state[0].numpy(), small_episode(scenario, 0).kpis_at(0), np.zeros(6)
    )
    np.testing.assert_allclose(action, np.tanh(mean[0].detach().numpy()), rtol=1e-5)
    assert action.dtype == np.float32


def test_a_residual_policy_begins_as_the_rule() -> None:
    """Which it corrects by 1 of the range at most, and whose limits it keeps to."""
    scenario, episode = small_scenario(), small_episode(small_scenario(), 0)
    data = shaped(Dataset(scenario, [episode]), 0.0)
    sac = Sac(SMALL.model_copy(update={"residual": True}), [data], [1.0], [0], scenario)
    rule = IntegralRule(scenario)
    for row in range(episode.steps):
        cio_db = 6 * episode.observations[row, -6:]
        wanted = rule.act(episode.observations[row], episode.kpis_at(row), cio_db)
        assert sac.policy(scenario).act(episode.observations[row], episode.kpis_at(row), cio_db) == pytest.approx(
            wanted, abs=0.02
        )
    with pytest.raises(ConfigError, match="residual: only policies by cell and pair"):
        Residual.of(scenario.model_copy(update={"observation": "rsrp-matrix"}))
    with pytest.raises(ConfigError, match="residual: data without a scenario"):
        Sac(SMALL.model_copy(update={"residual": True}), [bandit(0.8)], [1.0], [0])


@pytest.mark.slow
@pytest.mark.parametrize("through_mean", [True, False])
def test_the_physics_alone_teaches_what_the_rewards_hide(through_mean: bool) -> None:
    """Rewards are noise here, so that plain SAC learns nothing; what follows the physics balances the loads."""
    scenario = small_scenario()
    traces = [small_trace(scenario, seed) for seed in range(8)]
    clean = shaped(small_dataset(scenario, list(range(8))), 0.0)
    noise = torch.randn(len(clean), generator=torch.Generator().manual_seed(0))
    data = Replay.of_parts([clean.columns()._replace(rewards=noise)])
    config = SMALL.model_copy(update={"gradient_steps": 300, "physics_through_mean": through_mean})
    std = {}
    for weight in (0.0, 20.0):
        learned = trained(config.model_copy(update={"physics_weight": weight}), [data], [1.0], scenario=scenario)
        policy = learned.policy(scenario)
        played = [run_episode(engine_env(scenario, trace), policy, METADATA) for trace in traces]
        std[weight] = np.mean([load_std(episode.kpis)[1:].mean() for episode in played])
    assert std[20.0] < 0.8 * std[0.0]


def test_the_physics_needs_a_scenario_and_what_the_ues_receive() -> None:
    config = SMALL.model_copy(update={"physics_weight": 1.0})
    with pytest.raises(ConfigError, match=r"^physics_weight: the physics of data without a scenario is not known"):
        Sac(config, [bandit(0.8)], [1.0], [0])
    scenario = small_scenario()
    with pytest.raises(DataError, match=r"^dataset: has no RSRP and serving cells of the UEs"):
        Sac(config, [random_rows(scenario)], [1.0], [0], scenario)


def test_the_normaliser_shares_moments_over_cells_and_pairs() -> None:
    scenario = small_scenario()
    data = random_rows(scenario)
    sac = Sac(SMALL, [data], [1.0], [0], scenario)
    observations = data.columns().observations
    loads, cio = observations[:, :3], observations[:, -6:]
    for columns, values in ((slice(0, 3), loads), (slice(-6, None), cio)):
        torch.testing.assert_close(sac.actor.mean[columns], values.mean().expand(values.shape[1]))
        torch.testing.assert_close(sac.actor.std[columns], values.std(correction=0).expand(values.shape[1]))


def test_the_networks_do_not_care_how_cells_are_numbered() -> None:
    """Cells renumbered: the actions follow their pairs, and the values stay."""
    torch.manual_seed(0)
    pairs = ((0, 1), (0, 2), (1, 0), (2, 0), (2, 3), (3, 2))
    renumbered = [2, 0, 3, 1]
    moved = sorted((renumbered[i], renumbered[j]) for i, j in pairs)
    order = [moved.index((renumbered[i], renumbered[j])) for i, j in pairs]
    cell, pair, actions = torch.randn(5, 3, 4), torch.randn(5, 6, 6), torch.rand(5, 6)
    new_cell, new_pair, new_actions = torch.empty_like(cell), torch.empty_like(pair), torch.empty_like(actions)
    new_cell[..., renumbered], new_pair[..., order], new_actions[..., order] = cell, pair, actions
    before, after = (torch.cat([c.flatten(1), p.flatten(1)], -1) for c, p in ((cell, pair), (new_cell, new_pair)))
    results = []
    for given, observations, chosen in ((pairs, before, actions), (tuple(moved), after, new_actions)):
        torch.manual_seed(1)
        layout = Layout(observations.shape[1], 6, given, 3)
        actor, critic = Actor(layout, 8), TwinCritic(layout, 8)
        results.append((actor(observations[None])[0][0], critic(observations[None], chosen[None])))
    torch.testing.assert_close(results[0][0], results[1][0][:, order])
    torch.testing.assert_close(results[0][1], results[1][1])
    assert results[0][0].std() > 1e-3


def test_bad_data_is_refused() -> None:
    states, actions, rewards = np.zeros((4, 2)), np.zeros((4, 1)), np.zeros(4)
    ends = np.zeros(4, bool)
    with pytest.raises(DataError, match=r"rewards\[2\] is not finite"):
        Replay.of(states, actions, np.array([0, 0, np.nan, 0]), states, ends)
    with pytest.raises(DataError, match="actions reach 6"):
        Replay.of(states, actions + 6, rewards, states, ends)
    with pytest.raises(DataError, match="rewards has 3 rows"):
        Replay.of(states, actions, rewards[:3], states, ends)
    data = Replay.of(states, actions, rewards, states, ends)
    with pytest.raises(DataError, match="cannot be mixed"):
        Sac(SMALL, [data, bandit(0.8)], [0.5, 0.5], [0])
    with pytest.raises(ConfigError, match="with the sum 1"):
        Sac(SMALL, [data], [0.5], [0])
