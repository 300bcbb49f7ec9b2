"""The run directory: one experiment from traces to report, each stage beside the configuration that made it."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from ns3_scenarios.scenario import Preset, Scenario
from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import ConfigError, DataError, StorageError
from sumo_mobility.trace import MobilityTrace

Options = dict[str, str | int | float | bool | list[str] | None]
"""Options of a stage by name; a dot leads to one of its algorithm's (sac.gamma)."""
_STAGES = ("mobility", "collect", "augment"), ("evaluate",)
"""Stages before and after the trainings, of which each has its own record."""
TRACES = "traces/*.parquet"
"""The files that `mlb mobility make` makes in a run."""
_PACKAGES = ("mlb-testbed", "numpy", "pandas", "torch", "gymnasium", "eclipse-sumo", "pyzmq", "protobuf", "h5py")


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


class StageRecord(Contract):
    """The record of a stage: its options, and the versions of the software."""

    stage: str
    config: Options
    versions: dict[str, str]


def check_name(name: str) -> None:
    """Refuses names of trainings and policies that files could not bear.

    Raises:
        ConfigError: it is none of letters, digits, "-", "_" and ".", beginning with a letter or digit.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise ConfigError(
            f"name {name!r}: cannot be a part of a file's name", "use letters, digits, '-', '_' and '.', 64 at most"
        )


def last_checkpoint(training: Path) -> Path:
    """Path of the newest checkpoint of a training, by its directory."""
    return training / "checkpoints" / "last.pt"


def checkpoint_after(training: Path, step: int) -> Path:
    """Path of the checkpoint of a training after a number of gradient steps."""
    return last_checkpoint(training).with_name(f"step-{step:07d}.pt")


class RunDirectory:
    """Paths of one experiment, and the rule that nothing is overwritten silently.

    Layout: scenario.json, traces/{train,test}-NNN.parquet, logged.h5, augmented.h5, model/, training/NAME/,
    evaluation.parquet, report.html, replay.gif; episodes/ holds finished episodes, so that an interrupted stage goes
    on where it stopped; STAGE.json is what each stage was asked to do, that of a training in its own directory, and
    STAGE-NNN.json what was added to it later. scenarios/ID/ are run directories too: evaluations in other scenarios.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.scenario_path = path / "scenario.json"
        self.logged = path / "logged.h5"
        self.augmented = path / "augmented.h5"
        self.model = path / "model" / "model.json"
        self.training = path / "training"
        self.evaluation = path / "evaluation.parquet"
        self.report = path / "report.html"
        self.gif = path / "replay.gif"

    def episodes(self, stage: str) -> Path:
        """Returns the folder of the finished episodes of a stage."""
        return self.path / "episodes" / stage

    def trace_paths(self, *splits: str) -> list[Path]:
        """Paths of the traces of one split ("train", "test") or more, in order.

        Raises:
            DataError: there are none.
        """
        paths = [path for split in splits for path in sorted((self.path / "traces").glob(f"{split}-*.parquet"))]
        if not paths:
            raise DataError(
                f"{self.path}: has no {' or '.join(splits)} traces", f"run 'mlb mobility make --run {self.path}' first"
            )
        return paths

    def traces(self, split: str) -> list[MobilityTrace]:
        """The traces of a split, in order."""
        return [self.trace(path) for path in self.trace_paths(split)]

    def trace(self, path: Path) -> MobilityTrace:
        """Returns a trace of this run."""
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
            raise DataError(f"{self.path}: is not a run directory", f"run 'mlb mobility make --run {self.path}' first")
        return Scenario.read_json(self.scenario_path)

    def require(self, path: Path, command: str) -> Path:
        """Returns `path` if it exists; a DataError names the command that makes it."""
        if not path.exists():
            raise DataError(f"{path}: does not exist", f"run 'mlb {command} --run {self.path}' first")
        return path

    def trainings(self) -> dict[str, Path]:
        """The last checkpoint of each training, by its name."""
        return {path.parents[1].name: path for path in sorted(self.training.glob(str(last_checkpoint(Path("*")))))}

    def elsewhere(self, name: str) -> RunDirectory:
        """Returns the run in which policies of this run are judged in another scenario."""
        return RunDirectory(self.path / "scenarios" / name)

    def has(self, *patterns: str) -> bool:
        """Returns whether a file of the run matches one of the patterns; half-written files do not count."""
        return any(not path.name.startswith(".") for pattern in patterns for path in self.path.glob(pattern))

    def records(self) -> list[StageRecord]:
        """Returns the records of the stages that have been run, in order."""
        before, after = ([self.path / f"{stage}.json" for stage in stages] for stages in _STAGES)
        before[2:2] = self._additions("collect")
        paths = [*before, *sorted(self.training.glob("*/train.json")), *after]
        return [StageRecord.read_json(path) for path in paths if path.is_file()]

    @contextmanager
    def addition(self, stage: str, config: Options) -> Iterator[None]:
        """Records what is added to what a stage has made, while the block writes it; if it fails, there is no record.

        Args:
            stage: Its name; STAGE-001.json is the record of the first addition.
            config: The options of the addition.
        """
        records = self._additions(stage)
        again = [path for path in records if StageRecord.read_json(path).config == config]  # it was killed
        path = again[0] if again else self.path / f"{stage}-{len(records) + 1:03d}.json"
        StageRecord(stage=stage, config=config, versions=versions()).write_json(path)
        try:
            yield
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _additions(self, stage: str) -> list[Path]:
        return sorted(self.path.glob(f"{stage}-[0-9][0-9][0-9].json"))

    @contextmanager
    def stage(
        self,
        stage: str,
        config: Options,
        resume: bool,
        makes: Sequence[str],
        name: str = "",
        free: Sequence[str] = (),
        other: str = "",
    ) -> Iterator[None]:
        """Records what a stage is asked to do, while the block does it.

        A stage that fails before it has made anything leaves no record, and what one that was killed left does not
        count: it can simply be run again.

        Args:
            stage: Its name.
            config: Its options.
            resume: Go on with what was begun before.
            makes: Patterns of the files that the stage makes, below the run directory.
            name: Of a training, whose record lies in its own directory.
            free: Options that may be others when the stage is resumed.
            other: What else than resuming errors tell to do; to choose another run or name, if it is empty.

        Raises:
            StorageError: the stage has made something before and `resume` is not given, or it was begun with another
                configuration.
        """
        path = self.training / name / f"{stage}.json" if name else self.path / f"{stage}.json"
        other = other or f"choose another {'--name' if name else '--run'}"
        if path.is_file() and self.has(*makes):
            if not resume:
                raise StorageError(
                    f"{path}: {f'training {name!r}' if name else f'stage {stage!r}'} of this run exists",
                    f"add --resume to go on with it, or {other}",
                )
            record = StageRecord.read_json(path)
            before = record.config
            for key in sorted((config.keys() | before.keys()) - set(free)):
                if config.get(key) != before.get(key):
                    raise StorageError(
                        f"{path}: began with {key} = {before.get(key)!r}, not {config.get(key)!r}",
                        f"resume with the same options, or {other}",
                    )
            record = record.model_copy(update={"config": config})
        else:
            record = StageRecord(stage=stage, config=config, versions=versions())
        record.write_json(path)
        try:
            yield
        except BaseException:
            if not self.has(*makes):
                path.unlink(missing_ok=True)
            raise


def begin_run(run: RunDirectory, preset: Preset, scenario: Scenario) -> None:
    """Writes the scenario of a run without traces, or checks that it is the one that its traces were made for."""
    if run.scenario_path.is_file() and run.has(TRACES) and run.scenario() != scenario:
        raise StorageError(
            f"{run.scenario_path}: differs from preset '{preset.id}' as it is now", "choose another --run"
        )
    scenario.write_json(run.scenario_path)
