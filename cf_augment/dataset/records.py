"""Episode and Dataset: what was observed, done and earned, with all KPIs and the exogenous trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from pydantic import Field

from ns3_scenarios.kpis import EVENT_DTYPE, KPI_AXES, StepKpis
from ns3_scenarios.mdp import (
    action_size,
    cio_from_action,
    jain,
    load_std,
    observation_size,
    observe,
    p5_throughput_bps,
    reward,
)
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import AnyFloats, Ints, Singles
from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import DataError
from sumo_mobility.base.seeds import LARGEST_SEED
from sumo_mobility.trace import MobilityTrace

OBSERVED = ("logged", "measured")
"""Provenances of what did happen in a network."""


class Provenance(Contract):
    """The provenance of an episode."""

    kind: Literal["logged", "measured", "replay", "mixed", "generated"] = "logged"
    """`measured`: counters and reports of a network, imported; `replay`: a logged trace under other actions; `mixed`: a
    trace of UEs of several logged traces; `generated`: a trace that a model drew."""
    source: tuple[str, ...] = ()
    """Names of the logged traces, or of the tables of measurements, that it derives from; empty if logged."""
    intervention: str = ""
    """The intervention on the exogenous part, for example "do(context: tide-1 x 0.5)"; empty if nothing."""
    action_source: str
    """The source of the actions: a behaviour policy, or what `cf_augment.augment.SOURCES` names."""


class EpisodeMetadata(Contract):
    """The metadata of an episode; equal metadata and equal code mean equal bytes."""

    scenario_id: str
    trace_name: str
    policy: str
    seed: int
    backend: str = Field(min_length=1, max_length=100)
    """Name of the back end; one that a plug-in brought need not be there when a file is read."""
    versions: dict[str, str] = {}
    provenance: Provenance
    report_seed: int = Field(0, ge=0, le=LARGEST_SEED, exclude_if=lambda seed: seed == 0)
    """Seed of the noise of the reports (`scenario.reports`) of which the observations are made; 0, and left out of
    files, where there is none."""

    @property
    def synthetic(self) -> bool:
        """Whether any part of the episode did not happen in a network."""
        return self.provenance.kind not in OBSERVED

    @property
    def measured(self) -> bool:
        """Whether a network measured the episode, so that KPIs and the trace may be unknown."""
        return self.provenance.kind == "measured"


@dataclass(frozen=True)
class Episode:
    """An episode of T steps, which never terminates and is truncated after the last step.

    KPIs of a measured episode that nobody measured are NaN, and it has no events. Whoever needs them asks for them by
    `require`.

    Attributes:
        observations: (T+1, O) float32.
        actions: (T, A) float32 in [-1, 1].
        rewards: (T,) float32.
        behavior_log_probs: (T,) float32, natural logarithm of the density of each action over [-1, 1]^A under the
            behaviour policy; NaN where there was none, as under deterministic policies, or where it is not known.
        kpis: StepKpis with a leading axis T+1; row 0 is the reset, or what was measured before the first step. `events`
            are those of all rows in order.
        event_start: (T+2,) int64; the events of row r are events[event_start[r]:event_start[r + 1]].
        trace: the mobility that drove it; None if it is measured and the UEs' positions are not known.
        metadata: its origin.
        first_action: (A,) float32, the action in force in row 0; None: no offsets, as a reset leaves it.
    """

    observations: Singles
    actions: Singles
    rewards: Singles
    behavior_log_probs: Singles
    kpis: StepKpis
    event_start: Ints
    trace: MobilityTrace | None
    metadata: EpisodeMetadata
    first_action: Singles | None = None

    def __post_init__(self) -> None:
        steps = self.rewards.shape[0]
        if self.trace is None and not self.metadata.measured:
            raise DataError("trace: missing, though the episode is not measured")
        ues = self.ues if self.trace is None else self.trace.ues
        sizes = {"C": self.kpis.prb_utilization.shape[-1], "U": ues, "2": 2}
        expected = {name: (steps + 1, *(sizes[axis] for axis in axes)) for name, axes in KPI_AXES.items()}
        for name, shape in expected.items():
            _require_shape(f"kpis.{name}", getattr(self.kpis, name), shape)
        _require_shape("observations", self.observations, (steps + 1, self.observations.shape[-1]))
        _require_shape("actions", self.actions, (steps, self.actions.shape[-1]))
        _require_shape("event_start", self.event_start, (steps + 2,))
        if steps < 1:
            raise DataError("rewards: an episode needs at least one step")
        first_action = np.zeros_like(self.actions[0]) if self.first_action is None else self.first_action
        _require_shape("first_action", first_action, self.actions.shape[1:])
        arrays = {name: getattr(self, name) for name in ("observations", "actions", "rewards")}
        for name, values in {**arrays, "first_action": first_action}.items():
            if values.dtype != np.float32 or not np.isfinite(values).all():
                raise DataError(f"{name}: must be finite float32")
        _require_shape("behavior_log_probs", self.behavior_log_probs, (steps,))
        if self.behavior_log_probs.dtype != np.float32 or np.isinf(self.behavior_log_probs).any():
            raise DataError("behavior_log_probs: must be float32, finite or NaN")
        for name, values in (("actions", self.actions), ("first_action", first_action)):
            if np.abs(values).max() > 1:
                raise DataError(f"{name}: |{np.abs(values).max():.3f}| is more than 1")
        counts = np.diff(self.event_start)
        if self.event_start[0] != 0 or (counts < 0).any() or self.event_start[-1] != len(self.kpis.events):
            raise DataError("event_start: must rise from 0 to the number of events")

    @property
    def steps(self) -> int:
        """T."""
        return len(self.rewards)

    @property
    def ues(self) -> int:
        """U."""
        return int(self.kpis.ue_rsrp_dbm.shape[-2])

    @property
    def unknown(self) -> tuple[str, ...]:
        """What was not measured, or not always, of all UEs and cells: names of KPIs, "events" and "trace"."""
        if not self.metadata.measured:
            return ()
        names = [name for name in KPI_AXES if np.isnan(getattr(self.kpis, name)).any()]
        if np.isnan(self.kpis.ue_rsrp_dbm).all(axis=-1).any():  # a cell's number cannot be NaN
            names.append("ue_serving_cell")
        return (*names, "events", *(["trace"] if self.trace is None else []))

    def require(self, use: str, *names: str) -> None:
        """Refuses a use of the episode that needs what was not measured.

        Args:
            use: What it is wanted for, to begin the message.
            names: The fields of StepKpis that it needs, "events" among them, or "trace".

        Raises:
            DataError: they are not known of all UEs and cells at all times.
        """
        absent = [name for name in names if name in self.unknown]
        if absent:
            raise DataError(
                f"{use} needs {', '.join(absent)}, which were not measured in all of '{self.metadata.trace_name}'",
                "import measurements that have them, or take data of 'mlb collect'",
            )

    def moved(self, use: str) -> MobilityTrace:
        """Returns the trace; DataError, which begins with `use`, if there is none."""
        self.require(use, "trace")
        assert self.trace is not None
        return self.trace

    def of_trace(self, field: Literal["context", "licence", "attribution"]) -> str:
        """Returns what the trace says of its origin; of measurements without one, that they are, or nothing."""
        if self.trace is None:
            return "measured" if field == "context" else "unknown"
        return str(getattr(self.trace.metadata, field))

    @classmethod
    def from_kpis(
        cls,
        scenario: Scenario,
        trace: MobilityTrace | None,
        kpis: Sequence[StepKpis],
        actions: AnyFloats,
        metadata: EpisodeMetadata,
        *,
        first_action: AnyFloats | None = None,
        behavior_log_probs: AnyFloats | None = None,
    ) -> Episode:
        """Builds an episode from what a back end returned.

        Args:
            scenario: The scenario.
            trace: The trace that was played.
            kpis: What `reset` and then each of the T `step` calls returned.
            actions: (T, A). To be replayed exactly, the CIO sent must be that of the float32 action:
                `cio_from_action(scenario, action.astype(np.float32))`.
            metadata: Its origin; the observations are of what is reported with its `report_seed`.
            first_action: (A,) the action in force in the first of the KPIs; None: no offsets.
            behavior_log_probs: (T,) log-densities of the actions under the behaviour policy; None if not known.
        """
        stacked, event_start = stack_kpis(kpis)
        actions = np.asarray(actions, dtype=np.float32)
        first = None if first_action is None else np.asarray(first_action, dtype=np.float32)
        reported = scenario.reports.of_rows(stacked, metadata.report_seed)
        return cls(
            observations=observe(scenario, reported, cio_from_action(scenario, actions_in_force(actions, first))),
            actions=actions,
            rewards=reward(scenario, stacked)[1:].astype(np.float32),
            behavior_log_probs=np.asarray(
                np.full(len(actions), np.nan) if behavior_log_probs is None else behavior_log_probs, dtype=np.float32
            ),
            kpis=stacked,
            event_start=event_start,
            trace=trace,
            metadata=metadata,
            first_action=first,
        )

    def outcomes(self) -> dict[str, AnyFloats]:
        """Returns what each step came to, by name, each (T,): reward, measures of balance and quality, handovers."""
        kpis = self.kpis
        measures = {"load_std": load_std, "jain": jain, "p5_throughput_bps": p5_throughput_bps}
        return {
            "reward": self.rewards,
            **{name: measure(kpis)[1:] for name, measure in measures.items()},
            "handovers": kpis.handovers[1:],
        }

    def kpis_at(self, row: int) -> StepKpis:
        """KPIs of one row of 0..T, with its own events."""
        fields = {name: getattr(self.kpis, name)[row] for name in KPI_AXES}
        return StepKpis(**fields, events=self.kpis.events[self.event_start[row] : self.event_start[row + 1]])


@dataclass(frozen=True)
class Dataset:
    """Episodes of one scenario, in memory or in a file; the flat arrays are those of D4RL (N transitions).

    Whoever can do with an episode at a time iterates over `episodes`, once: of a file, each is read when it is asked
    for. Each flat array goes through all episodes, and is itself in memory.

    Attributes:
        scenario: the scenario of all episodes.
        episodes: at least one.
        steps: the number of transitions of each episode.
        unknown: what was not measured in one episode or another; see `Episode.unknown`.
    """

    scenario: Scenario
    episodes: Sequence[Episode]
    steps: tuple[int, ...] = field(init=False)
    unknown: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        steps, unknown = [], set[str]()
        for index, episode in enumerate(self.episodes):
            require_of(self.scenario, index, episode)
            steps.append(episode.steps)
            unknown.update(episode.unknown)
        if not steps:
            raise DataError("dataset: no episodes", "run 'mlb collect' first")
        object.__setattr__(self, "steps", tuple(steps))  # the dataclass is frozen
        object.__setattr__(self, "unknown", frozenset(unknown))

    @property
    def transitions(self) -> int:
        """N."""
        return sum(self.steps)

    @cached_property
    def observations(self) -> Singles:
        """(N, O)."""
        return np.concatenate([episode.observations[:-1] for episode in self.episodes])

    @cached_property
    def next_observations(self) -> Singles:
        """(N, O)."""
        return np.concatenate([episode.observations[1:] for episode in self.episodes])

    @cached_property
    def actions(self) -> Singles:
        """(N, A) in [-1, 1]."""
        return np.concatenate([episode.actions for episode in self.episodes])

    @cached_property
    def rewards(self) -> Singles:
        """(N,)."""
        return np.concatenate([episode.rewards for episode in self.episodes])

    @cached_property
    def behavior_log_probs(self) -> Singles:
        """(N,), NaN where there is none."""
        return np.concatenate([episode.behavior_log_probs for episode in self.episodes])


def require_of(scenario: Scenario, index: int, episode: Episode) -> None:
    """Raises DataError unless an episode is one of a scenario; `index` is its number in the dataset."""
    fits = (
        episode.metadata.scenario_id == scenario.id
        and episode.observations.shape[1] == observation_size(scenario)
        and episode.actions.shape[1] == action_size(scenario)
        and episode.kpis.prb_utilization.shape[1] == len(scenario.cells)
        and episode.ues == scenario.mobility.ues
    )
    if not fits:
        raise DataError(f"dataset: episode {index} is not one of scenario {scenario.id}")


def actions_in_force(actions: Singles, first_action: Singles | None) -> Singles:
    """Returns the action in force in each row of KPIs, (T+1, A), of the actions (T, A) and that of row 0."""
    return np.concatenate([np.zeros_like(actions[:1]) if first_action is None else first_action[None], actions])


def stack_kpis(kpis: Sequence[StepKpis]) -> tuple[StepKpis, Ints]:
    """Stacks KPIs of successive intervals along a new leading axis.

    Returns:
        The stacked KPIs, their events one after another, and (len(kpis) + 1,) where each one's events start.
    """
    fields = {name: np.stack([np.asarray(getattr(kpi, name)) for kpi in kpis]) for name in KPI_AXES}
    events = np.concatenate([np.asarray(kpi.events, dtype=EVENT_DTYPE) for kpi in kpis])
    start = np.concatenate([[0], np.cumsum([len(kpi.events) for kpi in kpis])]).astype(np.int64)
    return StepKpis(**fields, events=events), start


def _require_shape(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise DataError(f"{name}: shape {array.shape}, expected {shape}")
