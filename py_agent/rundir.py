"""The run directory: one experiment from traces to report, each stage beside the configuration that made it."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

from ns3_scenarios.scenario import Preset, Scenario
from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import DataError, StorageError
from sumo_mobility.trace import MobilityTrace

_PACKAGES = ("mlb-testbed", "numpy", "pandas", "torch", "gymnasium", "eclipse-sumo", "pyzmq", "protobuf", "h5py")


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


class StageRecord(Contract):
    """What a stage was asked to do, with which versions."""

    stage: str
    config: dict[str, str | int | float | bool | list[str] | None]
    versions: dict[str, str]


class RunDirectory:
    """Paths of one experiment, and the rule that nothing is overwritten silently.

    Layout: scenario.json, traces/{train,test}-NNN.parquet, logged.h5, augmented.h5, model/, training/,
    evaluation.parquet, report.html, replay.gif; episodes/ holds finished ns-3 episodes, so that an
    interrupted stage goes on where it stopped; STAGE.json is what each stage was asked to do.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.scenario_path = path / "scenario.json"
        self.logged = path / "logged.h5"
        self.augmented = path / "augmented.h5"
        self.model = path / "model"
        self.training = path / "training"
        self.evaluation = path / "evaluation.parquet"
        self.report = path / "report.html"
        self.gif = path / "replay.gif"

    def episodes(self, stage: str) -> Path:
        """Where the finished episodes of a stage are kept."""
        return self.path / "episodes" / stage

    def trace_paths(self, split: str) -> list[Path]:
        """Paths of the traces of a split, in order.

        Raises:
            DataError: there are none.
        """
        paths = sorted((self.path / "traces").glob(f"{split}-*.parquet"))
        if not paths:
            raise DataError(f"{self.path}: has no {split} traces", f"run 'mlb mobility --run {self.path}' first")
        return paths

    def traces(self, split: str) -> list[MobilityTrace]:
        """The traces of a split, in order."""
        return [self.trace(path) for path in self.trace_paths(split)]

    def trace(self, path: Path) -> MobilityTrace:
        """One trace of this run."""
        return MobilityTrace.read(path)

    def trace_path(self, split: str, index: int) -> Path:
        """Path of one trace."""
        return self.path / "traces" / f"{split}-{index:03d}.parquet"

    def scenario(self) -> Scenario:
        """The scenario of this run.

        Raises:
            DataError: the run has no scenario yet.
        """
        if not self.scenario_path.is_file():
            raise DataError(f"{self.path}: is not a run directory", f"run 'mlb mobility --run {self.path}' first")
        return Scenario.read_json(self.scenario_path)

    def require(self, path: Path, command: str) -> Path:
        """Returns `path` if it exists; a DataError names the command that makes it."""
        if not path.exists():
            raise DataError(f"{path}: does not exist", f"run 'mlb {command} --run {self.path}' first")
        return path

    def begin(self, stage: str, config: dict[str, str | int | float | bool | list[str] | None], resume: bool) -> None:
        """Records what a stage is asked to do, before it does it.

        Raises:
            StorageError: the stage was begun before and `resume` is not given, or it was begun with another
                configuration.
        """
        path = self.path / f"{stage}.json"
        record = StageRecord(stage=stage, config=config, versions=versions())
        if path.is_file():
            if not resume:
                raise StorageError(
                    f"{path}: stage '{stage}' of this run exists",
                    "add --resume to go on with it, or choose another --run",
                )
            before = StageRecord.read_json(path).config
            changed = sorted(key for key in config.keys() | before.keys() if config.get(key) != before.get(key))
            if changed:
                key = changed[0]
                raise StorageError(
                    f"{path}: began with {key} = {before.get(key)!r}, not {config.get(key)!r}",
                    "resume with the same options, or choose another --run",
                )
            return
        record.write_json(path)


def begin_run(run: RunDirectory, preset: Preset, scenario: Scenario) -> None:
    """Writes the scenario of a new run, or checks that it is the one that the run began with."""
    if run.scenario_path.is_file() and run.scenario() != scenario:
        raise StorageError(
            f"{run.scenario_path}: differs from preset '{preset.id}' as it is now", "choose another --run"
        )
    scenario.write_json(run.scenario_path)
