"""MobilityTrace: the contract between mobility and everything that moves UEs.

A full grid of constant UEs over time, as Parquet (zstd) with a JSON sidecar of the same stem. Written once,
read by ns-3 (waypoints), the engine, the generative model and the replay.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from pydantic import JsonValue

from sumo_mobility.base.arrays import Bools, Floats, Ints
from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import DataError
from sumo_mobility.base.files import replacing, sha256

COLUMNS = ("time_s", "ue_id", "x_m", "y_m", "speed_mps", "heading_deg")
_CURE = "make the trace anew with 'mlb mobility make'"
WAYPOINT_M = "%.6f"
"""The format of coordinates for the ns-3 program."""
FASTEST_MPS = 1000.0
"""A trace with a faster UE is refused. The limit is generous, because SUMO moves cars off jammed streets far ahead."""
JUMP_MPS = 100.0
"""A faster UE has jumped, because no car or train is so fast; the trace records it."""
STANDING_MPS = 0.5
"""A slower UE counts as standing."""
_SIDESTEP_M = 5.0
"""Tolerance beyond the distance of a step, because SUMO's cars change lanes within one step however short."""
FARTHEST_M = 2e7
"""The greatest coordinate, half the circumference of the Earth."""
MOST_ROWS = 20_000_000
"""UEs times steps that are read; 300 UEs for 18 hours, in steps of 1 s."""


class TraceWarning(UserWarning):
    """A trace holds what may not be meant."""


class Stay(Contract):
    """The identity of a UE during an interval, in the terms of the program that the trace was imported from."""

    ue: int
    who: str
    """The kind and id in that program, such as "vehicle 007"."""
    begin_s: float
    end_s: float


class TraceMetadata(Contract):
    """The origin of a trace, and the relation of its coordinates to the Earth."""

    source: str
    """The program that made the trace: "sumo", or the name of a generator."""
    map_name: str
    licence: str
    attribution: str
    seed: int
    context: str
    context_parameters: dict[str, JsonValue] = {}
    """The truth that a causal model is judged by."""
    settings: dict[str, JsonValue] = {}
    """The other causes of the trace: the fields of MobilityConfig besides contexts, and the seed of the drivers."""
    bounds_m: tuple[float, float, float, float]
    """West, south, east, north of the map in trace coordinates."""
    projection: str = ""
    """PROJ string of the map; empty for scenes that are nowhere on Earth."""
    net_offset_m: tuple[float, float] = (0.0, 0.0)
    """Added to projected coordinates to obtain trace coordinates."""
    rows_filled: int = 0
    """Grid rows in which SUMO had removed the UE (a teleport) and its last position was held."""
    jumps: int = 0
    """Steps in which a UE moved faster than JUMP_MPS: commands of TraCI, teleports, or a fault."""
    stays: tuple[Stay, ...] = ()
    """The identities of the UEs of an imported trace, by UE and time. Between two stays, and outside of all, a UE is
    held where it was last seen, or where it is first seen. If the next stay is another's, it goes there in the last
    step, or in as many steps as keep it below FASTEST_MPS; that is no jump."""
    versions: dict[str, str] = {}
    provenance: dict[str, str | float | int] = {}
    """The derivation of the trace from others: it was synthesised, or made again with one cause changed."""

    @classmethod
    def imported(cls, path: Path, source: str, position_m: Floats, **known: Any) -> Self:
        """Metadata of positions that a file of others holds, whose licence and seed nobody knows.

        Args:
            path: The file, whose name stands for the map.
            source: What wrote it.
            position_m: The positions (T, U, 2), which give the bounds.
            known: Further fields.
        """
        corner, far = position_m.min(axis=(0, 1)), position_m.max(axis=(0, 1))
        return cls(
            source=source, map_name=path.name.split(".")[0], licence="unknown", attribution="unknown", seed=0,
            context="imported", bounds_m=(*corner.tolist(), *far.tolist()), **known,
        )  # fmt: skip

    @classmethod
    def made_up(cls, bounds_m: tuple[float, float, float, float], seed: int = 0, context: str = "uniform") -> Self:
        """Metadata of positions that come from no map and no data, on a plane that is nowhere on Earth."""
        return cls(
            source="made up", map_name="nowhere", licence="CC0-1.0", attribution="nobody", seed=seed,
            context=context, bounds_m=bounds_m,
        )  # fmt: skip


