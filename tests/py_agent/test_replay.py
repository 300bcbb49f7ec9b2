"""Rows for training: the same from memory and from a file, within a bound of memory, and nothing stays behind."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import programs
import pytest
import torch
from full_disk import largest_file
from small_world import small_dataset, small_scenario

from cf_augment.physics import RadioStates
from py_agent.algorithms.config import TrainConfig
from py_agent.algorithms.replay import Replay
from py_agent.algorithms.sac import SacConfig
from py_agent.algorithms.transitions import Transitions
from py_agent.train import train
from sumo_mobility.base.errors import DataError, StorageError


def parts(count: int, rows: int = 50, size: int = 9, ues: int = 4) -> Iterator[Transitions]:
    """Parts that all differ."""
    for seed in range(count):
        random = np.random.default_rng(seed)
        observations = random.normal(size=(rows, size))
        cells = torch.as_tensor(random.integers(3, size=(rows, ues)))
        states = RadioStates(torch.as_tensor(random.normal(size=(rows, ues, 3)), dtype=torch.float32), cells)
        actions = random.uniform(-1, 1, (rows, 2))
        yield Transitions.of(
            observations, actions, random.normal(size=rows), observations + 1, random.random(rows) < 0.5, states
        )


@pytest.mark.parametrize("in_memory_bytes", [1 << 20, 1000, 0])
def test_rows_are_those_that_were_put_in_wherever_they_are(
    in_memory_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    wanted = Transitions.joined(list(parts(7)))
    replay = Replay.of_parts(parts(7), in_memory_bytes)
    assert len(replay) == 350
    assert replay.part_rows.tolist() == [50] * 7
    index = torch.randint(350, (3, 8), generator=torch.Generator().manual_seed(1))
    for name, column in wanted._asdict().items():
        for found, expected in ((replay.columns(), column), (replay.batch(index), column[index])):
            got = getattr(found, name)
            assert got.dtype == expected.dtype
            assert torch.equal(got, expected)
    assert list(tmp_path.iterdir()) == []  # the file has no name


def test_parts_that_do_not_fit_each_other_are_refused_by_row() -> None:
    with pytest.raises(DataError, match=r"rows from 50 on are of Sizes\(observation=8.*, those before of .*=9"):
        Replay.of_parts([*parts(1), *parts(1, size=8)])
    [one] = parts(1)
    one.rewards[3] = np.inf
    with pytest.raises(DataError, match=r"rewards\[103\] is not finite"):
        Replay.of_parts([*parts(2), one])
    with pytest.raises(DataError, match="has no rows"):
        Replay.of_parts([])


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with largest_file(1000), pytest.raises(StorageError, match=r"too many for memory\n.*set TMPDIR"):
        Replay.of_parts(parts(3), 0)
    assert list(tmp_path.iterdir()) == []


def test_training_from_a_file_gives_the_bytes_of_training_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig.of("sac")(sac=SacConfig(hidden=8, batch_size=8, gradient_steps=20))
    data = small_dataset(small_scenario(), [0, 1])
    [memory] = train(config, data, None, [tmp_path / "memory"], resume=False)
    in_memory = Replay.of_parts
    monkeypatch.setattr(Replay, "of_parts", lambda given: in_memory(given, 0))
    [file] = train(config, data, None, [tmp_path / "file"], resume=False)
    assert file.read_bytes() == memory.read_bytes()


_PEAK = """
import json, sys
from itertools import chain
import torch
import test_replay
from py_agent.algorithms.replay import Replay
from sumo_mobility.base.memory import peak_memory_bytes

before = peak_memory_bytes()
replay = Replay.of_parts(test_replay.parts(int(sys.argv[1]), rows=2000, size=1000), 1 << 24)
generator = torch.Generator().manual_seed(0)
batches = (replay.batch(torch.randint(len(replay), (256,), generator=generator)) for _ in range(400))
total = sum(float(each.rewards.sum()) for each in chain(batches, replay.blocks()))
print(json.dumps([len(replay), peak_memory_bytes() - before]))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows() -> None:
    """Peak of a process of its own, beyond what its imports take: 0.3 GB and 1 GB of rows."""
    peaks = []
    for count in (20, 60):
        done = subprocess.run(
            [sys.executable, "-c", _PEAK, str(count)], cwd=Path(__file__).parent, env=programs.python_path(),
            stdout=subprocess.PIPE, timeout=300, check=True,
        )  # fmt: skip
        rows, peak = json.loads(done.stdout)
        assert rows == 2000 * count
        peaks.append(peak)
    assert peaks[1] < 300e6
    assert peaks[1] - peaks[0] < 100e6  # 0.65 GB more rows


_MOMENTS = """
import numpy as np
from py_agent.algorithms.base import _moments
from py_agent.algorithms.replay import Replay
from py_agent.algorithms.transitions import Transitions
from sumo_mobility.base.memory import keep_freed_memory, peak_memory_bytes

keep_freed_memory()  # as another training in this process leaves it
ones = np.ones((2000, 1000), np.float32)
part = Transitions.of(ones, ones[:, :2], ones[:, 0], ones, np.zeros(2000, bool))
before = peak_memory_bytes()
replay = Replay.of_parts((part for _ in range(60)), 0)
for name in ("observations", "rewards"):
    center, scale = _moments([replay], [1.0], lambda rows: getattr(rows, name))
    assert (center == 1).all() and (scale == 0).all()
print(peak_memory_bytes() - before)
"""


@pytest.mark.slow
def test_moments_of_many_rows_take_little_memory() -> None:
    """1 GB of rows, in a process of its own: what a block leaves must not part what the next one could use."""
    done = subprocess.run(
        [sys.executable, "-c", _MOMENTS], env=programs.python_path(), stdout=subprocess.PIPE, timeout=300, check=True
    )
    assert (
        int(done.stdout) < 600e6
    )  # 75 to 323 MB in 20 runs, and 5 of 6 with a tensor of each block's own took 800 to 1,100 MB
