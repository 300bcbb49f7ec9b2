"""Episodes of ns-3 beside the same episodes of a model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cf_augment.agreement.compare import compare_stacked
from cf_augment.dataset import Episode
from cf_augment.physics.tables import lte_tables
from ns3_scenarios.scenario import Scenario
from py_agent.fidelity.cases import Case
from py_agent.fidelity.runs import NS3, Runs

Values = dict[str, float]
_LAST_S = 0.02
"""The MCS of a grant is compared with the SINR that the UE has at most so much later."""


@dataclass(frozen=True)
class Pair:
    """An episode of ns-3 and the same of a model.

    Attributes:
        case: What they are about.
        model: The back end that is compared.
        truth: The episode in ns-3.
        guess: The episode in the model.
        figures: What `cf_augment.agreement.compare` says.
        mcs_agreement: See `mcs_agreement`; NaN where ns-3's grants were not traced or depend on more than the SINR.
    """

    case: Case
    model: str
    truth: Episode
    guess: Episode
    figures: Values
    mcs_agreement: float


def all_pairs(runs: Runs) -> list[Pair]:
    """Compares every episode of random CIOs with what each model makes of it."""
    found = []
    for case in runs.cases:
        truths = runs.episodes(case, NS3)
        grants = pd.read_parquet(runs.grants_path(case)) if case.cqi == "control" else None
        for model in runs.backends(case):
            for index, (truth, guess) in enumerate(zip(truths, runs.episodes(case, model), strict=True)):
                mcs = math.nan
                if index == 0 and grants is not None:
                    mcs = mcs_agreement(case.scenario, grants, truth, guess)
                found.append(Pair(case, model, truth, guess, compare_stacked(truth.kpis, guess.kpis), mcs))
    return found


def mcs_agreement(scenario: Scenario, grants: pd.DataFrame, truth: Episode, guess: Episode) -> float:
    """Share of ns-3's grants whose MCS is what its thresholds make of the model's SINR.

    Args:
        scenario: The scenario.
        grants: ns-3's downlink DCIs, as `ns3_scenarios.bridge.event_log` has them.
        truth: The episode in ns-3.
        guess: The episode in the model.

    Returns:
        Of the last new transmission to each UE in the 20 ms before the end of each interval, if it has the same serving
        cell in both; NaN if there is none.
    """
    rows = lte_tables(scenario.radio.dl_bandwidth_rb).cqi
    mcs_of_cqi = np.array([-1, *(row.mcs for row in rows)])
    mcs = mcs_of_cqi[np.searchsorted([row.sinr_db for row in rows], guess.kpis.ue_sinr_db, side="right")]
    new = grants[(grants["retransmission"] == 0) & (grants["ue"] >= 0)]
    equal: list[bool] = []
    for step, time_s in enumerate(truth.kpis.time_s):
        late = new[(new["time_s"] > time_s - _LAST_S) & (new["time_s"] <= time_s)].groupby("ue").last()
        ue, cell = late.index.to_numpy(), late["cell"].to_numpy()
        same = (truth.kpis.ue_serving_cell[step, ue] == cell) & (guess.kpis.ue_serving_cell[step, ue] == cell)
        equal += (mcs[step, ue] == late["mcs"].to_numpy())[same].tolist()
    return float(np.mean(equal)) if equal else math.nan
