"""Hyper-parameters that have been measured, as `TrainConfig` takes them; loads no algorithm."""

from __future__ import annotations

from typing import Any

PHYSICS: dict[str, Any] = {
    "counterfactual_share": 0.95,
    "sac": {
        "hidden": 64, "batch_size": 64, "learning_rate": 2e-3, "learning_rate_decay": 0.05, "gamma": 0,
        "target_entropy_per_action": -1, "physics_weight": 40, "physics_last_temperature_db": 0.15,
    },
}  # fmt: skip
"""SAC that follows the soft physics, at control each second; `mlb bench agent` measures it.

Few of the logged states, under random offsets, are states that a good policy meets; so most of each batch is
counterfactual.
"""

SLOW: dict[str, Any] = {**PHYSICS, "sac": PHYSICS["sac"] | {"gradient_steps": 1000, "future": "model"}}
"""The same for the slow track, where a policy has to see what is coming; `mlb bench anticipation` measures it."""
