"""d3rlpy's algorithms under our contract: they become what d3rlpy itself makes of the same batches."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import programs
import pytest
import torch
from small_world import small_dataset, small_scenario

from ns3_scenarios.mdp import action_size, observation_size
from py_agent.algorithms import ALGORITHMS
from py_agent.algorithms.base import Algorithm, trained_policy
from py_agent.algorithms.config import TrainConfig
from py_agent.algorithms.d3rlpy_algorithm import D3rlpyAlgorithm
from py_agent.algorithms.networks import Layout, Normalizer
from py_agent.algorithms.replay import Replay
from py_agent.train import shaped, train
from sumo_mobility.base.errors import ConfigError, DataError, DependencyError
from sumo_mobility.base.seeds import derive

with contextlib.redirect_stderr(io.StringIO()):
    d3rlpy = pytest.importorskip("d3rlpy")

SCENARIO = small_scenario()
OBSERVATIONS, ACTIONS = observation_size(SCENARIO), action_size(SCENARIO)
BATCH, RATE, DECAY, STEPS, CONTEXT = 16, 3e-3, 0.1, 9, 4
ENCODER = d3rlpy.models.encoders.VectorEncoderFactory([8, 8])
COMMON = {"batch_size": BATCH, "gamma": 0.8, "actor_encoder_factory": ENCODER, "critic_encoder_factory": ENCODER}
THEIRS = {
    "td3-bc": lambda: d3rlpy.algos.TD3PlusBCConfig(**COMMON, actor_learning_rate=RATE, critic_learning_rate=RATE),
    "iql": lambda: d3rlpy.algos.IQLConfig(
        **COMMON, value_encoder_factory=ENCODER, actor_learning_rate=RATE, critic_learning_rate=RATE
    ),
    "cql": lambda: d3rlpy.algos.CQLConfig(
        **COMMON, actor_learning_rate=RATE / 3, critic_learning_rate=RATE,
        temp_learning_rate=RATE / 3, alpha_learning_rate=RATE / 3,
    ),
}  # fmt: skip
"""d3rlpy's configurations, with its defaults, by our names, of what learns from transitions."""
NAMES = [name for name in ALGORITHMS if issubclass(ALGORITHMS[name].load(), D3rlpyAlgorithm)]


def rows(seed: int, count: int = 60) -> Replay:
    random = np.random.default_rng(seed)
    observations, following = random.normal(2, 3, (2, count, OBSERVATIONS))
    actions = random.uniform(-1, 1, (count, ACTIONS))
    return Replay.of(observations, actions, random.normal(1, 5, count), following, random.random(count) < 0.2)


def begun(name: str, *seeds: int, sources: tuple[int, ...] = (0, 1), **parameters: Any) -> Algorithm:
    own = {
        "hidden": 8, "batch_size": BATCH, "learning_rate": RATE, "learning_rate_decay": DECAY, "gradient_steps": STEPS,
    }  # fmt: skip
    kind = ALGORITHMS[name].load()
    own |= {"gamma": 0.8} if name in THEIRS else {"context_size": CONTEXT}
    shares = [0.25, 0.75] if len(sources) == 2 else [1.0]
    return kind(kind.Config.parse(own | parameters, "test"), [rows(k) for k in sources], shares, seeds, SCENARIO)


def by_d3rlpy(name: str, seed: int) -> Any:
    """What d3rlpy itself learns from the batches that the contract promises, which are drawn and scaled anew here."""
    parts = [rows(k).columns() for k in (0, 1)]
    scale = deviation([part.rewards.numpy() for part in parts])

    def batch(drawn: list[tuple[int, int]]) -> Any:
        transitions = [
            d3rlpy.dataset.Transition(
                observation=seen(part.observations[row]).numpy(),
                action=part.actions[row].numpy(),
                reward=(part.rewards[row : row + 1] * np.float32(1 / scale)).numpy(),
                next_observation=seen(part.next_observations[row]).numpy(),
                next_action=np.zeros(ACTIONS, np.float32),
                terminal=float(part.terminals[row]),
                interval=1,
                rewards_to_go=np.zeros((1, 1), np.float32),
            )
            for part, row in ((parts[source], row) for source, row in drawn)
        ]
        return d3rlpy.dataset.TransitionMiniBatch.from_transitions(transitions)

    return updated(name, seed, THEIRS[name](), batch)


