"""The engine's environments as stable-baselines3 asks for them; needs stable-baselines3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from ns3_scenarios.mdp import action_box, observation_box
from ns3_scenarios.scenario import Scenario
from py_agent.env.vector import MlbVectorEnv
from sumo_mobility.base.arrays import Floats, Singles
from sumo_mobility.trace import MobilityTrace

Round = Callable[[int], tuple[Sequence[MobilityTrace], int]]
"""Says of a round of episodes, by its number, the trace of each environment and the seed of the networks."""


class EngineEnvironments(VecEnv):
    """The networks of `MlbVectorEnv`, whose episodes all end in the same step and begin anew in it.

    Args:
        scenario: One that the engine mirrors.
        environments: Their number.
        traces: What each round of episodes is played on.
        advance: Called with the number of control intervals after each step.

    Attributes:
        rewards: Of each round that has ended, the mean reward of an interval.
    """

    def __init__(
        self,
        scenario: Scenario,
        environments: int,
        traces: Round,
        advance: Callable[[float], None] = lambda steps: None,
    ) -> None:
        self.rewards: list[float] = []
        self._scenario, self._traces, self._advance = scenario, traces, advance
        self._round, self._total = 0, 0.0
        super().__init__(environments, observation_box(scenario), action_box(scenario))

    def reset(self) -> Singles:
        """Begins a round of episodes and returns its first observations (N, O)."""
        traces, seed = self._traces(self._round)
        self._playing = MlbVectorEnv(self._scenario, traces, self.num_envs, seed)
        self._round, self._total = self._round + 1, 0.0
        return self._playing.reset(options={"trace": np.arange(self.num_envs)})[0]

    def step_async(self, actions: Singles) -> None:
        """Takes the actions (N, A) of the next step."""
        self._actions = actions

    def step_wait(self) -> tuple[Singles, Singles, Any, list[dict[str, Any]]]:
        """Runs one control interval; where an episode ended, the observation is the next one's first."""
        observations, rewards, _, ended, _ = self._playing.step(self._actions)
        self._advance(self.num_envs)
        self._total += float(rewards.mean())
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if ended.all():
            infos = [{"TimeLimit.truncated": True, "terminal_observation": last} for last in observations]
            self.rewards.append(self._total / self._scenario.episode.steps)
            observations = self.reset()
        return observations, _single(rewards), ended, infos

    def close(self) -> None:
        """Nothing to end: the engine is a function of this process."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Returns an attribute of each environment; they have none but that they are not drawn."""
        if attr_name != "render_mode":
            raise AttributeError(attr_name)
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refuses: the environments are one."""
        raise AttributeError(attr_name)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Refuses: the environments are one."""
        raise AttributeError(method_name)

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Returns that no environment is wrapped."""
        return [False] * self.num_envs


def _single(values: Floats) -> Singles:
    return values.astype(np.float32)
