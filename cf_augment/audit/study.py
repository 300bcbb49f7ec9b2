"""The audit of fitted models on the same material."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from cf_augment.audit import disentanglement
from cf_augment.audit.contract import Abducted, AuditedModel
from cf_augment.audit.coverage import distance_left
from cf_augment.audit.factors import FEWEST, factors_of
from cf_augment.audit.findings import Findings
from cf_augment.audit.material import Material, Question
from cf_augment.audit.realism import (
    discriminator_auc,
    mean_discrepancy,
    off_road_share,
    speed_distance_mps,
    spread,
    standing_share,
    ways_of,
)
from cf_augment.audit.truth import Network, Played, distances_m, load_error, mean_known, ranking, share_error
from cf_augment.audit.windows import windows
from sumo_mobility.base.arrays import Floats

MODEL = "model"
AS_LOGGED, OF_CONTEXT, REDRIVEN = "logged trace, as is", "held-out trace", "truth, other drivers"
"""What else could be taken for a counterfactual: the trace without the change, another one of the context, and the
truth itself with other drivers, which says how much of it is chance."""
ERRORS: dict[str, Callable[[Played, Played], float]] = {"load": load_error, "share": share_error, "ranking": ranking}
"""The figures that compare a truth with a guess."""
_SAME_M = 1.0
_NO_TRUTH = "no counterfactual has a truth"


class Auditor:
    """Judges models on the same material.

    Args:
        material: What they are asked.
        actions: How many constant CIOs are ranked.
        seed: Of the CIOs.

    Attributes:
        material: The same.
        played: What the network makes of each logged and held-out trace, by name.
        truth: What it makes of each truth.
        redriven: What it makes of each truth with other drivers.

    Raises:
        DataError: a trace does not fit the scenario.
        ConfigError: the engine does not mirror the scenario.
    """

    def __init__(self, material: Material, actions: int, seed: int) -> None:
        self.material = material
        self._network = Network(material.scenario, actions, seed)
        self.played = {name: self._network.play(trace) for name, trace in material.traces.items()}
        self.truth, self.redriven = (
            {question: self._network.play(trace) for question, trace in traces.items()}
            for traces in (material.truth, material.redriven)
        )

    def judge(self, model: AuditedModel[Abducted], seed: int, advance: Callable[[], None] = lambda: None) -> Findings:
        """Returns what is found of a model.

        Args:
            model: A model that was fitted to the material's training traces.
            seed: Of what its abduction draws.
            advance: Called after each question and after each trace: `work` times.
        """
        found = Findings(seed)
        whole = self._latents(found, model, advance)
        self._interventions(found, model, whole, advance)
        found.played = {question: self._network.play(trace) for question, trace in found.made.items()}
        self._against_truth(found)
        self._realism(found)
        self._coverage(found)
        return found

    @property
    def work(self) -> int:
        """How often `judge` says that it has advanced."""
        return len(self.material.traces) + len(self.material.questions)

    def _latents(
        self, found: Findings, model: AuditedModel[Abducted], advance: Callable[[], None]
    ) -> dict[str, Abducted]:
        """Abducts every trace and its windows, and compares their latents with the true factors."""
        whole, contexts, locals_, owner = {}, [], [], []
        for index, (name, trace) in enumerate(self.material.traces.items()):
            whole[name] = model.abduct(trace, found.seed)
            pieces = windows(trace)
            for piece in pieces if name in self.material.contexts else ():
                abducted = whole[name] if len(pieces) == 1 else model.abduct(piece, found.seed)
                contexts.append(abducted.context)
                locals_.append(abducted.local.mean(axis=0))
                owner.append(index)
            advance()
        names = list(self.material.traces)
        factors = factors_of([self.material.contexts[names[index]] for index in owner], owner)
        if not factors.names:
            known = len(self.material.contexts)
            found.lacks(
                f"the contexts of {known} of {len(names)} traces are known, and there is no parameter that varies and "
                f"that {FEWEST} of them have",
                "dci", "completeness", "informativeness", "mig", "leak",
            )  # fmt: skip
            return whole
        code, of_trace = np.stack(contexts), np.array(owner)
        found.factors = factors.names
        found.importance = disentanglement.importance_of(code, factors.values)
        scores = disentanglement.dci(found.importance)
        shares = disentanglement.informativeness(code, factors.values, of_trace)
        found.value |= {
            "dci": scores.disentanglement, "completeness": scores.completeness, "informativeness": float(shares.mean()),
            "mig": disentanglement.mutual_information_gap(code, factors.values),
            "leak": disentanglement.leak(np.stack(locals_), factors.values, of_trace),
        }  # fmt: skip
        found.beside["informativeness"] = dict(zip(factors.names, shares.tolist(), strict=True))
        if len(factors.names) == 1:
            found.lacks("one factor varies, so there is nothing to tell apart", "dci")
        if code.shape[1] == 1:
            found.lacks("the context has one component", "completeness", "mig")
        return whole

    def _interventions(
        self, found: Findings, model: AuditedModel[Abducted], whole: Mapping[str, Abducted], advance: Callable[[], None]
    ) -> None:
        """Asks all questions, nothing, and the way back."""
        traces, asked = self.material.traces, self.material.questions
        once, twice, moved, returned, contexts = [], [], [], [], []
        for name in dict.fromkeys(question.factual for question in asked):
            same = model.generate(whole[name])
            again = model.generate(model.abduct(same, found.seed))
            once.append(distances_m(same, traces[name]).max(axis=0))
            twice.append(float(distances_m(again, traces[name]).max()))
        made = {}
        for question in asked:
            logged, old, new = traces[question.factual], whole[question.factual].context, whole[question.target].context
            made[question] = model.generate(whole[question.factual], do_context=new)
            abducted = model.abduct(made[question], found.seed)
            back = model.generate(abducted, do_context=old)
            moved.append(float(distances_m(made[question], logged).mean()))
            returned.append(float(distances_m(back, logged).mean()))
            contexts.append((abducted.context, new, old))
            advance()
        found.made = made
        found.value |= {
            "identity": float(np.max(once)), "composition": max(twice), "reversibility": float(np.mean(returned)),
            "swap": disentanglement.swap_accuracy(*np.stack(contexts, axis=1)),
        }  # fmt: skip
        off = 100 * float((np.stack(once) > _SAME_M).mean())
        found.beside["identity"] = {f"% of the UEs off by more than {_SAME_M:g} m:": off}
        found.beside["reversibility"] = {"do(context) alone": float(np.mean(moved))}

    def _against_truth(self, found: Findings) -> None:
        """Compares the counterfactuals with what the simulator says, beside other guesses."""
        if not self.truth:
            found.lacks("; ".join(self.material.unknown) or _NO_TRUTH, "load", "share", "ranking")
            return
        for measure, error in ERRORS.items():
            by_guess = {
                name: mean_known([error(self.truth[question], guess) for question, guess in answers.items()])
                for name, answers in self.guesses(found).items()
            }
            found.value[measure] = by_guess.pop(MODEL)
            found.beside[measure] = by_guess
        load = np.mean([played.load.mean() for played in self.truth.values()])
        found.beside["load"]["mean true load"] = 100 * float(load)
        if np.isnan(found.value["ranking"]):
            found.lacks("no action makes a difference in any truth", "ranking")

    def guesses(self, found: Findings) -> dict[str, dict[Question, Played]]:
        """Returns the model's answers to the questions that have a truth, and what could be taken for them."""
        return {
            MODEL: {question: found.played[question] for question in self.truth},
            AS_LOGGED: {question: self.played[question.factual] for question in self.truth},
            OF_CONTEXT: {question: self.played[question.target] for question in self.truth},
            REDRIVEN: {question: played for question, played in self.redriven.items() if question in self.truth},
        }

    def _realism(self, found: Findings) -> None:
        """Compares how UEs move in the counterfactuals, in held-out traces, and in other real ones.

        Other real ones are the truths of the same questions, where there are any, else the training traces.
        """
        material = self.material
        asked = list(material.truth) or list(material.questions)
        made = [found.made[question] for question in asked]
        real = list(material.truth.values()) or list(material.train.values())
        held_out = list(material.held_out.values())
        (ways, by), (real_ways, real_by), (held_ways, held_by) = (ways_of(traces) for traces in (made, real, held_out))
        pairs = {
            "speed": (speed_distance_mps(made, held_out), speed_distance_mps(real, held_out)),
            "mmd": (mean_discrepancy(ways, held_ways), mean_discrepancy(real_ways, held_ways)),
        }
        for measure, (distance, between_real) in pairs.items():
            found.value[measure] = distance / between_real if between_real > 0 else math.nan
            found.beside[measure] = {"made to held-out": distance, "real to held-out": between_real}
            if not between_real > 0:
                found.lacks("real traces do not differ at all", measure)
        found.value["auc"] = discriminator_auc(ways, by, held_ways, held_by)
        found.beside["auc"] = {"real against held-out": discriminator_auc(real_ways, real_by, held_ways, held_by)}
        if math.isnan(found.value["auc"]):
            found.lacks("a discriminator needs two made and two held-out traces", "auc")
        shares = (
            [self._mean_share(found.played[question]) for question in asked],
            [self._mean_share(played) for played in self.truth.values()]
            or [self._mean_share(self.played[name]) for name in material.train],
        )
        for measure, (of_made, of_real) in {
            "standing": (100 * standing_share(made), 100 * standing_share(real)),
            "spread": (100 * spread(shares[0]), 100 * spread(shares[1])),
        }.items():
            found.value[measure] = 100 * abs(of_made / of_real - 1) if of_real > 0 else math.nan
            found.beside[measure] = {"made": of_made, "real": of_real}
            if math.isnan(found.value[measure]):
                found.lacks("the real traces have none, or are too few", measure)
        found.value["off-road"] = 100 * off_road_share(made, material.street_map)
        found.beside["off-road"] = {"held-out": 100 * off_road_share(held_out, material.street_map)}

    def _coverage(self, found: Findings) -> None:
        states = self.states(found)
        found.value["coverage"] = distance_left(states["held-out"], states["training"], states["counterfactual"])

    def states(self, found: Findings) -> dict[str, Floats]:
        """Returns the states of the network, (N, 2 C), in training, counterfactual and held-out traces."""
        of = self.material
        return {
            "training": np.concatenate([self.played[name].states for name in of.train]),
            "counterfactual": np.concatenate([played.states for played in found.played.values()]),
            "held-out": np.concatenate([self.played[name].states for name in of.held_out]),
        }

    @staticmethod
    def _mean_share(played: Played) -> Floats:
        return np.asarray(played.ue_share.mean(axis=0))
