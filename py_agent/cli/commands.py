"""The commands of `mlb`, and how its arguments are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import tyro
from pydantic import ValidationError
from tyro.conf import subcommand

from py_agent.algorithms.config import TrainConfig
from py_agent.cli.bench import Bench
from py_agent.cli.command import Command
from py_agent.cli.dataset import DatasetExport, DatasetInfo
from py_agent.cli.doctor import Build, Doctor
from py_agent.cli.fidelity import Fidelity
from py_agent.cli.mobility import Mobility
from py_agent.cli.quickstart import Quickstart
from py_agent.cli.report import Report
from py_agent.cli.scenario import ScenarioCommand
from py_agent.cli.stages import Augment, Collect, Evaluate, Train
from py_agent.cli.traces import Export, Import, Intervene, Plot
from sumo_mobility.base.contract import described
from sumo_mobility.base.errors import ConfigError

MobilityCommands = (
    Annotated[Mobility, subcommand("make")]
    | Annotated[Intervene, subcommand("intervene")]
    | Annotated[Plot, subcommand("plot")]
    | Annotated[Export, subcommand("export")]
    | Annotated[Import, subcommand("import")]
)

DatasetCommands = Annotated[DatasetInfo, subcommand("info")] | Annotated[DatasetExport, subcommand("export")]

Commands = (
    Annotated[Doctor, subcommand("doctor")]
    | Annotated[Build, subcommand("build")]
    | Annotated[Quickstart, subcommand("quickstart")]
    | Annotated[MobilityCommands, subcommand("mobility", description="Make, change, draw, export or import traces.")]
    | Annotated[ScenarioCommand, subcommand("scenario")]
    | Annotated[Collect, subcommand("collect")]
    | Annotated[Augment, subcommand("augment")]
    | Annotated[Train, subcommand("train")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Report, subcommand("report")]
    | Annotated[DatasetCommands, subcommand("dataset", description="Check a dataset, or write it for other tools.")]
    | Annotated[Fidelity, subcommand("fidelity")]
    | Annotated[Bench, subcommand("bench")]
)


_CONFIG = (tyro.conf.OmitSubcommandPrefixes, tyro.conf.FlagCreatePairsOff)


def parse(arguments: Sequence[str]) -> Command:
    """Returns the command that the arguments describe; exits with code 2 and a hint if they are not clear.

    Raises:
        ConfigError, DataError: an option is out of its range, or a file that holds options cannot be read.
    """
    try:
        return _parsed(arguments)
    except ValidationError as error:
        raise ConfigError(f"options: {described(error, TrainConfig)}", "'mlb train --help' explains them") from None


def _parsed(arguments: Sequence[str]) -> Command:
    command: Command = tyro.cli(
        Commands,
        prog="mlb",
        description="A testbed for mobility load balancing: OpenStreetMap, SUMO, ns-3 LTE, offline RL. "
        "--version says which.",
        args=list(arguments),
        config=_CONFIG,
    )
    if isinstance(command, Train) and command.config is not None:
        # What the file says takes the place of the defaults, so that options win over it.
        training = TrainConfig.read_yaml(command.config)
        return tyro.cli(
            Train, prog="mlb train", default=Train(training=training), args=list(arguments[1:]), config=_CONFIG
        )
    return command
