"""Kills at random moments: what they leave running, and whether what is resumed ends as if nothing had been.

A stage is killed (SIGKILL), resumed and killed again, until one comes to its end before its time. Then its run has to
be that of a stage that nobody disturbed, file by file and byte by byte: no row lost, none doubled, nothing beside.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import psutil

from py_agent.measurement import Measurement
from sumo_mobility.base.children import Program, start
from sumo_mobility.base.errors import SimulatorError
from sumo_mobility.base.files import write_text
from sumo_mobility.base.progress import progress
from sumo_mobility.base.scratch import ScratchDirectory
from sumo_mobility.base.seeds import stream

_PRESET = """
id: bench-kills-v0
description: small enough for hundreds of runs
mobility:
  ues: 12
  duration_s: 8
  train_contexts: [{name: uniform}]
  test_contexts: [{name: uniform}]
sites: {inter_site_distance_m: 700}
episode: {steps: 8, warmup_s: 2}
"""
_MARK = "MLB_BENCH_KILLS"
"""The environment variable that marks all processes that a killed command has started."""
_GRACE_S = 5.0
"""A process that still runs so long after its parent's death is an orphan."""
_LIMIT_S = 900.0
_LOOK_S = 0.05
_EARLY_S = 1.0
_OWN_WORDS = {"train.log"}
"""Files that say how long things took."""


@dataclass(frozen=True)
class _Stage:
    """One command of the main job.

    Attributes:
        command: The arguments of `mlb`, without the run directory.
        kills: The number of times that the stage is killed.
        passed_on: Whether the next stages begin with the stage's results.
    """

    command: tuple[str, ...]
    kills: int
    passed_on: bool = True

    @property
    def has_workers(self) -> bool:
        """Whether the stage starts worker processes."""
        return "--backend" in self.command


_ENGINE, _NS3 = ("--backend", "engine"), ("--backend", "ns3")
_PLAY = ("--policies", "static", "random")
STAGES = {
    "collect in ns-3": _Stage(("collect", *_PLAY, *_NS3), 10, passed_on=False),
    "collect": _Stage(("collect", *_PLAY, *_ENGINE, "--seeds", "4"), 40),
    "augment": _Stage(("augment", "--replays-per-trace", "2", "--generated-traces", "2"), 50),
    "train": _Stage(("train", "--sac.gradient-steps", "60", "--checkpoint-every", "20"), 50),
    "evaluate in ns-3": _Stage(("evaluate", *_PLAY, "sac-cf", *_NS3), 10, passed_on=False),
    "evaluate": _Stage(("evaluate", *_PLAY, "sac-cf", *_ENGINE), 40),
}


