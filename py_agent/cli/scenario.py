"""`mlb scenario`: the presets, and where their sites stand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from rich.console import Group
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from tyro.conf import Positional

from py_agent.cli.command import Command, Result
from sumo_mobility.base.errors import ConfigError

if TYPE_CHECKING:
    from ns3_scenarios.scenario import Preset


@dataclass(kw_only=True)
class ScenarioCommand(Command):
    """List the presets; show one (an id or a .yaml file) with its defaults filled in, validate it, or draw its sites.

    The drawing has streets, buildings, masts, neighbours and the strongest cell everywhere.
    """

    action: Positional[Literal["list", "show", "validate", "sites"]] = "list"
    """What to do."""
    name: Annotated[Positional[str], "id or file"] = ""
    """Id of a preset, or path of a .yaml file."""
    out: Path | None = None
    """Where the drawing goes; ID-sites.png if not given."""

    def execute(self) -> Result:
        """Does one of the four."""
        from ns3_scenarios.scenario import Preset

        if self.action == "list":
            return self._list()
        if not self.name:
            raise ConfigError(f"mlb scenario {self.action}: which one?", "'mlb scenario list' shows all presets")
        preset = Preset.load(self.name)
        data = preset.model_dump(mode="json")
        if self.action == "show":
            return Result(data, Syntax(preset.model_dump_json(indent=2), "json", background_color="default"))
        if self.action == "sites":
            return self._draw(preset)
        return Result({"id": preset.id, "valid": True}, Text(f"{self.name}: valid"))

    def _draw(self, preset: Preset) -> Result:
        from ns3_scenarios.scenario import Scenario
        from py_agent.report.site_plan import write_site_plan
        from sumo_mobility.pipeline import load_map

        street_map = load_map(preset.mobility.map)
        scenario = Scenario.place(preset, preset.sites.place(street_map))
        out = self.out or Path(f"{preset.id}-sites.png")
        write_site_plan(out, scenario, street_map)
        table = Table("cell", "x, m", "y, m", "azimuth, °", "neighbours")
        data = []
        for index, cell in enumerate(scenario.cells):
            neighbors = [j for i, j in scenario.neighbor_pairs if i == index]
            data.append({"cell": index, **cell.model_dump(), "neighbors": neighbors})
            azimuth = f"{cell.azimuth_deg:.0f}" if preset.sites.sectors > 1 else "-"
            table.add_row(str(index), f"{cell.x_m:.1f}", f"{cell.y_m:.1f}", azimuth, " ".join(map(str, neighbors)))
        credit = Text(f"{out}. Map data {street_map.attribution}, {street_map.licence}", "dim")
        return Result({"picture": str(out), "cells": data}, Group(table, credit))

    @staticmethod
    def _list() -> Result:
        from ns3_scenarios.scenario import PRESETS, Preset, preset_ids

        presets = [Preset.load(name) for name in preset_ids()]
        table = Table("preset", "UEs", "steps", "description")
        for preset in presets:
            table.add_row(preset.id, str(preset.mobility.ues), str(preset.episode.steps), preset.description)
        data = [{"id": p.id, "description": p.description, "file": str(PRESETS / f"{p.id}.yaml")} for p in presets]
        return Result(data, table)
