"""What every algorithm of the registry keeps to; plug-ins are tried as well if MLB_PLUGINS names them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from small_world import small_dataset, small_scenario

from cf_augment.dataset import Dataset
from cf_augment.physics import RadioStates
from ns3_scenarios.mdp import action_size, observation_size
from py_agent.algorithms import ALGORITHMS
from py_agent.algorithms.base import Algorithm, NetworkPolicy, trained_policy
from py_agent.algorithms.config import TrainConfig
from py_agent.algorithms.deploy import export_policy
from py_agent.algorithms.networks import Actor, Layout
from py_agent.algorithms.replay import Replay
from py_agent.algorithms.transitions import Transitions
from py_agent.policies import Policy
from py_agent.train import train
from sumo_mobility.base.arrays import AnyFloats, Singles
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.base.registry import Lazy

SCENARIO = small_scenario()
BEST = 0.3
"""The best action of `rows`, in every state."""
CAREFUL = {"mopo": {"real_share": 0.5, "penalty": 1.0}}
"""Hyper-parameters where a few hundred rows must do: a model of them is not to be trusted much."""


@pytest.fixture(params=list(ALGORITHMS))
def kind(request: pytest.FixtureRequest) -> type[Algorithm]:
    return ALGORITHMS[request.param].load()


@cache
def logged() -> Dataset:
    return small_dataset(SCENARIO, [0, 1])


def rows(seed: int, spread: float = 1.0, count: int = 400) -> Replay:
    """Random actions around the best one, each of which ends an episode with -(distance to the best action)^2."""
    rng = np.random.default_rng(seed)
    observations = spread * rng.normal(size=(count, observation_size(SCENARIO)))
    actions = rng.uniform(BEST - 0.6, BEST + 0.6, (count, action_size(SCENARIO)))
    ues, cells = SCENARIO.mobility.ues, len(SCENARIO.cells)
    rsrp_dbm = torch.as_tensor(rng.uniform(-120, -70, (count, ues, cells)), dtype=torch.float32)
    states = RadioStates(rsrp_dbm, torch.as_tensor(rng.integers(cells, size=(count, ues))))
    return Replay.of(observations, actions, earned(actions), observations, np.ones(count, bool), states)


def earned(actions: AnyFloats) -> AnyFloats:
    return -((actions - BEST) ** 2).sum(1)


def begun(
    kind: type[Algorithm], *seeds: int, spread: float = 1.0, device: str = "cpu", **parameters: float
) -> Algorithm:
    """A training on two sources, with the hyper-parameters that all algorithms have."""
    config = kind.Config.parse({"hidden": 16, "batch_size": 32, "learning_rate": 1e-2} | parameters, "test")
    return kind(config, [rows(0, spread), rows(1, spread)], [0.5, 0.5], seeds or [5], SCENARIO, device)


def stepped(learner: Algorithm, steps: int) -> Algorithm:
    for _ in range(steps):
        learner.train_step()
    return learner


def saved(learner: Algorithm, folder: Path, index: int = 0) -> Path:
    learner.save(folder / "last.pt", index)
    return folder / "last.pt"


def actions(policy: Policy, seed: int = 0) -> Singles:
    """What a policy does in an episode of eight steps."""
    kpis = logged().episodes[0].kpis_at(0)
    observations = np.concatenate([logged().observations[:6], 1e6 * logged().observations[:2]])
    policy.reset(seed)
    return np.stack([policy.act(one, kpis, np.zeros(len(SCENARIO.neighbor_pairs))) for one in observations])


def test_its_class_has_the_name_of_the_registry() -> None:
    assert {name: entry.load().name for name, entry in ALGORITHMS.items()} == {name: name for name in ALGORITHMS}


def test_same_seed_same_bytes_and_another_seed_others(kind: type[Algorithm], tmp_path: Path) -> None:
    files = [saved(stepped(begun(kind, seed), 20), tmp_path / f"{k}") for k, seed in enumerate((5, 5, 6))]
    first, same, other = (path.read_bytes() for path in files)
    assert first == same
    assert first != other


def test_restored_it_ends_as_if_it_had_never_stopped(kind: type[Algorithm], tmp_path: Path) -> None:
    whole = begun(kind)
    logs = [whole.train_step() for _ in range(30)]
    part = saved(stepped(begun(kind), 11), tmp_path / "part")
    rest = begun(kind)
    rest.restore([part])
    assert rest.step == 11
    assert [rest.train_step() for _ in range(19)] == logs[11:]
    assert saved(rest, tmp_path / "rest").read_bytes() == saved(whole, tmp_path / "whole").read_bytes()


def test_each_of_several_seeds_is_trained_as_it_would_be_alone(kind: type[Algorithm], tmp_path: Path) -> None:
    seeds = (5, 6, 7)
    many = begun(kind, *seeds)
    logs = [many.train_step() for _ in range(12)]
    for index, seed in enumerate(seeds):
        alone = begun(kind, seed)
        reported = [alone.train_step()[0] for _ in range(12)]
        for step, row in enumerate(reported):
            assert logs[step][index] == pytest.approx(row, rel=1e-3, abs=1e-4)
        alone_does, together_does = (actions(learner.policy(SCENARIO, k)) for learner, k in ((alone, 0), (many, index)))
        assert together_does == pytest.approx(alone_does, abs=1e-4)
        whole = torch.load(saved(many, tmp_path / f"many-{seed}", index))
        assert {name: value.shape for name, value in whole.items()} == {
            name: value.shape for name, value in torch.load(saved(alone, tmp_path / f"alone-{seed}")).items()
        }
    again = begun(kind, *seeds)
    again.restore([tmp_path / f"many-{seed}" / "last.pt" for seed in seeds])
    assert again.train_step() == many.train_step()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_trains_as_the_cpu_does_but_for_rounding(kind: type[Algorithm], tmp_path: Path) -> None:
    if not kind.gpu:
        with pytest.raises(
            ConfigError, match=rf"^device cuda: {kind.name} is trained on the CPU alone\n.*--device cpu"
        ):
            begun(kind, device="cuda")
        return
    learners = {device: begun(kind, 5, 6, device=device) for device in ("cpu", "cuda")}
    for _ in range(5):
        rows = {device: learner.train_step() for device, learner in learners.items()}
        for on_cpu, on_gpu in zip(rows["cpu"], rows["cuda"], strict=True):
            assert on_gpu == pytest.approx(on_cpu, rel=1e-2, abs=1e-2)
    done = [actions(learner.policy(SCENARIO, 1)) for learner in learners.values()]
    assert done[1] == pytest.approx(done[0], abs=1e-2)
    begun(kind, 5).restore([saved(learners["cuda"], tmp_path)])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(kind: type[Algorithm]) -> None:
    with pytest.raises(ConfigError, match=r"^device cuda: there is none that PyTorch could use\n.*--device cpu"):
        begun(kind, device="cuda")


def test_checkpoints_of_other_steps_or_of_too_few_seeds_are_refused(kind: type[Algorithm], tmp_path: Path) -> None:
    learner = begun(kind, 5, 6)
    first = saved(stepped(learner, 1), tmp_path / "first")
    second = saved(stepped(learner, 1), tmp_path / "second", index=1)
    for paths, steps in (([first, second], r"\[1, 2\]"), ([first], r"\[1\]")):
        with pytest.raises(DataError, match=rf"checkpoints of steps {steps}, for 2 seeds"):
            begun(kind, 5, 6).restore(paths)
    with pytest.raises(ConfigError, match="no seed to train with"):
        kind(kind.Config(), [rows(0)], [1.0], [])


def test_its_policy_keeps_to_the_range_and_to_its_seed(kind: type[Algorithm]) -> None:
    policy = stepped(begun(kind), 5).policy(SCENARIO)
    first = actions(policy)
    assert first.dtype == np.float32
    assert first.shape == (8, action_size(SCENARIO))
    assert np.abs(first).max() <= 1
    assert np.array_equal(actions(policy), first)
    if kind.deterministic:
        assert np.array_equal(actions(policy, seed=1), first)


def test_its_policy_of_a_file_is_that_in_memory_which_training_leaves_alone(
    kind: type[Algorithm], tmp_path: Path
) -> None:
    learner = stepped(begun(kind), 5)
    policy, path = learner.policy(SCENARIO), saved(learner, tmp_path)
    stepped(learner, 5)
    assert np.array_equal(actions(trained_policy(SCENARIO, path)), actions(policy))
    assert not np.array_equal(actions(learner.policy(SCENARIO)), actions(policy))


def test_what_is_not_finite_is_refused_by_its_name(kind: type[Algorithm], tmp_path: Path) -> None:
    for name in Transitions._fields:
        column = getattr(rows(0).columns(), name).clone()
        if not column.is_floating_point():
            continue
        column[3] = float("nan")
        with pytest.raises(DataError, match=rf"^dataset: {name}\[3\] is not finite$"):
            Replay.of_parts([rows(0).columns()._replace(**{name: column})])
    learner = begun(kind)
    quantities = "|".join(learner.train_step()[0])
    path = saved(learner, tmp_path)
    weights = torch.load(path)
    torch.save({name: value * (float("nan") if value.dim() > 1 else 1) for name, value in weights.items()}, path)
    learner.restore([path])
    with pytest.raises(
        DataError, match=rf"^{kind.name}: the training diverged, ({quantities}) of seed 5 is nan at .* step 2\n"
    ):
        learner.train_step()


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_its_policy_is_exported_or_said_to_be_no_network(kind: type[Algorithm], tmp_path: Path) -> None:
    path = saved(stepped(begun(kind), 5), tmp_path)
    policy = trained_policy(SCENARIO, path)
    if isinstance(policy, NetworkPolicy):
        assert export_policy(SCENARIO, path, tmp_path / "policy.ts")["algorithm"] == kind.name
        seen = torch.from_numpy(logged().observations)
        exported = torch.jit.load(str(tmp_path / "policy.ts"))(seen)
        kpis, cio_db = logged().episodes[0].kpis_at(0), np.zeros(len(SCENARIO.neighbor_pairs))
        assert exported.numpy() == pytest.approx(
            np.stack([policy.act(row, kpis, cio_db) for row in seen.numpy()]), abs=1e-5
        )
    else:
        with pytest.raises(ConfigError, match=rf"policies of '{kind.name}' are no network alone"):
            export_policy(SCENARIO, path, tmp_path / "policy.ts")
        assert not (tmp_path / "policy.ts").exists()


def broken(path: Path) -> Iterator[Path]:
    """Files beside a good checkpoint that are none."""
    good, folder = path.read_bytes(), path.parent
    torch.save({"weights": torch.zeros(3)}, folder / "foreign.pt")
    wrong = {f"actor.{key}": value for key, value in Actor(Layout(2, 5), 32).state_dict().items()}
    torch.save(wrong, folder / "shape.pt")
    torch.save([1, 2], folder / "list.pt")
    (folder / "pickle.pt").write_bytes(pickle.dumps(Path, protocol=2))
    (folder / "cut.pt").write_bytes(good[: len(good) // 2])
    for name in ("foreign", "shape", "list", "pickle", "cut", "absent"):
        yield folder / f"{name}.pt"


def test_damaged_and_foreign_files_are_refused(kind: type[Algorithm], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"last\.pt: no checkpoint .* no algorithm\.json beside it"):
        trained_policy(SCENARIO, tmp_path / "last.pt")
    path = saved(begun(kind), tmp_path)
    good = path.read_bytes()
    for file in broken(path):
        with pytest.raises(DataError, match=rf"{file.name}.*checkpoint[\s\S]*cure: train the policy anew"):
            trained_policy(SCENARIO, file)
        with pytest.raises(DataError, match=rf"{file.name}.*checkpoint[\s\S]*cure: train the policy anew"):
            begun(kind).restore([file])
    with pytest.raises(DataError, match="another configuration"):
        begun(kind, learning_rate=0.5).restore([path])
    assert path.read_bytes() == good


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 99}, r"is a checkpoint of algorithm {name}, version 99, not of {name}, version {version}"),
        (
            {"algorithm": "ppo"},
            r"unknown algorithm 'ppo'.*sac.*|is a checkpoint of algorithm ppo, version {version}, not of",
        ),
    ],
)
def test_a_file_of_another_version_or_algorithm_is_refused_in_one_line(
    kind: type[Algorithm], changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    path = saved(begun(kind), tmp_path)
    record = json.loads((tmp_path / "algorithm.json").read_text())
    (tmp_path / "algorithm.json").write_text(json.dumps(record | changes))
    for refuse in (lambda: trained_policy(SCENARIO, path), lambda: begun(kind).restore([path])):
        with pytest.raises(DataError, match=message.format(name=kind.name, version=kind.version)) as refused:
            refuse()
        assert refused.value.message.startswith(str(path))
        assert "\n" not in refused.value.message


@pytest.mark.slow
def test_it_does_better_than_the_data_where_one_action_is_the_best(kind: type[Algorithm]) -> None:
    """Half as far from the best reward, which is 0, as the data are in the mean; in one state, so that a bad action is
    not for want of steps."""
    policy = stepped(begun(kind, spread=0.0, **CAREFUL.get(kind.name, {})), 200).policy(SCENARIO)
    state = np.zeros(observation_size(SCENARIO), np.float32)
    action = policy.act(state, logged().episodes[0].kpis_at(0), np.zeros(len(SCENARIO.neighbor_pairs)))
    assert earned(action[None])[0] > rows(0).columns().rewards.mean().item() / 2


def test_behaviour_cloning_that_corrects_a_rule_learns_what_its_policy_then_does() -> None:
    """Of data that do what the policy did at the beginning there is nothing to learn, whatever the rule does."""
    kind = ALGORITHMS["bc"].load()
    before = begun(kind, residual=True).policy(SCENARIO)
    kpis, nothing = logged().episodes[0].kpis_at(0), np.zeros(len(SCENARIO.neighbor_pairs))
    observations = np.random.default_rng(0).normal(0, 0.3, (300, observation_size(SCENARIO))).astype(np.float32)
    taken = np.stack([before.act(one, kpis, nothing) for one in observations])
    assert np.abs(taken).mean() > 0.2
    data = Replay.of(observations, taken, np.zeros(300), observations, np.ones(300, bool))
    learner = kind(kind.Config(hidden=16, residual=True), [data], [1.0], [5], SCENARIO)
    stepped(learner, 300)
    after = learner.policy(SCENARIO)
    error = np.stack([after.act(one, kpis, nothing) for one in observations]) - taken
    assert np.abs(error).mean() < 0.05


def test_it_is_trained_on_logged_data_alone_and_its_directory_says_how(kind: type[Algorithm], tmp_path: Path) -> None:
    parameters = {"hidden": 8, "batch_size": 8, "gradient_steps": 4}
    config = TrainConfig.of(kind.name).parse({kind.name: parameters, "checkpoint_every": 2}, "test")
    (last,) = train(config, logged(), None, [tmp_path], resume=False)
    record = json.loads((tmp_path / "record.json").read_text())
    assert parameters.items() <= record["config"][kind.name].items()
    assert (record["logged_transitions"], record["counterfactual_transitions"]) == (12, 0)
    assert actions(trained_policy(SCENARIO, last)).shape == (8, action_size(SCENARIO))


def test_an_unknown_algorithm_names_the_nearest_and_one_is_registered_once() -> None:
    with pytest.raises(ConfigError, match=r"^unknown algorithm 'sacc' \(did you mean 'sac'\?\); there are sac, bc"):
        TrainConfig.of("sacc")
    with pytest.raises(ConfigError, match="algorithm 'bc' is registered twice"):
        ALGORITHMS.register(Lazy("bc", "elsewhere:Bc"))
