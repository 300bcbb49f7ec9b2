"""`mlb scenario`: the presets, and where their sites stand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text
from tyro.conf import Positional, arg

from py_agent.cli.command import Command, Result
from sumo_mobility.base.documents import yaml_text
from sumo_mobility.base.errors import ConfigError, DataError, StorageError
from sumo_mobility.base.files import write_text

if TYPE_CHECKING:
    from ns3_scenarios.scenario import Preset


@dataclass(kw_only=True)
class ScenarioCommand(Command):
    """List the presets; show one (an id or a .yaml file) with its defaults filled in, validate it, or draw its sites.

    `new` writes a first preset of your own, a .yaml file with comments. `validate` reads all that the preset names and
    places its sites. The drawing has streets, buildings, masts, neighbours and the strongest cell everywhere. `schema`
    prints the JSON Schema that editors complete and check a preset by.
    """

    action: Positional[Literal["list", "show", "new", "validate", "sites", "schema"]] = "list"
    """The action."""
    name: Annotated[Positional[str], "id or file"] = ""
    """Id of a preset, or path of a .yaml file; new: the file to be written."""
    example: Annotated[str, arg(name="from")] = "helsinki-event-v0"
    """new: the preset to begin with, an id or a .yaml file."""
    out: Path | None = None
    """The file of the drawing; ID-sites.png by default."""

    def execute(self) -> Result:
        """Does one of the six."""
        from ns3_scenarios.scenario import Preset

        if self.action == "list":
            return self._list()
        if self.action == "schema":
            schema = Preset.model_json_schema()
            return Result(schema, json.dumps(schema, indent=2))
        if not self.name:
            raise ConfigError(f"mlb scenario {self.action}: which one?", "'mlb scenario list' shows all presets")
        if self.action == "new":
            return self._write(Preset.load(self.example))
        preset = Preset.load(self.name)
        if self.action == "show":
            data = preset.model_dump(mode="json")
            return Result(data, yaml_text(data))
        if self.action == "sites":
            return self._draw(preset)
        return self._validate(preset)

    def _write(self, example: Preset) -> Result:
        from ns3_scenarios.own_preset import own_preset, preset_id

        path = Path(self.name)
        if path.suffix not in (".yaml", ".yml"):
            raise ConfigError(f"mlb scenario new: {path} is no .yaml file", f"name it {path.stem}.yaml")
        if path.exists():
            raise StorageError(f"{path}: exists", "choose another name")
        new_id = preset_id(path.stem)
        write_text(path, own_preset(example, new_id, self.name))
        return Result({"id": new_id, "file": str(path)}, Text(f"{path}: a preset like {example.id}; edit it"))

    def _validate(self, preset: Preset) -> Result:
        """Checks that all is there that the preset names, and that the sites fit the map, unless that is to come."""
        from ns3_scenarios.scenario import Scenario
        from sumo_mobility.maps import BOX, PLACE
        from sumo_mobility.pipeline import load_map

        for file in preset.sites.files:
            if not Path(file).is_file():
                cure = "names of files are relative to the folder of the preset"
                raise DataError(f"{self.name}: sites.{preset.sites.by}: {file}: no such file", cure)
        placed = not preset.mobility.map.startswith((BOX, PLACE))
        if placed:
            Scenario.place(preset, preset.sites.place(load_map(preset.mobility.map)))
        more = "" if placed else "; its map is downloaded when it is first used, and sites are placed then"
        return Result({"id": preset.id, "valid": True, "placed": placed}, Text(f"{self.name}: valid{more}"))

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
            azimuth = f"{cell.azimuth_deg:.0f}" if preset.radio.antenna.pattern == "sector" else "-"
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
