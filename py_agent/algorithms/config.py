"""What a training is asked to do: hyper-parameters, without PyTorch, so that the command line lists them at once."""

from __future__ import annotations

from pydantic import Field

from sumo_mobility.base.contract import Contract


class SacConfig(Contract):
    """Hyper-parameters of SAC."""

    hidden: int = Field(32, ge=1, le=4096)
    """Units in each of the two hidden layers of every perceptron in actor and critics."""
    batch_size: int = Field(128, ge=1)
    """Transitions a gradient step."""
    learning_rate: float = Field(3e-4, gt=0, le=1)
    """Step of Adam for actor, critics and temperature."""
    gamma: float = Field(0.5, ge=0, lt=1)
    """Discount a control interval; 0 makes it a contextual bandit, which chatters more."""
    tau: float = Field(0.005, gt=0, le=1)
    """Share of the critics that moves into their targets each step."""
    gradient_steps: int = Field(2000, ge=1)
    """Updates of actor and critics; the cost of a training."""
    initial_alpha: float = Field(0.01, gt=0)
    """Temperature at the start; small, because nothing is explored offline."""
    target_entropy_per_action: float = 0.0
    """Entropy, in nats a component of the action, that the temperature is steered to."""
    bc_weight: float = Field(0.0, ge=0)
    """Pull towards the data's actions, in reward standard deviations per unit of squared distance (after TD3+BC,
    Fujimoto & Gu 2021); 0 is plain SAC. Scarce data of one behaviour policy needs it, random actions do not."""


class TrainConfig(Contract):
    """One training: how often it learns and writes, and its algorithm's own hyper-parameters."""

    sac: SacConfig = SacConfig()
    seed: int = Field(0, ge=0)
    """Fixes weights, batches and noise."""
    counterfactual_share: float = Field(0.5, ge=0, le=1)
    """Share of each batch that is counterfactual, where logged data are used as well."""
    log_every: int = Field(50, ge=1)
    """Gradient steps between two rows of metrics.parquet."""
    checkpoint_every: int = Field(1000, ge=1)
    """Gradient steps between two checkpoints."""
