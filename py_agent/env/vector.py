"""MlbVectorEnv: many networks in one process, all in the analytic engine at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from cf_augment.physics import Engine
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import action_box, control_from_action, observation_box, observe, reward
from ns3_scenarios.reports import Reporter
from ns3_scenarios.scenario import Scenario
from py_agent.env.env import checked_actions, draw_episode
from sumo_mobility.base.arrays import Bools, Floats, Singles
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.trace import MobilityTrace

Flags = Bools


def _metadata() -> dict[str, Any]:
    """States the autoreset mode; Gymnasium 1.0 knows only one and has no name for it."""
    mode = getattr(gymnasium.vector, "AutoresetMode", None)
    return {"render_modes": [], "autoreset_mode": "NextStep" if mode is None else mode.NEXT_STEP}


class MlbVectorEnv(VectorEnv[Singles, Singles, NDArray[Any]]):
    """`num_envs` networks of one scenario that are steered apart, each the same as an `MlbEnv` on the engine.

    Actions (N, A), observations (N, O) and rewards (N,) are those of MlbEnv. All episodes have the scenario's length
    and are truncated in the same step; the step after that ignores its actions and returns the first observations of
    the next episodes, with rewards of 0 (next-step autoreset). `info` holds `kpis` and `true_kpis`, StepKpis with
    leading N and without events, and `cio_db` (N, E).

    Args:
        scenario: The experiment; one that the engine mirrors.
        traces: Mobility to choose from; `reset(options={"trace": indices})` picks one for each environment or one for
            all, else they are drawn.
        num_envs: How many networks.
        seed: Seed of the first reset, where that is given none; environment i takes seed + i.

    Raises:
        ConfigError: no trace, no environment, or a scenario that the engine does not mirror.
    """

    metadata = _metadata()

    def __init__(self, scenario: Scenario, traces: Sequence[MobilityTrace], num_envs: int, seed: int = 0) -> None:
        if not traces:
            raise ConfigError("MlbVectorEnv: at least one trace is needed")
        if num_envs < 1:
            raise ConfigError(f"MlbVectorEnv: num_envs is {num_envs}, but at least 1 is needed")
        self.scenario = scenario
        self.traces = tuple(traces)
        self.num_envs = num_envs
        self.single_action_space, self.single_observation_space = action_box(scenario), observation_box(scenario)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._engine = Engine(scenario)
        self._positions: dict[int, Floats] = {}
        self._interval_m = np.empty((num_envs, self._engine.grid_steps + 1, scenario.mobility.ues, 2))
        self._first_seed: int | None = seed
        self._randoms = [np.random.default_rng() for _ in range(num_envs)]
        self._step = -1
        """Steps of the episodes that are on; -1 if none is."""

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Singles, dict[str, Any]]:
        """Starts an episode in each environment.

        Args:
            seed: Seeds the draws of traces of these and the later episodes: one a environment, or the first of N
                successive ones.
            options: {"trace": one index into `traces` or N of them}, or nothing.

        Raises:
            ConfigError: there is no such trace, the option is unknown, or the number of seeds is not N.
            DataError: a trace does not fit the scenario.
        """
        seed = self._first_seed if seed is None else seed
        seeds = range(seed, seed + self.num_envs) if isinstance(seed, int | np.integer) else seed
        if seeds is not None and len(seeds) != self.num_envs:
            raise ConfigError(f"reset: {len(seeds)} seeds for {self.num_envs} environments")
        for index, env_seed in enumerate(seeds or ()):
            if env_seed is not None:
                self._randoms[index] = np.random.default_rng(env_seed)
        self._first_seed = None
        drawn = [
            draw_episode(random, len(self.traces), chosen)
            for random, chosen in zip(self._randoms, self._options(options or {}), strict=True)
        ]
        self._trace = [trace for trace, _ in drawn]
        self._reporter = Reporter(self.scenario.reports, [network_seed for _, network_seed in drawn])
        for index in set(self._trace) - self._positions.keys():
            self._positions[index] = self._engine.positions(self.traces[index])
        kpis = self._engine.reset(np.stack([self._positions[index][0] for index in self._trace]))
        self._step = 0
        return self._observe(kpis, np.zeros((self.num_envs, len(self.scenario.neighbor_pairs))))

    def step(self, actions: Singles) -> tuple[Singles, Floats, Flags, Flags, dict[str, Any]]:
        """Sets the CIOs of all environments and runs one control interval.

        Raises:
            ConfigError: the actions have the wrong shape or are not finite, and the episodes can go on; or none is on.
        """
        if self._step < 0:
            raise ConfigError("MlbVectorEnv: no episode is on", "call reset() first")
        never = np.zeros(self.num_envs, np.bool_)
        if self._step == self.scenario.episode.steps:
            observation, info = self.reset()
            return observation, np.zeros(self.num_envs), never, never.copy(), info
        control = control_from_action(self.scenario, checked_actions(self.scenario, actions, (self.num_envs,)))
        start = self._step * self._engine.grid_steps
        rows = slice(start, start + self._engine.grid_steps + 1)
        np.stack([self._positions[index][rows] for index in self._trace], out=self._interval_m)
        kpis = self._engine.step(self._interval_m, control)
        self._step += 1
        observation, info = self._observe(kpis, control.cio_db)
        truncated = np.full(self.num_envs, self._step == self.scenario.episode.steps)
        return observation, reward(self.scenario, kpis), never, truncated, info

    def close_extras(self, **kwargs: Any) -> None:
        """Ends the episodes."""
        self._step = -1

    def _options(self, options: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns the options of each environment."""
        if "trace" not in options:
            return [options] * self.num_envs
        traces = np.asarray(options["trace"], dtype=object)
        if traces.shape not in ((), (self.num_envs,)):
            raise ConfigError(f"reset: options['trace'] of shape {traces.shape} for {self.num_envs} environments")
        return [{**options, "trace": index} for index in np.broadcast_to(traces, self.num_envs).tolist()]

    def _observe(self, kpis: StepKpis, cio_db: Floats) -> tuple[Singles, dict[str, Any]]:
        reported = self._reporter.report(kpis)
        return observe(self.scenario, reported, cio_db), {"kpis": reported, "true_kpis": kpis, "cio_db": cio_db}
