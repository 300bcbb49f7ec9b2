"""The causal model of mobility: abduction, action, prediction (Pearl 2009, chapter 7), and filtering.

    context (share a, fields f and g over places, onset t) -> membership -> origin, destinations -> ways -> positions

A share a of the UEs, the crowd's members, draw each destination from f and their origin from g; all others draw both
evenly. If the context sets in later, members wait at their origins until t. A UE goes on the quickest way, at the pace
of the ground times a factor of its own, stays for a while, and goes on to the next place. Places are chosen by the
highest log density + Gumbel noise, so that the noise of a choice can be kept under another context. The offsets (CIO)
have no arrow into any of it.

Learned from traces is what all contexts share: the pace, and the `Habits`. The context is not learned from them but
inferred, from whatever is reported of the UEs (`ContextFilter`): so it may be one that no trace has.

Destinations that are inferred from the way so far: Krumm and Horvitz, Predestination, 2006. Choice of destinations by
an exponential family: the multinomial logit of travel demand (McFadden 1974).

Abducted from a trace are the context, the latents of each UE, the noise of its choices (Gumbel noise, up to a draw from
its posterior: Oberst and Sontag 2019), and how fast it was at each step.

What it leaves out: UEs do not see one another, so that lights and queues are in pace and noise, and stop a UE when they
did and not where; the filter knows neither origins nor an onset, so that a context that sets in later is told apart by
its departures alone; who is under way when a trace begins is taken to have lived as long as all others. What latents
mean is measured (Locatello 2019: not identifiable in general).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field

from cf_augment.model.abduction import Abduction, abduct
from cf_augment.model.crowds import Crowds, central, matched, moments
from cf_augment.model.filter import SHARES
from cf_augment.model.ground import AnyGround, Habits
from cf_augment.model.plain import Plain
from cf_augment.model.prediction import predict
from cf_augment.model.streets import Streets
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.contract import Contract
from sumo_mobility.base.documents import printable
from sumo_mobility.base.errors import ConfigError, DataError, MlbError
from sumo_mobility.base.seeds import stream
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import MobilityTrace

_HYPOTHESES, _LONGEST_S = 300, 600.0
"""Number of crowds that a context may be; and what no journey within a map exceeds, as what cannot be reached does."""
_CURE = "fit it anew with 'mlb augment'"
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ModelFile(Contract):
    """What is written of a model."""

    version: Literal[3]
    map_name: str
    pace_mps: tuple[_Positive, ...]
    cruise_mps: tuple[_Positive, ...]
    parked_m: Annotated[float, Field(allow_inf_nan=False)]
    spread: _Positive
    stays_s: tuple[_NotNegative, ...] = Field(min_length=1)
    fastest_mps: _Positive


@dataclass(frozen=True)
class CausalMobilityModel:
    """A model of the UEs on one map.

    Attributes:
        map_name: The map.
        ground: The map, at the pace of its UEs.
        habits: What else its UEs have in common.
    """

    map_name: str
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
        ground = _kind(street_map).learned(street_map, traces)
        return cls(street_map.name, ground, Habits.of(ground, traces))

    def save(self, path: Path) -> None:
        """Writes what was learned, atomically; the same model gives the same bytes."""
        ground, habits = self.ground, self.habits
        ModelFile(
            version=3,
            map_name=self.map_name,
            pace_mps=tuple(ground.pace_mps.tolist()),
            cruise_mps=tuple(ground.cruise_mps.tolist()),
            parked_m=ground.parked_m,
            spread=habits.spread,
            stays_s=tuple(habits.stays_s.tolist()),
            fastest_mps=habits.fastest_mps,
        ).write_json(path)

    @classmethod
    def load(cls, path: Path, street_map: StreetMap) -> Self:
        """Reads a model of this map.

        Raises:
            DataError: missing, damaged, of another version, or made for another map.
        """
        if not path.is_file():
            raise DataError(f"{path}: no such file", _CURE)
        try:
            known = ModelFile.read_json(path)
            if known.map_name != street_map.name:
                raise DataError(f"made for map {printable(known.map_name)}, not for {street_map.name}")
            paces = np.array(known.pace_mps), np.array(known.cruise_mps)
            ground = _kind(street_map).at_pace(street_map, *paces, known.parked_m)
        except MlbError as error:
            why = printable(error.message, 200)
            raise DataError(f"{path}: not a causal mobility model of this map ({why})", _CURE) from None
        return cls(street_map.name, ground, Habits(known.spread, np.array(known.stays_s), known.fastest_mps))

    def abduct(self, trace: MobilityTrace, seed: int = 0) -> Abduction:
        """Recovers context, local latents, journeys and noise of a trace of this map.

        Args:
            trace: Any number of UEs and rows.
            seed: Of the draws from the posterior of what the trace does not reveal.
        """
        return abduct(self, trace, seed)

    def context_of(self, trace: MobilityTrace) -> Floats:
        """Returns the context that is abducted from a trace, (12,).

        It is the posterior mean of: the share of the members; x and y of where their journeys lead on average; the
        variance of x, the covariance, and the variance of y of that, from the map's centre, with 1 for half the map;
        the same five of where they begin; and when they set out, in s of the trace, 0 if they have before.
        """
        return self.abduct(trace).context

    def context(
        self, share: float, to: Sequence[float] | Floats | None = None, origin: Sequence[float] | Floats | None = None,
        onset_s: float = 0.0,
    ) -> Floats:  # fmt: skip
        """Returns a context, (12,).

        Args:
            share: Of the members.
            to: (5,) where their journeys lead, as of `context_of`; None: anywhere.
            origin: (5,) where they begin, likewise.
            onset_s: When they set out.
        """
        even = central(self.ground.weight @ self._moments)
        return np.array([share, *(even if to is None else to), *(even if origin is None else origin), onset_s])

    def mean_context(self, posterior: Floats) -> Floats:
        """Returns the mean context of a posterior (M, A) of `crowds` and SHARES, which begins anywhere."""
        return self.context(float((posterior @ SHARES).sum()), central(posterior.sum(axis=1) @ self.crowds.moments))

    def crowd_of(self, context: Floats) -> Floats:
        """Returns how likely each place is the destination of a member in a context, (P,)."""
        return matched(context[1:6], self._moments, self.ground.weight)

    def origins_of(self, context: Floats) -> Floats:
        """Returns how likely each place is the one where a member begins in a context, (P,)."""
        return matched(context[6:11], self._moments, self.ground.weight)

    def generate(
        self, abduction: Abduction, do_context: Floats | None = None, do_local: Floats | None = None
    ) -> MobilityTrace:
        """Draws the trace under an intervention, with everything else as it was; do(nothing) returns the trace.

        Args:
            abduction: Of the factual trace.
            do_context: (12,) replaces the context: another trace's, or `c + w (c' - c)` for any w.
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

    def reach(self, context: Floats) -> Floats:
        """Returns where journeys lead in a context on average, and how far around (3,); as of `context_of`."""
        place = self._moments[:, :2]
        share = np.clip(context[0], 0, 1)
        density = share * self.crowd_of(context) + (1 - share) * self.ground.weight
        mean = density @ place
        return np.array([*mean, np.sqrt(density @ ((place - mean) ** 2).sum(axis=-1))])

    @cached_property
    def _moments(self) -> Floats:
        return moments(self.ground.place_m, self.ground.bounds_m)

    @cached_property
    def crowds(self) -> Crowds:
        """What a context may be."""
        ground, random = self.ground, stream(0, "model", "crowds")
        return Crowds.drawn(ground.place_m, ground.weight, ground.bounds_m, _HYPOTHESES, random)

    @cached_property
    def crowd_duration_s(self) -> Floats:
        """(M,) mean duration of a journey that begins anywhere, in each of the crowds."""
        apart_s = self.ground.apart_s.clip(max=_LONGEST_S)
        return np.asarray(self.crowds.density @ (self.ground.weight @ apart_s))


def _kind(street_map: StreetMap) -> type[AnyGround]:
    return Streets if street_map.streets else Plain
