"""Prediction: the trace that the causes make, with some of them changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cf_augment.model.abduction import ONSET, Abduction
from cf_augment.model.beginnings import LEAD_S
from sumo_mobility.base.arrays import Bools, Floats, Ints
from sumo_mobility.base.seeds import stream
from sumo_mobility.trace import MobilityTrace

if TYPE_CHECKING:
    from cf_augment.model.model import CausalMobilityModel

LOWEST_MPS2, HIGHEST_MPS2 = -4.5, 2.6
"""SUMO's defaults for the Krauss model."""
_COMFORT_MPS2, _EVENTS = 3.0, 100


def predict(model: CausalMobilityModel, abduction: Abduction, context: Floats, local: Floats) -> MobilityTrace:
    """See `CausalMobilityModel.generate`.

    A UE does what it did until it would choose another destination than it did. If it would have begun elsewhere or at
    another time, or that destination is of the journey that was under way when the trace began, it has lived in the
    other context from its beginning on, and begins where it does there.
    """
    trace, ground = abduction.trace, model.ground
    before, after = (_Begin.of(model, abduction, *causes) for causes in (
        (abduction.context, abduction.local), (context, local)))  # fmt: skip
    density = np.stack([ground.weight, model.crowd_of(context)])
    scores = np.log(density[(local[:, 0] < context[0]).astype(np.int64)] + 1e-30)
    choices = [
        [int((scores[ue] + journey.noise).argmax()) for journey in journeys]
        for ue, journeys in enumerate(abduction.journeys)
    ]
    other_pace = local[:, 1] != abduction.local[:, 1]
    anew = (before.origin != after.origin) | (before.departs_s != after.departs_s)
    changed = [
        next((k for k, journey in enumerate(journeys) if other_pace[ue] or choices[ue][k] != journey.place), None)
        for ue, journeys in enumerate(abduction.journeys)
    ]
    first = [0 if anew[ue] else number for ue, number in enumerate(changed)]
    ues = np.array([ue for ue, number in enumerate(first) if number is not None], dtype=np.int64)
    position_m, speed_mps, heading_deg = (np.array(each) for each in (
        trace.position_m, trace.speed_mps, trace.heading_deg))  # fmt: skip
    if len(ues):
        numbers = [int(first[ue] or 0) for ue in ues]
        drive = _Drive(model, abduction, scores, local, ues, numbers, choices, after, anew[ues])
        for row in range(-round(LEAD_S / trace.step_s), len(trace.time_s)):
            here_m, now_mps = drive.row(row)
            if row >= 0:
                moved = ues[drive.begun]
                position_m[row, moved], speed_mps[row, moved] = here_m[drive.begun], now_mps[drive.begun]
        step_m = np.diff(position_m[:, ues], axis=0, append=position_m[-1:, ues])
        heading_deg[:, ues] = _headings(step_m, trace.heading_deg[:, ues])
    return MobilityTrace(
        time_s=trace.time_s, position_m=position_m, speed_mps=speed_mps, heading_deg=heading_deg,
        metadata=trace.metadata.model_copy(
            update={
                "source": "causal-model", "context_parameters": {}, "rows_filled": 0,
                "provenance": {"factual_context": trace.metadata.context, "factual_seed": trace.metadata.seed},
            }
        ),
    )  # fmt: skip


@dataclass(frozen=True)
class _Begin:
    """Where UEs begin and when, in a context.

    Attributes:
        origin: (U,) the place.
        departs_s: (U,) when those set out who wait for the onset of the context; minus infinity: long before.
    """

    origin: Ints
    departs_s: Floats

    @classmethod
    def of(cls, model: CausalMobilityModel, abduction: Abduction, context: Floats, local: Floats) -> _Begin:
        member = local[:, 0] < context[0]
        density = np.stack([model.ground.weight, model.origins_of(context)])
        scores = np.log(density[member.astype(np.int64)] + 1e-30)
        waits = member & (context[ONSET] > 0)
        departs_s = np.where(waits, context[ONSET] + abduction.patience_s, -np.inf)
        return cls((scores + abduction.origin_noise).argmax(axis=1), departs_s)


