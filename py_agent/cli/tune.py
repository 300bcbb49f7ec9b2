"""`mlb tune`: finds the gains of the integral rule for a scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from rich.console import Group
from rich.table import Table
from rich.text import Text
from tyro.conf import Positional, arg

from py_agent.cli.command import Command, Result
from sumo_mobility.base.errors import ConfigError

_SHOWN = 5


@dataclass(kw_only=True)
class Tune(Command):
    """Find the gains of the integral rule for a preset, on development traces of its train contexts."""

    preset: Annotated[Positional[str], arg(metavar="ID|FILE")]
    """Id of a preset, or path of a .yaml file."""
    traces: int = 24
    """Development traces; they take the train contexts in turn, and no other command makes the same ones."""
    seed: int = 0
    """Seed of the traces."""

    def execute(self) -> Result:
        """Returns what was tried, the best first, and the lines for the preset."""
        from ns3_scenarios.rule import Rule
        from ns3_scenarios.scenario import Preset, Scenario
        from py_agent.tune import tune
        from sumo_mobility.base.seeds import derive
        from sumo_mobility.pipeline import load_map, make_traces

        if self.traces < 1:
            raise ConfigError(f"--traces {self.traces}: must be 1 at least")
        preset = Preset.load(self.preset)
        contexts = preset.mobility.train_contexts
        scenario = Scenario.place(preset, preset.sites.place(load_map(preset.mobility.map)))
        jobs = [(contexts[k % len(contexts)], derive(self.seed, "tune", k)) for k in range(self.traces)]
        tried = tune(scenario, make_traces(preset.mobility, jobs))
        gains = ("gain dB", "leak", "proportional dB", "discount per dB")
        table = Table(*gains, "reward", "load std", "handovers per UE-minute")
        for row in tried.head(_SHOWN).itertuples():
            table.add_row(
                f"{row.gain_db:g}", f"{row.leak:g}", f"{row.proportional_db:g}", f"{row.discount_per_db:g}",
                f"{row.reward:.5f}", f"{row.load_std:.4f}", f"{row.handovers:.2f}",
            )  # fmt: skip
        best = tried.iloc[0]
        values = ", ".join(f"{name}: {best[name]:g}" for name in Rule.model_fields)
        line = f"The preset's line:\n\nrule: {{{values}}}\n"
        return Result(tried.to_dict("records"), Group(table, Text(line)))