class Mobility(Protocol):
    """Positions of UEs over time: a MobilityTrace, or a LiveTraffic, which is simulated as far as it is asked for."""

    @property
    def ues(self) -> int:
        """Number of UEs."""
        ...

    @property
    def step_s(self) -> float:
        """Time between knots, from 0 on; between them UEs move in straight lines."""
        ...

    @property
    def duration_s(self) -> float:
        """Time of the last knot."""
        ...

    def position_at(self, time_s: float | Floats) -> Floats:
        """Positions at any times, held beyond the ends; shape (*time_s, U, 2)."""
        ...

    def knots_m(self, first: int, last: int) -> Floats:
        """Positions at the knots from the first to the last, counted from 0; (last - first + 1, U, 2)."""
        ...


@dataclass(frozen=True)
class MobilityTrace:
    """Positions of all UEs on a regular time grid.

    Attributes:
        time_s: (T,) times from 0 in equal steps.
        position_m: (T, U, 2) x (east) and y (north) in trace coordinates.
        speed_mps: (T, U).
        heading_deg: (T, U) clockwise from north, as SUMO has it.
        metadata: its origin.
    """

    time_s: Floats
    position_m: Floats
    speed_mps: Floats
    heading_deg: Floats
    metadata: TraceMetadata

    def __post_init__(self) -> None:
        steps, ues = self.position_m.shape[:2]
        if self.position_m.shape != (steps, ues, 2) or self.time_s.shape != (steps,):
            raise DataError(f"trace: position_m {self.position_m.shape} does not fit time_s {self.time_s.shape}")
        if self.speed_mps.shape != (steps, ues) or self.heading_deg.shape != (steps, ues):
            raise DataError("trace: speed_mps and heading_deg must have one row a step and one column a UE")
        if steps < 2 or ues < 1:
            raise DataError(f"trace: {steps} steps of {ues} UEs; at least 2 steps of 1 UE are needed")
        for name in ("time_s", "position_m", "speed_mps", "heading_deg"):
            values = getattr(self, name)
            if not np.isfinite(values).all():
                where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
                raise DataError(f"trace: {name}{list(where)} is not finite", _CURE)
        if self.time_s[0] != 0 or not np.allclose(np.diff(self.time_s), self.step_s, rtol=0, atol=1e-6):
            raise DataError("trace: time_s must start at 0 and rise in equal steps", _CURE)
        over = (-1, 0.0)
        for stay in self.metadata.stays:
            if not (over < (stay.ue, stay.begin_s) and stay.ue < ues and 0 <= stay.begin_s <= stay.end_s):
                raise DataError(f"trace: metadata.stays: '{stay.who:.60}' is UE {stay.ue} out of order", _CURE)
            over = (stay.ue, stay.end_s)
        self._check_within("position_m", FARTHEST_M, "m")
        if len(fast := self._faster_than(FASTEST_MPS)):
            raise DataError(f"trace: {self._jump(*fast[0])}, faster than {FASTEST_MPS:g} m/s", _CURE)
        self._check_within("speed_mps", FASTEST_MPS, "m/s")

    @property
    def ues(self) -> int:
        """Number of UEs."""
        return int(self.position_m.shape[1])

    @property
    def step_s(self) -> float:
        """Time between rows."""
        return float(self.time_s[1] - self.time_s[0])

    @property
    def duration_s(self) -> float:
        """Time of the last row."""
        return float(self.time_s[-1])

    @property
    def held(self) -> Bools:
        """Whether a UE of an imported trace was absent and is held in place, (T, U); see `TraceMetadata.stays`."""
        away = np.full((len(self.time_s), self.ues), bool(self.metadata.stays))
        for stay in self.metadata.stays:
            away[self._step(stay.begin_s) : self._step(stay.end_s) + 1, stay.ue] = False
        return away

    def flagged(self) -> MobilityTrace:
        """Returns the same with the jumps that it holds counted in its metadata."""
        return replace(self, metadata=self.metadata.model_copy(update={"jumps": len(self._jumps)}))

    @property
    def warning(self) -> str:
        """The first of the jumps, in words; empty if there are none."""
        if not len(self._jumps):
            return ""
        return f"{self._jump(*self._jumps[0])}; in all, {len(self._jumps)} steps are faster than {JUMP_MPS:g} m/s"

    @property
    def _jumps(self) -> Ints:
        """Steps and UEs, (J, 2), of what is faster than JUMP_MPS and no slot that passes to another vehicle."""
        jumps = self._faster_than(JUMP_MPS)
        passes = np.zeros((len(self.time_s), self.ues), dtype=np.bool_)
        for before, stay in pairwise(self.metadata.stays):
            if before.ue == stay.ue and before.who != stay.who:
                passes[self._step(before.end_s) : self._step(stay.begin_s), stay.ue] = True
        return jumps[~passes[jumps[:, 0], jumps[:, 1]]]

    def _check_within(self, name: str, most: float, unit: str) -> None:
        values = np.abs(getattr(self, name))
        if values.max() > most:
            where = [int(i) for i in np.unravel_index(values.argmax(), values.shape)]
            raise DataError(f"trace: {name}{where} is beyond {most:g} {unit}", _CURE)

    def _step(self, time_s: float) -> int:
        return round(time_s / self.step_s)

    def _jump(self, step: int, ue: int) -> str:
        moved_m = float(np.hypot(*(self.position_m[step + 1, ue] - self.position_m[step, ue])))
        return f"position_m of UE {ue} jumps by {moved_m:.0f} m at time_s = {self.time_s[step]:g}"

    def _faster_than(self, speed_mps: float) -> Ints:
        """Steps and UEs, (J, 2), of what moves faster."""
        moved_m = np.linalg.norm(np.diff(self.position_m, axis=0), axis=-1)
        return np.argwhere(moved_m > farthest_m(speed_mps, self.step_s))

    def position_at(self, time_s: float | Floats) -> Floats:
        """Positions at any times by linear interpolation, held beyond the ends; shape (*time_s, U, 2)."""
        return interpolated(self.position_m, np.asarray(time_s, dtype=np.float64) / self.step_s)

    def knots_m(self, first: int, last: int) -> Floats:
        """See `Mobility.knots_m`."""
        return self.position_m[first : last + 1]

    def write(self, path: Path) -> None:
        """Writes `path` (.parquet) and its .json sidecar; the same trace gives the same bytes.

        Raises:
            StorageError: one of the two cannot be written; both are then as they were before.
        """
        frame = self.to_frame()
        metadata = self.flagged().metadata
        with replacing(path.with_suffix(".json")) as text, replacing(path) as table:
            frame.to_parquet(table, engine="pyarrow", compression="zstd", index=False)
            sidecar = _Sidecar(parquet_sha256=sha256(table), metadata=metadata)
            text.write_text(sidecar.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def write_waypoints(self, path: Path) -> None:
        """Writes the ns-3 program's input: one line "ue_id,time_s,x_m,y_m" a knot, UE by UE."""
        write_waypoints(path, self.time_s, self.position_m)

    def to_frame(self) -> pd.DataFrame:
        """Returns the long table with COLUMNS, ordered by time and UE."""
        steps = len(self.time_s)
        return pd.DataFrame(
            {
                "time_s": np.repeat(self.time_s, self.ues),
                "ue_id": np.tile(np.arange(self.ues, dtype=np.int32), steps),
                "x_m": self.position_m[..., 0].ravel(),
                "y_m": self.position_m[..., 1].ravel(),
                "speed_mps": self.speed_mps.ravel(),
                "heading_deg": self.heading_deg.ravel(),
            }
        )

    @classmethod
    def read(cls, path: Path) -> MobilityTrace:
        """Reads and checks a trace; a TraceWarning names jumps.

        Raises:
            DataError: a file is missing, damaged or foreign, was changed after it was written, lacks a UE
                at some time, or holds a value that is not finite.
        """
        sidecar_path = path.with_suffix(".json")
        for file in (path, sidecar_path):
            if not file.is_file():
                raise DataError(f"{file}: {'is no regular file' if file.exists() else 'no such file'}", _CURE)
        sidecar = _Sidecar.read_json(sidecar_path)
        if sha256(path) != sidecar.parquet_sha256:
            raise DataError(f"{path}: is not the file that {sidecar_path.name} describes (sha256 differs)", _CURE)
        try:
            trace = cls.from_frame(_read_table(path), sidecar.metadata).flagged()
        except DataError as error:
            raise DataError(f"{path}: {error.message}", error.cure) from None
        if trace.warning:
            warnings.warn(f"{path}: {trace.warning}", TraceWarning, stacklevel=2)
        return trace

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, metadata: TraceMetadata) -> MobilityTrace:
        """Builds a trace from a long table with COLUMNS; DataError if the grid has holes."""
        absent = [column for column in COLUMNS if column not in frame.columns]
        if absent:
            raise DataError(f"trace: column {absent[0]} is missing", _CURE)
        for column in COLUMNS:
            if frame[column].dtype.kind not in "iuf":
                raise DataError(f"trace: column {column} holds {frame[column].dtype}: not all are numbers", _CURE)
        table = frame[list(COLUMNS)].to_numpy(np.float64)
        table = table[np.lexsort((table[:, 1], table[:, 0]))]
        times, ues = np.unique(table[:, 0]), np.unique(table[:, 1])
        if not np.array_equal(ues, np.arange(len(ues))):
            raise DataError(f"trace: ue_id must be 0..{len(ues) - 1} without holes", _CURE)
        if not np.isfinite(times).all():
            raise DataError("trace: a time_s is not finite", _CURE)
        due = np.column_stack([np.repeat(times, len(ues)), np.tile(ues, len(times))])
        known = table[: len(due), :2]
        wrong = np.flatnonzero((known != due[: len(known)]).any(axis=1))
        if len(wrong) or len(table) != len(due):
            time_s, ue = due[wrong[0] if len(wrong) else min(len(known), len(due) - 1)]
            raise DataError(f"trace: UE {ue:g} is missing or doubled at time_s = {time_s:g}", _CURE)
        grid = table[:, 2:].reshape(len(times), len(ues), 4)
        return cls(times, grid[..., :2].copy(), grid[..., 2].copy(), grid[..., 3].copy(), metadata)


