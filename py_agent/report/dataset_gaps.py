"""What a dataset lacks, and where its rows come from, in the words of its card."""

from __future__ import annotations

import numpy as np

from cf_augment.dataset.records import OBSERVED
from py_agent.report.dataset_tally import CIO_BINS, Tally
from sumo_mobility.base.arrays import Ints

_FULL, _HALF = 0.95, 0.5


def origins(tally: Tally) -> str:
    """Returns what all rows derive from, with its number: logged traces, measured stretches."""
    nouns = {"logged": ("logged trace", "logged traces"), "measured": ("measured stretch", "measured stretches")}
    number = len(tally.origins)
    # Counterfactual rows alone derive from logged traces.
    found = [kind for kind in nouns if kind in tally.kinds] or ["logged"]
    return f"{number} {' and '.join(nouns[kind][number != 1] for kind in found)}"


def gaps(tally: Tally) -> list[str]:
    """Returns what the data lack, a sentence or two each."""
    scenario, mobility = tally.scenario, tally.scenario.mobility
    bin_db = 2 * scenario.handover.cio_range_db / CIO_BINS
    happened = [kind for kind in tally.kinds if kind in OBSERVED]
    apart = ""
    if 0 < len(happened) < len(tally.kinds):
        apart = f", and {_unseen(tally.cio(*happened))} in the {' and '.join(happened)} rows"
    found = [
        f"{_unseen(tally.cio())} of the CIO range was never in force{apart}, by bins of {bin_db:g} dB of each "
        "neighbour pair; how much of their combinations was is not counted.",
        f"All offsets are 0 dB in {_percent(tally.idle / tally.total.transitions)} of the transitions.",
    ]
    for contexts, does in ((mobility.train_contexts, "collects data in"), (mobility.test_contexts, "holds out")):
        if set(tally.kinds) == {"measured"}:  # the contexts of a scenario are those of simulated UEs
            break
        absent = dict.fromkeys(context.name for context in contexts if context.name not in tally.contexts)
        if absent:
            found.append(f"No rows are of {', '.join(absent)}, which the scenario {does}.")
    loads = {cell: counts for cell, counts in enumerate(tally.loads()) if counts.any()}
    greatest = {cell: float(np.flatnonzero(counts)[-1] + 1) / len(counts) for cell, counts in loads.items()}
    if greatest and max(greatest.values()) <= _FULL:
        found.append(f"No cell ever used more than {_percent(_FULL)} of its PRBs.")
    idle = [f"cell {cell}" for cell, load in greatest.items() if load <= _HALF]
    if idle:
        found.append(f"Never more than half of the PRBs were used in {', '.join(idle)}.")
    if tally.unserved:
        found.append(
            f"{_percent(tally.unserved)} of the rows of UEs have no serving cell: they had no connection then."
        )
    for number in dict.fromkeys(tally.unknown.values()):
        names = ", ".join(name for name, transitions in tally.unknown.items() if transitions == number)
        found.append(
            f"Not measured, or only in part, in {_percent(number / tally.total.transitions)} of the transitions: "
            f"{names}. A KPI is NaN where it is not known, and the serving cell is −1."
        )
    if tally.with_density < tally.total.transitions:
        share = _percent(tally.with_density / tally.total.transitions) if tally.with_density else "None"
        found.append(
            f"{share} of the transitions have the log-probability of their action. It is NaN where the behaviour "
            "policy was deterministic or its density is not known; there, importance sampling needs an estimate."
        )
    return [
        *found,
        f"All rows derive from {origins(tally)}. Rows of one are not independent: what is to be held out must be held "
        "out as a whole ('mlb dataset split --share').",
        "No state is terminal: a value function must go on over the end of an episode, which is only cut off.",
    ]


def _unseen(counts: Ints) -> str:
    return _percent(float((counts == 0).mean()))


def _percent(share: float) -> str:
    """A share in percent, in which what is not 0 or 1 does not seem to be."""
    if 0 < share < 0.001:
        return "less than 0.1 %"
    return f"{100 * share:.3g} %" if share <= 0.999 or share == 1 else "more than 99.9 %"
