"""MlbEnv: mobility load balancing as a Gymnasium environment over any back end."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np

from ns3_scenarios.backend import Backend, check_trace
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import action_box, action_size, control_from_action, observation_box, observe, reward
from ns3_scenarios.reports import Reporter
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats, Singles
from sumo_mobility.base.documents import shown
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.live import LiveTraffic
from sumo_mobility.trace import Mobility


def checked_actions(scenario: Scenario, actions: Singles, batch: tuple[int, ...] = ()) -> Singles:
    """Returns actions (*batch, A) as float32; warns of values that will be clipped, once for each line that sends some.

    Raises:
        ConfigError: no numbers, wrong shape, or not finite.
    """
    try:
        actions = np.asarray(actions, dtype=np.float32)
    except (TypeError, ValueError):
        raise ConfigError(f"action: {shown(actions)} is no array of numbers") from None
    shape = (*batch, action_size(scenario))
    if actions.shape != shape:
        form = " and ".join([scenario.handover.action, *scenario.handover.steer])
        raise ConfigError(f"action: shape {actions.shape}, but one value a {form}, {shape}")
    if not np.isfinite(actions).all():
        where = tuple(int(index) for index in np.argwhere(~np.isfinite(actions))[0])
        name = where[-1] if len(where) == 1 else where
        raise ConfigError(f"action: value {name} is {actions[where]}, not a number in [-1, 1]")
    if np.abs(actions).max(initial=0.0) > 1 + 1e-6:
        warnings.warn("action: values beyond [-1, 1] are clipped", stacklevel=3)
    return actions


def draw_episode(random: np.random.Generator, traces: int, options: dict[str, Any]) -> tuple[int, int]:
    """Draws the index of a trace, unless the options name it, and the seed of the network's randomness.

    Raises:
        ConfigError: there is no such trace, or the option is unknown.
    """
    network_seed = int(random.integers(1, 2**31 - 1))
    drawn = int(random.integers(traces))
    unknown = sorted(options.keys() - {"trace"})
    if unknown:
        raise ConfigError(f"reset: unknown option '{unknown[0]}' (known: trace)")
    trace = options.get("trace", drawn)
    if not isinstance(trace, int | np.integer) or not 0 <= trace < traces:
        raise ConfigError(f"reset: options['trace'] is {trace!r}, but there are traces 0 to {traces - 1}")
    return int(trace), network_seed


class MlbEnv(gymnasium.Env[Singles, Singles]):
    """One network whose CIOs are steered; an episode is one mobility trace and is truncated at its end.

    The action (A,) float32 in [-1, 1] is the CIO of each ordered neighbour pair over handover.cio_range_db, or another
    form that handover.action names, and then what handover.steer names; values beyond are clipped, with a warning.
    Observation (O,) float32 and reward are those that the scenario names. All three are functions of
    ns3_scenarios.mdp; the observation is one of the KPIs that were reported, the reward of what was so.
    `info` holds `kpis` (StepKpis as they are reported: of the last interval, unless scenario.reports says otherwise),
    `true_kpis` (of the last interval), which no controller has, and `cio_db` (E,) that was in force during it.

    Args:
        scenario: The experiment.
        backend: What simulates the network; owned from now on, and closed by close().
        traces: Mobility to choose from; `reset(options={"trace": index})` picks one, else it is drawn. Live traffic
            among it is started by reset() and closed by close().
        seed: Seed of the first reset, where that is given none.

    Attributes:
        report_seed: Seed of the noise of this episode's reports, 0 where there is none.
    """

    metadata = {"render_modes": []}

    def __init__(self, scenario: Scenario, backend: Backend, traces: Sequence[Mobility], seed: int = 0) -> None:
        if not traces:
            raise ConfigError("MlbEnv: at least one trace is needed")
        self.scenario = scenario
        self.traces = tuple(traces)
        self.action_space = action_box(scenario)
        self.observation_space = observation_box(scenario)
        self._backend = backend
        self._first_seed: int | None = seed
        self._steps_left = 0
        self._mobility: Mobility | None = None
        self._begin_reports(0)

    @property
    def traffic(self) -> LiveTraffic:
        """The live traffic of this episode, whose `connection` steers it between steps.

        Raises:
            ConfigError: the mobility is an offline trace, or there has been no reset.
        """
        if not isinstance(self._mobility, LiveTraffic):
            raise ConfigError("traffic: no live traffic is on", "make_env(..., live=True), and reset()")
        return self._mobility

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Singles, dict[str, Any]]:
        """Starts an episode.

        Args:
            seed: Seeds the draw of the trace and the network's randomness of this and the later episodes.
            options: {"trace": index into `traces`}, or nothing.

        Raises:
            ConfigError: there is no such trace, or the option is unknown.
            SimulatorError: the back end or SUMO failed.
        """
        super().reset(seed=self._first_seed if seed is None else seed)
        self._first_seed = None
        trace, network_seed = draw_episode(self.np_random, len(self.traces), options or {})
        self._steps_left = 0
        if isinstance(self._mobility, LiveTraffic):
            self._mobility.stop()
        self._mobility = self.traces[trace]
        if isinstance(self._mobility, LiveTraffic):
            check_trace(self.scenario, self._mobility)
            self._mobility.start()
        kpis = self._backend.reset(self._mobility, network_seed)
        self._begin_reports(network_seed)
        self._steps_left = self.scenario.episode.steps
        return self._observe(kpis, np.zeros(len(self.scenario.neighbor_pairs)))

    def step(self, action: Singles) -> tuple[Singles, float, bool, bool, dict[str, Any]]:
        """Sets the CIOs and runs one control interval.

        Raises:
            ConfigError: the action has the wrong length or is not finite, and the episode can go on; or none is on.
            SimulatorError: the back end or live traffic failed; the episode is lost.
        """
        if self._steps_left == 0:
            raise ConfigError("MlbEnv: no episode is on, or it is over", "call reset() first")
        control = control_from_action(self.scenario, checked_actions(self.scenario, action))
        kpis = self._backend.step(control)
        self._steps_left -= 1
        observation, info = self._observe(kpis, control.cio_db)
        return observation, float(reward(self.scenario, kpis)), False, self._steps_left == 0, info

    def branch(self, actions: Floats, horizon: int | None = None) -> list[list[StepKpis]]:
        """Returns what the next steps would yield under other actions, without taking any of them.

        With ns-3 these are futures of the running simulation itself, simulated in forked copies of it; the future
        under the actions that are then taken is what step() returns, bit for bit.

        Args:
            actions: (K, H, A) in [-1, 1], the actions of K branches of H steps; or (K, A), each held all the time.
            horizon: Number H of steps; needed for (K, A) only.

        Returns:
            The KPIs of the H steps of each branch; rewards are `reward(scenario, kpis)` of ns3_scenarios.mdp.

        Raises:
            ConfigError: an action does not fit, the episode has fewer than H steps left, or none is on, or its traffic
                is live; the episode can go on.
            SimulatorError: a branch failed, and the episode can go on; or the back end itself did.
        """
        if self._steps_left == 0:
            raise ConfigError("MlbEnv: no episode is on, or it is over", "call reset() first")
        if horizon is not None and not 1 <= horizon <= self._steps_left:
            raise ConfigError(f"branch: horizon {horizon}, but the episode has only {self._steps_left} steps left")
        actions = np.asarray(actions, dtype=np.float32)
        if actions.ndim == 2 and horizon is not None:
            actions = np.repeat(actions[:, None], horizon, axis=1)
        if actions.ndim != 3 or horizon not in (None, actions.shape[1]):
            raise ConfigError(
                f"branch: actions of shape {actions.shape} and horizon {horizon}, but (branches, horizon, values) "
                "or (branches, values) with a horizon is needed"
            )
        checked = [[checked_actions(self.scenario, action) for action in branch] for branch in actions]
        return self._backend.branch(control_from_action(self.scenario, np.array(checked)))

    def close(self) -> None:
        """Ends the back end and live traffic; may be called twice."""
        self._steps_left = 0
        self._backend.close()
        for mobility in self.traces:
            if isinstance(mobility, LiveTraffic):
                mobility.close()

    def _begin_reports(self, network_seed: int) -> None:
        self.report_seed = network_seed if self.scenario.reports.noisy else 0
        self._reporter = Reporter(self.scenario.reports, [self.report_seed])

    def _observe(self, kpis: StepKpis, cio_db: Floats) -> tuple[Singles, dict[str, Any]]:
        reported = self._reporter.report(kpis)
        return observe(self.scenario, reported, cio_db), {"kpis": reported, "true_kpis": kpis, "cio_db": cio_db}
