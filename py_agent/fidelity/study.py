"""The study as a whole: what the models must reach, whether they do, and where they do not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import REWARDS
from py_agent.fidelity import tables
from py_agent.fidelity.pairs import Pair, all_pairs
from py_agent.fidelity.runs import BASELINE, NS3, TIERS, Plan, Runs
from py_agent.fidelity.tables import AGAIN, Table
from py_agent.jobs import LOCAL, Executor
from py_agent.measurement import Measurement, without_nan
from py_agent.rundir import versions
from py_agent.statistics import Estimate, Statistic, estimate, mean
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.documents import read_yaml
from sumo_mobility.base.scratch import ScratchDirectory

_LOAD_PP: dict[tuple[str, str], tuple[float, float]] = {
    ("T0", "control"): (1.0, 0.3),
    ("T1", "control"): (0.3, 0.05),
    ("T0", "pdsch"): (3.0, 1.5),
    ("T1", "pdsch"): (1.5, 0.5),
}
"""Target and goal of the MAE of the PRB utilisation, by tier and CQI."""
_SPEARMAN, _SPEARMAN_GOAL, _BELOW_CEILING = 0.95, 0.98, 0.02


@dataclass(frozen=True)
class Figure(Measurement):
    """A figure of a model beside what it must reach.

    Attributes:
        model: Short name of the tier.
        low: Lower end of its 95 % interval, NaN where there is none.
        high: Upper end.
        baseline: The same of the fluid model.
        ceiling: The same of ns-3 against itself with another seed, where that was run.
        reason: Why it falls short, if it does.
    """

    model: str = ""
    low: float = math.nan
    high: float = math.nan
    baseline: float = math.nan
    ceiling: float = math.nan
    reason: str = ""


@dataclass(frozen=True)
class Failing:
    """A row of a table in which a model does not reach what it must on average."""

    table: str
    where: str
    model: str
    figure: str
    value: float
    target: float
    reason: str


@dataclass(frozen=True)
class Study:
    """The results of a study.

    Attributes:
        seed: Of the study.
        plan: How much was run.
        figures: What the models must reach.
        tables: F1 to F7.
        failing: Rows of the tables that fall short.
        policies: Mean reward by network, of ns-3 and each model: (policies, traces).
        lacking: What scenarios asked for and a model does not know, by model.
        simulated: Runs of ns-3 that had to be done.
        versions: Of what the result depends on.
        pairs: The episodes, for pictures.
        futures: Rewards of the CIO sequences, by network and reward, of ns-3 and each model, for pictures.
    """

    seed: int
    plan: Plan
    figures: list[Figure]
    tables: list[Table]
    failing: list[Failing]
    policies: dict[str, dict[str, list[list[float]]]]
    lacking: dict[str, list[str]]
    simulated: int
    versions: dict[str, str]
    pairs: list[Pair]
    futures: dict[str, dict[str, dict[str, Floats]]]

    @property
    def data(self) -> dict[str, Any]:
        """Returns the results for machines; a figure that does not exist is null."""
        return without_nan(
            {
                "seed": self.seed,
                "plan": asdict(self.plan),
                "figures": [{**asdict(figure), "ok": figure.ok} for figure in self.figures],
                "failing": [asdict(row) for row in self.failing],
                "tables": [asdict(table) for table in self.tables],
                "policies": self.policies,
                "lacking": self.lacking,
                "simulated": self.simulated,
                "versions": self.versions,
            }
        )


def study(plan: Plan, seed: int, directory: Path, executor: Executor = LOCAL) -> Study:
    """Runs what has not been run, and compares.

    Args:
        plan: How much.
        seed: Of everything; another seed is another sample of traces, CIOs and networks.
        directory: Where runs of ns-3 are kept.
        executor: Where ns-3 and the models are run.

    Raises:
        SimulatorError: a run failed; finished runs are kept.
    """
    with ScratchDirectory() as scratch:
        runs = Runs(plan, seed, directory, scratch.path)
        simulated = runs.run(executor)
        pairs = all_pairs(runs)
        by_reward, (by_policy, values) = tables.rewards(runs), tables.policies(runs)
        made = [
            tables.radio(pairs), tables.association(pairs), tables.link(pairs), tables.load(pairs),
            tables.load_by_bin(pairs), by_reward, by_policy, tables.cost(runs),
        ]  # fmt: skip
        return Study(
            seed=seed,
            plan=plan,
            figures=[figure for tier in TIERS for figure in _figures(tier, pairs, by_reward, by_policy)],
            tables=made,
            failing=[row for tier in TIERS for row in _failing(tier, {table.name: table for table in made})],
            policies=values,
            lacking={name: sorted(messages) for name, messages in runs.lacking.items()},
            simulated=simulated,
            versions=versions(),
            pairs=pairs,
            futures=_futures(runs),
        )


def _figures(tier: str, pairs: list[Pair], by_reward: Table, by_policy: Table) -> list[Figure]:
    """The figures of one tier."""
    made: list[Figure] = []

    def add(
        metric: str, unit: str, target: float | None, goal: float | None, found: Callable[[str], Estimate],
        more: bool = False, ceiling: float = math.nan, key: str = "",
    ) -> None:  # fmt: skip
        value, low, high = found(tier)
        figure = Figure(metric, value, unit, target, goal, more, TIERS[tier], low, high, found(BASELINE).value, ceiling)
        made.append(figure if figure.ok else Figure(**{**asdict(figure), "reason": reason(TIERS[tier], key)}))

    def of(model: str, cqi: str = "control", shadowing: bool | None = None) -> list[Pair]:
        """Returns the pairs that the tier and the baseline have in common."""
        return [
            pair for pair in pairs
            if pair.model == model and pair.case.cqi == cqi and shadowing in (None, pair.case.shadowing)
        ]  # fmt: skip

    def over(name: str, statistic: Statistic, scale: float = 1.0, **which: Any) -> Callable[[str], Estimate]:
        return lambda model: _estimate([[scale * pair.figures[name] for pair in of(model, **which)]], statistic)

    for shadowing in (False, True):
        what = f"RSRP RMSE, {'with' if shadowing else 'without'} shadowing"
        add(what, "dB", 0.01, 0.001, over("rsrp_rmse_db", _rms, shadowing=shadowing), key="rsrp")
    add("serving cell equal", "%", 99.5, 99.9, over("serving_agreement", mean, 100), more=True, key="serving")

    def sequences(model: str) -> Estimate:
        names = ("handover_equal_ues", "handover_moving_ues")
        return _estimate([[pair.figures[name] for pair in of(model)] for name in names], _percent)

    add("UEs whose handover sequences are equal", "%", 98, 99.5, sequences, more=True, key="sequences")
    for cqi in ("control", "pdsch"):
        if of(tier, cqi=cqi):
            target, goal = _LOAD_PP[TIERS[tier], cqi]
            ceiling = _mean_of([row for row in by_reward.rows if row.keys["CQI"] == cqi], AGAIN, "load_mae_pp")
            what = f"PRB utilisation of a cell and second, MAE, {cqi} CQI"
            add(what, "pp", target, goal, over("utilization_mae_pp", mean, cqi=cqi), ceiling=ceiling, key=f"load {cqi}")
    again, found = _mean_of(by_reward.rows, AGAIN, "throughput_percent"), over("throughput_error_share", mean, 100)
    target_percent, goal_percent = (5.0, 2.0) if TIERS[tier] == "T1" else (None, None)
    what = "throughput of a UE and second at 100 kbit/s or more, relative error"
    add(what, "%", target_percent, goal_percent, found, ceiling=again, key="throughput")
    for reward in REWARDS:
        rows = [row for row in by_reward.rows if row.keys["reward"] == reward and tier in row.models]
        if not np.isfinite(_mean_of(rows, tier, "spearman")):
            continue
        ceiling = _mean_of(rows, AGAIN, "spearman")
        target, what = min(_SPEARMAN, ceiling - _BELOW_CEILING), f"reward {reward} of CIO sequences, Spearman"
        found = _over_rows(rows, "spearman")
        add(what, "", target, _SPEARMAN_GOAL, found, more=True, ceiling=ceiling, key=f"reward {reward}")
    own = [row for row in by_policy.rows if row.keys["reward"] == "load-std"]
    if own:
        add("policies by load-std, Kendall τ-b", "", 0.9, 1.0, _over_rows(own, "tau_b"), more=True, key="policies")
        found = _over_rows(own, "regret_percent")
        add("regret in ns-3 of the model's best policy", "%", 1.0, 0.0, found, key="regret")
    return made


def _failing(tier: str, made: dict[str, Table]) -> list[Failing]:
    """Rows in which a tier falls short of what its figures must reach."""
    name = TIERS[tier]
    limits: list[tuple[str, str, float, bool, str]] = [
        ("F1", "rmse_db", 0.01, False, "rsrp"),
        ("F2", "serving_percent", 99.5, True, "serving"),
        ("F2", "sequences_percent", 98.0, True, "sequences"),
        ("F4", "mae_pp", math.nan, False, "load"),
        ("F5", "spearman", math.nan, True, "reward"),
        ("F6", "tau_b", 0.9, True, "policies"),
        ("F6", "regret_percent", 1.0, False, "regret"),
    ]
    found = []
    for table, column, target, more, key in limits:
        heading = next(entry.heading for entry in made[table].columns if entry.key == column)
        for row in made[table].rows:
            value, cause = row.models.get(tier, {}).get(column, math.nan), key
            if table == "F4":
                target, cause = _LOAD_PP[name, row.keys["CQI"]][0], f"load {row.keys['CQI']}"
            if table == "F5":
                ceiling = row.models[AGAIN]["spearman"]
                target, cause = min(_SPEARMAN, ceiling - _BELOW_CEILING), f"reward {row.keys['reward']}"
            if value < target if more else value > target:
                where = ", ".join(f"{label} {text}" for label, text in row.keys.items())
                found.append(Failing(table, where, name, heading, value, target, reason(name, cause)))
    return found


_NO_ENDS = (-math.inf, math.inf)

REASONS = Path(__file__).with_name("reasons.yaml")
"""Why tiers fall short, as it was found out."""


def reason(tier: str, key: str) -> str:
    """Returns why a figure falls short, by tier and by what the figure is about, as far as it is known."""
    return str(read_yaml(REASONS).get(tier, {}).get(key, "not known"))


def _futures(runs: Runs) -> dict[str, dict[str, dict[str, Floats]]]:
    """Mean reward of each sequence, by network and reward, of ns-3 and of each model."""
    found: dict[str, dict[str, dict[str, Floats]]] = {}
    for case in runs.ranking_cases():
        if case.cqi != "control" or not runs.plan.futures[case.network]:
            continue
        kpis: dict[str, StepKpis] = {name: runs.futures_job(case, name).read() for name in (NS3, *runs.backends(case))}
        found[case.network] = {
            reward: {name: np.asarray(value.of(case.scenario, stacked)).mean(axis=1) for name, stacked in kpis.items()}
            for reward, value in REWARDS.items()
        }
    return found


def _rms(*samples: Floats, axis: int = -1) -> Floats:
    return np.sqrt((samples[0] ** 2).mean(axis=axis))


def _percent(*samples: Floats, axis: int = -1) -> Floats:
    return 100 * samples[0].sum(axis=axis) / np.maximum(samples[1].sum(axis=axis), 1)


def _estimate(samples: list[list[float]], statistic: Statistic) -> Estimate:
    if not samples[0]:
        return Estimate(math.nan, math.nan, math.nan)
    return estimate([np.array(sample) for sample in samples], statistic)


def _over_rows(rows: list[tables.Row], column: str) -> Callable[[str], Estimate]:
    """Mean of a column over the rows in which it exists; the interval ends where the column does."""
    least, greatest = {"spearman": (-1, 1), "tau_b": (-1, 1), "regret_percent": (0, math.inf)}.get(column, _NO_ENDS)

    def found(model: str) -> Estimate:
        values = [row.models[model][column] for row in rows if model in row.models]
        value, low, high = _estimate([[value for value in values if np.isfinite(value)]], mean)
        return Estimate(value, max(low, least), min(high, greatest))

    return found


def _mean_of(rows: list[tables.Row], model: str, column: str) -> float:
    return _over_rows(rows, column)(model).value
