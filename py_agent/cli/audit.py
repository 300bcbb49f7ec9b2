"""`mlb audit`: what a causal model of mobility is worth against the truth, as a table, as JSON and as a page."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from py_agent.cli.command import Command, Result
from sumo_mobility.base.errors import ConfigError


@dataclass(kw_only=True)
class Audit(Command):
    """Ask the causal model what logged traces would have been in held-out contexts, and compare with SUMO's answer.

    Fits the model to the training traces of a run, several times, and writes audit.html and audit.json:
    disentanglement, axioms, counterfactuals against the truth, realism, coverage. Missed figures do not change the exit
    code. What SUMO has answered is kept.
    """

    run: Path = Path("runs/default")
    """A run with training and test traces ('mlb mobility make'); several of each context make better figures."""
    out: Path | None = None
    """Directory of the report and of SUMO's answers; audit in the run by default."""
    model: Path | None = None
    """A model that 'mlb augment' has fitted, in place of one that is fitted here; it is taken to have learned from the
    training traces."""
    data: Path | None = None
    """A dataset whose logged traces are learned from, in place of the run's training traces."""
    train_traces: int | None = None
    """Learn from the first so many training traces, in place of all."""
    draws: int = 5
    """How often to draw what traces leave open, with seeds from --seed on."""
    questions: int = 12
    """Counterfactuals to ask for, each of a training trace in the context of a test trace."""
    actions: int = 24
    """Constant offsets to rank, drawn at random."""
    seed: int = 0
    """Seed of draws, questions and actions."""

    def execute(self) -> Result:
        """Makes the truth, fits the model, asks, writes the report and prints its figures."""
        from cf_augment.audit import Auditor
        from cf_augment.model import CausalMobilityModel
        from py_agent.audit import fit, gather, study
        from py_agent.measurement import record, without_nan
        from py_agent.report.audit_page import write_audit_page
        from py_agent.rundir import RunDirectory
        from sumo_mobility.base.files import write_text
        from sumo_mobility.pipeline import load_map

        if self.draws < 1:
            raise ConfigError(f"--draws {self.draws}: must be 1 at least")
        if self.actions < 2:
            raise ConfigError(f"--actions {self.actions}: must be 2 at least")
        run = RunDirectory(self.run)
        out = self.out or run.path / "audit"
        loaded = self.model and CausalMobilityModel.load(self.model, load_map(run.scenario().mobility.map))
        material = gather(run, out / "truth", self.data, self.train_traces, self.questions, self.seed)
        model = loaded or fit(material)
        seeds = range(self.seed, self.seed + self.draws)
        found = study(Auditor(material, self.actions, self.seed), seeds, lambda seed: model)
        page, data = out / "audit.html", out / "audit.json"
        title = f"The causal model of {material.scenario.id}"
        result = {**record(title, self._command(), found.figures), **without_nan(found.data)}
        write_text(data, json.dumps(result, indent=1) + "\n")
        write_audit_page(page, found, title, self._command())
        table = Table("figure", "value", "95 %", "unit", "reach", "goal", "ok")
        for figure in found.figures:
            sign = ">=" if figure.more_is_better else "<="
            limits = ["" if limit is None else f"{sign} {limit:.4g}" for limit in (figure.target, figure.goal)]
            mark = "" if figure.target is None or figure.reason else "yes" if figure.ok else "[bold]no[/bold]"
            ends = f"{figure.low:.3g}..{figure.high:.3g}" if figure.low < figure.high else ""
            value = "not measured" if figure.reason else f"{figure.value:.3g}"
            table.add_row(figure.metric, value, ends, figure.unit, *limits, mark)
        reasons = dict.fromkeys(figure.reason for figure in found.figures if figure.reason)
        notes = [*(f"not measured: {reason}" for reason in reasons), f"Report: {page}"]
        return Result(result, Group(table, Text("\n".join(notes))))

    def _command(self) -> str:
        words = ["mlb", "audit", "--run", str(self.run)]
        for name in ("model", "data", "train_traces", "draws", "questions", "actions", "seed"):
            value = getattr(self, name)
            if value != getattr(type(self), name):
                words += [f"--{name.replace('_', '-')}", str(value)]
        return shlex.join(words)
