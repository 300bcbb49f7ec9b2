"""Behaviour cloning (Pomerleau 1991, Neural Computation 3(1):88-97): the policy that the data show, as a network."""

from __future__ import annotations

from torch import Tensor

from py_agent.algorithms.actor_algorithm import ActorAlgorithm
from py_agent.algorithms.transitions import Transitions


class Bc(ActorAlgorithm):
    """Regression of the data's actions on their observations; rewards are not read.

    It tells what of another algorithm's gain is due to the data's own policies: where several of them act, it learns
    their mean. With the deterministic policy pi(s), which is tanh(mean(s)), or the action of the rule plus that, B rows
    in the batch and A components of the action:

        L = 1/(B A) sum_(s, a) |pi(s) - a|^2

    A density would not do, because rules clip their offsets: the squashed Gaussian gives no probability to -1 and 1.

    Metrics: squared_error, which is L.
    """

    name = "bc"

    def _learn(self, batch: Transitions) -> dict[str, Tensor]:
        loss = ((self.actor.mean_action(batch.observations) - batch.actions) ** 2).mean((1, 2))
        self._descend("actor", loss)
        return {"squared_error": loss}
