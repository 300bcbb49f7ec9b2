"""What the audit asks of a model: abduction of a trace, and the trace under another context."""

from __future__ import annotations

from typing import Protocol, TypeVar

from sumo_mobility.base.arrays import Floats
from sumo_mobility.trace import MobilityTrace


class AbductedTrace(Protocol):
    """What a model has recovered of a trace."""

    @property
    def context(self) -> Floats:
        """The context that all UEs share, (C,)."""
        ...

    @property
    def local(self) -> Floats:
        """The latents of each UE, (U, L)."""
        ...


Abducted = TypeVar("Abducted", bound=AbductedTrace)


class AuditedModel(Protocol[Abducted]):
    """A fitted causal model of the mobility on one map."""

    def abduct(self, trace: MobilityTrace, seed: int = 0) -> Abducted:
        """Recovers context, local latents and noise of a trace; what is ambiguous is drawn by the seed."""
        ...

    def generate(
        self, abduction: Abducted, do_context: Floats | None = None, do_local: Floats | None = None
    ) -> MobilityTrace:
        """Returns the trace under an intervention, with everything else as it was."""
        ...

    def context_of(self, trace: MobilityTrace) -> Floats:
        """Returns the context of a trace, (C,)."""
        ...