def updated(name: str, seed: int, config: Any, batch: Callable[[list[tuple[int, int]]], Any]) -> Any:
    """A learner of d3rlpy's after batches of rows, each named by its source and its number."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, name, "weights"))
        learner = config.create(device="cpu:0")
        learner.create_impl((OBSERVATIONS,), ACTIONS)
    generator = torch.Generator().manual_seed(derive(seed, name, "batches"))
    optimizers = [part.optim for part in vars(learner.impl.modules).values() if hasattr(part, "optim")]
    rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    for step in range(STEPS):
        drawn = [
            (source, row)
            for source, count in enumerate((4, 12))
            for row in torch.randint(60, (count,), generator=generator).tolist()
        ]
        for optimizer, rate in zip(optimizers, rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * DECAY ** (step / (STEPS - 1))
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(generator.get_state())
            learner.update(batch(drawn))
            generator.set_state(torch.get_rng_state())
    return learner


def deviation(parts: list[np.ndarray]) -> np.float32:
    """Of a quarter of the first and three of the second."""
    doubles = [part.astype(np.float64) for part in parts]
    mean = np.float64(0.25 * doubles[0].mean() + 0.75 * doubles[1].mean())
    return np.float32(np.sqrt(0.25 * ((doubles[0] - mean) ** 2).mean() + 0.75 * ((doubles[1] - mean) ** 2).mean()))


def seen(observations: torch.Tensor) -> torch.Tensor:
    """Observations as networks are shown them; the normaliser has tests of its own."""
    return normalizer().normalize(observations)


@cache
def normalizer() -> Normalizer:
    return begun("td3-bc", 0).normalizer


def weights(module: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy() for name, value in module.state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", THEIRS)
def test_it_learns_what_d3rlpy_learns_from_the_same_batches(name: str) -> None:
    ours = begun(name, 5)
    for _ in range(STEPS):
        ours.train_step()
    theirs = by_d3rlpy(name, 5)
    modules = vars(theirs.impl.modules)
    state = ours._state(0)
    for part in (part for part, module in modules.items() if isinstance(module, torch.nn.Module)):
        for key, value in weights(modules[part]).items():
            np.testing.assert_array_equal(state[f"{part}.{key}"].numpy(), value, err_msg=f"{part}.{key}")
    observations = rows(7).columns().observations
    done = theirs.predict(seen(observations).numpy())
    policy, episode = ours.policy(SCENARIO), small_dataset(SCENARIO, [0]).episodes[0]
    acts = np.stack([policy.act(row, episode.kpis_at(0), np.zeros(ACTIONS)) for row in observations.numpy()])
    np.testing.assert_allclose(acts, done.clip(-1, 1), atol=1e-6)
    assert np.abs(acts).max() > 0.01


def episodes(source: int) -> list[tuple[Any, int]]:
    """For each row, d3rlpy's episode that it is of, and its number there; some are terminal, the last is cut."""
    columns, found, begin = rows(source).columns(), [], 0
    ends = [*(columns.terminals.nonzero()[:, 0] + 1).tolist(), 60]
    for end in dict.fromkeys(ends):
        episode = d3rlpy.dataset.Episode(
            seen(columns.observations[begin:end]).numpy(), columns.actions[begin:end].numpy(),
            columns.rewards[begin:end, None].numpy(), terminated=bool(columns.terminals[end - 1]),
        )  # fmt: skip
        found += [(episode, row) for row in range(end - begin)]
        begin = end
    return found


