"""How well a model of the network agrees with ns-3: errors, rankings, and the textbook's model as the baseline."""

from cf_augment.fidelity.compare import agreement, compare
from cf_augment.fidelity.fluid import FluidBackend

__all__ = ["FluidBackend", "agreement", "compare"]
