"""`mlb scenario`: the presets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from tyro.conf import Positional

from ns3_scenarios.scenario import PRESETS, Preset, preset_ids
from py_agent.cli.command import Command, Result
from sumo_mobility.base.errors import ConfigError


@dataclass(kw_only=True)
class ScenarioCommand(Command):
    """List the presets, show one with its defaults filled in, or validate one (an id or a .yaml file)."""

    action: Positional[Literal["list", "show", "validate"]] = "list"
    """What to do."""
    name: Annotated[Positional[str], "id or file"] = ""
    """Id of a preset, or path of a .yaml file."""

    def execute(self) -> Result:
        """Does one of the three."""
        if self.action == "list":
            return self._list()
        if not self.name:
            raise ConfigError(f"mlb scenario {self.action}: which one?", "'mlb scenario list' shows all presets")
        preset = Preset.load(self.name)
        data = preset.model_dump(mode="json")
        if self.action == "show":
            return Result(data, Syntax(preset.model_dump_json(indent=2), "json", background_color="default"))
        return Result({"id": preset.id, "valid": True}, Text(f"{self.name}: valid"))

    @staticmethod
    def _list() -> Result:
        presets = [Preset.load(name) for name in preset_ids()]
        table = Table("preset", "UEs", "steps", "description")
        for preset in presets:
            table.add_row(preset.id, str(preset.mobility.ues), str(preset.episode.steps), preset.description)
        data = [{"id": p.id, "description": p.description, "file": str(PRESETS / f"{p.id}.yaml")} for p in presets]
        return Result(data, table)
