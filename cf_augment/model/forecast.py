"""Forecasting: futures of the UEs, drawn from what a filter knows."""

from __future__ import annotations

import numpy as np

from cf_augment.model.filter import ContextFilter
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
    ground, habits, ues = known.model.ground, known.model.habits, len(known.stands)
    chosen = _draw(known.posterior.reshape(1, -1), (random.random(count) + np.arange(count)) / count)
    crowd, share = np.unravel_index(chosen, known.posterior.shape)
    member = random.random((count, ues)) < known.membership[crowd, share]
    crowds = np.where(member, crowd[:, None], 0)
    field, all_ues = crowds.ravel(), np.arange(count * ues)
    place = _draw(known.belief[crowds, np.arange(ues)].reshape(len(field), -1), random.random(len(field)))
    wait_s = np.zeros(len(field))
    long, short = (np.tile(which, count) for which in (known.stands, known.parked & ~known.stands))
    wait_s[long] = random.exponential(1 / known.departing_per_s, long.sum())
    # Of a stay that is under way, a share that is as likely to be any is left.
    wait_s[short] = random.choice(habits.stays_s, short.sum()) * random.random(short.sum())
    pace = np.exp(habits.spread * random.standard_normal(len(field)) - habits.spread**2 / 2)
    density = np.cumsum(known.model.crowds.density, axis=1)
    walkers = ground.set_out(known.last.spots, count)
    position_m = np.empty((len(ahead_s), len(field), 2))
    for index, passes_s in enumerate(np.diff(ahead_s, prepend=0.0)):
        left_s, going = np.full(len(field), passes_s), all_ues
        for _ in range(_EVENTS):
            waits_s = np.minimum(wait_s[going], left_s[going])
            wait_s[going] -= waits_s
            left_s[going] -= waits_s
            going = going[left_s[going] > 1e-9]
            if not len(going):
                break
            takes_s, is_there = ground.go(walkers, going, place[going], pace[going], left_s[going])
            left_s[going] -= takes_s
            arrived = going[is_there]
            wait_s[arrived] = random.choice(habits.stays_s, len(arrived))
            place[arrived] = _drawn(density, field[arrived], random.random(len(arrived)))
        position_m[index] = ground.position_m(walkers)
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
