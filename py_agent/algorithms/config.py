"""The configuration of a training: its schedule, and the algorithm's hyper-parameters under the algorithm's name."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from pydantic import Field, create_model

from py_agent.algorithms.registry import ALGORITHMS
from sumo_mobility.base.contract import Contract


class AlgorithmConfig(Contract):
    """Hyper-parameters that every algorithm has; an algorithm's own class adds its own."""

    hidden: int = Field(32, ge=1, le=4096)
    """Units in each of the two hidden layers of every perceptron."""
    batch_size: int = Field(128, ge=1)
    """Transitions per gradient step."""
    learning_rate: float = Field(3e-4, gt=0, le=1)
    """Step size of Adam at the first gradient step."""
    learning_rate_decay: float = Field(1.0, gt=0, le=1)
    """What the step size is multiplied by until the last gradient step, exponentially; 1 leaves it as it is."""
    gradient_steps: int = Field(2000, ge=1)
    """Updates of the networks; the cost of a training."""
    residual: bool = False
    """Whether the policy corrects the scenario's integral rule, as which it begins; without the rule's proportional
    part."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Numbers in which products of matrices in the networks are computed while they are trained; sums, losses and
    weights are of float32, and policies act in it. bfloat16 is faster where networks are large and the processor has
    it (avx512_bf16, amx_bf16, CUDA)."""
    future: str = ""
    """Where the policy takes the UEs to go, one of FUTURES: it is then shown the coming interval as it is to be
    expected, and learns from intervals as they came. Empty: it is shown the last report."""

    @property
    def discount(self) -> float:
        """Discount per control interval, with which rewards are shaped before the training; 0 if there is none."""
        return 0.0


class TrainConfig(Contract):
    """The schedule of a training; the class that `of` returns also holds the hyper-parameters of its algorithm."""

    seed: int = Field(0, ge=0)
    """Fixes weights, batches and noise."""
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?)$")
    """Where the networks and the physics are computed: cpu, cuda or cuda:N. Only on a CPU the same seed gives the same
    bytes."""
    counterfactual_share: float = Field(0.5, ge=0, le=1)
    """Share of each batch that is counterfactual, where logged data are used as well."""
    log_every: int = Field(50, ge=1)
    """Gradient steps between two rows of metrics.parquet."""
    checkpoint_every: int = Field(1000, ge=1)
    """Gradient steps between two checkpoints."""

    @staticmethod
    @cache
    def of(algorithm: str) -> type[TrainConfig]:
        """Returns the class with one more field, which has the algorithm's name and holds its hyper-parameters.

        Options and files have the same form: --sac.gamma 0.9, or `sac: {gamma: 0.9}`.

        Raises:
            ConfigError: the algorithm is unknown.
        """
        config = ALGORITHMS[algorithm].load().Config
        field: dict[str, Any] = {algorithm: (config, config())}
        return create_model("TrainConfig", __base__=TrainConfig, __module__=__name__, __doc__=config.__doc__, **field)

    @property
    def algorithm(self) -> str:
        """Name of the algorithm."""
        (name,) = type(self).model_fields.keys() - TrainConfig.model_fields.keys()
        return name

    @property
    def parameters(self) -> AlgorithmConfig:
        """Hyper-parameters of the algorithm."""
        parameters: AlgorithmConfig = getattr(self, self.algorithm)
        return parameters
