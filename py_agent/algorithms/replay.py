"""The rows that algorithms draw their batches from: in memory, or in a temporary file if they are too many for it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Self

import torch
from torch import Tensor

from cf_augment.physics import RadioStates
from py_agent.algorithms.transitions import Transitions
from sumo_mobility.base.arrays import AnyFloats, Bools
from sumo_mobility.base.errors import DataError, StorageError

_IN_MEMORY_BYTES = 256 << 20
"""Greatest size of rows that are held in memory."""
_BLOCK_BYTES = 16 << 20
_CURE = "free some space or set TMPDIR"


@dataclass(frozen=True)
class Sizes:
    """The form of transitions: how many observations and actions, UEs and cells; 0 UEs where there are no states."""

    observation: int
    action: int
    ues: int
    cells: int


class Replay:
    """Transitions by number, each a record of float32, so that a batch is one gather of whole rows.

    Attributes:
        sizes: The form of the transitions.
        part_rows: (P,) int64, the number of rows of each part that they were given in, which `mlb train` makes an
            episode.
    """

    def __init__(self, sizes: Sizes, records: Tensor | _FileRecords, part_rows: Tensor) -> None:
        self.sizes, self.part_rows = sizes, part_rows
        self._records = records
        seen, states = sizes.observation, sizes.ues * sizes.cells
        self._widths = [seen, sizes.action, 1, seen, 1, states, sizes.ues]
        self._block = max(1, _BLOCK_BYTES // (4 * sum(self._widths)))

    @classmethod
    def of(
        cls,
        observations: AnyFloats,
        actions: AnyFloats,
        rewards: AnyFloats,
        next_observations: AnyFloats,
        terminals: Bools,
        states: RadioStates | None = None,
    ) -> Self:
        """Takes arrays of N rows, with the shapes of `Transitions`.

        Raises:
            DataError: see `of_parts`.
        """
        return cls.of_parts([Transitions.of(observations, actions, rewards, next_observations, terminals, states)])

    @classmethod
    def of_parts(cls, parts: Iterable[Transitions], in_memory_bytes: int = _IN_MEMORY_BYTES) -> Self:
        """Takes the rows of all parts, one part after the other, and keeps no part.

        Args:
            parts: At least one, all of the same form.
            in_memory_bytes: What is larger goes to a file without a name in the directory that TMPDIR names, which is
                gone with this process.

        Raises:
            DataError: there are no rows, lengths or forms differ, a value is not finite, or an action is beyond
                [-1, 1].
            StorageError: the disk is full.
        """
        sizes: Sizes | None = None
        waiting: list[Tensor] = []
        waiting_bytes = 0
        file: IO[bytes] | None = None
        rows, part_rows = 0, []
        for part in parts:
            _check(part, rows)
            found = Sizes(part.observations.shape[1], part.actions.shape[1], *part.rsrp_dbm.shape[1:])
            if sizes not in (None, found):
                raise DataError(f"dataset: rows from {rows} on are of {found}, those before of {sizes}")
            sizes, rows = found, rows + len(part.rewards)
            part_rows.append(len(part.rewards))
            columns = [column.float() for column in part]
            waiting.append(torch.cat([each.flatten(1) if each.dim() > 1 else each[:, None] for each in columns], dim=1))
            waiting_bytes += waiting[-1].nbytes
            if waiting_bytes > (in_memory_bytes if file is None else _BLOCK_BYTES):
                file, waiting_bytes = _written(file, waiting), 0
        if sizes is None or rows == 0:
            raise DataError("dataset: has no rows")
        if file is None:
            return cls(sizes, torch.cat(waiting), torch.tensor(part_rows))
        return cls(sizes, _FileRecords(_written(file, waiting), rows), torch.tensor(part_rows))

    def __len__(self) -> int:
        return len(self._records)

    def batch(self, index: Tensor) -> Transitions:
        """Returns the rows with these numbers (...), in their shape."""
        records = self._records.index_select(0, index.flatten().to(self._records.device))
        return self._columns(records.unflatten(0, index.shape))

    def blocks(self) -> Iterator[Transitions]:
        """Yields all rows in their order, some thousand at a time."""
        for records in self.record_blocks():
            yield self._columns(records)

    def record_blocks(self) -> Iterator[Tensor]:
        """Yields the same as records, each (rows, width) float32."""
        yield from (self._records[first : first + self._block] for first in range(0, len(self), self._block))

    @property
    def block_count(self) -> int:
        """The number of `blocks`."""
        return -(-len(self) // self._block)

    def columns(self) -> Transitions:
        """Returns all rows, in memory."""
        return Transitions.joined(list(self.blocks()))

    def to(self, device: torch.device) -> Replay:
        """Returns the rows on a device; those of a file stay there, and each batch has to be moved."""
        if not isinstance(self._records, Tensor):
            return self
        return Replay(self.sizes, self._records.to(device), self.part_rows)

    def _columns(self, records: Tensor) -> Transitions:
        observations, actions, rewards, following, terminals, rsrp_dbm, serving = records.split(self._widths, dim=-1)
        return Transitions(
            observations,
            actions,
            rewards.squeeze(-1),
            following,
            terminals.squeeze(-1),
            rsrp_dbm.unflatten(-1, (self.sizes.ues, self.sizes.cells)),
            serving.long(),
        )


class _FileRecords:
    """Records (N, width) in a file; as much of a tensor as `Replay` needs.

    They are read, not mapped: a page that is touched may bring 2 MB around it into the process.
    """

    device = torch.device("cpu")

    def __init__(self, file: IO[bytes], rows: int) -> None:
        self._file, self._rows = file, rows
        self._width = os.fstat(file.fileno()).st_size // rows // 4

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, rows: slice) -> Tensor:
        first, last, _ = rows.indices(len(self))
        return self._read([first], last - first)

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Returns the rows with these numbers (B,); see `torch.Tensor.index_select`."""
        return self._read(index.tolist(), 1)

    def _read(self, begins: list[int], rows: int) -> Tensor:
        """Reads as many rows from each beginning on."""
        records = torch.empty(len(begins) * rows, self._width)
        size = rows * self._width * 4
        space = memoryview(records.numpy().data).cast("B")
        for place, begin in enumerate(begins):
            into = [space[place * size : (place + 1) * size]]
            if os.preadv(self._file.fileno(), into, begin * self._width * 4) != size:
                raise StorageError(f"{tempfile.gettempdir()}: the rows from {begin} on cannot be read", _CURE)
        return records