@pytest.mark.slow
def test_the_transformer_learns_what_d3rlpy_learns_from_the_same_histories() -> None:
    """But for the rounding of the returns, which d3rlpy adds up in single precision."""
    ours = begun("dt", 5)
    for _ in range(STEPS):
        ours.train_step()
    slices, known = d3rlpy.dataset.BasicTrajectorySlicer(), [episodes(source) for source in (0, 1)]
    left = [np.array([episode.rewards[row:].sum() for episode, row in part]) for part in known]
    scale = np.sqrt(0.25 * (left[0] ** 2).mean() + 0.75 * (left[1] ** 2).mean())

    def batch(drawn: list[tuple[int, int]]) -> Any:
        cut = [slices(*known[source][row], CONTEXT) for source, row in drawn]
        scaled = [replace(one, returns_to_go=one.returns_to_go / scale) for one in cut]
        return d3rlpy.dataset.TrajectoryMiniBatch.from_partial_trajectories(scaled)

    config = d3rlpy.algos.DecisionTransformerConfig(
        batch_size=BATCH, learning_rate=RATE, encoder_factory=ENCODER, context_size=CONTEXT
    )
    theirs, state = updated("dt", 5, config, batch), ours._state(0)
    for key, value in weights(theirs.impl.modules.transformer).items():
        np.testing.assert_allclose(state[f"transformer.{key}"].numpy(), value, atol=2e-5, err_msg=key)
    assert float(state["asked.scale"]) == pytest.approx(scale, rel=1e-5)
    begins = [
        value for part, of in zip(known, left, strict=True) for (_, row), value in zip(part, of, strict=True) if not row
    ]
    assert float(state["asked.target"]) == pytest.approx(max(begins), rel=1e-5)


def test_the_transformer_is_asked_for_what_is_left_of_the_return() -> None:
    """The return that it is asked for, less the rewards that the training would have made of what was reported."""
    data, kind = small_dataset(SCENARIO, [0, 1, 2]), ALGORITHMS["dt"].load()
    source = shaped(data, kind.Config().discount)
    learner = kind(kind.Config(hidden=8, batch_size=8, context_size=CONTEXT), [source], [1.0], [5], SCENARIO)
    for _ in range(3):
        learner.train_step()
    state, episode, steps = learner._state(0), data.episodes[1], data.episodes[1].steps
    rewards = source.columns().rewards.numpy()[steps : 2 * steps]
    returns = [source.columns().rewards[k * steps : (k + 1) * steps].sum().item() for k in range(3)]
    assert float(state["asked.target"]) == pytest.approx(max(returns), rel=1e-5)
    left = (max(returns) - np.concatenate([[0], rewards[:-1].cumsum()])) / float(state["asked.scale"])
    observed = learner.normalizer.normalize(torch.from_numpy(episode.observations[:-1])).numpy()
    policy, acts = learner.policy(SCENARIO), np.zeros((0, ACTIONS), np.float32)
    for _ in range(2):  # the second episode begins anew
        policy.reset(0)
        acts = acts[:0]
        for step in range(steps):
            first = max(0, step + 1 - CONTEXT)
            told = d3rlpy.algos.TransformerInput(
                observations=observed[first : step + 1],
                actions=np.concatenate([acts, np.zeros((1, ACTIONS), np.float32)])[first:],
                rewards=np.zeros((step + 1 - first, 1), np.float32),
                returns_to_go=left[first : step + 1, None].astype(np.float32),
                timesteps=np.arange(first, step + 1) + 1,
            )
            act = policy.act(episode.observations[step], episode.kpis_at(step), np.zeros(ACTIONS))
            np.testing.assert_allclose(act, learner._learners[0].predict(told), atol=1e-5)
            acts = np.concatenate([acts, act[None]])


def test_histories_that_are_none_or_too_long_are_refused() -> None:
    with pytest.raises(DataError, match=r"^dt: an episode has \d+ steps\n  cure: train with --dt.max-timestep \d+$"):
        begun("dt", 5, max_timestep=2)
    with pytest.raises(ConfigError, match=r"^dt: rows of the coming interval are moments"):
        begun("dt", 5, future="frozen")
    with pytest.raises(ConfigError, match=r"^dt: 3 heads cannot share 8 units evenly"):
        begun("dt", 5, num_heads=3)


@pytest.mark.parametrize("name", NAMES)
def test_seeds_leave_each_other_and_everybody_else_alone(name: str) -> None:
    """To the byte, where the networks that are computed side by side agree but for rounding."""
    torch.manual_seed(3)
    before = torch.get_rng_state()
    both, alone = begun(name, 5, 6), begun(name, 6)
    for _ in range(4):
        assert both.train_step()[1] == alone.train_step()[0]
        torch.rand(1)  # whoever else draws
    first, second = both._tensors(1), alone._tensors(0)
    assert list(first) == list(second)
    assert all(torch.equal(first[key], second[key]) for key in first)
    torch.manual_seed(3)
    both.train_step()
    both.policy(SCENARIO)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", NAMES)
