"""What the benchmark of datasets counts, and what it leaves behind, at a size of kilobytes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from small_world import small_dataset, small_scenario

from cf_augment.dataset import read_dataset, write_dataset
from py_agent import jobs
from py_agent.bench import dataset as bench
from py_agent.collect import episode_jobs
from py_agent.policies import policy_factory


@pytest.fixture
def logged(tmp_path: Path) -> Path:
    scenario = small_scenario()
    write_dataset(tmp_path / "logged.h5", scenario, small_dataset(scenario, [0, 1]).episodes)
    return tmp_path / "logged.h5"


def test_content_counts_numbers_each_time_and_no_text(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["numbers"] = np.zeros((3, 4))
        file["group/flags"] = np.zeros(5, bool)
        file["group/events"] = np.zeros(7, np.dtype([("time_s", "f8"), ("ue", "i4")]))
        file["text"] = np.array([b"abc", b"d"])
    content = bench._Content.of(tmp_path / "a.h5")
    assert content.numbers == 12 + 5 + 14
    assert content.in_memory_bytes == 96 + 5 + 84 + 6


def test_the_large_dataset_is_as_large_as_it_says_and_sound(logged: Path, tmp_path: Path) -> None:
    wanted = 20 * bench._Content.of(logged).in_memory_bytes
    bench._Repeat(tmp_path / "large.h5", wanted)(logged, tmp_path)
    assert bench._Content.of(tmp_path / "large.h5").in_memory_bytes == pytest.approx(wanted, rel=0.1)
    seeds = [episode.metadata.seed for episode in read_dataset(tmp_path / "large.h5").episodes]
    assert seeds == list(range(40))


@pytest.mark.slow
def test_peaks_are_those_of_processes_of_their_own_and_nothing_is_left(
    logged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """256 MB more in one job are 256 MB more of its peak, and of no other's."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    before = sorted(tmp_path.iterdir())
    small, large, again = (bench._peak_gb(Holding(size), logged, tmp_path) for size in (0, 256 << 20, 0))
    assert large - small == pytest.approx(0.268, abs=0.03)
    assert again == pytest.approx(small, abs=0.03)
    (tmp_path / "Holding.json").unlink()
    assert sorted(tmp_path.iterdir()) == before
    assert list(scratch.iterdir()) == []


class Holding:
    """Holds so many bytes."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, logged: Path, folder: Path) -> None:
        (folder / "left").write_bytes(b"\1" * self.size)


@pytest.mark.slow
def test_what_is_collected_is_measured_by_worker_and_by_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def silent(title: str, total: float) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(advance=lambda work: None)

    monkeypatch.setattr(jobs, "progress", silent)
    scenario = small_scenario()
    traces = {"train-000": small_dataset(scenario, [0]).episodes[0].trace}
    todo = episode_jobs(
        scenario, traces, {"random": policy_factory("random")}, range(9), tmp_path / "episodes", "engine"
    )
    by_cpu, by_wall = bench._collect("small", todo, todo[:8], tmp_path / "logged.h5")
    assert by_cpu.target is None
    assert by_wall.target == 20_000
    assert min(by_cpu.value, by_wall.value) > 0
    assert len(read_dataset(tmp_path / "logged.h5").steps) == 9
    assert list((tmp_path / "episodes").iterdir()) == []
    [size] = bench._size("small", tmp_path / "logged.h5")
    assert 0.05 < size.value < 2
