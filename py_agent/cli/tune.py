"""`mlb tune`: finds the parameters of a rule for a scenario."""

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
_FIGURES = {"reward": ".5f", "load_std": ".4f", "handovers": ".2f"}


@dataclass(kw_only=True)
class Tune(Command):
    """Find the parameters of a rule for a preset, on development traces of its train contexts."""

    preset: Annotated[Positional[str], arg(metavar="ID|FILE")]
    """Id of a preset, or path of a .yaml file."""
    policy: str = "integral"
    """The rule: integral, whose gains become a line of the preset, or another policy that declares what there is to
    tune, such as son-step, whose parameters become a part of its name."""
    traces: int = 24
    """Development traces; they take the train contexts in turn, and no other command makes the same ones."""
    seed: int = 0
    """Seed of the traces."""

    def execute(self) -> Result:
        """Returns what was tried, the best first, and the lines for the preset or for `--policies`."""
        from ns3_scenarios.rule import Rule
        from ns3_scenarios.scenario import Preset, Scenario
        from py_agent.tune import at_edge, best_of, policy_text, require_tunable, tune
        from sumo_mobility.base.seeds import derive
        from sumo_mobility.pipeline import load_map, make_traces

        if self.traces < 1:
            raise ConfigError(f"--traces {self.traces}: must be 1 at least")
        require_tunable(self.policy)
        preset = Preset.load(self.preset)
        contexts = preset.mobility.train_contexts
        scenario = Scenario.place(preset, preset.sites.place(load_map(preset.mobility.map)))
        jobs = [(contexts[k % len(contexts)], derive(self.seed, "tune", k)) for k in range(self.traces)]
        tried = tune(scenario, make_traces(preset.mobility, jobs), self.policy)
        best = best_of(tried, self.policy)
        table = Table(*map(_heading, best), "reward", "load std", "handovers per UE-minute")
        for row in tried.head(_SHOWN).to_dict("records"):
            table.add_row(
                *(f"{row[name]:g}" for name in best), *(f"{row[name]:{form}}" for name, form in _FIGURES.items())
            )
        if self.policy == "integral":
            values = ", ".join(f"{name}: {best[name]:g}" for name in Rule.model_fields)
            line = f"The preset's line:\n\nrule: {{{values}}}\n"
        else:
            line = f"The policy:\n\n{policy_text(self.policy, best)}\n"
        told = [f"{len(tried)} candidates were tried."]
        told += [
            f"{name} = {best[name]:g} is at an end of the values that were tried: a better one may lie beyond."
            for name in at_edge(scenario, self.policy, best)
        ]
        return Result(tried.to_dict("records"), Group(table, *map(Text, told), Text(line)))


def _heading(parameter: str) -> str:
    """`proportional_db` as tables have it: proportional dB."""
    return parameter.replace("_", " ").removesuffix(" db") + (" dB" if parameter.endswith("_db") else "")
