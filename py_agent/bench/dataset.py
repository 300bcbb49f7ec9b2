"""Measures datasets: how fast they are collected and read, what they take on disk, and in memory when they are large.

The large dataset is written by the project's own writer, of a few episodes again and again; its size is that of its
arrays as they are in memory, whatever they are packed to. Each use of it is a process of its own, which says at its end
what it held at most, libraries included.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path

import h5py
import torch

from cf_augment.dataset import Episode, read_dataset, write_dataset
from cf_augment.dataset.validation import Validation
from cf_augment.exports import EXPORTS
from ns3_scenarios.scenario import Preset, Scenario
from py_agent.algorithms.config import TrainConfig
from py_agent.algorithms.replay import Replay
from py_agent.collect import EpisodeJob, Played, episode_jobs
from py_agent.jobs import Executor, Job, LocalExecutor
from py_agent.measurement import Measurement
from py_agent.policies import policy_factory
from py_agent.train import shaped, train
from sumo_mobility.base.files import write_text
from sumo_mobility.base.memory import peak_memory_bytes
from sumo_mobility.base.scratch import ScratchDirectory
from sumo_mobility.pipeline import load_map, make_trace

_PRESETS = ("line3-right-right-left-v0", "helsinki-event-v0")
_TRACES, _WORKERS = 4, 2
_MANY = 200_000
"""Transitions that the workers collect: a few seconds, so that their start is a part and not the whole."""
_BATCH, _READ_S = 256, 2.0
_LIMIT_GB = 1.5
_D3RLPY_BYTES = 1_000_000_000


def measure(seed: int, quick: bool) -> Iterator[Measurement]:
    """Yields the figures; TMPDIR needs room for the large dataset.

    Args:
        seed: Of traces, networks and policies.
        quick: A quarter of the episodes, and a large dataset of 1 GB instead of 20 GB.
    """
    large_bytes = 1_000_000_000 if quick else 20_000_000_000
    with ScratchDirectory() as scratch:
        for preset in _PRESETS:
            logged = scratch.path / f"{preset}.h5"
            jobs = _jobs(preset, seed, 32 if quick else 128, scratch.path / preset)
            seeds = _MANY // (4 if quick else 1) // (_TRACES * jobs[0].scenario.episode.steps)
            many = _jobs(preset, seed, seeds, scratch.path / preset)
            yield from _collect(preset, jobs, many, logged)
            yield from _size(preset, logged)
            yield from _read(preset, shaped(read_dataset(logged), 0.5), seed)
        yield from _memory(logged, large_bytes, scratch.path)


class _Here(Executor):
    """Runs jobs one after another in this process, so that its CPU time is theirs."""

    def run(self, jobs: Sequence[Job], title: str) -> None:
        """See `Executor.run`."""
        for job in jobs:
            job.run(lambda work: None)


def _jobs(preset: str, seed: int, seeds: int, folder: Path) -> list[EpisodeJob]:
    """Random offsets on each of some training traces with each seed."""
    loaded = Preset.load(preset)
    scenario = Scenario.place(loaded, loaded.sites.place(load_map(loaded.mobility.map)))
    contexts = scenario.mobility.train_contexts
    traces = {
        f"train-{index:03d}": make_trace(scenario.mobility, contexts[index % len(contexts)], seed + index)
        for index in range(_TRACES)
    }
    policies = {"random": policy_factory("random")}
    return episode_jobs(scenario, traces, policies, range(seed, seed + seeds), folder, "engine")


def _collect(
    preset: str, jobs: Sequence[EpisodeJob], many: Sequence[EpisodeJob], logged: Path
) -> Iterator[Measurement]:
    """What `mlb collect` does between its options and its table, once compiled; `logged` has the result of `jobs`."""

    def collect(jobs: Sequence[EpisodeJob], executor: Executor, path: Path) -> int:
        played = Played(jobs)
        played.write(path, jobs[0].scenario, executor)
        played.forget()
        return sum(job.scenario.episode.steps for job in jobs)

    what = f"{preset}, collect from the engine"
    collect(jobs[:8], _Here(), logged)
    begin_s = time.process_time()
    count = collect(jobs, _Here(), logged)
    spent_s = time.process_time() - begin_s
    yield Measurement(f"{what}, {count} transitions: transitions a CPU-second", count / spent_s, "1/s", None)
    begin_s, other = time.monotonic(), logged.with_name("many.h5")
    count = collect(many, LocalExecutor(_WORKERS), other)
    spent_s = time.monotonic() - begin_s
    other.unlink()
    name = f"{what}, {count} transitions: transitions a second of {_WORKERS} workers, their start included"
    yield Measurement(name, count / spent_s, "1/s", 20_000, more_is_better=True)


def _size(preset: str, logged: Path) -> Iterator[Measurement]:
    """Size of the whole file against that of its numbers as float32."""
    share = logged.stat().st_size / (4 * _Content.of(logged).numbers)
    yield Measurement(f"{preset}: size on disk against raw float32", share, "", 0.5)


def _read(preset: str, rows: Replay, seed: int) -> Iterator[Measurement]:
    """Random batches, from memory and from a file."""
    in_file = Replay.of_parts(rows.blocks(), 0)
    for where, replay, target in (("memory", rows, 500_000), ("a file that the system caches", in_file, None)):
        generator = torch.Generator().manual_seed(seed)
        begin_s, read = time.process_time(), 0
        while (spent_s := time.process_time() - begin_s) < _READ_S:
            replay.batch(torch.randint(len(replay), (1, _BATCH), generator=generator))
            read += _BATCH
        name = f"{preset}, training rows in batches of {_BATCH} from {where}: transitions a CPU-second"
        yield Measurement(name, read / spent_s, "1/s", target, more_is_better=True)


def _memory(logged: Path, large_bytes: int, folder: Path) -> Iterator[Measurement]:
    """Peak memory of what is done to a large dataset, whose size decides nothing."""
    large, some = folder / "large.h5", folder / "some.h5"
    gb = f"{large_bytes / 1e9:g} GB"
    for title, use in (
        ("write", _Repeat(large, large_bytes)),
        ("validate", _Validate(large)),
        ("export to Minari", _Export(large, "minari")),
        ("train", _Train(large)),
    ):
        yield Measurement(f"{title} {gb}: peak memory", _peak_gb(use, logged, folder), "GB", _LIMIT_GB)
    yield Measurement(f"{gb}: size on disk", large.stat().st_size / 1e9, "GB", None)
    large.unlink()
    _peak_gb(_Repeat(some, _D3RLPY_BYTES), logged, folder)
    name = f"export {_D3RLPY_BYTES / 1e9:g} GB to d3rlpy, whose buffer is in memory: peak memory"
    yield Measurement(name, _peak_gb(_Export(some, "d3rlpy"), logged, folder), "GB", None)


Use = Callable[[Path, Path], None]
"""Does something with a small dataset and a new folder."""


@dataclass(frozen=True)
class _Repeat:
    """Writes the episodes of the small dataset again and again, with other seeds, until they are as large as wanted."""

    path: Path
    size_bytes: int

    def __call__(self, logged: Path, folder: Path) -> None:
        dataset = read_dataset(logged)
        some = list(islice(dataset.episodes, 0, None, max(1, len(dataset.steps) // 64)))
        episode_bytes = _Content.of(logged).in_memory_bytes / len(dataset.steps)
        write_dataset(self.path, dataset.scenario, _again(some, round(self.size_bytes / episode_bytes)))


def _again(episodes: Sequence[Episode], number: int) -> Iterator[Episode]:
    for index in islice(count(), number):
        episode = episodes[index % len(episodes)]
        yield replace(episode, metadata=episode.metadata.model_copy(update={"seed": index}))


@dataclass(frozen=True)
class _Validate:
    path: Path

    def __call__(self, logged: Path, folder: Path) -> None:
        Validation.of(self.path)


@dataclass(frozen=True)
class _Export:
    path: Path
    format: str

    def __call__(self, logged: Path, folder: Path) -> None:
        export = EXPORTS[self.format].load()()
        export.write(read_dataset(self.path), folder / f"exported{export.suffix}")


@dataclass(frozen=True)
class _Train:
    path: Path

    def __call__(self, logged: Path, folder: Path) -> None:
        config = TrainConfig.of("sac").model_validate({"sac": {"gradient_steps": 200}})
        train(config, read_dataset(self.path), None, [folder / "training"], resume=False)


@dataclass(frozen=True)
class _MemoryJob:
    """A use in a process of its own, and the file that says what it held at most."""

    use: Use
    logged: Path
    path: Path
    work: float = 1.0

    def run(self, advance: Callable[[float], None]) -> None:
        """Does it in a folder that is removed."""
        with ExitStack() as owned:
            folder = self.path.with_suffix("")
            folder.mkdir()
            owned.callback(shutil.rmtree, folder)
            self.use(self.logged, folder)
        write_text(self.path, json.dumps(peak_memory_bytes()))


def _peak_gb(use: Use, logged: Path, folder: Path) -> float:
    job = _MemoryJob(use, logged, folder / f"{type(use).__name__}.json")
    LocalExecutor(1).run([job], "memory")
    return float(json.loads(job.path.read_text(encoding="utf-8"))) / 1e9


@dataclass(frozen=True)
class _Content:
    """The arrays of a file: how many numbers they hold, and how many bytes all but the traces are in memory."""

    numbers: int
    in_memory_bytes: int

    @classmethod
    def of(cls, path: Path) -> _Content:
        """Looks at all arrays; a number is counted each time it is there, those of events too, but no text."""
        numbers = size_bytes = 0

        def look(name: str, item: h5py.HLObject) -> None:
            nonlocal numbers, size_bytes
            if isinstance(item, h5py.Dataset):
                numbers += item.size * (len(item.dtype) or int(item.dtype.kind != "S"))
                size_bytes += 0 if name.startswith("traces/") else item.nbytes  # episodes may share a trace

        with h5py.File(path) as file:
            file.visititems(look)
        return cls(numbers, size_bytes)
