"""Late and noisy reports where they are used: environments, policies, datasets, counterfactuals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_world import small_dataset, small_scenario, small_trace

from cf_augment.augment import roll_out
from cf_augment.dataset import EpisodeMetadata, Provenance, read_dataset, write_dataset
from ns3_scenarios.kpis import KPI_AXES, StepKpis
from ns3_scenarios.mdp import observe, reward
from ns3_scenarios.reports import Reports
from ns3_scenarios.scenario import Scenario
from py_agent.collect import EpisodeJob
from py_agent.env import MlbEnv, open_backend
from py_agent.env.vector import MlbVectorEnv
from py_agent.policies.rules import Random
from py_agent.rollout import run_episode
from sumo_mobility.base.arrays import Floats, Singles
from sumo_mobility.base.errors import DataError

LATE = Reports(delay_intervals=2)
NOISY = Reports(delay_intervals=1, load_noise_std=0.1, rsrp_noise_std_db=3.0)


def scenario_with(reports: Reports) -> Scenario:
    return small_scenario().model_copy(update={"reports": reports})


@pytest.fixture
def noisy() -> Iterator[MlbEnv]:
    scenario = scenario_with(NOISY)
    env = MlbEnv(scenario, open_backend(scenario, "engine"), [small_trace(scenario, seed) for seed in range(3)])
    yield env
    env.close()


class Watcher(Random):
    """A random policy that remembers what it was told."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self.told: list[StepKpis] = []
        self.seen: list[Singles] = []

    def act(self, observation: Singles, kpis: StepKpis, cio_db: Floats) -> Singles:
        self.told.append(kpis)
        self.seen.append(observation)
        return super().act(observation, kpis, cio_db)


def test_the_observation_is_of_what_was_reported_and_the_reward_of_what_was_so() -> None:
    """Two intervals late, by a list that is kept by hand; the CIO in force is never late."""
    scenario = scenario_with(LATE)
    env = MlbEnv(scenario, open_backend(scenario, "engine"), [small_trace(scenario, 1)])
    observation, info = env.reset(seed=1)
    truth = [info["true_kpis"]]
    for step in range(scenario.episode.steps):
        action = np.full(env.action_space.shape, 0.1 * step, np.float32)
        observation, earned, _, _, info = env.step(action)
        truth.append(info["true_kpis"])
        assert info["kpis"] is truth[max(0, step + 1 - 2)]
        assert info["kpis"].time_s == max(0, step - 1)
        assert info["cio_db"] == pytest.approx(0.6 * step)
        assert np.array_equal(observation, observe(scenario, info["kpis"], info["cio_db"]))
        assert earned == reward(scenario, truth[-1])
    env.close()


def test_noise_comes_from_the_seed_of_the_environment(noisy: MlbEnv) -> None:
    def seen(seed: int | None) -> tuple[Singles, StepKpis]:
        observation, info = noisy.reset(seed=seed, options={"trace": 0})
        return observation, info["true_kpis"]

    first, again, other, later = seen(4), seen(4), seen(5), seen(None)
    assert np.array_equal(first[0], again[0])
    assert first[1] == other[1] == later[1]  # the engine itself knows no chance
    assert len({observation.tobytes() for observation, _ in (first, other, later)}) == 3


def test_the_vector_environment_reports_as_single_ones_do() -> None:
    scenario = scenario_with(NOISY)
    traces = [small_trace(scenario, seed) for seed in range(3)]
    together = MlbVectorEnv(scenario, traces, 3)
    apart = [MlbEnv(scenario, open_backend(scenario, "engine"), traces) for _ in range(3)]
    observations, info = together.reset(seed=7)
    alone = [env.reset(seed=7 + index) for index, env in enumerate(apart)]
    for step in range(scenario.episode.steps + 1):
        for index, (single, single_info) in enumerate(alone):
            assert np.array_equal(observations[index], single)
            for name in KPI_AXES:
                for which in ("kpis", "true_kpis"):
                    got, wanted = getattr(info[which], name)[index], getattr(single_info[which], name)
                    assert np.array_equal(got, wanted), (which, name)
        actions = np.random.default_rng(step).uniform(-1, 1, (3, *apart[0].action_space.shape)).astype(np.float32)
        observations, *_, info = together.step(actions)
        over = step == scenario.episode.steps
        alone = [env.reset() if over else env.step(one)[::4] for env, one in zip(apart, actions, strict=True)]


