"""Agreement of a model of the network with ns-3: errors, handovers and rankings."""

from cf_augment.agreement.compare import agreement, compare

__all__ = ["agreement", "compare"]
