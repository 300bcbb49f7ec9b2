"""MobilityTrace: the contract between mobility and everything that moves UEs.

A full grid of constant UEs over time, as Parquet (zstd) with a JSON sidecar of the same stem. Written once,
read by ns-3 (waypoints), the engine, the generative model and the replay.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import JsonValue

from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import DataError
from sumo_mobility.base.files import replacing, sha256

Floats = NDArray[np.float64]

COLUMNS = ("time_s", "ue_id", "x_m", "y_m", "speed_mps", "heading_deg")
_CURE = "make the trace anew with 'mlb mobility'"
WAYPOINT_M = "%.6f"
"""How the ns-3 program is told a coordinate."""
FASTEST_MPS = 1000.0
"""Beyond this a UE has jumped. Generous, for SUMO puts back a UE that it had taken off a jammed street far ahead."""


class TraceMetadata(Contract):
    """Where a trace comes from and how its coordinates map to the Earth."""

    source: str
    """What made it: "sumo" or the name of a generator."""
    map_name: str
    licence: str
    attribution: str
    seed: int
    context: str
    context_parameters: dict[str, JsonValue] = {}
    """The truth that a causal model is judged by."""
    settings: dict[str, JsonValue] = {}
    """What else made it: the fields of MobilityConfig besides contexts, and the seed of the drivers."""
    bounds_m: tuple[float, float, float, float]
    """West, south, east, north of the map in trace coordinates."""
    projection: str = ""
    """PROJ string of the map; empty for scenes that are nowhere on Earth."""
    net_offset_m: tuple[float, float] = (0.0, 0.0)
    """Added to projected coordinates to obtain trace coordinates."""
    rows_filled: int = 0
    """Grid rows in which SUMO had removed the UE (a teleport) and its last position was held."""
    versions: dict[str, str] = {}
    provenance: dict[str, str | float | int] = {}
    """How a trace was derived from others: synthesised, or made again with a cause changed."""


class Mobility(Protocol):
    """Where the UEs are: a MobilityTrace, or a LiveTraffic, which is driven as far as it is asked for."""

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
        moved_m = np.linalg.norm(np.diff(self.position_m, axis=0), axis=-1)
        if moved_m.max() > FASTEST_MPS * self.step_s:
            step, ue = (int(i) for i in np.unravel_index(moved_m.argmax(), moved_m.shape))
            raise DataError(
                f"trace: position_m of UE {ue} jumps by {moved_m[step, ue]:.0f} m at time_s = {self.time_s[step]:g}, "
                f"faster than {FASTEST_MPS:g} m/s",
                _CURE,
            )

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
        with replacing(path.with_suffix(".json")) as text, replacing(path) as table:
            frame.to_parquet(table, engine="pyarrow", compression="zstd", index=False)
            sidecar = _Sidecar(parquet_sha256=sha256(table), metadata=self.metadata)
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
        """Reads and checks a trace.

        Raises:
            DataError: a file is missing, damaged or foreign, was changed after it was written, lacks a UE
                at some time, or holds a value that is not finite.
        """
        sidecar_path = path.with_suffix(".json")
        if not path.is_file() or not sidecar_path.is_file():
            missing = path if not path.is_file() else sidecar_path
            raise DataError(f"{missing}: no such file", _CURE)
        sidecar = _Sidecar.read_json(sidecar_path)
        if sha256(path) != sidecar.parquet_sha256:
            raise DataError(f"{path}: is not the file that {sidecar_path.name} describes (sha256 differs)", _CURE)
        try:
            frame = pd.read_parquet(path, engine="pyarrow")
        except Exception as error:  # pyarrow raises many kinds for damaged files
            raise DataError(f"{path}: not a readable Parquet file ({error})", _CURE) from None
        try:
            return cls.from_frame(frame, sidecar.metadata)
        except DataError as error:
            raise DataError(f"{path}: {error.message}", error.cure) from None

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, metadata: TraceMetadata) -> MobilityTrace:
        """Builds a trace from a long table with COLUMNS; DataError if the grid has holes."""
        absent = [column for column in COLUMNS if column not in frame.columns]
        if absent:
            raise DataError(f"trace: column {absent[0]} is missing", _CURE)
        frame = frame.sort_values(["time_s", "ue_id"], kind="stable")
        times: Floats = frame["time_s"].unique().astype(np.float64)
        ues = frame["ue_id"].unique()
        if not np.array_equal(np.sort(ues), np.arange(len(ues))):
            raise DataError(f"trace: ue_id must be 0..{len(ues) - 1} without holes", _CURE)
        counts = frame.groupby("time_s", sort=True)["ue_id"].nunique()
        if len(frame) != len(times) * len(ues) or (counts != len(ues)).any():
            short = counts.idxmin()
            lost = sorted(set(range(len(ues))) - set(frame.loc[frame["time_s"] == short, "ue_id"]))
            raise DataError(f"trace: UE {lost[0] if lost else '?'} is missing or doubled at time_s = {short}", _CURE)
        try:
            values = frame[list(COLUMNS[2:])].to_numpy(np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"trace: not all values are numbers ({error})", _CURE) from None
        grid = values.reshape(len(times), len(ues), 4)
        return cls(times, grid[..., :2].copy(), grid[..., 2].copy(), grid[..., 3].copy(), metadata)


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


class _Sidecar(Contract):
    parquet_sha256: str
    metadata: TraceMetadata