def test_an_episode_holds_what_the_policy_saw_and_what_was_so(noisy: MlbEnv, tmp_path: Path) -> None:
    scenario = noisy.scenario
    metadata = EpisodeMetadata(
        scenario_id=scenario.id, trace_name="trace-1", policy="watcher", seed=9, backend="engine",
        provenance=Provenance(action_source="watcher"),
    )  # fmt: skip
    policy = Watcher(scenario)
    episode = run_episode(noisy, policy, metadata, trace=1)
    assert np.array_equal(episode.observations[:-1], np.stack(policy.seen))
    assert [float(kpis.time_s) for kpis in policy.told] == [0, 0, 1, 2, 3, 4]
    plain = small_scenario()
    env = MlbEnv(plain, open_backend(plain, "engine"), [small_trace(plain, 1)])
    truth = [env.reset()[1]["kpis"], *(env.step(action)[4]["kpis"] for action in episode.actions)]
    assert [episode.kpis_at(row) for row in range(7)] == truth
    assert episode.rewards == pytest.approx([float(reward(plain, kpis)) for kpis in truth[1:]])
    env.close()


def test_a_dataset_is_checked_with_its_noise_under_any_name_of_its_traces(tmp_path: Path) -> None:
    scenario, path = scenario_with(NOISY), tmp_path / "data.h5"
    episodes = small_dataset(scenario, [0, 1]).episodes
    renamed = [
        type(one)(**vars(one) | {"metadata": one.metadata.model_copy(update={"trace_name": f"other-{index}"})})
        for index, one in enumerate(episodes)
    ]
    for name, kept in (("as collected", episodes), ("renamed", renamed)):
        write_dataset(path, scenario, kept)
        for got, wanted in zip(read_dataset(path).episodes, kept, strict=True):
            assert np.array_equal(got.observations, wanted.observations), name
            assert got.metadata == wanted.metadata
    with h5py.File(path, "r+") as file:
        assert b"1 interval late, prb_utilization with noise of 0.1, ue_rsrp_dbm" in file.attrs["observation"]
        file["observations"][3, 0] += 0.01
    with pytest.raises(DataError, match=r"observations\[3, 0\].*not what follows"):
        read_dataset(path).episodes[0]


def test_what_is_without_noise_says_nothing_of_it_in_files() -> None:
    for reports in (Reports(), LATE):
        for episode in small_dataset(scenario_with(reports), [2]).episodes:
            assert "report_seed" not in episode.metadata.model_dump_json()


def test_a_collection_with_noise_goes_on_where_it_stopped(tmp_path: Path) -> None:
    scenario = scenario_with(NOISY)
    trace = small_trace(scenario, 3)
    job = EpisodeJob.of(scenario, ("trace", trace), ("random", Random), 1, tmp_path, "engine")
    assert not job.is_done()
    job.run()
    assert job.is_done()


def test_counterfactual_actions_are_chosen_by_what_is_reported() -> None:
    scenario = scenario_with(LATE)
    told: list[float] = []

    def source(step: int, kpis: StepKpis) -> Singles:
        told.append(float(kpis.time_s))
        return np.zeros(len(scenario.neighbor_pairs), np.float32)

    [(kpis, _)] = roll_out(scenario, [small_trace(scenario, 1)], [source], [0])
    assert told == [0, 0, 0, 1, 2, 3]
    assert [float(row.time_s) for row in kpis] == [0, 1, 2, 3, 4, 5, 6]
