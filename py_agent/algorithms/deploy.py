"""A trained policy as one file that runs without this project: TorchScript, and a card that says what it is."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ns3_scenarios.mdp import OBSERVATIONS, REWARDS, cio_per_action_db, observation_size
from ns3_scenarios.scenario import Scenario
from py_agent.algorithms.base import NetworkPolicy, trained_policy
from py_agent.algorithms.checkpoint import CheckpointRecord
from py_agent.rundir import versions
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.base.files import replacing, sha256
from sumo_mobility.base.seeds import stream

CARD = "card.json"
"""Name of the card within a TorchScript file."""
_CHECKED_ROWS, _TOLERANCE = 256, 1e-5


def policy_card(scenario: Scenario, checkpoint: Path) -> dict[str, Any]:
    """Returns what a user of a policy has to know: what it sees, what it says, what it was trained for.

    Raises:
        DataError: the checkpoint is missing, damaged or foreign.
    """
    record = CheckpointRecord.beside(checkpoint)
    pairs = [list(pair) for pair in scenario.neighbor_pairs]
    return {
        "algorithm": record.algorithm,
        "hyperparameters": record.config,
        "scenario": scenario.id,
        "observation": {
            "name": scenario.observation, "size": observation_size(scenario),
            "formula": OBSERVATIONS[scenario.observation].formula,
        },
        "action": {
            "form": scenario.handover.action, "grid": scenario.handover.grid, "steer": list(scenario.handover.steer),
            "size": record.layout.action_size, "neighbor_pairs": pairs,
            "cio_db": "action @ cio_per_action_db, clipped to handover.cio_range_db",
            "cio_per_action_db": cio_per_action_db(scenario).tolist(),
        },
        "reward": {name: {"weight": weight, "formula": REWARDS[name].formula}
                   for name, weight in scenario.reward_weights.items()},
        "handover_cost": scenario.handover_cost,
        "control_interval_s": scenario.episode.control_interval_s,
        "weights_sha256": sha256(checkpoint),
        "versions": versions(),
    }  # fmt: skip


def export_policy(scenario: Scenario, checkpoint: Path, path: Path) -> dict[str, Any]:
    """Writes a policy as TorchScript, with its normaliser and its card, and checks that it acts as before.

    `torch.jit.load(path)` gives a function of raw observations (N, O) float32 that returns actions (N, A).

    Args:
        scenario: Where it acts; the number of cells and pairs is fixed from then on.
        checkpoint: A file that `Algorithm.save` wrote.
        path: The file to be written.

    Returns:
        The card.

    Raises:
        DataError: the checkpoint is missing, damaged or foreign, or does not fit the scenario.
        ConfigError: its policies are more than a network.
        StorageError: the file cannot be written.
    """
    policy, card = trained_policy(scenario, checkpoint), policy_card(scenario, checkpoint)
    if not isinstance(policy, NetworkPolicy):
        raise ConfigError(f"{checkpoint}: policies of '{card['algorithm']}' are no network alone", "export another one")
    random = stream(0, "export")
    rows = random.normal(size=(_CHECKED_ROWS, observation_size(scenario))).astype(np.float32)
    observations = torch.from_numpy(rows * policy.normalizer.std.numpy() + policy.normalizer.mean.numpy())
    with warnings.catch_warnings(), torch.no_grad(), replacing(path) as temporary:
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # what the check below would find
        traced = torch.jit.trace(policy.network.requires_grad_(False), observations[:2])
        torch.jit.save(traced, str(temporary), _extra_files={CARD: json.dumps(card, indent=2)})
        acts = torch.jit.load(str(temporary))(observations)
        difference = float((acts - policy.network(observations)).abs().max())
        if not difference <= _TOLERANCE:
            raise DataError(f"{path}: acts otherwise than {checkpoint}, by {difference:.2g}", "report it as a fault")
    return card