def _written(file: IO[bytes] | None, waiting: list[Tensor]) -> IO[bytes]:
    """Moves records from memory to the end of a file, which is made if there is none yet."""
    try:
        file = file or tempfile.TemporaryFile(prefix="mlb-replay-")  # noqa: SIM115  # closed with what reads it
        for record in waiting:
            file.write(record.numpy().data)
        file.flush()
    except OSError as error:
        raise StorageError(
            f"{tempfile.gettempdir()}: {error.strerror}, and the data are too many for memory",
            _CURE,
        ) from None
    waiting.clear()
    return file


def _check(part: Transitions, first: int) -> None:
    """Refuses what no algorithm can learn from; `first` is the number of the first row."""
    rows = len(part.observations)
    for name, column in part._asdict().items():
        if len(column) != rows:
            raise DataError(f"dataset: {name} has {len(column)} rows, observations {rows}")
        if not torch.isfinite(column).all():
            row = first + int(torch.argwhere(~torch.isfinite(column))[0, 0])
            raise DataError(f"dataset: {name}[{row}] is not finite")
    greatest = float(part.actions.abs().max()) if rows else 0.0
    if greatest > 1 + 1e-6:
        raise DataError(f"dataset: actions reach {greatest:.3g}; they must be scaled to [-1, 1]")
