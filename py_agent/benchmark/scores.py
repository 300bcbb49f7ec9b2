"""What results say: the scale S of a suite, and how often one method beats another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from py_agent.benchmark.results import Results
from py_agent.benchmark.study import ENGINE, STATIC
from py_agent.statistics import Estimate, interquartile_mean
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import DataError
from sumo_mobility.base.seeds import stream

RESAMPLES = 1000


def score(value: Floats, floor: Floats, ceiling: Floats) -> Floats:
    """Returns S of a metric (..., seeds, traces): that of the floor (..., traces) has 0, that of the ceiling has 1."""
    base = floor.mean(-1)
    return np.asarray((base - value.mean((-2, -1))) / (base - ceiling.mean(-1)))


def resampled(
    statistic: Callable[..., float], value: Floats, paired: tuple[Floats, ...], seed: int = 0
) -> tuple[float, float]:
    """Returns the 95 % interval of a statistic by a bootstrap of seeds and traces, stratified by the contexts.

    Args:
        statistic: Of what is drawn of `value` and `paired`.
        value: (contexts, seeds, traces).
        paired: Others on the same traces, (contexts, traces) each.
        seed: Of the resampling.
    """
    random, (contexts, seeds, traces) = stream(seed, "bench", "bootstrap"), value.shape
    context, drawn = np.arange(contexts)[:, None], []
    for _ in range(RESAMPLES):
        of_seeds = random.integers(seeds, size=(contexts, seeds, 1))
        of_traces = random.integers(traces, size=(contexts, traces))
        sample = value[context[..., None], of_seeds, of_traces[:, None]]
        drawn.append(statistic(sample, *(other[context, of_traces] for other in paired)))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def score_interval(value: Floats, floor: Floats, ceiling: Floats, seed: int = 0) -> tuple[float, float]:
    """Returns the 95 % interval of the mean of S over the contexts; see `resampled`."""
    return resampled(lambda *drawn: float(score(*drawn).mean()), value, (floor, ceiling), seed)


def share_of_wins(ours: Floats, theirs: Floats) -> Floats:
    """Returns how often the one (contexts, seeds, traces) is greater on the same trace, over all pairs of seeds.

    A tie counts half: it is P(X > Y) of Agarwal et al. 2021 (arXiv 2108.13264), with traces paired; (contexts, traces).
    """
    ours, theirs = ours[:, :, None], theirs[:, None]
    return np.asarray(((ours > theirs) + 0.5 * (ours == theirs)).mean((1, 2)))


@dataclass(frozen=True)
class Entry:
    """A method with one amount of data.

    Attributes:
        method: The method.
        group: Its kind.
        data: What was logged; empty if it learns from nothing.
        traces: How many traces that were.
    """

    method: str
    group: str
    data: str
    traces: int


@dataclass(frozen=True)
class Scores:
    """Results on their scale, in one back end.

    Attributes:
        results: The results.
        backend: The back end.
    """

    results: Results
    backend: str = ENGINE

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The rows of final policies that did not fail there."""
        rows = self.results.rows
        return rows[(rows["backend"] == self.backend) & (rows["error"] == "") & (rows["gradient_steps"] == 0)]

    @cached_property
    def contexts(self) -> list[str]:
        """The scenarios, in their order."""
        return [str(name) for name in self.rows["scenario"].unique()]

    @cached_property
    def entries(self) -> dict[tuple[str, str], Entry]:
        """All entries that were judged in every context, by method and data."""
        found = {}
        for (method, data), rows in self.rows.groupby(["method", "data"], sort=False):
            if rows["scenario"].nunique() == len(self.contexts):
                traces = int(rows["train_traces"].iloc[0] + rows["test_traces"].iloc[0])
                found[str(method), str(data)] = Entry(str(method), str(rows["group"].iloc[0]), str(data), traces)
        return found

    def values(self, method: str, data: str, metric: str) -> Floats:
        """Returns a metric, (contexts, seeds, traces), with traces in the order of their names.

        Raises:
            DataError: there are no such results.
        """
        return self._pivoted(self.rows, method, data, metric)

    def _pivoted(self, rows: pd.DataFrame, method: str, data: str, metric: str) -> Floats:
        rows = rows[(rows["method"] == method) & (rows["data"] == data)]
        if rows["scenario"].nunique() != len(self.contexts):
            suite = self.results.record.suite
            raise DataError(f"suite {suite}: no results of '{method}' {data}".rstrip(), "run it without --methods")
        table = rows.pivot_table(index=["scenario", "seed"], columns="trace", values=metric, sort=True)
        of_contexts = [table.loc[context].to_numpy(np.float64) for context in self.contexts]
        return np.array(of_contexts)

    @cached_property
    def scale(self) -> tuple[Floats, Floats]:
        """The metric of floor and ceiling, (contexts, traces) each; NaN in contexts where the ceiling is not better."""
        record = self.results.record
        floor, ceiling = (self.values(name, "", record.metric)[:, 0] for name in (record.floor, record.ceiling))
        sign = 1 if record.higher_is_better else -1
        is_scale = sign * ceiling.mean(1, keepdims=True) > sign * floor.mean(1, keepdims=True)
        return floor, np.where(is_scale, ceiling, np.nan)

    def score(self, entry: Entry) -> tuple[Estimate, Floats]:
        """Returns the mean of S over the contexts with its interval, and S of each context."""
        value = self.values(entry.method, entry.data, self.results.record.metric)
        of_contexts = score(value, *self.scale)
        return Estimate(float(of_contexts.mean()), *score_interval(value, *self.scale)), of_contexts

    def curve(self, entry: Entry) -> dict[int, float]:
        """Returns the mean of S after fewer gradient steps, by their number, and after all of them.

        All are of the traces on which the early policies were judged.
        """
        rows, metric = self.results.rows, self.results.record.metric
        early = rows[(rows["method"] == entry.method) & (rows["data"] == entry.data) & (rows["gradient_steps"] > 0)]
        if early.empty:
            return {}
        few = self.rows[self.rows["trace"].isin(early["trace"].unique())]
        names = self.results.record.floor, self.results.record.ceiling
        floor, ceiling = (self._pivoted(few, name, "", metric)[:, 0] for name in names)
        stages = {
            int(steps): early[early["gradient_steps"] == steps] for steps in sorted(early["gradient_steps"].unique())
        }
        stages[self.results.record.effort["gradient_steps"]] = few
        return {
            steps: float(score(self._pivoted(stage, entry.method, entry.data, metric), floor, ceiling).mean())
            for steps, stage in stages.items()
        }

    def runs(self, entry: Entry) -> Floats:
        """Returns S of each seed in each context, (contexts, seeds)."""
        value = self.values(entry.method, entry.data, self.results.record.metric)
        return np.stack([score(value[:, [seed]], *self.scale) for seed in range(value.shape[1])], axis=1)

    def robust_score(self, entry: Entry) -> Estimate:
        """Returns the interquartile mean of S over runs, with its interval by a bootstrap of the seeds."""
        runs, random = self.runs(entry), stream(0, "benchmark", "iqm")
        contexts, seeds = runs.shape
        drawn = [
            interquartile_mean(runs[np.arange(contexts)[:, None], random.integers(seeds, size=runs.shape)].ravel())
            for _ in range(RESAMPLES)
        ]
        low, high = np.percentile(drawn, [2.5, 97.5])
        return Estimate(interquartile_mean(runs.ravel()), float(low), float(high))

    def wins(self, ours: Entry, theirs: Entry) -> Estimate:
        """Returns how often the one is better on the same trace, mean over the contexts, with its interval."""
        record = self.results.record
        sign = 1 if record.higher_is_better else -1
        first, second = (sign * self.values(each.method, each.data, record.metric) for each in (ours, theirs))
        won = share_of_wins(first, second)
        interval = resampled(lambda drawn: float(drawn.mean()), won[:, None], ())
        return Estimate(float(won.mean()), *interval)

    def improvement_percent(self, entry: Entry) -> Floats:
        """Returns how much lower the mean load standard deviation is than that of static, in % of it, by context."""
        static = self.values(STATIC, "", "load_std").mean((1, 2))
        return 100 * (static - self.values(entry.method, entry.data, "load_std").mean((1, 2))) / static

    def same_order(self, other: Scores) -> tuple[int, int]:
        """Returns of how many pairs of entries another back end has the same order, and how many there are.

        Both are judged by the first seed on the traces that both back ends played.
        """
        metric = self.results.record.metric
        means = [self._means(other, metric), other._means(self, metric)]
        common = [key for key in means[0] if key in means[1]]
        pairs = [(a, b) for index, a in enumerate(common) for b in common[:index]]
        kept = [np.sign(means[0][a] - means[0][b]) == np.sign(means[1][a] - means[1][b]) for a, b in pairs]
        return int(np.sum(kept)), len(pairs)

    def _means(self, other: Scores, metric: str) -> dict[tuple[str, str], float]:
        traces = other.rows["trace"].unique()
        rows = self.rows[(self.rows["seed"] == 0) & self.rows["trace"].isin(traces)]
        return {
            entry: float(rows[(rows["method"] == entry[0]) & (rows["data"] == entry[1])][metric].mean())
            for entry in self.entries
        }
