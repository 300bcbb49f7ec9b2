"""The vectorised engine environment is N single ones, and keeps gymnasium's contract of vector environments."""

from __future__ import annotations

from dataclasses import fields

import made_network
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from ns3_scenarios.hexagon import crossing_trace, hexagonal_scenario
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.scenario import Scenario
from py_agent.env import MlbEnv, open_backend
from py_agent.env.vector import MlbVectorEnv
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.trace import MobilityTrace

NETWORK = hexagonal_scenario(2, 12, 3)
TRACES = [crossing_trace(NETWORK, seed) for seed in range(3)]
SMALL = made_network.scenario()


def actions_of(network: Scenario, envs: int, step: int) -> np.ndarray:
    size = MlbVectorEnv(network, TRACES, 1).single_action_space.shape[0]  # type: ignore[index]
    return np.random.default_rng(step).uniform(-1, 1, (envs, size)).astype(np.float32)


def single(network: Scenario = NETWORK, traces: list[MobilityTrace] = TRACES) -> MlbEnv:
    return MlbEnv(network, open_backend(network, "engine"), traces)


@pytest.mark.parametrize("observation", ["cell-kpi", "rsrp-matrix"])
@pytest.mark.parametrize("seed", [7, [3, 1, 4, 1]])
def test_it_is_as_many_single_environments(observation: str, seed: int | list[int]) -> None:
    """Bit for bit, through two episodes and the step between them, in which all begin anew."""
    network = NETWORK.model_copy(update={"observation": observation})
    together = MlbVectorEnv(network, TRACES, 4)
    apart = SyncVectorEnv([lambda: single(network)] * 4)
    one, one_info = together.reset(seed=seed)
    other, other_info = apart.reset(seed=seed)
    assert np.array_equal(one, other)
    for step in range(2 * network.episode.steps + 1):
        actions = actions_of(network, 4, step)
        one, *one_rest, one_info = together.step(actions)
        other, *other_rest, other_info = apart.step(actions)
        assert one.dtype == other.dtype == np.float32
        assert np.array_equal(one, other)
        for mine, theirs in zip(one_rest, other_rest, strict=True):
            assert np.array_equal(mine, theirs)
            assert mine.dtype == theirs.dtype
        assert np.array_equal(one_info["cio_db"], other_info["cio_db"])
        for index, kpis in enumerate(other_info["kpis"]):
            for field in fields(StepKpis):
                if field.name != "events":
                    assert np.array_equal(getattr(one_info["kpis"], field.name)[index], getattr(kpis, field.name))
    apart.close()


def test_gymnasiums_contract_and_wrappers() -> None:
    envs = MlbVectorEnv(NETWORK, TRACES, 3)
    assert envs.observation_space == batch_space(envs.single_observation_space, 3)
    assert envs.action_space == batch_space(envs.single_action_space, 3)
    mode = envs.metadata["autoreset_mode"]
    assert getattr(mode, "value", mode) == "NextStep"
    wrapped = RecordEpisodeStatistics(envs)
    observation, _ = wrapped.reset(seed=1)
    assert observation in envs.observation_space
    wrapped.action_space.seed(1)
    total = np.zeros(3)
    for step in range(NETWORK.episode.steps):
        observation, rewards, terminated, truncated, info = wrapped.step(wrapped.action_space.sample())
        assert observation in envs.observation_space
        assert rewards.shape == terminated.shape == truncated.shape == (3,)
        assert not terminated.any()
        assert truncated.all() == (step == NETWORK.episode.steps - 1)
        total += rewards
    assert info["episode"]["r"] == pytest.approx(total)
    assert info["episode"]["l"].tolist() == [NETWORK.episode.steps] * 3
    wrapped.close()
    with pytest.raises(ConfigError, match=r"no episode is on(?s:.*)call reset"):
        envs.step(actions_of(NETWORK, 3, 0))


def test_what_a_step_returned_stays_as_it_was() -> None:
    envs = MlbVectorEnv(NETWORK, TRACES, 2, 0)
    envs.reset()
    observation, info = envs.step(actions_of(NETWORK, 2, 0))[0], envs.step(actions_of(NETWORK, 2, 1))[4]
    before = {field.name: np.copy(getattr(info["kpis"], field.name)) for field in fields(StepKpis)}
    first, cio_db = observation.copy(), info["cio_db"].copy()
    envs.step(actions_of(NETWORK, 2, 2))
    for name, values in before.items():
        np.testing.assert_array_equal(getattr(info["kpis"], name), values, err_msg=name)
    np.testing.assert_array_equal(observation, first)
    np.testing.assert_array_equal(info["cio_db"], cio_db)


def test_traces_are_drawn_or_named() -> None:
    envs = MlbVectorEnv(NETWORK, TRACES, 3)
    starts = np.array([trace.position_m[0] for trace in TRACES])
    _, info = envs.reset(options={"trace": [2, 0, 1]})
    assert np.array_equal(info["kpis"].ue_position_m, starts[[2, 0, 1]])
    _, info = envs.reset(options={"trace": 1})
    assert np.array_equal(info["kpis"].ue_position_m, starts[[1, 1, 1]])
    drawn = {tuple(envs.reset()[1]["kpis"].ue_position_m[:, 0, 0].tolist()) for _ in range(5)}
    assert len(drawn) > 1
    assert np.array_equal(envs.reset(seed=5)[0], envs.reset(seed=[5, 6, 7])[0])


def test_bad_input_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="at least one trace"):
        MlbVectorEnv(NETWORK, [], 2)
    with pytest.raises(ConfigError, match="num_envs is 0"):
        MlbVectorEnv(NETWORK, TRACES, 0)
    envs = MlbVectorEnv(NETWORK, TRACES, 2)
    with pytest.raises(ConfigError, match="no episode is on"):
        envs.step(actions_of(NETWORK, 2, 0))
    with pytest.raises(ConfigError, match="3 seeds for 2 environments"):
        envs.reset(seed=[1, 2, 3])
    with pytest.raises(ConfigError, match=r"options\['trace'\] is 3"):
        envs.reset(options={"trace": [0, 3]})
    with pytest.raises(ConfigError, match=r"of shape \(3,\) for 2"):
        envs.reset(options={"trace": [0, 1, 2]})
    with pytest.raises(ConfigError, match="unknown option 'traces'"):
        envs.reset(options={"traces": 0})
    envs.reset()
    actions = actions_of(NETWORK, 2, 0)
    with pytest.raises(ConfigError, match="action: shape"):
        envs.step(actions[:1])
    actions[1, 3] = np.nan
    with pytest.raises(ConfigError, match=r"value \(1, 3\) is nan"):
        envs.step(actions)
    envs.step(actions_of(NETWORK, 2, 0))
    with pytest.raises(DataError, match=r"12 UEs, but mobility\.ues of two-cells-v0 is 6"):
        MlbVectorEnv(SMALL, TRACES, 2).reset()
