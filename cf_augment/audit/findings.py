"""What an audit measures, with what must be reached, and what it has found of one model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from cf_augment.audit.material import Question
from cf_augment.audit.truth import Played
from sumo_mobility.base.arrays import Floats
from sumo_mobility.trace import MobilityTrace


class Measure(NamedTuple):
    """The definition of a figure.

    Attributes:
        group: The heading that it stands under.
        title: What it is.
        note: How it is measured, in a sentence.
        unit: Its unit.
        reach: What it must reach, if it must.
        goal: What would be better still.
        more_is_better: Whether a greater value is better.
        bounds: The least and the greatest value that it can have.
    """

    group: str
    title: str
    note: str
    unit: str = ""
    reach: float | None = None
    goal: float | None = None
    more_is_better: bool = False
    bounds: tuple[float, float] = (0.0, math.inf)


_LATENTS, _AXIOMS, _TRUTH = "Disentanglement", "Axioms", "do(context) against the truth"
_REAL, _STATES = "Realism", "Coverage"
MEASURES: dict[str, Measure] = {
    "dci": Measure(
        _LATENTS, "DCI disentanglement",
        "1 if each component of the context says one true factor only (Eastwood and Williams 2018; ridge probes).",
        reach=0.7, goal=0.9, more_is_better=True, bounds=(0, 1),
    ),
    "completeness": Measure(
        _LATENTS, "DCI completeness", "1 if each true factor is said by one component only.",
        more_is_better=True, bounds=(0, 1),
    ),
    "informativeness": Measure(
        _LATENTS, "context: R2 of the true factors",
        "How much of the true factors a ridge probe of the context knows, of traces that the probe has not seen.",
        more_is_better=True, bounds=(-math.inf, 1),
    ),
    "mig": Measure(
        _LATENTS, "mutual information gap",
        "How much more the best component knows of a factor than the second best one (Chen et al. 2018); few windows "
        "make it too great.",
        more_is_better=True, bounds=(0, 1),
    ),
    "swap": Measure(
        _LATENTS, "swap accuracy",
        "Share of the counterfactuals whose context, encoded again, is nearer to the one asked for than the old.",
        reach=0.85, goal=0.95, more_is_better=True, bounds=(0, 1),
    ),
    "leak": Measure(
        _LATENTS, "leak R2",
        "How much of the true factors a ridge probe of the mean of the local latents knows, as above; less than "
        "nothing counts 0.",
        reach=0.15, goal=0.05, bounds=(0, 1),
    ),
    "identity": Measure(
        _AXIOMS, "do(nothing): greatest distance to the logged trace", "Over all UEs and times.", "m", 1.0, 0.1,
    ),
    "composition": Measure(
        _AXIOMS, "do(nothing) twice: greatest distance", "What do(nothing) made is abducted and made once more.", "m",
    ),
    "reversibility": Measure(
        _AXIOMS, "do(context) and back: mean distance",
        "The counterfactual is abducted, and the old context put back in (Monteiro et al. 2023).", "m",
    ),
    "load": Measure(
        _TRUTH, "error of the cells' loads",
        "Mean absolute error over cells and intervals without offsets, over the mean true load.", "%", 8.0, 4.0,
    ),
    "share": Measure(
        _TRUTH, "error of the cells' shares of the UEs", "Mean absolute error over cells and intervals.", "%",
    ),
    "ranking": Measure(
        _TRUTH, "ranking of constant actions", "Kendall's tau-b by mean reward.",
        "", 0.7, 0.9, more_is_better=True, bounds=(-1, 1),
    ),
    "speed": Measure(
        _REAL, "Wasserstein distance of the speeds, over real-real", "Made to held-out traces, over real to held-out.",
        "", 1.5, 1.1,
    ),
    "mmd": Measure(
        _REAL, "MMD of the ways, over real-real",
        "Of seven features of each UE in windows of 30 s; made to held-out, over real to held-out.",
    ),
    "auc": Measure(
        _REAL, "discriminator: area under the ROC",
        "A kernel discriminator tells made ways from held-out ones, in traces that it has not seen; 0.5 is chance.",
        "", 0.7, 0.55, bounds=(0, 1),
    ),
    "standing": Measure(
        _REAL, "share of the time standing, off the real one", "Relative difference, without its sign.", "%", 20.0, 5.0,
    ),
    "spread": Measure(
        _REAL, "spread between traces, off the real one",
        "Relative difference of the standard deviation over traces of the cells' shares of the UEs, without its sign.",
        "%", 15.0, 5.0,
    ),
    "off-road": Measure(_REAL, "positions off the road", "Farther than 5 m from all lanes.", "%", 1.0, 0.1,
                        bounds=(0, 100)),
    "coverage": Measure(
        _STATES, "distance of held-out states to the nearest training state, with counterfactuals over without",
        "A state is the load of every cell and its share of the UEs in one interval.", bounds=(0, 1),
    ),
}  # fmt: skip
"""All figures, in the order in which they are shown."""


@dataclass
class Findings:
    """What was found of one fitted model.

    Attributes:
        seed: Of the draw.
        value: Each of MEASURES; NaN where it could not be measured.
        beside: What stands beside a figure: the same of others, by name.
        reason: Why figures could not be measured.
        factors: Names of the true factors, K.
        importance: Of each component of the context for each factor, (C, K).
        made: The counterfactual traces.
        played: What the network makes of them.
    """

    seed: int
    value: dict[str, float] = field(default_factory=lambda: dict.fromkeys(MEASURES, math.nan))
    beside: dict[str, dict[str, float]] = field(default_factory=dict)
    reason: dict[str, str] = field(default_factory=dict)
    factors: tuple[str, ...] = ()
    importance: Floats | None = None
    made: Mapping[Question, MobilityTrace] = field(default_factory=dict)
    played: Mapping[Question, Played] = field(default_factory=dict)

    def lacks(self, reason: str, *measures: str) -> None:
        """Says why figures could not be measured."""
        self.reason |= dict.fromkeys(measures, reason)
