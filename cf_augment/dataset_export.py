"""A dataset in the hands of other tools: pandas, Parquet and d3rlpy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cf_augment.dataset_records import Dataset
from ns3_scenarios.mdp import control_from_action, jain, load_std, p5_throughput_bps
from sumo_mobility.base.errors import DependencyError
from sumo_mobility.base.files import replacing

if TYPE_CHECKING:
    from d3rlpy.dataset import ReplayBuffer


def to_frame(dataset: Dataset) -> pd.DataFrame:
    """Returns one row a transition, N rows in the order of the flat arrays.

    Columns: where it comes from (episode, step, seed, policy, trace, context, provenance, action_source,
    synthetic), time_s at the end of the control interval, what was done (`cio_<i>_<j>_db` for each neighbour
    pair), and what it led to (reward, load_std, jain, p5_throughput_bps, handovers, and for each cell c
    `prb_utilization_<c>`, `offered_bps_<c>`, `served_bps_<c>`, `connected_ues_<c>`).
    """
    frames = []
    steered = {"hysteresis": "hysteresis_{}_db", "time-to-trigger": "time_to_trigger_{}_ms"}
    names = [f"cio_{serving}_{neighbor}_db" for serving, neighbor in dataset.scenario.neighbor_pairs]
    for name, column in steered.items():
        if name in dataset.scenario.handover.steer:
            names += [column.format(cell) for cell in range(len(dataset.scenario.cells))]
    for index, episode in enumerate(dataset.episodes):
        record, kpis = episode.metadata, episode.kpis
        columns: dict[str, object] = {
            "episode": np.full(episode.steps, index),
            "step": np.arange(episode.steps),
            "time_s": kpis.time_s[1:],
            "seed": record.seed,
            "policy": record.policy,
            "trace": record.trace_name,
            "context": episode.trace.metadata.context,
            "provenance": record.provenance.kind,
            "action_source": record.provenance.action_source,
            "synthetic": record.synthetic,
            "reward": episode.rewards,
            "load_std": load_std(kpis)[1:],
            "jain": jain(kpis)[1:],
            "p5_throughput_bps": p5_throughput_bps(kpis)[1:],
            "handovers": kpis.handovers[1:],
        }
        for name in ("prb_utilization", "offered_bps", "served_bps", "connected_ues"):
            for cell, values in enumerate(getattr(kpis, name)[1:].T):
                columns[f"{name}_{cell}"] = values
        columns |= dict(zip(names, control_from_action(dataset.scenario, episode.actions).T, strict=True))
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def write_parquet(path: Path, dataset: Dataset) -> None:
    """Writes `to_frame(dataset)` as Parquet (zstd), atomically."""
    with replacing(path) as temporary:
        to_frame(dataset).to_parquet(temporary, engine="pyarrow", compression="zstd", index=False)


def to_d3rlpy(dataset: Dataset) -> ReplayBuffer:
    """Returns all N transitions as a d3rlpy (2.8) MDPDataset, with continuous actions.

    ```python
    from pathlib import Path

    import d3rlpy

    from cf_augment.dataset import read_dataset
    from cf_augment.dataset_export import to_d3rlpy

    buffer = to_d3rlpy(read_dataset(Path("runs/mine/logged.h5")))
    cql = d3rlpy.algos.CQLConfig().create(device="cpu:0")
    cql.fit(buffer, n_steps=20, n_steps_per_epoch=10)
    ```

    Whoever passes the flat arrays of the file to MDPDataset must say `action_space=d3rlpy.ActionSpace.CONTINUOUS`:
    otherwise d3rlpy guesses it from the first episode, and takes one with static offsets, all zeros, for discrete.

    d3rlpy takes no next observations, and drops the last transition of every episode that timed out, because
    it cannot know what followed. So each episode is given one row more, with the last observation, an action of
    zeros and no reward: that row is the one that is dropped, and the N true transitions remain. The flat
    arrays lose one transition an episode.

    Raises:
        DependencyError: d3rlpy is not installed.
    """
    try:
        from d3rlpy.constants import ActionSpace
        from d3rlpy.dataset import MDPDataset
    except ImportError:
        raise DependencyError("d3rlpy is not installed", "pip install d3rlpy==2.8.1") from None
    episodes = dataset.episodes
    actions = [np.concatenate([episode.actions, np.zeros_like(episode.actions[:1])]) for episode in episodes]
    rewards = [np.append(episode.rewards, np.float32(0)) for episode in episodes]
    last = np.cumsum([episode.steps + 1 for episode in episodes]) - 1
    timeouts = np.zeros(last[-1] + 1, dtype=np.float32)
    timeouts[last] = 1
    return MDPDataset(
        observations=np.concatenate([episode.observations for episode in episodes]),
        actions=np.concatenate(actions),
        rewards=np.concatenate(rewards),
        terminals=np.zeros_like(timeouts),
        timeouts=timeouts,
        action_space=ActionSpace.CONTINUOUS,
    )