def _read_table(path: Path) -> pd.DataFrame:
    """Reads what COLUMNS name, if it can be a trace."""
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
            if rows > MOST_ROWS:
                raise DataError(f"trace: declares {rows} rows, more than {MOST_ROWS}", _CURE)
            known = [name for name in COLUMNS if name in schema.names]
            for name in known:
                kind = schema.field(name).type
                if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
                    raise DataError(f"trace: column {name} holds {kind}: not all are numbers", _CURE)
            return file.read(columns=known).to_pandas(ignore_metadata=True)
    except DataError:
        raise
    except Exception as error:  # pyarrow raises many kinds for damaged files
        raise DataError(f"not a readable Parquet file ({str(error).splitlines()[0]:.200})", _CURE) from None


def farthest_m(speed_mps: float, step_s: float) -> float:
    """Returns the greatest distance that a UE of this speed may move in a step."""
    return speed_mps * step_s + _SIDESTEP_M


def interpolated(position_m: Floats, row: Floats) -> Floats:
    """Positions (*row, U, 2) at fractional rows of knots (T, U, 2), held beyond the ends."""
    row = np.clip(row, 0, len(position_m) - 1)
    lower = np.minimum(row.astype(np.int64), len(position_m) - 2)
    share = (row - lower)[..., None, None]
    return position_m[lower] * (1 - share) + position_m[lower + 1] * share