def measure(seed: int, quick: bool) -> Iterator[Measurement]:
    """Yields the figures of each stage as soon as they are known.

    Args:
        seed: Of the traces and the moments.
        quick: A tenth of the kills.
    """
    return disturb(seed, {name: stage.kills // (10 if quick else 1) for name, stage in STAGES.items()})


def disturb(seed: int, kills: Mapping[str, int]) -> Iterator[Measurement]:
    """Yields the same for other numbers of kills, by the names of STAGES; a stage that has none is left out."""
    with ScratchDirectory() as scratch, progress("kills", sum(kills.values())) as bar:
        before = scratch.path / "run"
        preset = scratch.path / "preset.yaml"
        write_text(preset, _PRESET)
        commands = _Commands(scratch.path / "tmp", str(scratch.path))
        made = "--preset", str(preset), "--train-traces", "2", "--test-traces", "1", "--seed", str(seed)
        commands.finish(("mobility", "make", *made), before)
        for name, stage in STAGES.items():
            if name not in kills:
                continue
            undisturbed = scratch.path / name.replace(" ", "-")
            for _ in range(2):  # the first may have to compile
                shutil.rmtree(undisturbed, ignore_errors=True)
                shutil.copytree(before, undisturbed)
                begin_s = time.monotonic()
                commands.finish(stage.command, undisturbed)
                whole_s = time.monotonic() - begin_s
            moments = _Moments(stream(seed, "bench", "kills", name), whole_s, stage.has_workers)
            found = _disturbed(commands, stage.command, (before, undisturbed), moments, kills[name], bar.advance)
            for what in ("orphans", "files that differ", "files left in the temporary directory", "failures"):
                yield Measurement(f"{name}, {kills[name]} kills: {what}", found[what], "", 0)
            yield Measurement(f"{name}: compared with an undisturbed run", found["ends"], "times", None)
            if stage.passed_on:
                before = undisturbed


class _Commands:
    """Commands of `mlb` that share a place for temporary files and a mark."""

    def __init__(self, temporary: Path, mark: str) -> None:
        temporary.mkdir()
        self.temporary = temporary
        self.mark = mark

    def begin(self, arguments: tuple[str, ...], run: Path) -> Program:
        """Starts one, to go on with what is there."""
        command = [sys.executable, "-m", "py_agent.cli", *arguments, "--run", str(run), "--resume"]
        environment = os.environ | {_MARK: self.mark, "TMPDIR": str(self.temporary)}
        with self._said.open("wb") as file:
            return start(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file)

    def finish(self, arguments: tuple[str, ...], run: Path) -> None:
        """Runs one to its end, which has to be a good one."""
        if not self.succeeds(self.begin(arguments, run)):
            raise SimulatorError(f"mlb {arguments[0]} failed:\n{self.last_words()}")

    @staticmethod
    def succeeds(process: Program) -> bool:
        """Waits for the end, which may not take for ever; returns whether it was a good one."""
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_LIMIT_S) == 0
        process.kill()
        process.wait()
        return False

    def last_words(self) -> str:
        """Returns the last output of the last command."""
        return self._said.read_text(errors="replace")[-2000:]

    def running(self) -> list[psutil.Process]:
        """All processes with the mark."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(_MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def orphans(self) -> int:
        """Returns the number of processes that are still there after a while, and ends them."""
        deadline_s = time.monotonic() + _GRACE_S
        while (left := self.running()) and time.monotonic() < deadline_s:
            time.sleep(_LOOK_S)
        for process in left:
            with suppress(psutil.Error):
                print(f"orphan: {' '.join(process.cmdline())}", file=sys.stderr)
                process.kill()
        return len(left)

    @property
    def _said(self) -> Path:
        return self.temporary.with_name("stderr")


class _Moments:
    """The moments of the kills: in the first second, within a second of the first worker's start, or at any time."""

    def __init__(self, random: np.random.Generator, whole_s: float, workers: bool) -> None:
        self._random = random
        self._whole_s = whole_s
        self._kinds = ["first", "any", *(["workers"] if workers else [])]

    def wait(self, process: Program, commands: _Commands) -> bool:
        """Waits for a moment to come; returns False if the process has ended before."""
        kind = self._random.choice(self._kinds)
        delay_s = self._random.uniform(0, self._whole_s if kind == "any" else _EARLY_S)
        while kind == "workers" and process.poll() is None and len(commands.running()) == 1:
            time.sleep(_LOOK_S)
        with suppress(subprocess.TimeoutExpired):
            process.wait(delay_s)
        return process.poll() is None


def _disturbed(
    commands: _Commands,
    command: tuple[str, ...],
    runs: tuple[Path, Path],
    moments: _Moments,
    kills: int,
    advance: Callable[[], None],
) -> Counter[str]:
    """Kills a command so often, and counts what is not as it should be.

    Args:
        commands: Runs it.
        command: Its arguments.
        runs: The run that it begins with, and what it makes of that undisturbed.
        moments: When to kill.
        kills: How often.
        advance: Called after each.
    """
    before, undisturbed = runs
    run = undisturbed.with_name("disturbed")
    kept = {*commands.temporary.iterdir()}  # what stays of the undisturbed one: PyTorch's cache
    found: Counter[str] = Counter()
    shutil.copytree(before, run)
    while True:
        process = commands.begin(command, run)
        if kills and moments.wait(process, commands):
            process.kill()
            process.wait()
            found["orphans"] += commands.orphans()
            kills -= 1
            advance()
            continue
        if not commands.succeeds(process):
            print(commands.last_words(), file=sys.stderr)
            found["failures"] += 1
        found["ends"] += 1
        found["files that differ"] += _differing(run, undisturbed)
        found["files left in the temporary directory"] += len({*commands.temporary.iterdir()} - kept)
        shutil.rmtree(run)
        if not kills:
            return found
        shutil.copytree(before, run)


def _differing(expected: Path, found: Path) -> int:
    """Returns the number of files that are missing in one folder or differ."""
    files = {path.relative_to(root) for root in (expected, found) for path in root.rglob("*") if path.is_file()}
    names = [str(file) for file in files if file.name not in _OWN_WORDS]
    _, *wrong = filecmp.cmpfiles(expected, found, names, shallow=False)
    for name in chain(*wrong):
        print(f"differs: {name}", file=sys.stderr)
    return len([*chain(*wrong)])
