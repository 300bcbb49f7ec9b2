"""Policies to be judged, by name or by file, and the scenario of another run or preset."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from py_agent.algorithms.base import trained_policy
from py_agent.cli.mobility import Mobility
from py_agent.policies import POLICIES, Baseline, Explorer, PolicyFactory, policy_factory, split_around
from py_agent.rundir import RunDirectory, check_name, last_checkpoint
from sumo_mobility.base.contract import nearest
from sumo_mobility.base.errors import ConfigError, DataError, StorageError
from sumo_mobility.base.files import replacing, sha256


@dataclass(frozen=True)
class Judged:
    """A policy that is to be judged.

    Attributes:
        name: What tables call it.
        factory: Makes it for a scenario.
        text: As `--policies` takes it, with the full path of a checkpoint that the run does not know by its name.
    """

    name: str
    factory: PolicyFactory
    text: str

    def __str__(self) -> str:
        """Returns its text."""
        return self.text


def judged(run: RunDirectory, names: Sequence[str], files: Sequence[str], at_home: bool) -> list[Judged]:
    """Finds policies.

    Args:
        run: What was trained there is known by its name.
        names: Names, with parameters if need be (integral:gain_db=4), and NAME=FILE for checkpoints; if there are none,
            all that is known, but for baselines of the literature and what explores around others.
        files: Checkpoints, or directories of trainings, as FILE or NAME=FILE.
        at_home: They are judged in `run`, so that its trainings need no file.

    Raises:
        ConfigError: a policy is unknown, two have the same name, or a name cannot be one of a file.
        DataError: a file does not exist.
    """
    trained = run.trainings()
    unasked = [name for name, entry in POLICIES.items() if not isinstance(entry, Baseline | Explorer)]
    chosen: dict[str, Judged] = {}
    for text in [*(names or [*unasked, *trained]), *(_named(file) for file in files)]:
        policy = _judged(run, trained, text, at_home)
        if policy.name in chosen:
            raise ConfigError(
                f"two policies are called '{policy.name}'", "call one of them otherwise: --policy NAME=FILE"
            )
        chosen[policy.name] = policy
    return list(chosen.values())


def _judged(run: RunDirectory, trained: Mapping[str, Path], text: str, at_home: bool) -> Judged:
    """Finds one policy, and the one that it explores around."""
    parts = split_around(text)
    if parts:
        outer, around = parts[0], _judged(run, trained, parts[1], at_home)
        name = outer + around.name
        return Judged(_for_files(name), policy_factory(name, {around.name: around.factory}), outer + around.text)
    name, file = (text, "") if ":" in text.partition("=")[0] else text.partition("=")[::2]
    if file:
        check_name(name)
        checkpoint = _checkpoint(Path(file))
        return Judged(name, partial(trained_policy, checkpoint=checkpoint), f"{name}={checkpoint}")
    if name in trained:
        checkpoint = trained[name].resolve()
        written = name if at_home else f"{name}={checkpoint}"
        return Judged(name, partial(trained_policy, checkpoint=checkpoint), written)
    if name.partition(":")[0] in POLICIES:
        return Judged(_for_files(name), policy_factory(name), name)
    known = [*POLICIES, *trained]
    raise ConfigError(
        f"--policies: unknown policy '{name}'{nearest(name, known)}",
        f"{run.path} has {', '.join(known)}; 'mlb train --run {run.path} --name {name}' trains another",
    )


def _for_files(name: str) -> str:
    if "/" in name:
        raise ConfigError(f"policy '{name}': a '/' cannot be a part of a file's name", "use other parameters")
    return name


def another_run(run: RunDirectory, scenario: str, test_traces: int, workers: int) -> RunDirectory:
    """Makes the run directory, below `run`, in which policies are judged in another scenario, or finds it.

    Args:
        run: Where the policies come from.
        scenario: Id or file of a preset, or path of another run directory.
        test_traces: How many to make for a preset.
        workers: SUMO processes at a time.

    Raises:
        ConfigError: there is no such preset.
        DataError: the other run has no test traces.
        StorageError: what is there was made of another scenario or of other traces.
    """
    from ns3_scenarios.scenario import Preset

    source = RunDirectory(Path(scenario))
    if not source.scenario_path.is_file():
        target = run.elsewhere(Preset.load(scenario).id)
        Mobility(
            run=target.path, resume=True, preset=scenario, train_traces=0, test_traces=test_traces, workers=workers
        ).execute()
        return target
    target = run.elsewhere(source.path.resolve().name)
    traces = [file for path in source.trace_paths("test") for file in (path, path.with_suffix(".json"))]
    for path in filter(Path.is_file, [source.scenario_path, source.path / "mobility.json", *traces]):
        copy = target.path / path.relative_to(source.path)
        if not copy.is_file():
            with replacing(copy) as temporary:
                shutil.copyfile(path, temporary)
        elif sha256(copy) != sha256(path):
            raise StorageError(f"{copy}: differs from {path}", f"choose another --run, or remove {target.path}")
    return target


def _named(given: str) -> str:
    """NAME=FILE, where the name may have been left to the training's."""
    name, _, file = given.partition("=")
    if file and "/" not in name:
        return given
    return f"{_checkpoint(Path(given)).parents[1].name}={given}"


def _checkpoint(path: Path) -> Path:
    checkpoint = last_checkpoint(path) if path.is_dir() else path
    if not checkpoint.is_file():
        raise DataError(f"{path}: is no checkpoint and no training's directory", "name RUN/training/NAME")
    return checkpoint.resolve()
