"""The Markov decision process: actions, observations and rewards as pure functions of StepKpis.

Written once; the environment, the dataset and the counterfactuals all use these. Leading batch dimensions
(...) are kept.
"""

from ns3_scenarios.mdp.actions import (
    action_box,
    action_from_cio,
    action_size,
    cio_from_action,
    cio_per_action_db,
    control_from_action,
)
from ns3_scenarios.mdp.needs import observation_needs, reward_needs
from ns3_scenarios.mdp.observations import (
    OBSERVATIONS,
    Observation,
    margins_db,
    observation_box,
    observation_size,
    observe,
)
from ns3_scenarios.mdp.rewards import REWARDS, Reward, SoftKpis, blocked, jain, load_std, p5_throughput_bps, reward

__all__ = [
    "OBSERVATIONS", "REWARDS", "Observation", "Reward", "SoftKpis", "action_box", "action_from_cio", "action_size",
    "blocked", "cio_from_action", "cio_per_action_db", "control_from_action", "jain", "load_std", "margins_db",
    "observation_box", "observation_needs", "observation_size", "observe", "p5_throughput_bps", "reward",
    "reward_needs",
]  # fmt: skip
