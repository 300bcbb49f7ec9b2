"""`mlb fidelity`: how well the models agree with ns-3, as a table, as JSON and as a page."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from py_agent.cli.command import Command, Result
from sumo_mobility.base.contract import nearest
from sumo_mobility.base.errors import ConfigError

if TYPE_CHECKING:
    from py_agent.fidelity.runs import Plan


@dataclass(kw_only=True)
class Fidelity(Command):
    """Run ns-3 and the models on the same traces, seeds and CIOs, and report how they agree.

    Writes fidelity.html and fidelity.json. Exit code 1 if one figure is not reached. Run it again to go on after an
    interruption: what ns-3 has simulated is kept, and simulated anew only by another program or scenario.
    """

    quick: bool = False
    """Two networks, fewer traces and CIO sequences."""
    out: Path = Path("runs/fidelity")
    """Directory of the report and of the runs of ns-3."""
    seed: int = 0
    """Seed of traces, CIOs, the drawn network and ns-3's randomness; another one is another sample."""
    scenario: tuple[str, ...] = ()
    """Networks to compare on, of line-3, hex-7, hex-21, helsinki and drawn; all of the plan if none is named."""
    workers: int = 2
    """Processes; the figures do not depend on it."""

    def execute(self) -> Result:
        """Runs what is missing, writes the report and prints its figures."""
        from py_agent.fidelity.study import study
        from py_agent.jobs import LocalExecutor
        from py_agent.measurement import record
        from py_agent.report.fidelity_page import write_fidelity_page
        from sumo_mobility.base.files import write_text

        found = study(self._plan(), self.seed, self.out, LocalExecutor(self.workers))
        page, data = self.out / "fidelity.html", self.out / "fidelity.json"
        options = [f"--seed {self.seed}", *(["--quick"] if self.quick else [])]
        options += [f"--scenario {' '.join(self.scenario)}"] if self.scenario else []
        command = f"mlb fidelity {' '.join(options)}"
        result = {**record("How far the models agree with ns-3", command, found.figures), **found.data}
        write_text(data, json.dumps(result, indent=1) + "\n")
        write_fidelity_page(page, found, command)
        table = Table("figure", "model", "value", "95 %", "unit", "target", "goal", "naive", "ceiling", "ok")
        for figure in found.figures:
            sign = ">=" if figure.more_is_better else "<="
            limits = ["" if limit is None else f"{sign} {limit:.4g}" for limit in (figure.target, figure.goal)]
            mark = "" if figure.target is None else "[green]yes[/green]" if figure.ok else "[bold red]no[/bold red]"
            ends = f"{figure.low:.4g}..{figure.high:.4g}" if figure.low < figure.high else ""
            others = [f"{value:.4g}" if value == value else "" for value in (figure.baseline, figure.ceiling)]
            table.add_row(figure.metric, figure.model, f"{figure.value:.4g}", ends, figure.unit, *limits, *others, mark)
        reasons = [f"{figure.model}, {figure.metric}: {figure.reason}" for figure in found.figures if not figure.ok]
        notes = Text("\n".join([*reasons, f"{len(found.failing)} rows of its tables fall short. Report: {page}"]))
        return Result(result, Group(table, notes), ok=all(figure.ok for figure in found.figures))

    def _plan(self) -> Plan:
        from py_agent.fidelity.cases import NETWORKS
        from py_agent.fidelity.runs import QUICK, WHOLE

        plan = QUICK if self.quick else WHOLE
        if not self.scenario:
            return plan
        for name in self.scenario:
            if name not in NETWORKS:
                raise ConfigError(f"--scenario: unknown network '{name}'{nearest(name, list(NETWORKS))}")
        futures = {name: plan.futures.get(name, min(plan.futures.values())) for name in self.scenario}
        ranked = tuple(name for name in plan.ranked if name in self.scenario)
        return replace(plan, networks=self.scenario, futures=futures, ranked=ranked)
