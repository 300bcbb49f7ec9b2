"""A dataset as a table, a row a transition: for pandas, Polars, DuckDB and whatever else reads Parquet or CSV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow.parquet import ParquetWriter

from cf_augment.dataset import Dataset, Episode
from cf_augment.exports import Export
from ns3_scenarios.mdp import control_from_action
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.files import replacing

_GROUP_ROWS = 1 << 16
"""Rows that are in memory at a time, and that a reader can skip."""


class ParquetExport(Export):
    """Parquet (zstd) with the columns of `to_frame`."""

    suffix = ".parquet"

    def write(self, dataset: Dataset, path: Path) -> None:
        """Writes one row a transition, some thousand rows at a time."""
        with replacing(path) as temporary:
            writer = None
            try:
                for frame in _groups(dataset):
                    table = pa.Table.from_pandas(frame, preserve_index=False)
                    writer = writer or ParquetWriter(temporary, table.schema, compression="zstd")
                    writer.write_table(table)
            finally:
                if writer is not None:
                    writer.close()


class CsvExport(Export):
    """CSV (RFC 4180, UTF-8) with the columns of `to_frame`, numbers in as many digits as give them back exactly."""

    suffix = ".csv"

    def write(self, dataset: Dataset, path: Path) -> None:
        """Writes a head and one row a transition, some thousand rows at a time."""
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            for index, frame in enumerate(_groups(dataset)):
                frame.to_csv(file, index=False, header=index == 0, lineterminator="\r\n")


def to_frame(dataset: Dataset) -> pd.DataFrame:
    """Returns one row a transition, N rows in the order of the flat arrays.

    Columns: where it comes from (episode, step, seed, policy, trace, context, provenance, action_source,
    synthetic), time_s at the end of the control interval, what was done (`cio_<i>_<j>_db` for each neighbour
    pair), its log-density under the behaviour policy (`behavior_log_prob`, NaN where there is none), and what it led
    to (reward, load_std, jain, p5_throughput_bps, handovers, and for each cell c
    `prb_utilization_<c>`, `offered_bps_<c>`, `served_bps_<c>`, `connected_ues_<c>`).
    """
    frames = [episode_frame(dataset.scenario, index, episode) for index, episode in enumerate(dataset.episodes)]
    return pd.concat(frames, ignore_index=True)


def origin(episode: Episode) -> dict[str, str | int | bool]:
    """Returns where an episode comes from: seed, policy, trace, context, provenance, action_source and synthetic."""
    record = episode.metadata
    return {
        "seed": record.seed,
        "policy": record.policy,
        "trace": record.trace_name,
        "context": episode.of_trace("context"),
        "provenance": record.provenance.kind,
        "action_source": record.provenance.action_source,
        "synthetic": record.synthetic,
    }


def episode_frame(scenario: Scenario, index: int, episode: Episode) -> pd.DataFrame:
    """Returns the rows of one episode, which is the index-th of its dataset, with the columns of `to_frame`."""
    kpis = episode.kpis
    columns: dict[str, object] = {
        "episode": np.full(episode.steps, index),
        "step": np.arange(episode.steps),
        "time_s": kpis.time_s[1:],
        **origin(episode),
        **episode.outcomes(),
    }
    for name in ("prb_utilization", "offered_bps", "served_bps", "connected_ues"):
        for cell, values in enumerate(getattr(kpis, name)[1:].T):
            columns[f"{name}_{cell}"] = values
    control = control_from_action(scenario, episode.actions)
    pairs = zip(scenario.neighbor_pairs, control.cio_db.T, strict=True)
    columns |= {f"cio_{serving}_{neighbor}_db": values for (serving, neighbor), values in pairs}
    if "hysteresis" in scenario.handover.steer:
        columns |= {f"hysteresis_{cell}_db": values for cell, values in enumerate(control.hysteresis_db.T)}
    if "time-to-trigger" in scenario.handover.steer:
        columns |= {f"time_to_trigger_{cell}_ms": values for cell, values in enumerate(control.time_to_trigger_ms.T)}
    return pd.DataFrame(columns | {"behavior_log_prob": episode.behavior_log_probs})


def _groups(dataset: Dataset) -> Iterator[pd.DataFrame]:
    """The rows of `to_frame`, in parts of whole episodes: at least _GROUP_ROWS each, but for the last."""
    frames: list[pd.DataFrame] = []
    rows = 0
    for index, episode in enumerate(dataset.episodes):
        frames.append(episode_frame(dataset.scenario, index, episode))
        rows += episode.steps
        if rows >= _GROUP_ROWS:
            yield pd.concat(frames, ignore_index=True)
            frames, rows = [], 0
    if frames:
        yield pd.concat(frames, ignore_index=True)
