"""The data of a report: the results of one evaluation, checked for being complete and paired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from cf_augment.dataset import Episode
from ns3_scenarios import mdp
from ns3_scenarios.scenario import Scenario
from py_agent.backends import BACKENDS
from py_agent.metrics import episode_metrics
from py_agent.statistics import reference_of
from sumo_mobility.base.contract import nearest
from sumo_mobility.base.errors import DataError
from sumo_mobility.streets import StreetMap

Table = Sequence[Mapping[str, object]]
"""Rows of one table; the keys of the first are the headings."""
_CURE = "run 'mlb evaluate' for these policies on the same traces and seeds"


@dataclass(frozen=True)
class ReportData:
    """One evaluation, ready to be shown.

    Attributes:
        scenario: The scenario all episodes were run in.
        street_map: The streets that the traces were driven on.
        summary: What py_agent.statistics.summarize returns for `load_std`: one row a policy.
        episodes: The evaluation's episodes of each policy of the summary, paired by trace and seed.
        replay: The policies that are shown side by side, or the only one.
        trainings: What each training logged (see py_agent.train.train), by its name.
        tables: Further tables by title, such as fidelity against ns-3.
        commands: The commands that made all this, in order.
        notes: What a reader must know; one paragraph each.

    Raises:
        DataError: a policy lacks episodes, or the episodes are not paired.
    """

    scenario: Scenario
    street_map: StreetMap
    summary: pd.DataFrame
    episodes: Mapping[str, Sequence[Episode]]
    replay: tuple[str, ...]
    trainings: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    commands: Sequence[str] = ()
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.summary.empty:
            raise DataError("report: the summary holds no policy", _CURE)
        for policy in self.summary.index:
            if not self.episodes.get(policy):
                raise DataError(f"report: policy '{policy}' has no episodes", _CURE)
        for policy in self.replay:
            if policy not in self.summary.index:
                raise DataError(f"report: replay of policy '{policy}', which was not evaluated{self._known(policy)}")
        if len(set(self.replay)) < len(self.replay):
            raise DataError(f"report: replay of '{self.replay[0]}' beside itself; name two policies")
        pairs = {policy: {_key(episode) for episode in episodes} for policy, episodes in self.episodes.items()}
        reference = pairs[self.replay[0]]
        for policy, keys in pairs.items():
            if keys != reference:
                trace, seed = sorted(keys ^ reference)[0]
                raise DataError(
                    f"report: '{policy}' and '{self.replay[0]}' were not run on the same episodes "
                    f"(trace '{trace}', seed {seed} is in one only)",
                    _CURE,
                )

    @property
    def policies(self) -> list[str]:
        """The policies in the summary's order."""
        return [str(policy) for policy in self.summary.index]

    @property
    def reference(self) -> str:
        """The policy that the others are compared with."""
        return reference_of(self.policies)

    @property
    def judged_in(self) -> str:
        """The programs that played the episodes, for example "ns-3 3.44"."""
        records = [episode.metadata for episodes in self.episodes.values() for episode in episodes]
        programs = {(_backend_title(record.backend), record.versions.get("ns3", "")) for record in records}
        names = {" ".join(filter(None, program)) for program in programs}
        return " and ".join(sorted(names))

    @property
    def attribution(self) -> str:
        """The attribution beside every picture of the map; empty for open ground."""
        if not self.street_map.streets:
            return ""
        return f"Map data {self.street_map.attribution}, {self.street_map.licence.replace('-', ' ')}"

    @cached_property
    def typical(self) -> tuple[str, int]:
        """Trace and seed whose difference in load standard deviation between the first and last replayed is the median.

        Of one policy, the load standard deviation itself.
        """
        first, *others = ({_key(e): _mean_load_std(e) for e in self.episodes[policy]} for policy in self.replay)
        gains = sorted((first[key] - (others[-1][key] if others else 0.0), key) for key in first)
        return gains[(len(gains) - 1) // 2][1]

    @cached_property
    def by_trace(self) -> pd.DataFrame:
        """Each metric as a mean over the seeds; one row a policy and trace."""
        rows = [
            {"policy": policy, "trace": episode.metadata.trace_name, **episode_metrics(self.scenario, episode)}
            for policy, episodes in self.episodes.items()
            for episode in episodes
        ]
        return pd.DataFrame(rows).groupby(["policy", "trace"], sort=False).mean()

    def episode(self, policy: str) -> Episode:
        """The typical episode of one policy."""
        return next(episode for episode in self.episodes[policy] if _key(episode) == self.typical)

    def _known(self, policy: str) -> str:
        return nearest(policy, self.policies)


def replayed(summary: pd.DataFrame) -> tuple[str, ...]:
    """The policies to show side by side, unless others are named: the reference, and the best of the others."""
    reference = reference_of([str(policy) for policy in summary.index])
    others = summary["load_std"].drop(reference)
    return (reference,) if others.empty else (reference, str(others.idxmin()))


def _key(episode: Episode) -> tuple[str, int]:
    return episode.metadata.trace_name, episode.metadata.seed


def _backend_title(name: str) -> str:
    """Returns the title of a back end; the name of one that a plug-in brought, which need not be there any more."""
    return BACKENDS[name].title if name in BACKENDS else name


def _mean_load_std(episode: Episode) -> float:
    return float(np.mean(mdp.load_std(episode.kpis)[1:]))