def test_moments_of_another_network_or_too_few_are_refused(name: str, tmp_path: Path) -> None:
    """PyTorch takes what it is given, and breaks at the next step, or begins anew."""
    learner = begun(name, 5)
    learner.train_step()
    learner.save(tmp_path / "last.pt")
    good = torch.load(tmp_path / "last.pt")
    optim = "optim" if name == "dt" else "critic_optim"
    moments = [key for key in good if key.startswith(f"{optim}.")]
    assert len(moments) > 6
    damages: list[dict[str, torch.Tensor]] = [
        good | {moments[1]: torch.zeros(3, 3)},
        {key: value for key, value in good.items() if not key.startswith(moments[0].rpartition(".")[0] + ".")},
        {key: value for key, value in good.items() if key != moments[1]},
        good | {f"{optim}.99.exp_avg": torch.zeros(3)},
    ]
    for damaged in damages:
        torch.save(damaged, tmp_path / "last.pt")
        with pytest.raises(DataError, match=rf"last\.pt: not a {name} checkpoint of this training \({optim}"):
            begun(name, 5).restore([tmp_path / "last.pt"])


def test_what_the_networks_cannot_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^residual: the networks of 'iql' are d3rlpy's"):
        begun("iql", 5, residual=True)
    with pytest.raises(ConfigError, match=r"^precision: the networks of 'iql' are d3rlpy's, of float32"):
        begun("iql", 5, precision="bfloat16")
    learner = begun("iql", 5)
    learner.save(tmp_path / "last.pt")
    with pytest.raises(DataError, match=r"was trained for .* scenario small-v0 has .* by cell \(4\)"):
        trained_policy(small_scenario(4), tmp_path / "last.pt")
    pairs = tuple(reversed(SCENARIO.neighbor_pairs))
    trained = Layout(OBSERVATIONS, ACTIONS, pairs, 3)
    with pytest.raises(DataError, match=r"scenario small-v0 has as many, of other pairs"):
        trained.acting_in(SCENARIO, shared_weights=False)


def test_names_and_options_are_known_without_d3rlpy_and_the_cure_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = begun("iql", 5)
    learner.save(tmp_path / "last.pt")
    monkeypatch.setitem(sys.modules, "d3rlpy", None)
    assert set(THEIRS) <= set(ALGORITHMS)
    for name in NAMES:
        assert TrainConfig.of(name)().algorithm == name
        with pytest.raises(
            DependencyError, match=rf"^{name}: d3rlpy.*\n  cure: pip install 'mlb-testbed\[baselines\]'"
        ):
            begun(name, 5)
    with pytest.raises(DependencyError, match=r"mlb-testbed\[baselines\]"):
        trained_policy(SCENARIO, tmp_path / "last.pt")


@pytest.mark.slow
def test_listing_them_loads_neither_d3rlpy_nor_pytorch() -> None:
    program = (
        "import sys; from py_agent.algorithms import ALGORITHMS; assert 'iql' in list(ALGORITHMS); "
        "assert not {'d3rlpy', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], env=programs.python_path(), timeout=120, check=True)


def test_a_training_says_nothing_of_d3rlpys_and_is_resumed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """TD3+BC, whose actor rests every other step: the resumed one rests at the same."""
    logged, other = small_dataset(SCENARIO, [0, 1]), small_dataset(SCENARIO, [2, 3], "generated")
    config = {"td3-bc": {"hidden": 8, "batch_size": 8, "gradient_steps": 8}, "log_every": 1, "checkpoint_every": 3}
    whole, part = tmp_path / "whole", tmp_path / "part"
    train(TrainConfig.of("td3-bc").parse(config, "test"), logged, other, [whole], resume=False)
    train(TrainConfig.of("td3-bc").parse(config, "test"), logged, other, [part], resume=False)
    for name in ("last.pt", "step-0000008.pt", "step-0000006.pt"):
        (part / "checkpoints" / name).unlink()
    train(TrainConfig.of("td3-bc").parse(config, "test"), logged, other, [part], resume=True)
    for name in ("metrics.parquet", "checkpoints/last.pt"):
        assert (part / name).read_bytes() == (whole / name).read_bytes()
    assert "d3rlpy" not in "".join(capfd.readouterr())
