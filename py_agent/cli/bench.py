"""`mlb bench`: measures what the project promises, and says whether it is kept."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from rich.table import Table
from tyro.conf import Positional

from py_agent.cli.command import Command, Result
from sumo_mobility.base.errors import MlbError

if TYPE_CHECKING:
    from py_agent.measurement import Measurement


@dataclass(kw_only=True)
class Bench(Command):
    """Measure what the project promises; exit code 1 if one figure is not reached."""

    suite: Positional[Literal["job", "ns3", "soak", "engine", "mobility", "kills"]] = "job"
    """job: same seed, same bytes; the engine against ns-3; the bridge; the time of the tests. ns3: what the ns-3
    program costs against stock ns-3 at equal physics, in memory, in parallel, by branches, on the wire. soak: 10
    minutes of 21 cells and 100 UEs under random CIOs, three times. engine: environment steps a second of the analytic
    engine and the emulator beside mobile-env (pip install mobile-env) and ns-3, for 21 cells and 100 UEs. mobility:
    what traces cost, whether they are sound, and how unevenly each preset's UEs load its cells. kills: 200 kills of
    collect, augment, train and evaluate at random moments; nothing may stay behind, no row may be lost or doubled."""
    quick: bool = False
    """Minutes instead of hours: measure shorter runs (all but job)."""
    rrc: Literal["ideal", "real"] = "ideal"
    """RRC messages of soak always arrive at once (ideal), or are sent over the air (real)."""
    preset: str = "helsinki-event-v0"
    """Id of the preset that job measures."""
    seed: int = 0
    """Seed of the traces and the network."""

    def execute(self) -> Result:
        """Measures and prints."""
        table = Table("metric", "value", "unit", "reach", "goal", "ok")
        data = []
        failed = False
        try:
            for item in self._measure():
                print(f"{item.metric}: {item.value:.4g} {item.unit}", file=sys.stderr, flush=True)
                sign = ">=" if item.more_is_better else "<="
                limits = ["" if limit is None else f"{sign} {limit:g}" for limit in (item.reach, item.goal)]
                mark = "" if item.reach is None else "[green]yes[/green]" if item.ok else "[bold red]no[/bold red]"
                table.add_row(item.metric, f"{item.value:.4g}", item.unit, *limits, mark)
                data.append({**asdict(item), "ok": item.ok})
        except MlbError as error:  # what was measured before is shown all the same
            print(f"error: {error}", file=sys.stderr)
            failed = True
        return Result(data, table, ok=not failed and all(row["ok"] for row in data))

    def _measure(self) -> Iterator[Measurement]:
        from py_agent.bench import engine, job, kills, mobility, ns3, soak

        if self.suite == "job":
            return job.measure(self.preset, self.seed)
        if self.suite == "soak":
            return soak.measure(self.seed, self.quick, self.rrc)
        return {"ns3": ns3, "engine": engine, "mobility": mobility, "kills": kills}[self.suite].measure(
            self.seed, self.quick
        )
