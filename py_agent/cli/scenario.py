"""`mlb scenario`: the presets, and where their sites stand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Group
from rich.table import Table
from rich.text import Text
from tyro.conf import Positional, arg

from py_agent.cli.command import Command, Result
from sumo_mobility.base.documents import yaml_text
from sumo_mobility.base.errors import ConfigError, DataError, StorageError
from sumo_mobility.base.files import write_text

_Name = Annotated[Positional[str], arg(name="preset", metavar="ID|FILE")]


@dataclass(kw_only=True)
class ScenarioList(Command):
    """List the presets that are shipped."""

    def execute(self) -> Result:
        """Returns a row for each preset."""
        from ns3_scenarios.scenario import PRESETS, Preset, preset_ids

        presets = [Preset.load(name) for name in preset_ids()]
        table = Table("preset", "UEs", "steps", "description")
        for preset in presets:
            table.add_row(preset.id, str(preset.mobility.ues), str(preset.episode.steps), preset.description)
        data = [{"id": p.id, "description": p.description, "file": str(PRESETS / f"{p.id}.yaml")} for p in presets]
        return Result(data, table)


@dataclass(kw_only=True)
class ScenarioShow(Command):
    """Print a preset as YAML, with its defaults filled in."""

    name: _Name
    """Id of a preset, or path of a .yaml file."""

    def execute(self) -> Result:
        """Returns the preset."""
        from ns3_scenarios.scenario import Preset

        data = Preset.load(self.name).model_dump(mode="json")
        return Result(data, yaml_text(data))


@dataclass(kw_only=True)
class ScenarioNew(Command):
    """Write a first preset of your own: a .yaml file with units and choices as comments."""

    file: Positional[Path]
    """The .yaml file to be written."""
    example: Annotated[str, arg(name="from", metavar="ID|FILE")] = "helsinki-event-v0"
    """The preset to begin with, an id or a .yaml file."""

    def execute(self) -> Result:
        """Writes the file, which must not exist."""
        from ns3_scenarios.own_preset import own_preset, preset_id
        from ns3_scenarios.scenario import Preset

        example = Preset.load(self.example)
        if self.file.suffix not in (".yaml", ".yml"):
            raise ConfigError(f"mlb scenario new: {self.file} is no .yaml file", f"name it {self.file.stem}.yaml")
        if self.file.exists():
            raise StorageError(f"{self.file}: exists", "choose another name")
        new_id = preset_id(self.file.stem)
        write_text(self.file, own_preset(example, new_id, str(self.file)))
        return Result({"id": new_id, "file": str(self.file)}, Text(f"{self.file}: a preset like {example.id}; edit it"))


@dataclass(kw_only=True)
class ScenarioValidate(Command):
    """Read all that a preset names, and place its sites."""

    name: _Name
    """Id of a preset, or path of a .yaml file."""

    def execute(self) -> Result:
        """Checks that all is there that the preset names, and that the sites fit the map, unless that is to come."""
        from ns3_scenarios.scenario import Preset, Scenario
        from sumo_mobility.maps import BOX, PLACE
        from sumo_mobility.pipeline import load_map

        preset = Preset.load(self.name)
        for file in preset.sites.files:
            if not Path(file).is_file():
                cure = "names of files are relative to the folder of the preset"
                raise DataError(f"{self.name}: sites.{preset.sites.by}: {file}: no such file", cure)
        placed = not preset.mobility.map.startswith((BOX, PLACE))
        if placed:
            Scenario.place(preset, preset.sites.place(load_map(preset.mobility.map)))
        more = "" if placed else "; its map is downloaded when it is first used, and sites are placed then"
        return Result({"id": preset.id, "valid": True, "placed": placed}, Text(f"{self.name}: valid{more}"))


@dataclass(kw_only=True)
class ScenarioSites(Command):
    """Draw the sites of a preset: streets, buildings, masts, neighbours and the strongest cell everywhere."""

    name: _Name
    """Id of a preset, or path of a .yaml file."""
    out: Path | None = None
    """The file of the drawing; ID-sites.png by default."""

    def execute(self) -> Result:
        """Writes the drawing, and returns a row for each cell."""
        from ns3_scenarios.scenario import Preset, Scenario
        from py_agent.report.site_plan import write_site_plan
        from sumo_mobility.pipeline import load_map

        preset = Preset.load(self.name)
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


@dataclass(kw_only=True)
class ScenarioSchema(Command):
    """Print the JSON Schema of presets, by which editors complete and check them."""

    def execute(self) -> Result:
        """Returns the schema."""
        from ns3_scenarios.scenario import Preset

        schema = Preset.model_json_schema()
        return Result(schema, json.dumps(schema, indent=2))