class _Drive:
    """Drives UEs that leave what they did, row by row.

    Attributes:
        begun: (N,) who has left it.
    """

    def __init__(
        self, model: CausalMobilityModel, abduction: Abduction, scores: Floats, local: Floats, ues: Ints,
        numbers: list[int], choices: list[list[int]], begin: _Begin, anew: Bools,
    ) -> None:  # fmt: skip
        self._model, self._abduction, self._scores, self._ues, self._choices = model, abduction, scores, ues, choices
        trace, count, ground = abduction.trace, len(ues), model.ground
        self._step_s, self._number = trace.step_s, np.array(numbers)
        row = np.array([
            0 if again else abduction.journeys[ue][k].begin for ue, k, again in zip(ues, numbers, anew, strict=True)
        ])  # fmt: skip
        under_way = np.isfinite(abduction.speed_noise[0, ues]) & (row == 0)
        other_pace = local[ues, 1] != abduction.local[ues, 1]
        lives = anew | (under_way & ~other_pace)
        waits = lives & np.isfinite(begin.departs_s[ues])
        # What is chosen before the trace begins is not what was chosen in it.
        self._before = lives & ~waits
        self._begin = np.where(lives, -round(LEAD_S / trace.step_s), row)
        here_m = trace.position_m[row, ues]
        at_home = abduction.stood[ues] & (begin.origin[ues] == abduction.origin[ues])
        here_m = np.where((lives & ~at_home)[:, None], ground.bays_m(begin.origin[ues]), here_m)
        self._walkers = ground.set_out(ground.locate(here_m), 1)
        self._pace = np.exp(local[ues, 1])
        self._speed_mps = np.where(lives, 0.0, trace.speed_mps[row, ues])
        self._wait_s = np.where(waits, LEAD_S + begin.departs_s[ues], 0.0)
        self._place = np.zeros(count, np.int64)
        self.begun = np.zeros(count, dtype=bool)
        self._noise = [noise[np.isfinite(noise)] for noise in abduction.speed_noise[:, ues].T]

    def row(self, row: int) -> tuple[Floats, Floats]:
        """Returns position (N, 2) and speed (N,) in a row, and drives on to the next one."""
        for index in np.flatnonzero(~self.begun & (self._begin <= row)).tolist():
            self.begun[index] = True
            self._place[index] = self._choose(index, row)
        if row == 0:  # now it is the logged journeys' turn
            for index in np.flatnonzero(self._before).tolist():
                self._number[index] = 0
                if self._wait_s[index] == 0:
                    self._place[index] = self._choose(index, row)
        ground = self._model.ground
        position_m = ground.position_m(self._walkers)
        speed_mps = np.where(self._wait_s > 0, 0.0, self._speed_mps)
        waits = self._wait_s > 0
        self._wait_s = np.maximum(self._wait_s - self._step_s, 0)
        self._speed_mps = np.where(waits, 0.0, self._speed_mps)
        going = np.flatnonzero(self.begun & ~waits)
        self._drive(going, row)
        return position_m, speed_mps

    def _drive(self, going: Ints, row: int) -> None:
        ground, step_s = self._model.ground, self._step_s
        spots = ground.spots(self._walkers)
        pace_mps, cruise_mps = ground.pace_at(spots)[going], ground.cruise_at(spots)[going]
        noise = np.array([self._noise_of(index, row) for index in going.tolist()])
        before_mps = self._speed_mps[going]
        wanted_mps = cruise_mps * self._pace[going] * noise
        brakes_mps = np.sqrt(2 * _COMFORT_MPS2 * ground.ahead_m(self._walkers, going, self._place[going]))
        wanted_mps = np.minimum(wanted_mps, np.maximum(brakes_mps, 1.0)).clip(max=self._model.habits.fastest_mps)
        self._speed_mps[going] = np.clip(
            wanted_mps, np.maximum(before_mps + LOWEST_MPS2 * step_s, 0), before_mps + HIGHEST_MPS2 * step_s
        )
        left_s = np.full(len(going), step_s)
        factor = self._speed_mps[going] / pace_mps
        going, left_s, factor = going[factor > 0], left_s[factor > 0], factor[factor > 0]
        for _ in range(_EVENTS):
            if not len(going):
                break
            # The factor is that of the road on which the step began: a step is too short for more.
            takes_s, arrived = ground.go(self._walkers, going, self._place[going], factor, left_s)
            for index in going[arrived].tolist():
                self._wait_s[index] = max(step_s, self._stay_s(index))
                self._number[index] += 1
                self._place[index] = self._choose(index, row + 1)
            left_s = left_s - takes_s
            on = (left_s > 1e-9) & ~arrived
            going, left_s, factor = going[on], left_s[on], factor[on]

    def _choose(self, index: int, row: int) -> int:
        ue, number = int(self._ues[index]), int(self._number[index])
        if not (self._before[index] and row < 0) and number < len(self._choices[ue]):
            return self._choices[ue][number]
        random = stream(self._abduction.seed, "model", "fresh", ue, number, int(row < 0))
        return int((self._scores[ue] + random.gumbel(size=self._scores.shape[1])).argmax())

    def _stay_s(self, index: int) -> float:
        """As long as the UE stayed after the journey of that number, or as any UE did."""
        ue, number = int(self._ues[index]), int(self._number[index])
        journeys = self._abduction.journeys[ue]
        if number + 1 < len(journeys):
            return (journeys[number + 1].begin - journeys[number].end) * self._step_s
        random = stream(self._abduction.seed, "model", "stay", ue, number)
        return float(random.choice(self._model.habits.stays_s))

    def _noise_of(self, index: int, row: int) -> float:
        noise = self._abduction.speed_noise[:, self._ues[index]]
        if 0 <= row < len(noise) and np.isfinite(noise[row]):
            return float(noise[row])
        known = self._noise[index]
        return float(known[row % len(known)]) if len(known) else 1.0


def _headings(step_m: Floats, heading_deg: Floats) -> Floats:
    """Headings of steps (T, N, 2); of who stands, the last one."""
    moves = np.hypot(step_m[..., 0], step_m[..., 1]) > 0.05
    found = np.degrees(np.arctan2(step_m[..., 0], step_m[..., 1])) % 360
    result = np.array(heading_deg)
    for row in range(len(result)):
        result[row] = np.where(moves[row], found[row], result[max(row - 1, 0)])
    return result
