"""Every form of the action through the whole job: policies, dataset, counterfactuals, training, trained agent."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import made_network
import numpy as np
import pytest

from cf_augment.augment import Job, NoisyRule, Random, Searched, play
from cf_augment.dataset import EpisodeMetadata, Provenance, read_dataset, write_dataset
from cf_augment.dataset.records import Dataset
from cf_augment.exports.table import to_frame
from ns3_scenarios.mdp import action_size
from ns3_scenarios.scenario import Scenario
from py_agent.algorithms.base import trained_policy
from py_agent.algorithms.sac import SacConfig
from py_agent.env import MlbEnv, open_backend
from py_agent.policies import PolicyFactory, policy_factory
from py_agent.policies.planner import GreedyPlanner
from py_agent.rollout import run_episode
from py_agent.train import TrainConfig, train

RULES: dict[str, PolicyFactory] = {
    **{name: policy_factory(name) for name in ("static", "random", "integral", "son-step", "rebuha", "cmf-map")},
    "onos-mlb": policy_factory("onos-mlb:overload=50,target=50,period_steps=1"),
    "planner": partial(GreedyPlanner, samples=20, rounds=1, sweeps=1, levels=3),
}
SIZES = {"pair": 2, "cell": 2, "edge": 1}


def record(scenario: Scenario, policy: str) -> EpisodeMetadata:
    provenance = Provenance(action_source=policy)
    return EpisodeMetadata(
        scenario_id=scenario.id, trace_name="t", policy=policy, seed=1, backend="engine", provenance=provenance
    )


def logged(scenario: Scenario, policies: dict[str, PolicyFactory]) -> Dataset:
    env = MlbEnv(scenario, open_backend(scenario, "engine"), [made_network.trace()])
    assert env.action_space.shape == (action_size(scenario),)
    return Dataset(
        scenario, tuple(run_episode(env, make(scenario), record(scenario, name)) for name, make in policies.items())
    )


@pytest.mark.slow
@pytest.mark.parametrize("grid", ["continuous", "standard"])
@pytest.mark.parametrize("form", SIZES)
def test_the_whole_job_in_each_form(form: str, grid: str, tmp_path: Path) -> None:
    scenario = made_network.scenario(handover={"action": form, "grid": grid})
    dataset = logged(scenario, RULES)
    write_dataset(tmp_path / "d.h5", scenario, dataset.episodes)
    kept = read_dataset(tmp_path / "d.h5")
    assert kept.actions.shape == (len(RULES) * made_network.STEPS, SIZES[form])
    frame = to_frame(kept)
    both = frame["cio_0_1_db"] + frame["cio_1_0_db"]
    assert np.abs(frame[["cio_0_1_db", "cio_1_0_db"]]).to_numpy().max() <= 6
    assert (np.abs(both) < 1e-5).all() == (form != "pair")
    on_grid = frame["cio_0_1_db"].isin(range(-6, 7))
    assert on_grid.all() == (grid == "standard")

    jobs = [
        Job("t", made_network.trace(), Provenance(kind="replay", source=("t",), action_source="-"), chosen_by, seed)
        for seed, chosen_by in enumerate((Random(), Searched(4), NoisyRule(0.2)))
    ]
    counterfactual = Dataset(scenario, tuple(play(kept, jobs, seed=3)))
    assert counterfactual.actions.shape[1] == SIZES[form]

    config = TrainConfig.of("sac")(sac=SacConfig(hidden=8, batch_size=8, gradient_steps=3))
    (checkpoint,) = train(config, kept, counterfactual, [tmp_path / "sac"], resume=False)
    trained = logged(scenario, {"sac": partial(trained_policy, checkpoint=checkpoint)})
    assert np.abs(trained.actions).max() <= 1


@pytest.mark.parametrize("form", ["cell", "edge"])
def test_the_integral_rule_asks_for_the_same_cio_in_each_form(form: str) -> None:
    """Its correction is a difference of two cells, so that until it is clipped no form loses anything of it."""
    frames = [
        to_frame(logged(made_network.scenario(handover={"action": one}), {"integral": policy_factory("integral")}))
        for one in ("pair", form)
    ]
    assert np.abs(frames[0]["cio_0_1_db"]).max() > 0.1
    for name in ("cio_0_1_db", "cio_1_0_db", "reward"):
        assert frames[1][name].to_numpy() == pytest.approx(frames[0][name].to_numpy(), abs=1e-5)
