"""Counts over the episodes of a dataset, taken one at a time, from which its card is made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from cf_augment.dataset import Episode
from ns3_scenarios.mdp import control_from_action
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats, Ints, Singles

CIO_BINS = 12
"""Bins of the CIO's range: of 1 dB where it is 6 dB, so that every value that a network can signal has one."""
LOAD_BINS = 50
RSRP_BINS = 120
RSRP_DBM = (-150.0, -30.0)
"""Ends of the bins of the RSRP, those of 1 dB; what is beyond counts in the first or last."""


@dataclass
class Count:
    """How many episodes and transitions there are of something, and the sum of their rewards."""

    episodes: int = 0
    transitions: int = 0
    rewards: float = 0.0

    def add(self, episode: Episode) -> None:
        """Counts an episode."""
        self.episodes += 1
        self.transitions += episode.steps
        self.rewards += float(episode.rewards.sum(dtype=np.float64))

    @property
    def mean_reward(self) -> float:
        """The mean over the transitions."""
        return self.rewards / self.transitions


@dataclass
class Distributions:
    """Distributions over the rows of one provenance, without the first of each episode and without what is not known.

    Attributes:
        loads: (C, LOAD_BINS) counts of the PRB utilisation of each cell.
        cio: (E, CIO_BINS) counts of the CIO of each neighbour pair.
        rsrp: (RSRP_BINS,) counts of the RSRP of the serving cells.
        rewards: The rewards of each episode; 4 bytes a transition are all that grows with the dataset.
    """

    loads: Ints
    cio: Ints
    rsrp: Ints
    rewards: list[Singles] = field(default_factory=list)


@dataclass
class Tally:
    """What a dataset holds, in numbers.

    Attributes:
        scenario: Its scenario.
        total: All episodes.
        kinds: The episodes of each provenance.
        policies: The episodes of each policy and provenance.
        contexts: The episodes of each context; those without a trace are of "measured".
        backends: The episodes of each back end.
        distributions: Of each provenance.
        traces: Names of the traces.
        origins: Names of the logged traces and measured stretches, and of those that others derive from.
        seeds: The seeds.
        maps: Name of the map and source of each trace.
        licences: Licences of the traces; "unknown" if a network measured them.
        attributions: Attributions of the traces, likewise.
        versions: Versions of what made traces and episodes.
        idle: Number of the transitions whose offsets are all 0 dB.
        with_density: Number of the transitions whose action has a log-density under its behaviour policy.
        unknown: Number of the transitions of episodes in which something was not measured throughout: KPIs, "events",
            "trace".
        unserved: Share of the rows of UEs that have no serving cell, of those that are known.
    """

    scenario: Scenario
    total: Count = field(default_factory=Count)
    kinds: dict[str, Count] = field(default_factory=dict)
    policies: dict[tuple[str, str], Count] = field(default_factory=dict)
    contexts: dict[str, Count] = field(default_factory=dict)
    backends: dict[str, Count] = field(default_factory=dict)
    distributions: dict[str, Distributions] = field(default_factory=dict)
    traces: set[str] = field(default_factory=set)
    origins: set[str] = field(default_factory=set)
    seeds: set[int] = field(default_factory=set)
    maps: set[tuple[str, str]] = field(default_factory=set)
    licences: set[str] = field(default_factory=set)
    attributions: set[str] = field(default_factory=set)
    versions: dict[str, str] = field(default_factory=dict)
    idle: int = 0
    with_density: int = 0
    unknown: dict[str, int] = field(default_factory=dict)
    _ue_rows: int = 0
    _served_rows: int = 0

    @classmethod
    def of(cls, scenario: Scenario, episodes: Iterable[Episode]) -> Self:
        """Counts episodes of a scenario, each of which is asked for once."""
        tally = cls(scenario)
        for episode in episodes:
            tally._add(episode)
        return tally

    @property
    def unserved(self) -> float:
        """See `Tally`."""
        return 1 - self._served_rows / self._ue_rows if self._ue_rows else 0.0

    def cio(self, *kinds: str) -> Ints:
        """Counts of the CIO of each neighbour pair, (E, CIO_BINS), over the rows of some provenances, or of all."""
        return np.sum([self.distributions[kind].cio for kind in kinds or self.distributions], axis=0)

    def loads(self) -> Ints:
        """Counts of the PRB utilisation of each cell, (C, LOAD_BINS)."""
        return np.sum([found.loads for found in self.distributions.values()], axis=0)

    def _add(self, episode: Episode) -> None:
        record, kpis = episode.metadata, episode.kpis
        kind, cells = record.provenance.kind, len(self.scenario.cells)
        self.total.add(episode)
        self.kinds.setdefault(kind, Count()).add(episode)
        self.policies.setdefault((record.policy, kind), Count()).add(episode)
        self.contexts.setdefault(episode.of_trace("context"), Count()).add(episode)
        self.backends.setdefault(record.backend, Count()).add(episode)
        if episode.trace is not None:
            about = episode.trace.metadata
            self.traces.add(record.trace_name)
            self.maps.add((about.map_name, about.source))
            self.versions |= about.versions
        self.versions |= record.versions
        self.origins.update(record.provenance.source if record.synthetic else (record.trace_name,))
        self.seeds.add(record.seed)
        self.licences.add(episode.of_trace("licence"))
        self.attributions.add(episode.of_trace("attribution"))
        self.with_density += int(np.isfinite(episode.behavior_log_probs).sum())
        for name in episode.unknown:
            self.unknown[name] = self.unknown.get(name, 0) + episode.steps

        cio_db = control_from_action(self.scenario, episode.actions).cio_db
        limit_db = self.scenario.handover.cio_range_db
        self.idle += int((np.abs(cio_db) < 1e-6).all(axis=1).sum())
        serving = kpis.ue_serving_cell[1:]
        # Who was not measured has no serving cell either, but may well have had a connection.
        reported = ~np.isnan(kpis.ue_rsrp_dbm[1:]).all(axis=-1)
        served = (serving >= 0) & reported
        self._ue_rows += int(reported.sum())
        self._served_rows += int(served.sum())
        rsrp_dbm = np.take_along_axis(kpis.ue_rsrp_dbm[1:], np.maximum(serving, 0)[..., None], -1)[..., 0][served]
        pairs = len(self.scenario.neighbor_pairs)
        empty = Distributions(
            np.zeros((cells, LOAD_BINS), np.int64), np.zeros((pairs, CIO_BINS), np.int64), np.zeros(RSRP_BINS, np.int64)
        )
        found = self.distributions.setdefault(kind, empty)
        found.loads += _binned(kpis.prb_utilization[1:], 0.0, 1.0, LOAD_BINS)
        found.cio += _binned(cio_db, -limit_db, limit_db, CIO_BINS)
        found.rsrp += _binned(rsrp_dbm[:, None], *RSRP_DBM, RSRP_BINS)[0]
        found.rewards.append(episode.rewards)


def _binned(values: Floats, low: float, high: float, bins: int) -> Ints:
    """Counts of each column of (N, K) in equal bins, (K, bins), NaN left out; the outermost have what is beyond."""
    # Values on an edge are as often as not a last bit below it.
    index = np.clip(np.floor((values - low) * bins / (high - low) + 1e-6), 0, bins - 1)
    columns = values.shape[1]
    flat = (index + bins * np.arange(columns))[~np.isnan(values)].astype(np.int64)
    return np.bincount(flat, minlength=columns * bins).reshape(columns, bins)