def write_waypoints(path: Path, time_s: Floats, position_m: Floats) -> None:
    """Writes knots (T, U, 2) as `MobilityTrace.write_waypoints` does."""
    steps, ues = position_m.shape[:2]
    columns = [np.repeat(np.arange(ues), steps), np.tile(time_s, ues), position_m.transpose(1, 0, 2).reshape(-1, 2)]
    with replacing(path) as temporary:
        np.savetxt(
            temporary, np.column_stack(columns), fmt=["%d", "%.9g", WAYPOINT_M, WAYPOINT_M], delimiter=",",
            header="ue_id,time_s,x_m,y_m", comments="",
        )  # fmt: skip


def observed(position_m: Floats, step_s: float = 1.0) -> Floats:
    """Adds speeds and headings to positions (T, U, 2) at equal steps, (T, U, 4); they are those of the step before."""
    way = np.diff(position_m, axis=0, prepend=position_m[:1])
    way_m = np.hypot(way[..., 0], way[..., 1])
    heading = np.degrees(np.arctan2(way[..., 0], way[..., 1])) % 360
    last = np.maximum.accumulate(np.where(way_m > 0, np.arange(len(way))[:, None], 0), axis=0)
    heading = np.take_along_axis(heading, last, axis=0)  # who stands looks where he went
    return np.concatenate([position_m, (way_m / step_s)[..., None], heading[..., None]], axis=-1)


class _Sidecar(Contract):
    parquet_sha256: str
    metadata: TraceMetadata
