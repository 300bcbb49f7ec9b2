"""Tables F1 to F7 of the fidelity study: how far each model is from ns-3, case by case."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from cf_augment.agreement.compare import load_distance, throughput_error_share
from cf_augment.agreement.rankings import is_constant, kendall, regret, spearman
from cf_augment.dataset import Episode
from ns3_scenarios.hexagon import random_cio_db
from ns3_scenarios.kpis import KPI_AXES, StepKpis
from ns3_scenarios.mdp import REWARDS
from ns3_scenarios.scenario import Scenario
from py_agent.bench.measured_episode import MeasuredEpisode
from py_agent.env import open_backend
from py_agent.fidelity.pairs import Pair, Values
from py_agent.fidelity.runs import AGAIN_AT_MOST, HORIZON, NS3, Runs
from py_agent.statistics import Estimate, estimate, mean
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.seeds import stream

AGAIN = "ns-3, other seed"
"""Stands beside the models: ns-3 with another seed, whose variability no model can beat."""
LOAD_BINS = (0.0, 0.25, 0.5, 0.75, 0.95, 1.01)
_COST_STEPS = 4
_RESAMPLES = 500


@dataclass(frozen=True)
class Column:
    """A column of a table: one figure of each model."""

    key: str
    heading: str
    unit: str = ""
    decimals: int = 2


@dataclass(frozen=True)
class Row:
    """A row of a table: its keys, and the figures of each model."""

    keys: dict[str, str]
    models: dict[str, Values]


@dataclass(frozen=True)
class Table:
    """A table; `columns` repeat for each model."""

    name: str
    title: str
    note: str
    columns: tuple[Column, ...]
    rows: list[Row] = field(default_factory=list)


def radio(found: list[Pair]) -> Table:
    """F1: RSRP."""
    columns = (
        Column("rmse_db", "RMSE", "dB", 5), Column("max_db", "max", "dB", 4), Column("samples", "samples", "", 0),
    )  # fmt: skip

    def values(pairs: list[Pair]) -> Values:
        samples = sum(pair.truth.kpis.ue_rsrp_dbm.size for pair in pairs)
        greatest = max(pair.figures["rsrp_max_db"] for pair in pairs)
        return {"rmse_db": rms([p.figures["rsrp_rmse_db"] for p in pairs]), "max_db": greatest, "samples": samples}

    note = "RSRP of every UE to every cell at the end of each second."
    return Table("F1", "Radio", note, columns, _rows(found, ("network", "shadowing"), values))


def association(found: list[Pair]) -> Table:
    """F2: serving cells and handovers."""
    columns = (
        Column("serving_percent", "serving cell equal", "%", 3),
        Column("handovers_ns3", "handovers in ns-3", "", 0),
        Column("handovers_model", "in the model", "", 0),
        Column("sequences_percent", "UEs with equal sequence", "%", 2),
        Column("sequences", "UEs that move", "", 0),
        Column("delay_max_ms", "greatest |Δt|", "ms", 1),
    )

    def values(pairs: list[Pair]) -> Values:
        total = {name: sum(pair.figures[name] for pair in pairs) for name in pairs[0].figures}
        return {
            "serving_percent": 100 * total["serving_agreement"] / len(pairs),
            "handovers_ns3": total["handovers_ns3"],
            "handovers_model": total["handovers_engine"],
            "sequences_percent": sequences_percent(pairs),
            "sequences": total["handover_moving_ues"],
            "delay_max_ms": max(pair.figures["handover_delay_max_ms"] for pair in pairs),
        }

    note = "Serving cells at the end of each second; the sequence of a UE is that of all its handovers in an episode."
    return Table(
        "F2", "Association and handovers", note, columns, _rows(found, ("network", "shadowing", "CQI"), values)
    )


def link(found: list[Pair]) -> Table:
    """F3: SINR, MCS and throughput."""
    columns = (
        Column("sinr_rmse_db", "SINR RMSE", "dB", 4),
        Column("mcs_percent", "MCS equal", "%", 2),
        Column("throughput_percent", "throughput error", "%", 2),
        Column("served_percent", "network's served traffic", "%", 2),
    )

    def values(pairs: list[Pair]) -> Values:
        total = {name: sum(pair.figures[name] for pair in pairs) / len(pairs) for name in pairs[0].figures}
        traced = [pair.mcs_agreement for pair in pairs if math.isfinite(pair.mcs_agreement)]
        return {
            "sinr_rmse_db": rms([pair.figures["sinr_rmse_db"] for pair in pairs]),
            "mcs_percent": 100 * float(np.mean(traced)) if traced else math.nan,
            "throughput_percent": 100 * total["throughput_error_share"],
            "served_percent": 100 * total["served_error_share"],
        }

    note = (
        "SINR of the control region at the end of each second, of UEs with the same cell in both. MCS of the last "
        "grant that ns-3 sent to the UE in the 20 ms before, against that of the model's SINR (first trace of a case, "
        "control CQI). Throughput of UEs that ns-3 serves at 100 kbit/s or more, mean relative error."
    )
    return Table("F3", "SINR, MCS and throughput", note, columns, _rows(found, ("network", "load", "CQI"), values))


def load(found: list[Pair]) -> Table:
    """F4: PRB utilisation by case."""
    columns = (
        Column("mae_pp", "MAE", "pp"), Column("low", "95 % from", "pp"), Column("high", "to", "pp"),
        Column("bias_pp", "bias", "pp"), Column("ks", "KS", "", 3),
    )  # fmt: skip

    def values(pairs: list[Pair]) -> Values:
        mae, low, high = interval([pair.figures["utilization_mae_pp"] for pair in pairs])
        bias = float(np.mean([pair.figures["utilization_bias_pp"] for pair in pairs]))
        truth, guess = (_pooled(pairs, side, "prb_utilization") for side in ("truth", "guess"))
        return {"mae_pp": mae, "low": low, "high": high, "bias_pp": bias, "ks": load_distance(truth, guess)}

    note = "PRB utilisation of each cell and second; bias is model - ns-3, KS the distance of the two distributions."
    rows = _rows(found, ("network", "load", "shadowing", "CQI"), values)
    for row in rows:
        pairs = [pair for pair in found if all(pair.case.keys[key] == value for key, value in row.keys.items())]
        row.keys["mean in ns-3"] = f"{100 * _pooled(pairs, 'truth', 'prb_utilization').mean():.0f} %"
    return Table("F4", "PRB utilisation", note, columns, rows)


def load_by_bin(found: list[Pair]) -> Table:
    """F4, by how much the cell carries in ns-3."""
    columns = (Column("mae_pp", "MAE", "pp"), Column("bias_pp", "bias", "pp"), Column("samples", "samples", "", 0))
    rows = []
    for cqi in dict.fromkeys(pair.case.cqi for pair in found):
        for low, high in pairwise(LOAD_BINS):
            models: dict[str, Values] = {}
            for model in _models(found):
                pairs = [pair for pair in found if pair.model == model and pair.case.cqi == cqi]
                if not pairs:
                    continue
                truth, guess = (_pooled(pairs, side, "prb_utilization") for side in ("truth", "guess"))
                inside = (truth >= low) & (truth < high)
                error_pp = 100 * (guess - truth)[inside]
                if error_pp.size:
                    mae = float(np.abs(error_pp).mean())
                    models[model] = {"mae_pp": mae, "bias_pp": float(error_pp.mean()), "samples": error_pp.size}
            top = "" if high > 1 else f" to {100 * high:.0f}"
            rows.append(Row({"load in ns-3": f"from {100 * low:.0f}{top} %", "CQI": cqi}, models))
    return Table("F4b", "PRB utilisation by load", "All cases pooled.", columns, rows)


def rewards(runs: Runs) -> Table:
    """F5: the order of random CIO sequences from one state."""
    columns = (
        Column("spearman", "Spearman", "", 3), Column("low", "95 % from", "", 3), Column("high", "to", "", 3),
        Column("kendall", "Kendall τ-b", "", 3), Column("load_mae_pp", "load MAE", "pp"),
        Column("throughput_percent", "throughput error", "%", 1),
    )  # fmt: skip
    rows = []
    for case in runs.ranking_cases():
        if not runs.plan.futures[case.network]:
            continue
        models: list[str] = runs.backends(case)
        truth = runs.futures_job(case, NS3).read()
        again = runs.futures_job(case, NS3, again=True).read()
        compared: dict[str, StepKpis] = {name: runs.futures_job(case, name).read() for name in models}
        compared[AGAIN] = again
        for reward in REWARDS:
            keys = {"network": case.network, "CQI": case.cqi, "reward": reward}
            values = {name: _ranked(case.scenario, reward, truth, guess) for name, guess in compared.items()}
            rows.append(Row(keys, values))
    note = (
        f"Random CIO sequences of {HORIZON} s from one loaded state, simulated in branches of one ns-3 run; reward is "
        f"the mean over a sequence. '{AGAIN}' is the ceiling: the first {AGAIN_AT_MOST} of them at most under another "
        "seed of the network. No figure where ns-3 gives all sequences the same reward."
    )
    return Table("F5", "Rewards of CIO sequences", note, columns, rows)


def policies(runs: Runs) -> tuple[Table, dict[str, dict[str, list[list[float]]]]]:
    """F6: the order of policies.

    Returns:
        The table, and by case the mean reward that the scenario names of each policy (rows) with each seed, of ns-3
        and of each model.
    """
    columns = (
        Column("tau_b", "Kendall τ-b", "", 3), Column("low", "95 % from", "", 3), Column("high", "to", "", 3),
        Column("regret_percent", "regret", "%", 2),
    )  # fmt: skip
    rows: list[Row] = []
    shown: dict[str, dict[str, list[list[float]]]] = {}
    for case in runs.cases:
        if not runs.ranks_policies(case):
            continue
        played = {
            name: [runs.episodes(case, name, policy, runs.plan.policy_traces) for policy in runs.plan.policies]
            for name in (NS3, *runs.backends(case))
        }
        for reward in REWARDS:
            value: dict[str, Floats] = {
                name: np.array([[_mean_reward(case.scenario, reward, e) for e in episodes] for episodes in by_policy])
                for name, by_policy in played.items()
            }
            models = {name: _policy_order(value[NS3], guess, runs.seed) for name, guess in value.items() if name != NS3}
            rows.append(Row({"network": case.network, "reward": reward}, models))
            if reward == case.scenario.reward:
                shown[case.network] = {name: values.tolist() for name, values in value.items()}
    note = (
        f"{len(runs.plan.policies)} policies ({', '.join(runs.plan.policies)}), each on the same "
        f"{runs.plan.policy_traces} traces and "
        "seeds in ns-3 and, acting on the model's own KPIs, in the model. Regret: what the policy that the model ranks "
        "first loses in ns-3 against the best one. Intervals: bootstrap over traces."
    )
    return Table("F6", "Policies", note, columns, rows), shown


def cost(runs: Runs) -> Table:
    """F7: CPU time; measured now, one after another in this process and its child."""
    columns = (
        Column("cpu_ms", "CPU time a simulated second", "ms", 2), Column("times", "times faster than ns-3", "×", 0),
    )  # fmt: skip
    rows = []
    for case in runs.ranking_cases():
        trace = runs.traces[case.network][f"{case.network}-0"]
        cio_db = random_cio_db(case.scenario, runs.seed)[:_COST_STEPS]
        with MeasuredEpisode(case.scenario, trace, runs.seed) as episode:
            for row in cio_db:
                episode.step(row)
            truth_s = float(np.mean(episode.cpu_s))
        models: dict[str, Values] = {NS3: {"cpu_ms": 1e3 * truth_s, "times": 1.0}}
        for name in runs.backends(case):
            backend = open_backend(case.scenario, name)
            backend.reset(trace, runs.seed)
            backend.step(cio_db[0])
            begin = time.process_time()
            for row in cio_db[1:]:
                backend.step(row)
            spent_s = (time.process_time() - begin) / (len(cio_db) - 1)
            backend.close()
            models[name] = {"cpu_ms": 1e3 * spent_s, "times": truth_s / max(spent_s, 1e-9)}
        rows.append(Row({"network": case.network, "CQI": case.cqi}, models))
    note = "One environment, one step after another; `mlb bench engine` measures many at once."
    return Table("F7", "Cost", note, columns, rows)


def interval(values: Iterable[float]) -> Estimate:
    """Mean and its 95 % interval over runs."""
    return estimate([np.array(list(values), dtype=np.float64)], mean)


def rms(values: Iterable[float]) -> float:
    """Root of the mean square of root mean squares over equally many samples."""
    return math.sqrt(float(np.mean([value**2 for value in values])))


def sequences_percent(pairs: Iterable[Pair]) -> float:
    """Share of the UEs that hand over whose sequence of handovers is the same; 100 if none does."""
    equal, moving = 0.0, 0.0
    for pair in pairs:
        equal += pair.figures["handover_equal_ues"]
        moving += pair.figures["handover_moving_ues"]
    return 100 * equal / moving if moving else 100.0


def _models(found: list[Pair]) -> list[str]:
    return list(dict.fromkeys(pair.model for pair in found))


def _rows(found: list[Pair], keys: tuple[str, ...], values: Callable[[list[Pair]], Values]) -> list[Row]:
    """Returns one row for each combination of keys, in order of appearance."""
    groups: dict[tuple[str, ...], dict[str, list[Pair]]] = {}
    for pair in found:
        group = groups.setdefault(tuple(pair.case.keys[key] for key in keys), {})
        group.setdefault(pair.model, []).append(pair)
    return [
        Row(dict(zip(keys, group, strict=True)), {model: values(pairs) for model, pairs in by_model.items()})
        for group, by_model in groups.items()
    ]


def _pooled(pairs: list[Pair], side: str, name: str) -> Floats:
    return np.concatenate([getattr(getattr(pair, side).kpis, name).ravel() for pair in pairs])


def _ranked(scenario: Scenario, reward: str, truth: StepKpis, guess: StepKpis) -> Values:
    """Returns how a model ranks futures, of which it may have only the first ones."""
    truth = replace(truth, **{name: getattr(truth, name)[: len(guess.time_s)] for name in KPI_AXES})
    truth_reward, guess_reward = (REWARDS[reward].of(scenario, kpis).mean(axis=1) for kpis in (truth, guess))
    rho, low, high = Estimate(math.nan, math.nan, math.nan)
    if not is_constant(truth_reward):
        rho, low, high = (
            (0.0, math.nan, math.nan) if is_constant(guess_reward) else estimate([truth_reward, guess_reward], spearman)
        )
    return {
        "spearman": rho,
        "low": low,
        "high": high,
        "kendall": kendall(truth_reward, guess_reward),
        "load_mae_pp": 100 * float(np.abs(guess.prb_utilization - truth.prb_utilization).mean()),
        "throughput_percent": 100 * throughput_error_share(truth.ue_throughput_bps, guess.ue_throughput_bps),
    }


def _mean_reward(scenario: Scenario, reward: str, episode: Episode) -> float:
    return float(REWARDS[reward].of(scenario, episode.kpis)[1:].mean())


def _policy_order(truth: Floats, guess: Floats, seed: int) -> Values:
    """Agreement of two tables of values (policies, traces)."""
    means = truth.mean(axis=1), guess.mean(axis=1)
    if is_constant(means[0]):
        return {"tau_b": math.nan, "low": math.nan, "high": math.nan, "regret_percent": 100 * regret(*means)}
    draws = stream(seed, "fidelity", "bootstrap").integers(0, truth.shape[1], (_RESAMPLES, truth.shape[1]))
    taus = [kendall(truth[:, draw].mean(axis=1), guess[:, draw].mean(axis=1)) for draw in draws]
    low, high = np.percentile([tau for tau in taus if math.isfinite(tau)] or [math.nan], (2.5, 97.5))
    return {
        "tau_b": kendall(*means), "low": float(low), "high": float(high), "regret_percent": 100 * regret(*means),
    }  # fmt: skip
