"""The event log of an episode in ns-3, as files: every event and every downlink DCI."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sumo_mobility.base.errors import StorageError
from sumo_mobility.base.files import replacing

NAMES = ("events", "dl_dci")
"""`events`: the columns of EVENT_DTYPE and the events of StepKpis. `dl_dci`: a row a downlink DCI from the start of the
warm-up on, with time_s (trace time of the TTI), cell, ue (-1 until it is connected), rnti, prbs, mcs, tbs_bytes and
retransmission (1 for a HARQ retransmission)."""
EventLogFormat = Literal["parquet", "csv"]


@dataclass(frozen=True)
class EventLog:
    """A directory for the event logs of episodes: 0000-events.parquet, 0000-dl_dci.parquet, 0001-events.parquet, ...

    Attributes:
        directory: It is created if it does not exist.
        format: "parquet" (zstd), or "csv" as the program writes it.
    """

    directory: Path
    format: EventLogFormat = "parquet"

    def reserve(self, episode: int) -> None:
        """Checks that the files of an episode can be written.

        Raises:
            StorageError: one exists already, or the directory is not writable.
        """
        for path in map(self.path, [episode] * len(NAMES), NAMES):
            if path.exists():
                raise StorageError(f"event log: {path} exists", "remove it or choose another directory")
            with replacing(path):
                pass
            path.unlink()

    def publish(self, episode: int, folder: Path) -> None:
        """Brings the files that the program has finished in `folder` to where they belong.

        Raises:
            StorageError: a file cannot be written.
        """
        for name in NAMES:
            source = folder / f"{name}.csv"
            if source.exists():
                with replacing(self.path(episode, name)) as temporary:
                    if self.format == "csv":
                        temporary.write_bytes(source.read_bytes())
                    else:
                        _write_parquet(source, temporary)

    def path(self, episode: int, name: str) -> Path:
        """Returns the path of one of NAMES for an episode, counted from 0."""
        return self.directory / f"{episode:04d}-{name}.{self.format}"


def _write_parquet(source: Path, target: Path) -> None:
    # Imported here, since few episodes are logged.
    import pyarrow
    from pyarrow import csv, parquet

    header = source.open(encoding="utf-8").readline().strip().split(",")
    types = {name: pyarrow.float64() if name == "time_s" else pyarrow.int32() for name in header}
    table = csv.read_csv(source, convert_options=csv.ConvertOptions(column_types=types))
    parquet.write_table(table, target, compression="zstd")
