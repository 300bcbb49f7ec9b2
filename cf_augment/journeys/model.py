"""The causal model of journeys (second form): what it says, how it is learned, and what it is asked.

    context (share a, field f over places) -> membership and destination of each journey -> ways -> positions

A share a of the UEs, the crowd's members, draw each destination from f; all others draw it evenly. A UE goes there on
the quickest way, at the pace of the ground times a factor of its own, stays for a while, and goes on to the next place.
Destinations are chosen by the highest log density + Gumbel noise, so that the noise of a choice can be kept under
another context. The offsets (CIO) have no arrow into any of it.

Learned from traces is what all contexts share: the pace, and the `Habits`. The context is not learned from them but
inferred, from whatever is reported of the UEs (`ContextFilter`): so it may be one that no trace has.

Destinations that are inferred from the way so far: Krumm and Horvitz, Predestination, 2006. Choice of destinations by
an exponential family: the multinomial logit of travel demand (McFadden 1974).

What it leaves out: UEs do not see one another; lights and queues are in the pace; the context does not change while
it is inferred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from cf_augment.journeys.abduction import Abduction, abduct
from cf_augment.journeys.crowds import Crowds
from cf_augment.journeys.ground import AnyGround, Habits
from cf_augment.journeys.plain import Plain
from cf_augment.journeys.prediction import predict
from cf_augment.journeys.streets import Streets
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.base.seeds import stream
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import MobilityTrace

_HYPOTHESES = 300


@dataclass(frozen=True)
class JourneyModel:
    """A model of the UEs on one map.

    Attributes:
        ground: The map, at the pace of its UEs.
        habits: What else its UEs have in common.
    """

    ground: AnyGround
    habits: Habits

    @classmethod
    def fit(cls, traces: Sequence[MobilityTrace], street_map: StreetMap) -> Self:
        """Learns from traces of a map; one is enough.

        Raises:
            DataError: no traces, or no UE is under way in them.
        """
        if not traces:
            raise DataError("model: no traces to learn from", "run 'mlb mobility make' first")
        kind: type[AnyGround] = Streets if street_map.streets else Plain
        ground = kind.learned(street_map, traces)
        return cls(ground, Habits.of(ground, traces))

    def abduct(self, trace: MobilityTrace, seed: int = 0) -> Abduction:
        """Recovers context, local latents, journeys and noise of a trace of this map.

        Args:
            trace: Any number of UEs and rows.
            seed: Of the draws from the posterior of what the trace does not reveal.
        """
        return abduct(self, trace, seed)

    def context_of(self, trace: MobilityTrace) -> Floats:
        """Returns the context that is abducted from a trace, (6,)."""
        return self.abduct(trace).context

    def generate(
        self, abduction: Abduction, do_context: Floats | None = None, do_local: Floats | None = None
    ) -> MobilityTrace:
        """Draws the trace under an intervention, with everything else as it was; do(nothing) returns the trace.

        Args:
            abduction: Of the factual trace.
            do_context: (6,) replaces the context: another trace's, or `c + w (c' - c)` for any w.
            do_local: (U, 2) replaces the local latents.

        Raises:
            ConfigError: a latent has the wrong shape or is not finite.
        """
        context = abduction.context if do_context is None else np.asarray(do_context, dtype=np.float64)
        local = abduction.local if do_local is None else np.asarray(do_local, dtype=np.float64)
        for name, given, wanted in (("do_context", context, abduction.context), ("do_local", local, abduction.local)):
            if given.shape != wanted.shape or not np.isfinite(given).all():
                raise ConfigError(f"{name}: shape {given.shape}, must be finite of shape {wanted.shape}")
        return predict(self, abduction, context, local)

    @cached_property
    def crowds(self) -> Crowds:
        """What a context may be."""
        ground, random = self.ground, stream(0, "journeys", "crowds")
        return Crowds.drawn(ground.place_m, ground.weight, ground.bounds_m, _HYPOTHESES, random)

    @cached_property
    def crowd_duration_s(self) -> Floats:
        """(M,) mean duration of a journey that begins anywhere, in each of the crowds."""
        apart_s = self.ground.apart_s.clip(max=_LONGEST_S)
        return np.asarray(self.crowds.density @ (self.ground.weight @ apart_s))


_LONGEST_S = 600.0
"""No journey within a map takes longer; parts that cannot be reached do not count."""
