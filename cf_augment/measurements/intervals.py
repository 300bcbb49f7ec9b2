"""The intervals of a table of counters: stretches without a gap, the counters of the cells, and the CIOs in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from cf_augment.measurements.tables import Table
from ns3_scenarios.mdp import action_from_cio, cio_from_action
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats, Ints, Singles
from sumo_mobility.base.errors import DataError

TIMES_TOLERANCE = 1e-3
"""Share of the control interval by which times may be off."""
_CIO_TOLERANCE_DB = 1e-3
_NO_OFFSET = "give a row for it at the first interval or before, with cio_db 0 if no offset was set"


@dataclass(frozen=True)
class Intervals:
    """K control intervals that were counted in all cells.

    Attributes:
        end_s: (K,) times at which they end.
        interval_s: Their length.
        stretches: First and last interval of each stretch without a gap, which has two intervals at least.
        alone: How many intervals follow and are followed by a gap, so that no step begins or ends with them.
        counters: The counters of the cells by name, (K, C).
    """

    end_s: Floats
    interval_s: float
    stretches: tuple[tuple[int, int], ...]
    alone: int
    counters: dict[str, Floats]

    @classmethod
    def of(cls, scenario: Scenario, table: Table, names: Sequence[str]) -> Intervals:
        """Returns the intervals of a table of cells.

        Args:
            scenario: The scenario.
            table: The table.
            names: How it calls the cells, in the order of the scenario.

        Raises:
            DataError: a cell is unknown, or has no row or two at some time; times are not a whole number of control
                intervals apart; or nowhere two intervals follow each other.
        """
        place, interval_s = table.place, scenario.episode.control_interval_s
        end_s, first_row, number = np.unique(table.time_s, return_index=True, return_inverse=True)
        cell = table.cells("cell", names)
        key = number * len(names) + cell
        _require_once(table, key, "cell", "has a row of this time already")
        if len(key) != len(end_s) * len(names):
            missing = int(np.setdiff1d(np.arange(len(end_s) * len(names)), key)[0])
            k, c = divmod(missing, len(names))
            raise place.error(
                int(first_row[k]), "cell", f"cell '{names[c]}' has no row at {table.said(end_s[k])}",
                "give rows of all cells of the scenario, or none of that time: a gap then parts two episodes",
            )  # fmt: skip
        apart = np.diff(end_s) / interval_s
        count = np.rint(apart)
        bad = (count < 1) | (np.abs(apart - count) > TIMES_TOLERANCE)
        if bad.any():
            k = int(np.argmax(bad)) + 1
            raise place.error(
                int(first_row[k]), "", f"is {end_s[k] - end_s[k - 1]:g} s after the rows before, which is no "
                f"multiple of the control interval of {interval_s:g} s",
                "set episode.control_interval_s of the preset to the tables' interval, or mend the times",
            )  # fmt: skip
        edges = [0, *(np.flatnonzero(count > 1) + 1).tolist(), len(end_s)]
        pieces = [(first, after - 1) for first, after in pairwise(edges)]
        stretches = tuple((first, last) for first, last in pieces if first < last)
        if not stretches:
            raise DataError(
                f"{place.path}: no two intervals of {interval_s:g} s follow each other, so that there is no step",
                "give rows of more times, or set episode.control_interval_s of the preset to the tables' interval",
            )
        order = np.argsort(key)
        shape = len(end_s), len(names)
        counters = {name: values[order].reshape(shape) for name, values in table.columns.items() if name != "cell"}
        return cls(end_s, interval_s, stretches, len(pieces) - len(stretches), counters)

    def holding(self, time_s: Floats) -> Ints:
        """Returns the interval in which each time lies, (N,), its end included; -1 for a time in none of them."""
        slack_s = TIMES_TOLERANCE * self.interval_s
        index = np.searchsorted(self.end_s, time_s - slack_s)
        within = index < len(self.end_s)
        within[within] &= time_s[within] > self.end_s[index[within]] - self.interval_s + slack_s
        return np.where(within, index, -1)

    def in_force(self, scenario: Scenario, table: Table, names: Sequence[str]) -> Singles:
        """Returns the action in force in each interval, (K, A), of a table of offsets.

        Raises:
            DataError: a pair is unknown or has no offset at first, or two of one time; an offset changes within an
                interval; or no action of the scenario stands for the offsets.
        """
        place, pairs = table.place, scenario.neighbor_pairs
        ends = [table.cells(column, names) for column in ("serving_cell", "neighbor_cell")]
        known = {pair: index for index, pair in enumerate(pairs)}
        pair = np.array([known.get((int(i), int(j)), -1) for i, j in zip(*ends, strict=True)])
        texts = np.array([f"{i}, {j}" for i, j in zip(table.columns["serving_cell"], table.columns["neighbor_cell"],
                          strict=True)], dtype=object)  # fmt: skip
        cure = "list the pair in handover.neighbors of the preset, or leave its rows out"
        place.require(pair >= 0, "neighbor_cell", texts, "is no neighbour pair of the scenario", cure)
        _, number = np.unique(table.time_s, return_inverse=True)
        _require_once(table, number * len(pairs) + pair, "neighbor_cell", "has an offset of this time already")
        limit_db, cio_db = scenario.handover.cio_range_db, table.columns["cio_db"]
        place.require(
            np.abs(cio_db) <= limit_db + _CIO_TOLERANCE_DB, "cio_db", cio_db,
            f"is beyond handover.cio_range_db, {limit_db:g} dB", "raise that in the preset, to 24 dB at most",
        )  # fmt: skip
        slack_s = TIMES_TOLERANCE * self.interval_s
        holding = self.holding(table.time_s)
        at_end = np.abs(self.end_s[holding] - table.time_s) <= slack_s
        within = (holding >= 0) & ~at_end
        if within.any():
            row = int(np.argmax(within))
            raise place.error(
                row, "time" if table.dated else "time_s",
                f"{table.said(table.time_s[row])} lies within an interval of the cells table, which has one offset",
                "date the offset at the end of the first interval in which it is in force throughout",
            )  # fmt: skip
        first = np.searchsorted(
            self.end_s, table.time_s - slack_s
        )  # the first interval that ends at that time or later
        grid_db = np.full((len(self.end_s), len(pairs)), np.nan)
        used = first < len(self.end_s)
        grid_db[first[used], pair[used]] = cio_db[used]  # rows are sorted by time, so that the last one stays
        grid_db = pd.DataFrame(grid_db).ffill().to_numpy()
        if np.isnan(grid_db[0]).any():
            i, j = pairs[int(np.argmax(np.isnan(grid_db[0])))]
            what = f"no offset of the pair {names[i]}, {names[j]} by {table.said(self.end_s[0])}"
            raise DataError(f"{place.path}: has {what}, where the cells table begins", _NO_OFFSET)
        action = action_from_cio(scenario, grid_db).astype(np.float32)
        off_db = np.abs(cio_from_action(scenario, action) - grid_db)
        if off_db.max() > _CIO_TOLERANCE_DB:
            k, e = np.unravel_index(int(off_db.argmax()), off_db.shape)
            i, j = pairs[int(e)]
            form = f"handover.action: {scenario.handover.action}, handover.grid: {scenario.handover.grid}"
            raise DataError(
                f"{place.path}: {grid_db[k, e]:g} dB of the pair {names[i]}, {names[j]} at {table.said(self.end_s[k])} "
                f"is no action of the scenario ({form})",
                "set handover.action: pair and handover.grid: continuous in the preset",
            )
        return action


def _require_once(table: Table, key: Ints, column: str, what: str) -> None:
    """Refuses rows whose key is that of a row before."""
    once = ~pd.Series(key).duplicated().to_numpy()
    table.place.require(once, column, table.columns[column], what, "remove one of the two")
