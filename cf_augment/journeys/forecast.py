"""Forecasting: futures of the UEs, drawn from what a filter knows."""

from __future__ import annotations

import numpy as np

from cf_augment.journeys.filter import ContextFilter
from sumo_mobility.base.arrays import AnyFloats, Floats, Ints

_EVENTS = 100
"""Roads that a UE can enter, and places that it can reach, between two moments of a forecast."""


def forecast(known: ContextFilter, ahead_s: Floats, count: int, random: np.random.Generator) -> Floats:
    """Draws where the UEs will be.

    Args:
        known: A filter that has seen at least one report.
        ahead_s: (T,) times after the last report, increasing.
        count: K, how many futures.
        random: The randomness.

    Returns:
        (K, T, U, 2) in trace coordinates.
    """
    assert known.last is not None
    model, spots = known.model, known.last.spots
    streets, habits = model.streets, model.habits
    ues = len(spots.road)
    chosen = _draw(known.posterior.reshape(1, -1), (random.random(count) + np.arange(count)) / count)
    crowd, share = np.unravel_index(chosen, known.posterior.shape)
    member = random.random((count, ues)) < known.membership[crowd, share]
    crowds = np.where(member, crowd[:, None], 0)
    of_ues = known.belief[crowds, np.arange(ues)].reshape(count * ues, -1)
    field, place = crowds.ravel(), _draw(of_ues, random.random(count * ues))
    road, offset_m, beside_m = (np.concatenate([each] * count) for each in (spots.road, spots.offset_m, spots.beside_m))
    wait_s = np.zeros(count * ues)
    long, short = (np.tile(which, count) for which in (known.stands, known.parked & ~known.stands))
    wait_s[long] = random.exponential(1 / known.departing_per_s, long.sum())
    # Of a stay that is under way, a share that is as likely to be any is left.
    wait_s[short] = random.choice(habits.stays_s, short.sum()) * random.random(short.sum())
    pace = np.exp(habits.spread * random.standard_normal(count * ues) - habits.spread**2 / 2)
    has_moved = np.zeros(count * ues, dtype=bool)
    position_m = np.empty((len(ahead_s), count * ues, 2))
    density = np.cumsum(model.crowds.density, axis=1)
    for index, passes_s in enumerate(np.diff(ahead_s, prepend=0.0)):
        left_s = np.full(count * ues, passes_s)
        going = np.arange(count * ues)
        for _ in range(_EVENTS):
            waits_s = np.minimum(wait_s[going], left_s[going])
            wait_s[going] -= waits_s
            left_s[going] -= waits_s
            going = going[left_s[going] > 1e-9]
            if not len(going):
                break
            on, to = road[going], place[going]
            last = streets.is_before(on, offset_m[going], to)
            length_m = streets.graph.length_m[on]
            end_m = np.where(last, length_m / 2, length_m)
            speed_mps = streets.pace_mps[on] * pace[going]
            needs_s = (end_m - offset_m[going]) / speed_mps
            takes_s = np.minimum(needs_s, left_s[going])
            offset_m[going] += takes_s * speed_mps
            left_s[going] -= takes_s
            has_moved[going] = True
            at_end = needs_s <= takes_s
            arrived, enters = going[at_end & last], going[at_end & ~last]
            offset_m[enters] = 0.0
            road[enters] = streets.onward(road[enters], place[enters])
            offset_m[arrived] += 1e-3  # past it, so that the same place is a way around
            wait_s[arrived] = random.choice(habits.stays_s, len(arrived))
            place[arrived] = _drawn(density, field[arrived], random.random(len(arrived)))
        position_m[index] = streets.graph.place(road, offset_m)[0] + np.where(has_moved[:, None], 0.0, beside_m)
    return position_m.reshape(len(ahead_s), count, ues, 2).transpose(1, 0, 2, 3)


def _draw(probability: AnyFloats, chance: Floats) -> Ints:
    """Returns draws (N,) from distributions (N or 1, P), given random numbers from 0 to 1."""
    cumulated = np.cumsum(probability, axis=-1)
    return _drawn(cumulated, np.arange(len(cumulated)).repeat(len(chance) // len(cumulated)), chance)


def _drawn(cumulated: AnyFloats, row: Ints, chance: Floats) -> Ints:
    """Returns draws (N,) from rows of cumulated distributions (M, P)."""
    found = np.empty(len(row), np.int64)
    for index, (of, at) in enumerate(zip(row.tolist(), chance.tolist(), strict=True)):
        sums = cumulated[of]
        found[index] = min(int(np.searchsorted(sums, at * sums[-1], side="right")), len(sums) - 1)
    return found
