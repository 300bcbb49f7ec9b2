"""The commands of `mlb`, and how its arguments are read."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import ValidationError
from tyro.conf import subcommand

from py_agent.algorithms import ALGORITHMS
from py_agent.algorithms.config import TrainConfig
from py_agent.cli.audit import Audit
from py_agent.cli.bench import (
    BenchAgent,
    BenchAnticipation,
    BenchDataset,
    BenchEngine,
    BenchJob,
    BenchKills,
    BenchMobility,
    BenchNs3,
    BenchPage,
    BenchSoak,
)
from py_agent.cli.benchmark import BenchmarkList, BenchmarkReport, BenchmarkRun
from py_agent.cli.command import Command
from py_agent.cli.dataset import (
    DatasetCard,
    DatasetExport,
    DatasetHead,
    DatasetInfo,
    DatasetMerge,
    DatasetSplit,
    DatasetValidate,
)
from py_agent.cli.doctor import Build, Doctor
from py_agent.cli.fidelity import Fidelity
from py_agent.cli.measurements import DatasetImport
from py_agent.cli.mobility import Mobility
from py_agent.cli.ope import DatasetOpe
from py_agent.cli.policy import PolicyExport, PolicyShow
from py_agent.cli.quickstart import Quickstart
from py_agent.cli.reference import DatasetMake
from py_agent.cli.report import Report
from py_agent.cli.scenario import (
    ScenarioList,
    ScenarioNew,
    ScenarioSchema,
    ScenarioShow,
    ScenarioSites,
    ScenarioValidate,
)
from py_agent.cli.stages import Augment, Collect, Evaluate, Train
from py_agent.cli.traces import Export, Import, Intervene, Plot
from py_agent.cli.tune import Tune
from sumo_mobility.base.contract import described
from sumo_mobility.base.documents import read_yaml
from sumo_mobility.base.errors import ConfigError

MobilityCommands = (
    Annotated[Mobility, subcommand("make")]
    | Annotated[Intervene, subcommand("intervene")]
    | Annotated[Plot, subcommand("plot")]
    | Annotated[Export, subcommand("export")]
    | Annotated[Import, subcommand("import")]
)

DatasetCommands = (
    Annotated[DatasetInfo, subcommand("info")]
    | Annotated[DatasetHead, subcommand("head")]
    | Annotated[DatasetValidate, subcommand("validate")]
    | Annotated[DatasetMerge, subcommand("merge")]
    | Annotated[DatasetSplit, subcommand("split")]
    | Annotated[DatasetCard, subcommand("card")]
    | Annotated[DatasetOpe, subcommand("ope")]
    | Annotated[DatasetMake, subcommand("make")]
    | Annotated[DatasetExport, subcommand("export")]
    | Annotated[DatasetImport, subcommand("import")]
)

PolicyCommands = Annotated[PolicyShow, subcommand("show")] | Annotated[PolicyExport, subcommand("export")]

ScenarioCommands = (
    Annotated[ScenarioList, subcommand("list")]
    | Annotated[ScenarioShow, subcommand("show")]
    | Annotated[ScenarioNew, subcommand("new")]
    | Annotated[ScenarioValidate, subcommand("validate")]
    | Annotated[ScenarioSites, subcommand("sites")]
    | Annotated[ScenarioSchema, subcommand("schema")]
)

BenchCommands = (
    Annotated[BenchJob, subcommand("job")]
    | Annotated[BenchNs3, subcommand("ns3")]
    | Annotated[BenchSoak, subcommand("soak")]
    | Annotated[BenchEngine, subcommand("engine")]
    | Annotated[BenchMobility, subcommand("mobility")]
    | Annotated[BenchKills, subcommand("kills")]
    | Annotated[BenchDataset, subcommand("dataset")]
    | Annotated[BenchAgent, subcommand("agent")]
    | Annotated[BenchAnticipation, subcommand("anticipation")]
    | Annotated[BenchPage, subcommand("page")]
)

BenchmarkCommands = (
    Annotated[BenchmarkRun, subcommand("run")]
    | Annotated[BenchmarkReport, subcommand("report")]
    | Annotated[BenchmarkList, subcommand("list")]
)

Commands = (
    Annotated[Doctor, subcommand("doctor")]
    | Annotated[Build, subcommand("build")]
    | Annotated[Quickstart, subcommand("quickstart")]
    | Annotated[MobilityCommands, subcommand("mobility", description="Make, change, draw, export or import traces.")]
    | Annotated[ScenarioCommands, subcommand("scenario", description="List, show, write, validate or draw presets.")]
    | Annotated[Tune, subcommand("tune")]
    | Annotated[Collect, subcommand("collect")]
    | Annotated[Augment, subcommand("augment")]
    | Annotated[Audit, subcommand("audit")]
    | Annotated[Train, subcommand("train")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Report, subcommand("report")]
    | Annotated[PolicyCommands, subcommand("policy", description="Show a trained policy, or write it for others.")]
    | Annotated[DatasetCommands, subcommand("dataset", description="Show, check, merge, split or export datasets.")]
    | Annotated[Fidelity, subcommand("fidelity")]
    | Annotated[BenchmarkCommands, subcommand("benchmark", description="Compare methods, and show the leaderboard.")]
    | Annotated[BenchCommands, subcommand("bench", description="Measure what the project promises.")]
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
    if arguments[:1] == ["train"]:
        return _train(arguments[1:])
    command: Command = tyro.cli(
        Commands,
        prog="mlb",
        description="A testbed for mobility load balancing: OpenStreetMap, SUMO, ns-3 LTE, offline RL. "
        "--version says which.",
        args=list(arguments),
        config=_CONFIG,
    )
    return command


def _train(arguments: Sequence[str]) -> Train:
    """Reads which algorithm is meant first, since the other options depend on it."""
    reader = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    reader.add_argument("--algorithm", nargs="?")
    reader.add_argument("--config", nargs="?", type=Path)
    first, _ = reader.parse_known_args(arguments)
    given = read_yaml(first.config) if first.config else {}
    named = [str(key) for key in given if str(key) in ALGORITHMS] if isinstance(given, dict) else []
    config = TrainConfig.of(first.algorithm or [*named, Train.algorithm][0])
    # What the file says takes the place of the defaults, so that options win over it.
    training = config.parse(given, str(first.config), first.config.parent.resolve()) if first.config else config()
    return tyro.cli(Train, prog="mlb train", default=Train(training=training), args=list(arguments), config=_CONFIG)
