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
    """Distributions over the rows of one provenance, whose resets are left out.

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
        contexts: The episodes of each context.
        backends: The episodes of each back end.
        distributions: Of each provenance.
        traces: Names of the traces.
        logged_traces: Names of the logged traces, and of those that others derive from.
        seeds: The seeds.
        maps: Name of the map and source of each trace.
        licences: Licences of the traces.
        attributions: Attributions of the traces.
        versions: Versions of what made traces and episodes.
        idle: Number of the transitions whose offsets are all 0 dB.
        unserved: Share of the rows of UEs that have no serving cell.
    """

    scenario: Scenario
    total: Count = field(default_factory=Count)
    kinds: dict[str, Count] = field(default_factory=dict)
    policies: dict[tuple[str, str], Count] = field(default_factory=dict)
    contexts: dict[str, Count] = field(default_factory=dict)
    backends: dict[str, Count] = field(default_factory=dict)
    distributions: dict[str, Distributions] = field(default_factory=dict)
    traces: set[str] = field(default_factory=set)
    logged_traces: set[str] = field(default_factory=set)
    seeds: set[int] = field(default_factory=set)
    maps: set[tuple[str, str]] = field(default_factory=set)
    licences: set[str] = field(default_factory=set)
    attributions: set[str] = field(default_factory=set)
    versions: dict[str, str] = field(default_factory=dict)
    idle: int = 0
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
        return 1 - self._served_rows / self._ue_rows

    def cio(self, *kinds: str) -> Ints:
        """Counts of the CIO of each neighbour pair, (E, CIO_BINS), over the rows of some provenances, or of all."""
        return np.sum([self.distributions[kind].cio for kind in kinds or self.distributions], axis=0)

    def loads(self) -> Ints:
        """Counts of the PRB utilisation of each cell, (C, LOAD_BINS)."""
        return np.sum([found.loads for found in self.distributions.values()], axis=0)

    def _add(self, episode: Episode) -> None:
        record, trace, kpis = episode.metadata, episode.trace.metadata, episode.kpis
        kind, cells = record.provenance.kind, len(self.scenario.cells)
        self.total.add(episode)
        self.kinds.setdefault(kind, Count()).add(episode)
        self.policies.setdefault((record.policy, kind), Count()).add(episode)
        self.contexts.setdefault(trace.context, Count()).add(episode)
        self.backends.setdefault(record.backend, Count()).add(episode)
        self.traces.add(record.trace_name)
        self.logged_traces.update(record.provenance.source if record.synthetic else (record.trace_name,))
        self.seeds.add(record.seed)
        self.maps.add((trace.map_name, trace.source))
        self.licences.add(trace.licence)
        self.attributions.add(trace.attribution)
        self.versions |= {**trace.versions, **record.versions}

        cio_db = control_from_action(self.scenario, episode.actions).cio_db
        limit_db = self.scenario.handover.cio_range_db
        self.idle += int((np.abs(cio_db) < 1e-6).all(axis=1).sum())
        serving = kpis.ue_serving_cell[1:]
        served = serving >= 0
        self._ue_rows += served.size
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
    """Counts of each column of (N, K) in equal bins, (K, bins); what is beyond the ends counts in the outermost."""
    # Values on an edge are as often as not a last bit below it.
    index = np.clip(np.floor((values - low) * bins / (high - low) + 1e-6), 0, bins - 1).astype(np.int64)
    columns = values.shape[1]
    flat = index + bins * np.arange(columns)
    return np.bincount(flat.ravel(), minlength=columns * bins).reshape(columns, bins)
