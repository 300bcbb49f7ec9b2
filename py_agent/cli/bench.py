"""`mlb bench`: measures what the project promises, and says whether it is kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from rich.table import Table
from tyro.conf import Positional

from py_agent.cli.command import Command, Result


@dataclass(kw_only=True)
class Bench(Command):
    """Measure what the main job promises; exit code 1 if one figure is not reached."""

    suite: Positional[Literal["job"]] = "job"
    """job: same seed, same bytes; the engine against ns-3; the bridge; the time of the tests."""
    preset: str = "helsinki-event-v0"
    """Id of the preset that is measured."""
    seed: int = 0
    """Seed of the trace and the network."""

    def execute(self) -> Result:
        """Measures and prints."""
        from py_agent.bench.job import measure

        table = Table("metric", "value", "reach", "unit", "ok")
        data = []
        for item in measure(self.preset, self.seed):
            mark = "[green]yes[/green]" if item.ok else "[bold red]no[/bold red]"
            table.add_row(item.metric, f"{item.value:.4g}", f"<= {item.reach:g}", item.unit, mark)
            data.append({**asdict(item), "goal": None, "ok": item.ok})
        return Result(data, table, ok=all(row["ok"] for row in data))
